"""The message about a run that has ended, from the state machine's data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.console_links import execution_link
from shared.plain_cause import plain_cause

from contract import RunDocument, StateError

__all__ = ["ADVICE", "Message", "compose", "report_of"]

ADVICE = {
    "InvalidInput": "Start the execution again with an input of the known keys, or with {}.",
    "BadDataset": "Change the photos in the bucket as said, then start the execution again with {}.",
    "QuotaTooSmall": "Ask for the quota at the link above, or choose another instance_type in the settings; then start "
    "the execution again with {}.",
    "ModelRejected": "The model in service was left alone. The decision, with every number and reason, is in the "
    "bucket and in the model registry; each reason names the setting that holds its threshold.",
    "TooFewTestPhotos": "That is neither a pass nor a rejection. Add test photos as said and start the execution again "
    "with {}; or set release.approval=manual, and a person is asked; or lower the floor that the reason names. The "
    "model in service was left alone.",
    "ApprovalTimedOut": "Start the execution again to be asked anew, or raise the setting release.approval_hours.",
    "RulesNotFinished": "Raise the setting debugger.max_minutes, or set debugger.mode=own.",
    "DebuggerNotOffered": "Set debugger.mode to auto or own.",
    "SmokeTestFailed": "The previous model is in service again, if there was one. Look at the endpoint's log group "
    "/aws/sagemaker/Endpoints.",
    "RolloutFailed": "SageMaker keeps the previous model in service. Look at the endpoint's log group "
    "/aws/sagemaker/Endpoints.",
    "RolloutRolledBack": "The model before answers every request again, and the new one is Rejected in the model "
    "registry. Look at the endpoint's log group /aws/sagemaker/Endpoints. If the alarm was too strict, change its "
    "limit: release.max_error_share, release.max_latency_ms or release.max_unknown_share. If it was on before the "
    "rollout, the model in service is the cause: put an earlier one back with `whippet rollback`, or empty the limit "
    "for one deployment.",
    "NoTrialSucceeded": "Look at the trials' logs in /aws/sagemaker/TrainingJobs.",
    "States.Timeout": "The run waited no longer, and stopped the job that it was waiting for, if there was one. A job "
    "that worked needs a higher setting max_minutes or a larger instance; one that waited for a machine needs another "
    "instance_type, or a later start.",
    "JobNotStopped": "Look at the job in the SageMaker console, and stop it there if it still runs.",
    "EndpointBusy": "The model in service was left alone. Start the execution again once the endpoint is InService.",
    "RolloutNotFinished": "Look at the endpoint in the SageMaker console and at its log group "
    "/aws/sagemaker/Endpoints; start the execution again once it is InService.",
    "SageMaker.ResourceLimitExceededException": "Raise the quota named above in Service Quotas, or choose another "
    "instance_type in the settings.",
}
"""What to do about an error, by its name."""

_HEADLINES = {
    "ModelRejected": "run {name} rejected its model",
    "RolloutRolledBack": "run {name} had its model taken back during the rollout",
    "TooFewTestPhotos": "run {name} has too few test photos to decide on its model",
}

_JOB_ADVICE = "Look at the job's log in /aws/sagemaker/TrainingJobs, fix the cause, and start the execution again."
_DEFAULT_ADVICE = "Look at the execution in the console, which shows the state's input and the whole error."


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
    name = plan["run"] if plan else run.get("execution", "?")
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

    advice = ADVICE.get(error_name, _JOB_ADVICE if error_name == "States.TaskFailed" else _DEFAULT_ADVICE)
    headline = _HEADLINES.get(error_name, "run {name} failed in {state}").format(name=name, state=state)
    lines = [
        f"{headline[0].upper()}{headline[1:]}.",
        "",
        f"Reason ({error_name}): {reason}",
        "",
        advice,
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
        f"Test accuracy: {verdict['test_accuracy']:.4f} on {verdict['test_images']} photos.",
        *verdict["reasons"],
        f"Smoke test: {smoke_test['photo']} was classified as {smoke_test['predicted']} ({smoke_test['score']:.2f}).",
    ]
    recorded = run.get("recorded")
    if recorded and "Error" in recorded:
        lines.append(f"whippet history lacks this release, whose record could not be written: {_reason(recorded)}")
    retired = run.get("retired")
    if retired and "Error" in retired:
        lines.append(f"Superseded models could not be deleted: {_reason(retired)}")
    return lines
