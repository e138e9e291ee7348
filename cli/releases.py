"""The releases of an environment: what served when, by the records in the data bucket, and what can be put back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import contract
from cli.aws_errors import read_object
from cli.endpoint import describe_endpoint, sleeping_model
from cli.package_approval import list_packages
from cli.run import read_run_file
from infra.outputs import StackOutput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.target import Target

__all__ = ["ModelNumbers", "Releases", "find_releases", "numbers_of"]


@dataclass(frozen=True)
class ModelNumbers:
    """How good a run's model was on its test photos, as far as a record says so."""

    accuracy: float
    images: int
    interval: contract.Interval | None
    """None for a release from before there were records."""

    def __str__(self) -> str:
        between = "" if self.interval is None else f" ({self.interval['low']:.4f} to {self.interval['high']:.4f})"
        return f"{self.accuracy:.4f}{between} on {self.images:,} photos"


@dataclass(frozen=True)
class Releases:
    """The changes of the model in service, and what is there now."""

    target: Target
    changes: Sequence[contract.ReleaseChange]
    """The oldest first."""
    config: str | None
    """The endpoint configuration that serves, or sleeps; None where there is none."""
    asleep: bool
    kept: frozenset[str]
    """The runs whose endpoint configuration and model still exist."""

    @property
    def in_service(self) -> str | None:
        """The run whose model serves, or sleeps; None where there is none."""
        return None if self.config is None else contract.released_run(self.config, prefix=self.target.settings.prefix)

    @cached_property
    def lineage(self) -> list[str]:
        """The runs whose models were released one upon another, by the records."""
        return contract.release_lineage(self.changes)

    @property
    def earlier(self) -> list[str]:
        """The runs that can be fallen back to from the one in service, the newest release first."""
        run, lineage = self.in_service, self.lineage
        before = lineage[: lineage.index(run)] if run in lineage else lineage
        return [each for each in reversed(before) if each in self.kept]

    @cached_property
    def never_approved(self) -> frozenset[str]:
        """The runs whose model never served and was not approved; one that was rolled back is none of them."""
        of_runs: dict[str, set[str]] = {}
        for package in list_packages(self.target):
            of_runs.setdefault(package.run, set()).add(package.approval)
        return frozenset(run for run, found in of_runs.items() if "Approved" not in found and not self.released(run))

    @property
    def unrecorded(self) -> bool:
        """Whether the model in service came there without a record, as where a rollback was interrupted."""
        return self.in_service is not None and self.lineage[-1:] != [self.in_service]

    def record(self, change: contract.ReleaseChange) -> contract.Release:
        """Return the record of a change."""
        bucket = self.target.output(StackOutput.DATA_BUCKET)
        record: contract.Release = json.loads(read_object(self.target.client("s3"), bucket=bucket, key=change.key))
        return record

    def released(self, run: str) -> contract.ReleaseChange | None:
        """Return the change with which a run released its model."""
        return next((each for each in reversed(self.changes) if (each.kind, each.run) == ("released", run)), None)


def find_releases(target: Target, *, described: dict[str, Any] | None = None) -> Releases:
    """Return the releases of an environment.

    Args:
        target: Where the stack is deployed.
        described: DescribeEndpoint's answer, if it is known already.
    """
    prefix = target.settings.prefix
    described = described or describe_endpoint(target)
    awake = described is not None and contract.has_model(described["EndpointStatus"])
    config = contract.shadowed_config(described["EndpointConfigName"]) if described is not None and awake else None
    if config is None and (sleeping := sleeping_model(target)) is not None:
        config = sleeping.config
    return Releases(
        target=target,
        changes=_changes(target),
        config=config,
        asleep=not awake,
        kept=frozenset(_kept(target, f"{prefix}-")),
    )


def numbers_of(releases: Releases, run: str) -> ModelNumbers | None:
    """Return how good a run's model was: by its record, else by its decision; None where both are missing."""
    if (change := releases.released(run)) is not None:
        record = releases.record(change)
        if "test_accuracy" in record:
            return ModelNumbers(record["test_accuracy"], record["test_images"], record["test_accuracy_interval"])
    content = read_run_file(releases.target, run=run, name=contract.Artefact.DECISION)
    if content is None:
        return None
    decision: contract.Decision = json.loads(content)
    return ModelNumbers(decision["test_accuracy"], decision["test_images"], None)


def _changes(target: Target) -> list[contract.ReleaseChange]:
    pages = (
        target.client("s3")
        .get_paginator("list_objects_v2")
        .paginate(Bucket=target.output(StackOutput.DATA_BUCKET), Prefix=contract.RELEASES_PREFIX)
    )
    found = [contract.ReleaseChange.of_key(item["Key"]) for page in pages for item in page.get("Contents", [])]
    return sorted(change for change in found if change is not None)


def _kept(target: Target, prefix: str) -> set[str]:
    """Return the runs that have both an endpoint configuration and a model."""
    sagemaker = target.client("sagemaker")
    configs = {
        item["EndpointConfigName"].removeprefix(prefix)
        for page in sagemaker.get_paginator("list_endpoint_configs").paginate(NameContains=prefix)
        for item in page["EndpointConfigs"]
        if item["EndpointConfigName"].startswith(prefix)
    }
    models = {
        item["ModelName"].removeprefix(prefix)
        for page in sagemaker.get_paginator("list_models").paginate(NameContains=prefix)
        for item in page["Models"]
        if item["ModelName"].startswith(prefix)
    }
    return configs & models
