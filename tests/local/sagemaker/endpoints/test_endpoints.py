"""Endpoints: created, invoked, updated, rolled back, healed and deleted."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.sagemaker import SageMaker, SageMakerError
from tests.local.sagemaker.conftest import IMAGE, IMAGES, ROLE, FakeHost, eventually


class Deployments:
    """Models, configurations and endpoints of the tests."""

    def __init__(self, sagemaker: SageMaker, s3: Any, bucket: str) -> None:
        self.sagemaker = sagemaker
        self.s3 = s3
        self.bucket = bucket

    def config(self, name: str, *, model: str = "", image: str = IMAGE, **environment: str) -> None:
        """A model whose text is `model` (default: the name), and a configuration with it, both of this name."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:gz") as tar:
            entry = tarfile.TarInfo("model.txt")
            text = (model or name).encode()
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
        self.s3.put_object(Bucket=self.bucket, Key=f"{name}.tar.gz", Body=content.getvalue())
        container = {"Image": image, "ModelDataUrl": f"s3://{self.bucket}/{name}.tar.gz", "Environment": environment}
        self.model(name, container)
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": name,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
            "ContainerStartupHealthCheckTimeoutInSeconds": 60,
        }
        self.sagemaker.call("CreateEndpointConfig", {"EndpointConfigName": name, "ProductionVariants": [variant]})

    def model(self, name: str, container: dict[str, Any]) -> None:
        self.sagemaker.call("CreateModel", {"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": container})

    def create(self, config: str, name: str = "endpoint") -> dict[str, Any]:
        self.sagemaker.call("CreateEndpoint", {"EndpointName": name, "EndpointConfigName": config})
        return self.settled(name)

    def update(self, config: str, name: str = "endpoint") -> dict[str, Any]:
        self.sagemaker.call("UpdateEndpoint", {"EndpointName": name, "EndpointConfigName": config})
        return self.settled(name)

    def describe(self, name: str = "endpoint") -> dict[str, Any]:
        return self.sagemaker.call("DescribeEndpoint", {"EndpointName": name})

    def settled(self, name: str = "endpoint") -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            endpoint = self.describe(name)
            return endpoint if endpoint["EndpointStatus"] in ("InService", "Failed") else None

        result: dict[str, Any] = eventually(look)
        return result

    def invoke(self, body: bytes = b"photo", name: str = "endpoint", **headers: str) -> dict[str, Any]:
        given = {"Content-Type": "image/jpeg", "Accept": "application/json", **headers}
        status, _, content = self.sagemaker.invoke_endpoint(name, headers=given, body=body)
        assert status == 200
        result: dict[str, Any] = json.loads(content)
        return result

    def gone(self, name: str = "endpoint") -> bool:
        try:
            self.describe(name)
        except SageMakerError as error:
            return error.message.startswith("Could not find endpoint")
        return False


@pytest.fixture
def deployments(sagemaker: SageMaker, s3: Any, bucket: str) -> Deployments:
    return Deployments(sagemaker, s3, bucket)


def test_an_endpoint_answers_with_its_model(deployments: Deployments, host: FakeHost, logs: Any) -> None:
    deployments.config("one")
    endpoint = deployments.create("one")
    assert endpoint["EndpointStatus"] == "InService"
    assert endpoint["EndpointConfigName"] == "one"
    (variant,) = endpoint["ProductionVariants"]
    assert (variant["VariantName"], variant["CurrentInstanceCount"], variant["CurrentWeight"]) == ("AllTraffic", 1, 1.0)
    assert deployments.invoke(b"12345") == {
        "model": "one", "bytes": 5, "type": "image/jpeg", "accept": "application/json",
    }  # fmt: skip
    attributes = {"x-amzn-sagemaker-custom-attributes": "trace=1"}
    _, headers, _ = deployments.sagemaker.invoke_endpoint("endpoint", headers=attributes, body=b"")
    assert headers["X-Amzn-SageMaker-Custom-Attributes"] == "trace=1"
    assert headers["x-Amzn-Invoked-Production-Variant"] == "AllTraffic"
    statuses = [detail["EndpointStatus"] for kind, detail, _ in host.events if "Endpoint" in kind]
    assert statuses == ["Creating", "InService"]


def test_container_log_lines_reach_cloudwatch(deployments: Deployments, logs: Any, tmp_path: Path) -> None:
    deployments.config("talking", RELEASE_FILE=str(tmp_path / "release"))
    (tmp_path / "release").touch()
    deployments.create("talking", "talker")
    deployments.invoke(b"slow", "talker")

    def lines() -> list[str]:
        group = "/aws/sagemaker/Endpoints/talker"
        try:
            streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        assert all(stream["logStreamName"].startswith("AllTraffic/i-") for stream in streams)
        return [
            event["message"]
            for stream in streams
            for event in logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
        ]

    eventually(lambda: "slow request" in lines())


