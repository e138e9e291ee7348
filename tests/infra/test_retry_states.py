"""A run that goes on where an earlier one failed: which states it leaves out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.asl_walker import walk
from tests.infra.fake_run import Endpoint, Rules, tasks

BEST = {"learning_rate": "0.02", "batch_size": "64"}
TRAINED = {
    "job": "whippet-dev-run-1-train",
    "model": "s3://data-bucket/runs/old/training/whippet-dev-old-train/output/model.tar.gz",
}
SEARCH = {"Tune", "TuneFromEarlier"}
TRAININGS = {"Train", "TrainManaged"}


def reused(evaluator: str | None = None) -> dict[str, Any]:
    """What an earlier run left: the best values of its search, and the training of a kind."""
    training = {} if evaluator is None else {"training": TRAINED | {"evaluator": evaluator}}
    return {"run": "old", "best": {"TunedHyperParameters": BEST}, **training}


def test_the_best_values_are_taken_and_not_searched_again(definition: dict[str, Any]) -> None:
    result = walk(definition, tasks(Endpoint(), reused=reused()), {})
    assert result.status == "SUCCEEDED", result.cause
    assert not SEARCH & set(result.path)
    values = dict(result.payloads)["Train"]["HyperParameters"]
    assert (values["learning_rate"], values["batch_size"]) == ("0.02", "64")


def test_nothing_is_left_out_where_nothing_was_completed(definition: dict[str, Any]) -> None:
    result = walk(definition, tasks(Endpoint(), reused={"run": "old"}), {})
    assert "Tune" in result.path
    assert TRAININGS & set(result.path)


@pytest.mark.parametrize(
    ("mode", "evaluator", "rules", "judged"),
    [
        ("auto", "own", {"Rules"}, "own"),
        ("auto", "managed", {"DescribeRules"}, "managed"),
        ("own", "own", {"Rules"}, "own"),
        ("managed", "managed", {"DescribeRules"}, "managed"),
        ("off", "own", set(), "off"),
    ],
)
def test_a_trained_model_is_judged_again_with_its_rules(
    synthesise: Any, mode: str, evaluator: str, rules: set[str], judged: str
) -> None:
    definition = synthesise(**{"debugger.mode": mode}).definition()
    known = tasks(Endpoint(), access=True, rules=Rules("NoIssuesFound"), reused=reused(evaluator))
    result = walk(definition, known, {})
    assert result.status == "SUCCEEDED", result.cause
    assert not (SEARCH | TRAININGS) & set(result.path)
    assert rules == {"Rules", "DescribeRules"} & set(result.path)
    payloads = dict(result.payloads)
    assert payloads["Verdict"]["model"] == TRAINED["model"]
    assert payloads["Verdict"]["debugger"] == judged
    assert payloads["CreateModel"]["PrimaryContainer"]["ModelDataUrl"] == TRAINED["model"]


@pytest.mark.parametrize(("mode", "evaluator"), [("own", "managed"), ("managed", "own"), ("auto", "off")])
def test_a_training_whose_rules_nobody_could_evaluate_now_is_made_again(
    synthesise: Any, mode: str, evaluator: str
) -> None:
    definition = synthesise(**{"debugger.mode": mode}).definition()
    result = walk(definition, tasks(Endpoint(), access=True, reused=reused(evaluator)), {})
    assert result.status == "SUCCEEDED", result.cause
    assert TRAININGS & set(result.path)
