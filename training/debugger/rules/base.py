"""What the debugger's rules have in common: finding saved tensors, and saying what was found.

What the rules mean is documented by SageMaker ("List of Debugger built-in rules"); how they are written was never
published. These here follow the page, and say where they had to decide something it leaves open.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Final

import numpy as np
from smdebug.core.modes import ModeKeys
from smdebug.exceptions import RuleEvaluationConditionMet
from smdebug.rules.rule import Rule

from contract import GRADIENT_PREFIX
from training.debugger.rules.finished_trial import FinishedTrial

__all__ = ["LOSSES", "WEIGHTS", "DebugRule", "ModeKeys", "listed"]

BIASES: Final = "biases"
GRADIENTS: Final = "gradients"
LOSSES: Final = "losses"
WEIGHTS: Final = "weights"


def listed(text: str | None) -> list[str]:
    """Collections or regular expressions from a parameter: comma-separated."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


class DebugRule(Rule):  # type: ignore[misc]
    """A rule that looks at each step's tensors in turn and fires at most once.

    A rule's parameters are the keyword arguments of its `__init__`, by their documented names; the defaults are
    `contract.RULES`'.
    """

    inspects: ClassVar[str]
    """The tensors it looks at, in words."""
    of_the_beginning: ClassVar[bool] = False
    """Whether it looks at a training's first steps alone."""

    def __init__(self, base_trial: FinishedTrial):
        super().__init__(base_trial, action_str="")
        self.trial = base_trial
        self.why = ""
        """Once it fired: tensor, value and threshold."""
        self.seen = 0
        """Matching tensors so far, counted once a step."""
        self.checks = 0
        """How often it could decide; a rule that compares steps sees some before it can."""

    def waits_for(self) -> str:
        """What it needs before it can decide, in words; for a training that was too short."""
        return self.inspects

    @abstractmethod
    def invoke_at_step(self, step: int) -> bool:
        """Whether the rule fires at a global step."""

    def invoke_at_end(self) -> bool:
        """Whether it fires at a look back, when the last step is over."""
        return False

    def conclude(self, last_step: int) -> None:
        """As `invoke`, for the look back.

        Raises:
            RuleEvaluationConditionMet: it fires.
        """
        if self.invoke_at_end():
            raise RuleEvaluationConditionMet(self.rule_name, last_step)

    def fire(self, why: str) -> bool:
        """True, with a reason."""
        self.why = why
        return True

    def in_training(self, step: int) -> bool:
        """Whether a global step is one of the optimiser's, not of validation."""
        return bool(self.trial.mode_at(step) != ModeKeys.EVAL)

    def names_at(
        self, step: int, *, collections: list[str] | None = None, regexes: list[str] | None = None
    ) -> list[str]:
        """The matching tensors saved at a global step: the union of both, or all where neither is given."""
        if not collections and not regexes:
            regexes = [".*"]
        names = self.trial.saved(collections=collections or [], regexes=regexes or [])
        found = self.trial.at_step(names, step)
        self.seen += len(found)
        return found

    def weights_gradients_at(self, step: int) -> list[str]:
        """The gradients saved at a global step, without those of biases.

        A new head's bias has none, rightly, as long as the classes are balanced in a batch.
        """
        biases = {f"{GRADIENT_PREFIX}{name}" for name in self.trial.saved(collections=[BIASES], regexes=[])}
        return [name for name in self.names_at(step, collections=[GRADIENTS]) if name not in biases]

    def scalars_at(self, step: int, names: list[str]) -> dict[str, float]:
        """The mean of each tensor, which for a loss is the loss."""
        means = {name: self.trial.reduction_at(name, step, "mean") for name in names}
        return {name: value for name, value in means.items() if value is not None}

    def losses_at(self, step: int, *, regexes: list[str] | None = None) -> dict[str, float]:
        """The losses saved at a global step: of the collection `losses`, or those that match."""
        names = self.names_at(step, collections=None if regexes else [LOSSES], regexes=regexes)
        return self.scalars_at(step, names)

    def share_of_inactive(self, name: str, step: int, *, active: tuple[float, float], least: float) -> float | None:
        """Percentage of a layer's nodes that are hardly ever active; None where only reductions were saved.

        A node is a channel of a convolution (axis 1, over images and places) or one of a vector's numbers (last axis).
        It is inactive if less than `least` percent of its values lie within `active`.
        """
        values = self.trial.value_at(name, step)
        if values is None or values.ndim < 2:
            return None
        axis = 1 if values.ndim == 4 else values.ndim - 1
        others = tuple(other for other in range(values.ndim) if other != axis)
        activity = 100 * ((values > active[0]) & (values < active[1])).mean(axis=others)
        return float(100 * np.mean(activity < least))
