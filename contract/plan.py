"""The plan of a run, which CheckDataset makes of the settings, the execution's input and the photos."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from contract.debugger import Evaluator
from contract.hyperparameters import Hyperparameters

__all__ = [
    "BestTrainingJob",
    "FeaturesPlan",
    "HyperparameterTexts",
    "LearningRateRange",
    "ParentTuningJob",
    "Plan",
    "ReusedTraining",
    "ReusedWork",
    "RulesPlan",
    "RunOverrides",
    "TrainingPlan",
    "TuningPlan",
    "WarmStartConfig",
]

HyperparameterTexts = Annotated[dict[str, str], Hyperparameters]
"""Values of `Hyperparameters` by name, as text, since SageMaker carries hyperparameters as text."""


class LearningRateRange(TypedDict):
    """The range in which the tuning job searches the learning rate."""

    min: float
    max: float


class RunOverrides(TypedDict, total=False):
    """The execution's input, beside the hyperparameters in `OVERRIDABLE`: settings that one run may change."""

    batch_sizes: list[int]
    dataset_prefix: str
    learning_rate: LearningRateRange
    retry_of: str
    """An earlier run, whose search and training are not made again if they were completed."""
    trial_epochs: int
    trials: int


class FeaturesPlan(TypedDict):
    """Where the photos' features lie, and what has to be done to have them."""

    ready: bool
    """An earlier run computed them: nothing has to be done."""
    extends: bool
    """An earlier run computed the features of other photos in the same way: only the missing ones are computed."""
    previous: str
    """URI of those earlier features; empty where there are none."""
    key: str
    """`features_key`"""
    job: str
    """Name of the job that computes them, where they are not ready."""
    next_name: int
    """The number in the job's name if it has to be made again, since SageMaker never frees a name."""
    output: str
    """URI that the job writes below."""
    uri: str
    """URI of the arrays."""


class ParentTuningJob(TypedDict):
    """An earlier tuning job, named as CreateHyperParameterTuningJob takes it."""

    HyperParameterTuningJobName: str


class WarmStartConfig(TypedDict):
    """`WarmStartConfig` of CreateHyperParameterTuningJob: the earlier results that the search begins with."""

    ParentHyperParameterTuningJobs: list[ParentTuningJob]
    WarmStartType: Literal["IdenticalDataAndAlgorithm", "TransferLearning"]


class TuningPlan(TypedDict):
    """The tuning job to come."""

    job: str
    next_name: int
    """The number in the job's name if it has to be made again, since SageMaker never frees a name."""
    output: str
    """URI that the trials write their models below."""
    checkpoints: str
    """URI at which interrupted fine-tuning trials find their state."""
    epochs: str
    """Epochs of a trial, as text: a hyperparameter."""
    trials: int
    parallel_trials: int
    max_seconds: int
    ranges: dict[str, list[dict[str, Any]]]
    """SageMaker's `ParameterRanges`."""
    warm_start: NotRequired[WarmStartConfig]


class TrainingPlan(TypedDict):
    """The training with the best values."""

    job: str
    next_name: int
    """The number in the job's name if it has to be made again, since SageMaker never frees a name."""
    output: str
    """URI that the job writes its model and its results below."""
    checkpoints: str
    """URI at which an interrupted training finds its state."""


class RulesPlan(TypedDict):
    """The evaluation of the debugger's rules."""

    job: str
    """Name of the processing job, where this project evaluates the rules itself."""
    next_name: int
    """The number in the job's name if it has to be made again, since SageMaker never frees a name."""
    output: str
    """URI that the processing job writes its results to."""
    tensors: str
    """URI that SageMaker Debugger's hook writes to, where SageMaker evaluates the rules."""


class BestTrainingJob(TypedDict):
    """The best trial, as far as later states read it."""

    TunedHyperParameters: NotRequired[HyperparameterTexts]


class ReusedTraining(TypedDict):
    """A completed training of the run that is tried again."""

    job: str
    model: str
    """URI of its model."""
    evaluator: Evaluator
    """Who evaluates the debugger's rules on what it saved."""


class ReusedWork(TypedDict):
    """What the run that is tried again left; a member is missing where it had not come so far."""

    run: str
    best: NotRequired[BestTrainingJob]
    """The best trial of its search."""
    training: NotRequired[ReusedTraining]


class Plan(TypedDict):
    """CheckDataset's answer: everything about the run that is not known when the stack is deployed."""

    run: str
    """`run_id`"""
    name: str
    """`job_prefix`: name of the model and of the endpoint configuration."""
    images: int
    classes: int
    dataset_uri: str
    manifest_uri: str
    in_service_uri: str
    """URI of the archive of the model in service; that of the run's own data set summary where there is none."""
    hyperparameters: HyperparameterTexts
    features: FeaturesPlan
    tuning: TuningPlan
    training: TrainingPlan
    rules: RulesPlan
    reused: NotRequired[ReusedWork]
    """Where the input names a run to go on with (`retry_of`)."""
