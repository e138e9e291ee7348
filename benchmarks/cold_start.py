"""The cold start of the API's function: what its program takes before it can answer, beside the least that it could.

Lambda's own part, a new sandbox, is the same for both and not measured here. The candidates take turns, each in a
process of its own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from benchmarks.result import Result, emit
from benchmarks.timing import child_cpu_seconds, interleave, median

_ROOT: Final = Path(__file__).parents[1]
_ENVIRONMENT: Final = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": "us-east-1",
    "ENDPOINT_NAME": "none",
    "SERVING_MODE": "serverless",
    "API_AUTH": "api_key",
    "CORS_ORIGINS": "",
    "UPLOADS_BUCKET": "none",
    "FEEDBACK_DAYS": "0",
    "SLEEP_RECORD": "",
    "ENVIRONMENT": "dev",
    "PYTHONPATH": os.pathsep.join([str(_ROOT), str(_ROOT / "lambda")]),
    "POWERTOOLS_TRACE_DISABLED": "1",
}
_MOST: Final = 1.6


def run(*, quick: bool) -> list[Result]:
    """Compare the function's start with a function that has a client of the endpoint and nothing else."""

    def seconds(program: str) -> float:
        return child_cpu_seconds(["-c", program], _ENVIRONMENT)

    measured = interleave(
        {
            "ours": lambda: seconds("import classify.handler"),
            "boto3 and one client": lambda: seconds("import boto3; boto3.client('sagemaker-runtime')"),
            "an empty program": lambda: seconds("pass"),
        },
        rounds=3 if quick else 15,
    )
    ours, *peers = ((name, median(values)) for name, values in measured.items())
    least = dict(peers)["boto3 and one client"]
    return [
        Result(
            name="cold_start",
            unit="CPU seconds of a process until the API's function can answer",
            ours=ours[1],
            peers=dict(peers),
            ratio=least / ours[1],
            against="boto3 and one client",
            goal=f"at most {_MOST} times as long",
            holds=ours[1] <= _MOST * least,
        )
    ]


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
