"""The hook's share of a fine-tuning, from steps of which nothing, the loss or everything is saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

import contract
from benchmarks.hook.hooks import PEER, SAVE_INTERVAL, import_seconds, our_hook, smdebug_hook
from benchmarks.result import Result, cost_share
from benchmarks.timing import cpu_seconds, interleave, median
from benchmarks.training_step import BATCH, fine_tuning, photo_loader, synthetic_batch
from training.debugger import activations
from training.debugger.samples import activation_sample
from training.runtime.observer import Observer, TensorHook

__all__ = ["finetune"]

EPOCHS = contract.Hyperparameters().epochs
STEPS_OF_EPOCH = 11
"""Of clothing10's 703 training photos, in batches of 64."""

_EVERYTHING, _LOSS = 2, 3
"""A step of which everything is saved, and one of which only the loss is."""


def finetune(*, quick: bool) -> Result:
    """Measure the steps, and count them up to a training of `EPOCHS` epochs."""
    steps = EPOCHS * STEPS_OF_EPOCH
    detailed = len({*range(contract.FIRST_STEPS), *range(0, steps, SAVE_INTERVAL), steps - 1})

    with our_hook("finetune") as ours, smdebug_hook(1) as peer, smdebug_hook(10**9) as peer_of_losses:
        # steps of which everything is saved, beside steps without a hook
        plain = HookedSteps()
        everything = {"ours": HookedSteps(AtStep(ours, _EVERYTHING)), "smdebug": HookedSteps(AtStep(peer, _EVERYTHING))}
        with everything["ours"].sampling_timed():
            rounds = interleave(
                {
                    "none": plain.step_seconds,
                    "ours": everything["ours"].hook_seconds,
                    "smdebug": everything["smdebug"].step_seconds,
                },
                rounds=1 if quick else 5,
            )
        # steps of which only the loss is saved; the other networks' memory is needed for them
        del everything
        of_losses = {
            "ours": HookedSteps(AtStep(ours, _LOSS)),
            "smdebug": HookedSteps(AtStep(peer_of_losses, _LOSS)),
        }
        losses = {
            name: median(hooked.hook_seconds() for _ in range(1 if quick else 3)) for name, hooked in of_losses.items()
        }

    importing = import_seconds()
    cost = {name: median(seconds) for name, seconds in rounds.items()}
    # The peer works in the hooks on the modules, so that only the difference between whole steps shows its cost.
    added = {"ours": cost["ours"], "smdebug": cost["smdebug"] - cost["none"]}
    share = {
        name: (importing + detailed * added[name] + (steps - detailed) * losses[name]) / (steps * cost["none"])
        for name in losses
    }
    return cost_share(
        "hook_finetune",
        unit=f"share of the training time: {detailed} of {steps} steps with everything saved, "
        f"{added['ours']:.2f} s more for a step of {cost['none']:.1f} s, ResNet50, batch {BATCH}; "
        "smdebug's hook without activations",
        ours=share["ours"],
        peer=(PEER, share["smdebug"]),
        at_most=0.10,
    )


class AtStep:
    """A hook that takes every step for the same one, and whose calls' CPU seconds are counted."""

    def __init__(self, hook: TensorHook, number: int):
        self._hook, self._number = hook, number
        self.seconds = 0.0

    def begin_training(
        self, model: nn.Module, *, epochs: int, steps: int, done: int, archives: Sequence[str] = ()
    ) -> None:
        self._hook.begin_training(model, epochs=epochs, steps=steps, done=done, archives=archives)

    def begin_step(self, _step: int) -> None:
        self.seconds += cpu_seconds(lambda: self._hook.begin_step(self._number))

    def after_backward(self, *, scaled: bool) -> None:
        self.seconds += cpu_seconds(lambda: self._hook.after_backward(scaled=scaled))

    def end_step(self, *, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        self.seconds += cpu_seconds(lambda: self._hook.end_step(loss=loss, logits=logits, labels=labels))

    def validated(self, *, loss: float, logits: Tensor, labels: Tensor) -> None:
        self.seconds += cpu_seconds(lambda: self._hook.validated(loss=loss, logits=logits, labels=labels))

    def keep(self) -> list[str]:
        return self._hook.keep()


@dataclass
class HookedSteps:
    """Optimiser steps of a fine-tuning of its own, with or without a hook."""

    hook: AtStep | None = None

    def __post_init__(self) -> None:
        observer = Observer(hook=self.hook)
        training = fine_tuning(photo_loader(), observer=observer)
        training.model.train()
        observer.begin_training(training.model, epochs=EPOCHS, steps=STEPS_OF_EPOCH, done=0)
        batch = synthetic_batch()
        self._step: Callable[[], None] = lambda: training.take_step(batch)
        self._step()

    def step_seconds(self) -> float:
        """Return the CPU seconds of a step."""
        return cpu_seconds(self._step)

    def hook_seconds(self) -> float:
        """Return the CPU seconds of the hook's calls in a step."""
        before = self.hook.seconds if self.hook else 0.0
        self._step()
        return (self.hook.seconds if self.hook else 0.0) - before

    @contextmanager
    def sampling_timed(self) -> Iterator[None]:
        """Count what our hook does in the network's modules, too, as its calls."""
        hook = self.hook

        def timed(activation: Tensor) -> Tensor:
            sampled: list[Tensor] = []
            seconds = cpu_seconds(lambda: sampled.append(activation_sample(activation)))
            if hook:
                hook.seconds += seconds
            return sampled[0]

        activations.__dict__["activation_sample"] = timed
        try:
            yield
        finally:
            activations.__dict__["activation_sample"] = activation_sample
