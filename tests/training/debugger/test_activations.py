"""Activations are sampled in one forward pass, compiled or not, and the network is left as it was."""

from __future__ import annotations

import pytest
import torch
from torchvision import models

from training.debugger.activations import Activations
from training.model.compute import compile_stages
from training.model.stages import stages


def test_inputs_are_kept_as_they_were_before_an_in_place_activation() -> None:
    activations = Activations(models.resnet18(weights=None).eval(), failed=lambda what, error: pytest.fail(str(error)))
    model = activations._model
    activations.watch(lambda name: name.startswith("layer1.0."))
    with torch.no_grad():
        model(torch.rand(5, 3, 32, 32))
        model(torch.rand(5, 3, 32, 32))  # the batch's second part
    samples = activations.stop()
    # A block calls its one ReLU twice.
    assert sorted(samples) == [f"layer1.0.relu_{side}_{call}" for side in ("input", "output") for call in (0, 1)]
    for call in (0, 1):
        assert (samples[f"layer1.0.relu_input_{call}"] < 0).any()
        assert torch.equal(samples[f"layer1.0.relu_input_{call}"].relu(), samples[f"layer1.0.relu_output_{call}"])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_activations_of_compiled_stages_are_seen() -> None:
    torch.manual_seed(0)
    model = models.resnet18(weights=None).eval()
    compile_stages(model, stages=stages(model), watched=[], backend="eager")
    pixels = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        expected = model(pixels)
        activations = Activations(model, failed=lambda what, error: pytest.fail(str(error)))
        activations.watch(lambda name: "relu_output" in name)
        torch.testing.assert_close(model(pixels), expected)
        samples = activations.stop()
        torch.testing.assert_close(model(pixels), expected)
    assert len(samples) == 17
    assert activations.stop() == {}
