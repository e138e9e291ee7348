"""Phase 4: the best values, trained in full; evaluated on the test split; exported; watched by the debugger."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from contract import METRICS, Channel, EntryPoint
from infra.instances import gpus
from infra.workflow.debugger import job_variables, managed_request, rules_job, way_of
from infra.workflow.jobs import CHECKPOINTS, JobParts, channel, hyperparameters
from infra.workflow.task import FailureRoute, sagemaker_task
from infra.workflow.tuning import BEST_VALUES, searched

__all__ = ["ManagedWay", "training_phase"]


@dataclass(frozen=True, kw_only=True)
class ManagedWay:
    """Where the managed way leads; both modes share it."""

    rules: sfn.IChainable
    """Behind the training: waiting for its rules."""
    not_offered: sfn.IChainable | None
    """In a region without Debugger, where the setting allows no other way; None where it does."""


def training_phase(
    scope: Construct,
    *,
    parts: JobParts,
    failure: FailureRoute,
    finetune: bool,
    managed: ManagedWay | None,
    following: sfn.IChainable,
) -> sfn.State:
    """Train, or TrainNetwork where the backbone is trained, too, in each way the setting allows → `following`.

    Returns the first state. Afterwards `$.training.model` is the model's URI and `$.debugger.evaluator` says who evaluated
    the rules. `managed` is needed where SageMaker may be asked to.
    """
    prefix = "Network" if finetune else ""
    if managed and not parts.settings.debugger.judged("finetune" if finetune else "features"):
        return _unwatched(scope, parts, failure, finetune=finetune, following=following)
    if managed is None:
        way = way_of(parts.settings.debugger)
        return _plain(scope, parts, failure, finetune=finetune, way=way, following=following)
    # Where there is another way, a refusal is taken at its word: trying again would only lose time.
    retry = managed.not_offered is not None
    watched = _job(scope, f"Train{prefix}Managed", parts=parts, finetune=finetune, way="managed", retry=retry)
    watched.next(managed.rules)
    offered = sfn.Choice(scope, f"{prefix}DebuggerOffered?", comment="Not every region has the rules' image.")
    offered.when(sfn.Condition.string_equals("$.debugger.evaluator", "managed"), watched)
    if managed.not_offered:
        failure.catch(watched)
        offered.otherwise(managed.not_offered)
        return offered
    plain = _plain(scope, parts, failure, finetune=finetune, way="own", following=following)
    offered.otherwise(plain)
    own = sfn.Pass(
        scope,
        f"GoOnWithOwn{prefix}Rules",
        comment="SageMaker Debugger is closed to accounts that never used it: CreateTrainingJob is refused.",
        parameters={"evaluator": "own", "looks": 0, "refusal.$": "$.refusal.Cause"},
        result_path="$.debugger",
    )
    own.next(plain)
    failed = sfn.Pass(
        scope,
        f"{watched.node.id}Failed",
        parameters={"Error.$": "$.refusal.Error", "Cause.$": "$.refusal.Cause"},
        result_path=f"$.failure.{watched.node.id}",
    )
    failed.next(failure.handler)
    refused = sfn.Choice(scope, f"{prefix}DebuggerRefused?", comment="A job that failed is not trained again.")
    # States.TaskFailed in a Catch would stand for every error, the refusals among them; hence a choice by the name.
    refused.when(sfn.Condition.string_matches("$.refusal.Error", "SageMaker.*"), own)
    refused.otherwise(failed)
    watched.add_catch(refused, errors=["States.ALL"], result_path="$.refusal")
    return offered


def _unwatched(
    scope: Construct, parts: JobParts, failure: FailureRoute, *, finetune: bool, following: sfn.IChainable
) -> sfn.Pass:
    """Train where not one of the rules applies to the mode: nobody is asked, whatever the setting says."""
    unwatched = sfn.Pass(
        scope,
        f"No{'Network' if finetune else ''}RuleApplies",
        parameters={"evaluator": "own", "looks": 0},
        result_path="$.debugger",
    )
    unwatched.next(_plain(scope, parts, failure, finetune=finetune, way="own", following=following))
    return unwatched


def _plain(
    scope: Construct, parts: JobParts, failure: FailureRoute, *, finetune: bool, way: str, following: sfn.IChainable
) -> sfn.CustomState:
    """Train → Rules → `following`; without the job for rules where there is none to evaluate."""
    mode = "finetune" if finetune else "features"
    job = _job(scope, "TrainNetwork" if finetune else "Train", parts=parts, finetune=finetune, way=way)
    failure.catch(job)
    if way == "own" and parts.settings.debugger.judged(mode):
        rules = rules_job(scope, parts=parts, failure=failure, mode=mode)
        job.next(rules).next(following)
    else:
        job.next(following)
    return job


def _job(
    scope: Construct, name: str, *, parts: JobParts, finetune: bool, way: str, retry: bool = True
) -> sfn.CustomState:
    training = parts.settings.training
    mode = "finetune" if finetune else "features"
    processes = max(1, gpus(training.instance_type)) * training.instance_count if finetune else 1
    features = [] if finetune else [channel(Channel.FEATURES, path="$.plan.features.uri")]
    return sagemaker_task(
        scope,
        name,
        call="createTrainingJob.sync",
        payload={
            "TrainingJobName.$": "$.plan.training.job",
            "AlgorithmSpecification": {
                "TrainingImage": parts.training_image,
                "TrainingInputMode": "File",
                "MetricDefinitions": [metric.definition for metric in METRICS.values()],
            },
            "HyperParameters": hyperparameters(
                program=EntryPoint.TRAIN,
                source_uri=parts.source_uri,
                paths={name: f"{BEST_VALUES}.{name}" for name in searched(parts.settings.tuning)},
                processes=processes,
            ),
            "InputDataConfig": [*features, *parts.photo_channels()],
            "OutputDataConfig": {"S3OutputPath.$": "$.plan.training.output"},
            "CheckpointConfig": {"S3Uri.$": "$.plan.training.checkpoints", "LocalPath": CHECKPOINTS},
            "ResourceConfig": parts.resources(training.instance_type, count=training.instance_count if finetune else 1),
            **parts.limits(training.max_minutes, spot=training.spot),
            "Environment": parts.environment(training.instance_type, job_variables(parts, mode=mode, way=way)),
            **(managed_request(parts, mode=mode) if way == "managed" else {}),
            "RoleArn": parts.role_arn,
            "Tags": parts.tags,
        },
        result_path="$.training",
        result_selector={"job.$": "$.TrainingJobName", "model.$": "$.ModelArtifacts.S3ModelArtifacts"},
        timeout=parts.wait(training.max_minutes, spot=training.spot),
        retry=retry,
    )
