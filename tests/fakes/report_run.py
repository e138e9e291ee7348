"""A plausible run for the report: every file it leaves, and the SageMaker that ran its jobs."""

from __future__ import annotations

import base64
import json
import math
import random
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from contract import Artefact, Hyperparameters, parameter_ranges
from tests.fakes.report_files import (
    CLASSES,
    EARLIER,
    EXECUTION,
    JOB,
    RUN,
    START,
    STARTED,
    as_json,
    check_of,
    dataset_of,
    decision_of,
    earlier_runs,
    evaluation_of_run,
    history,
    jpeg,
    pictured_paths,
    predictions_of,
    profile,
)
from tests.fakes.s3 import client_error


def event(**changes: Any) -> dict[str, Any]:
    """What the state machine hands the function after a release; None takes a key away."""
    data: dict[str, Any] = {
        "started": STARTED,
        "plan": {
            "run": RUN,
            "hyperparameters": Hyperparameters().to_strings(),
            "features": {"ready": False, "job": f"{JOB}-features", "uri": "s3://data/features/abc/"},
            "tuning": {"job": JOB},
        },
        "training": {"job": f"{JOB}-train", "model": f"s3://data/runs/{RUN}/training/{JOB}-train/output/model.tar.gz"},
        "debugger": {"evaluator": "own", "looks": 0},
        "verdict": {"accepted": True},
        "package": {"arn": "arn:aws:sagemaker:eu-west-1:123456789012:model-package/whippet-dev/7"},
        "smoke_test": {"endpoint": "whippet-dev"},
    }
    data = {key: value for key, value in (data | changes).items() if value is not None}
    machine = "arn:aws:states:eu-west-1:123456789012:stateMachine:whippet-dev"
    return {"run": data, "execution": EXECUTION, "state_machine": machine}


def files(*, classes: Sequence[str] = CLASSES, each: int = 37, seed: int = 3) -> dict[str, bytes]:
    """Keys and contents of everything a finished run leaves below runs/<run>/."""
    rng = random.Random(seed)
    evaluation = evaluation_of_run(classes, each=each, rng=rng)
    results = {
        Artefact.EVALUATION: as_json(evaluation),
        Artefact.HISTORY: history(rng),
        Artefact.PROFILE: as_json(profile(rng)),
        Artefact.HOOK_REPORT: as_json(
            {
                "steps": 580,
                "first_step": 0,
                "tensors": 1392,
                "bytes": 1_840_000,
                "seconds": 1.9,
                "failures": [],
                "failed": 0,
            }
        ),
        Artefact.PREDICTIONS: predictions_of(evaluation),
        Artefact.CHECK: as_json(check_of(classes)),
        Artefact.HEAT_MAPS: as_json(
            {
                mistake["path"]: base64.b64encode(jpeg(random.Random(2))).decode()
                for mistake in evaluation["hardest_mistakes"][:3]
            }
        ),
        Artefact.THUMBNAILS: as_json(
            {path: base64.b64encode(jpeg(rng)).decode() for path in pictured_paths(evaluation)}
        ),
    }
    own = {
        f"manifest/{Artefact.DATASET_SUMMARY}": as_json(dataset_of(classes, each=each)),
        Artefact.DECISION: as_json(decision_of(evaluation)),
    }
    return (
        {f"runs/{RUN}/results/{name}": body for name, body in results.items()}
        | {f"runs/{RUN}/{name}": body for name, body in own.items()}
        | earlier_runs(decision_of(evaluation), evaluation)
    )


def changed(files: dict[str, bytes], name: str, **changes: Any) -> dict[str, bytes]:
    """The files with some members of a JSON file replaced; `name` as it stands below runs/<run>/."""
    key = f"runs/{RUN}/{name}"
    return files | {key: as_json(json.loads(files[key]) | changes)}


class FakeStepFunctions:
    """The state machine's executions, the newest first: this run, one that failed, and three earlier ones."""

    def list_executions(self, *, stateMachineArn: str, maxResults: int) -> dict[str, Any]:  # noqa: N803
        assert stateMachineArn.endswith(":stateMachine:whippet-dev")
        names = ["run-7", "failed", *EARLIER]
        executions = [{"name": name, "startDate": START - timedelta(days=days)} for days, name in enumerate(names)]
        return {"executions": executions[:maxResults]}


