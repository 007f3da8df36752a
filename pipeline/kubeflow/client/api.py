"""The client of KFP's API: each failure is a one-line error with a hint.

It uses KFP's generated client, `kfp_server_api`. `kfp.Client`, which wraps that, retries an unreachable
server for half a minute, has no timeout, stores a namespace in the user's home, and overrides caching of the
outermost tasks only.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.errors import ClusterError, redacted
from pipeline.kubeflow.client.connection import ANSWER_SECONDS, CONNECT_SECONDS, Server, ca_bundle, server_url
from pipeline.kubeflow.client.pods import namespace_exists

if TYPE_CHECKING:
    from pipeline.kubeflow.client.submission import Submission

NAMESPACE = "kubeflow"
"""Where the pods of runs are, on a single-user KFP."""
FINAL_STATES = frozenset(("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"))
CANCELING = "CANCELING"
"""The state of a terminated run until its exit handler has run."""


@dataclass(frozen=True)
class SubmittedRun:
    """A run that KFP has accepted; `url` is its page in KFP's UI."""

    run_id: str
    name: str
    url: str


class Kfp:
    """KFP's API.

    Args:
        host: URL of KFP, as in a browser. Empty: KFP_HOST.
        namespace: On a multi-user KFP the user's; else the one in which the pods of runs are.
        token_file: A file with a bearer token, read again for each call, since such tokens expire soon.

    Raises:
        ClusterError: The server cannot be reached, refuses the token, or has no such namespace.
    """

    def __init__(self, host: str = "", namespace: str = "", token_file: Path | None = None) -> None:
        import kfp_server_api
        from requests.utils import get_environ_proxies, select_proxy

        self.server = Server(server_url(host), token_file)
        self.host = self.server.host
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
        self.multi_user = self._is_multi_user()
        self.namespace = self._check_namespace(namespace)

    def call(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Calls a method of `experiments`, `runs` or `recurring_runs`, with a timeout.

        Raises:
            UnreachableError: The server does not answer.
            ClusterError: The server refuses the call.
        """
        from kfp_server_api import ApiException
        from urllib3.exceptions import HTTPError

        try:
            result = method(*arguments, **options, _request_timeout=(CONNECT_SECONDS, ANSWER_SECONDS))
        except HTTPError as error:
            raise self.server.unreachable(type(error).__name__) from None
        except ApiException as error:
            raise self.server.error_of(error.status, error.body or "") from None
        except AttributeError as error:
            # The client's error for an untrusted certificate has no body, which it fails to decode.
            if not isinstance(error.__context__, ApiException):
                raise
            raise self.server.untrusted() from None
        if "json" not in self._client.last_response.getheader("content-type", ""):
            raise self.server.not_kfp(200)
        return result

    def submit(self, submission: Submission, name: str, experiment: str) -> SubmittedRun:
        """Starts a run.

        Raises:
            ClusterError: KFP refuses the run.
        """
        from kfp_server_api import V2beta1Run

        run = V2beta1Run(**self.request_fields(submission, name, experiment))
        created = self.call(self.runs.run_service_create_run, run)
        return SubmittedRun(created.run_id, name, self.url(created.run_id))

    def request_fields(self, submission: Submission, name: str, experiment: str) -> dict[str, Any]:
        """What the requests for a run and for a recurring run have in common.

        The experiment is created if it does not exist.
        """
        from kfp_server_api import V2beta1RuntimeConfig

        return {
            "experiment_id": self.experiment_id(experiment, create=True),
            "display_name": name,
            "pipeline_spec": submission.pipeline_spec,
            "runtime_config": V2beta1RuntimeConfig(parameters=submission.arguments),
            "service_account": submission.service_account,
        }

    def url(self, run_id: str) -> str:
        """URL of a run in KFP's UI."""
        return f"{redacted(self.host)}/#/runs/details/{run_id}"

    def run(self, run_id: str) -> Any:
        """A run, with the states of its tasks."""
        return self.call(self.runs.run_service_get_run, run_id)

    def latest_runs(self, experiment: str, limit: int) -> list[Any]:
        """The latest runs of an experiment, newest first; empty if the experiment does not exist."""
        experiment_id = self.experiment_id(experiment)
        if not experiment_id:
            return []
        options = {"page_size": limit, "sort_by": "created_at desc"}
        page = self.call(self.runs.run_service_list_runs, experiment_id=experiment_id, **options)
        return page.runs or []

    def terminate(self, run_id: str) -> None:
        """Asks KFP to terminate a run, which takes a while; does nothing if it is terminating already.

        Raises:
            ClusterError: There is no such run, or it has ended.
        """
        state = self.run(run_id).state
        if state in FINAL_STATES:
            raise ClusterError(f"the run {run_id} has ended ({state.lower()})", "there is nothing to stop")
        if state == CANCELING:  # KFP would answer that there is no such run
            return
        try:
            self.call(self.runs.run_service_terminate_run, run_id)
        except ClusterError:
            if self.run(run_id).state not in (CANCELING, *FINAL_STATES):  # else it has ended meanwhile
                raise

    def experiment_id(self, name: str, create: bool = False) -> str:
        """The id of an experiment; empty if it does not exist and `create` is false."""
        from kfp_server_api import V2beta1Experiment

        options = {"namespace": self.namespace} if self.multi_user else {}  # a single-user KFP ignores it
        predicate = {"operation": "EQUALS", "key": "display_name", "string_value": name}
        page = self.call(
            self.experiments.experiment_service_list_experiments,
            filter=json.dumps({"predicates": [predicate]}),
            **options,
        )
        if page.experiments:
            return str(page.experiments[0].experiment_id)
        if not create:
            return ""
        experiment = V2beta1Experiment(display_name=name, **options)
        created = self.call(self.experiments.experiment_service_create_experiment, experiment)
        return str(created.experiment_id)

    def _is_multi_user(self) -> bool:
        from kfp_server_api import HealthzServiceApi

        try:
            health = self.call(HealthzServiceApi(self._client).healthz_service_get_healthz)
        except TypeError:  # the response is JSON, but no object
            raise self.server.not_kfp(200) from None
        if health.multi_user is None:
            raise self.server.not_kfp(200)
        return bool(health.multi_user)

    def _check_namespace(self, name: str) -> str:
        if self.multi_user:
            if not name:
                raise ClusterError(
                    f"several users share KFP at {self.host}", "give your namespace: --namespace NAME"
                )
            self.call(self.experiments.experiment_service_list_experiments, page_size=1, namespace=name)
        elif name and name != NAMESPACE:
            exists = namespace_exists(name)
            if exists is None:
                raise ClusterError(
                    f"KFP at {self.host} has only one namespace, and it is unknown whether that is {name!r}",
                    "leave --namespace out, or set KUBECONFIG for its cluster",
                )
            if not exists:
                raise ClusterError(
                    f"there is no namespace {name!r}", f"leave --namespace out for the default, {NAMESPACE!r}"
                )
        return name or NAMESPACE

    def _set_token(self, configuration: Any) -> None:
        configuration.api_key["authorization"] = self.server.token()
