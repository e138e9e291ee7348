"""Phase 4b: the debugger's rules on the best-trial training, evaluated by SageMaker or by a processing job of ours.

    DebuggerOffered? ─ managed ─→ TrainManaged ──────────→ DescribeRules ⇄ WaitForRules ─→ Verdict
        │                             └ refused ┐                                            ↑
        └ own ────────────────────────────────→ Train → Rules ───────────────────────────────┘

That is `auto`; `managed` has no way to Train, `own` begins there, and `off` has no Rules.
"""

from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from contract import MODES, SMDEBUG_ENVIRONMENT, JobVariable, hook_collections, rule_variable
from infra.settings import DebuggerSettings
from infra.workflow.jobs import JobParts
from infra.workflow.task import FailureRoute, sagemaker_task

__all__ = [
    "debugger_not_offered",
    "debugger_way",
    "job_variables",
    "managed_request",
    "managed_rules",
    "rules_job",
    "way_of",
]

_REPORT_RULE = "ProfilerReport"
"""The profiler rule that SageMaker evaluates where its own rules are evaluated there; the others are always ours."""

_TENSORS = "/opt/ml/output/tensors"
"""`DebugHookConfig.LocalPath`: the service's default."""
_CODE, _TRAINING, _OUTPUT = (
    f"/opt/ml/processing/{folder}" for folder in ("input/code", "input/training", "output/rules")
)
_PROFILING_MILLISECONDS = 500
_POLL_SECONDS = 15
_NOT_FINAL = ("InProgress", "Stopping")


def way_of(debugger: DebuggerSettings) -> str:
    """`debugger.mode`, or `own` where not a single rule that SageMaker would evaluate is asked for."""
    watched = any(debugger.judged(mode) for mode in MODES)
    return debugger.mode if watched or debugger.mode == "off" else "own"


def debugger_way(scope: Construct, *, parts: JobParts) -> sfn.Pass:
    """`$.debugger.way`: who will evaluate the rules, as far as settings and region say; `managed`, `own` or `off`."""
    way = way_of(parts.settings.debugger)
    return sfn.Pass(
        scope,
        "DebuggerWay",
        parameters={"way": way if way in ("own", "off") else parts.debugger_way, "looks": 0},
        result_path="$.debugger",
    )


def job_variables(parts: JobParts, *, mode: str, way: str) -> dict[str, str]:
    """What the training job's `Environment` says to its hook and of the profiler rules it is to evaluate itself."""
    debugger = parts.settings.debugger
    if way == "off":
        return {}
    hook: dict[str, str] = {}
    if debugger.judged(mode):
        hook = {JobVariable.SAVE_INTERVAL.value: str(debugger.save_interval), **SMDEBUG_ENVIRONMENT}
    ours = [rule for rule in debugger.evaluated(mode, "profiler") if way == "own" or rule != _REPORT_RULE]
    return hook | _rule_variables(debugger, ours, mode)


def managed_request(parts: JobParts, *, mode: str) -> dict[str, Any]:
    """The members of CreateTrainingJob by which SageMaker Debugger evaluates the rules."""
    debugger = parts.settings.debugger
    members: dict[str, Any] = {
        "DebugHookConfig": {
            "S3OutputPath.$": "$.plan.rules.tensors",
            "LocalPath": _TENSORS,
            "CollectionConfigurations": hook_collections(mode, debugger.save_interval),
        },
        "DebugRuleConfigurations": [_rule(parts, rule, mode) for rule in debugger.judged(mode)],
    }
    if _reports(debugger):
        members["ProfilerConfig"] = {
            "S3OutputPath.$": "$.plan.rules.tensors",
            "ProfilingIntervalInMilliseconds": _PROFILING_MILLISECONDS,
        }
        members["ProfilerRuleConfigurations"] = [_rule(parts, _REPORT_RULE, mode)]
    return members


