"""RecordRelease: writes down which model came into service, and why, for `whippet history` and `whippet rollback`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from shared.plain_cause import plain_cause
from shared.s3_objects import write_json

import contract

__all__ = ["handler"]

logger = Logger()
s3 = boto3.client("s3")


@logger.inject_lambda_context
def handler(event: contract.RecordReleaseInput, context: LambdaContext) -> contract.RecordedChange:
    """Write the record of a change of the model in service; a second attempt writes the same object again."""
    prefix, verdict = os.environ["NAME_PREFIX"], event["verdict"]
    change = contract.ReleaseChange(
        at=datetime.fromisoformat(event["at"]),
        kind=event["kind"],
        run=contract.released_run(event["config"], prefix=prefix),
        replaced=contract.released_run(event["replaced"], prefix=prefix),
    )
    record = contract.Release(
        at=change.at.isoformat(),
        kind=change.kind,
        run=change.run,
        replaced=change.replaced,
        by=event["execution"],
        why=plain_cause(event["why"]),
    )

    # the verdict is on this run's model, which a failed smoke test takes out of service
    if change.kind == "released":
        record["test_accuracy"] = verdict["test_accuracy"]
        record["test_images"] = verdict["test_images"]
        record["test_accuracy_interval"] = verdict["test_accuracy_interval"]
        earlier = event["overrides"].get("retry_of") if isinstance(event["overrides"], Mapping) else None
        if earlier is not None:
            record["retry_of"] = earlier

    write_json(s3, bucket=os.environ["BUCKET"], key=change.key, value=record)
    logger.info("recorded", extra={"key": change.key})
    return contract.RecordedChange(key=change.key)
