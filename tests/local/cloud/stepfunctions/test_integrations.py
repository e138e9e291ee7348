"""State machines: the SageMaker integrations, what their role may do, and how they end."""

from __future__ import annotations

import io
import json
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.cloud.conftest import SERVING_IMAGE, TRAINING_IMAGE

if TYPE_CHECKING:
    from tests.local.cloud.conftest import Account

SYNC = "arn:aws:states:::sagemaker:createTrainingJob.sync"
JOBS = "arn:aws:sagemaker:us-east-1:000000000000:training-job/*"
PROGRAM = """
import json, os, pathlib, sys

archive, output = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3].partition("=")[2])
report = {"archive": archive.read_text(), "rule": os.environ["WHIPPET_RULE_Overfit"]}
(output / "rules.json").write_text(json.dumps(report))
"""
JOB_ACTIONS = ["sagemaker:CreateTrainingJob", "sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob"]


def task(resource: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True, **more}


@pytest.fixture
def all_of_sagemaker(account: Account, name: str) -> str:
    """A role that may do anything with SageMaker."""
    return account.role(
        f"{name}-all",
        "states.amazonaws.com",
        {"Effect": "Allow", "Action": ["sagemaker:*", "iam:PassRole"], "Resource": "*"},
    )


def test_sync_waits_and_answers_with_the_jobs_description(
    account: Account, all_of_sagemaker: str, job: dict[str, Any], name: str
) -> None:
    ended = account.run(name, all_of_sagemaker, {"Train": task(SYNC, job)})
    assert ended["status"] == "SUCCEEDED", ended
    output = json.loads(ended["output"])
    assert (output["TrainingJobName"], output["TrainingJobStatus"]) == (f"{name}-job", "Completed")
    assert output["ModelArtifacts"]["S3ModelArtifacts"].endswith("/output/model.tar.gz")
    assert isinstance(output["CreationTime"], int), "optimized integrations show times as milliseconds"


def test_a_failed_job_fails_its_state_with_the_description_as_cause(
    account: Account, all_of_sagemaker: str, job: dict[str, Any], name: str
) -> None:
    ended = account.run(name, all_of_sagemaker, {"Train": task(SYNC, job | {"TrainingJobName": f"{name}-fail"})})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.TaskFailed")
    cause = json.loads(ended["cause"])
    assert cause["TrainingJobStatus"] == "Failed"
    assert cause["FailureReason"].startswith("AlgorithmError")


def test_a_job_without_input_is_refused_and_never_starts(
    account: Account, all_of_sagemaker: str, job: dict[str, Any], name: str, front_door: dict[str, str]
) -> None:
    """AWS looks before it accepts the job (F5), so a state machine sees another error than that of a failed job."""
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{front_door['Bucket']}/{name}/nothing/"}
    channel = {"ChannelName": "photos", "DataSource": {"S3DataSource": source}}
    ended = account.run(name, all_of_sagemaker, {"Train": task(SYNC, job | {"InputDataConfig": [channel]})})
    assert (ended["status"], ended["error"]) == ("FAILED", "SageMaker.AmazonSageMakerException")
    assert ended["cause"].startswith("No S3 objects found under S3 URL")


def test_a_model_without_data_is_refused(
    account: Account, all_of_sagemaker: str, job_role: str, name: str, front_door: dict[str, str]
) -> None:
    uri = f"s3://{front_door['Bucket']}/{name}/model.tar.gz"
    container = {"Image": SERVING_IMAGE, "ModelDataUrl": uri}
    model = {"ModelName": name, "ExecutionRoleArn": job_role, "PrimaryContainer": container}
    ended = account.run(name, all_of_sagemaker, {"Model": task("arn:aws:states:::sagemaker:createModel", model)})
    assert (ended["status"], ended["error"]) == ("FAILED", "SageMaker.AmazonSageMakerException")
    assert ended["cause"].startswith(f"Could not find model data at {uri}.")


