"""Schedules: KFP's recurring runs, by cron."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.errors import ClusterError, ParameterError, counted
from pipeline.kubeflow.client.api import ENDED, Kfp, read_package

PAGE = 100
EXAMPLE = "for example --cron \"0 0 3 * * *\": at 3 o'clock each night, in the server's time zone"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True)
class _Field:
    """A field of a cron expression: its smallest and largest number, and names that stand for numbers."""

    name: str
    least: int
    greatest: int
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int:
        """The number that a text stands for, or -1."""
        if text.lower() in self.names:
            return self.names.index(text.lower()) + self.least
        return int(text) if text.isascii() and text.isdigit() else -1

    def accepts(self, text: str) -> bool:
        """Whether KFP accepts the text: a list of `*`, numbers and ranges, with or without a step."""
        for part in text.split(","):
            span, slash, step = part.partition("/")
            low, dash, high = span.partition("-")
            if slash and not (step.isascii() and step.isdigit() and int(step)):
                return False
            if span in ("*", "?"):
                continue
            first, last = self.number(low), self.number(high if dash else low)
            if not self.least <= first <= last <= self.greatest:
                return False
        return True


FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 6, _DAYS),
)


@dataclass(frozen=True)
class Schedule:
    """A recurring run.

    Args:
        schedule_id: Id in KFP.
        name: Name in KFP.
        cron: Cron expression of six fields.
        active: Whether it is not paused.
        experiment_id: Id of its runs' experiment in KFP.
    """

    schedule_id: str
    name: str
    cron: str
    active: bool
    experiment_id: str


def parse_cron(text: str) -> str:
    """A cron expression of six fields, as KFP expects it: seconds come first.

    KFP would read five fields as seconds to month; people mean minutes to day of the week.

    Raises:
        ParameterError: The expression is malformed.
    """
    fields = text.split()
    if len(fields) == len(FIELDS) - 1:
        fields = ["0", *fields]
    if len(fields) != len(FIELDS):
        raise ParameterError(
            f"the cron line {text!r} has {counted(len(text.split()), 'field')}, not five or six: "
            "second, minute, hour, day of the month, month, day of the week",
            EXAMPLE,
        )
    for kind, field in zip(FIELDS, fields, strict=True):
        if not kind.accepts(field):
            raise ParameterError(
                f"{field!r} in the cron line {text!r} is no {kind.name} ({kind.least} to {kind.greatest})",
                EXAMPLE,
            )
    return " ".join(fields)


def create(
    kfp: Kfp,
    package: Path,
    name: str,
    cron: str,
    experiment: str,
    arguments: dict[str, Any],
    cached: bool = True,
    service_account: str | None = None,
) -> Schedule:
    """Creates a schedule: one run at a time, and none for missed times.

    Args:
        kfp: The server.
        package: The compiled pipeline.
        name: Name of the schedule.
        cron: Cron expression from `parse_cron`.
        experiment: The experiment of the runs; it is made if there is none.
        arguments: The pipeline's arguments.
        cached: Whether steps may be served from the cache.
        service_account: Of the runs' pods. None: the server's choice.

    Raises:
        ClusterError: The name is taken, or KFP refuses the schedule.
    """
    from kfp_server_api import (
        V2beta1CronSchedule,
        V2beta1RecurringRun,
        V2beta1RuntimeConfig,
        V2beta1Trigger,
    )

    if any(known.name == name for known in schedules(kfp, experiment)):
        raise ClusterError(
            f"there is a schedule {name!r} already",
            f"delete it first: fashion schedule delete {name!r}, or choose another --name",
        )
    wanted = V2beta1RecurringRun(
        display_name=name,
        experiment_id=kfp.experiment_id(experiment, create=True),
        pipeline_spec=read_package(package, cached),
        runtime_config=V2beta1RuntimeConfig(parameters=arguments),
        trigger=V2beta1Trigger(cron_schedule=V2beta1CronSchedule(cron=cron)),
        mode="ENABLE",
        max_concurrency="1",
        no_catchup=True,
        service_account=service_account,
    )
    return _schedule(kfp.call(kfp.recurring_runs.recurring_run_service_create_recurring_run, wanted))


def schedules(kfp: Kfp, experiment: str) -> list[Schedule]:
    """The schedules of an experiment."""
    experiment_id = kfp.experiment_id(experiment)
    if not experiment_id:
        return []
    pages = _pages(
        kfp, kfp.recurring_runs.recurring_run_service_list_recurring_runs, experiment_id=experiment_id
    )
    return [_schedule(given) for page in pages for given in page.recurring_runs or ()]


def find(kfp: Kfp, experiment: str, name_or_id: str) -> Schedule:
    """The schedule of a name or an id.

    Raises:
        ClusterError: There is no such schedule, or several have that name.
    """
    every = schedules(kfp, experiment)
    found = [s for s in every if s.schedule_id == name_or_id] or [s for s in every if s.name == name_or_id]
    if not found:
        raise ClusterError(
            f"the experiment {experiment!r} has no schedule {name_or_id!r}",
            "`fashion schedule list` names them",
        )
    if len(found) > 1:
        ids = ", ".join(schedule.schedule_id for schedule in found)
        raise ClusterError(f"{len(found)} schedules are called {name_or_id!r}", f"name one by its id: {ids}")
    return found[0]


def pause(kfp: Kfp, schedule: Schedule) -> None:
    """Makes a schedule start no runs until it is resumed."""
    kfp.call(kfp.recurring_runs.recurring_run_service_disable_recurring_run, schedule.schedule_id)


def resume(kfp: Kfp, schedule: Schedule) -> None:
    """Makes a paused schedule start runs again."""
    kfp.call(kfp.recurring_runs.recurring_run_service_enable_recurring_run, schedule.schedule_id)


def delete(kfp: Kfp, schedule: Schedule) -> None:
    """Deletes a schedule; its runs stay.

    It is paused first, so that no run starts meanwhile: Kubernetes deletes a running run with its schedule,
    and KFP would show it as running for ever.

    Raises:
        ClusterError: One of its runs has not ended.
    """
    pause(kfp, schedule)
    for run_id in _open_runs(kfp, schedule):
        raise ClusterError(
            f"the run {run_id} of the schedule {schedule.name!r} has not ended, and would be lost with it; "
            "the schedule is paused",
            f"fashion runs wait {run_id}, or fashion runs stop {run_id}; then delete the schedule again",
        )
    kfp.call(kfp.recurring_runs.recurring_run_service_delete_recurring_run, schedule.schedule_id)


def _open_runs(kfp: Kfp, schedule: Schedule) -> Iterator[str]:
    for page in _pages(
        kfp, kfp.runs.run_service_list_runs, experiment_id=schedule.experiment_id, sort_by="created_at desc"
    ):
        for run in page.runs or ():
            if run.recurring_run_id == schedule.schedule_id and run.state not in ENDED:
                yield run.run_id


def _pages(kfp: Kfp, method: Callable[..., Any], **arguments: str) -> Iterator[Any]:
    """The pages of a listing."""
    token = ""
    while True:
        page = kfp.call(method, page_size=PAGE, page_token=token, **arguments)
        yield page
        token = page.next_page_token
        if not token:
            return


def _schedule(given: Any) -> Schedule:
    cron = given.trigger.cron_schedule if given.trigger else None
    return Schedule(
        schedule_id=given.recurring_run_id,
        name=given.display_name,
        cron=cron.cron if cron else "",
        active=given.status == "ENABLED",
        experiment_id=given.experiment_id,
    )
