"""What to do about the error that a run ended with."""

from __future__ import annotations

__all__ = ["ADVICE", "advice_on", "how_to_go_on"]

ADVICE = {
    "InvalidInput": "Start the execution again with an input of the known keys, or with {}.",
    "BadDataset": "Change the photos in the bucket as said, then start the execution again with {}.",
    "QuotaTooSmall": "Ask for the quota at the link above, or choose another instance_type in the settings; then start "
    "the execution again with {}.",
    "CeilingReached": "Change one of the settings above and deploy, or give the input fewer trials; then start the "
    "execution again. The model in service was left alone.",
    "ModelRejected": "The model in service was left alone. The decision, with every number and reason, is in the "
    "bucket and in the model registry; each reason names the setting that holds its threshold.",
    "TooFewTestPhotos": "That is neither a pass nor a rejection. Add test photos as said and start the execution again "
    "with {}; or set release.approval=manual, and a person is asked; or lower the floor that the reason names. The "
    "model in service was left alone.",
    "ApprovalTimedOut": "Start the execution again to be asked anew, or raise the setting release.approval_hours.",
    "ReleaseLockTaken": "`whippet history` says who puts models into service. Start the execution again when they have "
    "ended.",
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
    "AlarmIsOn": "The model in service was left alone. Once no alarm is on, `whippet retry` of this run releases its "
    "model without training it again.",
    "ShadowFailed": "No caller got an answer of this model: the model in service was left alone, and the new one is "
    "Rejected in the model registry. Look at the endpoint's log group /aws/sagemaker/Endpoints, at the streams of "
    "Shadow.",
    "TooFewShadowRequests": "That is neither a pass nor a refusal, and the model in service was left alone. Raise "
    "release.shadow_minutes or release.shadow_percent, lower release.shadow_requests, or empty release.shadow_minutes "
    "to do without a shadow; then deploy.",
    "ShadowNotFinished": "The model in service was left alone. Look at the endpoint in the SageMaker console.",
    "ShadowNotRemoved": "Look at the endpoint in the SageMaker console: its shadow variant costs as long as it stands.",
    "NoTrialSucceeded": "Look at the trials' logs in /aws/sagemaker/TrainingJobs.",
    "States.Timeout": "The run waited no longer, and stopped the job that it was waiting for, if there was one. A job "
    "that worked needs a higher setting max_minutes or a larger instance; one that waited for a machine needs another "
    "instance_type, or a later start.",
    "JobNotStopped": "Look at the job in the SageMaker console, and stop it there if it still runs.",
    "EndpointBusy": "The model in service was left alone. Start the execution again once the endpoint is InService.",
    "RolloutNotFinished": "No model that was not tried stays in service, unless the reason above says so. Look at the "
    "endpoint in the SageMaker console and at its log group /aws/sagemaker/Endpoints; start the execution again once "
    "it is InService.",
    "SageMaker.ResourceLimitExceededException": "Raise the quota named above in Service Quotas, or choose another "
    "instance_type in the settings.",
}
"""What to do about an error, by its name."""

_SAME_AGAIN = ("BadDataset", "InvalidInput", "ModelRejected", "TooFewTestPhotos")
"""Errors that the photos, the input or the model have to be changed for."""

_JOB_ADVICE = "Look at the job's log in /aws/sagemaker/TrainingJobs, fix the cause, and start the execution again."
_DEFAULT_ADVICE = "Look at the execution in the console, which shows the state's input and the whole error."


def advice_on(error: str) -> str:
    """Return the advice on an error, by its name."""
    return ADVICE.get(error, _JOB_ADVICE if error == "States.TaskFailed" else _DEFAULT_ADVICE)


def how_to_go_on(run: str, error: str = "") -> list[str]:
    """Return the line on how to go on with what a run had completed; none where the same would come of it again."""
    if error in _SAME_AGAIN:
        return []
    return [
        f"What the run had completed is not lost: `whippet retry {run}` goes on with it, as does an execution whose "
        f'input has "retry_of": "{run}" beside what that run got.'
    ]