def test_an_uncompressed_model_is_served_from_its_prefix(deployments: Deployments) -> None:
    deployments.s3.put_object(Bucket=deployments.bucket, Key="plain/model/deep/model.txt", Body=b"plain one")
    source = {
        "S3Uri": f"s3://{deployments.bucket}/plain/model/",
        "S3DataType": "S3Prefix",
        "CompressionType": "None",
    }
    deployments.config("plain")
    deployments.sagemaker.call("DeleteModel", {"ModelName": "plain"})
    deployments.model("plain", {"Image": IMAGE, "ModelDataSource": {"S3DataSource": source}})
    deployments.create("plain")
    assert deployments.invoke()["model"] == "plain one"


def test_an_update_never_leaves_a_request_unanswered(deployments: Deployments) -> None:
    deployments.config("blue")
    deployments.config("green")
    deployments.create("blue")
    seen: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            seen.append(deployments.invoke()["model"])

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        endpoint = deployments.update("green")
        after = len(seen)
        eventually(lambda: len(seen) > after + 5)
    finally:
        stop.set()
        thread.join()
    assert endpoint["EndpointConfigName"] == "green"
    assert "FailureReason" not in endpoint
    assert seen == sorted(seen)  # blue until green is healthy, then green for good
    assert {"blue", "green"} == set(seen)


def test_an_update_that_fails_rolls_back_to_what_was_in_service(deployments: Deployments) -> None:
    deployments.config("good")
    deployments.config("bad", REFUSE_TO_START="1")
    deployments.create("good")
    endpoint = deployments.update("bad")
    assert endpoint["EndpointStatus"] == "InService"
    assert endpoint["EndpointConfigName"] == "good"
    assert endpoint["FailureReason"].startswith(
        "The primary container for production variant AllTraffic did not pass the ping health check."
    )
    assert deployments.invoke()["model"] == "good"
    deployments.config("better")
    assert "FailureReason" not in deployments.update("better")
    assert deployments.invoke()["model"] == "better"


def test_a_container_that_does_not_start_fails_the_creation(deployments: Deployments) -> None:
    deployments.config("bad", REFUSE_TO_START="1")
    endpoint = deployments.create("bad")
    assert endpoint["EndpointStatus"] == "Failed"
    assert "ping health check" in endpoint["FailureReason"]
    with pytest.raises(SageMakerError, match="not found") as error:
        deployments.invoke()
    assert error.value.code == "ValidationError"
    with pytest.raises(SageMakerError, match="Failed"):
        deployments.update("bad")
    deployments.sagemaker.call("DeleteEndpoint", {"EndpointName": "endpoint"})
    eventually(deployments.gone)


@pytest.mark.parametrize("bucket_of", ["{}", "{}-of-nobody"])
def test_a_model_whose_data_does_not_exist_is_refused(deployments: Deployments, bucket_of: str) -> None:
    """Words of aws/amazon-sagemaker-examples#2264."""
    uri = f"s3://{bucket_of.format(deployments.bucket)}/nothing/model.tar.gz"
    prefix = {"S3Uri": uri.replace("model.tar.gz", ""), "S3DataType": "S3Prefix", "CompressionType": "None"}
    for data, named in (({"ModelDataUrl": uri}, uri), ({"ModelDataSource": {"S3DataSource": prefix}}, prefix["S3Uri"])):
        with pytest.raises(SageMakerError) as error:
            deployments.model("lost", {"Image": IMAGE, **data})
        assert error.value.code == "ValidationException"
        assert error.value.message == f"Could not find model data at {named}."


def test_a_model_that_has_gone_from_the_bucket_fails_the_creation(deployments: Deployments) -> None:
    deployments.config("lost")
    deployments.s3.delete_object(Bucket=deployments.bucket, Key="lost.tar.gz")
    endpoint = deployments.create("lost")
    assert endpoint["EndpointStatus"] == "Failed"
    assert "lost.tar.gz" in endpoint["FailureReason"]


