"""Following a run: what a user is shown while it moves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console

from cli.joblogs import PROCESSING_LOG_GROUP, TRAINING_LOG_GROUP
from cli.watch import Outcome, watch
from tests.cli.stack import EXECUTION, RUN, STARTED, FakeLogs, FakeStack, GroupedLogs
from tests.fakes.s3 import client_error

JOB = "whippet-dev-run-7"
PLAN = {"plan": {"tuning": {"job": JOB}, "training": {"job": f"{JOB}-train"}, "rules": {"job": f"{JOB}-rules"}}}


def _job_state(call: str, member: str, path: str) -> dict[str, Any]:
    return {"Resource": f"arn:aws:states:::sagemaker:{call}.sync", "Parameters": {f"{member}.$": path}}


STATES = {
    "Search": _job_state("createHyperParameterTuningJob", "HyperParameterTuningJobName", "$.plan.tuning.job"),
    "Fit": _job_state("createTrainingJob", "TrainingJobName", "$.plan.training.job"),
    "Judge": _job_state("createProcessingJob", "ProcessingJobName", "$.plan.rules.job"),
    "Look": {"Resource": "arn:aws:states:::aws-sdk:sagemaker:describeTrainingJob"},
    "Ask": {"Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken"},
}


class Execution:
    """Step Functions with one execution that has ended, of a state machine with `STATES`."""

    def __init__(self, states: list[tuple[str, str]], **described: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self.described = described
        begin = datetime(2026, 11, 25, tzinfo=UTC)
        for number, (kind, name) in enumerate(states):
            details = {"name": name, **({"input": json.dumps(PLAN)} if kind == "Entered" else {})}
            self.events.append(
                {
                    "id": number + 1,
                    "type": f"TaskState{kind}",
                    "timestamp": begin + timedelta(seconds=number),
                    f"state{kind}EventDetails": details,
                }
            )

    def describe_state_machine_for_execution(self, **_: str) -> dict[str, Any]:
        return {"definition": json.dumps({"States": STATES})}

    def describe_execution(self, **_: str) -> dict[str, Any]:
        return {"startDate": STARTED, **self.described}

    def get_paginator(self, name: str) -> Execution:
        assert name == "get_execution_history"
        return self

    def paginate(self, **_: str) -> Iterator[dict[str, Any]]:
        yield {"events": self.events}


class Trials:
    """SageMaker with a tuning job of these trials; without any, the job does not exist yet."""

    def __init__(self, *trials: dict[str, Any]) -> None:
        self.trials = trials

    def get_paginator(self, name: str) -> Trials:
        assert name == "list_training_jobs_for_hyper_parameter_tuning_job"
        return self

    def paginate(self, **parameters: str) -> Iterator[dict[str, Any]]:
        assert parameters["HyperParameterTuningJobName"] == JOB
        if not self.trials:
            raise client_error("ResourceNotFound", "Amazon SageMaker can't find a tuning job with this name.")
        yield {"TrainingJobSummaries": list(self.trials)}


def trial(number: int, status: str, **more: Any) -> dict[str, Any]:
    tuned = {"learning_rate": "0.01", "batch_size": "32"}
    return {"TrainingJobName": f"t-{number}", "TrainingJobStatus": status, "TunedHyperParameters": tuned, **more}


def watched(
    states: list[tuple[str, str]], *, logs: FakeLogs | None = None, sagemaker: Any = None, **described: Any
) -> tuple[Outcome, list[str]]:
    """An execution's outcome, and the lines that were printed on the way."""
    execution = Execution(states, **{"status": "SUCCEEDED", "output": "{}"} | described)
    stack: Any = FakeStack(stepfunctions=execution, logs=logs or FakeLogs(), sagemaker=sagemaker)
    console = Console(record=True, width=200)
    outcome = watch(stack, execution=f"arn:aws:states:eu-west-1:1:execution:m:{EXECUTION}", console=console)
    return outcome, [line.strip() for line in console.export_text().splitlines()]


def test_epochs_and_rules_are_printed_from_the_logs_of_the_jobs_that_the_states_wait_for() -> None:
    logs = GroupedLogs(
        {
            (TRAINING_LOG_GROUP, f"{JOB}-train"): ["loading", "epoch 1/1: loss=0.5"],
            (PROCESSING_LOG_GROUP, f"{JOB}-rules"): ["Overfit: NoIssuesFound", "AllZero: NoIssuesFound"],
        }
    )
    states = [("Entered", "Fit"), ("Exited", "Fit"), ("Entered", "Judge"), ("Exited", "Judge")]
    outcome, lines = watched(states, logs=logs, output='{"endpoint": "e"}')
    assert outcome == Outcome(run=RUN, succeeded=True, output={"endpoint": "e"}, error="SUCCEEDED", cause="")
    shown = lines[1:]  # the first line says that the run started
    assert shown == [
        "epoch 1/1: loss=0.5",
        "Fit 1 s",
        "Overfit: NoIssuesFound",
        "AllZero: NoIssuesFound",
        "Judge 1 s",
    ]


def test_each_trial_that_has_ended_is_printed_with_its_result() -> None:
    metric = {"MetricName": "validation:loss", "Value": 0.25}
    trials = Trials(
        trial(1, "Completed", FinalHyperParameterTuningJobObjectiveMetric=metric),
        trial(2, "Stopped", FinalHyperParameterTuningJobObjectiveMetric=metric),
        trial(3, "Failed", FailureReason="AlgorithmError"),
        trial(4, "InProgress"),
    )
    _, lines = watched([("Entered", "Search"), ("Exited", "Search")], sagemaker=trials)
    values = "learning rate 0.0100, batch size  32"
    assert lines[1:] == [
        f"trial 1: {values} → validation:loss 0.2500",
        f"trial 2: {values} → validation:loss 0.2500 (stopped early)",
        f"trial 3: {values} → AlgorithmError",
        "Search 1 s",
    ]


def test_a_tuning_job_that_does_not_exist_yet_is_waited_for() -> None:
    outcome, lines = watched([("Entered", "Search")], sagemaker=Trials())
    assert outcome.succeeded
    assert len(lines) == 1


def test_a_run_that_waits_for_approval_says_how_to_answer() -> None:
    _, lines = watched([("Entered", "Ask")], status="FAILED", error="ApprovalTimedOut")
    assert any(f"`whippet approve {RUN}`" in line and f"whippet approve {RUN} --reject" in line for line in lines)


def test_a_state_that_polls_is_printed_once() -> None:
    _, lines = watched([("Entered", "Look"), ("Exited", "Look")] * 5)
    assert [line for line in lines if "Look" in line] == ["Look 1 s"]


def test_a_state_that_is_not_in_the_definition_is_printed_all_the_same() -> None:
    """The local cloud describes the newest definition, and a deployment during a run may rename states."""
    _, lines = watched([("Entered", "Renamed"), ("Exited", "Renamed")])
    assert lines[1:] == ["Renamed 1 s"]


def test_a_failed_run_tells_its_error_and_cause() -> None:
    outcome, _ = watched([], status="FAILED", error="ModelRejected", cause="Overfit at step 90", output=None)
    assert outcome == Outcome(run=RUN, succeeded=False, output={}, error="ModelRejected", cause="Overfit at step 90")
