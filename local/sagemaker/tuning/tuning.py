"""Hyperparameter tuning jobs: training jobs with the hyperparameters that the search proposes."""

from __future__ import annotations

import json
import logging
import queue
import secrets
import threading
import zlib
from collections.abc import Mapping
from typing import Any

from local import clock
from local.sagemaker.context import MAX_REASON, Context
from local.sagemaker.errors import JobFailure, SageMakerError, validation
from local.sagemaker.jobs.job_run import JobRun, RunningJobs
from local.sagemaker.jobs.training import TrainingJobs
from local.sagemaker.resources import TRAINING_JOB, TUNING_JOB
from local.sagemaker.store import Record
from local.sagemaker.tuning.early_stopping import MedianRule
from local.sagemaker.tuning.search import Search
from local.sagemaker.tuning.trials import best_trial, trials_of, with_counters
from local.sagemaker.tuning.tuning_request import check_tuning_request
from local.sagemaker.tuning.warm_start import recall_parents

__all__ = ["TuningJobs"]

_LOGGER = logging.getLogger(__name__)
_POLL = 0.2
"""Seconds after which the stop request and the time limit are checked again."""

_MAX_WITHOUT_METRIC = 5
"""Completed trials without the objective after which SageMaker fails a tuning job."""

_DEFAULT_RUNTIME = 2_592_000
"""MaxRuntimeInSeconds if the request gives none: 30 days."""

_ALL_FAILED = "All training jobs failed. Please take a look at the training jobs failures to get more details."
_TUNING_ONLY = ("DefinitionName", "TuningObjective", "HyperParameterRanges", "StaticHyperParameters")
"""Members of TrainingJobDefinition that CreateTrainingJob does not have."""


class TuningJobs:
    """The operations CreateHyperParameterTuningJob and StopHyperParameterTuningJob."""

    def __init__(self, context: Context, training: TrainingJobs) -> None:
        self._context = context
        self._training = training
        self._running = RunningJobs(TUNING_JOB)

    def create(self, parameters: Record) -> str:
        """Start a job and return its ARN.

        Raises:
            SageMakerError: the request is wrong, the name is taken, or too many jobs run.
        """
        check_tuning_request(self._context, parameters)
        self._running.check_limit()
        record = self._context.store.create(TUNING_JOB, parameters, HyperParameterTuningJobStatus="InProgress")
        self._context.announce(TUNING_JOB, record["HyperParameterTuningJobName"])
        self._running.start(TuningRun(self._context, record, training=self._training))
        return str(record["HyperParameterTuningJobArn"])

    def stop(self, name: str) -> None:
        """Begin to stop a job and its running trials.

        Raises:
            SageMakerError: there is no job of this name, or it has ended.
        """
        with self._context.store.change(TUNING_JOB, name) as record:
            status = record["HyperParameterTuningJobStatus"]
            if status not in ("InProgress", "Stopping"):
                raise validation(
                    f"The request was rejected because the hyperparameter tuning job is in status {status}."
                )
            record["HyperParameterTuningJobStatus"] = "Stopping"
        self._context.announce(TUNING_JOB, name)
        self._running.request_stop(name)

    def wait(self, name: str, timeout: float) -> bool:
        """Wait until nothing runs for the job of this name, at most `timeout` seconds; whether that is so."""
        return self._running.wait(name, timeout)

    def join(self, timeout: float) -> None:
        """Wait for the running jobs to end, at most `timeout` seconds."""
        self._running.join(timeout)


