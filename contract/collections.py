"""The debugger hook's collections: which tensors of the training are saved, under which names, and how often."""

from __future__ import annotations

from typing import Final, TypedDict

from contract.hyperparameters import MODES, ContractError

__all__ = [
    "FIRST_STEPS",
    "GRADIENT_PREFIX",
    "LABELS_TENSOR",
    "LOSS_TENSOR",
    "MAX_SAMPLE",
    "PREDICTIONS_TENSOR",
    "CollectionConfiguration",
    "hook_collections",
]

LOSS_TENSOR: Final = "CrossEntropyLoss_output_0"
"""The tensor in `losses`, under smdebug's own name for the output of torch's CrossEntropyLoss."""

LABELS_TENSOR: Final = "labels"
PREDICTIONS_TENSOR: Final = "predictions"

GRADIENT_PREFIX: Final = "gradient/"
"""The gradient of parameter NAME is tensor `gradient/NAME`, the parameter itself tensor NAME, as in smdebug."""

FIRST_STEPS: Final = 3
"""The number of steps at the training's start at which everything is saved, whatever the interval."""

MAX_SAMPLE: Final = 4096
"""The most values of a weight, a gradient, labels or predictions that are saved."""


class CollectionConfiguration(TypedDict):
    """A member of CreateTrainingJob's `DebugHookConfig.CollectionConfigurations`."""

    CollectionName: str
    CollectionParameters: dict[str, str]


def hook_collections(mode: str, save_interval: int) -> list[CollectionConfiguration]:
    """Return the collections of a training in a mode, in the form of CreateTrainingJob's `CollectionConfigurations`.

    smdebug's mode TRAIN counts optimiser steps from 0, and EVAL counts validations, one an epoch, from 0. GLOBAL steps
    count both, in the order in which they happen. "At the interval" means at TRAIN steps 0, 1 and 2 (`FIRST_STEPS`), at
    every multiple of `save_interval`, and at the training's last step. A long training of a large network leaves some
    of the multiples out, to stay below the hook's bound in bytes (`training.debugger.hook.MAX_BYTES`).

    Both modes:

    - `losses`: `CrossEntropyLoss_output_0`, float32 of shape (1,), the batch's mean at every TRAIN step and the mean
      over the validation photos at every EVAL step.
    - `weights`, `biases`: each trained parameter whose name holds `weight` or `bias`, float32, at the interval, as it
      was when the step's gradients were taken, before the update. Names are the model's own, such as `linear.weight`
      (features) or `head.linear.weight`, `backbone.network.layer4.0.conv1.weight` (finetune). Parameters that are not
      trained are not saved.
    - `gradients`: `gradient/NAME` of each of those parameters, before clipping. In float16, the gradient scaler skips a
      step whose gradients are not finite, and these are not saved.
    - `labels`, `predictions`: class numbers, int64 of shape (N,), pairwise: the given class and the one with the
      highest score. TRAIN at the interval (the last part of a batch that goes through the network in parts), and
      EVAL every epoch, of the first `MAX_SAMPLE` photos.

    A weight or gradient of more than `MAX_SAMPLE` values is saved as a sample of that many, of shape (MAX_SAMPLE,),
    spread over the tensor and at the same places at every step; where the tensor holds a value that is not finite, so
    does the sample. Each gradient also comes with smdebug's reduction `abs_mean`, taken over the whole tensor.

    `finetune` also, at the interval, for every module of torch's classes ReLU and ReLU6:

    - `relu_input`, `relu_output`: `MODULE.relu_input_K` and `MODULE.relu_output_K` (MODULE's name ends in `relu`, or
      gets `.relu` appended; K counts its calls in one forward pass, from 0), float32, a sample of at most 4 images by
      all channels by at most 3 x 3 places: (n, C, h, w), or (n, C) behind the pooling.
    - `tanh_input`, `sigmoid_input`: likewise for Tanh and Sigmoid, of networks that have them.

    Raises:
        ContractError: the mode is unknown, or the interval is below 1.
    """
    if mode not in MODES:
        raise ContractError(f"mode {mode!r} is not known; give one of {', '.join(MODES)}")
    if save_interval < 1:
        raise ContractError(f"a save interval of {save_interval} steps cannot be; give 1 or more")

    # the schedules
    first = ",".join(str(step) for step in range(FIRST_STEPS))
    interval = {"save_interval": str(save_interval), "save_steps": first}
    with_every_epoch = {
        "train.save_interval": str(save_interval),
        "train.save_steps": first,
        "eval.save_interval": "1",
    }

    collections = {
        "losses": {"train.save_interval": "1", "eval.save_interval": "1"},
        "gradients": {**interval, "reductions": "abs_mean", "save_raw_tensor": "true"},
        "weights": interval,
        "biases": interval,
        "labels": {**with_every_epoch, "include_regex": f"^{LABELS_TENSOR}$"},
        "predictions": {**with_every_epoch, "include_regex": f"^{PREDICTIONS_TENSOR}$"},
    }
    if mode == "finetune":
        for name in ("relu_input", "relu_output", "tanh_input", "sigmoid_input"):
            collections[name] = {**interval, "include_regex": rf"{name}_\d+$"}

    return [
        CollectionConfiguration(CollectionName=name, CollectionParameters=parameters)
        for name, parameters in collections.items()
    ]
