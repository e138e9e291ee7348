"""The environment variables that the stack gives the functions."""

from __future__ import annotations

import pytest

from tests.fakes.lambda_context import Context


@pytest.fixture
def context() -> Context:
    return Context()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "BUCKET": "data",
        "NAME_PREFIX": "whippet-dev",
        "ENDPOINT_NAME": "whippet-dev",
        "MIN_ACCURACY": "0.7",
        "MIN_CLASS_RECALL": "0.2",
        "TOLERANCE": "0.01",
        "SIGNIFICANCE": "0.05",
        "APPROVAL": "automatic",
        "CODE_VERSION": "c0de",
        "BLOCKING_RULES": '["Overfit"]',
        "RULES": '["Overfit", "AllZero", "CPUBottleneck"]',
        "TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:topic",
        "READABLE_PREFIX": "",
    }.items():
        monkeypatch.setenv(name, value)
