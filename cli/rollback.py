"""`whippet rollback`: put the model of an earlier release back into service.

The record is written last. A command that was interrupted before is taken up by the next one: where the endpoint serves
an earlier release that no record tells of, what is missing is done, and nothing further is rolled back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

import contract
from cli import CliError
from cli.aws_errors import was_asked_again
from cli.ceiling import claim_of, keep_ceiling
from cli.check import printable
from cli.endpoint import describe_endpoint, poll_seconds, sleeping_model
from cli.endpoint_answer import ask_once
from cli.package_approval import mark_packages
from cli.release_check import refuse_other_kind, refuse_while_releasing
from cli.release_lock import hold_release_lock
from cli.releases import Releases, find_releases, numbers_of
from cli.run import read_run_file, running
from cli.scaling import may_scale_to, retained_instances, scale_again
from infra.outputs import StackOutput

if TYPE_CHECKING:
    from rich.console import Console

    from cli.target import Target

__all__ = ["plan_rollback", "rollback"]

_CHANGING: Final = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


@dataclass(frozen=True)
class _Change:
    """From which run's model to which."""

    releases: Releases
    old: str
    new: str
    reason: str
    updating: bool
    """Whether an earlier command has begun the update already."""
    done: bool
    """Whether the endpoint serves the new model already, and only the record is missing."""

    @property
    def target(self) -> Target:
        return self.releases.target

    @property
    def config(self) -> str:
        return contract.job_prefix(self.target.settings.prefix, self.new)


def rollback(target: Target, run: str | None, *, reason: str, confirm: Callable[[str], None], console: Console) -> None:
    """Put the model of `run` into service, or that of the release before the one in service.

    Args:
        target: Where the stack is deployed.
        run: The run; None stands for the release before.
        reason: Why, for the record; may be empty.
        confirm: asks the question that it gets, and raises where the answer is no.
        console: is told what happens.

    Raises:
        CliError: it cannot be put back, the endpoint is being changed, or SageMaker did not carry the update out.
    """
    change = _find_change(target, run, " ".join(reason.split()))
    if change is None:
        console.print(f"the model of run {run} is in service already", highlight=False)
        return

    identity = str(target.client("sts").get_caller_identity()["Arn"])
    if change.done:
        console.print(
            f"the endpoint serves run {change.new} and no record says so, as after an interrupted rollback from run "
            f"{change.old}: that one is completed now",
            highlight=False,
            soft_wrap=True,
        )
    else:
        if not change.updating:
            refuse_other_kind(target, old=str(change.releases.config), new=change.config)
            _tell(change, console)
            confirm(f"Put the model of run {change.new} into service?")

    # no run releases meanwhile
    with hold_release_lock(target, run=change.new, by=identity) as keep:
        if not change.done:
            if not change.updating:
                _keep_ceiling(change)
                _update(change)
            console.print(f"the endpoint changes to the model of run {change.new}", highlight=False)
        described = _follow(change, console, keep=keep)
        mark_packages(change.releases, old=change.old, new=change.new, by=identity, reason=change.reason)
        _record(change, at=described["LastModifiedTime"], by=identity)
    console.print(f"the model of run {change.new} is in service", highlight=False)
    if scaling := scale_again(target):
        console.print(scaling, highlight=False)
    ask_once(target, config=change.config)
    console.print("it has answered a request; `whippet history` shows who served when", highlight=False)


def plan_rollback(target: Target, run: str | None, *, console: Console) -> None:
    """Say what a rollback would put back, and what it costs; nothing is done.

    Raises:
        CliError: it cannot be put back, or the endpoint is being changed.
    """
    change = _find_change(target, run, "")
    if change is None:
        console.print(f"the model of run {run} is in service already", highlight=False)
    elif change.done or change.updating:
        console.print(f"`whippet rollback` completes the one to run {change.new} that was interrupted", highlight=False)
    else:
        refuse_other_kind(target, old=str(change.releases.config), new=change.config)
        _tell(change, console)
        old, new = _usd_an_hour(change)
        console.print(
            f"`whippet rollback` changes the endpoint to the model of run {change.new}. While it changes, both fleets "
            f"stand: at most about {contract.change_usd(old, new):.2f} dollars; afterwards {new:.2f} an hour "
            f"({contract.PRICES_NOTE})",
            highlight=False,
            soft_wrap=True,
        )
    console.print("--plan: nothing was done")


