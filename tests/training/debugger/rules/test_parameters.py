"""The table of rules: which parameters are allowed, and that its own entries fit together."""

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
            assert value != contract.RULES[rule].defaults[name], f"{rule}.{name} is SageMaker's default anyway"


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
        ("WeightUpdateRatio", {"num_steps": "many"}, "a whole number, 1 or more"),
        ("UnchangedTensor", {"num_steps": 2.5}, "a whole number, 2 or more, such as 3"),
        ("ExplodingTensor", {"tensor_regex": "(weight"}, "no regular expression"),
        ("Overfit", {"ratio_threshold": "high"}, "a number, 0 or more, such as 0.1"),
        ("ExplodingTensor", {"only_nan": "perhaps"}, "true or false"),
        ("GPUMemoryIncrease", {"window": 0}, "a whole number, 1 or more, such as 10"),
        ("UnchangedTensor", {"num_steps": 1}, "a whole number, 2 or more, such as 3"),
        ("WeightUpdateRatio", {"num_steps": 0}, "a whole number, 1 or more"),
        ("Confusion", {"category_no": "ten"}, "a whole number, 1 or more"),
        ("AllZero", {"threshold": 100.5}, "a number from 0 to 100, such as 100.0"),
        ("ClassImbalance", {"threshold_misprediction": -0.1}, "a number from 0 to 1"),
        ("SaturatedActivation", {"threshold_tanh_min": "nan"}, "a number, such as -9.4999"),
        ("Overfit", {"ratio_threshold": "inf"}, "a number, 0 or more"),
    ],
)
def test_a_wrong_value_is_refused(rule: str, parameters: dict[str, object], words: str) -> None:
    with pytest.raises(contract.ContractError, match=words):
        contract.checked_parameters(rule, parameters)


@pytest.mark.parametrize("rule", contract.RULES.values(), ids=lambda rule: rule.name)
def test_every_declared_default_is_allowed(rule: contract.Rule) -> None:
    assert contract.checked_parameters(rule.name, rule.defaults) == rule.defaults


def test_a_value_is_read_in_its_declared_type_even_where_the_default_is_none() -> None:
    assert contract.checked_parameters("Confusion", {"category_no": "7"}) == {"category_no": 7}
    assert contract.checked_parameters("ExplodingTensor", {"only_nan": "True"}) == {"only_nan": True}
    assert contract.checked_parameters("ExplodingTensor", {"collection_names": "7"}) == {"collection_names": "7"}


def test_a_rule_says_why_it_is_not_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    own = contract.Rule(name="LossPlateau", kind="tensor", fires_when="the loss is flat", evaluators=("own",))
    monkeypatch.setitem(contract.RULES, "LossPlateau", own)
    why = contract.why_not_applicable
    assert "set debugger.mode=own" in str(why("LossPlateau", mode="features", evaluator="managed"))
    assert why("LossPlateau", mode="features", evaluator="own") is None
    assert why("DeadRelu", mode="features", evaluator="own") == contract.NOT_APPLICABLE["features"]["DeadRelu"]
    # the training job evaluates these itself, whoever evaluates the tensor rules
    assert why("StepOutlier", mode="features", evaluator="managed") is None


def test_none_is_no_value() -> None:
    given = {"num_steps": None, "large_threshold": "20"}
    assert contract.checked_parameters("WeightUpdateRatio", given) == {"num_steps": None, "large_threshold": 20.0}
    assert contract.checked_parameters("LossNotDecreasing", {"mode": "None", "tensor_regex": ""}) == {
        "mode": None,
        "tensor_regex": None,
    }
