"""The state machine: its shape, the payloads it sends, and where each failure leads."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import pytest

import contract
from tests.infra.asl_walker import TaskError, walk
from tests.infra.fake_run import NEW_CONFIG, Endpoint, job_failed, plan, tasks
from tests.infra.service_model import problems
from tests.infra.template import Template

OLD_CONFIG = "whippet-dev-old"
LAST_STATES = {"Succeeded", "Failed", "NotNotified"}


@pytest.fixture(scope="session")
def definition(template: Template) -> dict[str, Any]:
    return template.definition()


def test_every_task_has_a_time_limit_and_a_catch_for_everything(definition: dict[str, Any]) -> None:
    for name, state in definition["States"].items():
        if state["Type"] == "Task":
            assert 0 < state["TimeoutSeconds"] <= 30 * 24 * 3600, name
            assert any(catcher["ErrorEquals"] == ["States.ALL"] for catcher in state["Catch"]), name


def test_every_choice_has_a_default_and_every_state_can_be_reached(definition: dict[str, Any]) -> None:
    states = definition["States"]
    reached, waiting = set(), [definition["StartAt"]]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        state = states[name]
        if state["Type"] == "Choice":
            assert "Default" in state, name
        following = [state.get("Next"), state.get("Default")]
        following += [item["Next"] for key in ("Choices", "Catch") for item in state.get(key, [])]
        waiting += [item for item in following if item]
    assert reached == set(states)


def test_api_answers_that_nobody_needs_leave_the_data_alone(definition: dict[str, Any]) -> None:
    """Without an explicit null the answer would replace the whole of the state's data."""
    for name, state in definition["States"].items():
        if state["Type"] == "Task":
            assert "ResultPath" in state, name
            assert state["ResultPath"] != "$", name
    discarded = {name for name, state in definition["States"].items() if state.get("ResultPath", "$") is None}
    assert discarded == {
        "Features",
        "ExtendFeatures",
        "CreateModel",
        "CreateEndpointConfig",
        "CreateEndpoint",
        "UpdateEndpoint",
        "DeleteBrokenEndpoint",
        "RemoveEndpoint",
        "RestoreEndpoint",
        "Rules",
        "NetworkRules",
    }


MODES: tuple[dict[str, Any], ...] = ({}, {"extends": True}, {"mode": "finetune"})
"""What CheckDataset may plan of the first phases."""


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"training.instance_type": "ml.g5.xlarge", "training.weights": "weights/resnet50.pth"},
        {
            "training.mode": "finetune",
            "training.instance_type": "ml.g5.12xlarge",
            "training.instance_count": "2",
            "training.spot": "true",
            "dataset.input_mode": "FastFile",
            "features.instance_count": "3",
            "release.approval": "manual",
            "debugger.parameters": "Overfit.patience=2,ExplodingTensor.only_nan=true",
        },
    ],
)
def test_every_sagemaker_payload_is_what_the_service_takes(synthesise: Any, overrides: dict[str, str]) -> None:
    definition = synthesise(**overrides).definition()
    seen = set()
    failures: tuple[dict[str, TaskError], ...] = (
        {},
        {"SmokeTest": TaskError("SmokeTestFailed", "no")},
        {"AskApproval": TaskError("ModelRejected", "no")},
        {"AskApproval": TaskError("States.Timeout", "")},
    )
    for before, status in ((None, ""), (OLD_CONFIG, "InService"), (OLD_CONFIG, "Failed")):
        for broken, planned, access in product(failures, MODES, (False, True)):
            result = walk(definition, tasks(Endpoint(before, status), broken=broken, access=access, **planned), {})
            for name, payload in result.payloads:
                resource = definition["States"][name]["Resource"]
                if "sagemaker:" in resource:
                    seen.add(name)
                    assert problems(resource.rsplit(":", 1)[1], payload) == [], name
    called = {
        name
        for name, state in definition["States"].items()
        if state["Type"] == "Task" and "sagemaker:" in state["Resource"]
    }
    assert seen == called


