"""What is wrong with a state machine's definition."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.cloud.stepfunctions import definitions

DONE = {"Type": "Succeed"}


def machine(start: str = "A", **states: Any) -> str:
    return json.dumps({"StartAt": start, "States": states})


def test_a_sound_definition_has_no_problems() -> None:
    parallel = {"Type": "Parallel", "Branches": [json.loads(machine("B", B=DONE))], "Next": "C"}
    choice = {"Type": "Choice", "Choices": [{"Variable": "$.x", "IsPresent": True, "Next": "D"}], "Default": "D"}
    assert definitions.problems(machine(A=parallel, C=choice, D=DONE)) == []


@pytest.mark.parametrize(
    ("definition", "problem"),
    [
        ("{", "INVALID_JSON_DESCRIPTION"),
        ("[]", "not a JSON object"),
        (json.dumps({"StartAt": "A"}), "'States' is missing"),
        (machine("B", A=DONE), "Missing 'StartAt' target: B"),
        (machine(A={"Type": "Pas", "End": True}), "Pas at /States/A/Type"),
        (machine(A={"Type": "Pass"}), "Exactly one of 'Next' and 'End: true' is required at /States/A"),
        (machine(A={"Type": "Pass", "Next": "B", "End": True}, B=DONE), "Exactly one of"),
        (machine(A={"Type": "Task", "End": True}), "The field 'Resource' is required"),
        (machine(A={"Type": "Wait", "End": True}), "is required at /States/A"),
        (machine(A=DONE, B=DONE), 'State "B" is not reachable. at /States/B'),
        (machine(A={"Type": "Choice", "Choices": [{"Next": "B"}]}), "Missing 'Next' target: B at /States/A/Choices[0]"),
        (
            machine(A={"Type": "Task", "Resource": "r", "End": True, "Catch": [{"ErrorEquals": ["E"], "Next": "B"}]}),
            "Missing 'Next' target: B at /States/A/Catch[0]/Next",
        ),
        (
            machine(A={"Type": "Task", "Resource": "r", "End": True, "Retry": [{"ErrorEquals": ["States.ALL", "E"]}]}),
            "States.ALL must be the only error",
        ),
        (
            machine(A={"Type": "Parallel", "End": True, "Branches": [json.loads(machine("A", A=DONE))]}),
            "Duplicate State name: A",
        ),
        (
            machine(A={"Type": "Map", "End": True, "ItemProcessor": json.loads(machine("X", Y=DONE))}),
            "Missing 'StartAt' target: X at /States/A/ItemProcessor/StartAt",
        ),
    ],
)
def test_what_cannot_run_is_named_with_its_place(definition: str, problem: str) -> None:
    assert any(problem in found for found in definitions.problems(definition)), definitions.problems(definition)
