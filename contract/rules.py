"""The debugger's rules, an entry each: everything that is to be said of a rule, but for the code that evaluates it.

An entry names the rule and its parameters. It says in which modes of training the rule is on by default, whether it
keeps a model out of service, where it cannot apply, and who may evaluate it. A new rule of this project needs an entry
in `tensor_rules.py` or `profiler_rules.py`, a module in `training/debugger/rules/` or `training/profiler/rules/` and a
line in its `evaluation.py`. The tables of docs/debugger.md and docs/profile.md are written from them
(`python -m cli.rule_tables`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from contract.debugger import Evaluator
from contract.hyperparameters import MODES, ContractError
from contract.profiler_rules import PROFILER_RULES
from contract.rule import Rule, RuleKind
from contract.rule_parameters import Parameter, ParameterValue
from contract.tensor_rules import TENSOR_RULES

__all__ = [
    "BLOCKING_RULES",
    "DEFAULT_PARAMETERS",
    "DEFAULT_RULES",
    "NOT_APPLICABLE",
    "RULES",
    "Parameter",
    "ParameterValue",
    "Rule",
    "RuleKind",
    "checked_parameters",
    "why_not_applicable",
]

RULES: Final[dict[str, Rule]] = {rule.name: rule for rule in (*TENSOR_RULES, *PROFILER_RULES)}
"""Every rule by its name, in the order in which results are listed."""

DEFAULT_RULES: Final[dict[str, tuple[str, ...]]] = {
    mode: tuple(name for name, rule in RULES.items() if mode in rule.on_in) for mode in MODES
}
"""The rules that are on by default, by the hyperparameter `mode`."""

DEFAULT_PARAMETERS: Final[dict[str, dict[str, dict[str, ParameterValue]]]] = {
    mode: {name: given for name, rule in RULES.items() if (given := rule.project_defaults(mode))} for mode in MODES
}
"""This project's own defaults of parameters, by `mode` and rule, where they differ from SageMaker's."""

BLOCKING_RULES: Final = tuple(name for name, rule in RULES.items() if rule.blocks)
"""The rules that keep a model out of service when they find an issue, unless the setting `debugger.block` differs."""

NOT_APPLICABLE: Final[dict[str, dict[str, str]]] = {
    mode: {name: rule.not_applicable[mode] for name, rule in RULES.items() if mode in rule.not_applicable}
    for mode in MODES
}
"""Why a rule cannot apply to a mode of training, by `mode` and rule."""


def why_not_applicable(rule: str, *, mode: str, evaluator: Evaluator) -> str | None:
    """Return why a rule is not evaluated on a training of a mode by this evaluator; None where it is evaluated.

    Nobody is asked to evaluate such a rule, since one that finds no tensors may end as an error and so block a good
    model. It stands in the results as `NotApplicable` with the returned detail.
    """
    declared = RULES[rule]
    if mode in declared.not_applicable:
        return declared.not_applicable[mode]
    if evaluator == "managed" and declared.kind == "tensor" and evaluator not in declared.evaluators:
        return "SageMaker Debugger does not know this rule of the project's own; set debugger.mode=own to evaluate it"
    return None


def checked_parameters(rule: str, given: Mapping[str, object]) -> dict[str, ParameterValue]:
    """Return the given parameters of a rule, each in its declared type.

    Raises:
        ContractError: there is no such rule, the rule has no such parameter, or a value is of another type or outside
            its limits; the message lists what is allowed.
    """
    if rule not in RULES:
        raise ContractError(f"there is no debugger rule {rule!r}; known are {', '.join(RULES)}")
    known = RULES[rule].parameters
    checked: dict[str, ParameterValue] = {}
    for name, value in given.items():
        if name not in known:
            allowed = ", ".join(f"{key} (default {entry.default})" for key, entry in known.items()) or "none"
            raise ContractError(f"rule {rule} has no parameter {name!r}; it has {allowed}")
        try:
            checked[name] = known[name].parsed(value)
        except ContractError as error:
            raise ContractError(f"parameter {name}={value!r} of rule {rule} is wrong; {error}") from None
    return checked
