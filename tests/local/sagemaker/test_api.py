"""What every operation has in common: names, tags, lists, pages, ARNs, the shape of answers."""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.sagemaker import SageMaker, SageMakerError, schema
from tests.local.sagemaker.conftest import IMAGE, ROLE, Jobs, channel, client, eventually


@pytest.fixture
def boto(sagemaker: SageMaker) -> Iterator[Any]:
    """A real client of SageMaker, over HTTP."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            try:
                status, answer = 200, sagemaker.call(operation, json.loads(body))
            except SageMakerError as error:
                status, answer = error.status, {"__type": error.code, "message": error.message}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield client("sagemaker", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


def test_boto3s_client_and_waiter_drive_it(boto: Any, jobs: Jobs, s3: Any) -> None:
    s3.put_object(Bucket=jobs.bucket, Key="data/a", Body=b"1")
    data = [channel("data", f"s3://{jobs.bucket}/data/")]
    boto.create_training_job(**jobs.request("from-boto", InputDataConfig=data))
    boto.get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName="from-boto", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    job = boto.describe_training_job(TrainingJobName="from-boto")
    assert job["TrainingJobStatus"] == "Completed"
    assert isinstance(job["CreationTime"], datetime.datetime)
    assert job["InputDataConfig"] == data
    with pytest.raises(boto.exceptions.ResourceInUse):
        boto.create_training_job(**jobs.request("from-boto"))
    with pytest.raises(ClientError, match="Requested resource not found"):
        boto.describe_training_job(TrainingJobName="absent")


def make_models(sagemaker: SageMaker, *names: str) -> None:
    for name in names:
        sagemaker.call(
            "CreateModel", {"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE}}
        )


def test_boto3s_paginator_sees_every_page(boto: Any, sagemaker: SageMaker) -> None:
    make_models(sagemaker, *(f"model-{index:02d}" for index in range(25)))
    pages = list(boto.get_paginator("list_models").paginate(SortBy="Name", SortOrder="Ascending"))
    assert [len(page["Models"]) for page in pages] == [10, 10, 5]
    names = [model["ModelName"] for page in pages for model in page["Models"]]
    assert names == [f"model-{index:02d}" for index in range(25)]


def test_lists_are_filtered_and_newest_first(sagemaker: SageMaker) -> None:
    make_models(sagemaker, "cat-a", "dog-a", "cat-b")
    found = sagemaker.call("ListModels", {"NameContains": "cat"})["Models"]
    assert [model["ModelName"] for model in found] == ["cat-b", "cat-a"]
    after = found[1]["CreationTime"]
    later = sagemaker.call("ListModels", {"CreationTimeAfter": after, "SortOrder": "Ascending"})["Models"]
    assert [model["ModelName"] for model in later] == ["dog-a", "cat-b"]
    assert sagemaker.call("ListModels", {"CreationTimeBefore": after})["Models"] == []


def test_training_jobs_are_listed_by_status(sagemaker: SageMaker, jobs: Jobs) -> None:
    jobs.run("good")
    jobs.run("bad", hyperparameters={"action": "fail"})
    (found,) = sagemaker.call("ListTrainingJobs", {"StatusEquals": "Failed"})["TrainingJobSummaries"]
    assert found["TrainingJobName"] == "bad"
    assert set(found) == {
        "TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingEndTime", "LastModifiedTime", "TrainingJobStatus",
        "SecondaryStatus",
    }  # fmt: skip


def test_a_forged_token_is_refused(sagemaker: SageMaker) -> None:
    with pytest.raises(SageMakerError, match="NextToken"):
        sagemaker.call("ListModels", {"NextToken": "forged"})


def test_tags_are_added_replaced_and_deleted(sagemaker: SageMaker) -> None:
    tags = [{"Key": "a", "Value": "1"}]
    request = {"ModelName": "tagged", "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE}, "Tags": tags}
    arn = sagemaker.call("CreateModel", request)["ModelArn"]
    added = [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}]
    assert sagemaker.call("AddTags", {"ResourceArn": arn, "Tags": added}) == {"Tags": added}
    sagemaker.call("DeleteTags", {"ResourceArn": arn, "TagKeys": ["a", "unknown"]})
    assert sagemaker.call("ListTags", {"ResourceArn": arn}) == {"Tags": [{"Key": "b", "Value": ""}]}
    assert "Tags" not in sagemaker.call("DescribeModel", {"ModelName": "tagged"})
    sagemaker.call("DeleteModel", {"ModelName": "tagged"})
    with pytest.raises(SageMakerError, match="Could not find"):
        sagemaker.call("ListTags", {"ResourceArn": arn})


def test_an_unknown_operation_is_named(sagemaker: SageMaker) -> None:
    with pytest.raises(SageMakerError, match="CreateHub: the local SageMaker does not support it"):
        sagemaker.call("CreateHub", {})
    with pytest.raises(SageMakerError, match="Nonsense: SageMaker has no such operation"):
        sagemaker.call("Nonsense", {})


@pytest.mark.parametrize("parameters", [None, [], "text", 3])
def test_a_request_that_is_no_object_is_refused(sagemaker: SageMaker, parameters: Any) -> None:
    with pytest.raises(SageMakerError, match="JSON object"):
        sagemaker.call("ListModels", parameters)


@pytest.mark.parametrize(
    ("operation", "parameters", "resource"),
    [
        ("CreateTrainingJob", {"TrainingJobName": "Run-1"}, "training-job/run-1"),
        ("StopHyperParameterTuningJob", {"HyperParameterTuningJobName": "t"}, "hyper-parameter-tuning-job/t"),
        (
            "ListTrainingJobsForHyperParameterTuningJob",
            {"HyperParameterTuningJobName": "t"},
            "hyper-parameter-tuning-job/t",
        ),
        ("UpdateEndpoint", {"EndpointName": "e", "EndpointConfigName": "c"}, "endpoint/e"),
        ("DescribeEndpointConfig", {"EndpointConfigName": "c"}, "endpoint-config/c"),
        ("InvokeEndpoint", {"EndpointName": "e"}, "endpoint/e"),
    ],
)
def test_the_resource_of_an_operation_for_iam(
    sagemaker: SageMaker, operation: str, parameters: dict[str, str], resource: str
) -> None:
    found = sagemaker.resource_arn(operation, parameters)
    assert found == f"arn:aws:sagemaker:us-east-1:000000000000:{resource}"


def test_lists_have_no_resource_for_iam_and_tags_have_their_own(sagemaker: SageMaker) -> None:
    assert sagemaker.resource_arn("ListTrainingJobs", {}) == "*"
    arn = "arn:aws:sagemaker:us-east-1:000000000000:model/m"
    assert sagemaker.resource_arn("AddTags", {"ResourceArn": arn}) == arn


def test_an_image_that_cannot_train_is_refused(jobs: Jobs) -> None:
    request = jobs.request("serving")
    request["AlgorithmSpecification"]["TrainingImage"] = "x/serve-only:1"
    with pytest.raises(SageMakerError, match="cannot train"):
        jobs.sagemaker.call("CreateTrainingJob", request)


def check_shape(operation: str, answer: dict[str, Any]) -> None:
    model = schema.operation(operation)
    assert model is not None
    assert model.output_shape is not None
    assert list(schema.violations(model.output_shape, answer)) == []


def test_answers_have_the_shape_of_sagemakers_model(sagemaker: SageMaker, jobs: Jobs, s3: Any) -> None:
    tuning = {"HyperParameterTuningJobName": "shaped"}
    definition = {k: v for k, v in jobs.request("x").items() if k not in ("TrainingJobName", "HyperParameters")}
    config = {
        "Strategy": "Random",
        "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "objective"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1},
        "ParameterRanges": {"CategoricalParameterRanges": [{"Name": "x", "Values": ["0.1", "0.2"]}]},
    }
    request = {**tuning, "HyperParameterTuningJobConfig": config, "TrainingJobDefinition": definition}
    check_shape("CreateHyperParameterTuningJob", sagemaker.call("CreateHyperParameterTuningJob", request))
    describe = "DescribeHyperParameterTuningJob"
    check_shape(describe, sagemaker.call(describe, tuning))  # while it runs
    eventually(lambda: sagemaker.call(describe, tuning)["HyperParameterTuningJobStatus"] == "Completed")
    for operation, parameters in (
        (describe, tuning),
        ("ListTrainingJobsForHyperParameterTuningJob", tuning),
        ("ListHyperParameterTuningJobs", {}),
        ("ListTrainingJobs", {}),
    ):
        check_shape(operation, sagemaker.call(operation, parameters))
    check_shape("DescribeTrainingJob", jobs.run("good"))
    check_shape("DescribeTrainingJob", jobs.run("bad", hyperparameters={"action": "fail"}))
    make_models(sagemaker, "model")
    variant = {"VariantName": "v", "ModelName": "model", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.call("CreateEndpointConfig", {"EndpointConfigName": "config", "ProductionVariants": [variant]})
    sagemaker.call("CreateEndpoint", {"EndpointName": "endpoint", "EndpointConfigName": "config"})
    for operation, parameters in (
        ("DescribeModel", {"ModelName": "model"}),
        ("DescribeEndpointConfig", {"EndpointConfigName": "config"}),
        ("DescribeEndpoint", {"EndpointName": "endpoint"}),
        ("ListEndpoints", {}),
        ("ListEndpointConfigs", {}),
    ):
        check_shape(operation, sagemaker.call(operation, parameters))


def test_every_pattern_of_the_requests_can_be_checked(sagemaker: SageMaker) -> None:
    """A pattern of the model that Python cannot compile would make its operation unusable."""

    def walk(shape: Any, seen: set[str]) -> None:
        if shape.name in seen:
            return
        seen.add(shape.name)
        if shape.type_name == "string" and "pattern" in shape.metadata:
            list(schema.violations(shape, "x"))
        for part in (
            *getattr(shape, "members", {}).values(),
            getattr(shape, "member", None),
            getattr(shape, "value", None),
        ):
            if part is not None:
                walk(part, seen)

    for name in sagemaker._operations:  # the service has no other list of them
        model = schema.operation(name)
        assert model is not None
        walk(model.input_shape, set())


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ("CreateLabelingJob", "CreateLabelingJob: the local SageMaker does not support it; see docs/local-cloud.md"),
        ("CreateNonsense", "CreateNonsense: SageMaker has no such operation."),
        ("", "The request names no operation"),
    ],
)
def test_an_operation_that_is_not_there_is_refused_in_a_line(
    sagemaker: SageMaker, operation: str, message: str
) -> None:
    with pytest.raises(SageMakerError, match=message) as error:
        sagemaker.call(operation, {})
    assert error.value.code == "UnknownOperationException"
    assert len(error.value.message) < 120
