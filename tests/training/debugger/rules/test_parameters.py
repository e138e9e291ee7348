"""Rules are settings: what may be set, and that the defaults may."""

from __future__ import annotations

import json

import pytest

import contract


@pytest.mark.parametrize("mode", contract.MODES)
def test_every_default_is_a_parameter_of_its_rule(mode: str) -> None:
    for rule, parameters in contract.DEFAULT_PARAMETERS[mode].items():
        assert contract.checked_parameters(rule, parameters) == parameters
        assert rule in contract.DEFAULT_RULES[mode]
        for name, value in parameters.items():
            assert value != contract.RULES[rule].parameters[name], f"{rule}.{name} is SageMaker's default anyway"


@pytest.mark.parametrize("mode", contract.MODES)
def test_the_defaults_fit_a_processing_jobs_environment(mode: str) -> None:
    assert all(len(json.dumps(parameters)) <= 256 for parameters in contract.DEFAULT_PARAMETERS[mode].values())


@pytest.mark.parametrize("mode", contract.MODES)
def test_rules_that_cannot_apply_have_no_parameters_of_ours_and_are_debug_rules(mode: str) -> None:
    for rule in contract.NOT_APPLICABLE[mode]:
        assert contract.RULES[rule].kind == "tensor"
        assert rule not in contract.DEFAULT_PARAMETERS[mode]


@pytest.mark.parametrize("mode", contract.MODES)
def test_rules_that_block_are_evaluated(mode: str) -> None:
    assert set(contract.BLOCKING_RULES) <= set(contract.DEFAULT_RULES[mode])


@pytest.mark.parametrize(
    ("rule", "parameters", "words"),
    [
        ("LossNotDecreasing", {"mode": "train"}, "give TRAIN, EVAL, GLOBAL"),
        ("WeightUpdateRatio", {"num_steps": "many"}, "a whole number such as 10"),
        ("UnchangedTensor", {"num_steps": 2.5}, "a whole number such as 3"),
        ("ExplodingTensor", {"tensor_regex": "(weight"}, "no regular expression"),
        ("Overfit", {"ratio_threshold": "high"}, "a number such as 0.1"),
        ("ExplodingTensor", {"only_nan": "perhaps"}, "true or false"),
    ],
)
def test_a_wrong_value_is_refused(rule: str, parameters: dict[str, object], words: str) -> None:
    with pytest.raises(contract.ContractError, match=words):
        contract.checked_parameters(rule, parameters)


def test_none_is_no_value() -> None:
    given = {"num_steps": None, "large_threshold": "20"}
    assert contract.checked_parameters("WeightUpdateRatio", given) == {"num_steps": None, "large_threshold": 20.0}
    assert contract.checked_parameters("LossNotDecreasing", {"mode": "None", "tensor_regex": ""}) == {
        "mode": None,
        "tensor_regex": None,
    }
