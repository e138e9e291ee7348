"""ReleaseLock: lets one run after another release its model, so that each is judged beside what then serves."""

from __future__ import annotations

import os
from datetime import datetime

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from shared.release_lock import give_back_lock, take_lock

import contract

from .abandoned import is_abandoned

__all__ = ["handler"]

logger = Logger()
s3 = boto3.client("s3")
states = boto3.client("stepfunctions")


@logger.inject_lambda_context
def handler(event: contract.ReleaseLockInput, context: LambdaContext) -> contract.LockAnswer:
    """Take the lock for an execution, or give it back, and say who holds it then.

    Both may be done twice: a lock that is ours is taken, and one that is not ours stays as it is.
    """
    bucket, key = os.environ["BUCKET"], contract.release_lock_key(os.environ["NAME_PREFIX"])
    execution = event["execution"]
    if event["action"] == "give-back":
        gave = give_back_lock(s3, bucket=bucket, key=key, holder=execution, at=event["at"])
        logger.info("lock given back", extra={"ours": gave})
        return contract.LockAnswer(held=False, holder="")

    now = datetime.fromisoformat(event["at"])
    lock = take_lock(
        s3,
        bucket=bucket,
        key=key,
        wanted=contract.ReleaseLock(holder=execution, run=event["run"], at=event["at"], until=""),
        abandoned=lambda other: is_abandoned(states, other, now=now),
    )
    held = lock["holder"] == execution
    logger.info("asked for the lock", extra={"held": held, "lock": lock})
    return contract.LockAnswer(held=held, holder=f"run {lock['run'] or '?'} ({lock['holder']})")
