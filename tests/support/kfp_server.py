"""A KFP API server in memory, with the calls that our commands make.

What it says and what it refuses was taken from a real KFP 2.17; `kfp_runs.json` holds whole runs of that,
with the second at which each task came into each state. Bodies and answers go through KFP's own models.
"""

import json
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kfp_server_api
from google.protobuf.json_format import ParseDict, ParseError  # type: ignore[import-untyped]
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec, PlatformSpec

from tests.support.json_server import Call, JsonServer, RefusalError

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "kfp_runs.json").read_text())
START, NEVER = datetime(2026, 11, 21, 21, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)
NUMBERS = ("NUMBER_INTEGER", "NUMBER_DOUBLE")
PREFIX = "/apis/v2beta1"
MODELS: Any = kfp_server_api.ApiClient()


class KfpServer(JsonServer):
    """KFP: its experiments, runs and recurring runs.

    Args:
        users: Of a KFP for several users: the namespaces of the one who asks. None: for a single user.
        token: The bearer token that it wants.
    """

    def __init__(self, users: tuple[str, ...] | None = None, token: str = "") -> None:
        super().__init__()
        self.users, self.token = users, token
        self.experiments: list[dict[str, Any]] = []
        self.runs: list[dict[str, Any]] = []
        self.schedules: list[dict[str, Any]] = []
        self.page = 100
        self.recorded = "passed"
        """The recording that the next run follows, from look to look."""
        self.canceling = False
        """Whether a run that is terminated does not come to its end."""
        self.looks: dict[str, list[int]] = {}

    def respond(self, call: Call) -> Any:
        """Finds the call's method."""
        if self.token and call.headers.get("authorization") != f"Bearer {self.token}":
            raise refusal(401, 16, "Request header error: there is no user identity header.")
        path = call.path.removeprefix(PREFIX)
        for method, pattern, answer in self._routes():
            found = re.fullmatch(pattern, path)
            if found and method == call.method and call.path.startswith(PREFIX):
                return answer(call, *found.groups())
        raise RefusalError(404, "404 page not found")

    def _routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        return [
            ("GET", "/healthz", lambda _: {"multi_user": self.users is not None, "commit_sha": "unknown"}),
            ("GET", "/experiments", self._list_experiments),
            ("POST", "/experiments", self._create_experiment),
            ("GET", "/runs", self._list_runs),
            ("POST", "/runs", self._create_run),
            ("GET", "/runs/([^/:]+)", lambda _, key: self._look(_find(self.runs, "run_id", key))),
            ("POST", "/runs/([^/:]+):terminate", self._terminate),
            ("GET", "/recurringruns", self._list_schedules),
            ("POST", "/recurringruns", self._create_schedule),
            ("POST", "/recurringruns/([^/:]+):(enable|disable)", self._switch),
            ("DELETE", "/recurringruns/([^/:]+)", self._delete_schedule),
        ]

    def _list_experiments(self, call: Call) -> Any:
        self._permit(call.query.get("namespace", ""))
        found = _filtered(call, self.experiments)
        return _answer("V2beta1ListExperimentsResponse", {"experiments": found[: self.page]})

    def _create_experiment(self, call: Call) -> Any:
        wanted = checked(call.body, "V2beta1Experiment")
        self._permit(wanted.get("namespace", ""))
        if wanted["display_name"] in [known["display_name"] for known in self.experiments]:
            raise refusal(409, 6, f"The name {wanted['display_name']} already exists.")
        self.experiments.append(wanted | {"experiment_id": str(uuid.uuid4()), "created_at": str(START)})
        return _answer("V2beta1Experiment", self.experiments[-1])

    def _permit(self, namespace: str) -> None:
        if self.users is not None and namespace not in self.users:
            raise refusal(403, 7, f"User 'u' is not authorized with reason: (Namespace:{namespace})")

    def _list_runs(self, call: Call) -> Any:
        assert call.query["sort_by"] == "created_at desc"
        found = [run for run in self.runs if run["experiment_id"] == call.query["experiment_id"]]
        latest = [self._shown(run) for run in reversed(found)][: int(call.query["page_size"])]
        return _answer("V2beta1ListRunsResponse", {"runs": latest})

    def _create_run(self, call: Call) -> Any:
        wanted = checked(call.body, "V2beta1Run")
        _find(self.experiments, "experiment_id", wanted["experiment_id"])
        check_inputs(wanted)
        run = wanted | {"run_id": str(uuid.uuid4()), "recorded": self.recorded}
        self.runs.append(run)
        self.looks[run["run_id"]] = moments(self.recorded)
        return _answer("V2beta1Run", self._shown(run))

    def _look(self, run: dict[str, Any]) -> Any:
        """A run as it is now; it goes on to its next change."""
        shown = _answer("V2beta1Run", self._shown(run))
        if len(self.looks[run["run_id"]]) > 1:
            self.looks[run["run_id"]].pop(0)
        return shown

    def _shown(self, run: dict[str, Any]) -> dict[str, Any]:
        plain = {name: value for name, value in run.items() if name != "recorded"}
        return plain | replay(run["recorded"], self.looks[run["run_id"]][0])

    def _terminate(self, call: Call, run_id: str) -> Any:
        run = _find(self.runs, "run_id", run_id)
        if self._shown(run)["state"] in ("SUCCEEDED", "FAILED", "CANCELING"):
            raise refusal(400, 3, f"Failed to terminate a run {run_id}. Row not found")
        begun = next(second for second, state in RECORDED["stopped"]["history"] if state == "CANCELING")
        run["recorded"], self.looks[run_id] = "stopped", moments("stopped")[-1:]
        if self.canceling:
            self.looks[run_id] = [begun]
        return {}

    def _list_schedules(self, call: Call) -> Any:
        found = [one for one in self.schedules if one["experiment_id"] == call.query["experiment_id"]]
        start = int(call.query.get("page_token") or 0)
        size = min(self.page, int(call.query["page_size"]))
        token = str(start + size) if start + size < len(found) else ""
        page = {"recurringRuns": found[start : start + size], "next_page_token": token}
        return _answer("V2beta1ListRecurringRunsResponse", page)

    def _create_schedule(self, call: Call) -> Any:
        wanted = checked(call.body, "V2beta1RecurringRun")
        _find(self.experiments, "experiment_id", wanted["experiment_id"])
        check_inputs(wanted)
        status = {"ENABLE": "ENABLED", "DISABLE": "DISABLED"}[wanted["mode"]]
        self.schedules.append(wanted | {"recurring_run_id": str(uuid.uuid4()), "status": status})
        return _answer("V2beta1RecurringRun", self.schedules[-1])

    def _switch(self, call: Call, schedule_id: str, mode: str) -> Any:
        found = _find(self.schedules, "recurring_run_id", schedule_id)
        found |= {"mode": mode.upper(), "status": f"{mode.upper()}D"}
        return {}

    def _delete_schedule(self, call: Call, schedule_id: str) -> Any:
        self.schedules.remove(_find(self.schedules, "recurring_run_id", schedule_id))
        return {}


