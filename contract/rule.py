"""What is to be said of a rule of the debugger, but for the code that evaluates it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from contract.debugger import Evaluator
from contract.hyperparameters import MODES
from contract.rule_parameters import Parameter, ParameterValue

__all__ = ["TRAINING_MODES", "Rule", "RuleKind"]

TRAINING_MODES: Final = ("TRAIN", "EVAL", "GLOBAL")
"""smdebug's modes, which count steps: of the optimiser, of validation (here one an epoch), and both together."""

RuleKind = Literal["tensor", "profiler"]
"""What a rule looks at: the tensors that the hook saved, or the training job's profile."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule."""

    name: str
    """SageMaker's name of the rule, or the name of a rule of this project."""
    kind: RuleKind
    fires_when: str
    """The condition under which the rule finds an issue, in words, for the documentation."""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    on_in: tuple[str, ...] = MODES
    """The modes of training in which it is evaluated by default."""
    blocks: bool = False
    """Whether it keeps a model out of service when it finds an issue, unless the setting `debugger.block` differs."""
    not_applicable: Mapping[str, str] = field(default_factory=dict)
    """By mode of training: why the rule says nothing about such a training."""
    evaluators: tuple[Evaluator, ...] = ("managed", "own")
    """Who may evaluate it. A rule that is not SageMaker's, or that SageMaker no longer evaluates, is `own` alone."""

    @property
    def defaults(self) -> dict[str, ParameterValue]:
        """SageMaker's default of each parameter."""
        return {name: parameter.default for name, parameter in self.parameters.items()}

    def project_defaults(self, mode: str) -> dict[str, ParameterValue]:
        """Return this project's defaults in a mode of training, without those that are SageMaker's."""
        return {
            name: parameter.project_defaults[mode]
            for name, parameter in self.parameters.items()
            if mode in parameter.project_defaults
        }
