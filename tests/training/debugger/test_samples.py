"""The sample of a large tensor answers what the rules ask of the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import contract
from training.debugger.collections import Wanted
from training.debugger.samples import activation_sample, to_arrays


def test_a_sample_holds_what_is_not_finite_in_the_whole() -> None:
    tensor = torch.ones(300, 300)
    whole = Wanted(values=True, reductions=(("mean", True),))
    (value,) = to_arrays([("w", tensor, Wanted(values=True, reductions=()))]).values()
    assert value.shape == (contract.MAX_SAMPLE,)
    assert np.isfinite(value).all()
    tensor[7, 7] = float("nan")
    arrays = to_arrays([("w", tensor, whole), ("small", torch.tensor([1.0, -3.0]), whole)])
    assert np.isnan(arrays["w"]).sum() == 1
    assert arrays["smdebug/reductions/abs_mean/small"] == pytest.approx(2)
    np.testing.assert_array_equal(arrays["small"], [1, -3])


def test_a_sample_meets_every_place_of_a_kernel() -> None:
    kernel = torch.arange(9.0).expand(512, 512, 9).reshape(512, 512, 3, 3)
    (value,) = to_arrays([("conv.weight", kernel, Wanted(values=True, reductions=()))]).values()
    _, counts = np.unique(value, return_counts=True)
    assert len(counts) == 9
    assert counts.min() > contract.MAX_SAMPLE / 9 * 0.8


def test_an_activations_sample_keeps_every_channel() -> None:
    sample = activation_sample(torch.rand(64, 24, 56, 7))
    assert sample.shape == (4, 24, 3, 3)
    assert activation_sample(torch.rand(2, 24)).shape == (2, 24)
    many = activation_sample(torch.rand(4, 600, 7, 7))
    assert many.numel() > contract.MAX_SAMPLE
    (value,) = to_arrays([("relu_output_0", many, Wanted(values=True, reductions=()))], sampled=True).values()
    assert value.shape == (4, 600, 3, 3)