def test_hyperparameters_of_every_job_are_those_the_scripts_parse(definition: dict[str, Any]) -> None:
    payloads = dict(walk(definition, tasks(Endpoint()), {}).payloads)
    features = payloads["Features"]["HyperParameters"]
    train = payloads["Train"]["HyperParameters"]
    trial = payloads["Tune"]["TrainingJobDefinition"]["StaticHyperParameters"]
    assert features["sagemaker_program"] == contract.EntryPoint.FEATURES
    assert train["sagemaker_program"] == contract.EntryPoint.TRAIN
    assert trial["sagemaker_program"] == contract.EntryPoint.TRIAL
    assert contract.Hyperparameters.from_strings(features) == contract.Hyperparameters()
    assert contract.Hyperparameters.from_strings(train) == contract.Hyperparameters(learning_rate=0.01, batch_size=32)
    assert contract.Hyperparameters.from_strings(trial) == contract.Hyperparameters(epochs=5)
    assert not {"learning_rate", "batch_size"} & set(trial)
    assert trial["sagemaker_submit_directory"] != train["sagemaker_submit_directory"]


@pytest.mark.parametrize(("objective", "direction"), [("accuracy", "Maximize"), ("loss", "Minimize")])
def test_the_objective_is_among_the_metrics_that_the_trials_print(
    synthesise: Any, objective: str, direction: str
) -> None:
    definition = synthesise(**{"tuning.objective": objective}).definition()
    payloads = dict(walk(definition, tasks(Endpoint()), {}).payloads)
    tune = payloads["Tune"]
    wanted = tune["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    assert wanted == {"Type": direction, "MetricName": f"validation:{objective}"}
    definitions = tune["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"]
    assert wanted["MetricName"] in [entry["Name"] for entry in definitions]
    # What the trial's line looks like is the contract's; that trials print exactly it, tests/training says.
    line = "epoch 1/5: " + " ".join(contract.metric(name).line(0.25) for name in contract.TRIAL_METRICS)
    for payload in (tune["TrainingJobDefinition"], payloads["Train"]):
        for entry in payload["AlgorithmSpecification"]["MetricDefinitions"]:
            found = re.findall(entry["Regex"], line)
            assert found == (["0.250000"] if entry["Name"] in contract.TRIAL_METRICS else []), entry


def test_what_is_searched_beside_is_searched_and_not_fixed(synthesise: Any) -> None:
    overrides = {"tuning.search_weight_decay": "true", "tuning.search_label_smoothing": "true"}
    definition = synthesise(**overrides).definition()
    best = {"learning_rate": "0.01", "batch_size": "32", "weight_decay": "0.001", "label_smoothing": "0.1"}
    found = {"BestTrainingJob": {"TrainingJobName": "t-1", "TunedHyperParameters": best}}
    payloads = dict(walk(definition, tasks(Endpoint()) | {"Tune": lambda _: found}, {}).payloads)
    assert not set(best) & set(payloads["Tune"]["TrainingJobDefinition"]["StaticHyperParameters"])
    trained = contract.Hyperparameters.from_strings(payloads["Train"]["HyperParameters"])
    assert (trained.weight_decay, trained.label_smoothing) == (0.001, 0.1)


@pytest.mark.parametrize("found", [False, True])
def test_a_warm_start_goes_with_the_request_only_where_there_is_a_parent(synthesise: Any, found: bool) -> None:
    template = synthesise(**{"tuning.warm_start": "true"})
    config = {
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "whippet-dev-old"}],
        "WarmStartType": "TransferLearning",
    }
    planned = plan()
    if found:
        planned["tuning"]["warm_start"] = config
    known = tasks(Endpoint())
    result = walk(
        template.definition(),
        known | {"CheckDataset": lambda _: planned, "TuneFromEarlier": known["Tune"]},
        {},
    )
    assert result.status == "SUCCEEDED"
    payloads = dict(result.payloads)
    assert ("TuneFromEarlier" in payloads, "Tune" in payloads) == (found, not found)
    payload = payloads["TuneFromEarlier" if found else "Tune"]
    assert payload.get("WarmStartConfig") == (config if found else None)
    assert problems("createHyperParameterTuningJob.sync", payload) == []


