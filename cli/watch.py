"""Follow a run to its end: print its states, trials, epochs and rules as they come."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from rich.text import Text

import contract
from cli.definition import Definition, Job, JobKind
from cli.history import History
from cli.joblogs import PROCESSING_LOG_GROUP, TRAINING_LOG_GROUP, JobLogs

if TYPE_CHECKING:
    from rich.console import Console

    from cli.target import Target

__all__ = ["Outcome", "watch"]

POLL_SECONDS = 1.0
POLL_SECONDS_ON_AWS = 5.0
"""A run takes hours there, and every look is a few billed and throttled calls."""

ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
TRIAL_ENDED = ("Completed", "Failed", "Stopped")


@dataclass(frozen=True)
class Outcome:
    """How an execution ended."""

    run: str
    succeeded: bool
    output: dict[str, Any]
    error: str
    cause: str


def watch(target: Target, *, execution: str, console: Console) -> Outcome:
    """Follow an execution to its end, and print each state, trial, epoch and rule as it comes."""
    stepfunctions = target.client("stepfunctions")
    started = stepfunctions.describe_execution(executionArn=execution)["startDate"]
    run = contract.run_id(execution.rsplit(":", 1)[-1], started=started)
    began = Text.assemble("run ", (run, "bold"), f" started {target.place}: {execution}")
    console.print(began, highlight=False, soft_wrap=True)
    definition = Definition.of_execution(stepfunctions, execution)
    history = History(stepfunctions, execution)
    progress = _Progress(target=target, run=run, definition=definition, history=history, console=console)
    pause = POLL_SECONDS if target.cloud is not None else POLL_SECONDS_ON_AWS

    with console.status("starting …") as status:
        while True:
            # the events since the last look, and what the present job has done
            for event in history.new_events():
                progress.show_event(event)
            progress.show_job()
            status.update(Text(f"{progress.state} … {progress.latest}"))

            # the description may be older than the last event, as it is eventually consistent
            if history.ended:
                described = stepfunctions.describe_execution(executionArn=execution)
                if described["status"] in ENDED:
                    return _outcome(run, described)
            time.sleep(pause)


def _outcome(run: str, described: dict[str, Any]) -> Outcome:
    return Outcome(
        run=run,
        succeeded=described["status"] == "SUCCEEDED",
        output=json.loads(described.get("output") or "{}"),
        error=described.get("error", described["status"]),
        cause=described.get("cause", ""),
    )


@dataclass(kw_only=True)
class _Progress:
    """Where the execution is, and what of it has been printed."""

    target: Target
    run: str
    definition: Definition
    history: History
    console: Console
    state: str = "starting"
    job: Job | None = None
    """The job that `state` waits for."""
    latest: str = ""
    """The newest line of that job, for the status line."""
    entered: dict[str, float] = field(default_factory=dict)
    """When each state was first entered, in seconds since 1970."""
    left: set[str] = field(default_factory=set)
    trials: set[str] = field(default_factory=set)
    logs: dict[str, JobLogs] = field(default_factory=dict)

    def show_event(self, event: dict[str, Any]) -> None:
        """Follow one event of the execution's history, and print that a task has ended or waits for an answer."""
        if details := event.get("stateEnteredEventDetails"):
            self._enter(details["name"], event)
        elif event["type"] == "TaskStateExited":
            # States that only decide or wait are not printed: they would bury the ones that work.
            self._leave(event["stateExitedEventDetails"]["name"], at=event["timestamp"].timestamp())

    def _enter(self, state: str, event: dict[str, Any]) -> None:
        self.state, self.latest = state, ""
        if state not in self.entered and (told := self.definition.told_wait(state)):
            self._print(told)
        self.entered.setdefault(state, event["timestamp"].timestamp())
        waits = self.definition.waits_for_job(state)
        self.job = self.definition.job(state, self.history.input_of(event)) if waits else None
        if self.definition.waits_for_answer(state):
            self._print(
                f"the model waits for your approval: `whippet approve {self.run}` releases it, "
                f'`whippet approve {self.run} --reject "why"` keeps it out of service'
            )

    def _leave(self, state: str, *, at: float) -> None:
        # A state that polls is left many times, and printed once.
        if state in self.left:
            return
        self.left.add(state)
        self.show_job()
        self._print(Text.assemble(state, (f" {at - self.entered.get(state, at):.0f} s", "dim")))

    def show_job(self) -> None:
        """Print what the present state's job has done since the last look."""
        if self.job is None:
            return
        if self.job.kind is JobKind.TUNING:
            self._show_trials(self.job.name)
        else:
            self._show_log(self.job)

    def _show_trials(self, tuning_job: str) -> None:
        sagemaker = self.target.client("sagemaker")
        try:
            pages = sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
                HyperParameterTuningJobName=tuning_job, SortBy="CreationTime", SortOrder="Ascending"
            )
            trials = [trial for page in pages for trial in page["TrainingJobSummaries"]]
        except ClientError as error:
            if error.response["Error"]["Code"] in ("ResourceNotFound", "ValidationException"):
                return  # the state is entered a moment before its job exists
            raise

        done = 0
        for number, trial in enumerate(trials, start=1):
            if trial["TrainingJobStatus"] not in TRIAL_ENDED:
                continue
            done += 1
            if trial["TrainingJobName"] not in self.trials:
                self.trials.add(trial["TrainingJobName"])
                self._print(f"  trial {number}: {_trial_line(trial)}")
        self.latest = f"{done} of {len(trials)} trials done"

    def _show_log(self, job: Job) -> None:
        rules = job.kind is JobKind.PROCESSING
        if job.name not in self.logs:
            group = PROCESSING_LOG_GROUP if rules else TRAINING_LOG_GROUP
            self.logs[job.name] = JobLogs(self.target.client("logs"), job.name, group=group)

        for line in self.logs[job.name].new_lines():
            # The rules' job writes one line for each rule; of a training, only its epochs are of interest.
            if rules or line.startswith("epoch "):
                self._print(f"  {line}")
            self.latest = line

    def _print(self, text: str | Text) -> None:
        # As text, since a log line may hold what looks like markup.
        self.console.print(text if isinstance(text, Text) else Text(text), highlight=False, soft_wrap=True)


def _trial_line(trial: dict[str, Any]) -> str:
    """Return what a trial tried and what it reached."""
    tuned = trial.get("TunedHyperParameters", {})
    backbone = f"{tuned['backbone'].strip(chr(34))}, " if "backbone" in tuned else ""
    values = f"{backbone}learning rate {float(tuned['learning_rate']):.4f}, batch size {tuned['batch_size']:>3}"
    metric = trial.get("FinalHyperParameterTuningJobObjectiveMetric")
    result = f"{metric['MetricName']} {metric['Value']:.4f}" if metric else trial.get("FailureReason", "no metric")
    stopped = " (stopped early)" if trial["TrainingJobStatus"] == "Stopped" else ""
    return f"{values} → {result}{stopped}"
