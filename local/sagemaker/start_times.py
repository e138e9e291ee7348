"""How long SageMaker takes before a program of the user runs, as far as the public knows.

AWS publishes no such times. Each is an assumption, with what it rests on and the date on which that was read. They are
off by default, so that a job starts at once; `WHIPPET_START_TIMES=aws` plays them, on the local cloud's clock.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

__all__ = ["START_TIMES", "START_TIMES_VARIABLE", "StartTime", "are_played"]

START_TIMES_VARIABLE: Final = "WHIPPET_START_TIMES"


@dataclass(frozen=True)
class StartTime:
    """The time that one kind of start takes.

    Attributes:
        seconds: how long it takes.
        source: what the number rests on.
        read: the day on which the source was read.
    """

    seconds: float
    source: str
    read: str


START_TIMES: Final = {
    "training_job": StartTime(
        180,
        "assumption: the launch of an instance, and the pull of an image of about 3 GB at the 53 MB/s that the AWS "
        "Machine Learning Blog measured for SageMaker (17.7 GB in 333 s, 'container caching', 2026)",
        "2026-11-28",
    ),
    "processing_job": StartTime(
        460,
        "aws/sagemaker-python-sdk#4358: 8 min 17 s for a script of 30 s (2024)",
        "2026-11-28",
    ),
    "transform_job": StartTime(
        240,
        "assumption: the launch of an instance as for a training job, the pull of an image of some 100 MB, and the "
        "first answer to /ping",
        "2026-11-29",
    ),
    "endpoint": StartTime(
        510,
        "aws/sagemaker-python-sdk#1006: about 8.5 min for an ml.m4.xlarge (2019)",
        "2026-11-28",
    ),
    "serverless_endpoint": StartTime(
        600,
        "hashicorp/terraform-provider-aws#39090: a little over 10 min for serverless endpoints (2024)",
        "2026-11-28",
    ),
    "serverless_first_answer": StartTime(
        30,
        "assumption: aws/sagemaker-python-sdk#3446 says 'up to some minutes', vendors' pages 1 to 5 s; an image of "
        "some 100 MB with an ONNX model of 25 to 100 MB lies between",
        "2026-11-28",
    ),
}
"""By kind of start."""


def are_played() -> bool:
    """Return whether WHIPPET_START_TIMES asks for them.

    Raises:
        ValueError: the variable is neither `none` nor `aws`.
    """
    wanted = os.environ.get(START_TIMES_VARIABLE, "none")
    if wanted not in ("none", "aws"):
        raise ValueError(f"{START_TIMES_VARIABLE}={wanted} is neither none nor aws")
    return wanted == "aws"
