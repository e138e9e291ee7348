"""A local cloud whose account document the tests write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import control
from tests.local.cloud.conftest import TRAINING_IMAGE, Account, allow, training_job


@dataclass(frozen=True)
class Documented(Account):
    """An account with a document."""

    def write(self, **members: Any) -> None:
        """Write the account document at once, as docs/local-cloud.md advises."""
        new = self.cloud.state / "account.json.new"
        new.write_text(json.dumps(members))
        new.replace(self.cloud.state / "account.json")

    def faults(self, *faults: dict[str, Any]) -> None:
        self.write(faults=list(faults))

    def fired(self) -> list[dict[str, Any]]:
        """Every fault that fired since the cloud was started."""
        file = self.cloud.state / "account-faults.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture(scope="session")
def documented(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Iterator[Documented]:
    state = tmp_path_factory.mktemp("documented")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHIPPET_ENVIRONMENTS", str(programs))
        cloud = control.start(state)
    yield Documented(cloud)
    control.stop(state)


@pytest.fixture
def strict(documented: Documented) -> Iterator[Documented]:
    """The account, without a document before and after the test."""
    yield documented
    (documented.cloud.state / "account.json").unlink(missing_ok=True)


@pytest.fixture(scope="session")
def outputs(documented: Documented) -> str:
    """A bucket for what jobs write."""
    documented.client("s3").create_bucket(Bucket="outputs")
    return "outputs"


@pytest.fixture(scope="session")
def jobs_role(documented: Documented) -> str:
    return documented.role(
        "strict-job", "sagemaker.amazonaws.com", allow("s3:*", "*"), allow("logs:*", "*"), allow("ecr:*", "*")
    )


@pytest.fixture
def training(outputs: str, jobs_role: str, name: str) -> dict[str, Any]:
    """CreateTrainingJob's request for a job that succeeds; `fail` or `slow` in its name makes it fail or stay."""
    return training_job(f"{name}-job", role=jobs_role, bucket=outputs)


def tuning_job(name: str, training: dict[str, Any], *, parallel: int = 1) -> dict[str, Any]:
    """CreateHyperParameterTuningJob's request for trials like a training job, all at once; they print no objective."""
    algorithm = training["AlgorithmSpecification"] | {"MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*)"}]}
    shared = {key: training[key] for key in ("RoleArn", "OutputDataConfig", "ResourceConfig", "StoppingCondition")}
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": parallel, "MaxParallelTrainingJobs": parallel},
            "ParameterRanges": {"ContinuousParameterRanges": [{"Name": "lr", "MinValue": "0", "MaxValue": "1"}]},
        },
        "TrainingJobDefinition": {"AlgorithmSpecification": algorithm, **shared},
    }


def processing_job(name: str, role: str) -> dict[str, Any]:
    """CreateProcessingJob's request for a job that does nothing."""
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
    return {
        "ProcessingJobName": name,
        "AppSpecification": {"ImageUri": TRAINING_IMAGE, "ContainerEntrypoint": ["true"]},
        "ProcessingResources": {"ClusterConfig": cluster},
        "RoleArn": role,
    }
