"""Check the Debugger members of a CreateTrainingJob request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from local.sagemaker.context import Context
from local.sagemaker.errors import SageMakerError, validation
from local.sagemaker.host import DebuggerAccess, find_image

__all__ = ["RULE_MEMBERS", "check_debugger_request", "configured_rules"]

RULE_MEMBERS: Final = {
    "DebugRuleConfigurations": "DebugRuleEvaluationStatuses",
    "ProfilerRuleConfigurations": "ProfilerRuleEvaluationStatuses",
}
"""Members of the request with rules, and those of the description with the statuses of these rules."""

_MEMBERS: Final = ("DebugHookConfig", "ProfilerConfig", *RULE_MEMBERS, "TensorBoardOutputConfig")

_MAX_RULES: Final = 20
"""Quota of built-in rules for a training job (developer guide, "Configure Debugger built-in rules")."""

_INTERVALS: Final = (100, 200, 500, 1000, 5000, 60_000)
"""Allowed values of ProfilingIntervalInMilliseconds (API reference, ProfilerConfig)."""


def configured_rules(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every rule that a request or record asks for, debugger rules before profiler rules."""
    return [rule for member in RULE_MEMBERS for rule in parameters.get(member) or []]


def check_debugger_request(context: Context, parameters: Mapping[str, Any]) -> None:
    """Check the Debugger members of a request; a request without any passes.

    Debugger has been closed to new customers since 2026-07-30. AWS has not published how CreateTrainingJob refuses
    them, so code and wording follow those of Amazon Machine Learning after it was closed.

    Raises:
        SageMakerError: AccessDeniedException if the account may not use Debugger; ValidationException if the request
            is wrong or asks for what the local SageMaker does not support.
    """
    if not any(member in parameters for member in _MEMBERS):
        return
    if context.host.debugger_access is DebuggerAccess.REFUSED:
        raise SageMakerError(
            "AccessDeniedException",
            "Thank you for your interest in Amazon SageMaker Debugger. Amazon SageMaker Debugger is no longer "
            "available to new customers.",
        )

    if "TensorBoardOutputConfig" in parameters:
        raise validation("The local SageMaker does not support TensorBoardOutputConfig; leave it out.")

    # what the hook writes must lie below the job's folder
    hook = parameters.get("DebugHookConfig", {})
    path = hook.get("LocalPath", "/")
    if not path.startswith("/") or ".." in path.split("/"):
        raise validation(
            f"DebugHookConfig.LocalPath='{path}' must be an absolute path, such as /opt/ml/output/tensors."
        )

    _check_profiler(parameters)
    _check_rules(context, configured_rules(parameters))


def _check_profiler(parameters: Mapping[str, Any]) -> None:
    profiler = parameters.get("ProfilerConfig", {})
    if profiler.get("DisableProfiler"):
        if parameters.get("ProfilerRuleConfigurations"):
            raise validation("You cannot specify ProfilerRuleConfigurations when the profiler is disabled.")
        return
    if (profiler or parameters.get("ProfilerRuleConfigurations")) and "S3OutputPath" not in profiler:
        raise validation("You must specify ProfilerConfig.S3OutputPath when the profiler is enabled.")
    interval = profiler.get("ProfilingIntervalInMilliseconds", 500)
    if interval not in _INTERVALS:
        allowed = ", ".join(map(str, _INTERVALS))
        raise validation(f"ProfilingIntervalInMilliseconds must be one of {allowed}, not {interval}.")


def _check_rules(context: Context, rules: list[dict[str, Any]]) -> None:
    if len(rules) > _MAX_RULES:
        raise validation(f"A training job can have at most {_MAX_RULES} rules; the request has {len(rules)}.")
    names = [rule["RuleConfigurationName"] for rule in rules]
    if len(set(names)) != len(names):
        raise validation(f"RuleConfigurationName must be unique: {', '.join(names)}")

    invoked = []
    for rule in rules:
        name, image = rule["RuleConfigurationName"], rule["RuleEvaluatorImage"]
        if find_image(context.images, image).evaluate is None:
            raise validation(f"Rule {name}: the image '{image}' cannot evaluate rules on this machine.")
        parameters = rule.get("RuleParameters", {})
        if "rule_to_invoke" not in parameters:
            raise validation(f"Rule {name}: RuleParameters must have rule_to_invoke, the name of a built-in rule.")
        invoked.append(parameters["rule_to_invoke"])

    if len(set(invoked)) != len(invoked):
        raise validation(
            f"The local SageMaker evaluates each rule once a job; rule_to_invoke must be unique: {', '.join(invoked)}"
        )
