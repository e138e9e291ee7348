"""The profile of a training: where its time went, what its machine did meanwhile, and what to do about it."""

from __future__ import annotations

from typing import Final, Literal, NotRequired, TypedDict, get_args

from contract.debugger import RuleResult

__all__ = ["PHASES", "Distribution", "OutlierStep", "Phase", "PhaseShare", "Profile", "Recommendation", "Utilization"]

Phase = Literal["data", "transfer", "forward", "backward", "optimizer", "validation", "saving"]
"""`data` is the wait for the next batch, `transfer` the copy from host to device, `saving` that of checkpoints and of
the debugger hook's tensors."""

PHASES: Final[tuple[Phase, ...]] = get_args(Phase)


class PhaseShare(TypedDict):
    """The seconds of one phase over the whole training, and their share of it from 0 to 1."""

    phase: Phase | Literal["other"]
    seconds: float
    share: float


class Distribution(TypedDict):
    """The distribution of the steps' seconds, without validation and checkpoints."""

    steps: int
    mean: float
    deviation: float
    median: float
    p95: float
    p99: float
    longest: float


class OutlierStep(TypedDict):
    """A step far slower than the others, and the phase that made it so."""

    step: int
    seconds: float
    phase: Phase | Literal["other"]


class Utilization(TypedDict):
    """The utilisation of one resource of the machine, such as `cpu`, `memory`, `disk_read` or `gpu`."""

    name: str
    unit: str
    mean: float
    p95: float
    peak: float


class Recommendation(TypedDict):
    """Something that would make the next run faster or cheaper, in plain words, with the evidence for it."""

    title: str
    evidence: str
    advice: str


class Profile(TypedDict):
    """The file `Artefact.PROFILE` in the training job's output."""

    instance_type: str
    hosts: int
    cpus: int
    gpus: int
    seconds: float
    """The time of the training loop, validation and saving included."""
    initialization_seconds: float
    """The time from the process's start to the first step."""
    phases: list[PhaseShare]
    steps: Distribution
    outliers: list[OutlierStep]
    """At most 20 steps, the slowest first."""
    step_seconds: list[float]
    """The seconds of the steps in order; above 2,000 steps, evenly downsampled."""
    utilization: list[Utilization]
    timeline: dict[str, list[float]]
    """`seconds` since the first step, and a list of the same length for each name of `utilization`; above 1,000
    samples, evenly downsampled."""
    recommendations: list[Recommendation]
    rules: list[RuleResult]
    """The results of the profiler rules."""
    failures: NotRequired[list[str]]
    """What could not be sampled, and why; its names are missing in `utilization` and `timeline`."""
