"""The settings of the debugger: which rules watch the best-trial training, who evaluates them, and which block."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

import contract
from infra.settings.section import InstanceType, Section

__all__ = ["DebuggerSettings"]

_MAX_PARAMETERS = 256
"""Characters a value of a processing job's `Environment` may have (CreateProcessingJob)."""


class DebuggerSettings(Section):
    """The rules that watch the best-trial training."""

    mode: Literal["auto", "managed", "own", "off"] = Field(
        default="auto",
        description="Who evaluates the rules: SageMaker Debugger (managed), a processing job of this system (own), "
        "the first where the account may use it and else the second (auto), or nobody (off).",
    )
    rules: tuple[str, ...] = Field(
        default=(),
        description="Rules by their SageMaker names; empty: those that suit training.mode.",
    )
    parameters: dict[str, dict[str, contract.ParameterValue]] = Field(
        default={},
        description="Parameters of rules, by rule in cdk.json; with -c as a list such as "
        "Overfit.patience=2,DeadRelu.threshold_layer=60.",
    )
    block: tuple[str, ...] = Field(
        default=contract.BLOCKING_RULES,
        description="Rules that keep a model out of service when they find an issue; the others warn.",
    )
    save_interval: int = Field(
        default=50,
        ge=1,
        le=100_000,
        description="Steps between two at which more than the loss is saved for rules.",
    )
    instance_type: InstanceType = Field(
        default="ml.m5.large", description="Machine of the own rules' job, one for all rules in turn."
    )
    max_minutes: int = Field(
        default=30, ge=5, le=240, description="Time limit of the own rules' job, or of the wait for SageMaker's."
    )

    def evaluated(self, mode: str, kind: contract.RuleKind | None = None) -> tuple[str, ...]:
        """The rules of a run whose hyperparameter `mode` this is; only those of a kind, if one is given."""
        rules = self.rules or contract.DEFAULT_RULES[mode]
        return tuple(rule for rule in rules if kind in (None, contract.RULES[rule].kind))

    def judged(self, mode: str) -> tuple[str, ...]:
        """The debug rules that somebody is asked to evaluate: those that can apply to a training of this `mode`."""
        return tuple(rule for rule in self.evaluated(mode, "debug") if rule not in contract.NOT_APPLICABLE[mode])

    def parameters_of(self, rule: str, mode: str) -> dict[str, contract.ParameterValue]:
        """This system's defaults and the settings on top, without those that are SageMaker's defaults anyway."""
        chosen = contract.DEFAULT_PARAMETERS[mode].get(rule, {}) | self.parameters.get(rule, {})
        defaults = contract.RULES[rule].parameters
        return {name: value for name, value in chosen.items() if value != defaults[name]}

    @field_validator("rules", "block", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        """`-c debugger.block=Overfit` is a list of one, `-c debugger.block=` an empty one."""
        if value is None:
            return ()
        return [value] if isinstance(value, str) else value

    @field_validator("rules", "block")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            contract.checked_parameters(name, {})
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(repeated)} is named twice; name a rule once")
        return names

    @field_validator("parameters", mode="before")
    @classmethod
    def _checked(cls, value: Any) -> dict[str, dict[str, contract.ParameterValue]]:
        given = _by_rule(value)
        return {rule: contract.checked_parameters(rule, parameters) for rule, parameters in given.items()}

    def check_mode(self, mode: str) -> None:
        """Raise ValueError where a rule that is not evaluated with this training mode is to block or has parameters."""
        if self.mode == "off":
            return
        evaluated = self.evaluated(mode)
        for name, chosen in (("block", self.block), ("parameters", tuple(self.parameters))):
            if missing := [rule for rule in chosen if rule not in evaluated]:
                raise ValueError(
                    f"debugger.{name} names {', '.join(missing)}, which is not evaluated; evaluated are "
                    f"{', '.join(evaluated)} (setting debugger.rules): add it there or take it out of debugger.{name}"
                )
        for rule in evaluated:
            size = len(json.dumps(self.parameters_of(rule, mode)))
            if size > _MAX_PARAMETERS:
                raise ValueError(
                    f"debugger.parameters: those of {rule} take {size} characters as JSON, more than the "
                    f"{_MAX_PARAMETERS} that reach a job; shorten them"
                )


def _by_rule(value: Any) -> Mapping[str, Mapping[str, object]]:
    """`{rule: {parameter: value}}` as cdk.json has it, or out of the texts `RULE.PARAMETER=VALUE` of `-c`."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        for rule, parameters in value.items():
            if not isinstance(parameters, Mapping):
                raise ValueError(f"{rule}: {parameters!r} is no mapping of parameters; give {{PARAMETER: VALUE}}")  # noqa: TRY004 - pydantic wants it
        return value
    found: dict[str, dict[str, object]] = {}
    for text in [value] if isinstance(value, str) else value:
        name, equals, chosen = str(text).partition("=")
        rule, dot, parameter = name.strip().partition(".")
        if not (equals and dot):
            raise ValueError(f"{text!r} is not RULE.PARAMETER=VALUE, such as Overfit.patience=2")
        found.setdefault(rule, {})[parameter] = chosen
    return found
