"""`whippet cost`: what a run will cost, what one did cost, and what stands costs a month."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

import contract
from cli import CliError
from cli.ceiling import claim_of, hold, standing_config
from cli.run import read_overrides
from cli.scaling import may_scale_to
from infra.cost import expected_seconds, fleet, planned_jobs, triggered_runs
from infra.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from cli.target import Target

__all__ = ["RunCost", "overridden", "planned_run", "shadow_lines", "show_plan", "show_run", "standing_line"]

_NOTE: Final = f"{contract.PRICES_NOTE}; other regions cost up to {contract.OTHER_REGIONS:g} times as much"
NOT_COUNTED: Final = (
    "not counted: storage in S3 and ECR, logs, requests of S3, Lambda, API Gateway and Step Functions, the build of "
    "the serving image, and the seconds in which a serverless endpoint answers. They are paid for by use; an API key, "
    "the AWS managed keys and a budget cost nothing"
)
_TITLES: Final = {"features": "Features", "trials": "Tuning", "training": "Training", "rules": "Rules"}
_BEGINNING: Final = datetime(2017, 11, 29, tzinfo=UTC)
"""SageMaker's."""


@dataclass(frozen=True)
class PhaseCost:
    """What one phase of a run may cost; None where it is not known."""

    phase: contract.JobPhase
    jobs: int
    instance_type: str
    instances: int
    expected_seconds: float | None
    """Of one job."""
    expected_usd: float | None
    once_usd: float | None
    """With every job at its time limit, and none made again."""
    worst_usd: float | None
    """In every attempt that the state machine makes."""


@dataclass(frozen=True)
class RunCost:
    """What a run may cost before it is started."""

    photos: int | None
    phases: list[PhaseCost]
    fleet: contract.Fleet | None
    settings: Settings = field(repr=False, compare=False)

    @property
    def expected_usd(self) -> float | None:
        """The sum; None where a phase is not known."""
        return _sum(phase.expected_usd for phase in self.phases)

    @property
    def once_usd(self) -> float | None:
        """The sum; None where a price is not known."""
        return _sum(phase.once_usd for phase in self.phases)

    @property
    def worst_usd(self) -> float | None:
        """The sum; None where a price is not known."""
        return _sum(phase.worst_usd for phase in self.phases)

    def claim(self) -> contract.Claim:
        """Return what a run of this cost would claim."""
        hourly = contract.fleet_usd_an_hour(self.fleet) or 0.0
        return claim_of(
            "run",
            "planned",
            worst_usd=self.worst_usd or 0.0,
            change_usd=contract.change_usd(hourly, shadow_minutes=self.settings.release.shadow_minutes),
            fleet_usd_an_hour=hourly,
        )


def overridden(settings: Settings, overrides: str) -> Settings:
    """Return the settings of a run with its input, as far as the input changes what it costs.

    Raises:
        CliError: the input is not a JSON object, or a value in it is wrong.
    """
    given = read_overrides(overrides)
    # what was left to its default stays so: some settings may not be given beside others
    values = settings.model_dump(exclude_unset=True)
    for key, (section, name) in {
        "trials": ("tuning", "trials"),
        "trial_epochs": ("tuning", "epochs"),
        "epochs": ("training", "epochs"),
        "image_size": ("training", "image_size"),
        "views": ("training", "views"),
    }.items():
        if key in given:
            values.setdefault(section, {})[name] = given[key]
    if trials := given.get("trials"):
        values["tuning"]["parallel_trials"] = min(settings.tuning.parallel_trials, int(trials))
    try:
        return Settings.model_validate(values)
    except ValueError as error:
        raise CliError(f"--input has a wrong value: {error}") from None


def planned_run(settings: Settings, *, photos: int | None) -> RunCost:
    """Return what a run of these settings will cost; without the number of photos only at most."""
    return RunCost(photos, [_phase(settings, job, photos) for job in planned_jobs(settings)], fleet(settings), settings)


