"""Recommendations: what would make the next run faster or cheaper, in plain words, with the numbers behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from contract import Phase, Recommendation
from training.profiler.measurements import Measurements
from training.profiler.step_clock import SlowStep

__all__ = ["recommendations"]

_WAITS: Final = 0.2
"""The share of the steps' time spent waiting for data from which reading is worth a look."""

_WORTH_SECONDS: Final = 1.0
"""The seconds below which a saving is not mentioned."""

_LONG_EPOCH: Final = 300.0
"""The seconds of an epoch from which more machines or GPUs are worth their start."""

_FEWEST_SAMPLES: Final = 20
"""The number of samples, ten seconds, below which nothing is said about a machine."""


def recommendations(seen: Measurements) -> list[Recommendation]:
    """Return all recommendations that apply, the most important first; where none does, one that says so."""
    found = [advice for advise in _ADVICE if (advice := advise(seen)) is not None]
    return found or [_nothing(seen)]


def _short_training(seen: Measurements) -> Recommendation | None:
    # A head trains in seconds: the job's time is in what comes before and after.
    training, job = seen.steps.total, seen.job_seconds
    if seen.mode != "features" or not seen.steps.steps or training > job / 2:
        return None
    memory = seen.samples.values.get("process_memory")
    used = f" It used at most {max(memory):.1f} GB of memory." if memory else ""
    return {
        "title": "A smaller instance would do",
        "evidence": f"The head trained for {training:.1f} s of the job's {job:.0f} s ({training / job:.0%}):"
        f" {seen.initialization_seconds:.0f} s went by before the first step (libraries, features, weights) and"
        f" {seen.export_seconds:.0f} s after the training (exporting, quantizing and testing the model).{used}",
        "advice": "A faster machine hardly shortens this training. Take a smaller training.instance_type if the"
        " features job, which runs on the same type, is not slow: with unchanged photos it has nothing to do.",
    }


def _waiting_for_features(seen: Measurements) -> Recommendation | None:
    waited = seen.steps.phases["data"]
    if seen.decoding_threads or seen.waiting_share < 0.5 or waited < _WORTH_SECONDS:
        return None
    return {
        "title": "Features come slower than the head learns",
        "evidence": f"{waited:.1f} s, {seen.waiting_share:.0%} of the steps' time, went by reading features"
        f"{_utilized(seen, 'memory', 'io_wait', 'disk_read')}.",
        "advice": "Take a training.instance_type whose memory holds all features, so that they are read from disk once,"
        " or make training.views smaller.",
    }


def _waiting_for_photos(seen: Measurements) -> Recommendation | None:
    # A few late batches are no reason for more workers; they have their own advice.
    waited = seen.steps.phases["data"] - sum(
        step.seconds - seen.steps.mean for step in _outliers(seen) if step.phase == "data"
    )
    if not seen.decoding_threads or waited < _WORTH_SECONDS or waited < _WAITS * seen.steps.own:
        return None
    evidence = (
        f"{waited:.1f} s, {waited / seen.steps.own:.0%} of the steps' time, went by waiting for photos, which"
        f" {seen.decoding_threads} threads decode on {seen.cpus} cores{_utilized(seen, 'cpu', 'io_wait', 'disk_read')}."
    )
    features = "mode=features decodes every photo once and keeps its features, instead of once an epoch"
    if _mean(seen, "cpu") >= 85:
        return {
            "title": "More cores for decoding",
            "evidence": evidence,
            "advice": "The cores are at their limit. Take a training.instance_type with more cores for each GPU, or put"
            f" smaller photos into the bucket (a shorter side little above training.image_size); {features}.",
        }
    return {
        "title": "More loader workers, or faster storage",
        "evidence": evidence,
        "advice": "The cores have room, so photos could be read by more threads and further ahead (plan_loader in "
        "training/runtime/machine.py). If they come from S3, dataset.input_mode=File reads them from disk; "
        f"{features}.",
    }


