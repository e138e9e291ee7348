"""`whippet history`: which model served when, how good it was, why it came and why it went."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from rich.text import Text

import contract
from cli.check import printable
from cli.releases import ModelNumbers, Releases, numbers_of

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["as_json", "identity_name", "show_releases"]


_STARTED_BY: Final = {
    "ready": f", from a run that the upload of {contract.READY_FILE} started",
    "schedule": ", from a run that the schedule started",
    "drift": ", from a run that drift started",
    "retry": ", from a run that went on with run {}",
    "call": "",
}
"""What started a released model's run, in words: nothing for a person, the console, or any other caller."""


@dataclass(frozen=True, kw_only=True)
class _Period:
    """A time in which one run's model served."""

    since: datetime | None
    """None where no record says so."""
    until: datetime | None
    run: str
    numbers: ModelNumbers | None
    started_by: str
    """What started its run: `ready`, `schedule`, `drift`, `retry`, or `call` for a person or another program; empty
    where the record tells of no run's release."""
    came: str
    """Why it came into service."""
    went: str
    """What replaced it, and why; empty where it serves."""
    now: str


def show_releases(releases: Releases, *, last: int, console: Console) -> None:
    """Print the last times in which a model served, the newest first."""
    periods = _periods(releases, last)
    if not periods:
        console.print(f"no model has been released {releases.target.place} yet: release one with `whippet run`")
        return
    console.print(Text(_line("since", "until", "run", "test accuracy", ""), style="bold"), soft_wrap=True)
    for each in periods:
        accuracy = "?" if each.numbers is None else str(each.numbers)
        line = _line(_words(each.since), _words(each.until), each.run, accuracy, each.now)
        console.print(Text(line), highlight=False, soft_wrap=True)
        for mark, text in (("↑", each.came), ("↓", each.went)):
            if text:
                told = printable(" ".join(text.split()))  # a failure may quote an endpoint's answer
                console.print(Text(f"    {mark} {told}", style="dim"), highlight=False, soft_wrap=True)


def _line(since: str, until: str, run: str, accuracy: str, now: str) -> str:
    return f"{since:<19}  {until:<19}  {run:<11}  {accuracy:<40}  {now}".rstrip()


def as_json(releases: Releases, *, last: int) -> str:
    """Return the same as a JSON list."""
    rows = [
        {
            **asdict(each),
            "since": each.since and each.since.isoformat(),
            "until": each.until and each.until.isoformat(),
            "can_be_put_back": each.run in releases.kept and each.run != releases.in_service,
        }
        for each in _periods(releases, last)
    ]
    return json.dumps(rows, ensure_ascii=False, indent=2)


def identity_name(arn: str) -> str:
    """Return who an identity's ARN names: `user/jo` or `assumed-role/Admin/jo`; a text that is no ARN as it is."""
    return arn.split(":", 5)[5] if arn.count(":") >= 5 else arn


def _periods(releases: Releases, last: int) -> list[_Period]:
    """Return the last periods, the newest first."""
    shown = list(releases.changes[-last:])
    records = [releases.record(change) for change in shown]
    numbers = {run: numbers_of(releases, run) for run in {change.run for change in shown if change.run}}
    newest = {change.run: change for change in shown}

    periods = [
        _Period(
            since=change.at,
            until=following.at if following else None,
            run=change.run,
            numbers=numbers[change.run],
            started_by=_started_by(record),
            came=_came(record),
            went=_went(following_record) if following_record else "",
            now=_now(releases, change, is_newest=newest[change.run] is change),
        )
        for (change, following), (record, following_record) in zip(
            pairwise([*shown, None]), pairwise([*records, None]), strict=True
        )
        if change is not None and record is not None and change.run
    ]

    # what serves without a record
    run = releases.in_service
    if run is not None and (not shown or shown[-1].run != run):
        came = (
            "no record says how it came into service: a record could not be written, or somebody changed the endpoint"
        )
        periods.append(
            _Period(
                since=None,
                until=None,
                run=run,
                numbers=numbers_of(releases, run),
                started_by="",
                came=came,
                went="",
                now=_serving(releases),
            )
        )
    return periods[::-1]


def _now(releases: Releases, change: contract.ReleaseChange, *, is_newest: bool) -> str:
    if not is_newest:
        return ""
    if change.run == releases.in_service:
        return _serving(releases)
    return "can be put back" if change.run in releases.kept else ""


def _serving(releases: Releases) -> str:
    return "sleeps" if releases.asleep else "serves"


def _started_by(record: contract.Release) -> str:
    """Return what started the run of a release, as `_STARTED_BY` names it; empty for another change."""
    if record["kind"] != "released":
        return ""
    if "retry_of" in record:
        return "retry"
    return contract.trigger_of(record["by"].rsplit(":", 1)[-1]) or "call"


def _came(record: contract.Release) -> str:
    if record["kind"] == "released":
        how = _STARTED_BY[_started_by(record)].format(record.get("retry_of", ""))
        return f"released{how}: {record['why']}"
    if record["kind"] == "failed":
        return f"back, as run {record['replaced']} did not pass its smoke test"
    return f"put back by {identity_name(record['by'])}"


def _went(following: contract.Release) -> str:
    if following["kind"] == "released":
        return f"replaced by run {following['run']}"
    if following["kind"] == "failed":
        return f"did not pass its smoke test: {following['why']}"
    to = f"rolled back to run {following['run']} by {identity_name(following['by'])}"
    return f"{to}: {following['why']}" if following["why"] else to


def _words(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