class FakeSageMaker:
    """The jobs of the run; `without` names those that were never started."""

    def __init__(self, *, trials: int = 16, without: Sequence[str] = ()) -> None:
        self.trials = trials
        self.without = without

    def describe_training_job(self, *, TrainingJobName: str) -> dict[str, Any]:  # noqa: N803
        self._check(TrainingJobName)
        return {
            "TrainingJobStatus": "Completed",
            "ResourceConfig": {"InstanceType": "ml.c5.2xlarge", "InstanceCount": 1},
            "TrainingStartTime": START,
            "TrainingEndTime": START + timedelta(minutes=9),
            "BillableTimeInSeconds": 540,
        }

    def describe_processing_job(self, *, ProcessingJobName: str) -> dict[str, Any]:  # noqa: N803
        self._check(ProcessingJobName)
        return {
            "ProcessingJobStatus": "Completed",
            "ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.t3.large", "InstanceCount": 1}},
            "ProcessingStartTime": START,
            "ProcessingEndTime": START + timedelta(seconds=95),
        }

    def describe_endpoint_config(self, *, EndpointConfigName: str) -> dict[str, Any]:  # noqa: N803
        self._check(EndpointConfigName)
        return {"ProductionVariants": [{"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}]}

    def describe_hyper_parameter_tuning_job(self, *, HyperParameterTuningJobName: str) -> dict[str, Any]:  # noqa: N803
        self._check(HyperParameterTuningJobName)
        best = max(
            (trial for trial in self._trials() if "FinalHyperParameterTuningJobObjectiveMetric" in trial),
            key=lambda trial: float(trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]),
            default=None,
        )
        return {
            "HyperParameterTuningJobStatus": "Completed",
            "HyperParameterTuningJobConfig": {
                "Strategy": "Bayesian",
                "HyperParameterTuningJobObjective": {"MetricName": "validation:accuracy", "Type": "Maximize"},
                "ParameterRanges": parameter_ranges(),
            },
            "TrainingJobDefinition": {"ResourceConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1}},
            **({"BestTrainingJob": {"TrainingJobName": best["TrainingJobName"]}} if best else {}),
        }

    def get_paginator(self, name: str) -> FakeSageMaker:
        assert name == "list_training_jobs_for_hyper_parameter_tuning_job"
        return self

    def paginate(self, *, HyperParameterTuningJobName: str, **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803
        self._check(HyperParameterTuningJobName)
        trials = self._trials()
        for begin in range(0, len(trials), 10):
            yield {"TrainingJobSummaries": trials[begin : begin + 10]}

    def _check(self, job: str) -> None:
        if job in self.without:
            raise client_error("ValidationException", f"Could not find {job}.")

    def _trials(self) -> list[dict[str, Any]]:
        rng = random.Random(1)
        trials = []
        for number in range(1, self.trials + 1):
            rate, batch = 10 ** rng.uniform(-3, -1), rng.choice((16, 32, 64, 128, 256, 512))
            trial: dict[str, Any] = {
                "TrainingJobName": f"{JOB}-{number:03}-abcd",
                "TrainingJobStatus": "Stopped" if number % 6 == 0 else "Failed" if number == 4 else "Completed",
                "TunedHyperParameters": {"learning_rate": repr(rate), "batch_size": f'"{batch}"'},
                "TrainingStartTime": START,
                "TrainingEndTime": START + timedelta(seconds=30 + 2048 / batch),
            }
            if number == 4:
                trial["FailureReason"] = "AlgorithmError: the loss is not a number"
            else:
                value = 0.86 - 0.09 * (math.log10(rate) + 1.9) ** 2 - 0.00008 * batch + rng.gauss(0, 0.006)
                trial["FinalHyperParameterTuningJobObjectiveMetric"] = {
                    "MetricName": "validation:accuracy",
                    "Value": value,
                }
            trials.append(trial)
        return trials
