"""The services and operations that a fault can name, from the API models that botocore brings."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Final

import botocore.session

__all__ = ["SERVICES", "matching", "service_model"]

SERVICES: Final = (
    "apigateway",
    "application-autoscaling",
    "cloudformation",
    "cloudwatch",
    "codebuild",
    "dynamodb",
    "ecr",
    "events",
    "iam",
    "kms",
    "lambda",
    "logs",
    "s3",
    "sagemaker",
    "sagemaker-runtime",
    "secretsmanager",
    "service-quotas",
    "sns",
    "sqs",
    "ssm",
    "stepfunctions",
    "sts",
)
"""The services whose calls can be hit, by the names that boto3 and the AWS CLI's Python have for them."""


@cache
def service_model(service: str) -> Any:
    """Return botocore's model of a service."""
    return botocore.session.Session().get_service_model(service)


def matching(service: str, operation: str) -> Iterable[tuple[str, str]]:
    """Yield every service and operation that two patterns match; `*`, `?` and `[…]` are wildcards."""
    for name in SERVICES:
        if fnmatchcase(name, service):
            for operation_name in service_model(name).operation_names:
                if fnmatchcase(operation_name, operation):
                    yield name, operation_name
