"""The requests that the state machine sends: valid for the service, and what the jobs' scripts expect."""

from __future__ import annotations

import re
from typing import Any

import pytest

import contract
from contract import JOB_ENVIRONMENT
from tests.infra.asl_walker import walk
from tests.infra.fake_run import WARM_START, Endpoint, every_walk, plan, tasks
from tests.infra.service_model import problems


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"training.instance_type": "ml.g5.xlarge", "training.weights": "weights/resnet50.pth"},
        {"tuning.warm_start": "true", "debugger.mode": "managed", "features.instance_count": "3"},
        {"tuning.backbones": "resnet50,resnet18"},
        {
            "training.mode": "finetune",
            "training.instance_type": "ml.g5.12xlarge",
            "training.instance_count": "2",
            "training.spot": "true",
            "dataset.input_mode": "FastFile",
            "release.approval": "manual",
            "debugger.parameters": "Overfit.patience=2,ExplodingTensor.only_nan=true",
        },
    ],
)
def test_every_sagemaker_payload_is_what_the_service_takes(synthesise: Any, overrides: dict[str, str]) -> None:
    definition = synthesise(**overrides).definition()
    seen = set()
    for result in every_walk(definition, mode=overrides.get("training.mode", "features")):
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


@pytest.mark.parametrize(
    ("overrides", "value"), [({}, "true"), ({"serving.name_unknown": "false"}, "false")], ids=["default", "none"]
)
def test_the_endpoints_container_is_told_whether_to_name_unknown_photos(
    synthesise: Any, overrides: dict[str, str], value: str
) -> None:
    definition = synthesise(**overrides).definition()
    model = dict(walk(definition, tasks(Endpoint()), {}).payloads)["CreateModel"]
    environment = model["PrimaryContainer"]["Environment"]
    assert environment[contract.ServingVariable.NAME_UNKNOWN] == value
    # what only a batch, and only the local cloud, tell a container
    others = {contract.ServingVariable.BATCH_PARAMETERS, contract.ServingVariable.METRICS_SECONDS}
    assert environment.keys() == set(contract.ServingVariable) - others


def test_the_endpoints_container_is_told_the_name_of_its_release(definition: dict[str, Any]) -> None:
    model = dict(walk(definition, tasks(Endpoint()), {}).payloads)["CreateModel"]
    assert model["PrimaryContainer"]["Environment"][contract.ServingVariable.RELEASE] == model["ModelName"]


@pytest.mark.parametrize("mode", ["realtime", "serverless"])
def test_the_endpoints_container_is_kept_from_the_network_where_sagemaker_can(synthesise: Any, mode: str) -> None:
    definition = synthesise(**{"serving.mode": mode}).definition()
    model = dict(walk(definition, tasks(Endpoint()), {}).payloads)["CreateModel"]
    assert model.get("EnableNetworkIsolation", False) == (mode == "realtime")


def test_the_registered_package_names_what_the_server_takes(definition: dict[str, Any]) -> None:
    package = dict(walk(definition, tasks(Endpoint()), {}).payloads)["RegisterModel"]
    named = package["InferenceSpecification"]["SupportedContentTypes"]
    assert named == list(contract.CONTENT_TYPES)
    assert {"application/octet-stream", "application/x-image", "application/json", "image/jpeg"} <= set(named)


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


@pytest.mark.parametrize(
    ("chosen", "objective", "direction"),
    [({}, "loss", "Minimize"), ({"tuning.objective": "accuracy"}, "accuracy", "Maximize")],
    ids=["default", "accuracy"],
)
def test_the_objective_is_among_the_metrics_that_the_trials_print(
    synthesise: Any, chosen: dict[str, str], objective: str, direction: str
) -> None:
    definition = synthesise(**chosen).definition()
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


@pytest.mark.parametrize("mode", ["features", "finetune"])
def test_the_backbone_that_the_search_chose_is_trained(synthesise: Any, mode: str) -> None:
    definition = synthesise(**{"training.mode": mode, "tuning.backbones": "resnet18,resnet50"}).definition()
    best = {"learning_rate": "0.01", "batch_size": "32", "backbone": "resnet18"}
    found = {"BestTrainingJob": {"TrainingJobName": "t-1", "TunedHyperParameters": best}}
    payloads = dict(walk(definition, tasks(Endpoint(), mode=mode) | {"Tune": lambda _: found}, {}).payloads)
    assert "backbone" not in payloads["Tune"]["TrainingJobDefinition"]["StaticHyperParameters"]
    assert payloads["Train"]["HyperParameters"]["backbone"] == "resnet18"
    if "Features" in payloads:
        assert payloads["Features"]["Environment"][contract.JobVariable.BACKBONES] == "resnet18,resnet50"