def test_jobs_know_their_run_and_the_features_job_its_key(definition: dict[str, Any]) -> None:
    payloads = dict(walk(definition, tasks(Endpoint()), {}).payloads)
    assert payloads["Features"]["Environment"] == {
        "WHIPPET_RUN": "run-1",
        "WHIPPET_FEATURES_KEY": "0" * 32,
        **contract.JOB_ENVIRONMENT,
    }
    assert payloads["Tune"]["TrainingJobDefinition"]["Environment"] == {
        "WHIPPET_RUN": "run-1",
        **contract.JOB_ENVIRONMENT,
    }
    ours = {"WHIPPET_RUN": "run-1", **contract.JOB_ENVIRONMENT}
    assert ours.items() <= payloads["Train"]["Environment"].items()
    assert ours.items() <= payloads["Rules"]["Environment"].items()


def test_allocator_settings_are_for_jobs_on_cpus(synthesise: Any) -> None:
    definition = synthesise(**{"training.instance_type": "ml.g5.xlarge"}).definition()
    payloads = dict(walk(definition, tasks(Endpoint()), {}).payloads)
    assert not contract.JOB_ENVIRONMENT.keys() & payloads["Train"]["Environment"].keys()
    assert "MALLOC_TOP_PAD_" in payloads["Tune"]["TrainingJobDefinition"]["Environment"]


def channels(job: dict[str, Any]) -> list[str]:
    return [item["ChannelName"] for item in job["InputDataConfig"]]


def test_features_are_extended_by_a_job_that_reads_the_earlier_ones(definition: dict[str, Any]) -> None:
    anew = walk(definition, tasks(Endpoint()), {})
    assert channels(dict(anew.payloads)["Features"]) == ["dataset", "manifest"]
    assert "ExtendFeatures" not in anew.path
    extended = walk(definition, tasks(Endpoint(), extends=True), {})
    job = dict(extended.payloads)["ExtendFeatures"]
    assert channels(job) == ["dataset", "manifest", contract.Channel.PREVIOUS_FEATURES]
    assert (
        job["InputDataConfig"][-1]["DataSource"]["S3DataSource"]["S3Uri"] == plan(extends=True)["features"]["previous"]
    )
    assert "Features" not in extended.path
    assert extended.path[extended.path.index("ExtendFeatures") + 1] == "Tune"
    assert extended.status == "SUCCEEDED"


def test_fine_tuning_goes_past_the_features_and_reads_the_photos(synthesise: Any) -> None:
    definition = synthesise(**{"training.weights": "weights/resnet50.pth"}).definition()
    result = walk(definition, tasks(Endpoint(), mode="finetune"), {})
    assert result.status == "SUCCEEDED"
    assert result.path[1:13] == [
        "CheckDataset", "DebuggerWay", "Mode?", "TuneNetwork", "NetworkTrialSucceeded?", "NetworkDebuggerOffered?",
        "TrainNetworkManaged", "NetworkDebuggerRefused?", "GoOnWithOwnNetworkRules", "TrainNetwork", "NetworkRules",
        "Verdict",
    ]  # fmt: skip
    payloads = dict(result.payloads)
    trial, train = payloads["TuneNetwork"]["TrainingJobDefinition"], payloads["TrainNetwork"]
    assert channels(trial) == channels(train) == ["dataset", "manifest", "weights"]
    assert trial["StaticHyperParameters"]["mode"] == train["HyperParameters"]["mode"] == "finetune"
    assert train["HyperParameters"]["learning_rate"] == "0.01"
    # A trial through the network needs the packages and the machine of the training.
    assert (
        trial["StaticHyperParameters"]["sagemaker_submit_directory"]
        == train["HyperParameters"]["sagemaker_submit_directory"]
    )
    assert trial["ResourceConfig"] == train["ResourceConfig"]
    assert trial["AlgorithmSpecification"]["TrainingImage"] == train["AlgorithmSpecification"]["TrainingImage"]