def _find_change(target: Target, run: str | None, reason: str) -> _Change | None:
    """Return what to do; None where the model of `run` serves, and the record says so.

    Raises:
        CliError: it cannot be done.
    """
    described = describe_endpoint(target)
    if described is None or not contract.has_model(described["EndpointStatus"]):
        raise CliError(_nothing_serves(target))
    releases = find_releases(target, described=described)
    old = releases.in_service
    assert old is not None  # noqa: S101 (the endpoint has a configuration)
    refuse_while_releasing(target)

    # an earlier command was interrupted after the update
    interrupted = releases.unrecorded and bool(releases.lineage) and (run == old or old in releases.lineage)
    if run in (None, old) and interrupted and not _is_changing(described):
        return _Change(releases, releases.lineage[-1], old, reason, updating=False, done=True)
    if run == old and not _is_changing(described):
        return None

    # an earlier command was interrupted during the update
    new = _chosen(releases, run)
    change = _Change(releases, old, new, reason, updating=_is_changing(described), done=False)
    pending = _pending(described)
    if change.updating and pending != change.config:
        raise CliError(
            f"the endpoint is {described['EndpointStatus']}{f' to {pending}' if pending else ''}: a run or somebody "
            "else changes it. Try again once `whippet status` says InService"
        )
    if not change.updating and described["EndpointStatus"] != "InService":
        raise CliError(
            f"the endpoint is {described['EndpointStatus']}, and SageMaker updates none that is not InService: start a "
            "run with `whippet run`, which creates it anew"
        )
    return change


def _pending(described: dict[str, Any] | None) -> str | None:
    """Return the configuration that an endpoint changes to; None where it changes to none."""
    summary: dict[str, str] = (described or {}).get("PendingDeploymentSummary", {})
    return summary.get("EndpointConfigName")


def _is_changing(described: dict[str, Any]) -> bool:
    return described["EndpointStatus"] in _CHANGING


def _nothing_serves(target: Target) -> str:
    if sleeping_model(target) is not None:
        return "the model in service sleeps: wake it with `whippet wake`, then roll it back"
    return f"no model is in service {target.place}: release one with `whippet run`"


def _chosen(releases: Releases, run: str | None) -> str:
    """Return the run whose model is put back.

    Raises:
        CliError: its configuration or model was deleted, it was never approved, or there is no earlier release.
    """
    others = sorted(releases.kept - releases.never_approved - {str(releases.in_service)})
    left = f"these still have a model: {', '.join(others)}" if others else "no other run has a model any more"
    kept = "the setting release.kept says how many earlier releases keep theirs"
    if run is not None:
        if run not in releases.kept:
            raise CliError(
                f"run {run} has no endpoint configuration and model {releases.target.place}: {left} ({kept})"
            )
        if run in releases.never_approved:
            raise CliError(
                f"the model of run {run} never served and is not approved (`whippet report {run}` says why): "
                f"a rollback puts back what was released; {left}"
            )
        return run
    if not releases.earlier:
        raise CliError(
            f"no record tells of a release before run {releases.in_service} whose model is still there: {left} "
            f"({kept}); name one of them, `whippet rollback RUN`"
            if others
            else f"there is no earlier release to put back {releases.target.place} ({kept})"
        )
    return releases.earlier[0]


def _tell(change: _Change, console: Console) -> None:
    """Print what both models are worth, and what else changes."""
    said = []
    for verb, run in (("in service", change.old), ("put back", change.new)):
        numbers = numbers_of(change.releases, run)
        said.append(f"{verb:<10} run {run}: test accuracy {'unknown' if numbers is None else numbers}")
    old, new = (_classes(change.target, run) for run in (change.old, change.new))
    if old is not None and new is not None and old != new:
        for words, names in (("no longer known", old - new), ("known again", new - old)):
            if names:
                said.append(f"classes {words}: {', '.join(sorted(names))}")
    for run in running(change.target):
        said.append(f"run {run} is going on: if its model is accepted, it takes the place of the one put back")
    for line in said:
        console.print(printable(line), highlight=False, markup=False, soft_wrap=True)


