"""Following a run: what a user is shown while it moves."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from cli.history import History
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
    "Stand": {"Type": "Wait", "Seconds": 1800, "Comment": "for 30 minutes the new model is a shadow"},
    "Pause": {"Type": "Wait", "Seconds": 5},
    "Ask": {"Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken"},
}


class Execution:
    """Step Functions with one execution, of a state machine with `STATES`, whose history answers as the API does.

    The history holds `events`; every call is counted with the bytes of its answer.
    """

    def __init__(self, states: list[tuple[str, str]], *, data: str = json.dumps(PLAN), **described: Any) -> None:
        self.described = described
        self.calls: list[tuple[str, int]] = []
        self.tokens: dict[str, tuple[int, dict[str, Any]]] = {}
        begin = datetime(2026, 11, 25, tzinfo=UTC)
        self.events: list[dict[str, Any]] = []
        ended = {"SUCCEEDED": "Succeeded", "FAILED": "Failed", "ABORTED": "Aborted"}[described["status"]]
        for number, (kind, name) in enumerate([*states, ("", "")]):
            event: dict[str, Any] = {"id": number + 1, "timestamp": begin + timedelta(seconds=number)}
            if not kind:
                event["type"] = f"Execution{ended}"
            else:
                payload = {"input" if kind == "Entered" else "output": data}
                event |= {"type": f"TaskState{kind}", f"state{kind}EventDetails": {"name": name, **payload}}
            self.events.append(event)

    def _answer(self, operation: str, answer: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((operation, len(json.dumps(answer, default=str))))
        return answer

    def describe_state_machine_for_execution(self, **_: str) -> dict[str, Any]:
        return {"definition": json.dumps({"States": STATES})}

    def describe_execution(self, **_: str) -> dict[str, Any]:
        return self._answer("DescribeExecution", {"startDate": STARTED, **self.described})

    def get_execution_history(
        self,
        *,
        executionArn: str,  # noqa: N803
        nextToken: str | None = None,  # noqa: N803
        **options: Any,
    ) -> dict[str, Any]:
        """Pages as the reference has them: tokens go with the same arguments, data is left out on demand."""
        begin = 0
        if nextToken is not None:
            begin, given = self.tokens.pop(nextToken)
            assert given == options, "all other arguments must stay as they were"
        limit = options.get("maxResults") or 100
        assert limit <= 1000
        ordered = self.events[::-1] if options.get("reverseOrder") else self.events
        page = [dict(event) for event in ordered[begin : begin + limit]]
        for event in page if options.get("includeExecutionData") is False else ():
            for member, details in event.items():
                if member.endswith("EventDetails"):
                    event[member] = {key: value for key, value in details.items() if key not in ("input", "output")}

        answer: dict[str, Any] = {"events": page}
        if begin + limit < len(ordered):
            answer["nextToken"] = f"token-{len(self.calls)}"
            self.tokens[answer["nextToken"]] = (begin + limit, options)
        return self._answer("GetExecutionHistory", answer)


class Growing(Execution):
    """An execution whose history grows by some events during each pause."""

    def __init__(self, states: list[tuple[str, str]], *, step: int, **more: Any) -> None:
        super().__init__(states, **more)
        self.coming, self.events = self.events, []
        self.step = step
        self.pauses: list[float] = []
        self.sleep(0)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.events += self.coming[: self.step]
        del self.coming[: self.step]


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


def test_what_looks_like_markup_in_a_log_is_printed_as_it_is() -> None:
    """A photo's path ended the command with a traceback."""
    line = "NotEnoughPhotos: dress/scan [/old].jpg [bold]"
    logs = GroupedLogs({(PROCESSING_LOG_GROUP, f"{JOB}-rules"): [line]})
    _, lines = watched([("Entered", "Judge"), ("Exited", "Judge")], logs=logs)
    assert lines[1:] == [line, "Judge 1 s"]


