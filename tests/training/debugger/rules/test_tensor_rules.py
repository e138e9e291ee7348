"""Rules that look at the tensors of one step: each fires above its threshold and stays quiet below."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest

import contract
from tests.training.debugger.rules.conftest import Recorder
from training.debugger.rules.evaluation import TENSOR_RULES


@pytest.mark.parametrize("name", [name for name, rule in contract.RULES.items() if rule.kind == "tensor"])
def test_every_debug_rule_takes_exactly_its_documented_parameters(name: str) -> None:
    taken = list(inspect.signature(TENSOR_RULES[name].__init__).parameters)[2:]
    assert taken == list(contract.RULES[name].parameters)


def test_vanishing_gradient(recorder: Recorder) -> None:
    recorder.training(gradients={"gradient/a": [1e-3, -1e-3], "gradient/b": [1.0, 1.0]})
    recorder.training(gradients={"gradient/a": [1e-6, -3e-6], "gradient/b": [1.0, 1.0]})
    assert recorder.result("VanishingGradient")["status"] == "NoIssuesFound"
    found = recorder.result("VanishingGradient", threshold=2.1e-6)
    assert (found["status"], found["step"]) == ("IssuesFound", 1)
    assert "gradient/a" in found["detail"]
    assert "2e-06, below threshold 2.1e-06" in found["detail"]
    assert recorder.result("VanishingGradient", threshold=1.9e-6)["status"] == "NoIssuesFound"


def test_a_bias_may_be_without_a_gradient(recorder: Recorder) -> None:
    biases, gradients = {"b": [0.0, 0.0]}, {"gradient/b": [0.0, 0.0], "gradient/w": [1.0, -1.0]}
    recorder.training(biases=biases, gradients=gradients)
    assert recorder.result("VanishingGradient")["status"] == "NoIssuesFound"
    assert recorder.result("PoorWeightInitialization", of="finetune")["status"] == "NoIssuesFound"


def test_vanishing_gradient_reads_saved_reductions(recorder: Recorder) -> None:
    recorder.training(gradients={"gradient/a": [1e-9, -1e-9]}, only="abs_mean")
    assert recorder.result("VanishingGradient")["status"] == "IssuesFound"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_exploding_tensor(recorder: Recorder, value: float) -> None:
    recorder.training(weights={"w": [1.0, 1e30]})
    assert recorder.result("ExplodingTensor")["status"] == "NoIssuesFound"
    recorder.training(weights={"w": [1.0, value]})
    found = recorder.result("ExplodingTensor")
    assert (found["status"], found["step"]) == ("IssuesFound", 1)
    assert f"w holds {value}, in 50% of its 2 values" in found["detail"]
    only_nan = recorder.result("ExplodingTensor", only_nan=True)
    assert (only_nan["status"] == "IssuesFound") == math.isnan(value)


def test_exploding_tensor_looks_where_it_is_told(recorder: Recorder) -> None:
    recorder.training(weights={"w": [math.nan]}, gradients={"gradient/w": [1.0]})
    assert recorder.result("ExplodingTensor", collection_names="gradients")["status"] == "NoIssuesFound"
    assert recorder.result("ExplodingTensor", tensor_regex="^w$")["status"] == "IssuesFound"
    both = recorder.result("ExplodingTensor", tensor_regex="^w$", collection_names="gradients")
    assert both["status"] == "IssuesFound"


def test_exploding_tensor_reads_saved_reductions(recorder: Recorder) -> None:
    recorder.training(weights={"w": [1.0, math.inf]}, only="max")
    assert recorder.result("ExplodingTensor")["status"] == "IssuesFound"


def test_all_zero(recorder: Recorder) -> None:
    recorder.training(gradients={"gradient/w": [0, 0, 0, 1]})
    assert recorder.result("AllZero", collection_names="gradients")["status"] == "NoIssuesFound"
    assert recorder.result("AllZero", collection_names="gradients", threshold=75)["status"] == "IssuesFound"
    assert recorder.result("AllZero", collection_names="gradients", threshold=76)["status"] == "NoIssuesFound"
    recorder.training(gradients={"gradient/w": [0, 0, 0, 0]})
    found = recorder.result("AllZero", tensor_regex="^gradient/")
    assert (found["status"], found["step"]) == ("IssuesFound", 1)


def test_all_zero_reads_saved_reductions(recorder: Recorder) -> None:
    recorder.training(gradients={"gradient/w": [0, 1]}, only="abs_mean")
    assert recorder.result("AllZero", collection_names="gradients")["status"] == "NoIssuesFound"
    recorder.training(gradients={"gradient/w": [0, 0]}, only="abs_mean")
    assert recorder.result("AllZero", collection_names="gradients")["status"] == "IssuesFound"


def images(*, dead: int, channels: int = 4) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return ReLU outputs of 4 images by channels by 2 x 2 places, whose first channels are always zero."""
    outputs = np.zeros((4, channels, 2, 2), dtype=np.float32)
    outputs[:, dead:, 0, 0] = 1
    return outputs