@pytest.mark.parametrize("found", [False, True])
def test_a_warm_start_goes_with_the_request_only_where_there_is_a_parent(synthesise: Any, found: bool) -> None:
    definition = synthesise(**{"tuning.warm_start": "true"}).definition()
    result = walk(definition, tasks(Endpoint(), warm_start=found), {})
    assert result.status == "SUCCEEDED"
    payloads = dict(result.payloads)
    assert ("TuneFromEarlier" in payloads, "Tune" in payloads) == (found, not found)
    payload = payloads["TuneFromEarlier" if found else "Tune"]
    assert payload.get("WarmStartConfig") == (WARM_START if found else None)
    assert problems("createHyperParameterTuningJob.sync", payload) == []


def test_jobs_know_their_run_and_the_features_job_its_key(definition: dict[str, Any]) -> None:
    payloads = dict(walk(definition, tasks(Endpoint()), {}).payloads)
    assert payloads["Features"]["Environment"] == {
        "WHIPPET_RUN": "run-1",
        "WHIPPET_FEATURES_KEY": "0" * 32,
        **JOB_ENVIRONMENT,
    }
    assert payloads["Tune"]["TrainingJobDefinition"]["Environment"] == {"WHIPPET_RUN": "run-1", **JOB_ENVIRONMENT}
    ours = {"WHIPPET_RUN": "run-1", **JOB_ENVIRONMENT}
    assert ours.items() <= payloads["Train"]["Environment"].items()
    assert ours.items() <= payloads["Rules"]["Environment"].items()


def test_allocator_settings_are_for_jobs_on_cpus(synthesise: Any) -> None:
    definition = synthesise(**{"training.instance_type": "ml.g5.xlarge"}).definition()
    payloads = dict(walk(definition, tasks(Endpoint()), {}).payloads)
    assert not JOB_ENVIRONMENT.keys() & payloads["Train"]["Environment"].keys()
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
    assert extended.path[extended.path.index("ExtendFeatures") + 1] == "SearchedBefore?"
    assert extended.status == "SUCCEEDED"


def test_complete_features_are_not_computed_again(definition: dict[str, Any]) -> None:
    assert "Features" not in walk(definition, tasks(Endpoint(), features_ready=True), {}).path


def test_fine_tuning_begins_with_the_features_and_reads_the_photos(synthesise: Any) -> None:
    chosen = {"training.mode": "finetune", "training.weights": "weights/resnet50.pth"}
    result = walk(synthesise(**chosen).definition(), tasks(Endpoint(), mode="finetune"), {})
    assert result.status == "SUCCEEDED"
    done = [state for state in result.path[1 : result.path.index("Verdict") + 1] if not state.endswith("Before?")]
    assert done == [
        "CheckDataset", "RuleEvaluator", "FeaturesReady?", "Features", "Tune", "TrialSucceeded?", "DebuggerOffered?",
        "TrainManaged", "TrainManagedFailed?", "GoOnWithOwnRules", "Train", "Rules", "Verdict",
    ]  # fmt: skip
    payloads = dict(result.payloads)
    trial, train = payloads["Tune"]["TrainingJobDefinition"], payloads["Train"]
    assert channels(trial) == ["features", "dataset", "manifest", "weights"]
    assert channels(train) == [*channels(trial), "in_service"]
    assert trial["StaticHyperParameters"]["mode"] == train["HyperParameters"]["mode"] == "finetune"
    assert train["HyperParameters"]["learning_rate"] == "0.01"
    # A trial through the network needs the packages and the machine of the training.
    code = train["HyperParameters"]["sagemaker_submit_directory"]
    assert trial["StaticHyperParameters"]["sagemaker_submit_directory"] == code
    assert trial["ResourceConfig"] == train["ResourceConfig"]
    assert trial["AlgorithmSpecification"]["TrainingImage"] == train["AlgorithmSpecification"]["TrainingImage"]
    assert payloads["CheckDataset"]["trial"] == {
        "image": train["AlgorithmSpecification"]["TrainingImage"],
        "source": code,
    }