def _saving(seen: Measurements) -> Recommendation | None:
    seconds, share = _spent(seen, "saving")
    if share < 0.1 or seconds < _WORTH_SECONDS:
        return None
    return {
        "title": "Save tensors less often",
        "evidence": f"Saving the debugger's tensors and checkpoints took {seconds:.1f} s, {share:.0%} of the training.",
        "advice": "Make debugger.save_interval larger; rules need few of the tensors.",
    }


def _validation(seen: Measurements) -> Recommendation | None:
    seconds, share = _spent(seen, "validation")
    if share < 0.4 or seconds < 60:
        return None
    return {
        "title": "Fewer validation photos",
        "evidence": f"Validation took {seconds:.0f} s, {share:.0%} of the training.",
        "advice": "Move photos from the validation split to the training split: it is looked at after every epoch.",
    }


def _idle_gpu(seen: Measurements) -> Recommendation | None:
    busy, memory = _mean(seen, "gpu"), _p95(seen, "gpu_memory")
    if not seen.gpus or not _sampled(seen, "gpu", "gpu_memory") or busy >= 50 or seen.waiting_share >= _WAITS:
        return None
    evidence = (
        f"The GPU was busy {busy:.0f} % of the time and its memory {memory:.0f} % full (95th percentile), with batches"
        f" of {seen.batch_size} and {1000 * seen.steps.mean:.0f} ms a step; {seen.waiting_share:.0%} of that was"
        " waiting for photos."
    )
    if memory < 70:
        return {
            "title": "Larger batches",
            "evidence": evidence,
            "advice": "The GPU has too little to do in a step: let tuning.batch_sizes begin higher, or take a smaller"
            " GPU instance.",
        }
    return {
        "title": "A smaller GPU instance would do",
        "evidence": evidence,
        "advice": "Its memory is used but its processors are not: take a training.instance_type with a slower GPU of"
        " the same memory.",
    }


def _busy_gpu(seen: Measurements) -> Recommendation | None:
    busy, epoch = _mean(seen, "gpu"), seen.steps.total / max(seen.epochs, 1)
    if not seen.gpus or not _sampled(seen, "gpu") or busy < 85 or epoch < _LONG_EPOCH:
        return None
    return {
        "title": "More GPUs",
        "evidence": f"{seen.gpus * seen.hosts} GPU(s) were busy {busy:.0f} % of the time, and an epoch took"
        f" {epoch:.0f} s.",
        "advice": "Share the batches: a training.instance_type with more GPUs, or training.instance_count above"
        f" {seen.hosts}. Choose batch sizes that are a multiple of the number of GPUs.",
    }


def _busy_cpu(seen: Measurements) -> Recommendation | None:
    busy, epoch = _mean(seen, "cpu"), seen.steps.total / max(seen.epochs, 1)
    if seen.gpus or seen.mode == "features" or not _sampled(seen, "cpu") or busy < 85 or epoch < _LONG_EPOCH:
        return None
    return {
        "title": "A GPU instance",
        "evidence": f"{seen.cpus} cores were busy {busy:.0f} % of the time, and an epoch took {epoch:.0f} s.",
        "advice": "A training.instance_type with a GPU (ml.g5.xlarge, say) trains a network many times as fast; without"
        " one, more cores, training.unfreeze_from a late stage, or mode=features.",
    }


def _idle_machine(seen: Measurements) -> Recommendation | None:
    if seen.gpus or seen.mode == "features" or not _sampled(seen, "cpu", "memory") or seen.waiting_share >= _WAITS:
        return None
    cpu, memory = _p95(seen, "cpu"), _p95(seen, "memory")
    if cpu >= 50 or memory >= 50:
        return None
    return {
        "title": "A smaller instance would do",
        "evidence": f"95 % of the time, {seen.cpus} cores were at most {cpu:.0f} % busy and memory at most"
        f" {memory:.0f} % full.",
        "advice": "Take a training.instance_type with half the cores and memory.",
    }


