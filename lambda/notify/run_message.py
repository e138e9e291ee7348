"""The message about a finished run, from the state machine's data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.plain_cause import plain_cause

__all__ = ["ADVICE", "Message", "compose", "report_of"]

ADVICE = {
    "InvalidInput": "Start the execution again with an input of the known keys, or with {}.",
    "BadDataset": "Change the photos in the bucket as said, then start the execution again with {}.",
    "ModelRejected": "The model in service was left alone. The decision with every number lies in the bucket "
    "and in the model registry; each reason names the setting that holds its threshold.",
    "ApprovalTimedOut": "Start the execution again to be asked anew, or raise the setting release.approval_hours.",
    "RulesNotFinished": "Raise the setting debugger.max_minutes, or set debugger.mode=own.",
    "DebuggerNotOffered": "Set debugger.mode to auto or own.",
    "SmokeTestFailed": "The previous model is in service again, if there was one. Look at the endpoint's log group "
    "/aws/sagemaker/Endpoints.",
    "RolloutFailed": "SageMaker keeps the previous model in service. Look at the endpoint's log group "
    "/aws/sagemaker/Endpoints.",
    "NoTrialSucceeded": "Look at the trials' logs in /aws/sagemaker/TrainingJobs.",
    "States.Timeout": "The job was stopped at its time limit; raise the setting max_minutes or take a larger instance.",
    "SageMaker.ResourceLimitExceededException": "Raise the quota named above in Service Quotas, or choose another "
    "instance_type in the settings.",
}
_JOB_ADVICE = "Look at the job's log in /aws/sagemaker/TrainingJobs, mend the cause, and start the execution again."
_DEFAULT_ADVICE = "Look at the execution in the console; it shows the state's input and error in full."


@dataclass(frozen=True)
class Message:
    """What is published, and how the execution ends."""

    status: str
    error: str
    cause: str
    subject: str
    text: str


def compose(run: Mapping[str, Any], *, execution: str) -> Message:
    """A message from the state machine's data, where `failure` holds `{state: {Error, Cause}}` of what failed."""
    name = run.get("plan", {}).get("run") or run.get("execution", "?")
    failure: Mapping[str, Mapping[str, str]] = run.get("failure") or {}
    link = console_link(execution)
    if not failure:
        text = "\n".join([*_good_news(run), "", *_report(run), f"Execution: {link}"])
        return Message("succeeded", "", "", f"whippet: run {name} released its model", text)
    # A failed smoke test comes first; a rollback that failed after it is told, too.
    state, error = next(iter(failure.items()))
    error_name = error.get("Error", "States.TaskFailed")
    reason = plain_cause(error.get("Cause", ""))
    if state != error_name:
        reason = f"{state}: {reason}"
    for later, further in list(failure.items())[1:]:
        reason += f" Then {later} failed, too: {plain_cause(further.get('Cause', ''))}"
    advice = ADVICE.get(error_name, _JOB_ADVICE if error_name == "States.TaskFailed" else _DEFAULT_ADVICE)
    headline = f"run {name} rejected its model" if error_name == "ModelRejected" else f"run {name} failed in {state}"
    lines = [
        f"{headline[0].upper()}{headline[1:]}.",
        "",
        f"Reason ({error_name}): {reason}",
        "",
        advice,
        "",
        *_report(run),
        f"Execution: {link}",
    ]
    return Message("failed", error_name, reason, f"whippet: {headline}", "\n".join(lines))


def report_of(run: Mapping[str, Any]) -> str:
    """URI of the run's report; empty where none could be written."""
    uri: str = run.get("report", {}).get("uri", "")
    return uri


def _report(run: Mapping[str, Any]) -> list[str]:
    report = run.get("report", {})
    if "Error" in report:
        return [f"The report could not be written: {plain_cause(report.get('Cause', ''))}"]
    return [f"Report: {report['console']} ({report['uri']})"] if report else []


def _good_news(run: Mapping[str, Any]) -> list[str]:
    plan, verdict, smoke_test = run["plan"], run["verdict"], run["smoke_test"]
    lines = [
        f"Run {plan['run']} released a model for {plan['classes']} classes, trained on {plan['images']} photos.",
        f"Test accuracy: {verdict['test_accuracy']:.4f} on {verdict['test_images']} photos.",
        *verdict["reasons"],
        f"Smoke test: {smoke_test['photo']} was taken for {smoke_test['predicted']} ({smoke_test['score']:.2f}).",
    ]
    retired = run.get("retired", {})
    if "Error" in retired:
        lines.append(f"Superseded models could not be deleted: {plain_cause(retired.get('Cause', ''))}")
    return lines


def console_link(execution: str) -> str:
    """The execution in the AWS console, from its ARN."""
    parts = execution.split(":")
    region = parts[3] if len(parts) > 3 else ""
    return f"https://{region}.console.aws.amazon.com/states/home?region={region}#/v2/executions/details/{execution}"
