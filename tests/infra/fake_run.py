"""A run in which everything succeeds, as faked tasks; a test breaks one of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from tests.infra.asl_walker import Task, TaskError, Walk, walk

RUN = "run-1"
OLD_CONFIG = "whippet-dev-old"
NEW_CONFIG = "whippet-dev-run-1"
PACKAGE = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/whippet-dev/1"
REPORT = {"uri": f"s3://data-bucket/runs/{RUN}/report.html", "console": "https://console/report.html"}
NO_DEBUGGER = TaskError(
    "SageMaker.AmazonSageMakerException",
    "SageMaker Debugger is not available to this account. (… Error Code: AccessDeniedException …)",
)
JOBS = ("Features", "ExtendFeatures", "Tune", "TuneFromEarlier", "TrainManaged", "Train", "Rules", "RulesOnTensors")
"""The states that make a job and wait for its end."""
WARM_START = {
    "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "whippet-dev-old"}],
    "WarmStartType": "TransferLearning",
}
ROLLED_BACK = {"error": "RolloutRolledBack", "cause": "The alarm whippet-dev-endpoint-errors went off."}
NOT_FOUND = TaskError("SageMaker.SageMakerException", 'Could not find endpoint "arn:…". (Service: SageMaker)')


def plan(
    *,
    features_ready: bool = False,
    extends: bool = False,
    mode: str = "features",
    warm_start: bool = False,
    reused: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what CheckDataset returns; its own tests compare it with this."""
    import contract

    transform = f"s3://data-bucket/features/{'1' * 32}/"
    return {
        # the run and its data
        "run": RUN,
        "name": NEW_CONFIG,
        "images": 30,
        "classes": 2,
        "dataset_uri": "s3://data-bucket/dataset/",
        "manifest_uri": f"s3://data-bucket/runs/{RUN}/manifest/",
        "in_service_uri": f"s3://data-bucket/runs/{RUN}/manifest/dataset.json",
        "hyperparameters": contract.Hyperparameters(mode=mode).to_strings(),
        # what each job is called, reads and writes
        "features": {
            "ready": features_ready,
            "extends": extends,
            "previous": f"{transform}{'2' * 32}/whippet-dev-old-features/output/model/" if extends else "",
            "key": "0" * 32,
            "job": "whippet-dev-run-1-features",
            "next_name": 2,
            "output": f"{transform}{'0' * 32}/",
            "uri": f"{transform}{'0' * 32}/whippet-dev-run-1-features/output/model/",
        },
        "tuning": {
            "job": "whippet-dev-run-1",
            "next_name": 2,
            "output": f"s3://data-bucket/runs/{RUN}/tuning/",
            "checkpoints": f"s3://data-bucket/checkpoints/{RUN}/whippet-dev-run-1/",
            "epochs": "5",
            "trials": 8,
            "parallel_trials": 2,
            "max_seconds": 18_000,
            "ranges": contract.parameter_ranges(),
            **({"warm_start": WARM_START} if warm_start else {}),
        },
        "training": {
            "job": "whippet-dev-run-1-train",
            "next_name": 2,
            "output": f"s3://data-bucket/runs/{RUN}/training/",
            "checkpoints": f"s3://data-bucket/checkpoints/{RUN}/whippet-dev-run-1-train/",
        },
        "rules": {
            "job": "whippet-dev-run-1-rules",
            "next_name": 2,
            "output": f"s3://data-bucket/runs/{RUN}/rules/",
            "tensors": f"s3://data-bucket/debug/{RUN}/",
        },
        **({"reused": reused} if reused else {}),
    }