def _classes(target: Target, run: str) -> set[str] | None:
    content = read_run_file(target, run=run, name=contract.Artefact.DECISION)
    if content is None:
        return None
    decision: contract.Decision = json.loads(content)
    return set(decision["classes"])


def _keep_ceiling(change: _Change) -> None:
    """Claim the second fleet while the endpoint changes, and the new one.

    Raises:
        CliError: they could take the month above budget.ceiling.
    """
    if change.target.settings.budget.ceiling is None:
        return
    old, new = _usd_an_hour(change)
    name = f"rollback-{change.new}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    keep_ceiling(
        change.target,
        claim_of("rollback", name, change_usd=contract.change_usd(old, new), fleet_usd_an_hour=max(old, new)),
    )


def _usd_an_hour(change: _Change) -> tuple[float, float]:
    """Return what the endpoint costs an hour before and after, with the most instances that it may scale to.

    0 stands for an unknown price or a serverless one.
    """
    sagemaker, prefix = change.target.client("sagemaker"), change.target.settings.prefix
    old, new = (
        sagemaker.describe_endpoint_config(EndpointConfigName=contract.job_prefix(prefix, run))
        for run in (change.old, change.new)
    )
    most = max(
        may_scale_to(change.target), change.target.settings.most_instances if change.target.settings.scales else 0
    )
    return contract.config_usd_an_hour(old, most=most) or 0.0, contract.config_usd_an_hour(new, most=most) or 0.0


def _update(change: _Change) -> None:
    target = change.target
    kept = retained_instances(target, old=str(change.releases.config), new=change.config)
    try:
        target.client("sagemaker").update_endpoint(
            EndpointName=target.output(StackOutput.ENDPOINT_NAME), EndpointConfigName=change.config, **kept
        )
    except ClientError as error:
        if "Cannot update in-progress" not in str(error):
            raise
        # the first attempt of this request has begun it, and its answer got lost
        if was_asked_again(error) and _pending(describe_endpoint(target)) == change.config:
            return
        raise CliError(
            "the endpoint is being changed by now, by a run or by somebody else: try again once `whippet status` says "
            "InService"
        ) from None


def _follow(change: _Change, console: Console, *, keep: Callable[[], None]) -> dict[str, Any]:
    """Wait until the endpoint serves the new configuration, and return its description; `keep` holds the lock.

    Raises:
        CliError: SageMaker keeps another one, or the endpoint is gone.
    """
    began = time.monotonic()
    with console.status(f"the endpoint changes to the model of run {change.new} …") as line:
        while True:
            described = describe_endpoint(change.target)
            if described is None:
                raise CliError("the endpoint was deleted meanwhile: `whippet status` says what serves")
            if not _is_changing(described):
                break
            keep()
            seconds = time.monotonic() - began
            line.update(f"the endpoint is {described['EndpointStatus']}; the old model answers … {seconds:.0f} s")
            time.sleep(poll_seconds(change.target))
    if described["EndpointStatus"] == "InService" and described["EndpointConfigName"] == change.config:
        return described
    raise CliError(
        f"the endpoint is {described['EndpointStatus']} with {described['EndpointConfigName']}, not with "
        f"{change.config}: {described.get('FailureReason', 'SageMaker gives no reason')}"
    )


def _record(change: _Change, *, at: datetime, by: str) -> None:
    """Write the record, whose key is the same at a second attempt: the endpoint says when it changed."""
    told = contract.ReleaseChange(at, "rolled-back", change.new, change.old)
    record = contract.Release(
        at=at.isoformat(), kind=told.kind, run=told.run, replaced=told.replaced, by=by, why=change.reason
    )
    body = json.dumps(record, ensure_ascii=False, indent=2).encode()
    change.target.client("s3").put_object(
        Bucket=change.target.output(StackOutput.DATA_BUCKET), Key=told.key, Body=body, ContentType="application/json"
    )
