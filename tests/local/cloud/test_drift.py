"""The check for drift on the local cloud: a real endpoint's captured files, the real function, alarm and event."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import contract
from infra.python_function import stage_function
from tests.local.cloud.conftest import SERVING_IMAGE, Account, until
from tests.system.permission_table import granted, unproved
from tests.system.system import STACK

RUN = "run-1"


def statement(action: str, resource: str, **condition: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": action,
        "Resource": resource,
        **({"Condition": condition} if condition else {}),
    }


def answer(label: str, number: int) -> dict[str, Any]:
    """What the endpoint says of a photo; the numbers are those of the test photos."""
    score, distance = 0.5 + number % 50 / 100, 0.4 + number % 60 / 100
    return {
        "label": label,
        "score": score,
        "known": distance <= 1,
        "distance": distance,
        "predictions": [{"label": label, "score": score}],
        "model": {"run": RUN, "test_accuracy": 0.9},
    }


@pytest.fixture
def bucket(account: Account, name: str) -> str:
    """A bucket with what the training left: answers to 200 test photos, half of them of each class."""
    s3, bucket = account.client("s3"), f"{name}-data"
    s3.create_bucket(Bucket=bucket)
    rows = [f"{n}.jpg,a,{'ab'[n % 2]},{0.5 + n % 50 / 100:.6f},{0.4 + n % 60 / 100:.4f}\n" for n in range(200)]
    table = "path,label,predicted,confidence,distance\n" + "".join(rows)
    s3.put_object(Bucket=bucket, Key=contract.result_key(RUN, contract.Artefact.PREDICTIONS), Body=table.encode())
    return bucket


@pytest.fixture
def endpoint(account: Account, name: str, bucket: str) -> str:
    """An endpoint of which every answer is captured. The tests' serving program answers a request's bytes reversed."""
    folder = contract.capture_folder(name, "AllTraffic")
    writes = statement("s3:PutObject", f"arn:aws:s3:::{bucket}/{folder}*")
    role = account.role(f"{name}-endpoint", "sagemaker.amazonaws.com", writes)
    sagemaker, config = account.client("sagemaker"), f"{name}-{RUN}"
    sagemaker.create_model(ModelName=config, ExecutionRoleArn=role, PrimaryContainer={"Image": SERVING_IMAGE})
    variant = {"VariantName": "AllTraffic", "ModelName": config, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName=config,
        ProductionVariants=[variant | {"InitialInstanceCount": 1}],
        DataCaptureConfig={
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": f"s3://{bucket}/captured",
            "CaptureOptions": [{"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        },
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    until(lambda: sagemaker.describe_endpoint(EndpointName=name), lambda found: found["EndpointStatus"] == "InService")
    return name


@pytest.fixture
def check(account: Account, name: str, bucket: str, tmp_path: Path) -> Callable[[], dict[str, Any]]:
    """Invoke the function, whose role may do what the stack's may."""
    # as whom
    objects, folder = f"arn:aws:s3:::{bucket}", contract.capture_folder(name, "AllTraffic")
    tested = contract.result_key("*", contract.Artefact.PREDICTIONS)
    prefixes = [f"{folder}*", tested, contract.DRIFT_LATEST]
    role = account.role(
        f"{STACK}-DriftFunction-{name}",
        "lambda.amazonaws.com",
        statement("sagemaker:DescribeEndpoint", f"arn:aws:sagemaker:us-east-1:000000000000:endpoint/{name}"),
        *(statement("s3:GetObject", f"{objects}/{prefix}") for prefix in prefixes),
        statement("s3:ListBucket", objects, StringLike={"s3:prefix": prefixes}),
        statement("s3:PutObject", f"{objects}/{contract.DRIFT_PREFIX}*"),
        statement("cloudwatch:PutMetricData", "*", StringEquals={"cloudwatch:namespace": contract.SERVING_NAMESPACE}),
        statement(
            "events:PutEvents",
            "arn:aws:events:us-east-1:000000000000:event-bus/default",
            **{
                "ForAllValues:StringEquals": {
                    "events:source": contract.EVENT_SOURCE,
                    "events:detail-type": contract.DRIFT_DETAIL_TYPE,
                }
            },
        ),
    )

    # the code, as it is deployed
    stage_function("check_drift", tmp_path)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for file in tmp_path.rglob("*.py"):
            opened.write(file, file.relative_to(tmp_path))
    client = account.client("lambda")
    client.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role,
        Handler="check_drift.handler.handler",
        Code={"ZipFile": archive.getvalue()},
        Timeout=120,
        Environment={
            "Variables": {
                "BUCKET": bucket,
                "CAPTURE_DAYS": "30",
                "DRIFT_HOURS": "24",
                "DRIFT_MEASURES": json.dumps(contract.DRIFT_MEASURES),
                "DRIFT_SHARE": "0.1",
                "ENDPOINT_NAME": name,
                "ENVIRONMENT": "dev",
                "NAME_PREFIX": name,
                "SLEEP_RECORD": "",
                "VARIANT_NAME": "AllTraffic",
            }
        },
    )

    def invoke() -> dict[str, Any]:
        made = client.invoke(FunctionName=name, Payload=b'{"time": "2026-01-01T00:00:00Z"}')
        found: dict[str, Any] = json.loads(made["Payload"].read())
        assert "FunctionError" not in made, found
        return found

    return invoke