def _full_memory(seen: Measurements) -> Recommendation | None:
    if not _sampled(seen, "memory") or _p95(seen, "memory") < 90:
        return None
    return {
        "title": "More memory",
        "evidence": f"The machine's memory was {_p95(seen, 'memory'):.0f} % full (95th percentile).",
        "advice": "Take a training.instance_type with more memory: what asks for more than there is, is killed.",
    }


def _slow_steps(seen: Measurements) -> Recommendation | None:
    slow = _outliers(seen)
    lost = sum(step.seconds - seen.steps.mean for step in slow)
    if lost < _WORTH_SECONDS or lost < 0.1 * seen.steps.own:
        return None
    phases = [step.phase for step in slow]
    phase = max(set(phases), key=phases.count)
    causes = {
        "data": "photos sometimes come late: look for very large photos, or slow storage",
        "forward": "a first step compiles the network; later ones shared the machine with something else",
    }
    return {
        "title": "A few steps are far slower than the others",
        "evidence": f"{len(slow)} of {seen.steps.steps} steps took {lost:.1f} s more than at the mean of"
        f" {1000 * seen.steps.mean:.0f} ms, {lost / seen.steps.own:.0%} of all steps' time, mostly in {phase};"
        f" the slowest is step {slow[0].step} with {slow[0].seconds:.2f} s.",
        "advice": f"In this phase, {causes.get(phase, 'the machine was probably busy with something else')}.",
    }


def _nothing(seen: Measurements) -> Recommendation:
    shares = ", ".join(
        f"{name} {seconds / seen.steps.total:.0%}"
        for name, seconds in sorted(seen.steps.phases.items(), key=lambda entry: -entry[1])
        if seen.steps.total and seconds / seen.steps.total >= 0.01
    )
    return {
        "title": "Nothing to do",
        "evidence": f"{seen.steps.steps} steps in {seen.steps.total:.1f} s ({shares})"
        f"{_utilized(seen, 'cpu', 'gpu', 'memory')}.",
        "advice": "The machine and the settings fit this training.",
    }


_ADVICE: Final[tuple[Callable[[Measurements], Recommendation | None], ...]] = (
    _full_memory,
    _waiting_for_photos,
    _waiting_for_features,
    _short_training,
    _idle_gpu,
    _busy_gpu,
    _busy_cpu,
    _slow_steps,
    _saving,
    _validation,
    _idle_machine,
)


def _outliers(seen: Measurements) -> list[SlowStep]:
    """Return the outliers among the slowest steps."""
    return [step for step in seen.steps.slowest if step.seconds > seen.steps.limit(3)]


def _spent(seen: Measurements, phase: Phase) -> tuple[float, float]:
    """Return the seconds of a phase, and their share of the whole training."""
    seconds = seen.steps.phases[phase]
    return seconds, seconds / seen.steps.total if seen.steps.total else 0.0


def _sampled(seen: Measurements, *names: str) -> bool:
    """Return whether there are enough samples of each to say something about it."""
    return all(len(seen.samples.values.get(name, ())) >= _FEWEST_SAMPLES for name in names)


def _mean(seen: Measurements, name: str) -> float:
    values = seen.samples.values.get(name)
    return float(np.mean(values)) if values else 0.0


def _p95(seen: Measurements, name: str) -> float:
    values = seen.samples.values.get(name)
    return float(np.percentile(values, 95)) if values else 0.0


def _utilized(seen: Measurements, *names: str) -> str:
    """Return the means of those of the names that were sampled, for the end of a sentence."""
    words = {
        "cpu": "the CPU was {:.0f} % busy",
        "gpu": "the GPU was {:.0f} % busy",
        "memory": "memory was {:.0f} % full",
        "io_wait": "{:.0f} % of the cores' time was waiting for disks",
        "disk_read": "disks were read at {:.1f} MB/s",
    }
    said = [words[name].format(_mean(seen, name)) for name in names if seen.samples.values.get(name)]
    return "; " + ", ".join(said) if said else ""
