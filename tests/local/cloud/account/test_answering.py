"""Models that answer late or with an error, as the account document says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.local.cloud.account.conftest import Documented


def test_a_model_may_be_slow_and_answer_with_errors(strict: Documented, jobs_role: str, name: str) -> None:
    strict.endpoint(name, jobs_role)
    runtime, cloudwatch = strict.client("sagemaker-runtime"), strict.client("cloudwatch")
    strict.write(answering=[{"name": f"{name}*", "status": 503, "delay_seconds": 0.5}])
    begin = time.monotonic()
    with pytest.raises(ClientError, match="503") as error:
        runtime.invoke_endpoint(EndpointName=name, Body=b"photo")
    assert error.value.response["Error"]["Code"] == "ModelError"
    assert time.monotonic() - begin >= 0.5

    # for CloudWatch it is the model that failed and was slow
    wanted = {
        "Namespace": "AWS/SageMaker",
        "Dimensions": [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "AllTraffic"}],
        "StartTime": 0,
        "EndTime": time.time() + 3600,
        "Period": 3600,
        "Statistics": ["Maximum"],
    }
    seen = {
        metric: max(
            point["Maximum"] for point in cloudwatch.get_metric_statistics(MetricName=metric, **wanted)["Datapoints"]
        )
        for metric in ("Invocation5XXErrors", "ModelLatency")
    }
    assert seen["Invocation5XXErrors"] == 1
    assert seen["ModelLatency"] >= 500_000

    # the first entry that fits decides, and one that says nothing keeps a model well
    strict.write(answering=[{"name": name}, {"name": "*", "status": 500}])
    assert runtime.invoke_endpoint(EndpointName=name, Body=b"abc")["Body"].read() == b"cba"
