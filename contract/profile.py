"""Where a training's time went, what its machine did meanwhile, and what to do about it."""

from __future__ import annotations

from typing import Final, Literal, NotRequired, TypedDict, get_args

from contract.debugger import RuleResult

__all__ = ["PHASES", "Distribution", "OutlierStep", "Phase", "PhaseShare", "Profile", "Recommendation", "Utilization"]

Phase = Literal["data", "transfer", "forward", "backward", "optimizer", "validation", "saving"]
"""`data`: waiting for the next batch; `transfer`: host to device; `saving`: checkpoints and the debugger hook."""

PHASES: Final[tuple[Phase, ...]] = get_args(Phase)


class PhaseShare(TypedDict):
    """Seconds of the whole training, and their part of it from 0 to 1."""

    phase: Phase | Literal["other"]
    seconds: float
    share: float


class Distribution(TypedDict):
    """Seconds of an optimiser step, without validation and checkpoints."""

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
    """One thing of the machine that was watched, such as `cpu`, `memory`, `disk_read`, `gpu`."""

    name: str
    unit: str
    mean: float
    p95: float
    peak: float


class Recommendation(TypedDict):
    """What would make the next run faster or cheaper: in plain words, with what speaks for it."""

    title: str
    evidence: str
    advice: str


class Profile(TypedDict):
    """`Artefact.PROFILE`, in the training job's output."""

    instance_type: str
    hosts: int
    cpus: int
    gpus: int
    seconds: float
    """Of the training loop, validation and saving included."""
    initialization_seconds: float
    """From the process's start to the first step."""
    phases: list[PhaseShare]
    steps: Distribution
    outliers: list[OutlierStep]
    """At most 20, the slowest first."""
    step_seconds: list[float]
    """In order; thinned out evenly above 2,000 steps."""
    utilization: list[Utilization]
    timeline: dict[str, list[float]]
    """`seconds` since the first step, and a list of the same length for each name of `utilization`; thinned out evenly
    above 1,000 samples."""
    recommendations: list[Recommendation]
    rules: list[RuleResult]
    """What the profiler rules say."""
    failures: NotRequired[list[str]]
    """What could not be watched, and why; its names are missing in `utilization` and `timeline`."""