def test_without_sync_it_goes_on_at_once(
    account: Account, all_of_sagemaker: str, job: dict[str, Any], name: str
) -> None:
    resource = SYNC.removesuffix(".sync")
    ended = account.run(name, all_of_sagemaker, {"Train": task(resource, job | {"TrainingJobName": f"{name}-slow"})})
    assert list(json.loads(ended["output"])) == ["TrainingJobArn"]
    account.client("sagemaker").stop_training_job(TrainingJobName=f"{name}-slow")


def test_stopping_the_execution_stops_its_job_and_it_stays_aborted(
    account: Account, all_of_sagemaker: str, job: dict[str, Any], name: str
) -> None:
    slow = f"{name}-slow"
    retried = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 3}]
    states = {"Train": task(SYNC, job | {"TrainingJobName": slow}, Retry=retried)}
    execution = account.start(account.state_machine(name, all_of_sagemaker, states))
    _until_status(account, slow, "InProgress")
    account.client("stepfunctions").stop_execution(executionArn=execution, cause="enough")
    _until_status(account, slow, "Stopped")
    ended = account.finished(execution)
    assert (ended["status"], ended["cause"]) == ("ABORTED", "enough")


@pytest.mark.parametrize("where", ["state", "machine"])
def test_a_time_out_leaves_the_job_running(
    account: Account, all_of_sagemaker: str, job: dict[str, Any], name: str, where: str
) -> None:
    """A `.sync` task is cancelled when its execution is stopped; a time-out is not in the guide's list."""
    slow = f"{name}-slow"
    state = task(SYNC, job | {"TrainingJobName": slow}, **({"TimeoutSeconds": 1} if where == "state" else {}))
    machine = {"TimeoutSeconds": 1} if where == "machine" else {}
    ended = account.run(name, all_of_sagemaker, {"Train": state}, **machine)
    assert (ended["status"], ended["error"]) == ("FAILED" if where == "state" else "TIMED_OUT", "States.Timeout")

    time.sleep(1)  # the task looks at its job four times a second
    sagemaker = account.client("sagemaker")
    assert sagemaker.describe_training_job(TrainingJobName=slow)["TrainingJobStatus"] == "InProgress"
    sagemaker.stop_training_job(TrainingJobName=slow)
    _until_status(account, slow, "Stopped")


def test_a_state_machine_stops_the_job_of_a_state_that_timed_out_by_itself(
    account: Account, all_of_sagemaker: str, job: dict[str, Any], name: str
) -> None:
    slow = f"{name}-slow"
    caught = [{"ErrorEquals": ["States.Timeout"], "Next": "Stop", "ResultPath": "$.error"}]
    stop = "arn:aws:states:::aws-sdk:sagemaker:stopTrainingJob"
    states = {
        "Train": task(SYNC, job | {"TrainingJobName": slow}, TimeoutSeconds=1, Catch=caught),
        "Stop": task(stop, {"TrainingJobName": slow}),
    }
    assert account.run(name, all_of_sagemaker, states)["status"] == "SUCCEEDED"
    _until_status(account, slow, "Stopped")


def test_endpoint_config_is_not_taken_for_endpoint(
    account: Account, all_of_sagemaker: str, front_door: dict[str, str], job_role: str, name: str
) -> None:
    """Both resources begin with the same letters, and ministack looks them up by prefix."""
    # a model of one variant
    image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/whippet-dev-serving:1"
    model = {"ModelName": name, "ExecutionRoleArn": job_role, "PrimaryContainer": {"Image": image}}
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }

    # the optimised calls in turn, and a look by the SDK's
    prefix = "arn:aws:states:::sagemaker"
    states = {
        "Model": task(f"{prefix}:createModel", model, ResultPath="$.model"),
        "Config": task(
            f"{prefix}:createEndpointConfig",
            {"EndpointConfigName": name, "ProductionVariants": [variant]},
            ResultPath="$.config",
        ),
        "Endpoint": task(
            f"{prefix}:createEndpoint", {"EndpointName": name, "EndpointConfigName": name}, ResultPath="$.endpoint"
        ),
        "Look": task(f"{prefix.replace(':::', ':::aws-sdk:')}:describeEndpoint", {"EndpointName": name}),
    }
    for state, following in zip(list(states)[:-1], list(states)[1:], strict=True):
        del states[state]["End"]
        states[state]["Next"] = following

    # each made what it says, and the look is at the endpoint
    ended = account.run(name, all_of_sagemaker, states)
    assert ended["status"] == "SUCCEEDED", ended
    seen = json.loads(ended["output"])
    assert (seen["EndpointName"], seen["EndpointConfigName"]) == (name, name)
    assert seen["CreationTime"].endswith("Z"), "SDK integrations show times as ISO 8601"
    sagemaker = account.client("sagemaker")
    assert sagemaker.describe_endpoint_config(EndpointConfigName=name)["ProductionVariants"][0]["ModelName"] == name

    # and the endpoint answers
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    answer = account.client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"photo")
    assert answer["Body"].read() == b"otohp"
    sagemaker.delete_endpoint(EndpointName=name)


