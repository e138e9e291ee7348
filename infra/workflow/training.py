"""Phase 4: train with the best trial's values, evaluate on the test split, export the model.

The debugger's rules are evaluated during or after the training; infra/workflow/debugger.py says by whom.
"""

from __future__ import annotations

from typing import Literal

from aws_cdk import aws_stepfunctions as sfn

from contract import METRICS, Channel, EntryPoint
from infra.instances import gpus
from infra.workflow.debugger import job_variables, rule_evaluator, rules_job, tensor_rules
from infra.workflow.managed_rules import debugger_not_offered, managed_request, managed_rules
from infra.workflow.payloads import CHECKPOINTS, RunParts, channel, hyperparameters
from infra.workflow.task import ANY_ERROR, FailureRoute, RunScope, sagemaker_task
from infra.workflow.tuning import BEST_VALUES, searched

__all__ = ["training_phase"]


def training_phase(scope: RunScope, *, parts: RunParts, failure: FailureRoute, following: sfn.IChainable) -> sfn.State:
    """Train, with the rules evaluated by whom the setting allows → `following`; return the first state.

    `$.training.model` is then the model's URI, and `$.debugger.evaluator` says who evaluated the rules.
    """
    evaluator = rule_evaluator(parts)
    if evaluator == "own":
        return _train_with_own_rules(scope, parts, failure, following)
    if evaluator == "off":
        train = _job(scope, "Train", parts=parts, evaluator="off")
        failure.catch(train)
        train.next(following)
        return train

    rules = managed_rules(scope, parts=parts, failure=failure, following=following)
    offered = sfn.Choice(scope, "DebuggerOffered?", comment="Some regions do not have the image for the rules.")
    is_offered = sfn.Condition.string_equals("$.debugger.evaluator", "managed")
    if evaluator == "managed":
        train = _job(scope, "TrainManaged", parts=parts, evaluator="managed")
        failure.catch(train)
        offered.when(is_offered, train).otherwise(debugger_not_offered(scope, failure=failure))
    else:
        # A refusal is not retried, although it may be throttling: the other evaluator is there at once.
        train = _job(scope, "TrainManaged", parts=parts, evaluator="managed", retry=False)
        own = _train_with_own_rules(scope, parts, failure, following)
        train.add_catch(_if_refused(scope, train, failure, own), errors=ANY_ERROR, result_path="$.refusal")
        offered.when(is_offered, train).otherwise(own)
    train.next(rules)
    return offered


def _train_with_own_rules(
    scope: RunScope, parts: RunParts, failure: FailureRoute, following: sfn.IChainable
) -> sfn.CustomState:
    """Train → Rules → `following`; without Rules where no tensor rule is to be evaluated."""
    train = _job(scope, "Train", parts=parts, evaluator="own")
    failure.catch(train)
    if tensor_rules(parts):
        train.next(rules_job(scope, parts=parts, failure=failure)).next(following)
    else:
        train.next(following)
    return train


def _if_refused(scope: RunScope, train: sfn.CustomState, failure: FailureRoute, own: sfn.IChainable) -> sfn.Choice:
    """Go on as `own` where the account may not use SageMaker Debugger; return the state that handles every error."""
    go_on = sfn.Pass(
        scope,
        "GoOnWithOwnRules",
        comment="SageMaker Debugger is closed to accounts that never used it: CreateTrainingJob is refused.",
        parameters={"evaluator": "own", "looks": 0, "refusal.$": "$.refusal.Cause"},
        result_path="$.debugger",
    )
    go_on.next(own)

    failed = sfn.Pass(
        scope,
        "TrainManagedFailed",
        parameters={"Error.$": "$.refusal.Error", "Cause.$": "$.refusal.Cause"},
        result_path=f"$.failure.{train.node.id}",
    )
    failed.next(failure.handler)

    # A Catch of States.TaskFailed would match every error, refusals among them, so a choice looks at the name.
    refused = sfn.Choice(scope, "DebuggerRefused?", comment="A training job that failed is not repeated.")
    refused.when(sfn.Condition.string_matches("$.refusal.Error", "SageMaker.*"), go_on)
    refused.otherwise(failed)
    return refused


def _job(
    scope: RunScope,
    name: str,
    *,
    parts: RunParts,
    evaluator: Literal["managed", "own", "off"],
    retry: bool = True,
) -> sfn.CustomState:
    training = parts.settings.training
    instances = training.instance_count if parts.finetunes else 1
    torchrun = parts.finetunes and (gpus(training.instance_type) > 0 or instances > 1)
    features = [] if parts.finetunes else [channel(Channel.FEATURES, path="$.plan.features.uri")]
    return sagemaker_task(
        scope,
        name,
        call="createTrainingJob.sync",
        payload={
            "TrainingJobName.$": "$.plan.training.job",
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
            "InputDataConfig": [*features, *parts.photo_channels()],
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
        timeout=parts.wait(training.max_minutes, spot=training.spot),
        retry=retry,
    )