class Endpoint:
    """The endpoint as SageMaker keeps it: what it serves, and what happens to changes."""

    def __init__(self, config: str | None = None, status: str = "InService", *, serverless: bool = True) -> None:
        self.config, self.status = config, status
        self.serverless = serverless
        """Whether the configuration in service before the run is."""
        self.calls: list[str] = []
        self.rolls_back: bool | str = False
        """Whether SageMaker rolls updates back: every one, or those to this configuration."""
        self.after_creation = "InService"
        self.machine = "ml.m5.large"
        """Instance type of the configuration in service before the run, where it is not serverless."""
        self.scales = False
        """Whether it is a scalable target."""
        self.requests: list[dict[str, Any]] = []
        """Its updates and those of its scaling."""
        self.reason: str | None = None

    def look(self, _: dict[str, Any]) -> dict[str, Any]:
        """Describe the endpoint; no time passes for it."""
        if self.config is None:
            raise NOT_FOUND
        seen = {"EndpointName": "whippet-dev", "EndpointConfigName": self.config, "EndpointStatus": self.status}
        return seen | ({"FailureReason": self.reason} if self.reason else {})

    def describe(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Describe the endpoint, whose change is done at the next look."""
        seen = self.look(payload)
        if self.status == "Deleting":
            self.config = None
        elif self.status in ("Creating", "Updating"):
            self.status = self.after_creation if self.status == "Creating" else "InService"
        return seen

    def describe_config(self, payload: dict[str, Any]) -> dict[str, Any]:
        machines = {"InitialInstanceCount": 1, "InstanceType": self.machine}
        if self.serverless:
            machines = {"ServerlessConfig": {"MemorySizeInMB": 3072}}
        return {**payload, "ProductionVariants": [{"VariantName": "AllTraffic", **machines}]}

    def begin_scaling(self, payload: dict[str, Any]) -> dict[str, Any]:
        if self.config is None:
            raise TaskError("ApplicationAutoScaling.ValidationException", "Could not find endpoint")
        self.requests.append(payload)
        self.scales = True
        return {"ScalableTargetARN": "arn"}

    def end_scaling(self, payload: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(payload)
        if not self.scales:
            raise TaskError("ApplicationAutoScaling.ObjectNotFoundException", "No scalable target registered")
        self.scales = False
        return {}

    def create(self, payload: dict[str, Any]) -> dict[str, Any]:
        if self.config is not None:
            raise TaskError("SageMaker.AmazonSageMakerException", 'Cannot create already existing endpoint "arn:…".')
        self.calls.append("create")
        self.config, self.status = payload["EndpointConfigName"], "Creating"
        return {"EndpointArn": "arn"}

    def update(self, payload: dict[str, Any]) -> dict[str, Any]:
        if self.status != "InService":
            raise TaskError("SageMaker.AmazonSageMakerException", 'Cannot update in-progress endpoint "arn:…".')
        self.calls.append(f"update to {payload['EndpointConfigName']}")
        self.requests.append(payload)
        if self.rolls_back not in (True, payload["EndpointConfigName"]):
            self.config = payload["EndpointConfigName"]
        self.status = "Updating"
        return {"EndpointArn": "arn"}

    def delete(self, _: dict[str, Any]) -> dict[str, Any]:
        if self.config is None:
            raise NOT_FOUND
        self.calls.append("delete")
        self.status, self.scales = "Deleting", False
        return {}


def notify(payload: dict[str, Any]) -> dict[str, str]:
    """Compose the message as the Lambda does, without SNS."""
    from notify.run_message import compose, report_of

    message = compose(payload["run"], execution=payload["execution"])
    report = report_of(payload["run"])
    return {"status": message.status, "error": message.error, "cause": message.cause, "report": report}


def verdict(**changes: Any) -> dict[str, Any]:
    """Return what Verdict returns; its own tests compare it with this."""
    return {
        "accepted": True,
        "undecided": False,
        "approval": "Approved",
        "cause": "Good.",
        "reasons": ["Good."],
        "test_accuracy": 0.9,
        "test_images": 10,
        "test_accuracy_interval": {"low": 0.6, "high": 0.98, "level": 0.95},
        "decision": f"s3://data-bucket/runs/{RUN}/decision.json",
        "evaluation": f"s3://data-bucket/runs/{RUN}/results/evaluation.json",
        "in_service": "",
        "metadata": {"run": RUN, "test_accuracy": "0.9000"},
    } | changes


class Rules:
    """The rules that SageMaker evaluates: `looks` are the statuses it tells one after the other, the last for good."""

    def __init__(self, *looks: str, all_of_them: bool = False) -> None:
        self.looks = list(looks) or ["InProgress", "NoIssuesFound"]
        self.all_of_them = all_of_them
        """Whether every rule has that status; else one is done from the beginning."""

    def describe(self, payload: dict[str, Any]) -> dict[str, Any]:
        assert payload["TrainingJobName"].startswith("whippet-dev-run-1-train")
        status = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        first = status if self.all_of_them else "NoIssuesFound"
        done = {"RuleConfigurationName": "AllZero", "RuleEvaluationStatus": first}
        rule = {"RuleConfigurationName": "Overfit", "RuleEvaluationStatus": status, "StatusDetails": "Stopping…"}
        return {
            "DebugHookConfig": {"S3OutputPath": "s3://data-bucket/runs/run-1/debug/"},
            "DebugRuleEvaluationStatuses": [done, rule],
            "ProfilerRuleEvaluationStatuses": [done],
        }


def tasks(
    endpoint: Endpoint,
    *,
    broken: Mapping[str, TaskError] | None = None,
    access: bool = False,
    rules: Rules | None = None,
    **planned: Any,
) -> dict[str, Task]:
    """Return a fake of every task of the run.

    Args:
        endpoint: The endpoint before the run.
        broken: The errors of tasks that fail, by state.
        access: Whether the account may use SageMaker Debugger.
        rules: The rules that SageMaker Debugger evaluates.
        planned: What `plan` takes.
    """

    def answer(value: Any) -> Task:
        return lambda _: value

    def fails(failure: TaskError) -> Task:
        def raise_it(_: dict[str, Any]) -> Any:
            raise failure

        return raise_it

    model = "s3://data-bucket/runs/run-1/training/whippet-dev-run-1-train/output/model.tar.gz"
    trained = {"TrainingJobName": "whippet-dev-run-1-train", "ModelArtifacts": {"S3ModelArtifacts": model}}
    tuned = {"learning_rate": "0.01", "batch_size": "32", "backbone": "resnet50"}
    best = {"TrainingJobName": "t-1", "TunedHyperParameters": tuned}
    smoke = {"photo": "cat/1.jpg", "truth": "cat", "predicted": "cat", "score": 0.9, "endpoint": "whippet-dev"}
    known: dict[str, Task] = {
        "CheckDataset": answer(plan(**planned)),
        **dict.fromkeys(("Features", "ExtendFeatures"), answer({"TrainingJobName": "f"})),
        **dict.fromkeys(("Tune", "TuneFromEarlier"), answer({"BestTrainingJob": best})),
        "Train": answer(trained),
        "TrainManaged": answer(trained) if access else fails(NO_DEBUGGER),
        **dict.fromkeys(("Rules", "RulesOnTensors"), answer({"ProcessingJobName": "whippet-dev-run-1-rules"})),
        **{f"Stop{name}": answer({}) for name in JOBS},
        "DescribeRules": (rules or Rules()).describe,
        **dict.fromkeys(("Verdict", "VerdictAgain"), answer(verdict())),
        "RegisterModel": answer({"ModelPackageArn": PACKAGE}),
        "AskApproval": answer({"approved": True}),
        **dict.fromkeys(
            (
                *("ApproveModel", "RejectModel", "ExpireApproval"),
                *("RejectFailedModel", "RejectRolledBack", "RejectFailedRollout"),
            ),
            answer({"ModelPackageArn": PACKAGE}),
        ),
        "CreateModel": answer({"ModelArn": "arn"}),
        "CreateEndpointConfig": answer({"EndpointConfigArn": "arn"}),
        "TakeReleaseLock": lambda payload: {"held": True, "holder": f"run {payload['run']}"},
        "DescribeInService": endpoint.look,
        "DescribeEndpoint": endpoint.describe,
        "CreateEndpoint": endpoint.create,
        "UpdateEndpoint": endpoint.update,
        **dict.fromkeys(("DescribeServedConfig", "DescribeFleet"), endpoint.describe_config),
        **dict.fromkeys(("DeleteBrokenEndpoint", "DeleteRealtimeEndpoint", "DeleteFailedEndpoint"), endpoint.delete),
        "LookAtAlarms": answer({"on": False, "said": ""}),
        "DescribeBeforeShadow": endpoint.describe_config,
        **dict.fromkeys(("CreateShadowModel", "CreateShadowConfig"), answer({})),
        **dict.fromkeys(("DeleteShadowModel", "DeleteShadowConfig"), answer({})),
        **dict.fromkeys(("AddShadow", "RemoveShadow"), endpoint.update),
        **dict.fromkeys(("DescribeShadow", "DescribeShadowEnd"), endpoint.describe),
        "JudgeShadow": answer({"outcome": "passed", "said": "As a shadow it got a copy of 1,204 requests."}),
        "DescribeRollout": endpoint.describe,
        "ExplainRollout": answer(ROLLED_BACK),
        "SmokeTest": answer(smoke),
        "DescribeBeforeRollback": endpoint.describe,
        "RemoveEndpoint": endpoint.delete,
        "RestoreEndpoint": endpoint.update,
        "DescribeRollback": endpoint.describe,
        **dict.fromkeys(("RecordRelease", "RecordRollback"), answer({"key": "releases/record.json"})),
        "Retire": answer({"configs": [], "models": []}),
        "EndScaling": endpoint.end_scaling,
        "BeginScaling": endpoint.begin_scaling,
        "PutScalingPolicy": answer({"PolicyARN": "arn", "Alarms": []}),
        "GiveLockBack": answer({"held": False, "holder": ""}),
        "Report": answer(REPORT),
        "Notify": notify,
    }
    return known | {name: fails(failure) for name, failure in (broken or {}).items()}


def job_failed(reason: str) -> TaskError:
    """How Step Functions reports a failed job: the whole description as JSON."""
    return TaskError("States.TaskFailed", json.dumps({"TrainingJobStatus": "Failed", "FailureReason": reason}))


def every_walk(definition: Mapping[str, Any], *, mode: str = "features") -> Iterator[Walk]:
    """Walk the state machine on every kind of way there is, so that each Task is passed at least once."""
    endpoints = ((None, "", True), *product((OLD_CONFIG,), ("InService", "Failed"), (True, False)))
    failures: tuple[dict[str, TaskError], ...] = (
        {},
        {"SmokeTest": TaskError("SmokeTestFailed", "no")},
        {"AskApproval": TaskError("ModelRejected", "no")},
        {"AskApproval": TaskError("States.Timeout", "")},
    )
    plans: tuple[dict[str, Any], ...] = ({}, {"extends": True}, {"warm_start": True})
    for (before, status, serverless), broken, planned, access in product(endpoints, failures, plans, (False, True)):
        endpoint = Endpoint(before, status, serverless=serverless)
        yield walk(definition, tasks(endpoint, broken=broken, access=access, mode=mode, **planned), {})

    # each job's time is up
    time_is_up = TaskError("States.Timeout", "")
    for name in JOBS:
        known = tasks(
            Endpoint(),
            broken={name: time_is_up},
            access=name in ("TrainManaged", "RulesOnTensors"),
            rules=Rules("Error", all_of_them=True),
            mode=mode,
            extends=name == "ExtendFeatures",
            warm_start=name == "TuneFromEarlier",
        )
        yield walk(definition, known, {})
    # the first endpoint does not start
    broken_one = Endpoint()
    broken_one.after_creation = "Failed"
    yield walk(definition, tasks(broken_one, mode=mode, access=True), {})
    # another model came into service meanwhile, and is better or not
    for again in (verdict(), verdict(accepted=False)):
        known = tasks(Endpoint(OLD_CONFIG), mode=mode, access=True)
        known["Verdict"], known["VerdictAgain"] = _always(verdict(in_service="whippet-dev-older")), _always(again)
        yield walk(definition, known, {})
    # alarms take the model back
    taken_back = Endpoint(OLD_CONFIG, serverless=False)
    taken_back.rolls_back = NEW_CONFIG
    yield walk(definition, tasks(taken_back, mode=mode, access=True), {})
    # another instance type
    others = Endpoint(OLD_CONFIG, serverless=False)
    others.scales, others.machine = True, "ml.c5.large"
    yield walk(definition, tasks(others, mode=mode), {})


def _always(answer: Any) -> Task:
    return lambda _: answer