@pytest.mark.parametrize(
    ("resource", "error"),
    [
        ("arn:aws:states:::aws-sdk:sagemaker:describeEndpoint", "SageMaker.SageMakerException"),
        ("arn:aws:states:::sagemaker:updateEndpoint", "SageMaker.AmazonSageMakerException"),
    ],
)
def test_an_error_has_the_name_aws_gives_it_and_can_be_caught_by_it(
    account: Account, all_of_sagemaker: str, name: str, resource: str, error: str
) -> None:
    parameters = {"EndpointName": "nowhere"}
    if resource.endswith("updateEndpoint"):
        parameters["EndpointConfigName"] = "nowhere"
    caught = [{"ErrorEquals": [error], "Next": "Caught", "ResultPath": "$.error"}]
    states = {"Look": task(resource, parameters, Catch=caught), "Caught": {"Type": "Succeed"}}
    ended = account.run(name, all_of_sagemaker, states)
    assert ended["status"] == "SUCCEEDED", ended
    assert "Could not find" in json.loads(ended["output"])["error"]["Cause"]


def test_an_error_the_model_knows_keeps_its_name(
    account: Account, all_of_sagemaker: str, job: dict[str, Any], name: str
) -> None:
    account.run(f"{name}-1", all_of_sagemaker, {"Train": task(SYNC, job)})
    again = account.run(f"{name}-2", all_of_sagemaker, {"Train": task(SYNC, job)})
    assert (again["status"], again["error"]) == ("FAILED", "SageMaker.ResourceInUseException")


