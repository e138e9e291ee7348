"""Data capture: which requests and answers are written, where, as whom, and what is refused."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from local.sagemaker import SageMaker, SageMakerError
from tests.local.sagemaker.conftest import ROLE, FakeHost, eventually
from tests.local.sagemaker.endpoints.test_endpoints import Deployments

KEY = re.compile(r"captured/endpoint/AllTraffic/\d{4}/\d{2}/\d{2}/\d{2}/\d{2}-\d{2}-\d{3}-[0-9a-f-]{36}\.jsonl")


@pytest.fixture
def deployments(sagemaker: SageMaker, s3: Any, bucket: str) -> Deployments:
    made = Deployments(sagemaker, s3, bucket)
    made.config("one")
    return made


def captured(made: Deployments, *, percent: int = 100, modes: tuple[str, ...] = ("Output",), **members: Any) -> None:
    """An endpoint whose requests are captured."""
    made.sagemaker.call(
        "CreateEndpointConfig",
        {
            "EndpointConfigName": "captured",
            "ProductionVariants": [
                {
                    "VariantName": "AllTraffic",
                    "ModelName": "one",
                    "InstanceType": "ml.m5.large",
                    "InitialInstanceCount": 1,
                }
            ],
            "DataCaptureConfig": {
                "EnableCapture": True,
                "InitialSamplingPercentage": percent,
                "DestinationS3Uri": f"s3://{made.bucket}/captured/",
                "CaptureOptions": [{"CaptureMode": mode} for mode in modes],
                "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
                **members,
            },
        },
    )
    made.create("captured")


def lines(made: Deployments) -> list[dict[str, Any]]:
    """Every captured line; each key has SageMaker's layout."""
    found = made.s3.list_objects_v2(Bucket=made.bucket, Prefix="captured/").get("Contents", [])
    assert all(KEY.fullmatch(item["Key"]) for item in found)
    bodies = [made.s3.get_object(Bucket=made.bucket, Key=item["Key"])["Body"].read() for item in found]
    return [json.loads(line) for body in bodies for line in body.decode().splitlines()]


def test_answers_are_written_and_photos_are_not(deployments: Deployments) -> None:
    captured(deployments)
    answer = deployments.invoke(b"photo", **{"X-Amzn-SageMaker-Custom-Attributes": "request_id=1"})
    (line,) = eventually(lambda: lines(deployments))
    assert line["captureData"].keys() == {"endpointOutput"}
    output = line["captureData"]["endpointOutput"]
    assert json.loads(output.pop("data")) == answer
    assert output == {"observedContentType": "application/json", "mode": "OUTPUT", "encoding": "JSON"}
    assert line["eventMetadata"].keys() == {"eventId", "inferenceTime", "customAttributes"}
    assert line["eventVersion"] == "0"


def test_photos_are_written_in_base64_where_they_are_asked_for(deployments: Deployments) -> None:
    captured(deployments, modes=("Input", "Output"))
    deployments.invoke(b"photo")
    (line,) = eventually(lambda: lines(deployments))
    given = line["captureData"]["endpointInput"]
    assert base64.b64decode(given["data"]) == b"photo"
    assert (given["observedContentType"], given["encoding"]) == ("image/jpeg", "BASE64")


def test_a_share_of_the_requests_is_written(deployments: Deployments) -> None:
    captured(deployments, percent=30)
    for _ in range(200):
        deployments.invoke()
    deployments.sagemaker.call("DeleteEndpoint", {"EndpointName": "endpoint"})
    eventually(deployments.gone)
    assert 30 < len(lines(deployments)) < 95  # 60 expected; outside once in a hundred thousand times


def test_nothing_is_written_of_errors_nor_where_it_is_switched_off(deployments: Deployments) -> None:
    captured(deployments)
    with pytest.raises(SageMakerError, match="not an image"):
        deployments.invoke(b"refuse")
    deployments.update("one")
    assert "DataCaptureConfig" not in deployments.describe()
    deployments.invoke()
    deployments.sagemaker.call("DeleteEndpoint", {"EndpointName": "endpoint"})
    eventually(deployments.gone)
    assert not lines(deployments)


def test_the_endpoint_says_what_it_captures(deployments: Deployments) -> None:
    captured(deployments, percent=7)
    described = deployments.describe()["DataCaptureConfig"]
    assert (described["CaptureStatus"], described["CurrentSamplingPercentage"]) == ("Started", 7)


def test_a_failure_to_write_is_nobodys_who_asks(
    deployments: Deployments, host: FakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    captured(deployments, DestinationS3Uri="s3://there-is-no-such-bucket/captured/")
    assert deployments.invoke()["model"] == "one"
    eventually(lambda: "1 captured requests could not be written" in caplog.text)
    assert (ROLE, "SageMaker") in host.sessions


def test_a_serverless_endpoint_captures_nothing(deployments: Deployments) -> None:
    with pytest.raises(SageMakerError, match="DataCaptureConfig is not supported with a serverless variant"):
        deployments.sagemaker.call(
            "CreateEndpointConfig",
            {
                "EndpointConfigName": "serverless",
                "ProductionVariants": [
                    {
                        "VariantName": "AllTraffic",
                        "ModelName": "one",
                        "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1},
                    }
                ],
                "DataCaptureConfig": {
                    "InitialSamplingPercentage": 100,
                    "DestinationS3Uri": f"s3://{deployments.bucket}/captured/",
                    "CaptureOptions": [{"CaptureMode": "Output"}],
                },
            },
        )
