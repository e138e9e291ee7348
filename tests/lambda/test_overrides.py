from __future__ import annotations

from typing import Any

import pytest
from check_dataset.overrides import KNOWN, InvalidInput, RunSettings, resolve

from infra.settings import Settings

_PLAIN = (
    "backbone", "image_size", "views", "flip", "epochs", "weight_decay", "label_smoothing", "class_weights", "seed",
    "quantize", "average_mirrored",
    "unfreeze_from", "backbone_rate", "warmup_epochs", "ema", "mixup", "cutmix", "randaugment",
)  # fmt: skip


def resolved(overrides: Any, readable_prefix: str = "", processes: int = 1, **training: str) -> RunSettings:
    settings = Settings.model_validate({"training": training})
    sections = settings.model_dump(mode="json", include={"dataset", "tuning", "training"})
    return resolve(sections, overrides, readable_prefix=readable_prefix, processes=processes)


def test_nothing_given_is_the_settings() -> None:
    run = resolved({})
    assert run.dataset_prefix == "dataset/"
    assert run.hyperparameters.epochs == 20
    assert (run.trials, run.parallel_trials, run.trial_epochs) == (8, 4, 5)
    assert run.learning_rate == (0.001, 0.1)
    assert run.batch_sizes == (16, 32, 64, 128, 256, 512)


def test_every_known_key_has_its_effect() -> None:
    overrides: dict[str, Any] = {
        "backbone": "efficientnet_lite0",
        "image_size": 96,
        "views": 0,
        "flip": True,
        "epochs": 3,
        "weight_decay": 0,
        "label_smoothing": 0.1,
        "class_weights": "none",
        "seed": 7,
        "unfreeze_from": "features.3",
        "backbone_rate": 0.05,
        "warmup_epochs": 1,
        "ema": 0.99,
        "mixup": 0.2,
        "cutmix": 1,
        "randaugment": 9,
        "quantize": False,
        "average_mirrored": True,
        "batch_sizes": [8, 16],
        "dataset_prefix": "other/",
        "learning_rate": {"min": 0.01, "max": 0.02},
        "trial_epochs": 2,
        "trials": 1,
        "retry_of": "earlier-123",
    }
    assert set(overrides) == set(KNOWN)
    run = resolved(overrides, mode="finetune", flip="false")
    assert run.hyperparameters.mode == "finetune"
    given = {name: getattr(run.hyperparameters, name) for name in _PLAIN}
    assert given == {name: overrides[name] for name in _PLAIN}
    assert isinstance(run.hyperparameters.weight_decay, float)
    assert (run.dataset_prefix, run.batch_sizes, run.learning_rate) == ("other/", (8, 16), (0.01, 0.02))
    assert (run.trials, run.parallel_trials, run.trial_epochs) == (1, 1, 2)
    assert run.retry_of == "earlier-123"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], "must be a JSON object"),
        ("run", "must be a JSON object"),
        (None, "is null"),
        (
            {"epoch": 3},
            "unknown key in the input: epoch; known are average_mirrored, backbone, backbone_rate, batch_sizes",
        ),
        ({"epochs": "3"}, "epochs='3' in the input is a text; give a whole number"),
        ({"epochs": True}, "give a whole number"),
        ({"epochs": 0}, "epochs=0 is outside 1 to 1000"),
        ({"flip": 1}, "give true or false"),
        ({"image_size": 5000}, "image_size=5000 is outside 32 to 1024"),
        ({"backbone": "Not A Model"}, "not a model's name"),
        ({"mixup": 0.2}, "no effect with mode=features"),
        ({"average_mirrored": True, "flip": False}, "average_mirrored=True contradicts flip=False"),
        ({"trials": 0}, "trials=0 in the input is wrong; give a whole number from 1 to 750"),
        ({"trials": 2.5}, "trials=2.5"),
        ({"learning_rate": 0.1}, "is not a range; give"),
        ({"learning_rate": {"min": 0.1}}, "is not a range; give"),
        ({"learning_rate": {"min": 0.1, "max": 0.01}}, "not a range within the limits"),
        ({"learning_rate": {"min": 0, "max": 1}}, "not a range within the limits"),
        ({"batch_sizes": []}, "batch_sizes=[]"),
        ({"batch_sizes": [8, 8]}, "different whole numbers"),
        ({"batch_sizes": [0]}, "from 1 to 4096"),
        ({"batch_sizes": 8}, "batch_sizes=8 in the input is wrong; give a list of 1 to 30"),
        ({"dataset_prefix": "no-slash"}, "with a slash at the end"),
        ({"dataset_prefix": "../up/ /"}, "not a key prefix"),
        *[({"dataset_prefix": f"{own}x/"}, "keep their own files") for own in ("runs/", "checkpoints/", "debug/")],
    ],
)
def test_wrong_input_is_refused_in_words(overrides: Any, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        resolved(overrides)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "added",
    [
        {"Comment": "Insert your JSON here"},
        {"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "arn:aws:states:eu-west-1:123456789012:execution:parent:1"},
    ],
)
def test_what_the_console_and_a_parent_execution_add_to_the_input_is_passed_over(added: dict[str, str]) -> None:
    """A-18."""
    assert resolved({"epochs": 3, **added}) == resolved({"epochs": 3})


EVENT: dict[str, Any] = {
    "version": "0",
    "id": "1",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2026-11-29T03:00:00Z",
    "region": "eu-west-1",
    "resources": ["arn:aws:events:eu-west-1:123456789012:rule/weekly"],
    "detail": {},
}
READY = EVENT | {
    "detail-type": "Object Created",
    "source": "aws.s3",
    "detail": {"bucket": {"name": "data"}, "object": {"key": "dataset/READY"}},
}


@pytest.mark.parametrize(
    "given",
    [
        {"Comment": "Insert your JSON here"},
        {"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "arn:aws:states:eu-west-1:123456789012:execution:parent:1"},
        EVENT,
        EVENT | {"source": "aws.scheduler", "detail": "{}"},
        EVENT | {"replay-name": "again", "detail": {"epochs": 3}},
        READY,
        READY | {"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "arn", "Comment": "from a parent"},
    ],
    ids=["console", "parent", "schedule", "scheduler", "replay", "upload", "parent with an event"],
)
def test_what_starts_a_run_may_say_so_in_the_input(given: dict[str, Any]) -> None:
    assert resolved(given) == resolved({})


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"retry-of": "0ab1c2d3-e4"}, "retry-of"),
        ({"comment": "by hand"}, "comment"),
        ({"detail": {"epochs": 3}}, "detail"),
        (EVENT | {"epoch": 3}, "epoch"),
    ],
)
def test_any_other_unknown_key_is_refused(given: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidInput, match=rf"unknown key in the input: .*\b{key}\b"):
        resolved(given)