def _phase(settings: Settings, job: contract.PlannedJob, photos: int | None) -> PhaseCost:
    jobs = settings.tuning.trials if job["phase"] == "trials" else 1
    seconds = None if photos is None else expected_seconds(settings, job, photos=photos)
    # a job that would take longer is ended by its limit
    seconds = None if seconds is None else min(seconds, job["max_seconds"] + contract.OVERHEAD_SECONDS)
    expected = (
        None
        if seconds is None
        else contract.machine_usd(job["instance_type"], seconds=seconds * jobs * job["instances"])
    )
    worst = contract.worst_usd(job, trials=jobs)
    once = None if worst is None else worst / contract.JOB_ATTEMPTS
    return PhaseCost(job["phase"], jobs, job["instance_type"], job["instances"], seconds, expected, once, worst)


def show_plan(target: Target | None, cost: RunCost, *, machine_readable: bool, console: Console) -> None:
    """Print what a run will cost, what stands costs a month and, where the stack is deployed, the month so far."""
    held = None if target is None else hold(target, cost.claim(), only_look=True)
    standing = standing_line(target, cost.settings)
    if machine_readable:
        console.print_json(json.dumps(_plan_json(cost, held, standing)))
        return

    photos = "photos that are not counted yet" if cost.photos is None else f"{cost.photos:,} photos"
    table = Table("a run", "machines", "expected", "at the limit", "at most", box=None, padding=(0, 2, 0, 0))
    for phase in cost.phases:
        machines = contract.machines_in_words(phase.instance_type, phase.jobs * phase.instances)
        table.add_row(_TITLES[phase.phase], machines, _expected(phase), _usd(phase.once_usd), _usd(phase.worst_usd))
    table.add_row("together", "", _usd(cost.expected_usd), _usd(cost.once_usd), _usd(cost.worst_usd))
    console.print(f"a run of {photos}, in US dollars ({_NOTE})", highlight=False, soft_wrap=True)
    console.print(table, highlight=False)
    lines = [
        "expected: with a ResNet50, by rates measured on CPUs; ? where none was measured, or no photos are counted "
        "(give --photos N); at the limit: every job takes as long as it may; at most: in all "
        f"{contract.JOB_ATTEMPTS} attempts, each failing at the very end",
        f"what stands: {standing}",
        *_triggered_lines(cost),
        *shadow_lines(cost.settings),
    ]
    if held is not None:
        lines.append(month_line(held))
    for line in (*lines, NOT_COUNTED):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _triggered_lines(cost: RunCost) -> list[str]:
    """Return the line on the runs that nobody starts by hand; none without triggers."""
    runs = triggered_runs(cost.settings)
    if not runs:
        return []
    said = [f"{name}, {'each time' if times is None else f'{times} a month'}" for name, times in runs.items()]
    line = f"what starts runs by itself, at most: {'; '.join(said)}"
    counted = sum(times for times in runs.values() if times is not None)
    if counted and cost.worst_usd is not None:
        worst = counted * cost.worst_usd
        expected = "" if cost.expected_usd is None else f", expected {counted * cost.expected_usd:.2f}"
        line += f": {counted} runs, {worst:.2f} a month at worst{expected}"
        if cost.settings.budget.ceiling is not None:
            line += f", and no run that could take the month above budget.ceiling={cost.settings.budget.ceiling:g}"
    return [line]


def shadow_lines(settings: Settings) -> list[str]:
    """Return the line on what a shadow costs before each rollout; none where the settings ask for none."""
    minutes, machines = settings.release.shadow_minutes, fleet(settings)
    if minutes is None or machines is None:
        return []
    usd = contract.fleet_usd_an_hour(machines)
    named = contract.machines_in_words(**machines)
    amount = "" if usd is None else f", {usd * minutes / 60:.2f} and the minutes in which it comes and goes"
    return [f"the shadow before a release (release.shadow_minutes={minutes}): {named} more{amount}"]


def month_line(held: contract.HeldClaim) -> str:
    """Return what the month has cost and could come to, in words."""
    month = held.month
    so_far = f"this month so far: jobs {month.jobs:.2f}"
    if month.going_on:
        so_far += f", and at worst {month.claimed:.2f} for what is going on ({', '.join(month.going_on)})"
    if held.ceiling is None:
        return f"{so_far}; there is no budget.ceiling"
    total = sum(held.parts.values())
    verdict = "it would not start" if held.refusal else "it may start"
    return f"{so_far}; the month could come to {total:.2f} with budget.ceiling={held.ceiling:g}: {verdict}"


