from __future__ import annotations

import json
from typing import Any

import pytest
from check_dataset import handler as check_dataset
from check_dataset.listing import BadDataset
from check_dataset.overrides import InvalidInput
from check_dataset.quotas import QuotaTooSmall
from check_dataset.warm_start import NewTuning

import contract
from infra.quotas import machines
from infra.settings import Settings
from tests.fakes.lambda_context import Context
from tests.fakes.quotas import FakeEndpoint, service_quotas
from tests.fakes.s3 import FakeS3
from tests.fakes.ssm import FakeParameter
from tests.infra import fake_run

STARTED = "2026-11-28T21:00:00.123Z"
RUN = contract.run_id("run-1", started=STARTED)
FEATURES = ("train_features.npy", b"12345678"), ("train_labels.npy", b"1234")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> FakeS3:
    deploy(monkeypatch)
    fake = FakeS3({f"dataset/{label}/{n}.jpg": f"{label} {n}".encode() for label in ("cat", "dog") for n in range(20)})
    monkeypatch.setattr(check_dataset, "s3", fake)
    return fake


def deploy(monkeypatch: pytest.MonkeyPatch, **sections: dict[str, Any]) -> None:
    """Give the function the settings of a stack, by their sections."""
    settings = Settings.model_validate(sections)
    monkeypatch.setenv("MACHINES", json.dumps(machines(settings)))
    monkeypatch.setattr(check_dataset, "service_quotas", service_quotas({}))
    monkeypatch.setattr(check_dataset, "sagemaker", FakeEndpoint())
    monkeypatch.setenv("SETTINGS", settings.model_dump_json(include={"dataset", "tuning", "training"}))


def event(execution: str = "run-1", **overrides: object) -> contract.CheckDatasetInput:
    trial = contract.TrialCode(image="image:1", source="s3://assets/trial.tar.gz")
    training = contract.TrialCode(image="image:1", source="s3://assets/training.tar.gz")
    return {"overrides": overrides, "execution": execution, "started": STARTED, "trial": trial, "training": training}


def check(context: Context, **overrides: object) -> contract.Plan:
    return check_dataset.handler(event(**overrides), context)  # type: ignore[arg-type]


def keys(value: Any) -> Any:
    return {key: keys(item) for key, item in value.items()} if isinstance(value, dict) else type(value).__name__


def store_features(
    s3: FakeS3, plan: contract.Plan, job: str, *, below: str = "", missing: bool = False, short: bool = False
) -> None:
    folder = f"{plan['features']['output'].removeprefix('s3://data/')}{job}/output/model/{below}"
    for name, body in FEATURES[: 1 if missing else 2]:
        s3.put_object(Bucket="data", Key=folder + name, Body=body[:-1] if short else body)
    index = {
        "files": [{"name": name, "bytes": len(body)} for name, body in FEATURES],
        "part": {"number": 0, "of": 1},
    }
    s3.put_object(Bucket="data", Key=folder + contract.Artefact.FEATURES_INDEX, Body=json.dumps(index).encode())


def test_the_plan_is_the_one_the_state_machine_was_tested_with(s3: FakeS3, context: Context) -> None:
    assert keys(check(context)) == keys(fake_run.plan())


def test_the_manifest_is_written_where_the_plan_says(s3: FakeS3, context: Context) -> None:
    plan = check(context)
    assert plan["manifest_uri"] == f"s3://data/runs/{RUN}/manifest/"
    summary = json.loads(s3.objects[f"runs/{RUN}/manifest/dataset.json"])
    records = s3.objects[f"runs/{RUN}/manifest/manifest.jsonl"].decode().splitlines()
    assert summary["images"] == len(records) == plan["images"] == 40
    assert [entry["name"] for entry in summary["classes"]] == ["cat", "dog"]