@pytest.mark.parametrize("mode", ["features", "finetune"])
def test_jobs_with_a_weights_channel_know_their_files_name(synthesise: Any, mode: str) -> None:
    """The channel is an S3 prefix and may bring other files too."""
    template = synthesise(**{"training.mode": mode, "training.weights": "weights/resnet50.pth"})
    jobs = training_jobs(template.definition(), mode)
    reading = [job for job in jobs.values() if "weights" in channels(job)]
    assert reading
    for job in reading:
        (source,) = [item["DataSource"] for item in job["InputDataConfig"] if item["ChannelName"] == "weights"]
        assert source["S3DataSource"]["S3Uri"] == "s3://data-bucket/weights/resnet50.pth"
        assert job["Environment"]["WHIPPET_WEIGHTS"] == "resnet50.pth"


def test_jobs_that_are_interrupted_go_on_from_their_checkpoints(
    definition: dict[str, Any], fine_tuning: dict[str, Any]
) -> None:
    folder = "s3://data-bucket/checkpoints/run-1/"
    for chosen, mode in ((definition, "features"), (fine_tuning, "finetune")):
        payloads = dict(walk(chosen, tasks(Endpoint(), mode=mode), {}).payloads)
        assert payloads["Train"]["CheckpointConfig"] == {
            "S3Uri": f"{folder}whippet-dev-run-1-train/",
            "LocalPath": "/opt/ml/checkpoints",
        }
    trial = payloads["Tune"]["TrainingJobDefinition"]
    assert trial["CheckpointConfig"]["S3Uri"] == f"{folder}whippet-dev-run-1/"


def training_jobs(definition: dict[str, Any], mode: str) -> dict[str, dict[str, Any]]:
    """The requests of every training job of a run; that of Tune is its trials'."""
    payloads = dict(walk(definition, tasks(Endpoint(), mode=mode), {}).payloads)
    payloads["Tune"] = payloads["Tune"]["TrainingJobDefinition"]
    return {name: job for name, job in payloads.items() if "AlgorithmSpecification" in job}