def test_deleting_answers_the_request_in_flight_first(deployments: Deployments, tmp_path: Path) -> None:
    release = tmp_path / "release"
    deployments.config("slow", RELEASE_FILE=str(release), PID_FILE=str(tmp_path / "pid"))
    deployments.create("slow")
    answers: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: answers.append(deployments.invoke(b"slow")))
    thread.start()
    # no other sign of a request in flight
    instances = deployments.sagemaker._endpoints._live["endpoint"].fleet.instances
    eventually(lambda: instances[0]._in_flight == 1)
    deployments.sagemaker.call("DeleteEndpoint", {"EndpointName": "endpoint"})
    assert deployments.describe()["EndpointStatus"] == "Deleting"
    release.touch()
    thread.join()
    assert answers[0]["model"] == "slow"
    eventually(deployments.gone)
    assert not is_running(int((tmp_path / "pid").read_text()))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if not Path("/proc").is_dir():
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except FileNotFoundError:  # it has ended since
        return False


def test_a_container_that_died_is_started_again(deployments: Deployments) -> None:
    deployments.config("mortal")
    deployments.create("mortal")
    with pytest.raises(SageMakerError) as error:
        deployments.invoke(b"die")
    assert error.value.code == "ModelError"

    def answers() -> bool:
        try:
            return bool(deployments.invoke()["model"] == "mortal")
        except SageMakerError:
            return False

    eventually(answers)


@pytest.mark.parametrize(
    ("body", "status", "kind", "text"),
    [(b"refuse", 422, "client", "not an image"), (b"break", 500, "server", "Traceback")],
)
def test_the_models_error_is_told(deployments: Deployments, body: bytes, status: int, kind: str, text: str) -> None:
    deployments.config("failing")
    deployments.create("failing")
    with pytest.raises(SageMakerError) as error:
        deployments.invoke(body)
    assert error.value.code == "ModelError"
    assert error.value.status == 424
    assert error.value.message.startswith(
        f'Received {kind} error ({status}) from primary with message "{text}". See https://us-east-1.console'
    )
    assert error.value.members["OriginalStatusCode"] == status
    assert error.value.members["OriginalMessage"] == text


@pytest.mark.parametrize(
    ("body", "errors_4xx", "errors_5xx"),
    [(b"photo", 0, 0), (b"refuse", 1, 0), (b"break", 0, 1), (b"die", 0, 1)],
)
def test_every_request_is_counted(
    deployments: Deployments, host: FakeHost, body: bytes, errors_4xx: int, errors_5xx: int
) -> None:
    """A dead container is no answer, and yet a request."""
    deployments.config("counted")
    deployments.create("counted")
    assert host.metrics == []
    with contextlib.suppress(SageMakerError):
        deployments.invoke(body)
    variant = {"EndpointName": "endpoint", "VariantName": "AllTraffic"}
    assert [dimensions for _, _, dimensions in host.metrics] == [variant, {**variant, "EndpointConfigName": "counted"}]
    (namespace, metrics, _), (_, alike, _) = host.metrics
    assert (namespace, metrics) == ("AWS/SageMaker", alike)
    counts = {name: value for name, value in metrics.items() if not name.endswith("Latency")}
    assert counts == {
        "Invocations": 1,
        "InvocationsPerInstance": 1,
        "Invocation4XXErrors": errors_4xx,
        "Invocation5XXErrors": errors_5xx,
    }
    assert ("ModelLatency" in metrics) == ("OverheadLatency" in metrics) == (body != b"die")


def test_the_models_latency_is_in_microseconds(deployments: Deployments, host: FakeHost, tmp_path: Path) -> None:
    release = tmp_path / "release"
    deployments.config("slow", RELEASE_FILE=str(release))
    deployments.create("slow")
    threading.Timer(0.3, release.touch).start()
    deployments.invoke(b"slow")
    metrics = host.metrics[0][1]
    assert metrics["ModelLatency"] >= 250_000
    assert 0 <= metrics["OverheadLatency"] < metrics["ModelLatency"]


def test_a_request_to_no_endpoint_is_not_counted(deployments: Deployments, host: FakeHost) -> None:
    with pytest.raises(SageMakerError):
        deployments.invoke(name="missing")
    assert host.metrics == []


