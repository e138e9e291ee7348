"""Which program on this machine stands for which container image.

There is no Docker here: a job or an endpoint runs the same program the image holds, from the environment that is made
from the same locks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

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
"""AWS's PyTorch training images, of any account, Region and tag."""

SERVING_PATTERN: Final = r"(^|/)[a-z0-9][a-z0-9._/-]*-serving[:@]"
"""The repository the stack builds the endpoint's image into."""

RULES_PATTERN: Final = r"^\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/sagemaker-debugger-rules(:|@|$)"
"""AWS's image of Debugger's built-in rules, which every Region has in another account."""

_QUIET_THREADS: Final = {
    # Spinning OpenMP threads cost up to four times the work on shared cores (measured), and nobody has cores to spare.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
}


def repository_root() -> Path:
    """The folder that holds local/, inference/ and the environments."""
    return Path(__file__).resolve().parents[2]


def environments_root() -> Path:
    """The folder of the locked environments; WHIPPET_ENVIRONMENTS points elsewhere, for tests."""
    return Path(os.environ.get("WHIPPET_ENVIRONMENTS") or repository_root() / ".envs")


def standard_images() -> list[Image]:
    """The training images of AWS, its image of Debugger's rules, and the serving image of the stack.

    An image whose environment is not installed has no program (`train`, `serve` and `evaluate` are None): a job that
    asks for it fails saying so.
    """
    training = environments_root() / "training" / "bin"
    serving = environments_root() / "inference" / "bin"
    return [
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
        Image(
            pattern=SERVING_PATTERN,
            train=None,
            serve=_program(serving / "python", [str(serving / "python"), "-m", "inference.serve"]),
            environment={
                "PATH": os.pathsep.join([str(serving), os.environ.get("PATH", os.defpath)]),
                "PYTHONPATH": str(repository_root()),
                **_QUIET_THREADS,
            },
        ),
    ]


def _program(file: Path, command: Sequence[str]) -> Sequence[str] | None:
    return command if file.exists() else None
