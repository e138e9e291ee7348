"""The local programs that stand for container images.

There is no Docker here. A job or an endpoint runs the same program as in the image, in an environment that is made from
the same locks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import contract
from local import clock
from local.cloud.debugger_rules import DebuggerRules
from local.sagemaker import Image

__all__ = [
    "RULES_PATTERN",
    "SERVING_PATTERN",
    "TRAINING_PATTERN",
    "environments_root",
    "repository_root",
    "standard_images",
]

TRAINING_PATTERN: Final = r"^\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/pytorch(-training)?:[\w.-]*sagemaker"
"""AWS's PyTorch training images, of any account, Region and version."""

SERVING_PATTERN: Final = r"(^|/)[a-z0-9][a-z0-9._/-]*-serving[:@]"
"""The image of the endpoint, which the stack builds."""

RULES_PATTERN: Final = r"^\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/sagemaker-debugger-rules(:|@|$)"
"""AWS's image of Debugger's built-in rules, which belongs to another account in every Region."""

_QUIET_THREADS: Final = {
    # on shared cores, OpenMP threads that spin while they wait cost up to four times the work (measured)
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
}


def repository_root() -> Path:
    """Return the folder that holds local/, inference/ and the environments."""
    return Path(__file__).resolve().parents[2]


def environments_root() -> Path:
    """Return the folder of the locked environments; tests set WHIPPET_ENVIRONMENTS to another one."""
    return Path(os.environ.get("WHIPPET_ENVIRONMENTS") or repository_root() / ".envs")


def standard_images() -> list[Image]:
    """Return AWS's training images, its image of Debugger's rules, and the stack's serving image.

    An image whose environment is not installed has no program: `train`, `serve` and `evaluate` are None, and a request
    that needs one is refused.
    """
    training = environments_root() / "training" / "bin"
    serving = environments_root() / "inference" / "bin"
    return [
        # what jobs run in
        Image(
            pattern=TRAINING_PATTERN,
            # `train` is the console script of sagemaker-training, the program AWS's image starts.
            train=_program(training / "train", [str(training / "train")]),
            serve=None,
            environment={
                "PATH": os.pathsep.join([str(training), os.environ.get("PATH", os.defpath)]),
                "SAGEMAKER_TRAINING_MODULE": "sagemaker_pytorch_container.training:main",
                **_QUIET_THREADS,
            },
        ),
        # what SageMaker Debugger evaluates its rules in
        Image(
            pattern=RULES_PATTERN,
            evaluate=(
                DebuggerRules(python=training / "python", root=repository_root())
                if (training / "python").exists()
                else None
            ),
            environment={
                "PATH": os.pathsep.join([str(training), os.environ.get("PATH", os.defpath)]),
                "SMDEBUG_LOG_LEVEL": "warning",
                **_QUIET_THREADS,
            },
        ),
        # what the stack builds for its endpoint
        Image(
            pattern=SERVING_PATTERN,
            train=None,
            serve=_program(serving / "python", [str(serving / "python"), "-m", "inference.serve"]),
            environment={
                "PATH": os.pathsep.join([str(serving), os.environ.get("PATH", os.defpath)]),
                "PYTHONPATH": str(repository_root()),
                # a minute of the cloud's clock, which may run fast
                contract.ServingVariable.METRICS_SECONDS.value: f"{clock.real(60):g}",
                **_QUIET_THREADS,
            },
        ),
    ]


def _program(file: Path, command: Sequence[str]) -> Sequence[str] | None:
    return command if file.exists() else None