def test_dead_relu(recorder: Recorder) -> None:
    recorder.training(relu_output={"layer1.relu_output_0": images(dead=2)})
    assert recorder.result("DeadRelu", of="finetune")["status"] == "NoIssuesFound"
    assert recorder.result("DeadRelu", of="finetune", threshold_layer=49)["status"] == "IssuesFound"
    assert recorder.result("DeadRelu", of="finetune", threshold_inactivity=24)["status"] == "NoIssuesFound"
    assert recorder.result("DeadRelu", of="finetune", threshold_inactivity=26)["status"] == "IssuesFound"
    recorder.training(relu_output={"layer1.relu_output_0": images(dead=3)})
    found = recorder.result("DeadRelu", of="finetune")
    assert (found["status"], found["step"]) == ("IssuesFound", 1)
    assert "75 % of the ReLUs of layer1.relu_output_0" in found["detail"]


def test_dead_relu_of_vectors(recorder: Recorder) -> None:
    recorder.training(relu_output={"fc.relu_output_0": [[0, 0, 1], [0, 0, 0]]})
    assert recorder.result("DeadRelu", of="finetune")["status"] == "IssuesFound"


def test_saturated_activation(recorder: Recorder) -> None:
    inputs = {"gate.sigmoid_input_0": [[-22.0, 3.0], [0.0, 16.0]], "gate.tanh_input_0": [[9.4, 0.0], [0.0, -9.4]]}
    recorder.training(gates=inputs)
    assert recorder.result("SaturatedActivation", of="finetune")["status"] == "NoIssuesFound"
    narrow = recorder.result("SaturatedActivation", of="finetune", threshold_sigmoid_max=-1, threshold_layer=40)
    assert narrow["status"] == "IssuesFound"
    recorder.training(gates={"gate.tanh_input_0": [[9.6, 11.0], [-9.6, -12.0]]})
    found = recorder.result("SaturatedActivation", of="finetune")
    assert (found["status"], found["step"]) == ("IssuesFound", 1)
    assert "gate.tanh_input_0" in found["detail"]


@pytest.mark.parametrize("rule", ["DeadRelu", "SaturatedActivation"])
def test_a_head_has_no_activation_functions_and_does_not_pass_for_it(recorder: Recorder, rule: str) -> None:
    recorder.losses(1.0, 0.5)
    result = recorder.result(rule)
    assert result["status"] == "NotApplicable"
    assert "a head on features is one linear layer" in result["detail"]
    other = recorder.result(rule, of="finetune")
    assert other["status"] == "NotApplicable"
    assert "the network has no" in other["detail"]


def test_a_head_begins_at_zero_so_its_initialisation_is_no_question(recorder: Recorder) -> None:
    recorder.training(losses={"loss": 1.0}, gradients={"gradient/w": [0.0, 0.0]})
    assert recorder.result("PoorWeightInitialization", of="finetune")["status"] == "IssuesFound"
    result = recorder.result("PoorWeightInitialization")
    assert (result["status"], result["step"]) == ("NotApplicable", None)
    assert "no activation function" in result["detail"]


def test_poor_weight_initialization_by_variances(recorder: Recorder) -> None:
    recorder.training(relu_input={"a.relu_input_0": [[-1.0, 1.0]], "b.relu_input_0": [[-3.0, 3.0]]})
    assert recorder.result("PoorWeightInitialization", of="finetune")["status"] == "NoIssuesFound"
    found = recorder.result("PoorWeightInitialization", of="finetune", threshold=8.9)
    assert (found["status"], found["step"]) == ("IssuesFound", 0)
    assert "9 times, above threshold 8.9" in found["detail"]
    assert recorder.result("PoorWeightInitialization", of="finetune", threshold=9.1)["status"] == "NoIssuesFound"


def test_poor_weight_initialization_by_gradients(recorder: Recorder) -> None:
    recorder.training(gradients={"gradient/w": np.linspace(0, 0.01, 101), "gradient/b": [1.0]})
    assert recorder.result("PoorWeightInitialization", of="finetune")["status"] == "NoIssuesFound"
    found = recorder.result("PoorWeightInitialization", of="finetune", distribution_range=0.0091)
    assert found["status"] == "IssuesFound"
    assert "gradient/w" in found["detail"]
    assert (
        recorder.result("PoorWeightInitialization", of="finetune", distribution_range=0.0089)["status"]
        == "NoIssuesFound"
    )


def test_poor_weight_initialization_by_losses(recorder: Recorder) -> None:
    recorder.losses(1.0, 2.0, 2.0, 2.0, 0.9, 1.0, 1.0, 1.0, 1.0)
    assert recorder.result("PoorWeightInitialization", of="finetune")["status"] == "NoIssuesFound"
    found = recorder.result("PoorWeightInitialization", of="finetune", patience=4)
    assert (found["status"], found["step"]) == ("IssuesFound", 8)
    assert recorder.result("PoorWeightInitialization", of="finetune", patience=4, steps=8)["status"] == "NoIssuesFound"