def test_every_left_out_file_is_in_a_table_beside_the_manifest(s3: FakeS3, context: Context) -> None:
    s3.put_object(Bucket="data", Key="dataset/cat/notes, old.txt", Body=b"x")
    s3.put_object(Bucket="data", Key="dataset/.DS_Store", Body=b"x")
    check(context)
    assert s3.objects[f"runs/{RUN}/manifest/left_out.csv"].decode().splitlines() == [
        "path,reason",
        ".DS_Store,it is a file of the system or of a program",
        '"cat/notes, old.txt","it is no photo by its name, which must end in .avif, .bmp, .gif, .jfif, .jpe, .jpeg, '
        '.jpg, .png, .tif, .tiff, .webp"',
    ]


def test_photos_of_a_group_stay_together(s3: FakeS3, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f"cat/{n}.jpg,store {n % 5}\n" for n in range(20))
    s3.put_object(Bucket="data", Key="dataset/groups.csv", Body=f"path,group\n{rows}".encode())
    deploy(monkeypatch, dataset={"group_pattern": r"dog/.*(\d)\.jpg"})
    check(context)
    where: dict[str, set[str]] = {}
    for line in s3.objects[f"runs/{RUN}/manifest/manifest.jsonl"].decode().splitlines():
        record = json.loads(line)
        number = int(record["path"].split("/")[1].removesuffix(".jpg"))
        group = f"store {number % 5}" if record["path"].startswith("cat") else f"dogs {number % 10}"
        where.setdefault(group, set()).add(record["split"])
    assert len(where) == 15
    assert all(len(splits) == 1 for splits in where.values())


def test_bursts_that_the_upload_found_stay_together(s3: FakeS3, context: Context) -> None:
    rows = "".join(f"{label}/{n}.jpg,burst of {label} {n // 2}\n" for label in ("cat", "dog") for n in range(20))
    s3.put_object(Bucket="data", Key="dataset/.whippet-groups.csv", Body=f"path,group\n{rows}".encode())
    check(context)
    records = [json.loads(line) for line in s3.objects[f"runs/{RUN}/manifest/manifest.jsonl"].decode().splitlines()]
    assert len({record["group"] for record in records}) == 20
    assert len({(record["group"], record["split"]) for record in records}) == 20
    summary = json.loads(s3.objects[f"runs/{RUN}/manifest/dataset.json"])
    assert summary["stray_files"] == 0
    assert summary["remarks"][0].startswith("40 photos were taken in bursts (20)")


def test_a_damaged_list_of_bursts_stops_no_run(s3: FakeS3, context: Context) -> None:
    s3.put_object(Bucket="data", Key="dataset/.whippet-groups.csv", Body=b"\xff\xfe damaged")
    check(context)
    (remark,) = json.loads(s3.objects[f"runs/{RUN}/manifest/dataset.json"])["remarks"]
    assert remark.startswith("Bursts are not kept together: .whippet-groups.csv is not UTF-8")
    assert remark.endswith("Upload the photos again.")


def test_features_are_computed_when_there_are_none(s3: FakeS3, context: Context) -> None:
    features = check(context)["features"]
    assert not features["ready"]
    assert features["uri"] == f"{features['output']}whippet-dev-{RUN}-features/output/model/"


def test_complete_features_of_an_earlier_run_are_used(s3: FakeS3, context: Context) -> None:
    plan = check(context)
    store_features(s3, plan, "whippet-dev-old-features")
    features = check(context)["features"]
    assert features["ready"]
    assert features["uri"] == f"{features['output']}whippet-dev-old-features/output/model/"


@pytest.mark.parametrize("broken", ["missing", "short"])
def test_incomplete_features_are_not_used(s3: FakeS3, context: Context, broken: str) -> None:
    plan = check(context)
    store_features(s3, plan, "whippet-dev-old-features", missing=broken == "missing", short=broken == "short")
    assert not check(context)["features"]["ready"]


def test_another_photo_or_backbone_means_other_features(s3: FakeS3, context: Context) -> None:
    first = check(context)["features"]["key"]
    assert check(context, epochs=3)["features"]["key"] == first
    assert check(context, backbone="efficientnet_lite0")["features"]["key"] != first
    s3.put_object(Bucket="data", Key="dataset/cat/new.jpg", Body=b"new")
    assert check(context)["features"]["key"] != first


