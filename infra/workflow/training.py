"""Phase 4: train with the best trial's values, evaluate on the test split, export the model.

The debugger's rules are evaluated during or after the training; infra/workflow/debugger.py says by whom.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from aws_cdk import aws_stepfunctions as sfn

import contract
from contract import METRICS, Channel, EntryPoint
from infra.instances import gpus
from infra.workflow.debugger import (
    job_variables,
    own_rules_instead,
    rule_evaluator,
    rules_job,
    tensor_rules,
)
from infra.workflow.job import JobPlan, sagemaker_job
from infra.workflow.managed_rules import debugger_not_offered, managed_request, managed_rules
from infra.workflow.payloads import CHECKPOINTS, RunParts, channel, hyperparameters
from infra.workflow.task import FailureRoute, RunScope
from infra.workflow.tuning import BEST_VALUES, searched

__all__ = ["training_phase"]

_PLAN = JobPlan(member="training", job="-train", kept=("output", "checkpoints"))


def training_phase(scope: RunScope, *, parts: RunParts, failure: FailureRoute, following: sfn.IChainable) -> sfn.State:
    """Train, with the rules evaluated by whom the setting allows → `following`; return the first state.

    `$.training.model` is then the model's URI, and `$.debugger.evaluator` says who evaluated the rules.
    """
    evaluator = rule_evaluator(parts)
    if evaluator == "off":
        train = _job(scope, "Train", parts=parts, failure=failure, evaluator="off")
        train.next(following)
        return _unless_trained(scope, train=train, rules={"managed": following, "own": following, "off": following})

    own_rules = _own_rules(scope, parts, failure, following)
    if evaluator == "own":
        train = _train_with_own_rules(scope, parts, failure, own_rules)
        return _unless_trained(scope, train=train, rules={"own": own_rules})

    offered = sfn.Choice(scope, "DebuggerOffered?", comment="Some regions do not have the image for the rules.")
    is_offered = sfn.Condition.string_equals("$.debugger.evaluator", "managed")
    if evaluator == "managed":
        rules = managed_rules(scope, parts=parts, failure=failure, following=following)
        train = _job(scope, "TrainManaged", parts=parts, failure=failure, evaluator="managed")
        offered.when(is_offered, train).otherwise(debugger_not_offered(scope, failure=failure))
        reusable: dict[contract.Evaluator, sfn.IChainable] = {"managed": rules}
    else:
        instead = own_rules_instead(scope, parts=parts, failure=failure, own=own_rules, following=following)
        rules = managed_rules(scope, parts=parts, failure=failure, following=following, if_none_evaluated=instead)
        own = _train_with_own_rules(scope, parts, failure, own_rules)
        refused = _go_on(scope, own)
        train = _job(scope, "TrainManaged", parts=parts, failure=failure, evaluator="managed", if_refused=refused)
        offered.when(is_offered, train).otherwise(own)
        reusable = {"managed": rules, "own": own_rules}
    train.next(rules)
    return _unless_trained(scope, train=offered, rules=reusable)


def _unless_trained(
    scope: RunScope, *, train: sfn.IChainable, rules: Mapping[contract.Evaluator, sfn.IChainable]
) -> sfn.Choice:
    """TrainedBefore? → ReuseModel → ReuseEvaluator → `rules` where a run is tried again that had trained, else `train`.

    `rules` has what follows, by who evaluates the rules on what that training saved; for any other, there is another
    training.
    """
    model = sfn.Pass(
        scope,
        "ReuseModel",
        parameters={"job.$": "$.plan.reused.training.job", "model.$": "$.plan.reused.training.model"},
        result_path="$.training",
    )
    saved = "$.plan.reused.training.evaluator"
    who = {"evaluator": "off"} if "off" in rules else {"evaluator.$": saved}
    evaluator = sfn.Pass(scope, "ReuseEvaluator", parameters={**who, "looks": 0}, result_path="$.debugger")
    before = sfn.Choice(scope, "TrainedBefore?", comment="A retry goes on with the model that the run had trained.")
    before.when(
        sfn.Condition.and_(
            sfn.Condition.is_present(saved),
            sfn.Condition.or_(*(sfn.Condition.string_equals(saved, known) for known in rules)),
        ),
        model,
    )
    before.otherwise(train)
    model.next(evaluator)

    # who evaluates its rules?
    *others, last = rules.items()
    if len(set(rules.values())) == 1:
        evaluator.next(last[1])
        return before
    chosen = sfn.Choice(scope, "ReusedEvaluator?")
    for known, following in others:
        chosen.when(sfn.Condition.string_equals("$.debugger.evaluator", known), following)
    chosen.otherwise(last[1])
    evaluator.next(chosen)
    return before


def _own_rules(scope: RunScope, parts: RunParts, failure: FailureRoute, following: sfn.IChainable) -> sfn.IChainable:
    """Rules → `following`; return the first state, which is `following` where no tensor rule is to be evaluated."""
    if not tensor_rules(parts) or rule_evaluator(parts) == "managed":
        return following
    rules = rules_job(scope, parts=parts, failure=failure)
    rules.next(following)
    return rules


def _train_with_own_rules(
    scope: RunScope, parts: RunParts, failure: FailureRoute, following: sfn.IChainable
) -> sfn.CustomState:
    train = _job(scope, "Train", parts=parts, failure=failure, evaluator="own")
    train.next(following)
    return train


def _go_on(scope: RunScope, own: sfn.IChainable) -> sfn.Pass:
    """Go on as `own` where the account may not use SageMaker Debugger; return the state."""
    go_on = sfn.Pass(
        scope,
        "GoOnWithOwnRules",
        comment="SageMaker Debugger is closed to accounts that never used it: CreateTrainingJob is refused.",
        parameters={"evaluator": "own", "looks": 0, "refusal.$": "$.attempt.Cause"},
        result_path="$.debugger",
    )
    go_on.next(own)
    return go_on


def _job(
    scope: RunScope,
    name: str,
    *,
    parts: RunParts,
    failure: FailureRoute,
    evaluator: Literal["managed", "own", "off"],
    if_refused: sfn.IChainable | None = None,
) -> sfn.CustomState:
    training = parts.settings.training
    instances = training.instance_count if parts.finetunes else 1
    torchrun = parts.finetunes and (gpus(training.instance_type) > 0 or instances > 1)
    features = channel(Channel.FEATURES, path="$.plan.features.uri")
    # A head learns from the features: of the photos, its training reads those for validation and test, and a few more.
    photos = parts.photo_channels(streamed=not parts.finetunes)
    # the model in service is tested beside the new one
    in_service = channel(Channel.IN_SERVICE, path="$.plan.in_service_uri")
    return sagemaker_job(
        scope,
        name,
        call="createTrainingJob.sync",
        plan=_PLAN,
        payload={
            "TrainingJobName.$": _PLAN.name,
            # the program and its values
            "AlgorithmSpecification": {
                "TrainingImage": parts.training_image.uri(training.instance_type),
                "TrainingInputMode": "File",
                "MetricDefinitions": [metric.definition for metric in METRICS.values()],
            },
            "HyperParameters": hyperparameters(
                program=EntryPoint.TRAIN,
                source_uri=parts.source_uri,
                paths={name: f"{BEST_VALUES}.{name}" for name in searched(parts.settings.tuning)},
                torchrun=torchrun,
            ),
            # what it reads and writes
            "InputDataConfig": [features, *photos, in_service],
            "OutputDataConfig": {"S3OutputPath.$": "$.plan.training.output"},
            "CheckpointConfig": {"S3Uri.$": "$.plan.training.checkpoints", "LocalPath": CHECKPOINTS},
            # where it runs, and for how long
            "ResourceConfig": parts.resources(training.instance_type, count=instances),
            **parts.limits(training.max_minutes, spot=training.spot),
            # the debugger
            "Environment": parts.environment(training.instance_type, job_variables(parts, evaluator=evaluator)),
            **(managed_request(parts) if evaluator == "managed" else {}),
            "RoleArn": parts.job_role_arn,
            "Tags": parts.tags,
        },
        result_path="$.training",
        result_selector={"job.$": "$.TrainingJobName", "model.$": "$.ModelArtifacts.S3ModelArtifacts"},
        failure=failure,
        timeout=parts.wait(training.max_minutes, spot=training.spot),
        if_refused=if_refused,
    )
