"""Phase 4b: evaluate the debugger's rules on the training, by SageMaker Debugger or by a processing job of this system.

    DebuggerOffered? ─ managed ─→ TrainManaged ──────────→ DescribeRules ⇄ WaitForRules ─→ Verdict
        │                             └ refused ┐                                            ↑
        └ own ────────────────────────────────→ Train → Rules ───────────────────────────────┘

That is `debugger.mode=auto`. With `managed` there is no Train, with `own` the first state is Train, and with `off` the
last is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

from aws_cdk import aws_stepfunctions as sfn

from contract import JobVariable, rule_variable
from infra.workflow.payloads import RunParts
from infra.workflow.task import FailureRoute, RunScope, sagemaker_task
from training.runtime.environment import SMDEBUG_ENVIRONMENT

__all__ = ["REPORT_RULE", "choose_evaluator", "debug_rules", "job_variables", "rule_evaluator", "rules_job"]

REPORT_RULE = "ProfilerReport"
"""The one profiler rule that SageMaker Debugger evaluates; the training job itself evaluates the others."""

_CODE, _TRAINING, _OUTPUT = (
    f"/opt/ml/processing/{folder}" for folder in ("input/code", "input/training", "output/rules")
)


def rule_evaluator(parts: RunParts) -> Literal["auto", "managed", "own", "off"]:
    """Return `debugger.mode`, or `own` if no debug rule applies: SageMaker would have nothing to evaluate."""
    mode = parts.settings.debugger.mode
    return mode if debug_rules(parts) or mode == "off" else "own"


def debug_rules(parts: RunParts) -> tuple[str, ...]:
    """Return the debug rules to evaluate: those of the settings that can apply to the training mode."""
    return parts.settings.debugger.judged(parts.settings.training.mode)


def choose_evaluator(scope: RunScope, *, parts: RunParts, following: sfn.IChainable) -> sfn.Pass:
    """RuleEvaluator → `following`; return the state.

    `$.debugger.evaluator` then says who will evaluate the rules, as far as settings and region decide it: `managed`,
    `own` or `off`.
    """
    evaluator = rule_evaluator(parts)
    state = sfn.Pass(
        scope,
        "RuleEvaluator",
        comment="SageMaker Debugger (managed), a job of this system (own), or nobody (off).",
        parameters={
            "evaluator": evaluator if evaluator in ("own", "off") else parts.debugger_image.evaluator,
            "looks": 0,
        },
        result_path="$.debugger",
    )
    state.next(following)
    return state


def job_variables(parts: RunParts, *, evaluator: Literal["managed", "own", "off"]) -> dict[str, str]:
    """Return the variables that tell a training job what to save and which profiler rules to evaluate itself."""
    debugger, mode = parts.settings.debugger, parts.settings.training.mode
    if evaluator == "off":
        return {}

    hook: dict[str, str] = {}
    if debug_rules(parts):
        hook = {JobVariable.SAVE_INTERVAL.value: str(debugger.save_interval), **SMDEBUG_ENVIRONMENT}
    profiler_rules = debugger.evaluated(mode, "profiler")
    if evaluator == "managed":
        profiler_rules = tuple(rule for rule in profiler_rules if rule != REPORT_RULE)
    return hook | _rule_variables(parts, profiler_rules)


def rules_job(scope: RunScope, *, parts: RunParts, failure: FailureRoute) -> sfn.CustomState:
    """Return the state Rules: one processing job on the training image evaluates the debug rules one by one."""
    debugger, mode = parts.settings.debugger, parts.settings.training.mode
    # The archive of the job's output holds the tensors it saved.
    archive = "States.Format('{}{}/output/output.tar.gz', $.plan.training.output, $.training.job)"
    arguments = {
        "--archive": f"{_TRAINING}/output.tar.gz",
        "--output": _OUTPUT,
        "--source": "own",
        "--mode": mode,
    }
    job = sagemaker_task(
        scope,
        "Rules",
        call="createProcessingJob.sync",
        payload={
            "ProcessingJobName.$": "$.plan.rules.job",
            "AppSpecification": {
                "ImageUri": parts.training_image.uri(debugger.instance_type),
                "ContainerEntrypoint": ["python3", f"{_CODE}/{parts.sources.rules.s3_object_key}"],
                "ContainerArguments": [text for argument in arguments.items() for text in argument],
            },
            "Environment": parts.environment(
                debugger.instance_type, {**SMDEBUG_ENVIRONMENT, **_rule_variables(parts, debug_rules(parts))}
            ),
            "ProcessingInputs": [
                _input("code", {"S3Uri": parts.sources.rules.s3_object_url}, _CODE),
                _input("training", {"S3Uri.$": archive}, _TRAINING),
            ],
            "ProcessingOutputConfig": {"Outputs": [_output("rules", "$.plan.rules.output", _OUTPUT)]},
            "ProcessingResources": {"ClusterConfig": parts.resources(debugger.instance_type)},
            "StoppingCondition": {"MaxRuntimeInSeconds": debugger.max_minutes * 60},
            "RoleArn": parts.job_role_arn,
            "Tags": parts.tags,
        },
        timeout=parts.wait(debugger.max_minutes),
    )
    failure.catch(job)
    return job


def _rule_variables(parts: RunParts, rules: Iterable[str]) -> dict[str, str]:
    """Return a variable for each rule, with its parameters as JSON."""
    debugger, mode = parts.settings.debugger, parts.settings.training.mode
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


def _output(name: str, path: str, local_path: str) -> dict[str, Any]:
    return {
        "OutputName": name,
        "S3Output": {"S3Uri.$": path, "LocalPath": local_path, "S3UploadMode": "EndOfJob"},
    }
