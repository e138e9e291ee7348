"""The settings of the debugger: which rules watch the best-trial training, who evaluates them, and which block."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator

import contract
from infra.settings.section import ONE_OR_MORE, JobInstanceType, Section

__all__ = ["DebuggerSettings"]

_MAX_PARAMETERS = 256
"""Characters a value of a processing job's `Environment` may have (CreateProcessingJob)."""


class DebuggerSettings(Section):
    """The rules that watch the best-trial training."""

    mode: contract.DebuggerMode = Field(
        default="auto",
        description="Who evaluates the rules: SageMaker Debugger (managed), a processing job of this project (own), "
        "SageMaker Debugger where the account may use it and else the processing job (auto), or nobody (off).",
    )
    rules: Annotated[tuple[str, ...], ONE_OR_MORE] = Field(
        default=(),
        description="Changes of the rules that are on by default for training.mode, such as +Confusion,-Overtraining; "
        "or the names of all rules to evaluate; empty: the default rules.",
    )
    parameters: dict[str, dict[str, contract.ParameterValue]] = Field(
        default={},
        description="Parameters of rules, by rule in cdk.json; with -c as a list such as "
        "Overfit.patience=2,DeadRelu.threshold_layer=60.",
    )
    block: Annotated[tuple[str, ...], ONE_OR_MORE] = Field(
        default=contract.BLOCKING_RULES,
        description="Rules that keep a model out of service when they find an issue; the others warn. Changes of the "
        "default, such as +AllZero,-Overfit, or the names of all.",
    )
    save_interval: int = Field(
        default=50,
        ge=1,
        le=100_000,
        description="Steps from one save of the rules' tensors to the next; the loss is saved at every step.",
    )
    instance_type: JobInstanceType = Field(
        default="ml.m5.large", description="Machine of the processing job that evaluates the rules (own)."
    )
    max_minutes: int = Field(
        default=30,
        ge=5,
        le=240,
        description="Time limit of that job (own), or of the wait for SageMaker Debugger's results (managed).",
    )

    def evaluated(self, mode: str, kind: contract.RuleKind | None = None) -> tuple[str, ...]:
        """Return the rules of a run with this training mode, only those of a kind if one is given.

        Rules that cannot apply to the mode are among them, since the results say so of each.
        """
        rules = _changed(contract.DEFAULT_RULES[mode], self.rules)
        return tuple(rule for rule in rules if kind in (None, contract.RULES[rule].kind))

    def tensor_rules(self, mode: str, evaluator: contract.Evaluator = "own") -> tuple[str, ...]:
        """Return the tensor rules that an evaluator is asked for, of a training in this mode."""
        return tuple(
            rule
            for rule in self.evaluated(mode, "tensor")
            if contract.why_not_applicable(rule, mode=mode, evaluator=evaluator) is None
        )

    def evaluator(self, mode: str) -> contract.DebuggerMode:
        """Return who evaluates the rules of a training in this mode.

        This is the setting `debugger.mode`, or `own` where SageMaker Debugger has no rule to evaluate.
        """
        if self.mode == "off" or self.tensor_rules(mode, "managed"):
            return self.mode
        return "own"

    def asks_sagemaker(self, mode: str) -> bool:
        """Return whether SageMaker Debugger may be the evaluator of a training in this mode."""
        return self.evaluator(mode) in ("auto", "managed")

    def parameters_of(self, rule: str, mode: str) -> dict[str, contract.ParameterValue]:
        """Return a rule's parameters in a training mode, without those that have SageMaker's default."""
        chosen = contract.DEFAULT_PARAMETERS[mode].get(rule, {}) | self.parameters.get(rule, {})
        defaults = contract.RULES[rule].defaults
        return {name: value for name, value in chosen.items() if value != defaults[name]}

    @field_validator("rules", "block")
    @classmethod
    def _known(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        names = [entry[1:] if _is_change(entry) else entry for entry in entries]
        for name in names:
            contract.checked_parameters(name, {})
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(repeated)} is named twice; name a rule once")

        plain = [entry for entry in entries if not _is_change(entry)]
        if plain and len(plain) < len(entries):
            raise ValueError(
                f"{', '.join(plain)} has no sign, unlike the other rules: give + or - before each rule to change the "
                "default list, or before none to replace it"
            )
        return entries

    @field_validator("block")
    @classmethod
    def _all_that_block(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        return _changed(contract.BLOCKING_RULES, entries) if entries else ()

    @field_validator("parameters", mode="before")
    @classmethod
    def _checked(cls, value: Any) -> dict[str, dict[str, contract.ParameterValue]]:
        given = _by_rule(value)
        return {rule: contract.checked_parameters(rule, parameters) for rule, parameters in given.items()}

    def check_rules(self, mode: str) -> None:
        """Check that the settings fit together for this training mode.

        Raises:
            ValueError: a rule that is not evaluated is to block or has parameters, a rule that SageMaker Debugger does
                not know is to block though it may be the evaluator, or a rule's parameters are too long for a job.
        """
        if self.mode == "off":
            return
        evaluated = self.evaluated(mode)
        for name, chosen in (("block", self.block), ("parameters", tuple(self.parameters))):
            if missing := [rule for rule in chosen if rule not in evaluated]:
                raise ValueError(
                    f"debugger.{name} names {', '.join(missing)}, which is not evaluated; evaluated are "
                    f"{', '.join(evaluated)} (setting debugger.rules): add it there or take it out of debugger.{name}"
                )

        # a model is not released on the strength of a rule that may never be evaluated
        if self.evaluator(mode) != "own":
            own_alone = set(self.tensor_rules(mode, "own")) - set(self.tensor_rules(mode, "managed"))
            if unknown := [rule for rule in self.block if rule in own_alone]:
                raise ValueError(
                    f"debugger.block names {', '.join(unknown)}, which SageMaker Debugger cannot evaluate, and with "
                    f"debugger.mode={self.mode} it may be the evaluator; set debugger.mode=own or take it out of "
                    "debugger.block"
                )

        for rule in evaluated:
            size = len(json.dumps(self.parameters_of(rule, mode)))
            if size > _MAX_PARAMETERS:
                raise ValueError(
                    f"debugger.parameters: those of {rule} take {size} characters as JSON, more than the "
                    f"{_MAX_PARAMETERS} that reach a job; shorten them"
                )


def _is_change(entry: str) -> bool:
    return entry.startswith(("+", "-"))


def _changed(default: tuple[str, ...], entries: tuple[str, ...]) -> tuple[str, ...]:
    """Return the default list with the changes `+RULE` and `-RULE`, or the entries where they are plain names."""
    if any(not _is_change(entry) for entry in entries):
        return entries
    added = [entry[1:] for entry in entries if entry.startswith("+") and entry[1:] not in default]
    return tuple(rule for rule in (*default, *added) if f"-{rule}" not in entries)


def _by_rule(value: Any) -> Mapping[str, Mapping[str, object]]:
    """Return `{rule: {parameter: value}}`, as cdk.json has it or out of the texts `RULE.PARAMETER=VALUE` of `-c`."""
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
