"""The setting budget.ceiling: whether what is about to start may take the month above it.

Counted are the machines: jobs by SageMaker's own records, the endpoint as if it stood the whole month, the second fleet
of each change of the endpoint, and for what is going on or about to start its worst case. Whoever starts something
writes a claim first and then reads those of others: of two that start at once, at least one sees the other. The
functions take the caller's clients.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypedDict

from contract.cost import FULL_MONTH_HOURS
from contract.names import CLAIMS_PREFIX, job_prefix
from contract.prices import PRICES_NOTE, price_factor
from contract.recorded_jobs import RecordedJob, recorded_jobs, searching

__all__ = ["Claim", "HeldClaim", "MonthSoFar", "hold_claim", "month_begin", "month_so_far"]

_SOON: Final = timedelta(hours=24)
"""For so long a claim of a batch counts before its job is on SageMaker's records: its photos are uploaded first."""


class Claim(TypedDict):
    """What a run, a batch or a rollback may come to cost, in US dollars by the table of prices."""

    name: str
    """`run_id` of a run, the name of a batch's transform job, or the rolled back run's and the time."""
    kind: Literal["run", "batch", "rollback", "wake"]
    at: str
    """ISO 8601, UTC."""
    worst_usd: float
    """Of its jobs; counts until they have ended, and their records count instead."""
    change_usd: float
    """Of a second fleet while the endpoint changes; counts all month, since no record tells of it."""
    fleet_usd_an_hour: float
    """Of the endpoint that it leaves."""


@dataclass(frozen=True)
class MonthSoFar:
    """What a month has cost, and what is going on may come to cost, in US dollars by the table of prices."""

    jobs: float = 0.0
    """Jobs that have ended, and those that nobody claimed, at their limits."""
    changes: float = 0.0
    claimed: float = 0.0
    """The worst case of what is going on."""
    going_on: tuple[str, ...] = ()
    fleet_an_hour: float = 0.0
    """The dearest endpoint of this month."""
    unknown: tuple[str, ...] = field(default=())
    """Instance types of jobs whose price is not known."""


@dataclass(frozen=True)
class HeldClaim:
    """A claim, what the month has come to without it, and why it may not start."""

    claim: Claim
    month: MonthSoFar
    region: str
    ceiling: float | None

    @property
    def parts(self) -> dict[str, float]:
        """What the month could come to: US dollars of this region at most, in words."""
        claim, month, factor = self.claim, self.month, price_factor(self.region)
        hourly = max(month.fleet_an_hour, claim["fleet_usd_an_hour"])
        parts = {
            f"this {claim['kind']} at worst": claim["worst_usd"] + claim["change_usd"],
            "the month's jobs so far": month.jobs,
            "changes of the endpoint so far": month.changes,
            f"what is going on at worst ({', '.join(month.going_on) or 'nothing'})": month.claimed,
            f"the endpoint for a whole month at {hourly * factor:.3f} an hour": hourly * FULL_MONTH_HOURS,
        }
        return {words: factor * usd for words, usd in parts.items()}

    @property
    def refusal(self) -> str | None:
        """Why it must not start, with every number; None where it may."""
        if self.ceiling is None:
            return None
        if self.month.unknown:
            return (
                f"budget.ceiling={self.ceiling:g} cannot be kept: the price of {', '.join(self.month.unknown)}, which "
                "this month's jobs ran on, is not known here"
            )
        total = sum(self.parts.values())
        if total <= self.ceiling:
            return None
        sums = ", ".join(f"{words} {usd:.2f}" for words, usd in self.parts.items() if usd)
        factor = price_factor(self.region)
        where = "" if factor == 1 else f", times {factor:g}: other regions cost up to so much more"
        return (
            f"the month could come to {total:.2f} dollars, above budget.ceiling={self.ceiling:g}: {sums} "
            f"({PRICES_NOTE}{where})"
        )