def test_a_model_that_takes_too_long_is_an_error(deployments: Deployments, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.sagemaker.endpoints.invocation.TIMEOUT", 0.2)
    deployments.config("slow", RELEASE_FILE="/nonexistent")
    deployments.create("slow")
    with pytest.raises(SageMakerError, match="Your invocation timed out") as error:
        deployments.invoke(b"slow")
    assert error.value.code == "ModelError"


def test_a_body_over_25_mb_is_refused(deployments: Deployments) -> None:
    deployments.config("one")
    deployments.create("one")
    with pytest.raises(SageMakerError, match="less than or equal to 26214400"):
        deployments.invoke(b"x" * (25 * 1024 * 1024 + 1))


def test_missing_things_are_named(deployments: Deployments) -> None:
    call = deployments.sagemaker.call
    arn = "arn:aws:sagemaker:us-east-1:000000000000"
    with pytest.raises(SageMakerError, match=f'Could not find endpoint "{arn}:endpoint/none".'):
        call("DescribeEndpoint", {"EndpointName": "None"})
    with pytest.raises(SageMakerError, match=f'Could not find endpoint configuration "{arn}:endpoint-config/none".'):
        call("CreateEndpoint", {"EndpointName": "a", "EndpointConfigName": "none"})
    with pytest.raises(SageMakerError, match=f'Could not find model "{arn}:model/none".'):
        call("DeleteModel", {"ModelName": "none"})
    with pytest.raises(SageMakerError, match=r"Endpoint none of account 000000000000 not found\."):
        deployments.invoke(name="none")


def test_what_exists_is_not_created_twice(deployments: Deployments) -> None:
    deployments.config("one")
    with pytest.raises(SageMakerError, match='Cannot create already existing model "'):
        deployments.model("one", {"Image": IMAGE})
    deployments.create("one")
    with pytest.raises(SageMakerError, match='Cannot create already existing endpoint "'):
        deployments.create("one")


def test_names_that_differ_in_case_are_one_name_and_its_tags_stay(deployments: Deployments) -> None:
    """By botocore's model, the case of EndpointName counts in InvokeEndpoint and not in CreateEndpoint (F2)."""
    deployments.config("one")
    call = deployments.sagemaker.call
    created = {"EndpointName": "e1", "EndpointConfigName": "one", "Tags": [{"Key": "of", "Value": "e1"}]}
    arn = call("CreateEndpoint", created)["EndpointArn"]
    deployments.settled("e1")
    other = created | {"EndpointName": "E1", "Tags": [{"Key": "of", "Value": "E1"}]}
    with pytest.raises(SageMakerError, match=f'Cannot create already existing endpoint "{arn}"'):
        call("CreateEndpoint", other)
    with pytest.raises(SageMakerError, match="Could not find endpoint"):
        call("DeleteEndpoint", {"EndpointName": "E1"})
    assert call("ListTags", {"ResourceArn": arn})["Tags"] == [{"Key": "of", "Value": "e1"}]
    with pytest.raises(SageMakerError, match="Endpoint E1 of account"):
        deployments.invoke(name="E1")
    assert deployments.invoke(name="e1")["model"] == "one"

    # the name is free again once its endpoint is gone
    call("DeleteEndpoint", {"EndpointName": "e1"})
    eventually(lambda: deployments.gone("e1"))
    call("CreateEndpoint", other)
    assert call("ListTags", {"ResourceArn": arn})["Tags"] == [{"Key": "of", "Value": "E1"}]


def test_an_endpoint_in_progress_is_neither_updated_nor_deleted(deployments: Deployments) -> None:
    deployments.config("unhealthy", UNHEALTHY="1")
    call = deployments.sagemaker.call
    call("CreateEndpoint", {"EndpointName": "endpoint", "EndpointConfigName": "unhealthy"})
    for operation, more in (("UpdateEndpoint", {"EndpointConfigName": "unhealthy"}), ("DeleteEndpoint", {})):
        with pytest.raises(SageMakerError, match="Cannot update in-progress endpoint"):
            call(operation, {"EndpointName": "endpoint", **more})


def test_closing_ends_every_process(deployments: Deployments, tmp_path: Path) -> None:
    deployments.config("one", PID_FILE=str(tmp_path / "pid"))
    deployments.create("one")
    pid = int((tmp_path / "pid").read_text())
    assert is_running(pid)
    deployments.sagemaker.close()
    eventually(lambda: not is_running(pid))
    deployments.sagemaker.close()


@pytest.fixture
def supervised_pipe(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A service that started a program and waits."""
    program = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(120)"
    service = (
        "import sys, pathlib, time\n"
        "from local.sagemaker.jobs.process import Program\n"
        f"Program([sys.executable, '-c', {program!r}], environment={{}}, folder=pathlib.Path('.'), on_line=print)\n"
        "time.sleep(120)\n"
    )
    repository = IMAGES.parents[3]
    process = subprocess.Popen([sys.executable, "-c", service], cwd=repository)
    yield process
    process.kill()
    process.wait()


def test_a_program_ends_when_the_service_is_killed(supervised_pipe: subprocess.Popen[bytes], tmp_path: Path) -> None:
    eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    pid = int((tmp_path / "pid").read_text())
    assert is_running(pid)
    os.kill(supervised_pipe.pid, signal.SIGKILL)
    supervised_pipe.wait()
    deadline = time.monotonic() + 30
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