def test_jobs_that_are_interrupted_go_on_from_their_checkpoints(definition: dict[str, Any]) -> None:
    folder = "s3://data-bucket/runs/run-1/checkpoints/"
    for mode, train in (("features", "Train"), ("finetune", "TrainNetwork")):
        payloads = dict(walk(definition, tasks(Endpoint(), mode=mode), {}).payloads)
        assert payloads[train]["CheckpointConfig"] == {
            "S3Uri": f"{folder}whippet-dev-run-1-train/",
            "LocalPath": "/opt/ml/checkpoints",
        }
        assert payloads[train]["RetryStrategy"]["MaximumRetryAttempts"] >= 1
    trial = payloads["TuneNetwork"]["TrainingJobDefinition"]
    assert trial["CheckpointConfig"]["S3Uri"] == f"{folder}whippet-dev-run-1/"
    assert trial["RetryStrategy"]["MaximumRetryAttempts"] >= 1


def test_spot_instances_are_for_jobs_that_can_resume_and_are_waited_for(
    definition: dict[str, Any], synthesise: Any
) -> None:
    def jobs(chosen: dict[str, Any]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for mode in ("features", "finetune"):
            found |= dict(walk(chosen, tasks(Endpoint(), mode=mode), {}).payloads)
        for name in ("Tune", "TuneNetwork"):
            found[name] = found[name]["TrainingJobDefinition"]
        return {name: job for name, job in found.items() if "TrainingJobName" in job or "StaticHyperParameters" in job}

    assert not any("EnableManagedSpotTraining" in job for job in jobs(definition).values())
    spot = synthesise(**{"training.spot": "true"}).definition()
    on_spot = {name: job for name, job in jobs(spot).items() if job.get("EnableManagedSpotTraining")}
    assert set(on_spot) == {"Train", "TrainManaged", "TrainNetwork", "TrainNetworkManaged", "TuneNetwork"}
    for name, job in on_spot.items():
        stopping = job["StoppingCondition"]
        assert stopping["MaxWaitTimeInSeconds"] > stopping["MaxRuntimeInSeconds"], name
        assert spot["States"][name]["TimeoutSeconds"] >= stopping["MaxWaitTimeInSeconds"], name
        assert "CheckpointConfig" in job, name


def test_several_processes_are_started_by_torchrun(definition: dict[str, Any], synthesise: Any) -> None:
    def distributed(chosen: dict[str, Any], mode: str) -> set[str]:
        payloads = dict(walk(chosen, tasks(Endpoint(), mode=mode), {}).payloads)
        values = {
            name: job.get("HyperParameters") or job["TrainingJobDefinition"]["StaticHyperParameters"]
            for name, job in payloads.items()
            if "HyperParameters" in job or "TrainingJobDefinition" in job
        }
        return {name for name, given in values.items() if given.get("sagemaker_torch_distributed_enabled") == "true"}

    assert distributed(definition, "finetune") == set()
    several = {"training.mode": "finetune", "training.instance_count": "2"}
    hosts = synthesise(**several).definition()
    trainings = {"TrainNetwork", "TrainNetworkManaged"}
    assert distributed(hosts, "finetune") == trainings
    payloads = dict(walk(hosts, tasks(Endpoint(), mode="finetune"), {}).payloads)
    assert payloads["TrainNetwork"]["ResourceConfig"]["InstanceCount"] == 2
    assert payloads["TuneNetwork"]["TrainingJobDefinition"]["ResourceConfig"]["InstanceCount"] == 1
    gpus = synthesise(**several, **{"training.instance_type": "ml.g5.12xlarge"}).definition()
    assert distributed(gpus, "finetune") == {*trainings, "TuneNetwork"}
    assert distributed(gpus, "features") == set()


def test_the_embedding_is_shared_by_the_machines_of_the_setting(synthesise: Any) -> None:
    definition = synthesise(**{"features.instance_count": "3"}).definition()
    payloads = dict(walk(definition, tasks(Endpoint()), {}).payloads)
    assert payloads["Features"]["ResourceConfig"]["InstanceCount"] == 3
    assert payloads["Train"]["ResourceConfig"]["InstanceCount"] == 1


def test_photos_are_streamed_where_the_setting_says_so(synthesise: Any) -> None:
    definition = synthesise(**{"dataset.input_mode": "FastFile"}).definition()
    payloads = dict(walk(definition, tasks(Endpoint()), {}).payloads)
    modes = {item["ChannelName"]: item["InputMode"] for item in payloads["Train"]["InputDataConfig"]}
    assert modes == {"features": "File", "dataset": "FastFile", "manifest": "File"}


def test_gpu_instances_get_the_gpu_image_of_the_region(synthesise: Any) -> None:
    definition = synthesise(**{"training.instance_type": "ml.g5.xlarge"}).definition()
    payloads = dict(walk(definition, tasks(Endpoint()), {}).payloads)
    registry = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch"
    image = payloads["Train"]["AlgorithmSpecification"]["TrainingImage"]
    trial = payloads["Tune"]["TrainingJobDefinition"]["AlgorithmSpecification"]["TrainingImage"]
    assert image == f"{registry}:2.13-cu133-amzn2023-sagemaker"
    assert trial == f"{registry}:2.13-cpu-amzn2023-sagemaker"


def test_the_first_run_creates_the_endpoint(definition: dict[str, Any]) -> None:
    endpoint = Endpoint()
    result = walk(definition, tasks(endpoint), {})
    assert result.status == "SUCCEEDED"
    assert endpoint.calls == ["create"]
    assert endpoint.config == NEW_CONFIG
    assert "Features" in result.path


def test_a_later_run_updates_the_endpoint(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    result = walk(definition, tasks(endpoint), {"epochs": 3})
    assert result.status == "SUCCEEDED"
    assert endpoint.calls == [f"update to {NEW_CONFIG}"]
    payloads = dict(result.payloads)
    assert payloads["CheckDataset"]["overrides"] == {"epochs": 3}
    assert payloads["Retire"] == {"current": NEW_CONFIG, "previous": OLD_CONFIG}


def test_complete_features_are_not_computed_again(definition: dict[str, Any]) -> None:
    assert "Features" not in walk(definition, tasks(Endpoint(), features_ready=True), {}).path


@pytest.mark.parametrize("status", ["Failed", "OutOfService", "UpdateRollbackFailed"])
def test_a_broken_endpoint_is_deleted_and_created_anew(definition: dict[str, Any], status: str) -> None:
    endpoint = Endpoint(OLD_CONFIG, status)
    assert walk(definition, tasks(endpoint), {}).status == "SUCCEEDED"
    assert endpoint.calls == ["delete", "create"]


@pytest.mark.parametrize("status", ["Creating", "Updating"])
def test_a_busy_endpoint_is_waited_for(definition: dict[str, Any], status: str) -> None:
    endpoint = Endpoint(OLD_CONFIG, status)
    result = walk(definition, tasks(endpoint), {})
    assert result.status == "SUCCEEDED"
    assert result.path.index("WaitForEndpoint") < result.path.index("UpdateEndpoint")


def test_a_run_that_finds_the_endpoint_taken_waits_for_its_turn(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    attempts = []

    def update(payload: dict[str, Any]) -> Any:
        attempts.append(payload)
        if len(attempts) == 1:
            raise TaskError("SageMaker.AmazonSageMakerException", 'Cannot update in-progress endpoint "arn".')
        return endpoint.update(payload)

    result = walk(definition, tasks(endpoint) | {"UpdateEndpoint": update}, {})
    assert result.status == "SUCCEEDED"
    assert len(attempts) == 2


def test_an_update_that_sagemaker_rolled_back_fails_the_run(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    endpoint.rolls_back = True
    result = walk(definition, tasks(endpoint), {})
    assert (result.status, result.error) == ("FAILED", "RolloutFailed")
    assert OLD_CONFIG in result.cause
    assert endpoint.config == OLD_CONFIG
    endpoint = Endpoint(OLD_CONFIG)
    endpoint.rolls_back, endpoint.reason = True, "The container did not pass the ping health check."
    result = walk(definition, tasks(endpoint), {})
    assert "ping health check" in result.cause


def test_a_failed_smoke_test_brings_the_previous_model_back(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    result = walk(definition, tasks(endpoint, broken={"SmokeTest": TaskError("SmokeTestFailed", "wrong shape")}), {})
    assert (result.status, result.error) == ("FAILED", "SmokeTestFailed")
    assert "wrong shape" in result.cause
    assert endpoint.config == OLD_CONFIG
    assert endpoint.calls == [f"update to {NEW_CONFIG}", f"update to {OLD_CONFIG}"]


def test_a_failed_smoke_test_of_the_first_model_removes_the_endpoint(definition: dict[str, Any]) -> None:
    endpoint = Endpoint()
    result = walk(definition, tasks(endpoint, broken={"SmokeTest": TaskError("SmokeTestFailed", "wrong shape")}), {})
    assert result.error == "SmokeTestFailed"
    assert endpoint.calls == ["create", "delete"]


def test_a_rollback_leaves_another_runs_model_alone(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)

    def smoke_test(_: dict[str, Any]) -> Any:
        endpoint.config = "whippet-dev-other"
        raise TaskError("SmokeTestFailed", "labels of another model")

    result = walk(definition, tasks(endpoint) | {"SmokeTest": smoke_test}, {})
    assert result.error == "SmokeTestFailed"
    assert endpoint.config == "whippet-dev-other"


@pytest.mark.parametrize(("mode", "tune"), [("features", "Tune"), ("finetune", "TuneNetwork")])
def test_a_tuning_job_without_a_finished_trial_fails_the_run(definition: dict[str, Any], mode: str, tune: str) -> None:
    result = walk(definition, tasks(Endpoint(), mode=mode) | {tune: lambda _: {"BestTrainingJob": {}}}, {})
    assert result.error == "NoTrialSucceeded"
    assert not {"Train", "TrainNetwork"} & set(result.path)


@pytest.mark.parametrize(
    ("state", "failure", "words"),
    [
        ("CheckDataset", TaskError("BadDataset", '{"errorMessage": "there are no photos"}'), "no photos"),
        ("Features", job_failed("AlgorithmError: cannot decode"), "cannot decode"),
        ("Tune", TaskError("SageMaker.ResourceLimitExceededException", "quota ml.c5.xlarge"), "quota"),
        ("Train", job_failed("AlgorithmError: out of memory"), "out of memory"),
        ("Rules", TaskError("States.TaskFailed", '{"FailureReason": "no module smdebug"}'), "no module smdebug"),
        ("Verdict", TaskError("UnreadableOutput", '{"errorMessage": "no evaluation.json"}'), "no evaluation.json"),
        ("RegisterModel", TaskError("SageMaker.SageMakerException", "no such group"), "no such group"),
        ("CreateModel", TaskError("SageMaker.AmazonSageMakerException", "no such image"), "no such image"),
        ("CreateEndpointConfig", TaskError("SageMaker.AmazonSageMakerException", "no such type"), "no such type"),
        ("DescribeEndpoint", TaskError("SageMaker.SageMakerException", "not authorized"), "not authorized"),
        ("CreateEndpoint", TaskError("SageMaker.AmazonSageMakerException", "not authorized"), "not authorized"),
        ("DescribeRollout", TaskError("States.Timeout", ""), "no reason"),
    ],
)  # fmt: skip
def test_every_failure_is_notified_and_ends_the_execution_with_its_reason(
    definition: dict[str, Any], state: str, failure: TaskError, words: str
) -> None:
    result = walk(definition, tasks(Endpoint(), broken={state: failure}), {})
    assert (result.status, result.error) == ("FAILED", failure.error)
    assert words in result.cause
    assert result.path[-4:] == ["Report", "Notify", "Outcome?", "Failed"]


def test_old_models_that_cannot_be_deleted_do_not_undo_the_release(definition: dict[str, Any]) -> None:
    result = walk(definition, tasks(Endpoint(OLD_CONFIG), broken={"Retire": TaskError("ClientError", "denied")}), {})
    assert result.status == "SUCCEEDED"


def test_a_broken_notification_says_so(definition: dict[str, Any]) -> None:
    result = walk(definition, tasks(Endpoint(), broken={"Notify": TaskError("KeyError", "'plan'")}), {})
    assert (result.status, result.error, result.path[-1]) == ("FAILED", "KeyError", "NotNotified")
