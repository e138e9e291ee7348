"""Weights and instance counts of an endpoint's variants."""

from __future__ import annotations

from typing import Any

import pytest

from local.sagemaker import SageMaker, SageMakerError
from tests.local.sagemaker.conftest import FakeHost
from tests.local.sagemaker.endpoints.test_endpoints import Deployments

RETAINED = {"RetainAllVariantProperties": True}


@pytest.fixture
def endpoint(sagemaker: SageMaker, s3: Any, bucket: str) -> Deployments:
    """An endpoint in service with one instance."""
    deployments = Deployments(sagemaker, s3, bucket)
    deployments.config("first")
    deployments.create("first")
    return deployments


def resize(endpoint: Deployments, variant: str = "AllTraffic", **wanted: Any) -> dict[str, Any]:
    changes = [{"VariantName": variant, **wanted}]
    request = {"EndpointName": "endpoint", "DesiredWeightsAndCapacities": changes}
    arn = endpoint.sagemaker.call("UpdateEndpointWeightsAndCapacities", request)["EndpointArn"]
    assert arn == endpoint.sagemaker.resource_arn("UpdateEndpointWeightsAndCapacities", request)
    (described,) = endpoint.settled()["ProductionVariants"]
    return {key: described[key] for key in described if key.startswith(("Current", "Desired"))}


def test_instances_are_added_and_the_metric_counts_by_them(endpoint: Deployments, host: FakeHost) -> None:
    assert resize(endpoint, DesiredInstanceCount=4) == {
        "CurrentInstanceCount": 4,
        "DesiredInstanceCount": 4,
        "CurrentWeight": 1.0,
        "DesiredWeight": 1.0,
    }
    endpoint.invoke()
    assert host.metrics[-1][1]["InvocationsPerInstance"] == 0.25


@pytest.mark.parametrize(
    ("request_members", "count"),
    [
        ({}, 1),
        (RETAINED, 3),
        ({**RETAINED, "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredInstanceCount"}]}, 1),
    ],
)
def test_an_update_keeps_the_instances_where_it_says_so(
    endpoint: Deployments, request_members: dict[str, Any], count: int
) -> None:
    resize(endpoint, DesiredInstanceCount=3, DesiredWeight=0.5)
    endpoint.config("second")
    request = {"EndpointName": "endpoint", "EndpointConfigName": "second", **request_members}
    endpoint.sagemaker.call("UpdateEndpoint", request)
    described = endpoint.settled()
    assert described["EndpointConfigName"] == "second"
    (variant,) = described["ProductionVariants"]
    assert variant["CurrentInstanceCount"] == count
    assert variant["CurrentWeight"] == (0.5 if request_members else 1.0)


@pytest.mark.parametrize(
    ("variant", "wanted", "words"),
    [
        ("Other", {"DesiredInstanceCount": 2}, "Variant Other not found"),
        ("AllTraffic", {"DesiredInstanceCount": 0}, "at least 1"),
        ("AllTraffic", {"ServerlessUpdateConfig": {"MaxConcurrency": 3}}, "no provisioned concurrency"),
    ],
)
def test_a_wrong_request_changes_nothing(
    endpoint: Deployments, variant: str, wanted: dict[str, Any], words: str
) -> None:
    with pytest.raises(SageMakerError, match=words):
        resize(endpoint, variant, **wanted)
    assert endpoint.describe()["EndpointStatus"] == "InService"
