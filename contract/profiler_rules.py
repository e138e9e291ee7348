"""The rules on a training job's profile, an entry each.

SageMaker's framework profiling ended with PyTorch 2.0, so the training job evaluates these rules itself, whoever
evaluates the tensor rules; of them, SageMaker Debugger is asked for ProfilerReport alone.

Sources: "List of Debugger built-in profiler rules" (Amazon SageMaker AI developer guide), and the package
smdebug-rulesconfig, which declares their parameters. SageMaker documents few limits: those below exclude what cannot
mean anything, such as a window of no samples.
"""

from __future__ import annotations

from typing import Final

from contract.rule import TRAINING_MODES, Rule
from contract.rule_parameters import choice, number, whole

__all__ = ["PROFILER_RULES"]

_PATIENCE: Final = whole(1000, low=1)
_SCAN: Final = {"scan_interval_us": whole(60_000_000, low=1)}

PROFILER_RULES: Final = (
    Rule(
        name="BatchSize",
        kind="profiler",
        evaluators=("own",),
        fires_when="GPU instances: the 95th percentiles of CPU, GPU and GPU memory are all below their thresholds",
        parameters={
            "cpu_threshold_p95": whole(70, low=0, high=100),
            "gpu_threshold_p95": whole(70, low=0, high=100),
            "gpu_memory_threshold_p95": whole(70, low=0, high=100),
            "patience": _PATIENCE,
            "window": whole(500, low=1),
            **_SCAN,
        },
    ),
    Rule(
        name="CPUBottleneck",
        kind="profiler",
        evaluators=("own",),
        fires_when="GPU instances: more than `threshold` percent of the time, the GPU is at most `gpu_threshold` "
        "percent busy while the CPU is at least `cpu_threshold` percent busy",
        parameters={
            "threshold": whole(50, low=0, high=100),
            "gpu_threshold": whole(10, low=0, high=100),
            "cpu_threshold": whole(90, low=0, high=100),
            "patience": _PATIENCE,
            **_SCAN,
        },
    ),
    Rule(
        name="Dataloader",
        kind="profiler",
        evaluators=("own",),
        fires_when="there are more decoding threads than `max_threshold` percent of the cores; or half of the steps' "
        "time is waiting for data",
        parameters={"min_threshold": whole(70, low=0), "max_threshold": whole(200, low=0), **_SCAN},
    ),
    Rule(
        name="GPUMemoryIncrease",
        kind="profiler",
        evaluators=("own",),
        fires_when="GPU instances: the mean GPU memory of `window` samples is `increase` percentage points above that "
        "of the `window` before",
        parameters={
            "increase": whole(5, low=0, high=100),
            "patience": _PATIENCE,
            "window": whole(10, low=1),
            **_SCAN,
        },
    ),
    Rule(
        name="IOBottleneck",
        kind="profiler",
        evaluators=("own",),
        fires_when="GPU instances with Linux: more than `threshold` percent of the time, the GPU is at most "
        "`gpu_threshold` percent busy while cores wait for disks at least `io_threshold` percent of theirs",
        parameters={
            "threshold": whole(50, low=0, high=100),
            "gpu_threshold": whole(10, low=0, high=100),
            "io_threshold": whole(50, low=0, high=100),
            "patience": _PATIENCE,
            **_SCAN,
        },
    ),
    Rule(
        name="LoadBalancing",
        kind="profiler",
        evaluators=("own",),
        fires_when="several GPUs or hosts: the histograms of two GPUs' work (or of two hosts' cores) differ by more "
        "than `threshold`",
        parameters={"threshold": number(0.5, low=0, high=1), "patience": _PATIENCE, **_SCAN},
    ),
    Rule(
        name="LowGPUUtilization",
        kind="profiler",
        evaluators=("own",),
        fires_when="GPU instances: the 95th percentile of a GPU's work is below `threshold_p95` percent, or the 5th "
        "below `threshold_p5`",
        parameters={
            "threshold_p95": whole(70, low=0, high=100),
            "threshold_p5": whole(10, low=0, high=100),
            "window": whole(500, low=1),
            "patience": _PATIENCE,
            **_SCAN,
        },
    ),
    Rule(
        name="MaxInitializationTime",
        kind="profiler",
        evaluators=("own",),
        fires_when="the first step comes more than `threshold` minutes after the process's start",
        parameters={"threshold": whole(20, low=0), **_SCAN},
    ),
    Rule(
        name="OverallSystemUsage",
        kind="profiler",
        evaluators=("own",),
        fires_when="never; its detail holds percentiles of the machine's utilisation",
        parameters=_SCAN,
    ),
    Rule(
        name="StepOutlier",
        kind="profiler",
        evaluators=("own",),
        fires_when="more than `n_outliers` steps are `stddev` standard deviations above the mean",
        parameters={
            # Of 5,000 steps of 1 ms on a busy machine, 75 were three deviations above the mean, and one was ten.
            "stddev": whole(3, low=0, project=10),
            "mode": choice(None, *TRAINING_MODES),
            "n_outliers": whole(10, low=0),
            **_SCAN,
        },
    ),
    Rule(name="ProfilerReport", kind="profiler", fires_when="any other profiler rule fires"),
)
