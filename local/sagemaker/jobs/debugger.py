"""Debugger: upload the hook's tensors to S3, and evaluate the rules on them once the training job has ended.

On AWS every rule is a processing job of its own that watches the training. Here one program evaluates all rules of an
image after the job has ended, however it ended. As on AWS, the job's own status is final before those of its rules,
which are InProgress until then. The processing jobs that `RuleEvaluationJobArn` names cannot be described, the files
that a rule writes for itself are not kept, and there are no system metrics below ProfilerConfig's S3OutputPath.
"""

from __future__ import annotations

import logging
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from local import clock
from local.sagemaker.context import INTERNAL_ERROR, MAX_REASON, Context
from local.sagemaker.errors import JobFailure
from local.sagemaker.host import DebuggerAccess, Image, find_image
from local.sagemaker.jobs.container import environment, program_of
from local.sagemaker.jobs.debugger_request import RULE_MEMBERS, configured_rules
from local.sagemaker.jobs.folder_sync import FolderSync
from local.sagemaker.jobs.job_run import JobRun, RunningJobs
from local.sagemaker.jobs.logs import LogStream
from local.sagemaker.jobs.process import Program
from local.sagemaker.object_cache import ObjectCache
from local.sagemaker.resources import PROCESSING_JOB, TRAINING_JOB
from local.sagemaker.rule_evaluator import RuleOutcome, RuleTask
from local.sagemaker.store import Record
from local.sagemaker.transfer import Transfer

__all__ = ["Debugger", "first_statuses", "keep_output", "tensor_sync"]

_LOGGER = logging.getLogger(__name__)

_END_OF_JOB: Final = "training_job_end.ts"
"""The file that SageMaker puts beside the tensors when a job ends, and that smdebug's readers wait for."""

_UNFINISHED: Final = ".tmp"
"""Suffix of the files that smdebug's hook is still writing."""

_MAX_SECONDS: Final = 3600.0
"""Seconds after which the program that evaluates the rules is ended."""


_ECR_IMAGE: Final = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)")

_PULL: Final = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
"""What the job's role needs on the repository of a rule's image (developer guide, "CreateProcessingJob API: Execution
Role Permissions"), beside ecr:GetAuthorizationToken."""


def first_statuses(context: Context, parameters: Mapping[str, Any]) -> dict[str, list[Record]]:
    """Return the rule statuses of a new job's description: every rule is InProgress from the beginning."""
    if context.host.debugger_access is DebuggerAccess.UNEVALUATED:
        return {}
    store, job = context.store, parameters["TrainingJobName"]
    return {
        statuses: [
            {
                "RuleConfigurationName": rule["RuleConfigurationName"],
                "RuleEvaluationJobArn": store.arn(PROCESSING_JOB, _rule_job_name(job, rule["RuleConfigurationName"])),
                "RuleEvaluationStatus": "InProgress",
                "LastModifiedTime": clock.time(),
            }
            for rule in parameters[member]
        ]
        for member, statuses in RULE_MEMBERS.items()
        if parameters.get(member)
    }


def _rule_job_name(job: str, rule: str) -> str:
    """Return a name of up to 26 characters of job and rule and a random end, as public descriptions of jobs show."""
    parts = [re.sub(r"[^a-z0-9]+", "-", part.lower())[:26].strip("-") for part in (job, rule)]
    return "-".join(filter(None, [*parts, secrets.token_hex(4)]))


def tensor_sync(record: Mapping[str, Any], transfer: Transfer, folders: list[Path]) -> FolderSync:
    """Return a context manager that uploads what the hook saves in the hosts' folders.

    Nothing is downloaded to the new disks of a job that is started again; what is in S3 stays there.
    """
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    return FolderSync(transfer, uri=_tensors_uri(record), folders=folders, unfinished=_UNFINISHED)


def keep_output(context: Context, record: Mapping[str, Any], output: Path) -> None:
    """Keep what the job left in `/opt/ml/output/data` for its rules, before its folder is removed."""
    if _evaluated_rules(context, record) and output.is_dir():
        folder = _folder(context, record["TrainingJobName"])
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.move(output, folder / "output")


