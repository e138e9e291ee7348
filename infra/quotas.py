"""The quotas that an environment needs: of SageMaker for a run, of CodeBuild for a deployment, of Lambda for the API.

The names are those of Service Quotas. SageMaker counts instances twice, by their type and over all types.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import contract
from infra.instances import fine_tuning_rate, local_storage_gb
from infra.settings import Settings

__all__ = ["Need", "machines", "needs"]

_PROFILER_REPORT = "ProfilerReport"
_GB = 10**9
_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Need:
    """A quota and the least value with which an environment works."""

    service: str
    """The service's code in Service Quotas."""
    quota: str
    need: int
    reason: str
    certain: bool = True
    """False where the need depends on what the account may use."""


def needs(settings: Settings) -> list[Need]:
    """Return the quotas of an environment: those of a deployment, of a run, and of an update of the endpoint."""
    found: dict[str, Need] = {}
    for item in _of_a_run(settings):
        number = _at_most(item, settings)
        # Phases come one after another, so that the largest counts.
        if item["quota"] not in found or found[item["quota"]].need < number:
            found[item["quota"]] = Need(
                service="sagemaker", quota=item["quota"], need=number, reason=f"{item['phase']}: {item['setting']}"
            )

    managed = _managed_rules(settings)
    if managed and settings.debugger.evaluator(settings.training.mode) == "auto":
        name = _across("processing")
        found[f"{name}, managed"] = Need(
            service="sagemaker",
            quota=name,
            need=managed,
            reason="rules, if the account may use SageMaker Debugger: debugger.mode=auto",
            certain=False,
        )
    if settings.release.image_uri is None:
        found["codebuild"] = Need(
            service="codebuild",
            quota="Concurrently running builds for Linux/Small environment",
            need=1,
            reason="the build of the serving image at deployment",
        )
    found["lambda"] = Need(
        service="lambda", quota="Concurrent executions", need=settings.api.burst, reason="the API: api.burst"
    )
    return list(found.values())


def machines(settings: Settings) -> contract.Machines:
    """Return what CheckDataset checks a run's input, photos and quotas by."""
    training = settings.training
    fixed = local_storage_gb(training.instance_type)
    if fixed is None:
        size, disk = training.volume_gib * _GIB, f"{training.volume_gib} GiB (setting training.volume_gib)"
        change = "raise training.volume_gib"
    else:
        size, disk = fixed * _GB, f"{fixed} GB, fixed by training.instance_type={training.instance_type}"
        change = "choose a training.instance_type with more local storage"
    return contract.Machines(
        processes=settings.processes,
        disk_bytes=None if settings.dataset.input_mode == "FastFile" else size,
        disk=f"{disk}; {change}",
        fine_tuning_rate=fine_tuning_rate(training.instance_type) if training.mode == "finetune" else None,
        quotas=list(_of_a_run(settings)),
    )


def _of_a_run(settings: Settings) -> Iterator[contract.QuotaNeed]:
    training, debugger, release = settings.training, settings.debugger, settings.release
    finetunes = training.mode == "finetune"

    # the jobs
    yield from _training("features", training.instance_type, settings.features.instance_count, spot=False)
    trial = training.instance_type if finetunes else settings.tuning.instance_type
    yield from _training("trials", trial, 1, spot=finetunes and training.spot)
    yield from _training("training", training.instance_type, training.instance_count, spot=training.spot)

    # the rules
    evaluator = debugger.evaluator(training.mode)
    if evaluator == "managed":
        yield contract.QuotaNeed(
            quota=_across("processing"),
            phase="rules",
            instances=_managed_rules(settings),
            setting="debugger.mode=managed",
        )
    elif evaluator in ("own", "auto") and debugger.tensor_rules(training.mode):
        for name in (f"{debugger.instance_type} for processing job usage", _across("processing")):
            yield contract.QuotaNeed(quota=name, phase="rules", instances=1, setting="debugger.instance_type")

    # the endpoint; the quotas of serverless ones count requests at once, of all of the account's
    if settings.serving.mode == "serverless":
        return
    deciding = "scaling.max_instances" if settings.scales else "release.instance_count"
    for name in (f"{release.instance_type} for endpoint usage", "Number of instances across active endpoints"):
        # a shadow stands beside the fleet that an update starts
        shadow = 0 if release.shadow_minutes is None else release.instance_count
        yield contract.QuotaNeed(
            quota=name, phase="release", instances=settings.most_instances + shadow, setting=deciding
        )


def _training(
    phase: Literal["features", "trials", "training"], instance_type: str, count: int, *, spot: bool
) -> Iterator[contract.QuotaNeed]:
    kind = "spot training" if spot else "training"
    deciding = {
        "features": "features.instance_count",
        "trials": "tuning.parallel_trials",
        "training": "training.instance_count",
    }
    for name in (f"{instance_type} for {kind} job usage", _across(kind)):
        yield contract.QuotaNeed(quota=name, phase=phase, instances=count, setting=deciding[phase])


def _across(kind: str) -> str:
    return f"Number of instances across all {kind} jobs"


def _managed_rules(settings: Settings) -> int:
    """Return how many rules SageMaker Debugger would evaluate at once, each on an instance of its own."""
    mode = settings.training.mode
    if settings.debugger.evaluator(mode) not in ("auto", "managed"):
        return 0
    report = _PROFILER_REPORT in settings.debugger.evaluated(mode)
    return len(settings.debugger.tensor_rules(mode, "managed")) + report


def _at_most(item: contract.QuotaNeed, settings: Settings) -> int:
    """Return the instances at once: of all parallel trials, and with the fleet in service while it is updated."""
    if item["phase"] == "trials":
        return item["instances"] * min(settings.tuning.parallel_trials, settings.tuning.trials)
    return item["instances"] + (settings.release.instance_count if item["phase"] == "release" else 0)
