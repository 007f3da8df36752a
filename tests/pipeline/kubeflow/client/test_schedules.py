"""Runs by the clock, against a server that speaks KFP's REST API."""

import json
from pathlib import Path

import pytest

from components.common.errors import ClusterError, ParameterError
from pipeline.kubeflow.client import schedules
from pipeline.kubeflow.client.api import Kfp
from pipeline.kubeflow.client.schedules import Schedule, parse_cron
from pipeline.kubeflow.client.submission import Submission, read_package
from tests.support.json_server import Fault
from tests.support.kfp_fixtures import start_run
from tests.support.kfp_server import KfpServer

pytest_plugins = ("tests.support.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("bare_environment")


def make(kfp: Kfp, package: Path, name: str = "nightly", experiment: str = "e") -> Schedule:
    """A schedule for three o'clock."""
    return schedules.create(kfp, Submission(read_package(package), {"n": 1}), name, experiment, "0 0 3 * * *")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("0 0 3 * * *", "0 0 3 * * *"),
        ("0 3 * * *", "0 0 3 * * *"),
        ("  30  5,35 0-6/2,12 1-15 JAN-jun,12 mon-FRI ", "30 5,35 0-6/2,12 1-15 JAN-jun,12 mon-FRI"),
        ("*/15 0 0 ? * 0", "*/15 0 0 ? * 0"),
        ("5/15 59 23 31 12 6", "5/15 59 23 31 12 6"),
    ],
)
def test_cron(given: str, expected: str) -> None:
    assert parse_cron(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        "",
        "@daily",
        "every day at 3",
        "0 3 * *",
        "0 0 3 * * * *",
        "60 0 3 * * *",
        "0 60 3 * * *",
        "0 0 24 * * *",
        "0 0 3 0 * *",
        "0 0 3 * 13 *",
        "0 0 3 * * 7",
        "0 0 3 * * sunday",
        "0 0 3 jan * *",
        "0 5-1 3 * * *",
        "0 */0 3 * * *",
        "0 */x 3 * * *",
        "0 1,,2 3 * * *",
        "0 -1 3 * * *",
        "0 ² 3 * * *",
    ],
)
def test_what_is_no_cron(given: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_cron(given)
    assert "0 0 3 * * *" in caught.value.hint


@pytest.mark.parametrize(
    ("given", "count"), [("bad", "1 field"), ("0 3 * *", "4 fields"), ("0 0 3 * * * *", "7 fields")]
)
def test_number_of_fields_is_said(given: str, count: str) -> None:
    with pytest.raises(ParameterError, match=f"has {count}, not five or six: "):
        parse_cron(given)


def test_create(server: KfpServer, packages: dict[str, Path]) -> None:
    submission = Submission(read_package(packages["one"], cached=False), {"n": 3}, "sa")
    made = schedules.create(Kfp(server.url), submission, "nightly", "an experiment", "0 0 3 * * *")
    stored = server.schedules[0]
    assert made == Schedule(
        stored["recurring_run_id"], "nightly", "0 0 3 * * *", True, stored["experiment_id"]
    )
    assert server.experiments[0]["display_name"] == "an experiment"
    body = server.calls_of("POST", "recurringruns")[0].body
    pipeline = body.pop("pipeline_spec")["pipeline_spec"]
    assert body == {
        "display_name": "nightly",
        "experiment_id": server.experiments[0]["experiment_id"],
        "runtime_config": {"parameters": {"n": 3}},
        "trigger": {"cron_schedule": {"cron": "0 0 3 * * *"}},
        "mode": "ENABLE",
        "max_concurrency": "1",
        "no_catchup": True,
        "service_account": "sa",
    }
    handler = pipeline["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    assert {task.get("cachingOptions") == {} for task in handler.values()} == {True}


def test_name_that_is_taken(server: KfpServer, packages: dict[str, Path]) -> None:
    kfp = Kfp(server.url)
    make(kfp, packages["one"])
    with pytest.raises(ClusterError) as caught:
        make(kfp, packages["one"])
    assert "fashion schedule delete 'nightly'" in caught.value.hint
    make(kfp, packages["one"], "weekly")
    make(kfp, packages["one"], "nightly", "another experiment")
    assert [one["display_name"] for one in server.schedules] == ["nightly", "weekly", "nightly"]


def test_parameter_that_the_server_refuses(server: KfpServer, packages: dict[str, Path]) -> None:
    submission = Submission(read_package(packages["one"]), {"n": 1, "nn": 2})
    with pytest.raises(ClusterError, match="not required by pipeline: nn"):
        schedules.create(Kfp(server.url), submission, "a", "e", "0 0 3 * * *")
    assert server.schedules == []


def test_pause_resume_delete(server: KfpServer, packages: dict[str, Path]) -> None:
    kfp = Kfp(server.url)
    made = make(kfp, packages["one"])
    other = make(kfp, packages["one"], "weekly")
    schedules.pause(kfp, schedules.find(kfp, "e", "nightly"))
    assert [one.active for one in schedules.schedules(kfp, "e")] == [False, True]
    schedules.resume(kfp, schedules.find(kfp, "e", made.schedule_id))
    assert schedules.schedules(kfp, "e") == [made, other]
    schedules.delete(kfp, schedules.find(kfp, "e", "nightly"))
    assert schedules.schedules(kfp, "e") == [other]


def test_schedule_with_a_run_that_is_on_is_only_paused(server: KfpServer, packages: dict[str, Path]) -> None:
    kfp = Kfp(server.url)
    made, other = make(kfp, packages["one"]), make(kfp, packages["one"], "weekly")
    run_id = start_run(kfp, packages["one"], "of the clock", "e", {"n": 1}).run_id
    start_run(kfp, packages["one"], "by hand", "e", {"n": 1})
    server.runs[0]["recurring_run_id"] = made.schedule_id
    newest = {"runs": [], "next_page_token": "further"}
    server.faults.append(Fault("/runs", 200, json.dumps(newest), times=1))

    with pytest.raises(ClusterError, match=rf"{run_id} .*is paused") as caught:
        schedules.delete(kfp, made)
    assert f"fashion runs wait {run_id}" in caught.value.hint
    assert f"fashion runs stop {run_id}" in caught.value.hint
    assert server.calls[-1].query["page_token"] == "further"
    assert [one["status"] for one in server.schedules] == ["DISABLED", "ENABLED"]

    schedules.delete(kfp, other)
    kfp.terminate(run_id)
    schedules.delete(kfp, made)
    assert server.schedules == []
    disable, _, delete = server.calls[-3:]
    assert (disable.path.rpartition(":")[2], delete.method) == ("disable", "DELETE")


def test_all_pages_of_one_experiment(server: KfpServer, packages: dict[str, Path]) -> None:
    kfp = Kfp(server.url)
    mine = [make(kfp, packages["one"], f"s{number}") for number in range(5)]
    make(kfp, packages["one"], "theirs", "another experiment")
    server.page = 2
    assert schedules.schedules(kfp, "e") == mine
    assert schedules.schedules(kfp, "no such experiment") == []
    assert len(server.experiments) == 2


def test_name_of_none_or_of_several(server: KfpServer, packages: dict[str, Path]) -> None:
    kfp = Kfp(server.url)
    made = make(kfp, packages["one"])
    with pytest.raises(ClusterError, match="no schedule 'weekly'"):
        schedules.find(kfp, "e", "weekly")
    server.schedules.append(server.schedules[0] | {"recurring_run_id": "made-in-the-ui"})
    with pytest.raises(ClusterError) as caught:
        schedules.find(kfp, "e", "nightly")
    assert f"{made.schedule_id}, made-in-the-ui" in caught.value.hint
    assert schedules.find(kfp, "e", made.schedule_id) == made