def month_begin(now: datetime) -> datetime:
    """Return the first moment of a time's month; AWS's months are those of UTC."""
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def hold_claim(
    claim: Claim,
    *,
    ceiling: float | None,
    s3: Any,
    bucket: str,
    sagemaker: Any,
    running: Callable[[], Collection[str]],
    prefix: str,
    region: str,
    unclaimed_usd: float,
    only_look: bool = False,
) -> HeldClaim:
    """Write a claim, and hold it against the ceiling and what others claimed; a refused one is taken back.

    Args:
        claim: What is about to start.
        ceiling: The setting budget.ceiling; None refuses nothing.
        s3: The caller's client, as `sagemaker` is.
        bucket: The data bucket.
        sagemaker: It lists and describes jobs.
        running: Returns the runs that are going on.
        prefix: The environment's prefix.
        region: Where; prices of other regions than the table's are taken at their highest.
        unclaimed_usd: The worst case of a run that is going on and claimed nothing, as of before the ceiling was set.
        only_look: Write nothing.
    """
    now = datetime.fromisoformat(claim["at"])
    if not only_look:
        _write(s3, bucket, claim)

    # Others are read after that, so that of two that start at once one sees the other.
    runs = running()
    jobs = list(recorded_jobs(sagemaker, prefix=f"{prefix}-", since=month_begin(now)))
    at_work = {job.name for job in jobs if job.is_running} | set(searching(sagemaker, prefix=f"{prefix}-"))
    month = month_so_far(
        prefix=prefix,
        jobs=jobs,
        claims=_read(s3, bucket, now=now, names={*runs, *at_work, *(job.name for job in jobs)}, prefix=prefix),
        runs=runs,
        at_work=at_work,
        unclaimed_usd=unclaimed_usd,
        now=now,
        without=claim["name"],
    )
    held = HeldClaim(claim, month, region, ceiling)
    if held.refusal is not None and not only_look:
        # what does not start claims nothing
        _write(s3, bucket, {**claim, "worst_usd": 0.0, "change_usd": 0.0, "fleet_usd_an_hour": 0.0})
    return held


def month_so_far(
    *,
    prefix: str,
    jobs: Iterable[RecordedJob],
    claims: Iterable[Claim],
    runs: Collection[str],
    at_work: Collection[str],
    unclaimed_usd: float,
    now: datetime,
    without: str = "",
) -> MonthSoFar:
    """Return what the month has come to.

    Args:
        prefix: The environment's prefix, which the names of its jobs begin with.
        jobs: What `recorded_jobs` returns of this month.
        claims: Those of this month, and of what is going on.
        runs: The runs that are going on.
        at_work: The jobs that are, tuning jobs included: those of a run that was aborted may go on.
        unclaimed_usd: The worst case of a run that is going on and claimed nothing, as of before the ceiling was set.
        now: The time, in UTC.
        without: The name of the claim that is about to start, which is not counted.
    """
    begin = month_begin(now)
    found = {claim["name"]: claim for claim in claims if claim["name"] != without}
    runs = [run for run in runs if run != without]
    recorded = list(jobs)

    # what is going on counts by its claim, everything else by its record
    going_on = dict.fromkeys(runs, unclaimed_usd)
    for name, claim in found.items():
        works = any(_belongs(job, to=name, prefix=prefix) for job in at_work)
        if works or name in runs or _is_about_to_start(claim, recorded, now):
            going_on[name] = claim["worst_usd"]
    amounts = [
        (job, job.usd_between(begin, now, now=now))
        for job in recorded
        if not any(_belongs(job.name, to=name, prefix=prefix) for name in going_on)
    ]
    return MonthSoFar(
        jobs=sum(usd for _, usd in amounts if usd is not None),
        changes=sum(claim["change_usd"] for claim in found.values()),
        claimed=sum(going_on.values()),
        going_on=tuple(sorted(going_on)),
        fleet_an_hour=max((claim["fleet_usd_an_hour"] for claim in found.values()), default=0.0),
        unknown=tuple(sorted({job.time.instance_type for job, usd in amounts if usd is None})),
    )


def _key(name: str, *, at: datetime) -> str:
    return f"{CLAIMS_PREFIX}{at:%Y-%m}/{name}.json"


def _write(s3: Any, bucket: str, claim: Claim) -> None:
    key = _key(claim["name"], at=datetime.fromisoformat(claim["at"]))
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(claim).encode(), ContentType="application/json")


def _read(s3: Any, bucket: str, *, now: datetime, names: Collection[str], prefix: str) -> list[Claim]:
    """Return this month's claims, and earlier ones of runs and jobs of these names, which went on into this month."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=CLAIMS_PREFIX)
    month = _key("", at=now).removesuffix(".json")
    wanted = []
    for key in (item["Key"] for page in pages for item in page.get("Contents", [])):
        name = key.rpartition("/")[2].removesuffix(".json")
        if key.startswith(month) or name in names or any(_belongs(each, to=name, prefix=prefix) for each in names):
            wanted.append(key)
    return [json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in wanted]


def _is_about_to_start(claim: Claim, recorded: Iterable[RecordedJob], now: datetime) -> bool:
    """Return whether a batch's job is yet to be made."""
    known = any(job.name == claim["name"] for job in recorded)
    return claim["kind"] == "batch" and not known and now - datetime.fromisoformat(claim["at"]) < _SOON


def _belongs(job: str, *, to: str, prefix: str) -> bool:
    """Return whether a job is a batch's own, or one of a run's."""
    return job == to or job == job_prefix(prefix, to) or job.startswith(f"{job_prefix(prefix, to)}-")