class TuningRun(JobRun):
    """The run of one tuning job, from its first trial to its last."""

    kind = TUNING_JOB

    def __init__(self, context: Context, record: Record, *, training: TrainingJobs) -> None:
        super().__init__(context, record["HyperParameterTuningJobName"])
        self._training = training
        self._arn = record["HyperParameterTuningJobArn"]
        self._definition = record["TrainingJobDefinition"]
        config = record["HyperParameterTuningJobConfig"]
        self._config = config
        self._objective = config["HyperParameterTuningJobObjective"]["MetricName"]
        self._maximise = config["HyperParameterTuningJobObjective"]["Type"] == "Maximize"
        self._has_parents = bool(record.get("WarmStartConfig"))
        self._limits = config["ResourceLimits"]
        self._rule = MedianRule(maximise=self._maximise)
        self._stops_early = config.get("TrainingJobEarlyStoppingType", "Off") == "Auto"
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._values: dict[str, list[float]] = {}
        self._numbers: dict[str, int] = {}
        self._running: set[str] = set()

    def execute(self) -> None:
        search = Search(
            ranges=self._config["ParameterRanges"],
            strategy=self._config["Strategy"],
            maximise=self._maximise,
            seed=_seed(self._config, self._definition),
        )
        if self._has_parents:
            recall_parents(self.context.store, self.context.store.get(TUNING_JOB, self.name), search)

        count = min(filter(None, (self._limits.get("MaxNumberOfTrainingJobs"), search.size)))
        deadline = clock.monotonic() + self._limits.get("MaxRuntimeInSeconds", _DEFAULT_RUNTIME)
        started = 0
        while started < count or self._running:
            # start trials up to the limit of parallel ones
            halted = self._halted(deadline)
            while not halted and started < count and len(self._running) < self._limits["MaxParallelTrainingJobs"]:
                started += 1
                self._start(started, *search.propose())

            # after a stop request or the time limit, start no more and stop those that run
            if halted:
                started = count
                self._stop_trials()

            # learn from the next trial that ends
            try:
                name = self._ended.get(timeout=_POLL)
            except queue.Empty:
                continue
            self._learn(name, search)
        self._finish_with_result()

    def fail(self, reason: str) -> None:
        self._stop_trials()
        self._finish("Failed", FailureReason=reason[:MAX_REASON])

    def _halted(self, deadline: float) -> bool:
        if self.context.closing.is_set():
            raise JobFailure("InternalServerError: The local SageMaker was stopped while the job ran.")
        return self.stop_requested.is_set() or clock.monotonic() >= deadline

    def _start(self, index: int, number: int, proposed: dict[str, str]) -> None:
        name = f"{self.name}-{index:03d}-{secrets.token_hex(4)}"
        definition = {key: value for key, value in self._definition.items() if key not in _TUNING_ONLY}
        static = {**self._definition.get("StaticHyperParameters", {}), "_tuning_objective_metric": self._objective}
        if "CheckpointConfig" in definition:
            # each trial has a prefix of its own for its checkpoints
            config = definition["CheckpointConfig"]
            definition["CheckpointConfig"] = {**config, "S3Uri": f"{config['S3Uri'].rstrip('/')}/{name}"}

        # before the job starts, which may print its objective at once
        with self._lock:
            self._values[name] = []
            self._numbers[name] = number
            self._running.add(name)
        self._training.create(
            {**definition, "TrainingJobName": name, "HyperParameters": {**static, **proposed}},
            tuning_job_arn=self._arn,
            on_metric=lambda metric, value: self._on_metric(name, metric, value),
            on_end=self._ended.put,
        )

    def _on_metric(self, name: str, metric: str, value: float) -> None:
        if metric != self._objective:
            return
        with self._lock:
            values = self._values[name]
            values.append(value)
            stop = self._stops_early and self._rule.should_stop(values)
        if stop:
            self._stop_trial(name)

    def _stop_trials(self) -> None:
        with self._lock:
            running = list(self._running)
        for name in running:
            self._stop_trial(name)

    def _stop_trial(self, name: str) -> None:
        try:
            if self.context.store.get(TRAINING_JOB, name)["TrainingJobStatus"] == "InProgress":
                self._training.stop(name)
        except SageMakerError as error:
            # the trial ended in between
            _LOGGER.info("trial %s was not stopped: %s", name, error.message)

    def _learn(self, name: str, search: Search) -> None:
        status = self.context.store.get(TRAINING_JOB, name)["TrainingJobStatus"]
        with self._lock:
            self._running.discard(name)
            values = self._values[name]
            if status == "Completed" and values:
                self._rule.complete(values)
        search.learn(self._numbers[name], values[-1] if values and status != "Failed" else None)

        # fail the job if no trial prints the objective
        trials = trials_of(self.context.store, self._arn)
        completed = [trial for trial in trials if trial["TrainingJobStatus"] == "Completed"]
        if len(completed) >= _MAX_WITHOUT_METRIC and not any(self._values.values()):
            raise JobFailure(_no_metric(len(completed)))
        self.context.announce(TUNING_JOB, self.name)

    def _finish_with_result(self) -> None:
        if self.stop_requested.is_set():
            self.linger()
            self._finish("Stopped")
            return
        described = with_counters(self.context.store, self.context.store.get(TUNING_JOB, self.name))
        if best_trial(self.context.store, described) is not None:
            self._finish("Completed")
            return
        completed = described["TrainingJobStatusCounters"]["Completed"]
        self._finish("Failed", FailureReason=_no_metric(completed) if completed else _ALL_FAILED)

    def _finish(self, status: str, **members: Any) -> None:
        with self.context.store.change(TUNING_JOB, self.name) as record:
            record |= {**members, "HyperParameterTuningJobStatus": status, "HyperParameterTuningEndTime": clock.time()}
        self.context.announce(TUNING_JOB, self.name)


def _seed(config: Mapping[str, Any], definition: Mapping[str, Any]) -> int:
    """Return the search's RandomSeed, or one that what is searched gives.

    AWS draws one, so that each job without RandomSeed tries other values. Here jobs with the same ranges and the same
    hyperparameters begin with the same values, so that a run can be repeated. Places in S3 do not count.
    """
    if "RandomSeed" in config:
        return int(config["RandomSeed"])
    static = definition.get("StaticHyperParameters", {})
    searched = {name: value for name, value in static.items() if "s3://" not in value}
    return zlib.crc32(json.dumps([config["ParameterRanges"], searched], sort_keys=True).encode())


def _no_metric(count: int) -> str:
    return (
        f"No objective metrics found after running {count} training jobs. Please ensure that the custom algorithm is "
        "emitting the objective metric as defined by the regular expression provided."
    )
