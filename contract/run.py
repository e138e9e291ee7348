"""The run's document: what the state machine carries from state to state, member by member.

Every state writes its answer to one member of `RunDocument` (its `ResultPath`), and later states, the Lambdas and the
report read it there. tests/infra/test_run_document.py follows every JSONPath of the state machine through these types.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict, final

from contract.debugger import Evaluator
from contract.decision import ApprovalStatus
from contract.evaluation import Interval
from contract.plan import BestTrainingJob, Plan
from contract.shadow import ShadowState

__all__ = [
    "AlarmsBefore",
    "ApprovalAnswer",
    "Count",
    "DebuggerState",
    "EndedScaling",
    "EndpointBefore",
    "EndpointDescription",
    "EndpointLook",
    "FollowedTraining",
    "HookConfiguration",
    "JobAttempt",
    "KeptInstances",
    "LockAnswer",
    "ModelPackage",
    "Polls",
    "RecordedChange",
    "ReportLocation",
    "RetiredModels",
    "RolloutEnd",
    "RuleEvaluation",
    "RuleStatuses",
    "RunDocument",
    "RunOutcome",
    "RunResult",
    "ServedConfig",
    "ServedVariant",
    "SmokeTestResult",
    "StateError",
    "TrainedModel",
    "TuningResult",
    "Verdict",
]


@final
class StateError(TypedDict):
    """The error of a failed state, as Step Functions hands it to a Catch."""

    Error: str
    Cause: str


class JobAttempt(TypedDict):
    """The error of a job's last attempt."""

    Error: str
    Cause: str
    stopping: NotRequired[StateError]
    """Why the job could not be stopped after that."""


# --- jobs -------------------------------------------------------------------------------------------------------------


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

    evaluator: Evaluator
    looks: int
    refusal: NotRequired[str]
    """The words in which SageMaker Debugger was refused to this account, or that it evaluated nothing."""


class RuleStatuses(TypedDict):
    """The statuses of SageMaker's rules: for each kind of rule a JSON list, as text that a Choice can search."""

    tensor: str
    profiler: str


class RuleEvaluation(TypedDict):
    """The evaluation of one of SageMaker's rules, as far as later states read it."""

    RuleEvaluationStatus: NotRequired[str]


class HookConfiguration(TypedDict):
    """`DebugHookConfig` of a training job."""

    S3OutputPath: str


class FollowedTraining(TypedDict):
    """DescribeTrainingJob's answer about a training whose rules SageMaker evaluates, as far as later states read it."""

    DebugHookConfig: NotRequired[HookConfiguration]
    """Missing where SageMaker ignored it."""
    DebugRuleEvaluationStatuses: NotRequired[list[RuleEvaluation]]
    ProfilerRuleEvaluationStatuses: NotRequired[list[RuleEvaluation]]


# --- verdict and registry ---------------------------------------------------------------------------------------------


class Verdict(TypedDict):
    """Verdict's answer: what later states need of the decision."""

    accepted: bool
    undecided: bool
    """Whether too few test photos leave it open; without manual approval it is then not accepted."""
    approval: ApprovalStatus
    cause: str
    """All reasons in one text."""
    reasons: list[str]
    test_accuracy: float
    test_images: int
    test_accuracy_interval: Interval
    decision: str
    """URI of `Artefact.DECISION`."""
    evaluation: str
    """URI of `Artefact.EVALUATION`."""
    in_service: str
    """The endpoint configuration that the model was judged against; empty where nothing served."""
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


class Count(TypedDict):
    """How often something was asked for."""

    times: int


@final
class LockAnswer(TypedDict):
    """ReleaseLock's answer."""

    held: bool
    """Whether this run holds the lock."""
    holder: str
    """Who holds it, in words; empty where nobody does."""


class Polls(TypedDict):
    """How often the release lock was asked for, and the endpoint looked at in each of the loops that wait for it."""

    lock: Count
    endpoint: Count
    refused: Count
    alarms: Count
    shadow: Count
    shadow_end: Count
    rollout: Count
    settling: Count
    """Before a rollback."""
    rollback: Count


