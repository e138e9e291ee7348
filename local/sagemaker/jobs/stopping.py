"""How a training job's programs are ended: whether they hear SIGTERM, and how long they go on before SIGKILL.

SageMaker sends SIGTERM to the container, and SIGKILL 120 seconds later (API reference, StopTrainingJob), when a job is
stopped, is over its time limit or loses its spot instance. The container's first process gets the signal. In AWS's
PyTorch images that is a bash that passes nothing on, so the training script never hears it and trains on until it is
killed. A job with a ContainerEntrypoint has that as its first process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["AWS_GRACE", "StopPolicy"]

AWS_GRACE: Final = 120.0
"""Seconds between SIGTERM and SIGKILL (API reference, StopTrainingJob)."""

_SHORT_GRACE: Final = 3.0
"""Seconds for which a program that hears nothing goes on by default: on AWS 120, for which nobody here should wait."""

_SIGTERM: Final = "WHIPPET_STOP_SIGTERM"
_GRACE: Final = "WHIPPET_STOP_GRACE"


@dataclass(frozen=True)
class StopPolicy:
    """What happens to the programs of training jobs between a stop and SIGKILL.

    Attributes:
        sigterm: whether the image's own program and its children hear SIGTERM.
        grace: seconds until SIGKILL for programs that hear nothing. Those that hear SIGTERM have 120, as on AWS: they
            end when they are done.
    """

    sigterm: bool = False
    grace: float = _SHORT_GRACE

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> StopPolicy:
        """Return the policy that WHIPPET_STOP_SIGTERM and WHIPPET_STOP_GRACE ask for.

        Raises:
            ValueError: a variable is neither empty nor valid; the message says what it may be.
        """
        sigterm = variables.get(_SIGTERM) or "false"
        if sigterm not in ("true", "false"):
            raise ValueError(f"{_SIGTERM}={sigterm} is neither true nor false")
        grace = variables.get(_GRACE) or str(_SHORT_GRACE)
        try:
            seconds = float(grace)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds <= AWS_GRACE:
            raise ValueError(f"{_GRACE}={grace} is no number of seconds from 0 to {AWS_GRACE:.0f}")
        return cls(sigterm=sigterm == "true", grace=seconds)

    def of_job(self, request: Mapping[str, Any]) -> StopPolicy:
        """Return the policy of a training job: a ContainerEntrypoint of its own always hears SIGTERM."""
        hears = self.sigterm or "ContainerEntrypoint" in request["AlgorithmSpecification"]
        return StopPolicy(sigterm=hears, grace=AWS_GRACE if hears else self.grace)
