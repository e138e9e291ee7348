from __future__ import annotations

import pytest

from contract import CLASS_WEIGHTS, ContractError, Hyperparameters, class_weights, class_weights_reason


def test_balanced_classes_count_the_same_together_and_a_photo_counts_one_on_the_mean() -> None:
    counts = [70, 20, 10]
    weights = class_weights(counts, wanted="balanced")
    assert weights is not None
    together = [count * weight for count, weight in zip(counts, weights, strict=True)]
    assert together == pytest.approx([100 / 3] * 3)


@pytest.mark.parametrize(("counts", "weighted"), [([50, 10, 20], True), ([49, 10, 20], False), ([10, 10], False)])
def test_classes_are_weighted_by_default_from_five_to_one_on(counts: list[int], weighted: bool) -> None:
    assert Hyperparameters().class_weights == "auto"
    assert (class_weights(counts, wanted="auto") is not None) == weighted
    assert bool(class_weights_reason(counts, wanted="auto")) == weighted


def test_weights_can_be_forced_and_switched_off() -> None:
    assert class_weights([60, 10], wanted="none") is None
    assert class_weights_reason([60, 10], wanted="none") == ""
    assert class_weights([20, 10], wanted="balanced") == pytest.approx([0.75, 1.5])


def test_a_class_without_a_training_photo_is_left_alone() -> None:
    assert class_weights([20, 0, 20], wanted="auto") is None
    assert class_weights([60, 0, 10], wanted="auto") == pytest.approx([70 / 2 / 60, 1, 70 / 2 / 10])


def test_the_reason_says_the_imbalance_and_how_to_switch_the_weights_off() -> None:
    reason = class_weights_reason([72, 10, 30], wanted="auto")
    assert "imbalance 7.2:1" in reason
    assert "72 training photos" in reason
    assert "set class_weights to none" in reason


def test_another_value_is_refused_with_those_that_are_known() -> None:
    known = ", ".join(CLASS_WEIGHTS)
    with pytest.raises(ContractError, match=f"class_weights='some' is not known; give one of {known}"):
        Hyperparameters(class_weights="some")
