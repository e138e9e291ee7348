"""The rule LossNotDecreasing: the loss does not fall fast enough."""

from __future__ import annotations

from typing import ClassVar

from training.debugger.rules.base import LOSSES, ModeKeys, TensorRule, listed
from training.debugger.rules.finished_trial import FinishedTrial

__all__ = ["LossNotDecreasing"]


class LossNotDecreasing(TensorRule):
    """The loss does not fall fast enough.

    Every `num_steps` steps, the rule compares the loss with the one at least that many steps before. It fires if the
    loss fell by less than `diff_percent`, or if it rose by more than `increase_threshold_percent`; a smaller rise is
    allowed. Steps are those of `mode`; without it, those of the first of EVAL, TRAIN and GLOBAL in which losses were
    saved.

    The page leaves open what happens in a training of fewer than `num_steps` steps: here its last loss is compared with
    its first.

    Source: "LossNotDecreasing", List of Debugger built-in rules (Amazon SageMaker AI developer guide).
    """

    inspects: ClassVar[str] = "losses (collection losses)"

    def __init__(
        self,
        base_trial: FinishedTrial,
        *,
        collection_names: str | None,
        tensor_regex: str | None,
        use_losses_collection: bool,
        num_steps: int,
        diff_percent: float,
        increase_threshold_percent: float,
        mode: str | None,
    ):
        super().__init__(base_trial)
        self._collections = [*listed(collection_names), *([LOSSES] if use_losses_collection else [])]
        self._regexes = listed(tensor_regex)
        self._steps, self._least, self._most = num_steps, diff_percent, increase_threshold_percent
        self._mode = ModeKeys[mode] if mode else self._mode_of_losses()
        self._compared: dict[str, tuple[int, float]] = {}
        self._last: dict[str, tuple[int, float]] = {}

    def waits_for(self) -> str:
        """Name the losses that the rule compares."""
        return f"losses of two steps in mode {self._mode.name}"

    def invoke_at_step(self, step: int) -> bool:
        """Compare each loss with its earlier value, once `num_steps` have passed."""
        if self._mode not in (ModeKeys.GLOBAL, self.trial.mode_at(step)):
            return False
        names = self.names_at(step, collections=self._collections, regexes=self._regexes)
        now = step if self._mode == ModeKeys.GLOBAL else int(self.trial.mode_step(step))
        for name, loss in self.scalars_at(step, names).items():
            self._last[name] = now, loss
            before, old = self._compared.setdefault(name, (now, loss))
            if now - before >= self._steps:
                self._compared[name] = now, loss
                if self._too_little(name, old=old, new=loss, before=before, now=now):
                    return True
        return False

    def invoke_at_end(self) -> bool:
        """Compare the last loss with the first, if the training was over before the first comparison."""
        if self.checks:
            return False
        for name, (now, loss) in self._last.items():
            before, old = self._compared[name]
            if now > before and self._too_little(name, old=old, new=loss, before=before, now=now):
                return True
        return False

    def _too_little(self, name: str, *, old: float, new: float, before: int, now: int) -> bool:
        self.checks += 1
        fell = 100 * (old - new) / max(abs(old), 1e-12)
        mode = self._mode.name
        said = f"{name} went from {old:.4g} at {mode} step {before} to {new:.4g} at {mode} step {now}"
        if 0 <= fell < self._least:
            return self.fire(f"{said}: it fell by {fell:.3g} %, less than diff_percent {self._least:g} %")
        if -fell > self._most:
            return self.fire(f"{said}: it rose by {-fell:.3g} %, more than increase_threshold_percent {self._most:g} %")
        return False

    def _mode_of_losses(self) -> ModeKeys:
        names = self.trial.saved(collections=self._collections, regexes=self._regexes)
        saved = [mode for mode in (ModeKeys.EVAL, ModeKeys.TRAIN) if self.trial.has_mode(names, mode)]
        return saved[0] if saved else ModeKeys.GLOBAL