def test_batches_that_the_processes_cannot_share_are_refused() -> None:
    """A-17."""
    assert resolved({"batch_sizes": [16, 64]}, processes=8).batch_sizes == (16, 64)
    with pytest.raises(
        InvalidInput, match=r"the 8 processes .* cannot share a batch of 12 evenly; give multiples of 8"
    ):
        resolved({"batch_sizes": [12, 16]}, processes=8)


@pytest.mark.parametrize("mode", ["finetune", "features", "both", None])
def test_the_mode_cannot_be_changed_by_a_run(mode: str | None) -> None:
    with pytest.raises(InvalidInput) as refused:
        resolved({"mode": mode})
    assert str(refused.value) == (
        f"mode={mode!r} in the input is not possible: the mode is fixed when the stack is deployed (now features); "
        "leave it out, or change it for all runs with `cdk deploy -c training.mode=finetune`"
    )


def test_in_an_existing_bucket_the_prefix_cannot_leave_the_settings() -> None:
    assert resolved({"dataset_prefix": "dataset/2026/"}, "dataset/").dataset_prefix == "dataset/2026/"
    with pytest.raises(InvalidInput, match="outside dataset/"):
        resolved({"dataset_prefix": "elsewhere/"}, "dataset/")


def with_backbones(overrides: dict[str, Any], **training: str) -> RunSettings:
    settings = Settings.model_validate({"training": training, "tuning": {"backbones": ["resnet18", "resnet50"]}})
    sections = settings.model_dump(mode="json", include={"dataset", "tuning", "training"})
    return resolve(sections, overrides, readable_prefix="", processes=1)


def test_a_run_may_change_all_but_the_backbone_where_the_search_chooses_it() -> None:
    assert resolved({}).backbones == ()
    assert with_backbones({"trials": 2}).backbones == ("resnet18", "resnet50")
    with pytest.raises(
        InvalidInput, match="backbone='resnet34' in the input has no effect: the search chooses among resnet18, resnet5"
    ):
        with_backbones({"backbone": "resnet34"})


def test_a_run_has_a_trial_for_each_backbone_at_least() -> None:
    with pytest.raises(InvalidInput, match="in the input: 1 trials are fewer than the 2 backbones"):
        with_backbones({"trials": 1})


def test_a_stage_of_one_network_does_not_go_with_several() -> None:
    with pytest.raises(InvalidInput, match="in the input: unfreeze_from=layer4 names a stage of one network"):
        with_backbones({"unfreeze_from": "layer4"}, mode="finetune")
