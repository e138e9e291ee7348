"""The run's document: what the state machine carries from state to state, member by member.

Every state writes its answer to one member of `RunDocument` (its `ResultPath`), and later states, the Lambdas and the
report read it there. tests/infra/test_run_document.py follows every JSONPath of the state machine through these types.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict, final

from contract.decision import ApprovalStatus, RunEvaluator
from contract.hyperparameters import Hyperparameters

__all__ = [
    "ApprovalAnswer",
    "BestTrainingJob",
    "DebuggerState",
    "EndpointBefore",
    "EndpointDescription",
    "FeaturesPlan",
    "LearningRateRange",
    "ModelPackage",
    "ParentTuningJob",
    "Plan",
    "ReportLocation",
    "RetiredModels",
    "RuleStatuses",
    "RulesPlan",
    "RunDocument",
    "RunOutcome",
    "RunOverrides",
    "RunResult",
    "SmokeTestResult",
    "StateError",
    "TrainedModel",
    "TrainingPlan",
    "TuningPlan",
    "TuningResult",
    "Verdict",
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
    trial_epochs: int
    trials: int


@final
class StateError(TypedDict):
    """The error of a failed state, as Step Functions hands it to a Catch."""

    Error: str
    Cause: str


# --- the plan ---------------------------------------------------------------------------------------------------------


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
    output: str
    """URI that the job writes its model and its results below."""
    checkpoints: str
    """URI at which an interrupted training finds its state."""


class RulesPlan(TypedDict):
    """The evaluation of the debugger's rules."""

    job: str
    """Name of the processing job, where this project evaluates the rules itself."""
    output: str
    """URI that the processing job writes its results to."""
    tensors: str
    """URI that SageMaker Debugger's hook writes to, where SageMaker evaluates the rules."""


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
    hyperparameters: HyperparameterTexts
    features: FeaturesPlan
    tuning: TuningPlan
    training: TrainingPlan
    rules: RulesPlan


# --- jobs -------------------------------------------------------------------------------------------------------------


class BestTrainingJob(TypedDict):
    """The best trial, as far as later states read it."""

    TunedHyperParameters: NotRequired[HyperparameterTexts]


class TuningResult(TypedDict):
    """DescribeHyperParameterTuningJob's answer, as far as later states read it."""

    BestTrainingJob: NotRequired[BestTrainingJob]
    """Missing where no trial succeeded."""


class TrainedModel(TypedDict):
    """The training job that was made, and the URI of its model."""

    job: str
    model: str


class DebuggerState(TypedDict):
    """Who evaluates the debugger's rules in this run, and how often SageMaker has been asked for their results."""

    evaluator: RunEvaluator
    looks: int
    refusal: NotRequired[str]
    """The words in which SageMaker Debugger was refused to this account."""


class RuleStatuses(TypedDict):
    """The statuses of SageMaker's rules: for each kind of rule a JSON list, as text that a Choice can search."""

    debug: str
    profiler: NotRequired[str]


# --- verdict and registry ---------------------------------------------------------------------------------------------


class Verdict(TypedDict):
    """Verdict's answer: what later states need of the decision."""

    accepted: bool
    approval: ApprovalStatus
    cause: str
    """All reasons in one text."""
    reasons: list[str]
    test_accuracy: float
    test_images: int
    decision: str
    """URI of `Artefact.DECISION`."""
    evaluation: str
    """URI of `Artefact.EVALUATION`."""
    metadata: dict[str, str]
    """`CustomerMetadataProperties` of the model package."""


class ModelPackage(TypedDict):
    """The model's version in the model registry."""

    arn: str


@final
class ApprovalAnswer(TypedDict):
    """What a person answers with SendTaskSuccess; whoever sends the token by hand may leave anything out."""

    approved: NotRequired[bool]


# --- release ----------------------------------------------------------------------------------------------------------


class EndpointBefore(TypedDict):
    """The endpoint before the release; `config` is empty where there was none."""

    status: str
    config: str


class EndpointDescription(TypedDict):
    """DescribeEndpoint's answer, as far as later states read it."""

    EndpointName: str
    EndpointConfigName: str
    EndpointStatus: str
    FailureReason: NotRequired[str]


class SmokeTestResult(TypedDict):
    """SmokeTest's answer: a photo of the test split, its class, and what the endpoint took it for."""

    endpoint: str
    photo: str
    truth: str
    predicted: str
    score: float


@final
class RetiredModels(TypedDict):
    """Retire's answer: the names of what it deleted."""

    configs: list[str]
    models: list[str]


# --- end --------------------------------------------------------------------------------------------------------------


@final
class ReportLocation(TypedDict):
    """Report's answer: the page's S3 URI, and a link to it in the S3 console."""

    uri: str
    console: str


class RunOutcome(TypedDict):
    """Notify's answer: how the execution ends."""

    status: Literal["succeeded", "failed"]
    error: str
    cause: str
    report: str
    """URI of the run's report; empty where none could be written."""


class RunResult(TypedDict):
    """The output of an execution that succeeded."""

    run: str
    endpoint: str
    test_accuracy: float
    test_images: int
    decision: str
    model_package: str
    report: str


class RunDocument(TypedDict):
    """The state machine's data. A member is there when the state that writes it has ended."""

    overrides: object
    """The execution's input, unchecked: CheckDataset holds it against `RunOverrides` and `OVERRIDABLE`."""
    execution: str
    """The execution's name."""
    failure: dict[str, StateError]
    """What failed, by the state's name, in the order in which it happened."""
    plan: NotRequired[Plan]
    debugger: NotRequired[DebuggerState]
    tuning: NotRequired[TuningResult]
    training: NotRequired[TrainedModel]
    refusal: NotRequired[StateError]
    """Why a training that SageMaker Debugger was to follow failed: a refused request, or the job itself."""
    rule_statuses: NotRequired[RuleStatuses]
    verdict: NotRequired[Verdict]
    package: NotRequired[ModelPackage]
    approval: NotRequired[ApprovalAnswer | StateError]
    before: NotRequired[EndpointBefore]
    lookup: NotRequired[StateError]
    """Why the endpoint could not be described, created or updated."""
    endpoint: NotRequired[EndpointDescription]
    smoke_test: NotRequired[SmokeTestResult]
    retired: NotRequired[RetiredModels | StateError]
    report: NotRequired[ReportLocation | StateError]
    outcome: NotRequired[RunOutcome]
    notification: NotRequired[StateError]