def test_features_of_other_photos_are_extended(s3: FakeS3, context: Context) -> None:
    before = check(context)
    assert not before["features"]["extends"]
    store_features(s3, before, "whippet-dev-old-features")
    assert not check(context)["features"]["extends"], "they are used as they are"
    s3.put_object(Bucket="data", Key="dataset/cat/new.jpg", Body=b"new")
    features = check(context)["features"]
    assert (features["ready"], features["extends"]) == (False, True)
    assert features["previous"] == f"{before['features']['output']}whippet-dev-old-features/output/model/"
    assert features["output"] != before["features"]["output"]


@pytest.mark.parametrize("change", [{"backbone": "efficientnet_lite0"}, {"views": 2}, {"seed": 1}, {"image_size": 96}])
def test_features_made_in_another_way_are_not_extended(s3: FakeS3, context: Context, change: dict[str, Any]) -> None:
    store_features(s3, check(context), "whippet-dev-old-features")
    features = check(context, **change)["features"]
    assert (features["ready"], features["extends"], features["previous"]) == (False, False, "")


def test_incomplete_features_are_not_extended(s3: FakeS3, context: Context) -> None:
    store_features(s3, check(context), "whippet-dev-old-features", missing=True)
    s3.put_object(Bucket="data", Key="dataset/cat/new.jpg", Body=b"new")
    assert not check(context)["features"]["extends"]


