"""A batch from its photos to its results; started again, it goes on with what has no answer yet."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

import contract
from cli import CliError
from cli.batch.job import BatchJobs
from cli.batch.photos import BatchPhoto, Source, folder_source, prefix_source
from cli.batch.price import batch_cost, check_quota, price_line
from cli.batch.results import write_results
from cli.batch.store import BatchStore, batch_id
from cli.ceiling import claim_of, hold, keep_ceiling
from cli.model_in_service import ModelInService, find_model_in_service
from cli.progress import progress_of
from infra.outputs import StackOutput

if TYPE_CHECKING:
    from rich.console import Console

    from cli.target import Target

__all__ = ["classify_batch"]

_POLL_SECONDS: Final = 1.0
_POLL_SECONDS_ON_AWS: Final = 10.0
_PHOTOS_A_POLL_SECOND: Final = 1000
"""A look lists all answers, a thousand with a billed request: of many photos, the looks are rarer."""
_FAILED_JOBS: Final = 2
"""After so many failed jobs a photo that they left without an answer is given up: it may be what fails them."""


def classify_batch(
    target: Target, given: str, *, parameters: str, output: Path | None, yes: bool, plan: bool, console: Console
) -> None:
    """Classify all photos of a folder or of a prefix in S3, and write the results.

    Args:
        target: where the stack is deployed.
        given: the folder's path, or the prefix as `s3://bucket/prefix/`.
        parameters: what is asked about every photo, as CustomAttributes.
        output: name of the results' files, without a suffix; None: `answers-` and the folder's name.
        yes: whether to begin without a question.
        plan: whether only to say what it would do and cost.
        console: where progress and price are told.

    Raises:
        CliError: there is no model or no photo, the quota is 0, or a job ended before it had answered all photos.
    """
    model = find_model_in_service(target)
    if given.startswith("s3://"):
        bucket, prefix = target.dataset
        source = prefix_source(target, given, allowed=[f"s3://{bucket}/{prefix}", *target.settings.batch.sources])
    else:
        source = folder_source(Path(given))
    output = output or Path(f"answers-{Path(source.place).name or 'photos'}")

    batch = batch_id(source, model=model.archive, parameters=parameters)
    store = BatchStore(target, target.output(StackOutput.DATA_BUCKET), batch)
    run = _Batch(target, source, model, parameters, store, BatchJobs(target, batch), console)

    if plan:
        run.plan()
        return

    # a job that an interrupted command left goes on
    run.follow_running()
    remaining = run.remaining()
    if remaining:
        run.tell(remaining)
        if target.cloud is None and not yes:
            typer.confirm("Begin?", abort=True)
        run.answer(remaining)
    run.jobs.delete_model()

    # fetch and write
    answers = dict(store.read(run.answered()))
    counts = write_results(output, source.photos, answers)
    ignored = f"; left out by their names: {contract.counted(source.ignored, 'file')}" if source.ignored else ""
    console.print(
        f"{output}.csv and {output}.jsonl: {counts['answered']:,} photos, {counts['unknown']:,} of them unlike those "
        f"that the model was trained on, and {counts['errors']:,} that could not be classified{ignored}",
        soft_wrap=True,
    )


@dataclass(frozen=True)
class _Batch:
    target: Target
    source: Source
    model: ModelInService
    parameters: str
    store: BatchStore
    jobs: BatchJobs
    console: Console

    @property
    def prefix(self) -> str:
        """URI that the photos' names are below."""
        return self.store.photos_uri if self.source.folder is not None else self.source.place

    def answered(self) -> dict[str, str]:
        return self.store.answered(self._sendable(), prefix=self.prefix)

    def remaining(self) -> list[BatchPhoto]:
        """Return the photos to ask about: one of each content, without an answer, and not given up."""
        answered = self.answered()
        failed = [job.attempt for job in self.jobs.listed() if job.status == "Failed"]
        tried = Counter(name for attempt in failed for name in self.store.manifest(attempt))
        open_photos = {
            photo.name: photo
            for photo in self._sendable()
            if photo.name not in answered and tried[photo.name] < _FAILED_JOBS
        }
        return list(open_photos.values())

    def tell(self, remaining: Sequence[BatchPhoto]) -> None:
        """Say what is done, what it costs, and whether the account may.

        Raises:
            CliError: its quota is 0.
        """
        done = len(self.answered())
        self.console.print(
            f"{len(self.source.photos):,} photos of {self.source.title}, by {self.model.name}: {done:,} answered "
            f"already, {len(remaining):,} to classify",
            soft_wrap=True,
        )
        check_quota(self.target, console=self.console)
        if self.target.cloud is not None:
            self.console.print("on this machine it costs nothing")
            return
        uploads = len(remaining) if self.source.folder is not None else 0
        machine = self.target.settings.batch.instance_type
        cost = batch_cost(photos=len(remaining), uploads=uploads, instance_type=machine)
        self.console.print(price_line(cost), soft_wrap=True)

    def plan(self) -> None:
        """Say what is to be done and what it costs, and whether budget.ceiling lets it start.

        Raises:
            CliError: the quota is 0.
        """
        for job in self.jobs.listed():
            if job.is_running:
                self.console.print(f"transform job {self.jobs.name(job.attempt)} goes on", soft_wrap=True)
        remaining = self.remaining()
        self.tell(remaining)
        if remaining and self.target.settings.budget.ceiling is not None:
            _, usd = self._longest(len(remaining))
            held = hold(self.target, claim_of("batch", "planned", worst_usd=usd), only_look=True)
            self.console.print(held.refusal or "budget.ceiling lets it start", highlight=False, soft_wrap=True)
        self.console.print("--plan: nothing was done")

    def _longest(self, photos: int) -> tuple[float, float]:
        """Return the seconds after which a job is stopped, and what it then costs."""
        machine = self.target.settings.batch.instance_type
        limit = batch_cost(photos=photos, uploads=0, instance_type=machine).longest_seconds
        return limit, contract.machine_usd(machine, seconds=limit + contract.OVERHEAD_SECONDS) or 0.0

    def answer(self, remaining: Sequence[BatchPhoto]) -> None:
        """Upload the photos, and run a job to its end.

        Raises:
            CliError: it could pass budget.ceiling, or ended before it had answered all of them.
        """
        attempt = max([*self.store.attempts(), *(job.attempt for job in self.jobs.listed())], default=0) + 1
        limit = self._claim(attempt, photos=len(remaining))

        if (folder := self.source.folder) is not None:
            with progress_of(self.console, "uploading", total=len(remaining)) as progress:
                for number, _ in enumerate(self.store.upload(folder, remaining), start=1):
                    progress.reach(number)

        names = [photo.name for photo in remaining]
        manifest = self.store.write_manifest(attempt, prefix=self.prefix, names=names)
        self.jobs.start(
            attempt,
            model=self.model,
            manifest=manifest,
            answers=self.store.answers_uri,
            parameters=self.parameters,
        )
        self.console.print(f"transform job {self.jobs.name(attempt)} started", soft_wrap=True)
        self._follow(attempt, limit_seconds=limit)

    def _claim(self, attempt: int, *, photos: int) -> float | None:
        """Claim what the job may cost where there is a ceiling, and return the seconds that it may take.

        Raises:
            CliError: it could take the month above the ceiling.
        """
        if self.target.settings.budget.ceiling is None:
            return None
        limit, usd = self._longest(photos)
        keep_ceiling(self.target, claim_of("batch", self.jobs.name(attempt), worst_usd=usd))
        return limit

    def follow_running(self) -> None:
        """Wait for the end of a job that goes on, whatever its end is."""
        running = [job.attempt for job in self.jobs.listed() if job.is_running]
        for attempt in running:
            self.console.print(f"transform job {self.jobs.name(attempt)} goes on", soft_wrap=True)
            self._follow(attempt)

    def _follow(self, attempt: int, *, limit_seconds: float | None = None) -> None:
        began = time.monotonic()
        total = len(self.store.manifest(attempt))
        before = self.store.count_answers()
        least = _POLL_SECONDS if self.target.cloud is not None else _POLL_SECONDS_ON_AWS
        pause = max(least, total / _PHOTOS_A_POLL_SECOND)
        with progress_of(self.console, "classifying", total=total) as progress:
            while (described := self.jobs.describe(attempt))["TransformJobStatus"] in ("InProgress", "Stopping"):
                progress.reach(min(self.store.count_answers() - before, total))
                if limit_seconds is not None and time.monotonic() - began > limit_seconds:
                    self.jobs.stop(attempt)
                time.sleep(pause)

        status = described["TransformJobStatus"]
        if status != "Completed" and (left := len(self.remaining())):
            why = described.get("FailureReason", "it was stopped")
            raise CliError(
                f"the transform job {self.jobs.name(attempt)} is {status} ({why}), with "
                f"{contract.counted(left, 'photo')} left: its log is in the log group "
                "/aws/sagemaker/TransformJobs; the same command goes on with them"
            )

    def _sendable(self) -> list[BatchPhoto]:
        return [photo for photo in self.source.photos if photo.problem is None]
