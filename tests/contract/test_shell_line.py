"""Hyperparameters are safe in the shell line that the training toolkit of AWS's image makes of them.

sagemaker-training 5.1.1 joins the script's command, with every hyperparameter as `--name value`, by spaces and hands it
to a shell (its process.py). A real shell judges here.
"""

from __future__ import annotations

import re
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import contract


def shell_words(texts: list[str]) -> list[str]:
    """Return the words that a shell makes of these texts, joined by spaces as the toolkit joins them."""
    line = " ".join(["printf", "'%s\\0'", *texts])
    result = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, timeout=60, cwd="/")
    return result.stdout.split("\0")[:-1]


def accepted(name: str, text: str) -> str | None:
    """Return what a job's request holds for a value that the contract accepts; None for one that it refuses."""
    try:
        given = contract.Hyperparameters.from_strings({"mode": "finetune", name: text})
    except contract.ContractError:
        return None
    return given.to_strings()[name]


def texts_of(name: str) -> st.SearchStrategy[str]:
    """Return texts that come near a hyperparameter's values, many with characters that a shell does not leave alone."""
    near: dict[type, st.SearchStrategy[str]] = {
        str: st.from_regex(re.compile(r"(timm/)?[a-z][a-z0-9_.]*", re.ASCII)),
        int: st.integers(0, 600).map(str),
        float: st.floats(0, 1).map(repr),
        bool: st.sampled_from(["true", "false", "True", "FALSE"]),
    }
    value = near[type(contract.DECLARED[name].metadata["default"])]
    dangerous = st.text(alphabet="a1_.$`;&|<>(){}*?[]~#!'\"\\ \n\t=-é", max_size=8)
    parts = st.tuples(dangerous, value, dangerous).map("".join)
    known = {"mode": contract.MODES, "class_weights": contract.CLASS_WEIGHTS}.get(name)
    return st.one_of(st.sampled_from(known), value, parts) if known else st.one_of(value, parts)


@pytest.mark.parametrize("name", contract.DECLARED)
def test_every_value_that_is_accepted_is_one_word_for_a_shell(name: str) -> None:
    """But the empty `unfreeze_from`, which is none: the script reads SM_HPS and no arguments."""
    seen: set[str] = set()

    @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(text=texts_of(name))
    def gather(text: str) -> None:
        if value := accepted(name, text):
            seen.add(value)

    gather()
    values = sorted(seen)
    assert values
    assert shell_words(values) == values


@pytest.mark.parametrize(
    "text",
    ["resnet50;id", "$(id)", "`id`", "a b", "a\n", "a'", 'a"b', "*", "~", "a&", "../a", "#a", "a\\", "é"],
)
def test_names_with_a_shells_characters_are_refused(text: str) -> None:
    assert accepted("backbone", text) is None
    assert accepted("unfreeze_from", text) is None


def test_the_names_and_the_objectives_are_words_too() -> None:
    """The toolkit hands over the names as options, and the tuning job's objective as a value."""
    words = [*contract.DECLARED, *(metric.definition["MetricName"] for metric in contract.OBJECTIVES.values())]
    assert shell_words(words) == words
