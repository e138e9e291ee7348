"""The message about a run that has ended, from the state machine's data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.console_links import execution_link
from shared.plain_cause import plain_cause
from shared.run_advice import advice_on, how_to_go_on

from contract import Plan, RunDocument, StateError, run_id

__all__ = ["Message", "compose", "report_of"]

_HEADLINES = {
    "ModelRejected": "run {name} rejected its model",
    "RolloutRolledBack": "run {name} had its model taken back during the rollout",
    "ShadowFailed": "run {name} had its model refused as a shadow",
    "TooFewShadowRequests": "run {name} got too few requests to judge its model as a shadow",
    "AlarmIsOn": "run {name} did not release its model: an alarm was on already",
    "TooFewTestPhotos": "run {name} has too few test photos to decide on its model",
}


@dataclass(frozen=True)
class Message:
    """The message that is published, and how the execution ends."""

    status: Literal["succeeded", "failed"]
    error: str
    cause: str
    subject: str
    text: str


def compose(run: RunDocument, *, execution: str) -> Message:
    """Return the message about a run; `execution` is the ARN of its execution."""
    plan = run.get("plan")
    name = plan["run"] if plan else run_id(run["execution"], started=run["started"])
    if run.get("failure"):
        return _failed(run, name, execution)
    text = "\n".join([*_release_lines(run), "", *_report_lines(run), f"Execution: {execution_link(execution)}"])
    return Message("succeeded", "", "", f"whippet: run {name} released its model", text)


def report_of(run: RunDocument) -> str:
    """Return the URI of the run's report; empty where none could be written."""
    report = run.get("report")
    return report["uri"] if report and "Error" not in report else ""


def _failed(run: RunDocument, name: str, execution: str) -> Message:
    # The first failure is the run's; a rollback that failed after it is mentioned as well.
    (state, error), *later = run["failure"].items()
    error_name = error.get("Error", "States.TaskFailed")
    reason = _reason(error)
    if state != error_name:
        reason = f"{state}: {reason}"
    for further, further_error in later:
        reason += f" Then {further} failed, too: {_reason(further_error)}"

    headline = _HEADLINES.get(error_name, "run {name} failed in {state}").format(name=name, state=state)
    lines = [
        f"{headline[0].upper()}{headline[1:]}.",
        "",
        f"Reason ({error_name}): {reason}",
        "",
        advice_on(error_name),
        *(how_to_go_on(name, error_name) if run.get("plan") else []),
        *_scaling_lines(run),
        "",
        *_report_lines(run),
        f"Execution: {execution_link(execution)}",
    ]
    return Message("failed", error_name, reason, f"whippet: {headline}", "\n".join(lines))


def _reason(error: StateError) -> str:
    return plain_cause(error.get("Cause", ""))


def _report_lines(run: RunDocument) -> list[str]:
    report = run.get("report")
    if not report:
        return []
    if "Error" in report:
        return [f"The report could not be written: {_reason(report)}"]
    return [f"Report: {report['console']} ({report['uri']})"]


def _release_lines(run: RunDocument) -> list[str]:
    plan, verdict, smoke_test = run["plan"], run["verdict"], run["smoke_test"]
    lines = [
        f"Run {plan['run']} released a model for {plan['classes']} classes, trained on {plan['images']} photos.",
        *_reused_lines(plan),
        f"Test accuracy: {verdict['test_accuracy']:.4f} on {verdict['test_images']} photos.",
        *verdict["reasons"],
        f"Smoke test: {smoke_test['photo']} was classified as {smoke_test['predicted']} ({smoke_test['score']:.2f}).",
    ]
    if shadow := run.get("shadow"):
        lines.append(shadow["verdict"]["said"] if "verdict" in shadow else shadow["said"])
    recorded = run.get("recorded")
    if recorded and "Error" in recorded:
        lines.append(f"whippet history lacks this release, whose record could not be written: {_reason(recorded)}")
    retired = run.get("retired")
    if retired and "Error" in retired:
        lines.append(f"Superseded models could not be deleted: {_reason(retired)}")
    return [*lines, *_scaling_lines(run)]


def _scaling_lines(run: RunDocument) -> list[str]:
    """Return what the run could not do about the endpoint's automatic scaling."""
    scaling = run.get("scaling")
    if not scaling or "Error" not in scaling:
        return []
    return [f"Automatic scaling of the endpoint could not be changed: {_reason(scaling)}"]


def _reused_lines(plan: Plan) -> list[str]:
    reused = plan.get("reused")
    if reused is None:
        return []
    left = "its trained model" if "training" in reused else "its best values" if "best" in reused else "its photos"
    return [f"It went on with run {reused['run']}: {left}."]
