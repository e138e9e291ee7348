"""A stack with a model in service, whose SageMaker carries a transform job out while it is looked at."""

from __future__ import annotations

import io
import json
from typing import Any

from PIL import Image

import contract
from infra.outputs import StackOutput
from infra.settings import Settings
from tests.fakes.s3 import FakeS3, client_error

__all__ = ["FakeCloud", "jpeg"]

MODEL = "whippet-dev-run-7"


def jpeg(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(file, "JPEG")
    return file.getvalue()


class FakeCloud:
    """Stands in for `cli.target.Target`, and for SageMaker and Service Quotas.

    A job answers `pace` photos each time that it is described. A photo that holds the text `poison` fails the job, and
    one that is no JPEG is answered with a problem.
    """

    cloud: Any = object()
    dataset = ("data", "dataset/")
    place = "on this machine"
    region = "us-east-1"

    def __init__(self) -> None:
        self.settings = Settings()
        self.outputs: dict[str, str] = {}
        self.s3 = FakeS3()
        self.s3.put_object(Bucket="data", Key="runs/run-7/model.tar.gz", Body=b"packed")
        self.jobs: dict[str, dict[str, Any]] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.pace = 1000
        self.interrupt_after: int | None = None
        self.quota = 2.0

    def client(self, service: str) -> Any:
        return {"s3": self.s3}.get(service, self)

    def output(self, name: StackOutput) -> str:
        return {
            StackOutput.DATA_BUCKET: "data",
            StackOutput.ENDPOINT_NAME: "whippet-dev",
            StackOutput.BATCH_ROLE_ARN: "arn:role/batch",
        }[name]

    def describe_endpoint(self, **_: Any) -> dict[str, Any]:
        return {"EndpointConfigName": MODEL, "EndpointStatus": "InService"}

    def describe_endpoint_config(self, **_: Any) -> dict[str, Any]:
        return {"ProductionVariants": [{"ModelName": MODEL}]}

    def describe_model(self, **_: Any) -> dict[str, Any]:
        container = {"Image": "image:1", "ModelDataUrl": "s3://data/runs/run-7/model.tar.gz", "Mode": "SingleModel"}
        return {"PrimaryContainer": container | {"Environment": {"WHIPPET_NAME_UNKNOWN": "true"}}}

    def create_model(self, *, ModelName: str, **members: Any) -> None:  # noqa: N803
        if ModelName in self.models:
            raise client_error("ValidationException", f'Cannot create already existing model "{ModelName}".')
        self.models[ModelName] = members

    def delete_model(self, *, ModelName: str) -> None:  # noqa: N803
        if self.models.pop(ModelName, None) is None:
            raise client_error("ValidationException", f'Could not find model "{ModelName}".')

    def create_transform_job(self, **job: Any) -> None:
        assert job["ModelName"] in self.models
        assert job["MaxConcurrentTransforms"] * job["MaxPayloadInMB"] <= 100
        assert job["TransformJobName"] not in self.jobs
        uri = job["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
        head, *names = json.loads(self.s3.objects[uri.removeprefix("s3://data/")])
        bucket, _, prefix = head["prefix"].removeprefix("s3://").partition("/")
        assert bucket == "data"
        waiting = [(prefix + name, name) for name in names]
        self.jobs[job["TransformJobName"]] = {**job, "TransformJobStatus": "InProgress", "waiting": waiting}

    def describe_transform_job(self, *, TransformJobName: str) -> dict[str, Any]:  # noqa: N803
        job = self.jobs[TransformJobName]
        if job["TransformJobStatus"] == "InProgress":
            self._work(job)
        if self.interrupt_after is not None:
            self.interrupt_after -= 1
            if self.interrupt_after < 0:
                raise KeyboardInterrupt
        return dict(job)

    def stop_transform_job(self, *, TransformJobName: str) -> None:  # noqa: N803
        assert TransformJobName in self.jobs
        self.stop()

    def stop(self) -> None:
        for job in self.jobs.values():
            if job["TransformJobStatus"] == "InProgress":
                job["TransformJobStatus"] = "Stopped"

    def _work(self, job: dict[str, Any]) -> None:
        output = job["TransformOutput"]["S3OutputPath"].removeprefix("s3://data/")
        for key, name in job["waiting"][: self.pace]:
            body = self.s3.objects[key]
            self.asked.append(key)
            if b"poison" in body:
                job["failed"] = True
                continue
            self.s3.put_object(Bucket="data", Key=f"{output}/{name}.out", Body=json.dumps(_answer(body)).encode())
        job["waiting"] = job["waiting"][self.pace :]
        if not job["waiting"]:
            job["TransformJobStatus"] = "Failed" if job.get("failed") else "Completed"
            if job.get("failed"):
                job["FailureReason"] = "AlgorithmError: See job logs for more information"

    def get_paginator(self, name: str) -> Any:
        cloud = self

        class Pages:
            def paginate(self, **asked: Any) -> list[dict[str, Any]]:
                if name == "list_transform_jobs":
                    jobs = [job for each, job in cloud.jobs.items() if asked["NameContains"] in each]
                    return [{"TransformJobSummaries": jobs}]
                quota = {"QuotaName": "ml.c5.xlarge for transform job usage", "Value": cloud.quota}
                return [{"Quotas": [quota | {"QuotaCode": "L-09C9B23C"}]}]

        return Pages()


def _answer(body: bytes) -> Any:
    try:
        with Image.open(io.BytesIO(body)) as image:
            red = sum(image.convert("RGB").resize((1, 1)).getpixel((0, 0))[:1]) / 255  # type: ignore[index]
    except OSError:
        problem: contract.ProblemDetails = {"type": "", "title": "Bad Request", "status": 400, "detail": "no image"}
        return {"error": problem}
    scores = sorted([("red, or so", red), ("other", 1 - red)], key=lambda pair: -pair[1])
    return {
        "label": scores[0][0],
        "score": scores[0][1],
        "known": red > 0.1,
        "distance": 0.5 if red > 0.1 else 1.5,
        "predictions": [{"label": label, "score": score} for label, score in scores],
    }
