"""Schedules: KFP's recurring runs with a cron trigger, found by name or id."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.common.errors import ClusterError, ParameterError, counted
from pipeline.kubeflow.client.api import FINAL_STATES, Kfp

if TYPE_CHECKING:
    from pipeline.kubeflow.client.submission import Submission

PAGE_SIZE = 100
EXAMPLE = "for example --cron \"0 0 3 * * *\": at 3 o'clock each night, in the server's time zone"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True)
class _CronField:
    """A field of a cron expression: its lowest and highest number, and names for the numbers."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def accepts(self, text: str) -> bool:
        """Whether KFP accepts the text: a list of `*`, numbers and ranges, each with or without a step."""
        for part in text.split(","):
            span, slash, step = part.partition("/")
            start, dash, end = span.partition("-")
            if slash and _integer(step) < 1:
                return False
            if span in ("*", "?"):
                continue
            first, last = self._number(start), self._number(end if dash else start)
            if not self.low <= first <= last <= self.high:
                return False
        return True

    def _number(self, text: str) -> int:
        if text.lower() in self.names:
            return self.names.index(text.lower()) + self.low
        return _integer(text)


def _integer(text: str) -> int:
    """The number that ASCII digits stand for; -1 for any other text."""
    return int(text) if text.isascii() and text.isdigit() else -1


FIELDS = (
    _CronField("second", 0, 59),
    _CronField("minute", 0, 59),
    _CronField("hour", 0, 23),
    _CronField("day of the month", 1, 31),
    _CronField("month", 1, 12, _MONTHS),
    _CronField("day of the week", 0, 6, _DAYS),
)


@dataclass(frozen=True)
class Schedule:
    """A recurring run of KFP; `cron` has six fields, and `active` is false while it is paused."""

    schedule_id: str
    name: str
    cron: str
    active: bool
    experiment_id: str


def parse_cron(text: str) -> str:
    """A cron expression in KFP's format, with the seconds first.

    KFP reads five fields as second to month. The usual meaning, minute to day of the week, is taken here.

    Raises:
        ParameterError: It has not five or six fields, or KFP does not accept one of them.
    """
    fields = text.split()
    count = len(fields)
    if count == len(FIELDS) - 1:
        fields.insert(0, "0")
    if len(fields) != len(FIELDS):
        raise ParameterError(
            f"the cron line {text!r} has {counted(count, 'field')}, not five or six: "
            "second, minute, hour, day of the month, month, day of the week",
            EXAMPLE,
        )
    for field, value in zip(FIELDS, fields, strict=True):
        if not field.accepts(value):
            raise ParameterError(
                f"{value!r} in the cron line {text!r} is no {field.name} ({field.low} to {field.high})",
                EXAMPLE,
            )
    return " ".join(fields)


def create(kfp: Kfp, submission: Submission, name: str, experiment: str, cron: str) -> Schedule:
    """Creates a schedule, which starts one run at a time, and none for times that have passed meanwhile.

    Args:
        kfp: KFP's API.
        submission: What to run.
        name: Name of the schedule.
        experiment: Experiment of the runs, which is created if it does not exist.
        cron: A result of `parse_cron`.

    Raises:
        ClusterError: There is a schedule of that name, or KFP refuses it.
    """
    from kfp_server_api import V2beta1CronSchedule, V2beta1RecurringRun, V2beta1Trigger

    if any(schedule.name == name for schedule in schedules(kfp, experiment)):
        raise ClusterError(
            f"there is a schedule {name!r} already",
            f"delete it first: fashion schedule delete {name!r}, or choose another --name",
        )
    recurring_run = V2beta1RecurringRun(
        **kfp.request_fields(submission, name, experiment),
        trigger=V2beta1Trigger(cron_schedule=V2beta1CronSchedule(cron=cron)),
        mode="ENABLE",
        max_concurrency="1",
        no_catchup=True,
    )
    return _schedule(kfp.call(kfp.recurring_runs.recurring_run_service_create_recurring_run, recurring_run))


def schedules(kfp: Kfp, experiment: str) -> list[Schedule]:
    """The schedules of an experiment."""
    experiment_id = kfp.experiment_id(experiment)
    if not experiment_id:
        return []
    list_schedules = kfp.recurring_runs.recurring_run_service_list_recurring_runs
    pages = _pages(kfp, list_schedules, experiment_id=experiment_id)
    return [_schedule(recurring_run) for page in pages for recurring_run in page.recurring_runs or ()]


def find(kfp: Kfp, experiment: str, name_or_id: str) -> Schedule:
    """The schedule of a name or an id.

    Raises:
        ClusterError: The experiment has no such schedule, or several of that name.
    """
    known = schedules(kfp, experiment)
    found = [s for s in known if s.schedule_id == name_or_id] or [s for s in known if s.name == name_or_id]
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
    """Stops a schedule from starting runs until it is resumed."""
    kfp.call(kfp.recurring_runs.recurring_run_service_disable_recurring_run, schedule.schedule_id)


def resume(kfp: Kfp, schedule: Schedule) -> None:
    """Lets a paused schedule start runs again."""
    kfp.call(kfp.recurring_runs.recurring_run_service_enable_recurring_run, schedule.schedule_id)


def delete(kfp: Kfp, schedule: Schedule) -> None:
    """Deletes a schedule; its runs stay.

    Kubernetes would delete the workflow of a run that has not ended, and KFP would show that run as running
    for ever. The schedule is paused first, so that it starts no run meanwhile.

    Raises:
        ClusterError: A run of the schedule has not ended.
    """
    pause(kfp, schedule)
    list_runs = kfp.runs.run_service_list_runs
    for page in _pages(kfp, list_runs, experiment_id=schedule.experiment_id, sort_by="created_at desc"):
        for run in page.runs or ():
            if run.recurring_run_id == schedule.schedule_id and run.state not in FINAL_STATES:
                raise ClusterError(
                    f"the run {run.run_id} of the schedule {schedule.name!r} has not ended, and would be "
                    "lost with it; the schedule is paused",
                    f"fashion runs wait {run.run_id}, or fashion runs stop {run.run_id}; then delete the "
                    "schedule again",
                )
    kfp.call(kfp.recurring_runs.recurring_run_service_delete_recurring_run, schedule.schedule_id)


def _pages(kfp: Kfp, method: Callable[..., Any], **arguments: str) -> Iterator[Any]:
    """The pages of a list request."""
    token = ""
    while True:
        page = kfp.call(method, page_size=PAGE_SIZE, page_token=token, **arguments)
        yield page
        token = page.next_page_token
        if not token:
            return


def _schedule(recurring_run: Any) -> Schedule:
    trigger = recurring_run.trigger and recurring_run.trigger.cron_schedule
    return Schedule(
        schedule_id=recurring_run.recurring_run_id,
        name=recurring_run.display_name,
        cron=trigger.cron if trigger else "",
        active=recurring_run.status == "ENABLED",
        experiment_id=recurring_run.experiment_id,
    )
