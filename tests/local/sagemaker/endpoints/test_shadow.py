"""Shadow variants: they get a copy of the requests, and callers notice nothing of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local.sagemaker import SageMaker, SageMakerError
from tests.local.sagemaker.conftest import FakeHost, eventually
from tests.local.sagemaker.endpoints.test_endpoints import Deployments


@pytest.fixture
def deployments(sagemaker: SageMaker, s3: Any, bucket: str) -> Deployments:
    """An endpoint that serves `blue`, and a model `candidate`."""
    deployments = Deployments(sagemaker, s3, bucket)
    deployments.config("blue")
    deployments.create("blue")
    return deployments


def variant(name: str, model: str, **members: Any) -> dict[str, Any]:
    machines = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    return {"VariantName": name, "ModelName": model, **machines, **members}


def shadowed(deployments: Deployments, **members: Any) -> None:
    request = {
        "EndpointConfigName": "shadowed",
        "ProductionVariants": [variant("AllTraffic", "blue", InitialVariantWeight=1)],
        "ShadowProductionVariants": [variant("Shadow", "candidate", **members)],
    }
    deployments.sagemaker.call("CreateEndpointConfig", request)


def counted(host: FakeHost, name: str, metric: str = "Invocations") -> float:
    """The metric's sum for a variant, over all configurations."""
    return sum(
        metrics.get(metric, 0)
        for _, metrics, dimensions in host.metrics
        if dimensions == {"EndpointName": "endpoint", "VariantName": name}
    )


def test_it_gets_a_copy_of_each_request_and_nobody_gets_its_answer(deployments: Deployments, host: FakeHost) -> None:
    deployments.config("candidate")
    shadowed(deployments)
    endpoint = deployments.update("shadowed")
    assert endpoint["EndpointStatus"] == "InService"
    assert [each["VariantName"] for each in endpoint["ProductionVariants"]] == ["AllTraffic"]
    assert [each["VariantName"] for each in endpoint["ShadowProductionVariants"]] == ["Shadow"]

    assert {deployments.invoke()["model"] for _ in range(10)} == {"blue"}
    eventually(lambda: counted(host, "Shadow") == 10)
    assert (counted(host, "AllTraffic"), counted(host, "Shadow", "Invocation5XXErrors")) == (10, 0)
    assert counted(host, "Shadow", "ModelLatency") > 0
    configs = {dimensions.get("EndpointConfigName") for _, _, dimensions in host.metrics} - {None}
    assert configs == {"shadowed"}

    # without it, its process has ended and nothing is copied
    endpoint = deployments.update("blue")
    assert "ShadowProductionVariants" not in endpoint
    deployments.invoke()
    assert counted(host, "Shadow") == 10


def test_its_weight_is_the_share_of_the_requests(deployments: Deployments, host: FakeHost) -> None:
    deployments.config("candidate")
    shadowed(deployments, InitialVariantWeight=0.25)
    deployments.update("shadowed")
    for _ in range(400):
        deployments.invoke()
    eventually(lambda: counted(host, "AllTraffic") == 400)
    assert 48 <= counted(host, "Shadow") <= 152  # six standard deviations around 100


@pytest.mark.parametrize("body", [b"slow", b"break", b"die"])
def test_one_that_hangs_fails_or_ends_is_not_noticed(
    deployments: Deployments, host: FakeHost, tmp_path: Path, body: bytes
) -> None:
    deployments.config("candidate", RELEASE_FILE=str(tmp_path / "release"))
    shadowed(deployments)
    deployments.update("shadowed")

    # both get the same request, and a header says whom it is meant for
    answer = deployments.invoke(body, **{"x-amzn-sagemaker-custom-attributes": "only=candidate"})
    assert answer["model"] == "blue"
    if body != b"slow":
        eventually(lambda: counted(host, "Shadow", "Invocation5XXErrors") == 1)
    assert counted(host, "AllTraffic", "Invocation5XXErrors") == 0
    assert deployments.invoke()["model"] == "blue"
    (tmp_path / "release").touch()


def test_one_that_does_not_start_leaves_the_endpoint_as_it_was(deployments: Deployments) -> None:
    deployments.config("candidate", REFUSE_TO_START="1")
    shadowed(deployments)
    endpoint = deployments.update("shadowed")
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", "blue")
    assert "variant Shadow did not pass the ping health check" in endpoint["FailureReason"]
    assert "ShadowProductionVariants" not in endpoint
    assert deployments.invoke()["model"] == "blue"


def test_nobody_can_ask_it(deployments: Deployments) -> None:
    deployments.config("candidate")
    shadowed(deployments)
    deployments.update("shadowed")
    with pytest.raises(SageMakerError, match="Variant Shadow not found"):
        deployments.invoke(b"photo", **{"x-amzn-sagemaker-target-variant": "Shadow"})


SERVERLESS = {
    "VariantName": "Shadow",
    "ModelName": "blue",
    "ServerlessConfig": {"MemorySizeInMB": 3072, "MaxConcurrency": 1},
}


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"ProductionVariants": [variant("a", "blue"), variant("b", "blue")]}, "only specify one variant"),
        ({"ShadowProductionVariants": [variant("c", "blue"), variant("d", "blue")]}, "only specify one variant"),
        ({"ShadowProductionVariants": [variant("AllTraffic", "blue")]}, "must be unique"),
        ({"ShadowProductionVariants": [variant("Shadow", "nothing")]}, "Could not find model"),
        ({"ShadowProductionVariants": [SERVERLESS]}, "not supported for serverless"),
        ({"ShadowProductionVariants": [variant("Shadow", "blue", InstanceType="ml.inf1.xlarge")]}, "Inf1"),
    ],
    ids=["two production variants", "two shadows", "names", "model", "serverless", "Inf1"],
)
def test_a_wrong_configuration_is_refused(deployments: Deployments, members: dict[str, Any], says: str) -> None:
    request = {
        "EndpointConfigName": "wrong",
        "ProductionVariants": [variant("AllTraffic", "blue")],
        "ShadowProductionVariants": [variant("Shadow", "blue")],
    }
    with pytest.raises(SageMakerError, match=says):
        deployments.sagemaker.call("CreateEndpointConfig", {**request, **members})
