"""ModelWidget: the dashboard's answer to the question which model serves, as HTML.

CloudWatch calls the function for a custom widget and shows what it returns, without scripts ("Add a custom widget to a
CloudWatch dashboard").
"""

from __future__ import annotations

import html
import json
import os
from collections.abc import Mapping
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from shared.in_service import config_in_service
from shared.s3_objects import read_if_present

import contract

__all__ = ["handler"]

logger = Logger()
s3 = boto3.client("s3")
sagemaker = boto3.client("sagemaker")

CHANGES = 5
"""How many of the last changes are shown."""

_KINDS: Mapping[contract.ChangeKind, str] = {
    "released": "released",
    "failed": "taken back: it failed its smoke test",
    "rolled-back": "rolled back by a person",
}
_DESCRIPTION = "# The model in service\nIts run, how good it is, and the last changes. It takes no parameters."


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: LambdaContext) -> str:
    """Return the widget's HTML, or its documentation in Markdown where CloudWatch asks for that."""
    if event.get("describe"):
        return _DESCRIPTION
    prefix = os.environ["NAME_PREFIX"]
    config = config_in_service(sagemaker, endpoint=os.environ["ENDPOINT_NAME"], sleep_record=os.environ["SLEEP_RECORD"])
    serves = "No model serves." if config is None else f"Run {contract.released_run(config, prefix=prefix)} serves."
    rows = "".join(_row(change) for change in _newest_changes())
    head = "<tr><th>since (UTC)</th><th>run</th><th>what happened</th><th>test accuracy</th><th>why</th></tr>"
    return f"<p><b>{html.escape(serves)}</b></p>" + (f"<table>{head}{rows}</table>" if rows else "")


def _newest_changes() -> list[contract.ReleaseChange]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=os.environ["BUCKET"], Prefix=contract.RELEASES_PREFIX)
    found = [contract.ReleaseChange.of_key(item["Key"]) for page in pages for item in page.get("Contents", [])]
    return sorted((change for change in found if change is not None), reverse=True)[:CHANGES]


def _row(change: contract.ReleaseChange) -> str:
    content = read_if_present(s3, bucket=os.environ["BUCKET"], key=change.key)
    record: Mapping[str, Any] = {} if content is None else json.loads(content)
    accuracy = ""
    if "test_accuracy" in record:
        accuracy = f"{record['test_accuracy']:.4f} on {record['test_images']:,} photos"
    cells = (
        f"{change.at:%Y-%m-%d %H:%M}",
        change.run or "none",
        _KINDS[change.kind],
        accuracy,
        record.get("why", ""),
    )
    return f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in cells)}</tr>"