def ask(account: Account, endpoint: str, labels: str) -> None:
    """Get an answer of each of these classes."""
    runtime = account.client("sagemaker-runtime")
    for number, label in enumerate(labels):
        reversed_answer = json.dumps(answer(label, number)).encode()[::-1]
        runtime.invoke_endpoint(EndpointName=endpoint, Body=reversed_answer, Accept="application/json")


def test_drift_is_found_in_captured_answers_counted_and_told(
    account: Account, endpoint: str, bucket: str, check: Callable[[], dict[str, Any]]
) -> None:
    # who wants to hear of it, as a rule that starts a run does
    sqs, events = account.client("sqs"), account.client("events")
    queue = sqs.create_queue(QueueName=endpoint)["QueueUrl"]
    pattern = {"source": ["whippet"], "detail-type": ["Drift Found"], "detail": {"environment": ["dev"]}}
    events.put_rule(Name=endpoint, EventPattern=json.dumps(pattern))
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_targets(Rule=endpoint, Targets=[{"Id": "queue", "Arn": arn}])

    # answers as to the test photos: too few, then enough
    ask(account, endpoint, "ab" * 20)
    found = until(check, lambda seen: seen["answers"] == 40)
    assert found["verdict"] == "too_few"
    ask(account, endpoint, "ab" * 50)
    found = until(check, lambda seen: seen["answers"] == 140)
    assert found["verdict"] == "steady", found["measures"]

    # then one class alone
    ask(account, endpoint, "a" * 160)
    found = until(check, lambda seen: seen["answers"] == 300)
    assert found["verdict"] == "drifted"
    assert [measured["measure"] for measured in found["measures"] if measured["drifted"]] == ["class_mix"]

    # it is kept, counted and told, once
    s3 = account.client("s3")
    latest = json.loads(s3.get_object(Bucket=bucket, Key=contract.DRIFT_LATEST)["Body"].read())
    assert latest == found
    assert b"Drift found" in s3.get_object(Bucket=bucket, Key=contract.DRIFT_PAGE)["Body"].read()
    metrics = account.client("cloudwatch").list_metrics(
        Namespace=contract.SERVING_NAMESPACE,
        Dimensions=[{"Name": contract.ENDPOINT_DIMENSION, "Value": endpoint}],
    )["Metrics"]
    assert {metric["MetricName"] for metric in metrics} == {contract.DRIFT_FOUND, *contract.DRIFT_METRICS.values()}
    check()
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)["Messages"]
    (told,) = [json.loads(message["Body"]) for message in messages]
    assert (told["source"], told["detail-type"]) == ("whippet", "Drift Found")
    assert told["detail"]["release"] == RUN
    account.client("sagemaker").delete_endpoint(EndpointName=endpoint)

    # the stack's role has the same permissions and a name that begins so
    permissions = granted(account.client("iam"), prefix=f"{STACK}-DriftFunction")
    assert unproved(permissions, account.permission_log(), test=__file__) == []


def test_metrics_and_events_of_other_names_are_refused(account: Account, name: str) -> None:
    role = account.role(
        name,
        "lambda.amazonaws.com",
        statement("cloudwatch:PutMetricData", "*", StringEquals={"cloudwatch:namespace": "whippet"}),
        statement("events:PutEvents", "*", **{"ForAllValues:StringEquals": {"events:source": "whippet"}}),
    )
    keys = account.assume(role)
    cloudwatch, events = account.client("cloudwatch", **keys), account.client("events", **keys)
    metric = [{"MetricName": name, "Value": 1}]
    cloudwatch.put_metric_data(Namespace="whippet", MetricData=metric)
    with pytest.raises(cloudwatch.exceptions.ClientError, match="not authorized to perform: cloudwatch:PutMetricData"):
        cloudwatch.put_metric_data(Namespace="another", MetricData=metric)

    def event(source: str) -> dict[str, str]:
        return {"Source": source, "DetailType": "Drift Found", "Detail": "{}"}

    assert events.put_events(Entries=[event("whippet")])["FailedEntryCount"] == 0
    with pytest.raises(events.exceptions.ClientError, match="not authorized to perform: events:PutEvents"):
        events.put_events(Entries=[event("whippet"), event("another")])
