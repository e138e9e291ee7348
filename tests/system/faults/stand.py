"""An environment as the commands see it, with models in service, runs and photos, on a cloud with toy programs."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import contract
from infra.outputs import StackOutput
from local import control
from tests.fakes.model_card import model_card
from tests.local.cloud.conftest import SERVING_IMAGE, Account, training_job, until

__all__ = ["RELEASES", "Stand", "programs"]

RELEASES = ("first-1", "second-2")
"""The runs whose models were released; the last one serves."""

_SERVER = """
import http.server, json, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        best = [{"label": "shirt", "score": 0.9}]
        answer = {"label": "shirt", "score": 0.9, "known": True, "distance": 0.5, "predictions": best}
        self.answer(answer | {"model": {"release": os.environ.get("WHIPPET_RELEASE", "")}})

    def log_message(self, *_):
        pass

    def answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


def programs(folder: Path) -> Path:
    """Write environments like .envs, whose training and serving programs are a few lines."""
    (folder / "serve.py").parent.mkdir(parents=True)
    (folder / "serve.py").write_text(_SERVER)
    for name, text in (
        ("training/bin/train", "echo epoch 1\n"),
        ("inference/bin/python", f"exec {sys.executable} {folder / 'serve.py'}\n"),
    ):
        program = folder / name
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\n{text}")
        program.chmod(0o755)
    (folder / "cloud").symlink_to(Path(control.__file__).parents[1] / ".envs" / "cloud")
    return folder


