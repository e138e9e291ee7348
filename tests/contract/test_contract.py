from __future__ import annotations

import re
from typing import Any

import pytest

import contract
from contract import (
    FEATURE_HYPERPARAMETERS,
    FEATURE_SPEC_FIELDS,
    ContractError,
    Hyperparameters,
    feature_spec,
    features_key,
)

CHANGED = Hyperparameters(
    backbone="efficientnet_lite0",
    image_size=112,
    views=0,
    flip=False,
    epochs=3,
    learning_rate=1e-05,
    batch_size=16,
    weight_decay=0.0,
    label_smoothing=0.1,
    class_weights="balanced",
    seed=2**32 - 1,
    quantize=False,
    mode="finetune",
    unfreeze_from="network._blocks.10",
    backbone_rate=0.05,
    warmup_epochs=0.5,
    ema=0.999,
    mixup=0.2,
    cutmix=1.0,
    randaugment=9,
)


@pytest.mark.parametrize("given", [Hyperparameters(), CHANGED, Hyperparameters(average_mirrored=True)])
def test_hyperparameters_survive_the_way_through_sagemaker(given: Hyperparameters) -> None:
    texts = given.to_strings()
    assert all(isinstance(text, str) for text in texts.values())
    assert Hyperparameters.from_strings(texts) == given


def test_the_sent_form_may_be_quoted_and_carry_sagemakers_own_names() -> None:
    sent = {"batch_size": '"32"', "flip": '"false"', "sagemaker_program": "x", "_tuning_objective_metric": "y"}
    assert Hyperparameters.from_strings(sent) == Hyperparameters(batch_size=32, flip=False)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({"lr": "0.1"}, "unknown hyperparameter 'lr'"),
        ({"epochs": "many"}, "epochs='many' is not of type int"),
        ({"flip": "1"}, "flip='1' is not of type bool"),
        ({"image_size": "8"}, "image_size=8 is outside 32 to 1024"),
        ({"learning_rate": "nan"}, "learning_rate=nan is outside"),
        ({"backbone": "../x"}, "is not a model's name"),
        ({"mode": "both"}, "mode='both' is not known; give one of features, finetune"),
        ({"mode": "finetune", "unfreeze_from": "a..b"}, "unfreeze_from='a..b' is not a stage's name"),
        ({"mode": "finetune", "ema": "1"}, "ema=1.0 is outside 0 to 0.99999"),
        ({"mode": "finetune", "randaugment": "31"}, "randaugment=31 is outside 0 to 30"),
        (
            {"mixup": "0.2"},
            "mixup=0.2 has no effect with mode=features; leave mixup out, or deploy with",
        ),
        (
            {"average_mirrored": "true", "flip": "false"},
            "average_mirrored=True contradicts flip=False, which says that mirror images mean something else "
            "(digits, text, left or right); leave average_mirrored out, or set flip=true",
        ),
        ({"unfreeze_from": "layer4"}, "unfreeze_from=layer4 has no effect with mode=features"),
    ],
)
def test_wrong_hyperparameters_are_named(sent: dict[str, str], reason: str) -> None:
    with pytest.raises(ContractError, match=re.escape(reason)):
        Hyperparameters.from_strings(sent)


def spec_of(values: Hyperparameters) -> contract.FeatureSpec:
    return feature_spec(values, weights="w", resize=256, interpolation="bilinear", levels=[4], precision="float32")


@pytest.mark.parametrize(
    "name",
    [
        "resnet50",
        "resnet50.IMAGENET1K_V2",
        "vit_b_16.imagenet1k_swag_e2e_v1",
        "timm/resnet50.a1_in1k",
        "timm/vit_small_patch14_dinov2.lvd142m",
        "efficientnet_lite0",
    ],
)
def test_a_backbone_is_named_by_library_network_and_weights(name: str) -> None:
    assert Hyperparameters(backbone=name).backbone == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ResNet50",
        "tim/resnet50",
        "timm/",
        "timm/a/b",
        "resnet50.",
        ".v1",
        "resnet50.v1.v2",
        "timm/..",
        "a-b",
        "a\n",
    ],
)
def test_what_is_no_backbones_name_is_refused(name: str) -> None:
    with pytest.raises(ContractError, match=r"is not a model's name; give .* resnet50\.IMAGENET1K_V2, timm/"):
        Hyperparameters(backbone=name)


