"""The account document: what is understood, and that everything else is refused with a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.sagemaker.account import DocumentError, parse_document

FAULT = {"service": "sagemaker", "operation": "CreateTrainingJob"}


def parsed(**members: Any) -> Any:
    return parse_document(json.dumps(members))


def test_an_empty_document_changes_nothing() -> None:
    document = parsed()
    assert (document.faults, document.quotas, document.quota_defaults) == ((), {}, "generous")


def test_a_pattern_stands_for_every_operation_it_matches() -> None:
    (fault,) = parsed(faults=[{"service": "sagemaker*", "operation": "*Endpoint", "delay_seconds": 1}]).faults
    assert ("sagemaker", "CreateEndpoint") in fault.hits
    assert ("sagemaker-runtime", "InvokeEndpoint") in fault.hits
    assert ("sagemaker", "CreateEndpointConfig") not in fault.hits


def test_defaults_of_a_fault() -> None:
    (fault,) = parsed(faults=[FAULT | {"error": {"code": "ThrottlingException"}}]).faults
    assert (fault.after, fault.times, fault.delay_seconds) == (0, None, 0)
    assert (fault.error.code, fault.error.status) == ("ThrottlingException", 400)


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"fault": []}, "unknown member 'fault'; expected faults, quotas"),
        ({"faults": {}}, "faults is {}; expected a list"),
        ({"faults": ["x"]}, 'faults[0] is "x"; expected a JSON object'),
        ({"faults": [{"service": "s3"}]}, "faults[0] has no operation; give it"),
        ({"faults": [FAULT]}, "does nothing; give it one of error, lost_answer and delay_seconds"),
        ({"faults": [FAULT | {"delay": 1}]}, "faults[0] has an unknown member 'delay'"),
        ({"faults": [FAULT | {"delay_seconds": -1}]}, "faults[0].delay_seconds is -1; expected a number from 0 up"),
        ({"faults": [FAULT | {"delay_seconds": True}]}, "expected a number from 0 up"),
        ({"faults": [FAULT | {"delay_seconds": 1, "times": 0}]}, "times is 0; expected a whole number from 1 up"),
        ({"faults": [FAULT | {"delay_seconds": 1, "after": 1.5}]}, "after is 1.5; expected a whole number"),
        ({"faults": [FAULT | {"lost_answer": True}]}, 'expected "connection" or "internal_failure"'),
        ({"faults": [FAULT | {"lost_answer": "connection", "error": {"code": "X"}}]}, "give one of them"),
        ({"faults": [FAULT | {"error": {"code": "X", "status": 200}}]}, "status is 200; expected an HTTP status"),
        ({"faults": [FAULT | {"error": {"message": "X"}}]}, "faults[0].error has no code"),
        ({"faults": [FAULT | {"service": "sagemakr", "delay_seconds": 1}]}, "no service matches 'sagemakr'"),
        ({"faults": [FAULT | {"operation": "MakeJob", "delay_seconds": 1}]}, "no operation of sagemaker matches"),
        (
            {"faults": [FAULT | {"name": "a", "delay_seconds": 1}, FAULT | {"name": "a", "delay_seconds": 1}]},
            "two faults have the name 'a'",
        ),
        ({"quota_defaults": "none"}, 'expected "generous" or "aws"'),
        ({"quotas": {"ec2": {}}}, "quotas has an unknown member 'ec2'; expected codebuild, lambda, sagemaker"),
        ({"quotas": {"sagemaker": {"ml.m5.huge for endpoint usage": 1}}}, "there is no quota"),
        ({"quotas": {"lambda": {"Concurrent executions": -1}}}, "expected a whole number from 0 up"),
        ({"creating": [{"name": "x"}]}, "creating[0] has no seconds"),
        ({"answering": [{"status": 500}]}, "answering[0] has no name"),
        (
            {"answering": [{"name": "*", "status": 200}]},
            "answering[0].status is 200; expected an HTTP",
        ),
        ({"stopping": [{"kind": "Endpoint", "seconds": 1}]}, "kind is 'Endpoint'; expected TrainingJob"),
    ],
)
def test_what_is_wrong_is_said(members: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parsed(**members)
    assert sentence in str(caught.value)