class EndpointLook(TypedDict):
    """The endpoint at some moment of the release; `config` is empty where there was none."""

    status: str
    config: str


class EndpointBefore(TypedDict):
    """The endpoint before the release; `config` is empty where there was none."""

    status: str
    config: str
    at: str
    """When the run set about to change it, ISO 8601; empty until then."""


class ServedVariant(TypedDict):
    """A variant of an endpoint configuration, as far as later states read it."""

    ServerlessConfig: NotRequired[dict[str, int]]
    """Not there where instances serve."""
    InstanceType: NotRequired[str]


class ServedConfig(TypedDict):
    """DescribeEndpointConfig's answer on the configuration in service before the release, as far as it is read."""

    ProductionVariants: list[ServedVariant]


@final
class EndedScaling(TypedDict):
    """That the endpoint scales no more, until the run lets it."""

    ended: str
    """When, ISO 8601."""


class KeptInstances(TypedDict):
    """What an update does with the number of instances."""

    keep: bool
    """Whether it stays as scaling chose it; else it is the configuration's."""


class EndpointDescription(TypedDict):
    """DescribeEndpoint's answer, as far as later states read it."""

    EndpointName: str
    EndpointConfigName: str
    EndpointStatus: str
    FailureReason: NotRequired[str]


@final
class AlarmsBefore(TypedDict):
    """LookAtAlarms' answer: whether an alarm of the rollout is on before it, because of the model in service."""

    on: bool
    said: str
    """Which one, why, and what to do; empty where none is."""


class RolloutEnd(TypedDict):
    """ExplainRollout's answer: the error with which the run fails."""

    error: Literal["RolloutRolledBack", "RolloutFailed"]
    cause: str


class SmokeTestResult(TypedDict):
    """SmokeTest's answer: a photo of the test split, its class, and what the endpoint took it for."""

    endpoint: str
    photo: str
    truth: str
    predicted: str
    score: float


@final
class RecordedChange(TypedDict):
    """RecordRelease's answer: the key of the `Release` that it wrote."""

    key: str


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
    started: str
    """The execution's start, ISO 8601."""
    failure: dict[str, StateError]
    """What failed, by the state's name, in the order in which it happened."""
    plan: NotRequired[Plan]
    debugger: NotRequired[DebuggerState]
    tuning: NotRequired[TuningResult]
    training: NotRequired[TrainedModel]
    attempt: NotRequired[JobAttempt]
    """Why a job's last attempt failed: a refused request, the job itself, or its time."""
    followed: NotRequired[FollowedTraining]
    rule_statuses: NotRequired[RuleStatuses]
    verdict: NotRequired[Verdict]
    package: NotRequired[ModelPackage]
    approval: NotRequired[ApprovalAnswer | StateError]
    lock: NotRequired[LockAnswer | StateError]
    polls: Polls
    now: NotRequired[EndpointLook]
    """The endpoint at the last look."""
    before: EndpointBefore
    served: NotRequired[ServedConfig]
    """Where the serving is serverless: what an update would have to replace."""
    fleet: NotRequired[ServedConfig]
    """Where the endpoint scales: the machines before the update."""
    instances: NotRequired[KeptInstances]
    scaling: NotRequired[EndedScaling | StateError]
    lookup: NotRequired[StateError]
    """Why a call on the endpoint, its model or its configuration was refused."""
    endpoint: NotRequired[EndpointDescription]
    alarms: NotRequired[AlarmsBefore | StateError]
    shadow: NotRequired[ShadowState]
    rollout: NotRequired[RolloutEnd]
    smoke_test: NotRequired[SmokeTestResult]
    recorded: NotRequired[RecordedChange | StateError]
    retired: NotRequired[RetiredModels | StateError]
    report: NotRequired[ReportLocation | StateError]
    outcome: NotRequired[RunOutcome]
    notification: NotRequired[StateError]
