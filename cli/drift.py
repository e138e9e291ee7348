"""`whippet drift`: what the newest check of captured answers found, and a check out of turn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

import contract
from cli import CliError
from infra.outputs import StackOutput

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["check_now", "fetch_page", "lines_about", "read_check"]


def check_now(target: Target) -> None:
    """Have captured answers checked, and wait for it.

    Raises:
        CliError: the deployed stack checks nothing, or the check failed.
    """
    function = target.outputs.get(StackOutput.DRIFT_FUNCTION)
    if function is None:
        raise CliError(
            f"the stack {target.settings.stack_name} checks no answers for drift: set monitoring.capture_percent to 1 "
            "to 100 with serving.mode=realtime, deploy, and start a run, whose release then captures answers"
        )
    # a time long ago: the function takes the later one of this and its own
    event = {"time": "2026-01-01T00:00:00Z"}
    answer = target.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
    if "FunctionError" in answer:
        failure = json.loads(answer["Payload"].read())
        raise CliError(
            f"the check failed: {failure.get('errorMessage', failure)}; the log of the function {function} says more"
        )


def read_check(target: Target) -> contract.DriftCheck:
    """Return the newest check.

    Raises:
        CliError: none has been made.
    """
    check: contract.DriftCheck = json.loads(_read(target, contract.DRIFT_LATEST))
    return check


def fetch_page(target: Target, *, folder: Path) -> Path:
    """Download the page about the newest check into `folder`, and return its file, which works without a network.

    Raises:
        CliError: no check has been made.
    """
    content = _read(target, contract.DRIFT_PAGE)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "drift.html"
    file.write_bytes(content)
    return file


def lines_about(check: contract.DriftCheck) -> Iterator[str]:
    """Yield what a check found, a line each."""
    yield f"{check['checked'][:16].replace('T', ' ')} UTC, run {check['run'] or 'none'}: {check['why']}"
    for measured in check["measures"]:
        title = contract.DRIFT_TITLES[measured["measure"]]
        said = "drifted" if measured["drifted"] else "steady"
        yield f"  {title}: {measured['difference']:.1%} differ, {measured['p_value']:.2g} by chance: {said}"
    if check["measures"]:
        yield f"  of {check['answers']:,} captured answers beside {check['test_photos']:,} test photos"


def _read(target: Target, key: str) -> bytes:
    bucket = target.output(StackOutput.DATA_BUCKET)
    try:
        content: bytes = target.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        raise CliError(
            f"no check for drift has been made {target.place}: `whippet drift --check` makes one, where "
            "monitoring.capture_percent is more than 0"
        ) from None
    return content
