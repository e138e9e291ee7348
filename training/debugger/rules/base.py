"""The base class of the tensor rules: it finds saved tensors and keeps the reason for which a rule fired.

SageMaker documents what its rules mean ("List of Debugger built-in rules") but never published their code. The rules
here follow that page, and each docstring says what was decided where the page leaves something open.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np
from smdebug.core.modes import ModeKeys
from smdebug.exceptions import RuleEvaluationConditionMet
from smdebug.rules.rule import Rule

from contract import GRADIENT_PREFIX
from training.debugger.rules.finished_trial import FinishedTrial

__all__ = ["LOSSES", "WEIGHTS", "ModeKeys", "TensorRule", "listed"]

BIASES: Final = "biases"
GRADIENTS: Final = "gradients"
LOSSES: Final = "losses"
WEIGHTS: Final = "weights"


def listed(text: str | None) -> list[str]:
    """Return the collections or regular expressions of a parameter, which are separated by commas."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


class TensorRule(Rule):  # type: ignore[misc]
    """A tensor rule, which looks at each step's tensors in turn and fires at most once.

    A rule's parameters are the keyword arguments of its `__init__`, under their documented names. `contract.RULES`
    holds their defaults.
    """

    inspects: ClassVar[str]
    """The tensors that the rule looks at, in words."""
    of_the_beginning: ClassVar[bool] = False
    """Whether the rule looks at a training's first steps alone."""

    def __init__(self, base_trial: FinishedTrial):
        super().__init__(base_trial, action_str="")
        self.trial = base_trial
        self.why = ""
        """The tensor, the value and the threshold for which the rule fired."""
        self.seen = 0
        """The number of matching tensors so far, counted once a step."""
        self.checks = 0
        """The number of checks so far. A rule that compares steps sees some tensors before its first check."""

        self.classes: Sequence[str] = ()
        """The names of the classes by label, where they are known."""

    def class_name(self, label: int) -> str:
        """Return a class in words: its name, or its number where names are not known."""
        return f"class {self.classes[label]!r}" if 0 <= label < len(self.classes) else f"class {label}"

    def not_checked(self) -> str:
        """Return in words what the rule could not judge, where it judged something else; else nothing."""
        return ""

    def waits_for(self) -> str:
        """Return in words what the rule needs for its first check, for the detail of a training that was too short."""
        return self.inspects

    @abstractmethod
    def invoke_at_step(self, step: int) -> bool:
        """Return whether the rule fires at a global step."""

    def invoke_at_end(self) -> bool:
        """Return whether the rule fires once the last step is over."""
        return False

    def conclude(self, last_step: int) -> None:
        """Evaluate the rule after the last step, as `invoke` does at each step.

        Raises:
            RuleEvaluationConditionMet: the rule fires.
        """
        if self.invoke_at_end():
            raise RuleEvaluationConditionMet(self.rule_name, last_step)

    def fire(self, why: str) -> bool:
        """Keep the reason for which the rule fires, and return True."""
        self.why = why
        return True

    def in_training(self, step: int) -> bool:
        """Return whether a global step is one of the optimiser, not of validation."""
        return bool(self.trial.mode_at(step) != ModeKeys.EVAL)

    def names_at(
        self, step: int, *, collections: list[str] | None = None, regexes: list[str] | None = None
    ) -> list[str]:
        """Return the tensors saved at a global step that match one of the two, or all where neither is given."""
        if not collections and not regexes:
            regexes = [".*"]
        names = self.trial.saved(collections=collections or [], regexes=regexes or [])
        found = self.trial.at_step(names, step)
        self.seen += len(found)
        return found

    def weights_gradients_at(self, step: int) -> list[str]:
        """Return the gradients saved at a global step, without those of biases.

        The gradient of a new head's bias is rightly zero as long as the classes are balanced in a batch.
        """
        biases = {f"{GRADIENT_PREFIX}{name}" for name in self.trial.saved(collections=[BIASES], regexes=[])}
        return [name for name in self.names_at(step, collections=[GRADIENTS]) if name not in biases]

    def scalars_at(self, step: int, names: list[str]) -> dict[str, float]:
        """Return the mean of each tensor by its name, which for a loss is the loss itself."""
        means = {name: self.trial.reduction_at(name, step, "mean") for name in names}
        return {name: value for name, value in means.items() if value is not None}

    def losses_at(self, step: int, *, regexes: list[str] | None = None) -> dict[str, float]:
        """Return the losses saved at a global step: those that match, or else those of the collection `losses`."""
        names = self.names_at(step, collections=None if regexes else [LOSSES], regexes=regexes)
        return self.scalars_at(step, names)

    def share_of_inactive(self, name: str, step: int, *, active: tuple[float, float], least: float) -> float | None:
        """Return the percentage of a layer's nodes that are inactive; None where only reductions were saved.

        A node is a channel of a convolution (axis 1, over images and places) or one of a vector's numbers (last axis).
        A node is inactive if less than `least` percent of its values lie within `active`.
        """
        values = self.trial.value_at(name, step)
        if values is None or values.ndim < 2:
            return None
        axis = 1 if values.ndim == 4 else values.ndim - 1
        others = tuple(other for other in range(values.ndim) if other != axis)
        activity = 100 * ((values > active[0]) & (values < active[1])).mean(axis=others)
        return float(100 * np.mean(activity < least))
