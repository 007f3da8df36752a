"""`fashion schedule`, against KFP's REST API."""

import json
from typing import Any

import click
import pytest

from components.common.errors import ClusterError
from pipeline.cli.schedule import schedule
from tests.support.kfp_fixtures import fashion
from tests.support.kfp_server import KfpServer

pytest_plugins = ("tests.support.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("ready_to_submit")


def test_schedule(server: KfpServer) -> None:
    fashion(schedule, "--cron", "0 3 * * *", "--param", "model=resnet-xs")
    made = server.schedules[0]
    assert made["display_name"] == "train"
    assert made["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert made["runtime_config"]["parameters"]["model"] == "resnet-xs"
    assert made["recurring_run_id"] in fashion(schedule, "list")
    fashion(schedule, "pause", "train")
    assert made["status"] == "DISABLED"
    fashion(schedule, "resume", made["recurring_run_id"])
    assert made["status"] == "ENABLED"
    fashion(schedule, "delete", "train")
    assert server.schedules == []


@pytest.mark.parametrize("arguments", [(), ("--cron", "0 3 * * *", "list"), ("--gpu", "-1")])
def test_schedule_used_wrongly(arguments: tuple[str, ...], server: KfpServer) -> None:
    with pytest.raises(click.UsageError):
        fashion(schedule, *arguments)
    assert server.calls == []


def test_options_of_the_group_hold_for_its_commands(server: KfpServer, monkeypatch: Any) -> None:
    monkeypatch.delenv("KFP_HOST")
    fashion(schedule, "--host", server.url, "--experiment", "other", "list")
    with pytest.raises(ClusterError):
        fashion(schedule, "list")
    assert [json.loads(call.query["filter"]) for call in server.calls_of("GET", "experiments")] == [
        {"predicates": [{"operation": "EQUALS", "key": "display_name", "string_value": "other"}]}
    ]


def test_a_batch_is_repeated(server: KfpServer) -> None:
    urls = ("--batch", "s3://shop/images/", "--to", "s3://shop/predictions/")
    fashion(schedule, "--cron", "0 3 * * *", *urls)

    (made,) = server.schedules
    assert made["display_name"] == "batch"
    assert made["runtime_config"]["parameters"]["shards"] == ["1/2", "2/2"]
