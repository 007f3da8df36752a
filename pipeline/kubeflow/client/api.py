"""KFP's API: each fault is one line, with what to do.

The calls go through KFP's generated client, `kfp_server_api`. `kfp.Client`, which wraps it, asks a silent
server for half a minute, waits without end where one hangs, keeps a namespace in the user's home, and
overrides the caching of the outermost tasks alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.errors import ClusterError, redacted
from pipeline.kubeflow.client.connection import ANSWER_SECONDS, CONNECT_SECONDS, Server, address, ca_bundle
from pipeline.kubeflow.client.pods import namespace_exists

NAMESPACE = "kubeflow"
"""The namespace of the runs' pods, unless several users share the KFP."""
ENDED = frozenset(("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"))
"""Final states of a run."""
CANCELING = "CANCELING"
"""The state of a run that was stopped, until its exit handler has run."""


@dataclass(frozen=True)
class Submitted:
    """A run that KFP has accepted."""

    run_id: str
    name: str
    url: str


class Kfp:
    """KFP's API.

    Args:
        host: Its address, as in a browser. Empty: KFP_HOST.
        namespace: The namespace of the runs' pods; on a KFP that several users share, the user's.
        token_file: A file with a bearer token, read for each call, since such tokens expire soon.

    Raises:
        ClusterError: There is no such server, it refuses the token, or has no such namespace.
    """

    def __init__(self, host: str = "", namespace: str = "", token_file: Path | None = None) -> None:
        import kfp_server_api
        from requests.utils import get_environ_proxies, select_proxy

        self.server = Server(address(host), token_file)
        self.host = self.server.host
        self.multi_user = self.server.probe()
        configuration = kfp_server_api.Configuration(host=self.host)
        configuration.ssl_ca_cert = ca_bundle()
        configuration.proxy = select_proxy(self.host, get_environ_proxies(self.host))
        configuration.retries = False
        if token_file:
            configuration.api_key["authorization"] = ""
            configuration.api_key_prefix["authorization"] = "Bearer"
            configuration.refresh_api_key_hook = self._set_token
        self._client = kfp_server_api.ApiClient(configuration)
        self.experiments = kfp_server_api.ExperimentServiceApi(self._client)
        self.runs = kfp_server_api.RunServiceApi(self._client)
        self.recurring_runs = kfp_server_api.RecurringRunServiceApi(self._client)
        self.namespace = self._check_namespace(namespace)

    def call(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Makes a call of the API, within seconds.

        Args:
            method: A method of `experiments`, `runs` or `recurring_runs`.
            arguments: Its arguments.
            options: Its options.

        Raises:
            UnreachableError: The server does not answer.
            ClusterError: It refuses the call.
        """
        from kfp_server_api import ApiException
        from urllib3.exceptions import HTTPError

        try:
            result = method(*arguments, **options, _request_timeout=(CONNECT_SECONDS, ANSWER_SECONDS))
        except HTTPError as error:
            raise self.server.unreachable(type(error).__name__) from None
        except ApiException as error:
            raise self.server.refusal(error.status, error.body or "") from None
        if "json" not in self._client.last_response.getheader("content-type", ""):
            raise self.server.foreign(200)
        return result

    def submit(
        self,
        package: Path,
        name: str,
        experiment: str,
        arguments: dict[str, Any],
        cached: bool = True,
        service_account: str | None = None,
    ) -> Submitted:
        """Starts a run.

        Args:
            package: The compiled pipeline.
            name: What to call the run.
            experiment: The experiment's name; it is made if there is none.
            arguments: The pipeline's arguments.
            cached: Whether steps may be served from the cache, where their own settings let them.
            service_account: Of the run's pods. None: the server's choice.

        Raises:
            ClusterError: KFP refuses the run.
        """
        from kfp_server_api import V2beta1Run, V2beta1RuntimeConfig

        run = V2beta1Run(
            experiment_id=self.experiment_id(experiment, create=True),
            display_name=name,
            pipeline_spec=read_package(package, cached),
            runtime_config=V2beta1RuntimeConfig(parameters=arguments),
            service_account=service_account,
        )
        created = self.call(self.runs.run_service_create_run, run)
        return Submitted(created.run_id, name, self.url(created.run_id))

    def url(self, run_id: str) -> str:
        """The address of a run in KFP's UI."""
        return f"{redacted(self.host)}/#/runs/details/{run_id}"

    def run(self, run_id: str) -> Any:
        """A run, with the states of its tasks."""
        return self.call(self.runs.run_service_get_run, run_id)

    def latest_runs(self, experiment: str, limit: int) -> list[Any]:
        """The latest runs of an experiment, the newest first; none if there is no such experiment."""
        found = self.experiment_id(experiment)
        if not found:
            return []
        page = self.call(
            self.runs.run_service_list_runs,
            experiment_id=found,
            page_size=limit,
            sort_by="created_at desc",
        )
        return page.runs or []

    def stop(self, run_id: str) -> None:
        """Asks for the end of a run, which takes a while; nothing happens if it is ending already.

        Raises:
            ClusterError: There is no such run, or it has ended.
        """
        state = self.run(run_id).state
        if state in ENDED:
            raise ClusterError(f"the run {run_id} has ended ({state.lower()})", "there is nothing to stop")
        if state == CANCELING:  # KFP would answer that it finds no such run
            return
        try:
            self.call(self.runs.run_service_terminate_run, run_id)
        except ClusterError:
            if self.run(run_id).state not in (CANCELING, *ENDED):  # else it has ended meanwhile
                raise

    def experiment_id(self, name: str, create: bool = False) -> str:
        """The id of an experiment; empty if there is none and it is not to be created."""
        from kfp_server_api import V2beta1Experiment

        options = {"namespace": self.namespace} if self.multi_user else {}  # else it would be ignored
        same = {"operation": "EQUALS", "key": "display_name", "string_value": name}
        page = self.call(
            self.experiments.experiment_service_list_experiments,
            filter=json.dumps({"predicates": [same]}),
            **options,
        )
        if page.experiments:
            return str(page.experiments[0].experiment_id)
        if not create:
            return ""
        wanted = V2beta1Experiment(display_name=name, **options)
        made = self.call(self.experiments.experiment_service_create_experiment, wanted)
        return str(made.experiment_id)

    def _check_namespace(self, name: str) -> str:
        if self.multi_user:
            if not name:
                raise ClusterError(
                    f"several users share KFP at {self.host}", "name your namespace: --namespace NAME"
                )
            self.call(self.experiments.experiment_service_list_experiments, page_size=1, namespace=name)
        elif name and name != NAMESPACE:
            known = namespace_exists(name)
            if known is None:
                raise ClusterError(
                    f"KFP at {self.host} has one namespace, and does not tell whether it is {name!r}",
                    "leave --namespace out, or set KUBECONFIG for its cluster",
                )
            if not known:
                raise ClusterError(
                    f"there is no namespace {name!r}", f"leave --namespace out for the usual {NAMESPACE!r}"
                )
        return name or NAMESPACE

    def _set_token(self, configuration: Any) -> None:
        configuration.api_key["authorization"] = self.server.token()


def read_package(path: Path, cached: bool = True) -> dict[str, Any]:
    """A compiled pipeline as KFP's API takes it.

    Args:
        path: The YAML file: the pipeline, and what it asks of Kubernetes.
        cached: False: no step is served from the cache, in no loop and under no condition either.
    """
    import yaml  # type: ignore[import-untyped]  # KFP writes it; other readers take some texts for numbers

    pipeline, *platform = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    if not cached:
        components = (pipeline["root"], *pipeline.get("components", {}).values())
        for component in components:
            for task in component.get("dag", {}).get("tasks", {}).values():
                task["cachingOptions"] = {}
    return {"pipeline_spec": pipeline, "platform_spec": platform[0]} if platform else pipeline