def test_a_processing_job_runs_a_zip_of_the_bucket_with_its_own_permissions(
    account: Account, front_door: dict[str, str], job_role: str, name: str
) -> None:
    """As the project evaluates its rules: the training image, code and data from S3, one file back."""
    # the program and its input in the bucket
    bucket = front_door["Bucket"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("__main__.py", PROGRAM)
    s3 = account.client("s3")
    s3.put_object(Bucket=bucket, Key=f"{name}/code/x.zip", Body=code.getvalue())
    s3.put_object(Bucket=bucket, Key=f"{name}/output.tar.gz", Body=b"tensors")

    # a role that may make processing jobs of this name
    arn = f"arn:aws:sagemaker:us-east-1:000000000000:processing-job/{name}-*"
    actions = [f"sagemaker:{verb}ProcessingJob" for verb in ("Create", "Describe", "Stop")]
    role = account.role(
        name, "states.amazonaws.com", _allow([*actions, "sagemaker:AddTags"], arn), _allow("iam:PassRole", job_role)
    )

    # the job, made and waited for by a state machine
    request = {
        "ProcessingJobName": f"{name}-rules",
        "RoleArn": job_role,
        "AppSpecification": {
            "ImageUri": TRAINING_IMAGE,
            "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/x.zip"],
            "ContainerArguments": [
                "--archive", "/opt/ml/processing/input/training/output.tar.gz",
                "--output=/opt/ml/processing/output/rules",
            ],
        },
        "Environment": {"WHIPPET_RULE_Overfit": '{"patience": 2}'},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5}
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "ProcessingInputs": [
            _input("code", f"s3://{bucket}/{name}/code/x.zip"),
            _input("training", f"s3://{bucket}/{name}/output.tar.gz"),
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "rules",
                    "S3Output": {
                        "S3Uri": f"s3://{bucket}/{name}/rules",
                        "LocalPath": "/opt/ml/processing/output/rules",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
        "Tags": [{"Key": "run", "Value": name}],
    }  # fmt: skip
    ended = account.run(name, role, {"Rules": task("arn:aws:states:::sagemaker:createProcessingJob.sync", request)})
    assert ended["status"] == "SUCCEEDED", ended
    assert json.loads(ended["output"])["ProcessingJobStatus"] == "Completed"
    report = json.loads(s3.get_object(Bucket=bucket, Key=f"{name}/rules/rules.json")["Body"].read())
    assert report == {"archive": "tensors", "rule": '{"patience": 2}'}


def _input(name: str, uri: str) -> dict[str, Any]:
    source = {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/input/{name}", "S3DataType": "S3Prefix"}
    return {"InputName": name, "S3Input": source | {"S3InputMode": "File"}}


def test_a_functions_exception_is_caught_by_its_class_name(
    account: Account, front_door: dict[str, str], name: str
) -> None:
    role = account.role(name, "states.amazonaws.com", _allow("lambda:InvokeFunction", front_door["Function"]))
    parameters = {"FunctionName": front_door["Function"], "Payload": {"do": "raise"}}
    caught = [{"ErrorEquals": ["NotAPhoto"], "Next": "Caught"}]
    states = {"Call": task("arn:aws:states:::lambda:invoke", parameters, Catch=caught), "Caught": {"Type": "Succeed"}}
    ended = account.run(name, role, states)
    assert ended["status"] == "SUCCEEDED", ended
    assert json.loads(json.loads(ended["output"])["Cause"])["errorMessage"] == "no photo in here"


def test_a_result_over_256_kib_is_refused(account: Account, front_door: dict[str, str], name: str) -> None:
    role = account.role(name, "states.amazonaws.com", _allow("lambda:InvokeFunction", front_door["Function"]))
    parameters = {"FunctionName": front_door["Function"], "Payload": {"do": "large"}}
    ended = account.run(name, role, {"Call": task("arn:aws:states:::lambda:invoke", parameters)})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.DataLimitExceeded")


@pytest.mark.parametrize(
    ("granted", "missing"),
    [
        ([], "sagemaker:CreateTrainingJob"),
        (JOB_ACTIONS[:1], "sagemaker:DescribeTrainingJob"),
        (JOB_ACTIONS[:2], "sagemaker:StopTrainingJob"),
        (JOB_ACTIONS, "iam:PassRole"),
    ],
)
def test_every_permission_a_job_needs_is_asked_for_before_it_starts(
    account: Account, job: dict[str, Any], name: str, granted: list[str], missing: str
) -> None:
    role = account.role(name, "states.amazonaws.com", *([_allow(granted, JOBS)] if granted else []))
    ended = account.run(name, role, {"Train": task(SYNC, job)})
    assert (ended["status"], ended["error"]) == ("FAILED", "SageMaker.AmazonSageMakerException")
    assert f"is not authorized to perform: {missing} on resource" in ended["cause"]
    sagemaker = account.client("sagemaker")
    with pytest.raises(sagemaker.exceptions.ClientError, match="not found"):
        sagemaker.describe_training_job(TrainingJobName=job["TrainingJobName"])


@pytest.mark.parametrize(
    ("resource", "parameters", "error"),
    [
        ("arn:aws:states:::lambda:invoke", {"FunctionName": "FUNCTION"}, "Lambda.AWSLambdaException"),
        (
            "arn:aws:states:::sns:publish",
            {"TopicArn": "arn:aws:sns:us-east-1:000000000000:t", "Message": "m"},
            "SNS.AuthorizationErrorException",
        ),
        (
            "arn:aws:states:::aws-sdk:sagemaker:describeEndpoint",
            {"EndpointName": "e"},
            "SageMaker.SageMakerException",
        ),
    ],
)
def test_a_role_without_permission_is_refused(
    account: Account, front_door: dict[str, str], name: str, resource: str, parameters: dict[str, str], error: str
) -> None:
    role = account.role(name, "states.amazonaws.com")
    given = {key: value.replace("FUNCTION", front_door["Function"]) for key, value in parameters.items()}
    ended = account.run(name, role, {"Call": task(resource, given)})
    assert (ended["status"], ended["error"]) == ("FAILED", error)


def test_a_message_is_published_with_permission(account: Account, name: str) -> None:
    topic = account.client("sns").create_topic(Name=name)["TopicArn"]
    role = account.role(name, "states.amazonaws.com", _allow("sns:Publish", topic))
    parameters = {"TopicArn": topic, "Subject": "s", "Message": "m"}
    ended = account.run(name, role, {"Tell": task("arn:aws:states:::sns:publish", parameters)})
    assert ended["status"] == "SUCCEEDED", ended
    assert json.loads(ended["output"])["MessageId"]


@pytest.mark.parametrize(
    "state",
    [
        {"Type": "Pass", "Parameters": {"inner": {"x.$": "$.plan.missing"}}, "End": True},
        {"Type": "Pass", "InputPath": "$.plan.missing", "End": True},
        {"Type": "Pass", "OutputPath": "$.plan.missing", "End": True},
        {"Type": "Choice", "Choices": [{"Variable": "$.plan.missing", "NumericEquals": 1, "Next": "End"}]},
    ],
    ids=["Parameters", "InputPath", "OutputPath", "Choice"],
)
def test_a_path_that_finds_nothing_fails_the_execution(account: Account, name: str, state: dict[str, Any]) -> None:
    role = account.role(name, "states.amazonaws.com")
    start = {"Type": "Pass", "Result": {"plan": {}}, "Next": "Look"}
    states = {"Start": start, "Look": state} | ({"End": {"Type": "Succeed"}} if state["Type"] == "Choice" else {})
    ended = account.run(name, role, states)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Runtime")
    assert "$.plan.missing" in ended["cause"]
    assert "output" not in ended


def test_a_path_with_a_filter_is_not_taken_for_null(account: Account, name: str) -> None:
    role = account.role(name, "states.amazonaws.com")
    states = {
        "Start": {"Type": "Pass", "Result": {"rules": [{"status": "InProgress"}]}, "Next": "Look"},
        "Look": {"Type": "Pass", "Parameters": {"open.$": "$.rules[?(@.status=='InProgress')]"}, "End": True},
    }
    ended = account.run(name, role, states)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Runtime")
    assert "filters" in ended["cause"]


def test_a_choice_may_ask_whether_a_path_is_there(account: Account, name: str) -> None:
    role = account.role(name, "states.amazonaws.com")
    rule = {"Variable": "$.missing", "IsPresent": False, "Next": "End"}
    states = {"Look": {"Type": "Choice", "Choices": [rule]}, "End": {"Type": "Succeed"}}
    assert account.run(name, role, states)["status"] == "SUCCEEDED"


def test_a_definition_that_cannot_run_is_refused_and_an_update_to_one_too(account: Account, name: str) -> None:
    states = account.client("stepfunctions")
    role = account.role(name, "states.amazonaws.com")
    broken = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}})
    with pytest.raises(states.exceptions.InvalidDefinition, match="Missing 'Next' target: B"):
        states.create_state_machine(name=name, definition=broken, roleArn=role)
    arn = account.state_machine(name, role, {"A": {"Type": "Pass", "End": True}})
    with pytest.raises(states.exceptions.InvalidDefinition, match="Missing 'Next' target: B"):
        states.update_state_machine(stateMachineArn=arn, definition=broken)


def _allow(action: str | list[str], resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def _until_status(account: Account, job: str, status: str) -> None:
    sagemaker = account.client("sagemaker")
    deadline = time.monotonic() + 30
    while True:
        try:
            seen = sagemaker.describe_training_job(TrainingJobName=job)["TrainingJobStatus"]
        except sagemaker.exceptions.ClientError:
            seen = "not there yet"
        if seen == status:
            return
        assert time.monotonic() < deadline, f"{job} is {seen}, not {status}"
        time.sleep(0.05)
