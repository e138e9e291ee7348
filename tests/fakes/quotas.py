"""Service Quotas with a table, behind a real boto3 client; and the endpoint that counts against a quota."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import boto3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config

from tests.fakes.s3 import client_error

_PAGE = 2
"""Quotas in a page of this fake, so that a reader that takes the first page alone misses most."""


def service_quotas(
    table: Mapping[str, float], *, refuse: bool = False, defaults: Mapping[str, float] | None = None
) -> Any:
    """Return a client whose calls are answered from a table by quota name.

    Requests are serialised and answers parsed by botocore, by AWS's own model.

    Args:
        table: The applied quotas of every service.
        refuse: Answer as IAM does where the caller may not ask.
        defaults: AWS's default values, which ListAWSDefaultServiceQuotas lists.
    """
    client = boto3.client(
        "service-quotas",
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def answer(request: Any, **_: Any) -> AWSResponse:
        asked = json.loads(request.body)
        operation = request.headers["X-Amz-Target"]
        operation = (operation.decode() if isinstance(operation, bytes) else operation).split(".")[-1]
        if refuse:
            body: dict[str, Any] = {"__type": "AccessDeniedException", "Message": "not authorized"}
            return _response(request.url, 400, body)
        found = {"ListServiceQuotas": table, "ListAWSDefaultServiceQuotas": defaults or {}}[operation]
        start = int(unquote(asked.get("NextToken", "0")))
        names = list(found)[start : start + _PAGE]
        body = {"Quotas": [_quota(asked["ServiceCode"], name, found[name]) for name in names]}
        if start + _PAGE < len(found):
            body["NextToken"] = str(start + _PAGE)
        return _response(request.url, 200, body)

    client.meta.events.register("before-send.service-quotas.*", answer)
    return client


class FakeEndpoint:
    """SageMaker's answers about the endpoint; without instances, there is none."""

    def __init__(self, instances: int = 0, instance_type: str = "ml.m5.large") -> None:
        self._instances, self._instance_type = instances, instance_type
        self.status = "InService"

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        if not self._instances:
            raise client_error("ValidationException", f"Could not find endpoint {EndpointName}.")
        variant = {"VariantName": "all", "CurrentInstanceCount": self._instances}
        return {
            "EndpointConfigName": "whippet-dev-1",
            "EndpointStatus": self.status,
            "ProductionVariants": [variant],
        }

    def describe_endpoint_config(self, *, EndpointConfigName: str) -> dict[str, Any]:  # noqa: N803
        return {"ProductionVariants": [{"VariantName": "all", "InstanceType": self._instance_type}]}


def _quota(service: str, name: str, value: float) -> dict[str, Any]:
    code = f"L-{abs(hash(name)) % 16**8:08X}"
    arn = f"arn:aws:servicequotas:eu-west-1:000000000000:{service}/{code}"
    return {
        "ServiceCode": service,
        "QuotaName": name,
        "QuotaCode": code,
        "QuotaArn": arn,
        "Value": value,
        "Unit": "None",
    }


def _response(url: str, status: int, body: Mapping[str, Any]) -> AWSResponse:
    class Raw:
        def stream(self, **_: Any) -> Any:
            yield json.dumps(body).encode()

    return AWSResponse(url, status, HTTPHeaders(), Raw())
