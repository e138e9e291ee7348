"""Phase 4b with SageMaker Debugger: the request for its rules, and the wait for their results."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

from contract import hook_collections
from infra.workflow.debugger import REPORT_RULE, tensor_rules
from infra.workflow.endpoint import suited_pause
from infra.workflow.payloads import RunParts
from infra.workflow.task import FailureRoute, RunScope, sagemaker_task

__all__ = ["debugger_not_offered", "managed_request", "managed_rules"]

_TENSORS = "/opt/ml/output/tensors"
"""`DebugHookConfig.LocalPath`: the service's default."""
_PROFILING_MILLISECONDS = 500
_PAUSE = cdk.Duration.seconds(20)
_USUAL_WAIT = cdk.Duration.minutes(30)
"""The longest wait with these pauses: a longer one has longer pauses, so that all of a run fit into an execution's
history of 25,000 events (Step Functions quota)."""
_NOT_FINAL = ("InProgress", "Stopping")
_EVALUATED = "*IssuesFound*"
"""In the final status of a rule that was evaluated: NoIssuesFound or IssuesFound."""
_NO_STATUSES = "[]"


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
        "DebugRuleConfigurations": [_managed_rule(parts, rule) for rule in tensor_rules(parts, "managed")],
    }
    if _profiler_reports(parts):
        members["ProfilerConfig"] = {
            "S3OutputPath.$": "$.plan.rules.tensors",
            "ProfilingIntervalInMilliseconds": _PROFILING_MILLISECONDS,
        }
        members["ProfilerRuleConfigurations"] = [_managed_rule(parts, REPORT_RULE)]
    return members


def managed_rules(
    scope: RunScope,
    *,
    parts: RunParts,
    failure: FailureRoute,
    following: sfn.IChainable,
    if_none_evaluated: sfn.IChainable | None = None,
) -> sfn.CustomState:
    """DescribeRules ⇄ WaitForRules → `following`; return DescribeRules.

    The status of a training job is final before those of its rules are. `if_none_evaluated` follows instead where
    SageMaker tells of no rule, or where every rule ended in Error or Stopped.
    """
    describe = sagemaker_task(
        scope,
        "DescribeRules",
        call="describeTrainingJob",
        payload={"TrainingJobName.$": "$.training.job"},
        # The whole description, since a path of a ResultSelector to statuses that are missing would fail the run.
        result_path="$.followed",
    )
    failure.catch(describe)
    none_evaluated = following if if_none_evaluated is None else if_none_evaluated

    # are there any statuses? then bring them into texts, in which a choice finds one that is not final
    told = sfn.Choice(scope, "RulesTold?")
    done = _rules_done(scope, parts, failure, describe, following=following, none_evaluated=none_evaluated)
    both = _statuses(scope, "RuleStatuses", tensor=_texts("DebugRule"), profiler=_texts("ProfilerRule"))
    tensor = _statuses(scope, "TensorRuleStatuses", tensor=_texts("DebugRule"), profiler=_NO_STATUSES)
    for state in (both, tensor):
        state.next(done)
    has_tensor, has_profiler = (
        sfn.Condition.is_present(f"$.followed.{kind}EvaluationStatuses[0].RuleEvaluationStatus")
        for kind in ("DebugRule", "ProfilerRule")
    )
    told.when(sfn.Condition.and_(has_tensor, has_profiler), both)
    told.when(has_tensor, tensor)
    told.otherwise(none_evaluated)
    describe.next(told)
    return describe


def _rules_done(
    scope: RunScope,
    parts: RunParts,
    failure: FailureRoute,
    describe: sfn.CustomState,
    *,
    following: sfn.IChainable,
    none_evaluated: sfn.IChainable,
) -> sfn.Pass:
    """CountLooks → RulesDone? → WaitForRules, or where the statuses lead; return CountLooks."""
    # look again after a pause; each look is counted, for the time limit
    minutes = parts.settings.debugger.max_minutes
    patience = cdk.Duration.minutes(minutes)
    pause = suited_pause(patience, pause=_PAUSE, usual=_USUAL_WAIT)
    wait = sfn.Wait(scope, "WaitForRules", time=sfn.WaitTime.duration(pause))
    wait.next(describe)
    count = sfn.Pass(
        scope,
        "CountLooks",
        parameters={"evaluator": "managed", "looks.$": "States.MathAdd($.debugger.looks, 1)"},
        result_path="$.debugger",
    )

    # the limit fails the run
    late = failure.fail(
        scope,
        "RulesNotFinished",
        error="RulesNotFinished",
        cause=f"SageMaker Debugger had not evaluated every rule {minutes} minutes after the training "
        "(setting debugger.max_minutes), so there is no verdict on the model. Raise the setting, or let this system "
        "evaluate the rules itself (debugger.mode=own).",
    )

    # where the statuses lead
    pending = sfn.Condition.or_(
        *(
            sfn.Condition.string_matches(f"$.rule_statuses.{kind}", f"*{status}*")
            for kind in ("tensor", "profiler")
            for status in _NOT_FINAL
        )
    )
    looks = patience.to_seconds() // pause.to_seconds()
    too_long = sfn.Condition.number_greater_than_equals("$.debugger.looks", looks)
    evaluated = sfn.Condition.string_matches("$.rule_statuses.tensor", _EVALUATED)

    done = sfn.Choice(scope, "RulesDone?")
    done.when(sfn.Condition.and_(pending, too_long), late)
    done.when(pending, wait)
    if none_evaluated is not following:
        done.when(sfn.Condition.not_(evaluated), none_evaluated)
    done.otherwise(following)
    count.next(done)
    return count


def _statuses(scope: RunScope, name: str, *, tensor: str, profiler: str) -> sfn.Pass:
    given = {"tensor": tensor, "profiler": profiler}
    parameters = {f"{kind}.$" if text.startswith("States.") else kind: text for kind, text in given.items()}
    return sfn.Pass(scope, name, parameters=parameters, result_path="$.rule_statuses")


def _texts(kind: str) -> str:
    return f"States.JsonToString($.followed.{kind}EvaluationStatuses[*].RuleEvaluationStatus)"


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
