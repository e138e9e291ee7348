"""Phase 3: search the best learning rate and batch size, and whatever else the settings add."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

from contract import METRICS, OBJECTIVES, TRIAL_METRICS, Channel, EntryPoint
from infra.instances import gpus
from infra.settings import TuningSettings
from infra.workflow.job import JobPlan, sagemaker_job
from infra.workflow.payloads import CHECKPOINTS, RunParts, channel, hyperparameters
from infra.workflow.task import FailureRoute, RunScope

__all__ = ["BEST_VALUES", "searched", "tuning_phase"]

BEST_VALUES = "$.tuning.BestTrainingJob.TunedHyperParameters"
"""Where the best trial's values stand after this phase."""

_LONGEST_TUNING = cdk.Duration.days(31)
"""More than SageMaker's quota for a tuning job; the plan's own, shorter limit stands in `ResourceLimits`."""

_PLAN = JobPlan(
    member="tuning",
    job="",
    kept=("output", "checkpoints", "epochs", "trials", "parallel_trials", "max_seconds", "ranges"),
)
_WARM_PLAN = replace(_PLAN, kept=(*_PLAN.kept, "warm_start"))


def tuning_phase(scope: RunScope, *, parts: RunParts, failure: FailureRoute, following: sfn.IChainable) -> sfn.State:
    """SearchedBefore? → Tune → TrialSucceeded? → `following`; return SearchedBefore?.

    With `tuning.warm_start`, EarlierTuningFits? leads to Tune or to TuneFromEarlier.
    """
    # A tuning job completes even if no trial did.
    no_trial = failure.fail(
        scope,
        "NoTrialSucceeded",
        error="NoTrialSucceeded",
        cause="The tuning job ended without a single finished trial. The reason is in the logs of its training jobs, "
        "in the log group /aws/sagemaker/TrainingJobs.",
    )
    succeeded = sfn.Choice(scope, "TrialSucceeded?")
    succeeded.when(sfn.Condition.is_present(BEST_VALUES), following)
    succeeded.otherwise(no_trial)

    cold = _tuning_job(scope, "Tune", parts=parts, failure=failure)
    cold.next(succeeded)
    if not parts.settings.tuning.warm_start:
        return _unless_searched(scope, search=cold, following=succeeded)

    # JSONPath cannot leave out a member of a request, so there are two states that differ in it.
    warm = _tuning_job(scope, "TuneFromEarlier", parts=parts, failure=failure, warm_start="$.plan.tuning.warm_start")
    warm.next(succeeded)
    fits = sfn.Choice(scope, "EarlierTuningFits?")
    fits.when(sfn.Condition.is_present("$.plan.tuning.warm_start"), warm).otherwise(cold)
    return _unless_searched(scope, search=fits, following=succeeded)


def _unless_searched(scope: RunScope, *, search: sfn.IChainable, following: sfn.IChainable) -> sfn.Choice:
    """SearchedBefore? → ReuseBestValues → `following`, where a run is tried again that had them, or → `search`."""
    reuse = sfn.Pass(
        scope,
        "ReuseBestValues",
        parameters={"BestTrainingJob.$": "$.plan.reused.best"},
        result_path="$.tuning",
    )
    reuse.next(following)
    before = sfn.Choice(scope, "SearchedBefore?", comment="A retry goes on with the values that the run had found.")
    before.when(sfn.Condition.is_present("$.plan.reused.best"), reuse).otherwise(search)
    return before


def searched(tuning: TuningSettings) -> tuple[str, ...]:
    """Return the hyperparameters whose values the tuning job chooses."""
    return ("learning_rate", "batch_size", *tuning.also_searched, *(["backbone"] if tuning.backbones else []))


def _tuning_job(
    scope: RunScope, name: str, *, parts: RunParts, failure: FailureRoute, warm_start: str | None = None
) -> sfn.CustomState:
    """Return the state of the tuning job; `warm_start` is the JSONPath of the request's `WarmStartConfig`, if any."""
    plan = _WARM_PLAN if warm_start else _PLAN
    return sagemaker_job(
        scope,
        name,
        call="createHyperParameterTuningJob.sync",
        plan=plan,
        payload={
            "HyperParameterTuningJobName.$": plan.name,
            "HyperParameterTuningJobConfig": _search(parts),
            "TrainingJobDefinition": _trial(parts),
            **({"WarmStartConfig.$": warm_start} if warm_start else {}),
            "Tags": parts.tags,
        },
        failure=failure,
        result_path="$.tuning",
        timeout=_LONGEST_TUNING,
    )


def _search(parts: RunParts) -> dict[str, Any]:
    """Return `HyperParameterTuningJobConfig`: what is searched, by which measure, and for how long."""
    tuning = parts.settings.tuning
    return {
        "Strategy": tuning.strategy,
        "HyperParameterTuningJobObjective": OBJECTIVES[tuning.objective].definition,
        "ResourceLimits": {
            "MaxNumberOfTrainingJobs.$": "$.plan.tuning.trials",
            "MaxParallelTrainingJobs.$": "$.plan.tuning.parallel_trials",
            "MaxRuntimeInSeconds.$": "$.plan.tuning.max_seconds",
        },
        "ParameterRanges.$": "$.plan.tuning.ranges",
        "TrainingJobEarlyStoppingType": "Auto" if tuning.early_stopping else "Off",
    }


def _trial(parts: RunParts) -> dict[str, Any]:
    """Return `TrainingJobDefinition`: the training job of a trial."""
    tuning, training = parts.settings.tuning, parts.settings.training
    instance_type = parts.trial_instance_type
    return {
        "StaticHyperParameters": hyperparameters(
            program=EntryPoint.TRIAL,
            source_uri=parts.trial_source_uri,
            paths={"epochs": "$.plan.tuning.epochs"},
            left_out=searched(tuning),
            torchrun=parts.finetunes and gpus(instance_type) > 0,
        ),
        "AlgorithmSpecification": {
            "TrainingImage": parts.training_image.uri(instance_type),
            "TrainingInputMode": "File",
            "MetricDefinitions": [METRICS[metric].definition for metric in TRIAL_METRICS],
        },
        **_trial_inputs(parts),
        "OutputDataConfig": {"S3OutputPath.$": "$.plan.tuning.output"},
        "ResourceConfig": parts.resources(instance_type),
        **parts.limits(tuning.max_minutes, spot=training.spot and parts.finetunes),
        "Environment": parts.environment(instance_type, {}),
        "RoleArn": parts.job_role_arn,
    }


def _trial_inputs(parts: RunParts) -> dict[str, Any]:
    """Return what a trial reads: features, from which it trains a head in seconds; to fine-tune, also the photos."""
    features = channel(Channel.FEATURES, path="$.plan.features.uri")
    if not parts.finetunes:
        return {"InputDataConfig": [features]}
    return {
        "InputDataConfig": [features, *parts.photo_channels()],
        # Trials may share a folder: a checkpoint names the trial it belongs to (training/runtime/checkpoints.py).
        "CheckpointConfig": {"S3Uri.$": "$.plan.tuning.checkpoints", "LocalPath": CHECKPOINTS},
    }
