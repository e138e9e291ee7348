"""The Lambdas' environment: a region and credentials that lead nowhere, before their modules make clients."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
os.environ.setdefault("ENDPOINT_NAME", "whippet-dev")
os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "CRITICAL")


@dataclass
class Context:
    """What Lambda hands a function of itself."""

    function_name: str = "function"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:123456789012:function:function"
    aws_request_id: str = "request"
    log_group_name: str = "/aws/lambda/function"
    log_stream_name: str = "stream"
    remaining: int = 900_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining


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
        "RULES": '{"features": ["Overfit", "AllZero", "CPUBottleneck"], "finetune": ["AllZero"]}',
        "TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:topic",
        "READABLE_PREFIX": "",
    }.items():
        monkeypatch.setenv(name, value)