@pytest.mark.parametrize("change", FEATURE_HYPERPARAMETERS)
def test_features_are_known_by_every_hyperparameter_that_decides_them(change: str) -> None:
    texts = Hyperparameters().to_strings()
    texts[change] = CHANGED.to_strings()[change]
    keys = {
        features_key(dataset_fingerprint="f", hyperparameters=values, weights="hub")
        for values in (Hyperparameters(), Hyperparameters.from_strings(texts))
    }
    assert len(keys) == 2
    before, after = (
        spec | spec["augmentation"]
        for spec in (
            dict[str, Any](spec_of(values)) for values in (Hyperparameters(), Hyperparameters.from_strings(texts))
        )
    )
    assert [name for name, value in before.items() if after[name] != value and name != "augmentation"] == [change]


def test_features_serve_with_mirror_averaging_and_without() -> None:
    keys = {
        features_key(dataset_fingerprint="f", hyperparameters=Hyperparameters(average_mirrored=on), weights="hub")
        for on in (False, True)
    }
    assert len(keys) == 1


def test_a_features_specification_says_all_it_declares() -> None:
    assert set(FEATURE_HYPERPARAMETERS) == {"backbone", "image_size", "views", "flip", "seed"}
    assert set(spec_of(Hyperparameters())) == {*FEATURE_SPEC_FIELDS}


@pytest.mark.parametrize(
    "change", ["epochs", "learning_rate", "batch_size", "weight_decay", "label_smoothing", "quantize"]
)
def test_features_are_reused_whatever_the_heads_hyperparameters(change: str) -> None:
    texts = Hyperparameters().to_strings()
    texts[change] = CHANGED.to_strings()[change]
    keys = {
        features_key(dataset_fingerprint="f", hyperparameters=values, weights="hub")
        for values in (Hyperparameters(), Hyperparameters.from_strings(texts))
    }
    assert len(keys) == 1


@pytest.mark.parametrize("value", [0.0, 1.0, 0.123456, 1e-5, 12345.678, float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", sorted(contract.METRICS))
def test_each_metrics_regex_reads_its_own_line_and_no_other(name: str, value: float) -> None:
    line = "epoch 1/2: " + " ".join(
        metric.line(value if metric.name == name else 7) for metric in contract.METRICS.values()
    )
    found = re.findall(contract.metric(name).regex, line)
    assert len(found) == 1
    assert float(found[0]) == pytest.approx(value, abs=1e-6, nan_ok=True)


def test_features_for_fine_tuning_are_not_those_of_a_frozen_backbone() -> None:
    """Without a tag, the weights and how photos are resized depend on the mode."""
    frozen, tuned = (
        features_key(dataset_fingerprint="f", hyperparameters=Hyperparameters(mode=mode), weights="hub")
        for mode in ("features", "finetune")
    )
    assert frozen != tuned


def test_features_of_several_backbones_have_a_key_that_covers_all_of_them() -> None:
    def key(*backbones: str) -> str:
        return features_key(
            dataset_fingerprint="f", hyperparameters=Hyperparameters(), weights="hub", backbones=backbones
        )

    assert key("resnet50", "resnet18") == key("resnet18", "resnet50")
    assert len({key(), key("resnet50"), key("resnet50", "resnet18"), key("resnet50", "resnet34")}) == 4


def test_a_search_among_backbones_has_a_range_of_them() -> None:
    ranges = contract.parameter_ranges(batch_sizes=[16], backbones=("resnet50", "resnet18"))
    size, backbone = ranges["CategoricalParameterRanges"]
    assert size == {"Name": "batch_size", "Values": ["16"]}
    assert backbone == {"Name": "backbone", "Values": ["resnet50", "resnet18"]}
    assert contract.parameter_ranges()["CategoricalParameterRanges"][1:] == []


def test_a_default_may_depend_on_the_mode() -> None:
    assert (Hyperparameters().label_smoothing, Hyperparameters().ema, Hyperparameters().mixup) == (0.0, 0.0, 0.0)
    tuned = Hyperparameters(mode="finetune")
    assert (tuned.label_smoothing, tuned.ema, tuned.mixup) == (0.1, 0.9998, 0.2)
    assert Hyperparameters.from_strings({"mode": "finetune"}) == tuned
    chosen = Hyperparameters(mode="finetune", ema=0.0, mixup=0.0)
    assert (chosen.ema, chosen.mixup, chosen.label_smoothing) == (0.0, 0.0, 0.1)
    assert Hyperparameters.from_strings(chosen.to_strings()) == chosen
    assert [name for name in contract.DECLARED if contract.default_of(name, mode="finetune") is None] == []