def test_each_trial_that_has_ended_is_printed_with_its_result() -> None:
    metric = {"MetricName": "validation:loss", "Value": 0.25}
    trials = Trials(
        trial(1, "Completed", FinalHyperParameterTuningJobObjectiveMetric=metric),
        trial(2, "Stopped", FinalHyperParameterTuningJobObjectiveMetric=metric),
        trial(3, "Failed", FailureReason="AlgorithmError"),
        trial(4, "InProgress"),
    )
    trials.trials[2]["TunedHyperParameters"]["backbone"] = '"resnet18"'
    _, lines = watched([("Entered", "Search"), ("Exited", "Search")], sagemaker=trials)
    values = "learning rate 0.0100, batch size  32"
    assert lines[1:] == [
        f"trial 1: {values} → validation:loss 0.2500",
        f"trial 2: {values} → validation:loss 0.2500 (stopped early)",
        f"trial 3: resnet18, {values} → AlgorithmError",
        "Search 1 s",
    ]


def test_a_tuning_job_that_does_not_exist_yet_is_waited_for() -> None:
    outcome, lines = watched([("Entered", "Search")], sagemaker=Trials())
    assert outcome.succeeded
    assert len(lines) == 1


def test_a_run_that_waits_for_approval_says_how_to_answer() -> None:
    _, lines = watched([("Entered", "Ask")], status="FAILED", error="ApprovalTimedOut")
    assert any(f"`whippet approve {RUN}`" in line and f"whippet approve {RUN} --reject" in line for line in lines)


def test_a_wait_that_has_a_word_to_say_is_told_once() -> None:
    _, lines = watched([("Entered", "Pause"), ("Entered", "Stand"), ("Entered", "Stand")])
    assert lines[1:] == ["for 30 minutes the new model is a shadow"]


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


@pytest.mark.parametrize(("cloud", "shortest", "longest"), [(None, 5, 10), ("local", 0, 1)])
def test_a_long_run_is_followed_with_few_calls_and_little_data(
    monkeypatch: pytest.MonkeyPatch, cloud: str | None, shortest: float, longest: float
) -> None:
    """1,000 events, each with 20 kB of data, ten new ones at each look. Reading all of them each time is 1 GB."""
    states = [("Entered", "Fit"), *[("Entered", "Look"), ("Exited", "Look")] * 499]
    data = json.dumps(PLAN | {"padding": "x" * 20_000})
    execution = Growing(states, step=10, data=data, status="SUCCEEDED", output="{}")
    monkeypatch.setattr(time, "sleep", execution.sleep)
    stack: Any = FakeStack(stepfunctions=execution, logs=FakeLogs())
    stack.cloud = cloud
    assert watch(stack, execution="arn:aws:states:eu-west-1:1:execution:m:run-7", console=Console(quiet=True)).succeeded

    pauses = execution.pauses[1:]
    assert len(pauses) == 99
    assert all(shortest <= pause <= longest for pause in pauses)
    # one look at each time, once with data, for the name of the job of Fit; one description at the start, whose moment
    # is in the run's name, and one at the end
    assert [name for name, _ in execution.calls].count("GetExecutionHistory") == 101
    assert [name for name, _ in execution.calls].count("DescribeExecution") == 2
    assert sum(size for _, size in execution.calls) < 700_000


@pytest.mark.parametrize("step", [1, 24, 25, 26, 60, 1000])
def test_every_event_is_seen_once_however_many_come_between_two_looks(step: int) -> None:
    states = [("Entered", "Look"), ("Exited", "Look")] * 300
    execution = Growing(states, step=step, status="SUCCEEDED")
    history = History(execution, "arn")
    seen = []
    while not history.ended:
        seen += [event["id"] for event in history.new_events()]
        execution.sleep(0)
    assert seen == list(range(1, 602))


def test_the_input_of_a_state_is_found_behind_newer_events() -> None:
    states = [*[("Entered", "Look")] * 5, ("Entered", "Fit"), *[("Entered", "Look")] * 70]
    execution = Execution(states, status="SUCCEEDED")
    execution.events[5]["stateEnteredEventDetails"]["input"] = '{"this": "one"}'
    history = History(execution, "arn")
    assert history.input_of(history.new_events()[5]) == {"this": "one"}