def refusal(status: int, code: int, text: str) -> RefusalError:
    """An error as KFP writes it: with its inner workings, and a text for users."""
    details = [{"@type": "type.googleapis.com/google.rpc.Status", "code": code, "message": text}]
    return RefusalError(status, {"code": code, "message": f"Failed: Error: {text}", "details": details})


def checked(body: Any, model: str) -> dict[str, Any]:
    """A body that KFP's model of it takes whole."""
    parsed = MODELS._ApiClient__deserialize(body, model)
    back: dict[str, Any] = MODELS.sanitize_for_serialization(parsed)
    if back != body:
        raise refusal(400, 3, f"unknown fields or wrong types: {body} is read as {back}")
    return back


def check_inputs(body: dict[str, Any]) -> None:
    """Refuses what KFP refuses: a pipeline that is none, and arguments that do not fit it."""
    spec = body["pipeline_spec"]
    try:
        ParseDict(spec.get("pipeline_spec", spec), PipelineSpec())
        ParseDict(spec.get("platform_spec", {}), PlatformSpec())
    except ParseError as error:
        raise refusal(500, 13, f"unknown template format: {error}") from None
    given = body["runtime_config"].get("parameters", {})
    inputs = spec.get("pipeline_spec", spec)["root"].get("inputDefinitions", {}).get("parameters", {})
    for name in given.keys() - inputs.keys():
        raise refusal(400, 3, f"parameter(s) provided are not required by pipeline: {name}")
    for name, entry in inputs.items():
        if name not in given and not entry.get("isOptional"):
            raise refusal(400, 3, f"parameter {name} is not optional, yet has neither default value")
        number = isinstance(given.get(name, 0), (int, float))
        if name in given and number is not (entry["parameterType"] in NUMBERS):
            raise refusal(400, 3, f"input parameter {name} requires type {entry['parameterType']}")


def moments(recorded: str) -> list[int]:
    """The seconds at which anything changed in a recorded run."""
    run = RECORDED[recorded]
    histories = [run["history"], *(task[4] for task in run["tasks"])]
    return sorted({second for history in histories for second, _ in history})


def replay(recorded: str, now: int) -> dict[str, Any]:
    """What KFP said of a recorded run when so many seconds had gone by."""
    run = RECORDED[recorded]
    tasks = [_task(task, now) for task in run["tasks"] if task[1] <= now]
    history = [entry for entry in run["history"] if entry[0] <= now]
    return {
        "state": history[-1][1],
        "created_at": _time(0),
        "finished_at": _time(run["finished"] if history[-1] == run["history"][-1] else None),
        "run_details": {"task_details": [task for task in tasks if task]},
        "state_history": [{"update_time": _time(second), "state": state} for second, state in history],
    }


def _task(recorded: list[Any], now: int) -> dict[str, Any] | None:
    name, start, end, children, history = recorded
    past = [entry for entry in history if entry[0] <= now]
    if history and not past:
        return None
    state = past[-1][1] if past else None
    ended = state in ("SUCCEEDED", "FAILED", "SKIPPED", None)
    task = {
        "task_id": f"{name}-{start}",
        "display_name": name,
        "state": state,
        "start_time": _time(start),
        "end_time": _time(end if ended else None),
        "child_tasks": [{"pod_name": child} for child in children],
    }
    return {key: value for key, value in task.items() if value not in (None, [])}


def _time(second: int | None) -> str:
    return (NEVER if second is None else START + timedelta(seconds=second)).isoformat()


def _answer(model: str, content: dict[str, Any]) -> Any:
    return MODELS.sanitize_for_serialization(MODELS._ApiClient__deserialize(content, model))


def _filtered(call: Call, things: list[dict[str, Any]]) -> list[dict[str, Any]]:
    wanted = checked(json.loads(call.query.get("filter", "{}")), "V2beta1Filter").get("predicates", [])
    assert all(one["operation"] == "EQUALS" for one in wanted)
    return [thing for thing in things if all(thing[one["key"]] == one["string_value"] for one in wanted)]


def _find(things: list[dict[str, Any]], key: str, value: str) -> dict[str, Any]:
    for thing in things:
        if thing[key] == value:
            return thing
    raise refusal(404, 5, f"{key} {value} not found")