@pytest.mark.parametrize(
    ("mode", "resumable"),
    [("features", {"Train", "TrainManaged"}), ("finetune", {"Train", "TrainManaged", "Tune"})],
)
def test_spot_instances_are_for_jobs_that_can_resume_and_are_waited_for(
    synthesise: Any, mode: str, resumable: set[str]
) -> None:
    def on_spot(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
        jobs = training_jobs(definition, mode)
        return {name: job for name, job in jobs.items() if job.get("EnableManagedSpotTraining")}

    assert on_spot(synthesise(**{"training.mode": mode}).definition()) == {}
    spot = synthesise(**{"training.mode": mode, "training.spot": "true"}).definition()
    assert on_spot(spot).keys() == resumable
    for name, job in on_spot(spot).items():
        stopping = job["StoppingCondition"]
        assert stopping["MaxWaitTimeInSeconds"] > stopping["MaxRuntimeInSeconds"], name
        assert spot["States"][name]["TimeoutSeconds"] >= stopping["MaxWaitTimeInSeconds"], name
        assert "CheckpointConfig" in job, name


def test_several_processes_are_started_by_torchrun(synthesise: Any, fine_tuning: dict[str, Any]) -> None:
    def distributed(definition: dict[str, Any], mode: str = "finetune") -> set[str]:
        given = {
            name: job.get("HyperParameters") or job["StaticHyperParameters"]
            for name, job in training_jobs(definition, mode).items()
        }
        return {name for name, values in given.items() if values.get("sagemaker_torch_distributed_enabled") == "true"}

    assert distributed(fine_tuning) == set()
    several = {"training.mode": "finetune", "training.instance_count": "2"}
    hosts = synthesise(**several).definition()
    assert distributed(hosts) == {"Train", "TrainManaged"}
    jobs = training_jobs(hosts, "finetune")
    assert jobs["Train"]["ResourceConfig"]["InstanceCount"] == 2
    assert jobs["Tune"]["ResourceConfig"]["InstanceCount"] == 1
    gpus = {"training.instance_type": "ml.g5.12xlarge"}
    assert distributed(synthesise(**several, **gpus).definition()) == {"Train", "TrainManaged", "Tune"}
    assert distributed(synthesise(**gpus).definition(), "features") == set()

    # the toolkit counts the GPUs itself, so that a count of ours that is too low costs no GPU
    one = {"training.mode": "finetune", "training.instance_type": "ml.g5.xlarge"}
    assert distributed(synthesise(**one).definition()) == {"Train", "TrainManaged", "Tune"}


def test_the_embedding_is_shared_by_the_machines_of_the_setting(synthesise: Any) -> None:
    definition = synthesise(**{"features.instance_count": "3"}).definition()
    payloads = dict(walk(definition, tasks(Endpoint()), {}).payloads)
    assert payloads["Features"]["ResourceConfig"]["InstanceCount"] == 3
    assert payloads["Train"]["ResourceConfig"]["InstanceCount"] == 1

    # and none copies the photos of the others
    modes = {
        (name, item["ChannelName"]): item["InputMode"]
        for name in ("Features", "Train")
        for item in payloads[name]["InputDataConfig"]
    }
    assert modes["Features", "dataset"] == "FastFile"
    assert modes["Features", "manifest"] == modes["Train", "manifest"] == "File"


def test_photos_are_streamed_where_the_setting_says_so(synthesise: Any) -> None:
    definition = synthesise(**{"dataset.input_mode": "FastFile"}).definition()
    payloads = dict(walk(definition, tasks(Endpoint()), {}).payloads)
    modes = {item["ChannelName"]: item["InputMode"] for item in payloads["Features"]["InputDataConfig"]}
    assert modes == {"dataset": "FastFile", "manifest": "File"}


def test_the_training_of_a_head_downloads_no_photo_that_it_does_not_read(
    synthesise: Any, fine_tuning: dict[str, Any]
) -> None:
    """It tests on a part of the photos and learns from their features (A-50); FastFile takes S3 prefixes alone."""

    def inputs(job: dict[str, Any]) -> dict[str, tuple[str, str]]:
        return {
            item["ChannelName"]: (item["InputMode"], item["DataSource"]["S3DataSource"]["S3DataType"])
            for item in job["InputDataConfig"]
        }

    for definition in (synthesise().definition(), synthesise(**{"debugger.mode": "managed"}).definition()):
        jobs = training_jobs(definition, "features")
        for name in jobs.keys() & {"Train", "TrainManaged"}:
            assert inputs(jobs[name]) == {
                "in_service": ("File", "S3Prefix"),
                "features": ("File", "S3Prefix"),
                "dataset": ("FastFile", "S3Prefix"),
                "manifest": ("File", "S3Prefix"),
            }, name
        assert inputs(jobs["Features"])["dataset"] == ("File", "S3Prefix")

    # a network reads every photo in every epoch
    assert inputs(training_jobs(fine_tuning, "finetune")["Train"])["dataset"] == ("File", "S3Prefix")


def test_gpu_instances_get_the_gpu_image_of_the_region(synthesise: Any) -> None:
    definition = synthesise(**{"training.instance_type": "ml.g5.xlarge"}).definition()
    payloads = dict(walk(definition, tasks(Endpoint()), {}).payloads)
    registry = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch"
    image = payloads["Train"]["AlgorithmSpecification"]["TrainingImage"]
    trial = payloads["Tune"]["TrainingJobDefinition"]["AlgorithmSpecification"]["TrainingImage"]
    assert image == f"{registry}:2.13-cu133-amzn2023-sagemaker"
    assert trial == f"{registry}:2.13-cpu-amzn2023-sagemaker"


@pytest.mark.parametrize("mode", ["features", "finetune"])
def test_every_training_gets_the_model_in_service_and_no_other_job(synthesise: Any, mode: str) -> None:
    definition = synthesise(**{"training.mode": mode}).definition()
    seen = set()
    for result in every_walk(definition, mode=mode):
        for name, payload in result.payloads:
            for job in (payload, payload.get("TrainingJobDefinition", {})):
                inputs = {item["ChannelName"]: item for item in job.get("InputDataConfig", [])}
                if contract.Channel.IN_SERVICE in inputs:
                    seen.add(name)
                    source = inputs[contract.Channel.IN_SERVICE]["DataSource"]["S3DataSource"]
                    assert source["S3Uri"] == plan()["in_service_uri"]
    assert seen == {"Train", "TrainManaged"}
