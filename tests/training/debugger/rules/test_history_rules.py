"""Rules that compare steps: each fires above its threshold and stays quiet below."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.training.debugger.rules.conftest import Recorder


def test_loss_not_decreasing_compares_every_num_steps(recorder: Recorder) -> None:
    recorder.losses(4.0, 9.0, 3.0, 0.1, 2.0)
    passed = recorder.result("LossNotDecreasing", num_steps=2)
    assert passed["status"] == "NoIssuesFound"
    found = recorder.result("LossNotDecreasing", num_steps=3)
    assert found["status"] == "NoIssuesFound"  # 4 against 0.1, and 2 is no third step later
    recorder.losses(2.0)
    found = recorder.result("LossNotDecreasing", num_steps=1)
    assert (found["status"], found["step"]) == ("IssuesFound", 1)
    assert "from 4 at TRAIN step 0 to 9 at TRAIN step 1" in found["detail"]


@pytest.mark.parametrize(
    ("last", "parameters", "status"),
    [
        (0.9989, {}, "NoIssuesFound"),
        (0.9991, {}, "IssuesFound"),
        (0.9991, {"diff_percent": 0.08}, "NoIssuesFound"),
        (1.0, {}, "IssuesFound"),
        (1.04, {}, "NoIssuesFound"),
        (1.06, {}, "IssuesFound"),
        (1.06, {"increase_threshold_percent": 7}, "NoIssuesFound"),
    ],
)
def test_loss_not_decreasing_knows_both_thresholds(
    recorder: Recorder, last: float, parameters: dict[str, Any], status: str
) -> None:
    recorder.losses(1.0, last)
    assert recorder.result("LossNotDecreasing", num_steps=1, **parameters)["status"] == status


def test_loss_not_decreasing_judges_a_short_training_by_its_ends(recorder: Recorder) -> None:
    recorder.losses(1.0)
    assert recorder.result("LossNotDecreasing")["status"] == "NotApplicable"
    recorder.losses(0.1, 1.0)
    found = recorder.result("LossNotDecreasing", num_steps=10)
    assert (found["status"], found["step"]) == ("IssuesFound", 2)


def test_loss_not_decreasing_prefers_validation_unless_told(recorder: Recorder) -> None:
    for training, validation in ((1.0, 1.0), (0.5, 1.0)):
        recorder.losses(training)
        recorder.validated(validation)
    found = recorder.result("LossNotDecreasing", num_steps=1)
    assert (found["status"], found["step"]) == ("IssuesFound", 1)
    assert "at EVAL step 1" in found["detail"]
    assert recorder.result("LossNotDecreasing", num_steps=1, mode="TRAIN")["status"] == "NoIssuesFound"


def overfitting(recorder: Recorder, *ratios: float) -> None:
    for ratio in ratios:
        recorder.losses(0.5, 1.5)
        recorder.validated(1 + ratio)


def test_overfit(recorder: Recorder) -> None:
    overfitting(recorder, 0.05, 0.2, 0.05, 0.2, 0.2)
    found = recorder.result("Overfit")
    assert (found["status"], found["step"]) == ("IssuesFound", 3)
    found = recorder.result("Overfit", patience=2)
    assert (found["status"], found["step"]) == ("IssuesFound", 9)
    assert "0.2 times the training loss 1" in found["detail"]
    assert recorder.result("Overfit", patience=3)["status"] == "NoIssuesFound"
    assert recorder.result("Overfit", ratio_threshold=0.21)["status"] == "NoIssuesFound"
    assert recorder.result("Overfit", ratio_threshold=0.19)["status"] == "IssuesFound"


def test_overfit_starts_where_it_is_told(recorder: Recorder) -> None:
    overfitting(recorder, 0.5, 0.05)
    assert recorder.result("Overfit")["status"] == "IssuesFound"
    assert recorder.result("Overfit", start_step=3)["status"] == "NoIssuesFound"


def test_overfit_does_not_measure_how_often_photos_were_repeated(recorder: Recorder) -> None:
    recorder.losses(1e-9)
    recorder.validated(0.5)
    assert recorder.result("Overfit", ratio_threshold=51)["status"] == "NoIssuesFound"
    assert recorder.result("Overfit", ratio_threshold=49)["status"] == "IssuesFound"


def test_overfit_needs_validations(recorder: Recorder) -> None:
    recorder.losses(1.0, 0.5)
    assert recorder.result("Overfit")["status"] == "NotApplicable"


def test_overtraining_needs_both_losses_to_stand_still(recorder: Recorder) -> None:
    for _ in range(12):
        recorder.losses(1.0)
        recorder.validated(1.0)
    found = recorder.result("Overtraining")
    assert (found["status"], found["step"]) == ("IssuesFound", 11)
    assert recorder.result("Overtraining", patience_validation=11)["status"] == "NoIssuesFound"
    assert recorder.result("Overtraining", patience_train=11)["status"] == "NoIssuesFound"


def test_overtraining_counts_only_improvements_above_delta(recorder: Recorder) -> None:
    for step in range(12):
        recorder.losses(1.0)
        recorder.validated(1.0 - 0.02 * step)
    assert recorder.result("Overtraining")["status"] == "NoIssuesFound"
    assert recorder.result("Overtraining", delta=0.3)["status"] == "IssuesFound"


def weights(recorder: Recorder, *values: Any, only: str = "") -> None:
    for value in values:
        recorder.training(weights={"w": value}, only=only)


def test_unchanged_tensor(recorder: Recorder) -> None:
    weights(recorder, [1.0, 1.0], [1.0, 2.0], [1.0, 2.0])
    assert recorder.result("UnchangedTensor", collection_names="weights")["status"] == "NoIssuesFound"
    assert recorder.result("UnchangedTensor", collection_names="weights", num_steps=2)["status"] == "IssuesFound"
    weights(recorder, [1.0, 2.00001])
    found = recorder.result("UnchangedTensor", collection_names="weights")
    assert (found["status"], found["step"]) == ("IssuesFound", 3)
    exact = recorder.result("UnchangedTensor", collection_names="weights", rtol=1e-7, atol=1e-9)
    assert exact["status"] == "NoIssuesFound"


def test_unchanged_tensor_counts_nan_as_equal_only_when_told(recorder: Recorder) -> None:
    weights(recorder, [np.nan], [np.nan], [np.nan])
    assert recorder.result("UnchangedTensor", tensor_regex="w")["status"] == "NoIssuesFound"
    assert recorder.result("UnchangedTensor", tensor_regex="w", equal_nan=True)["status"] == "IssuesFound"


def test_unchanged_tensor_of_too_short_a_training_is_not_passed(recorder: Recorder) -> None:
    weights(recorder, [1.0], [2.0])
    result = recorder.result("UnchangedTensor", collection_names="weights")
    assert result["status"] == "NotApplicable"
    assert "3 saved values" in result["detail"]


def test_weight_update_ratio(recorder: Recorder) -> None:
    weights(recorder, [0.0, 0.0], [3.0, 4.0], [3.0, 4.5])
    assert recorder.result("WeightUpdateRatio")["status"] == "NoIssuesFound"  # from zero there is no ratio
    assert recorder.result("WeightUpdateRatio", large_threshold=0.09)["status"] == "IssuesFound"
    assert recorder.result("WeightUpdateRatio", large_threshold=0.11)["status"] == "NoIssuesFound"
    assert recorder.result("WeightUpdateRatio", small_threshold=0.11)["status"] == "IssuesFound"
    weights(recorder, [3.0, 4.5])
    found = recorder.result("WeightUpdateRatio")
    assert (found["status"], found["step"]) == ("IssuesFound", 3)
    assert "w changed by only 0 of itself since step 2" in found["detail"]


def test_weight_update_ratio_compares_over_num_steps(recorder: Recorder) -> None:
    weights(recorder, [1.0], [1.0], [2.0])
    assert recorder.result("WeightUpdateRatio")["status"] == "IssuesFound"
    assert recorder.result("WeightUpdateRatio", num_steps=2)["status"] == "NoIssuesFound"


def answers(recorder: Recorder, counts: list[int], *, wrong_of_last: int = 0, validation: bool = False) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    predictions = labels.copy()
    predictions[len(labels) - wrong_of_last :] = 0
    save = recorder.validation if validation else recorder.training
    save(labels={"labels": labels}, predictions={"predictions": predictions})


def test_class_imbalance_by_counts(recorder: Recorder) -> None:
    answers(recorder, [40, 3])
    assert recorder.result("ClassImbalance")["status"] == "NotApplicable"
    assert recorder.result("ClassImbalance", samples=43)["status"] == "IssuesFound"
    assert recorder.result("ClassImbalance", samples=44)["status"] == "NotApplicable"
    assert recorder.result("ClassImbalance", samples=43, threshold_imbalance=13.4)["status"] == "NoIssuesFound"
    answers(recorder, [560, 36])
    found = recorder.result("ClassImbalance")
    assert (found["status"], found["step"]) == ("IssuesFound", 1)
    assert "class 0 has 600 and class 1 39 of 639 labels" in found["detail"]


@pytest.mark.parametrize("validation", [True, False])
def test_class_imbalance_by_mispredictions(recorder: Recorder, validation: bool) -> None:
    answers(recorder, [300, 300], wrong_of_last=300)
    answers(recorder, [250, 250], wrong_of_last=200, validation=validation)
    found = recorder.result("ClassImbalance")
    assert found["status"] == "IssuesFound"
    assert "80% of 250 samples of class 1" in found["detail"]
    assert recorder.result("ClassImbalance", threshold_misprediction=0.8)["status"] == "NoIssuesFound"


def test_class_imbalance_compares_the_counts_of_a_training_that_was_short(recorder: Recorder) -> None:
    answers(recorder, [168, 4])
    answers(recorder, [30, 5], validation=True)
    found = recorder.result("ClassImbalance")
    assert (found["status"], found["step"]) == ("IssuesFound", 0)
    assert "class 0 has 168 and class 1 4 of 172 labels" in found["detail"]


def test_class_imbalance_says_which_half_it_could_not_judge(recorder: Recorder) -> None:
    answers(recorder, [40, 1])
    answers(recorder, [30, 5], validation=True)
    found = recorder.result("ClassImbalance")
    assert found["status"] == "NoIssuesFound"
    assert "the classes' counts were not judged: 41 labels of training were saved, samples is 500" in found["detail"]

    answers(recorder, [300, 300])
    found = recorder.result("ClassImbalance")
    assert found["status"] == "NoIssuesFound"
    assert "not judged" not in found["detail"]


def test_class_imbalance_says_that_predictions_were_not_judged(recorder: Recorder) -> None:
    answers(recorder, [60, 30], wrong_of_last=30)
    found = recorder.result("ClassImbalance")
    assert found["status"] == "NoIssuesFound"
    assert "wrong predictions were not judged: 90 labels" in found["detail"]


def test_classes_are_named_where_the_hook_knows_their_names(recorder: Recorder) -> None:
    recorder.classes = ["dress", "hat"]
    answers(recorder, [300, 300], wrong_of_last=300)
    answers(recorder, [50, 50], wrong_of_last=50, validation=True)
    assert "100% of 50 samples of class 'hat'" in recorder.result("ClassImbalance")["detail"]
    assert "predicted as class 'dress' is of it" in recorder.result("Confusion")["detail"]
    answers(recorder, [600, 1])
    recorder.classes = ["dress"]
    assert "class 'dress' has 900 and class 1 301" in recorder.result("ClassImbalance", threshold_imbalance=2)["detail"]


def test_class_imbalance_takes_scores_with_argmax(recorder: Recorder) -> None:
    scores = np.tile([[0, 1]], (600, 1))
    recorder.training(labels={"labels": [0, 1] * 300}, predictions={"predictions": scores})
    assert recorder.result("ClassImbalance", argmax=True)["status"] == "IssuesFound"
    assert recorder.result("ClassImbalance")["status"] == "Error"


def test_confusion(recorder: Recorder) -> None:
    answers(recorder, [10, 10], wrong_of_last=9, validation=True)
    answers(recorder, [90, 100], wrong_of_last=10, validation=True)
    assert recorder.result("Confusion")["status"] == "NoIssuesFound"  # the last validation counts
    assert recorder.result("Confusion", min_diag=0.91)["status"] == "IssuesFound"
    found = recorder.result("Confusion", min_diag=0.5, max_off_diag=0.09)
    assert found["status"] == "IssuesFound"
    assert "10% of what is predicted as class 0 is class 1" in found["detail"]
    assert recorder.result("Confusion", category_no=1)["status"] == "Error"