def rules_job(scope: Construct, *, parts: JobParts, failure: FailureRoute, mode: str) -> sfn.CustomState:
    """Rules, or NetworkRules: one processing job on the training image evaluates every debug rule in turn."""
    debugger = parts.settings.debugger
    job = sagemaker_task(
        scope,
        "NetworkRules" if mode == "finetune" else "Rules",
        call="createProcessingJob.sync",
        payload={
            "ProcessingJobName.$": "$.plan.rules.job",
            "AppSpecification": {
                "ImageUri": parts.rules_image,
                "ContainerEntrypoint": ["python3", f"{_CODE}/{parts.rules_program}"],
                "ContainerArguments": [
                    *("--archive", f"{_TRAINING}/output.tar.gz"),
                    *("--output", _OUTPUT),
                    *("--source", "own"),
                    *("--mode", mode),
                ],
            },
            "Environment": parts.environment(
                debugger.instance_type,
                {**SMDEBUG_ENVIRONMENT, **_rule_variables(debugger, debugger.judged(mode), mode)},
            ),
            "ProcessingInputs": [
                _input("code", {"S3Uri": parts.rules_program_uri}, _CODE),
                _input(
                    "training",
                    {"S3Uri.$": "States.Format('{}{}/output/output.tar.gz', $.plan.training.output, $.training.job)"},
                    _TRAINING,
                ),
            ],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": "rules",
                        "S3Output": {
                            "S3Uri.$": "$.plan.rules.output",
                            "LocalPath": _OUTPUT,
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                ]
            },
            "ProcessingResources": {"ClusterConfig": parts.resources(debugger.instance_type)},
            "StoppingCondition": {"MaxRuntimeInSeconds": debugger.max_minutes * 60},
            "RoleArn": parts.role_arn,
            "Tags": parts.tags,
        },
        timeout=parts.wait(debugger.max_minutes),
    )
    failure.catch(job)
    return job


def managed_rules(
    scope: Construct, *, parts: JobParts, failure: FailureRoute, following: sfn.IChainable
) -> sfn.CustomState:
    """DescribeRules ⇄ WaitForRules → `following`: a training job's status is final before those of its rules are."""
    debugger = parts.settings.debugger
    kinds = {"debug": "DebugRule", **({"profiler": "ProfilerRule"} if _reports(debugger) else {})}
    describe = sagemaker_task(
        scope,
        "DescribeRules",
        call="describeTrainingJob",
        payload={"TrainingJobName.$": "$.training.job"},
        result_path="$.rule_statuses",
        result_selector={
            f"{kind}.$": f"States.JsonToString($.{member}EvaluationStatuses[*].RuleEvaluationStatus)"
            for kind, member in kinds.items()
        },
    )
    failure.catch(describe)
    wait = sfn.Wait(scope, "WaitForRules", time=sfn.WaitTime.duration(cdk.Duration.seconds(_POLL_SECONDS)))
    count = sfn.Pass(
        scope,
        "CountLooks",
        parameters={"way": "managed", "looks.$": "States.MathAdd($.debugger.looks, 1)"},
        result_path="$.debugger",
    )
    late = failure.fail(
        scope,
        "RulesNotFinished",
        error="RulesNotFinished",
        cause=f"SageMaker Debugger had not evaluated every rule {debugger.max_minutes} minutes after the training "
        "(setting debugger.max_minutes), so the model cannot be judged. Raise the setting, or let this system "
        "evaluate the rules itself (debugger.mode=own).",
    )
    pending = sfn.Condition.or_(
        *(
            sfn.Condition.string_matches(f"$.rule_statuses.{kind}", f"*{status}*")
            for kind in kinds
            for status in _NOT_FINAL
        )
    )
    too_long = sfn.Condition.number_greater_than_equals("$.debugger.looks", debugger.max_minutes * 60 // _POLL_SECONDS)
    done = sfn.Choice(scope, "RulesDone?")
    done.when(sfn.Condition.and_(pending, too_long), late)
    done.when(pending, wait)
    done.otherwise(following)
    describe.next(count).next(done)
    wait.next(describe)
    return describe


def debugger_not_offered(scope: Construct, *, failure: FailureRoute) -> sfn.Pass:
    """Where `debugger.mode=managed` leads in a region without Debugger's image."""
    return failure.fail(
        scope,
        "DebuggerNotOffered",
        error="DebuggerNotOffered",
        cause="SageMaker Debugger has no image for its rules in this region, and the setting debugger.mode=managed "
        "allows no other way; set it to auto or own.",
    )


def _reports(debugger: DebuggerSettings) -> bool:
    return _REPORT_RULE in debugger.evaluated("features")


def _rule(parts: JobParts, rule: str, mode: str) -> dict[str, Any]:
    """A rule as CreateTrainingJob takes it; SageMaker runs its own rules' images on machines of its own choice."""
    parameters = parts.settings.debugger.parameters_of(rule, mode)
    return {
        "RuleConfigurationName": rule,
        "RuleEvaluatorImage": parts.debugger_image,
        "RuleParameters": {"rule_to_invoke": rule, **{name: str(value) for name, value in parameters.items()}},
    }


def _rule_variables(debugger: DebuggerSettings, rules: tuple[str, ...] | list[str], mode: str) -> dict[str, str]:
    return {rule_variable(rule): json.dumps(debugger.parameters_of(rule, mode), sort_keys=True) for rule in rules}


def _input(name: str, location: dict[str, str], local_path: str) -> dict[str, Any]:
    return {
        "InputName": name,
        "S3Input": {
            **location,
            "LocalPath": local_path,
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
        },
    }