def standing_line(target: Target | None, settings: Settings) -> str:
    """Return what the endpoint costs, in words: the one that stands or sleeps, else the one that a run would make.

    Without a target nothing is asked, and nothing is said of whether one stands.
    """
    config = None if target is None else standing_config(target)
    fleets = [each for each in [fleet(settings)] if each]
    if target is not None and config is not None:
        fleets = contract.config_fleets(config, most=may_scale_to(target))
    there = "" if config is not None else f"{'' if target is None else 'none yet; '}a released one is "
    if not fleets:
        return f"the endpoint: {there}serverless, nothing while nobody asks"
    usd = _sum(contract.fleet_usd_an_hour(each) for each in fleets)
    machines = " and ".join(contract.machines_in_words(**each) for each in fleets)
    if (most := max(each["instances"] for each in fleets)) > settings.release.instance_count and settings.scales:
        machines = f"{settings.release.instance_count} to {most} instances, at most {machines}"
    if usd is None:
        return f"the endpoint: {there}{machines}"
    hours = settings.serving.pause_after_hours
    pause = "" if hours is None else f", nothing while it sleeps, which is after {hours} hours without a request"
    return f"the endpoint: {there}{machines}, {usd * contract.HOURS_A_MONTH:.2f} a month{pause}"


def show_run(target: Target, run: str, *, machine_readable: bool, console: Console) -> None:
    """Print what a run's jobs cost, and what spot instances saved.

    Raises:
        CliError: the run started no job.
    """
    base = contract.job_prefix(target.settings.prefix, run)
    jobs = [job.time for job in contract.recorded_jobs(target.client("sagemaker"), prefix=f"{base}-", since=_BEGINNING)]
    if not jobs:
        raise CliError(
            f"run {run} started no job {target.place}: it cost nothing, or there is no such run (`whippet status`)"
        )
    total, saved = _sum(job.usd for job in jobs), _sum(job.saved_usd for job in jobs)
    if machine_readable:
        rows = [{**asdict(job), "usd": job.usd, "saved_usd": job.saved_usd} for job in jobs]
        console.print_json(json.dumps({"run": run, "jobs": rows, "usd": total, "saved_usd": saved, "prices": _NOTE}))
        return

    table = Table("job", "status", "machines", "billed", "dollars", "saved by spot", box=None, padding=(0, 2, 0, 0))
    for job in jobs:
        machines = contract.machines_in_words(job.instance_type, job.instances)
        spot = _usd(job.saved_usd) if job.spot else ""
        table.add_row(job.job.removeprefix(f"{base}-"), job.status, machines, _time(job.seconds), _usd(job.usd), spot)
    table.add_row("together", "", "", "", _usd(total), _usd(saved) if any(job.spot for job in jobs) else "")
    console.print(f"run {run}, in US dollars ({_NOTE})", highlight=False, soft_wrap=True)
    console.print(table, highlight=False)
    if target.cloud is not None:
        console.print("on this machine it cost nothing: this is what the same time costs on those instances")
    console.print(NOT_COUNTED, highlight=False, soft_wrap=True)


def _plan_json(cost: RunCost, held: contract.HeldClaim | None, standing: str) -> Mapping[str, Any]:
    month = None
    if held is not None:
        month = {**asdict(held.month), "ceiling": held.ceiling, "parts": held.parts, "refusal": held.refusal}
    return {
        "photos": cost.photos,
        "phases": [asdict(phase) for phase in cost.phases],
        "expected_usd": cost.expected_usd,
        "once_usd": cost.once_usd,
        "worst_usd": cost.worst_usd,
        "standing": standing,
        "triggered_runs_a_month": triggered_runs(cost.settings),
        "month": month,
        "prices": _NOTE,
    }


def _expected(phase: PhaseCost) -> str:
    if phase.expected_seconds is None:
        return "?"
    each = " each" if phase.jobs > 1 else ""
    return f"{_usd(phase.expected_usd)} ({_time(phase.expected_seconds)}{each})"


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _usd(amount: float | None) -> str:
    return "?" if amount is None else f"{amount:.2f}"


def _sum(amounts: Any) -> float | None:
    known: Sequence[float | None] = list(amounts)
    return None if any(amount is None for amount in known) else sum(amount for amount in known if amount is not None)
