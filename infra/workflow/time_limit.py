"""How long an execution may take: its `TimeoutSeconds`."""

from __future__ import annotations

import aws_cdk as cdk

from infra.workflow.endpoint import PATIENCE
from infra.workflow.lock import LOCK_PATIENCE
from infra.workflow.payloads import RunParts

__all__ = ["longest_run"]

_YEAR = cdk.Duration.days(365)
"""The longest that an execution of a standard workflow may take (Step Functions quota)."""

_TUNING = cdk.Duration.days(31)
_RETRIES = cdk.Duration.days(5)
"""Pauses of every state's Retry and of jobs that are made again, and the Lambda functions and plain calls."""


def longest_run(parts: RunParts) -> cdk.Duration:
    """Return a time that no run reaches whose states keep their own limits.

    Every state and every loop has a limit, after which the run says what failed. This one only ends what nobody thought
    of, without a word, so it must not come before them.
    """
    settings = parts.settings
    training = parts.wait(settings.training.max_minutes, spot=settings.training.spot)
    rules = parts.wait(settings.debugger.max_minutes)
    asked = cdk.Duration.hours(settings.release.approval_hours)

    # the features job, the training (once more where SageMaker Debugger fails it late), the rules by SageMaker and here
    seconds = [training] * 3 + [rules] * 3 + [asked, _TUNING, _RETRIES, LOCK_PATIENCE] + [PATIENCE] * 4
    seconds.append(cdk.Duration.minutes(settings.release.baking_minutes))
    if settings.release.shadow_minutes is not None:
        # the shadow comes, stands and goes
        seconds += [PATIENCE, cdk.Duration.minutes(settings.release.shadow_minutes), PATIENCE]
    total = sum(duration.to_seconds() for duration in seconds)
    return cdk.Duration.seconds(min(total, _YEAR.to_seconds()))
