"""Phase 4b with SageMaker Debugger: the request for its rules, and the wait for their results."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

from contract import hook_collections
from infra.workflow.debugger import REPORT_RULE, debug_rules
from infra.workflow.payloads import RunParts
from infra.workflow.task import FailureRoute, RunScope, sagemaker_task

__all__ = ["debugger_not_offered", "managed_request", "managed_rules"]

_TENSORS = "/opt/ml/output/tensors"
"""`DebugHookConfig.LocalPath`: the service's default."""
_PROFILING_MILLISECONDS = 500
_POLL_SECONDS = 15
_NOT_FINAL = ("InProgress", "Stopping")


def debugger_not_offered(scope: RunScope, *, failure: FailureRoute) -> sfn.Pass:
    """Return the state that fails a run with `debugger.mode=managed` in a region without Debugger's image."""
    return failure.fail(
        scope,
        "DebuggerNotOffered",
        error="DebuggerNotOffered",
        cause="SageMaker Debugger has no image for its rules in this region, and debugger.mode=managed allows nobody "
        "else to evaluate them; set debugger.mode to auto or own.",
    )


def managed_request(parts: RunParts) -> dict[str, Any]:
    """Return the members of CreateTrainingJob that make SageMaker Debugger evaluate the rules."""
    mode, interval = parts.settings.training.mode, parts.settings.debugger.save_interval
    members: dict[str, Any] = {
        "DebugHookConfig": {
            "S3OutputPath.$": "$.plan.rules.tensors",
            "LocalPath": _TENSORS,
            "CollectionConfigurations": hook_collections(mode, interval),
        },
        "DebugRuleConfigurations": [_managed_rule(parts, rule) for rule in debug_rules(parts)],
    }
    if _profiler_reports(parts):
        members["ProfilerConfig"] = {
            "S3OutputPath.$": "$.plan.rules.tensors",
            "ProfilingIntervalInMilliseconds": _PROFILING_MILLISECONDS,
        }
        members["ProfilerRuleConfigurations"] = [_managed_rule(parts, REPORT_RULE)]
    return members


def managed_rules(
    scope: RunScope, *, parts: RunParts, failure: FailureRoute, following: sfn.IChainable
) -> sfn.CustomState:
    """DescribeRules ⇄ WaitForRules → `following`; return DescribeRules.

    The status of a training job is final before those of its rules are.
    """
    minutes = parts.settings.debugger.max_minutes
    kinds = {"debug": "DebugRule", **({"profiler": "ProfilerRule"} if _profiler_reports(parts) else {})}
    describe = sagemaker_task(
        scope,
        "DescribeRules",
        call="describeTrainingJob",
        payload={"TrainingJobName.$": "$.training.job"},
        result_path="$.rule_statuses",
        # A text of all the statuses of a kind, in which a choice finds one that is not final.
        result_selector={
            f"{kind}.$": f"States.JsonToString($.{member}EvaluationStatuses[*].RuleEvaluationStatus)"
            for kind, member in kinds.items()
        },
    )
    failure.catch(describe)

    # each look is counted, for the time limit
    wait = sfn.Wait(scope, "WaitForRules", time=sfn.WaitTime.duration(cdk.Duration.seconds(_POLL_SECONDS)))
    wait.next(describe)
    count = sfn.Pass(
        scope,
        "CountLooks",
        parameters={"evaluator": "managed", "looks.$": "States.MathAdd($.debugger.looks, 1)"},
        result_path="$.debugger",
    )

    # are all of them final?
    late = failure.fail(
        scope,
        "RulesNotFinished",
        error="RulesNotFinished",
        cause=f"SageMaker Debugger had not evaluated every rule {minutes} minutes after the training "
        "(setting debugger.max_minutes), so there is no verdict on the model. Raise the setting, or let this system "
        "evaluate the rules itself (debugger.mode=own).",
    )
    pending = sfn.Condition.or_(
        *(
            sfn.Condition.string_matches(f"$.rule_statuses.{kind}", f"*{status}*")
            for kind in kinds
            for status in _NOT_FINAL
        )
    )
    too_long = sfn.Condition.number_greater_than_equals("$.debugger.looks", minutes * 60 // _POLL_SECONDS)
    done = sfn.Choice(scope, "RulesDone?")
    done.when(sfn.Condition.and_(pending, too_long), late)
    done.when(pending, wait)
    done.otherwise(following)
    describe.next(count).next(done)
    return describe


def _profiler_reports(parts: RunParts) -> bool:
    return REPORT_RULE in parts.settings.debugger.evaluated(parts.settings.training.mode)


def _managed_rule(parts: RunParts, rule: str) -> dict[str, Any]:
    """Return a rule as CreateTrainingJob takes it; SageMaker chooses the instance that evaluates it."""
    parameters = parts.settings.debugger.parameters_of(rule, parts.settings.training.mode)
    return {
        "RuleConfigurationName": rule,
        "RuleEvaluatorImage": parts.debugger_image.uri,
        "RuleParameters": {"rule_to_invoke": rule, **{name: str(value) for name, value in parameters.items()}},
    }
