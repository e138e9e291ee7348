"""Start the state machine and show what moves: states, trials, epochs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

import contract
from cli.errors import CliError
from cli.joblogs import PROCESSING_LOG_GROUP, TRAINING_LOG_GROUP, JobLogs
from infra.outputs import StackOutput

if TYPE_CHECKING:
    from rich.console import Console

    from cli.target import Target

__all__ = ["Outcome", "start", "watch"]

POLL_SECONDS = 1.0
TUNING_STATES = ("Tune", "TuneFromEarlier")
JOB_OF_STATE = {
    "Features": "features",
    "ExtendFeatures": "features",
    "Train": "train",
    "TrainManaged": "train",
    "Rules": "rules",
}
"""How the name of a state's job ends."""
RULES_STATE = "Rules"
"""Its job is a processing job, whose log has one line for each rule, so that every line is shown."""
APPROVAL_STATE = "AskApproval"
ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")


@dataclass(frozen=True)
class Outcome:
    """How an execution ended."""

    run: str
    succeeded: bool
    output: dict[str, Any]
    error: str
    cause: str


def start(target: Target, *, overrides: str) -> str:
    """Start an execution; returns its ARN.

    Args:
        overrides: the execution's input, JSON; `{}` takes everything from the settings.

    Raises:
        CliError: `overrides` is not a JSON object, or the stack is not deployed.
    """
    try:
        given = json.loads(overrides)
    except json.JSONDecodeError as error:
        raise CliError(f"--input is not JSON ({error}): give for example '{{\"epochs\": 5}}'") from None
    if not isinstance(given, dict):
        raise CliError(f"--input is {overrides}, not a JSON object: give for example '{{\"epochs\": 5}}'")
    stepfunctions = target.client("stepfunctions")
    arn = target.output(StackOutput.STATE_MACHINE_ARN)
    execution: str = stepfunctions.start_execution(stateMachineArn=arn, input=json.dumps(given))["executionArn"]
    return execution


def watch(target: Target, *, execution: str, console: Console) -> Outcome:
    """Follow an execution to its end, printing each state, trial and epoch as it comes."""
    stepfunctions = target.client("stepfunctions")
    run = contract.run_id(execution.rsplit(":", 1)[-1])
    progress = _Progress(target=target, run=run, console=console)
    console.print(f"run [bold]{run}[/] started {target.place}: {execution}", highlight=False, soft_wrap=True)
    with console.status("starting …") as status:
        while True:
            described = stepfunctions.describe_execution(executionArn=execution)
            for event in _new_events(stepfunctions, execution, after=progress.last_event):
                progress.take(event)
            progress.jobs()
            status.update(f"{progress.state} … {progress.latest}")
            if described["status"] in ENDED:
                return Outcome(
                    run=run,
                    succeeded=described["status"] == "SUCCEEDED",
                    output=json.loads(described.get("output") or "{}"),
                    error=described.get("error", described["status"]),
                    cause=described.get("cause", ""),
                )
            time.sleep(POLL_SECONDS)


@dataclass(kw_only=True)
class _Progress:
    """What has been shown already, and what is shown next."""

    target: Target
    run: str
    console: Console
    state: str = "starting"
    latest: str = ""
    """The newest line of the job that runs, for the status line."""
    last_event: int = 0
    entered: dict[str, float] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    trials: set[str] = field(default_factory=set)
    logs: dict[str, JobLogs] = field(default_factory=dict)

    def take(self, event: dict[str, Any]) -> None:
        """Show one event of the execution's history."""
        self.last_event = event["id"]
        if details := event.get("stateEnteredEventDetails"):
            self.state, self.latest = details["name"], ""
            self.entered.setdefault(self.state, event["timestamp"].timestamp())
            if self.state == APPROVAL_STATE:
                self._print(
                    f"the model waits for your approval: `whippet approve {self.run}`, or "
                    f'`whippet approve {self.run} --reject "why"`'
                )
        elif details := event.get("stateExitedEventDetails"):
            # Short states that only decide or wait would bury the ones that work.
            if not event["type"].startswith("Task") or details["name"] in self.left:
                return
            self.left.add(details["name"])  # one that looks again and again is told once
            self.jobs()
            seconds = event["timestamp"].timestamp() - self.entered.get(details["name"], event["timestamp"].timestamp())
            self._print(f"{details['name']} [dim]{seconds:.0f} s[/]")

    def jobs(self) -> None:
        """Show what the jobs of the present state have done since the last look."""
        if self.state in TUNING_STATES:
            self._trials()
        elif kind := JOB_OF_STATE.get(self.state):
            self._log(f"{self._prefix}-{kind}", rules=self.state == RULES_STATE)

    @property
    def _prefix(self) -> str:
        return contract.job_prefix(self.target.settings.prefix, self.run)

    def _trials(self) -> None:
        sagemaker = self.target.client("sagemaker")
        try:
            pages = sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
                HyperParameterTuningJobName=self._prefix, SortBy="CreationTime", SortOrder="Ascending"
            )
            trials = [trial for page in pages for trial in page["TrainingJobSummaries"]]
        except ClientError as error:
            if error.response["Error"]["Code"] in ("ResourceNotFound", "ValidationException"):
                return  # the state is entered a moment before its job exists
            raise
        done = 0
        for number, trial in enumerate(trials, start=1):
            ended = trial["TrainingJobStatus"] in ("Completed", "Failed", "Stopped")
            done += ended
            if not ended or trial["TrainingJobName"] in self.trials:
                continue
            self.trials.add(trial["TrainingJobName"])
            tuned = trial.get("TunedHyperParameters", {})
            values = f"learning rate {float(tuned['learning_rate']):.4f}, batch size {tuned['batch_size']:>3}"
            metric = trial.get("FinalHyperParameterTuningJobObjectiveMetric")
            result = (
                f"{metric['MetricName']} {metric['Value']:.4f}" if metric else trial.get("FailureReason", "no metric")
            )
            stopped = " (stopped early)" if trial["TrainingJobStatus"] == "Stopped" else ""
            self._print(f"  trial {number}: {values} → {result}{stopped}")
        self.latest = f"{done} of {len(trials)} trials done"

    def _log(self, job: str, *, rules: bool) -> None:
        if job not in self.logs:
            group = PROCESSING_LOG_GROUP if rules else TRAINING_LOG_GROUP
            self.logs[job] = JobLogs(self.target.client("logs"), job, group=group)
        for line in self.logs[job].new_lines():
            if rules or line.startswith("epoch "):
                self._print(f"  {line}")
            self.latest = line

    def _print(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)


def _new_events(stepfunctions: Any, execution: str, *, after: int) -> Iterator[dict[str, Any]]:
    pages = stepfunctions.get_paginator("get_execution_history").paginate(executionArn=execution)
    for page in pages:
        yield from (event for event in page["events"] if event["id"] > after)
