"""Phase 4b: evaluate the debugger's rules on the training, by SageMaker Debugger or by a processing job of this system.

    DebuggerOffered? ─ managed ─→ TrainManaged ───────→ DescribeRules ⇄ WaitForRules ─→ Verdict
        │                             └ refused ┐             └ none evaluated ┐             ↑
        └ own ────────────────────────────────→ Train → Rules, or RulesOnTensors ────────────┘

That is `debugger.mode=auto`. With `managed` there is no Train, with `own` the first state is Train, and with `off` the
last is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from aws_cdk import aws_stepfunctions as sfn

import contract
from contract import SMDEBUG_ENVIRONMENT, JobVariable, rule_variable
from infra.workflow.job import JobPlan, sagemaker_job
from infra.workflow.payloads import RunParts
from infra.workflow.task import FailureRoute, RunScope

__all__ = [
    "REPORT_RULE",
    "choose_evaluator",
    "job_variables",
    "own_rules_instead",
    "rule_evaluator",
    "rules_job",
    "tensor_rules",
]

REPORT_RULE = "ProfilerReport"
"""The one profiler rule that SageMaker Debugger evaluates; the training job itself evaluates the others."""

_CODE, _TRAINING, _OUTPUT = (
    f"/opt/ml/processing/{folder}" for folder in ("input/code", "input/training", "output/rules")
)

_PLAN = JobPlan(member="rules", job="-rules", kept=("output", "tensors"))

_ARCHIVE = "States.Format('{}{}/output/output.tar.gz', $.plan.training.output, $.training.job)"
"""The archive of a training's output, which holds the tensors that it saved for rules of this system."""

_UPLOADED = "States.Format('{}{}/debug-output/', $.plan.rules.tensors, $.training.job)"
"""Where SageMaker uploads the tensors of a training with a DebugHookConfig."""


def rule_evaluator(parts: RunParts) -> contract.DebuggerMode:
    """Return `debugger.mode`, or `own` if SageMaker Debugger has no tensor rule to evaluate."""
    return parts.settings.debugger.evaluator(parts.settings.training.mode)


def tensor_rules(parts: RunParts, evaluator: contract.Evaluator = "own") -> tuple[str, ...]:
    """Return the tensor rules that an evaluator is asked for: those of the settings that can apply."""
    return parts.settings.debugger.tensor_rules(parts.settings.training.mode, evaluator)


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


def job_variables(parts: RunParts, *, evaluator: contract.Evaluator) -> dict[str, str]:
    """Return the variables that tell a training job what to save and which profiler rules to evaluate itself."""
    debugger, mode = parts.settings.debugger, parts.settings.training.mode
    if evaluator == "off":
        return {}

    hook: dict[str, str] = {}
    if tensor_rules(parts):
        hook = {JobVariable.SAVE_INTERVAL.value: str(debugger.save_interval), **SMDEBUG_ENVIRONMENT}
    profiler_rules = debugger.evaluated(mode, "profiler")
    if evaluator == "managed":
        profiler_rules = tuple(rule for rule in profiler_rules if rule != REPORT_RULE)
    return hook | _rule_variables(parts, profiler_rules)


def rules_job(scope: RunScope, *, parts: RunParts, failure: FailureRoute) -> sfn.CustomState:
    """Return the state Rules: one processing job on the training image evaluates the tensor rules one by one."""
    arguments = {"--archive": f"{_TRAINING}/output.tar.gz"}
    return _rules_job(scope, "Rules", parts=parts, failure=failure, tensors=_ARCHIVE, arguments=arguments)


def own_rules_instead(
    scope: RunScope, *, parts: RunParts, failure: FailureRoute, own: sfn.IChainable, following: sfn.IChainable
) -> sfn.Pass:
    """Evaluate the rules after a training whose rules SageMaker Debugger took and evaluated none of → `following`.

    Where SageMaker took the hook's configuration, too, the tensors are not in the training's archive but uploaded.
    """
    noted = sfn.Pass(
        scope,
        "NoneEvaluated",
        parameters={
            "evaluator": "own",
            "looks": 0,
            "refusal": "SageMaker Debugger took the rules with the training job and evaluated none of them.",
        },
        result_path="$.debugger",
    )
    uploaded = _rules_job(
        scope, "RulesOnTensors", parts=parts, failure=failure, tensors=_UPLOADED, arguments={"--tensors": _TRAINING}
    )
    uploaded.next(following)
    where = sfn.Choice(scope, "TensorsUploaded?")
    where.when(sfn.Condition.is_present("$.followed.DebugHookConfig"), uploaded).otherwise(own)
    noted.next(where)
    return noted


def _rules_job(
    scope: RunScope,
    name: str,
    *,
    parts: RunParts,
    failure: FailureRoute,
    tensors: str,
    arguments: Mapping[str, str],
) -> sfn.CustomState:
    """Return the state of a processing job that reads the tensors below an S3 URI, an intrinsic function."""
    debugger, mode = parts.settings.debugger, parts.settings.training.mode
    given = {**arguments, "--output": _OUTPUT, "--evaluator": "own", "--mode": mode}
    return sagemaker_job(
        scope,
        name,
        call="createProcessingJob.sync",
        plan=_PLAN,
        payload={
            "ProcessingJobName.$": _PLAN.name,
            # the program: the rules' archive, run in the training image
            "AppSpecification": {
                "ImageUri": parts.training_image.uri(debugger.instance_type),
                "ContainerEntrypoint": ["python3", f"{_CODE}/{parts.sources.rules.s3_object_key}"],
                "ContainerArguments": [text for argument in given.items() for text in argument],
            },
            "Environment": parts.environment(
                debugger.instance_type, {**SMDEBUG_ENVIRONMENT, **_rule_variables(parts, tensor_rules(parts))}
            ),
            # the tensors go in, the rules' results come out
            "ProcessingInputs": [
                _input("code", {"S3Uri": parts.sources.rules.s3_object_url}, _CODE),
                _input("training", {"S3Uri.$": tensors}, _TRAINING),
            ],
            "ProcessingOutputConfig": {"Outputs": [_output("rules", "$.plan.rules.output", _OUTPUT)]},
            # the machine, its time limit, and the role
            "ProcessingResources": {"ClusterConfig": parts.resources(debugger.instance_type)},
            "StoppingCondition": {"MaxRuntimeInSeconds": debugger.max_minutes * 60},
            "RoleArn": parts.job_role_arn,
            "Tags": parts.tags,
        },
        failure=failure,
        timeout=parts.wait(debugger.max_minutes),
    )


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