def test_fine_tuning_takes_the_features_of_earlier_runs(
    s3: FakeS3, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins with a head on them. A frozen backbone's may be of other weights."""
    store_features(s3, check(context), "whippet-dev-old-features")
    deploy(monkeypatch, training={"mode": "finetune"})
    plan = check(context)
    assert not plan["features"]["ready"]

    store_features(s3, plan, "whippet-dev-new-features")
    plan = check(context, ema=0.99)
    assert plan["hyperparameters"]["mode"] == "finetune"
    assert plan["hyperparameters"]["ema"] == "0.99"
    assert plan["features"]["ready"]


MODEL = "runs/1/training/whippet-dev-1-train/output/model.tar.gz"


def serve(monkeypatch: pytest.MonkeyPatch, s3: FakeS3, *, model: str = f"s3://data/{MODEL}") -> FakeEndpoint:
    """Let the model of run 1 be in service."""
    s3.put_object(Bucket="data", Key="runs/1/decision.json", Body=json.dumps({"model": model}).encode())
    s3.put_object(Bucket="data", Key=MODEL, Body=b"archive")
    endpoint = FakeEndpoint(1)
    monkeypatch.setattr(check_dataset, "sagemaker", endpoint)
    return endpoint


def test_the_training_gets_the_model_in_service(s3: FakeS3, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    none = f"s3://data/runs/{RUN}/manifest/dataset.json"
    assert check(context)["in_service_uri"] == none
    assert none.removeprefix("s3://data/") in s3.objects, "a channel without any object would fail the job"

    endpoint = serve(monkeypatch, s3)
    assert check(context)["in_service_uri"] == f"s3://data/{MODEL}"
    endpoint.status = "Failed"
    assert check(context)["in_service_uri"] == none


def test_the_training_gets_a_model_that_sleeps(s3: FakeS3, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, s3).status = "Failed"
    FakeParameter("whippet-dev-1").serve(monkeypatch)
    assert check(context)["in_service_uri"] == f"s3://data/{MODEL}"


@pytest.mark.parametrize(
    "change",
    [
        "no decision",
        "no model",
        "s3://data/runs/2/training/whippet-dev-2-train/output/model.tar.gz",
        "s3://data/runs/1/training/other.bin",
        "s3://other/runs/1/training/whippet-dev-1-train/output/model.tar.gz",
    ],
)
def test_a_model_in_service_that_is_not_at_hand_fails_no_run(
    s3: FakeS3, context: Context, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """A decision lies where jobs may write: it may name nothing but a model of its run."""
    for key in (change.removeprefix("s3://data/"), MODEL):
        s3.put_object(Bucket="data", Key=key, Body=b"archive")
    if change.startswith("s3:"):
        serve(monkeypatch, s3, model=change)
    else:
        serve(monkeypatch, s3)
        del s3.objects["runs/1/decision.json" if change == "no decision" else MODEL]
    assert check(context)["in_service_uri"] == f"s3://data/runs/{RUN}/manifest/dataset.json"


def test_jobs_keep_their_checkpoints_apart(s3: FakeS3, context: Context) -> None:
    plan = check(context)
    assert plan["tuning"]["checkpoints"] == f"s3://data/checkpoints/{RUN}/whippet-dev-{RUN}/"
    assert plan["training"]["checkpoints"] == f"s3://data/checkpoints/{RUN}/whippet-dev-{RUN}-train/"


def test_a_uuid_as_execution_name_fits_into_a_tuning_jobs_name(s3: FakeS3, context: Context) -> None:
    execution = "0ab1c2d3-e4f5-6789-abcd-ef0123456789_0ab1c2d3-e4f5-6789-abcd-ef0123456789"
    assert len(check_dataset.handler(event(execution), context)["tuning"]["job"]) <= 32  # type: ignore[arg-type]


def test_an_execution_name_that_is_used_again_meets_no_names_of_before(s3: FakeS3, context: Context) -> None:
    """SageMaker never frees a job's name; Step Functions frees an execution's after 90 days or with the machine."""
    first = check(context)
    later = check_dataset.handler({**event(), "started": "2026-11-28T21:00:01Z"}, context)  # type: ignore[arg-type]
    for section in ("features", "tuning", "training", "rules"):
        assert first[section]["job"] != later[section]["job"]
    assert first["name"] != later["name"]
    assert check(context) == first, "the same start is the same run, as a retried call needs it"


def test_weights_that_are_not_there_are_refused(s3: FakeS3, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(monkeypatch, training={"weights": "weights/resnet50.pth"})
    with pytest.raises(InvalidInput, match=r"s3://data/weights/resnet50.pth, which is not there"):
        check(context)
    s3.put_object(Bucket="data", Key="weights/resnet50.pth", Body=b"one")
    first = check(context)["features"]["key"]
    s3.put_object(Bucket="data", Key="weights/resnet50.pth", Body=b"two")
    assert check(context)["features"]["key"] != first


def test_an_input_whose_batches_cannot_be_shared_ends_before_anything_costs(
    s3: FakeS3, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A-17: eight GPUs of one machine."""
    deploy(monkeypatch, training={"mode": "finetune", "instance_type": "ml.p5.48xlarge"})
    assert check(context)["tuning"]
    with pytest.raises(InvalidInput, match="cannot share a batch of 12"):
        check(context, batch_sizes=[12])


@pytest.mark.parametrize(
    ("training", "disk"),
    [({"volume_gib": 1}, "1 GiB (setting training.volume_gib)"), ({"instance_type": "ml.g5.xlarge"}, "250 GB, fixed")],
)
def test_photos_that_do_not_fit_on_the_disk_end_the_run(
    s3: FakeS3, context: Context, monkeypatch: pytest.MonkeyPatch, training: dict[str, Any], disk: str
) -> None:
    """A-14: of the setting, or of an instance type whose disk is fixed."""
    deploy(monkeypatch, training=training)
    check(context)
    monkeypatch.setattr(s3, "size_factor", 10**10)
    with pytest.raises(BadDataset) as refused:
        check(context)
    assert f"a disk of {disk}" in str(refused.value)
    deploy(monkeypatch, training=training, dataset={"input_mode": "FastFile"})
    check(context)


def test_a_quota_below_the_need_ends_the_run(s3: FakeS3, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """A-03."""
    quotas = service_quotas({"ml.c5.2xlarge for training job usage": 0})
    monkeypatch.setattr(check_dataset, "service_quotas", quotas)
    with pytest.raises(QuotaTooSmall, match=r'"ml.c5.2xlarge for training job usage" is 0'):
        check(context)


def test_nothing_is_written_for_photos_that_are_refused(s3: FakeS3, context: Context) -> None:
    s3.objects = {key: body for key, body in s3.objects.items() if "dog" not in key}
    with pytest.raises(BadDataset, match="only one class"):
        check(context)
    assert not any(key.startswith("runs/") for key in s3.objects)


def test_a_warm_start_names_an_earlier_job_where_there_is_one(
    s3: FakeS3, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(monkeypatch, tuning={"warm_start": True, "search_weight_decay": True})
    config: contract.WarmStartConfig = {"ParentHyperParameterTuningJobs": [], "WarmStartType": "TransferLearning"}
    asked = []

    def find(_: Any, *, name_prefix: str, new: NewTuning) -> contract.WarmStartConfig | None:
        asked.append((name_prefix, new))
        return config if len(asked) > 1 else None

    monkeypatch.setattr(check_dataset, "find_warm_start", find)
    first, second = (check(context)["tuning"] for _ in range(2))
    assert "warm_start" not in first
    assert second["warm_start"] == config
    prefix, new = asked[0]
    assert prefix == "whippet-dev"
    assert new.searched == {"learning_rate", "batch_size", "weight_decay"}
    assert not new.searched & set(new.static)
    assert new.static["epochs"] == first["epochs"]
    assert (new.image, new.static["sagemaker_submit_directory"]) == ("image:1", "s3://assets/trial.tar.gz")
    names = [entry["Name"] for entry in first["ranges"]["ContinuousParameterRanges"]]
    assert names == ["learning_rate", "weight_decay"]


def test_several_backbones_are_searched_and_have_features_of_their_own(
    s3: FakeS3, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = check(context)
    backbones = ("resnet18", "resnet50")
    deploy(monkeypatch, tuning={"backbones": backbones, "warm_start": True})
    asked: list[NewTuning] = []
    monkeypatch.setattr(check_dataset, "find_warm_start", lambda _, *, name_prefix, new: asked.append(new))
    plan = check(context)
    names = {entry["Name"]: entry["Values"] for entry in plan["tuning"]["ranges"]["CategoricalParameterRanges"]}
    assert names["backbone"] == list(backbones)
    assert asked[0].searched == {"learning_rate", "batch_size", "backbone"}
    assert "backbone" not in asked[0].static
    assert plan["features"]["key"] != alone["features"]["key"]

    # the features of one alone are not enough, those of all are
    job = "whippet-dev-old-features"
    for number, backbone in enumerate(backbones):
        assert not check(context)["features"]["ready"], number
        folder = contract.backbone_folder(backbone)
        store_features(s3, plan, job, below=f"{folder}/")
    features = check(context)["features"]
    assert features["ready"]
    assert features["uri"] == f"{features['output']}{job}/output/model/"

    # with another photo they are extended, all together
    s3.put_object(Bucket="data", Key="dataset/cat/new.jpg", Body=b"new")
    extended = check(context)["features"]
    assert (extended["extends"], extended["previous"]) == (True, features["uri"])


def test_a_fine_tuning_that_cpus_cannot_end_in_time_is_refused_before_anything_is_written(
    s3: FakeS3, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """About 10 photos a second on ml.c5.2xlarge: an epoch of 28 photos of 1,024 pixels takes nearly a minute."""
    tuning = {"epochs": 10, "max_minutes": 5}
    deploy(monkeypatch, training={"mode": "finetune"}, tuning=tuning)
    before = set(s3.objects)
    said = r"a trial of 25 epochs with 28 photos would take about 24 minutes .* tuning.max_minutes=5 .*ml.g5"
    with pytest.raises(InvalidInput, match=said):
        check(context, image_size=1024, trial_epochs=25)
    assert set(s3.objects) == before
    assert check(context)["run"]

    # what nobody measured may be faster, and a GPU is
    assert check(context, image_size=1024, trial_epochs=25, backbone="efficientnet_lite0")["run"]
    assert check(context, image_size=1024, trial_epochs=25, unfreeze_from="layer4")["run"]
    deploy(monkeypatch, training={"mode": "finetune", "instance_type": "ml.g5.xlarge"}, tuning=tuning)
    assert check(context, image_size=1024, trial_epochs=25)["run"]
    deploy(monkeypatch, training={"max_minutes": 5})
    assert check(context, image_size=1024, epochs=1000)["run"], "a head on features is trained in seconds"