@dataclass(frozen=True)
class Stand:
    """The deployed environment, behind the back of whoever is tested."""

    account: Account
    env: str
    outputs: dict[str, str]

    @classmethod
    def deployed(cls, account: Account, env: str) -> Stand:
        template = Path(__file__).with_name("commands.yaml").read_text().replace("whippet-dev", f"whippet-{env}")
        stand = cls(account, env, account.deploy(f"Whippet-{env}", template))
        sagemaker = account.client("sagemaker")
        sagemaker.create_model_package_group(ModelPackageGroupName=stand.prefix)
        for run in RELEASES:
            stand._release(run)
        stand.put("dataset/shirt/1.png", b"photo")
        stand._train(contract.job_prefix(stand.prefix, f"{RELEASES[-1]}-training"))
        stand.serve(RELEASES[-1])
        return stand

    @property
    def prefix(self) -> str:
        return f"whippet-{self.env}"

    @property
    def bucket(self) -> str:
        return self.outputs[StackOutput.DATA_BUCKET]

    def put(self, key: str, body: bytes) -> None:
        self.account.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)

    def keys(self, prefix: str) -> set[str]:
        listed = self.account.client("s3").list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return {item["Key"] for item in listed.get("Contents", [])}

    # the model in service

    def _release(self, run: str) -> None:
        """A run's model, configuration, package, decision and record."""
        sagemaker, name = self.account.client("sagemaker"), contract.job_prefix(self.prefix, run)
        archive = f"runs/{run}/model.tar.gz"
        self.put(archive, _archive(run))
        sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=self.outputs[StackOutput.BATCH_ROLE_ARN],
            PrimaryContainer={
                "Image": SERVING_IMAGE,
                "ModelDataUrl": f"s3://{self.bucket}/{archive}",
                "Environment": {contract.ServingVariable.RELEASE: name},
            },
        )
        variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large"}
        variants = [variant | {"InitialInstanceCount": 1}]
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)
        sagemaker.create_model_package(
            ModelPackageGroupName=self.prefix,
            ModelPackageDescription=f"Run {run}",
            ModelApprovalStatus="Approved",
            InferenceSpecification={
                "Containers": [{"Image": SERVING_IMAGE}],
                "SupportedContentTypes": ["image/jpeg"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        )
        decision = {"classes": ["shirt"], "test_accuracy": 0.9, "test_images": 100}
        self.put(f"runs/{run}/{contract.Artefact.DECISION}", json.dumps(decision).encode())
        self.put(f"runs/{run}/{contract.Artefact.REPORT}", b"<p>report</p>")

    def _train(self, job: str) -> None:
        """A training job that has ended, with a line in its log."""
        sagemaker, role = self.account.client("sagemaker"), self.outputs[StackOutput.BATCH_ROLE_ARN]
        sagemaker.create_training_job(**training_job(job, role=role, bucket=self.bucket))
        until(
            lambda: sagemaker.describe_training_job(TrainingJobName=job),
            lambda seen: seen["TrainingJobStatus"] == "Completed",
        )

    def serve(self, run: str) -> None:
        """Have this run's model in service, with records that say so, whatever was before."""
        self.sleep()
        s3, sagemaker = self.account.client("s3"), self.account.client("sagemaker")
        for key in self.keys(contract.RELEASES_PREFIX):
            s3.delete_object(Bucket=self.bucket, Key=key)
        before = ""
        for number, each in enumerate(RELEASES):
            at = datetime(2026, 11, 28, tzinfo=UTC) + timedelta(hours=number)
            change = contract.ReleaseChange(at, "released", each, before)
            record = contract.Release(at=at.isoformat(), kind="released", run=each, replaced=before, by="a run", why="")
            record["test_accuracy"], record["test_images"] = 0.9, 100
            record["test_accuracy_interval"] = {"low": 0.83, "high": 0.94, "level": 0.95}
            self.put(change.key, json.dumps(record).encode())
            before = each
        for package in sagemaker.list_model_packages(ModelPackageGroupName=self.prefix)["ModelPackageSummaryList"]:
            sagemaker.update_model_package(ModelPackageArn=package["ModelPackageArn"], ModelApprovalStatus="Approved")
        self._record_sleep(contract.NOTHING_SLEEPS)
        sagemaker.create_endpoint(EndpointName=self.prefix, EndpointConfigName=contract.job_prefix(self.prefix, run))
        self.settled()

    def sleep(self, run: str | None = None) -> None:
        """Have no endpoint, and `run`'s model asleep."""
        sagemaker = self.account.client("sagemaker")
        if self._has_endpoint():
            self.settled()
            sagemaker.delete_endpoint(EndpointName=self.prefix)
            until(lambda: {"there": self._has_endpoint()}, lambda seen: not seen["there"])
        if run is not None:
            self._record_sleep(contract.job_prefix(self.prefix, run))

    def settled(self) -> dict[str, Any]:
        """Return the endpoint's description once nothing changes."""
        sagemaker = self.account.client("sagemaker")
        return until(
            lambda: sagemaker.describe_endpoint(EndpointName=self.prefix),
            lambda seen: seen["EndpointStatus"] not in ("Creating", "Updating"),
        )

    def config(self) -> str | None:
        """Return the endpoint's configuration, None where there is no endpoint."""
        return str(self.settled()["EndpointConfigName"]) if self._has_endpoint() else None

    def _has_endpoint(self) -> bool:
        return bool(self.account.client("sagemaker").list_endpoints(NameContains=self.prefix)["Endpoints"])

    def _record_sleep(self, config: str) -> None:
        name = self.outputs[StackOutput.SLEEP_RECORD]
        self.account.client("ssm").put_parameter(Name=name, Value=config, Type="String", Overwrite=True)

    # runs

    def start(self, **given: Any) -> tuple[str, str]:
        """Start an execution with this input, and return its ARN and its run."""
        states = self.account.client("stepfunctions")
        arn = states.start_execution(stateMachineArn=self.outputs["StateMachineArn"], input=json.dumps(given))
        found = states.describe_execution(executionArn=arn["executionArn"])
        return str(arn["executionArn"]), contract.run_id(found["name"], started=found["startDate"])

    def status(self, execution: str) -> str:
        states = self.account.client("stepfunctions")
        return str(states.describe_execution(executionArn=execution)["status"])

    def executions(self, cell: str) -> list[str]:
        """Return the ARNs of the executions whose input names the cell."""
        states, found = self.account.client("stepfunctions"), []
        pages = states.get_paginator("list_executions").paginate(stateMachineArn=self.outputs["StateMachineArn"])
        for arn in (each["executionArn"] for page in pages for each in page["executions"]):
            given = json.loads(states.describe_execution(executionArn=arn)["input"])
            if given.get("cell") == cell:
                found.append(str(arn))
        return found

    def ask(self, cell: str) -> tuple[str, str]:
        """Start a run that asks for approval, with its question in the bucket; return its execution and its run."""
        key = f"tokens/{cell}"
        execution, run = self.start(token_key=key)
        deadline = time.monotonic() + 60
        while key not in self.keys(key):
            assert time.monotonic() < deadline, "nobody asks"
            time.sleep(0.05)
        token = self.account.client("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read().decode()
        question = {"token": token, "run": run, "expires_at": "2999-01-01T00:00:00+00:00"}
        self.put(contract.approval_key(run), json.dumps(question).encode())
        return execution, run


def _archive(run: str) -> bytes:
    """A model's archive."""
    card = model_card(["shirt"], image_size=8, resize=8, run=run)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, body in (
            (contract.Artefact.MODEL, b"onnx"),
            (contract.Artefact.MODEL_CARD, json.dumps(card).encode()),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return file.getvalue()