def _evaluated_rules(context: Context, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rules of a job that are to be evaluated."""
    return [] if context.host.debugger_access is DebuggerAccess.UNEVALUATED else configured_rules(record)


def _folder(context: Context, job: str) -> Path:
    return context.root / "rule-evaluations" / job


def _tensors_uri(record: Mapping[str, Any]) -> str:
    return f"{record['DebugHookConfig']['S3OutputPath'].rstrip('/')}/{record['TrainingJobName']}/debug-output"


class Debugger:
    """The evaluations that run after training jobs with a hook or rules."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._running = RunningJobs(TRAINING_JOB)

    def training_ended(self, record: Record) -> None:
        """Start to evaluate the rules of a job that has ended, if it has any, in a thread of their own."""
        if "DebugHookConfig" in record or _evaluated_rules(self._context, record):
            self._running.start(RuleRun(self._context, record))

    def wait(self, name: str, timeout: float) -> bool:
        """Wait until nothing runs for the job of this name, at most `timeout` seconds; whether that is so."""
        return self._running.wait(name, timeout)

    def join(self, timeout: float) -> None:
        """Wait for the running evaluations to end, at most `timeout` seconds."""
        self._running.join(timeout)


class RuleRun(JobRun):
    """The evaluation of one training job's rules."""

    kind = TRAINING_JOB

    def __init__(self, context: Context, record: Record) -> None:
        super().__init__(context, record["TrainingJobName"])
        self._record = record
        self._rules = _evaluated_rules(context, record)
        self._base = _folder(context, self.name)
        self._log: LogStream | None = None

    def execute(self) -> None:
        """Mark the end of the tensors, then evaluate the rules, image by image."""
        credentials = self.context.credentials(self._record["RoleArn"], "SageMaker")
        tensors = self._base / "tensors"
        tensors.mkdir(parents=True, exist_ok=True)
        if "DebugHookConfig" in self._record:
            self._fetch(credentials, tensors)

        if self.context.host.debugger_access is DebuggerAccess.ERROR:
            raise JobFailure(INTERNAL_ERROR)

        # one program evaluates all rules of an image
        by_image: dict[str, dict[str, Mapping[str, str]]] = {}
        for rule in self._rules:
            parameters = rule.get("RuleParameters", {})
            by_image.setdefault(rule["RuleEvaluatorImage"], {})[rule["RuleConfigurationName"]] = parameters

        for number, (uri, rules) in enumerate(by_image.items()):
            denial = self._pull_denial(uri)
            if denial is not None:
                reason = f"ClientError: Cannot pull the image {uri} with the role of the training job: {denial}"
                self._record_ends(rules, lambda _, reason=reason: RuleOutcome("Error", reason))  # type: ignore[misc]
                continue
            results = self._base / f"results-{number}"
            results.mkdir()
            task = RuleTask(
                tensors=tensors,
                output=self._base / "output",
                results=results,
                hyperparameters=self._record.get("HyperParameters", {}),
                rules=rules,
            )
            found = self._evaluate(find_image(self.context.images, uri), task, credentials)
            self._record_ends(rules, lambda rule, found=found: found.get(rule) or RuleOutcome("Error", INTERNAL_ERROR))  # type: ignore[misc]

    def fail(self, reason: str) -> None:
        """Record Error for every rule that is still InProgress."""
        _LOGGER.warning("the rules of training job %s were not evaluated: %s", self.name, reason)
        self._record_ends(None, lambda _: RuleOutcome("Error", reason))

    def clean_up(self) -> None:
        """Send the last log lines and remove the files."""
        if self._log is not None:
            self._log.close()
        shutil.rmtree(self._base, ignore_errors=True)

    def _fetch(self, credentials: dict[str, str], tensors: Path) -> None:
        """Download the tensors from S3: a job that was started again saved some on a disk that is gone."""
        transfer = Transfer(
            credentials,
            role_arn=self._record["RoleArn"],
            cache=ObjectCache(self._base / "cache"),  # these objects are read once
            kms_key_id=self._record["OutputDataConfig"].get("KmsKeyId"),
        )

        mark = self._base / "mark" / _END_OF_JOB
        mark.parent.mkdir()
        mark.write_text("")
        uri = f"{_tensors_uri(self._record)}/"
        transfer.upload_files([mark], mark.parent, uri)

        if self._rules:
            transfer.download_prefix(uri, tensors)

    def _pull_denial(self, uri: str) -> str | None:
        """Say why the job's role may not pull an image from ECR; None if it may."""
        found = _ECR_IMAGE.match(uri)
        if found is None:
            return None
        account, region, repository = found.groups()
        arn = f"arn:aws:ecr:{region}:{account}:repository/{repository}"
        needed = [("ecr:GetAuthorizationToken", "*"), *((action, arn) for action in _PULL)]
        denials = (
            self.context.host.denial(self._record["RoleArn"], action=action, resource=resource)
            for action, resource in needed
        )
        return next(filter(None, denials), None)

    def _evaluate(self, image: Image, task: RuleTask, credentials: dict[str, str]) -> Mapping[str, RuleOutcome]:
        evaluator = image.evaluate
        if evaluator is None:
            raise RuntimeError(f"the image {image.pattern} cannot evaluate rules, but the request was accepted")

        argv, variables = evaluator.command(task)
        env = environment(image, variables)
        log = self._log = LogStream(
            credentials,
            group="/aws/sagemaker/ProcessingJobs",
            stream=f"{self._log_name(task)}/algo-1-{int(clock.time())}",
        )
        program = Program(program_of(argv, env), environment=env, folder=self._base, on_line=log.write)
        outcome = self.follow([program], _MAX_SECONDS)
        log.close()
        if outcome.status != 0:
            _LOGGER.warning("the rules' program of training job %s ended with status %d", self.name, outcome.status)
            return {}
        return evaluator.outcomes(task)

    def _log_name(self, task: RuleTask) -> str:
        """Return the name of the first rule's job, whose log stream gets the output for all rules."""
        statuses = [status for member in RULE_MEMBERS.values() for status in self._record.get(member, [])]
        first = next(status for status in statuses if status["RuleConfigurationName"] in task.rules)
        return str(first["RuleEvaluationJobArn"]).rpartition("/")[2]

    def _record_ends(self, rules: Mapping[str, Any] | None, outcome: Callable[[str], RuleOutcome]) -> None:
        """Record how the rules ended, or with None all that have not ended yet, and publish the change."""
        changed = False
        with self.context.store.change(TRAINING_JOB, self.name) as record:
            for status in [status for member in RULE_MEMBERS.values() for status in record.get(member, [])]:
                name = status["RuleConfigurationName"]
                if status["RuleEvaluationStatus"] == "InProgress" and (rules is None or name in rules):
                    found = outcome(name)
                    status |= {"RuleEvaluationStatus": found.status, "LastModifiedTime": clock.time()}
                    if found.details:
                        status["StatusDetails"] = found.details[:MAX_REASON]
                    changed = True
        if changed:
            self.context.announce(TRAINING_JOB, self.name)
