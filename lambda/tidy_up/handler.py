"""TidyUp: ends what a run left that was stopped, timed out, or could not tell of its failure, and tells of it.

EventBridge invokes it with every execution that does not succeed. Lambda invokes it again where it fails, or runs out
of time: each step looks at what is there, so that a further attempt goes on where the last one stopped.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Final, TypedDict

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError
from shared.aws_errors import error_message
from shared.custom_resource import Deadline
from shared.notification import publish
from shared.patience import LONGEST_CALL_SECONDS, PATIENT, patiently
from shared.release_lock import give_back_lock, read_lock
from shared.running_jobs import run_job_kinds, stop_jobs
from shared.s3_objects import write_json
from shared.sleep_record import sleeping_config

import contract

from .earlier_attempt import read_tidied
from .ended_run import EndedRun, find_ended_run
from .endpoint import TakenBack, take_back
from .message import message_of
from .remains import delete_model, reject_package

__all__ = ["StatusChange", "handler"]

logger = Logger()
s3 = boto3.client("s3", config=PATIENT)
sns = boto3.client("sns", config=PATIENT)
sagemaker = boto3.client("sagemaker", config=PATIENT)
states = boto3.client("stepfunctions", config=PATIENT)
autoscaling = boto3.client("application-autoscaling", config=PATIENT)

SETTLE_SECONDS: Final = 10.0
"""A call that was under way when the execution ended may still be carried out: what it makes is looked for after it."""

_ADVICE: Final = "Lambda invokes the function again, which goes on where it stopped"


class ExecutionDetail(TypedDict):
    """What the event says of the execution; times are milliseconds since 1970."""

    executionArn: str
    name: str
    status: contract.EndStatus
    startDate: int
    stopDate: int


class StatusChange(TypedDict):
    """The event "Step Functions Execution Status Change", as far as it is read (Step Functions developer guide)."""

    detail: ExecutionDetail


@logger.inject_lambda_context
def handler(event: StatusChange, context: LambdaContext) -> contract.TidiedRun | None:
    """Tidy up after a run, and return what was done; None where there was nothing to tidy up.

    Raises:
        OutOfTime: the endpoint is still changing.
        EndpointNotRestored: SageMaker does not bring the earlier model back.
    """
    detail, bucket = event["detail"], os.environ["BUCKET"]
    started, stopped = (datetime.fromtimestamp(detail[key] / 1000, UTC) for key in ("startDate", "stopDate"))
    name = contract.run_id(detail["name"], started=started)
    run = find_ended_run(states, name=name, execution=detail["executionArn"], status=detail["status"])
    if run.error == contract.STACK_DESTROYED:
        logger.info("the clean-up at destroy removes everything by itself")
        return None

    tidied = None
    if not run.told:
        # EventBridge may deliver an event twice
        tidied = read_tidied(s3, bucket=bucket, run=name)
        if tidied is None:
            deadline = Deadline(context, longest_call_seconds=LONGEST_CALL_SECONDS, advice=_ADVICE)
            tidied = _tidy_up(run, stopped=stopped, deadline=deadline)
            subject, text = message_of(tidied)
            publish(sns, topic_arn=os.environ["TOPIC_ARN"], subject=subject, text=text)
            write_json(s3, bucket=bucket, key=contract.tidied_key(name), value=tidied)

    elif run.left_shadow:
        deadline = Deadline(context, longest_call_seconds=LONGEST_CALL_SECONDS, advice=_ADVICE)
        _take_back(run, deadline=deadline)

    # the next run may release
    key = contract.release_lock_key(os.environ["NAME_PREFIX"])
    give_back_lock(s3, bucket=bucket, key=key, holder=run.execution, at=stopped.isoformat())
    logger.info("tidied up", extra={"run": name, "told": run.told, "tidied": tidied})
    return tidied


def _tidy_up(run: EndedRun, *, stopped: datetime, deadline: Deadline) -> contract.TidiedRun:
    own = contract.job_prefix(os.environ["NAME_PREFIX"], run.name)
    deadline.pause(SETTLE_SECONDS, f"waiting for the last calls of run {run.name}")

    # what costs money comes first
    def of_this_run(job: str) -> bool:
        # another run's name may begin with this one's
        return job == own or job.startswith(f"{own}-")

    stopped_jobs = stop_jobs(run_job_kinds(sagemaker, own), own, deadline, ours=of_this_run)
    done = [f"the job {job} was stopped" for job in stopped_jobs]

    if run.passed_smoke_test:
        done.append(f"its model passed its smoke test and stays in service, with {own}")
        done.append(_scale(deadline))
    else:
        done += _withdraw(run, own, stopped=stopped, deadline=deadline)
    return contract.TidiedRun(
        run=run.name,
        execution=run.execution,
        status=run.status,
        state=run.state,
        error=run.error,
        cause=run.cause,
        done=[each for each in done if each],
    )


def _take_back(run: EndedRun, *, deadline: Deadline) -> TakenBack:
    own = contract.job_prefix(os.environ["NAME_PREFIX"], run.name)
    endpoint, env = os.environ["ENDPOINT_NAME"], os.environ["ENVIRONMENT"]
    return take_back(sagemaker, run, endpoint=endpoint, config=own, env=env, deadline=deadline)


def _withdraw(run: EndedRun, own: str, *, stopped: datetime, deadline: Deadline) -> list[str]:
    """Take a model back that no smoke test has passed, and return what was done."""
    bucket, prefix = os.environ["BUCKET"], os.environ["NAME_PREFIX"]
    done: list[str] = []

    # only who holds the lock has changed the endpoint, and may do so
    lock = read_lock(s3, bucket=bucket, key=contract.release_lock_key(prefix))
    if lock is not None and lock[0]["holder"] == run.execution:
        back = _take_back(run, deadline=deadline)
        done.append(back.said)
        if back.serves:
            done.append(_scale(deadline))
        if (back.said and back.answered) or run.recorded:
            _record(run, own, stopped=stopped)
        if run.shadow is not None:
            delete_model(sagemaker, run.shadow["model"], config=run.shadow["config"], deadline=deadline)
        if own not in (back.serves, sleeping_config(os.environ["SLEEP_RECORD"])):
            delete_model(sagemaker, own, deadline=deadline)

    why = f"Its run ended before it was released: {run.status.lower().replace('_', ' ')} in {run.state or 'no state'}."
    done.append(reject_package(sagemaker, group=prefix, run=run.name, why=why, deadline=deadline))
    return done


def _scale(deadline: Deadline) -> str:
    """Let what serves scale, which the run may not have come to, and say so; empty without the setting."""
    plan: contract.ScalingPlan | None = json.loads(os.environ["SCALING"] or "null")
    if plan is None:
        return ""
    doing = f"letting the endpoint {plan['endpoint']} scale"
    try:
        patiently(lambda: contract.begin_scaling(autoscaling, plan), deadline=deadline, doing=doing)
    except ClientError as error:
        # people are to hear of the run all the same
        logger.exception("the endpoint does not scale")
        return f"the endpoint {plan['endpoint']} does not scale until the next release: {error_message(error)}"
    return f"the endpoint scales between {plan['min_instances']} and {plan['max_instances']} instances"


def _record(run: EndedRun, own: str, *, stopped: datetime) -> None:
    """Write down that the model was taken back; a second attempt writes the same object again."""
    prefix = os.environ["NAME_PREFIX"]
    before = contract.released_run(run.config_before, prefix=prefix)
    change = contract.ReleaseChange(at=stopped, kind="failed", run=before, replaced=run.name)
    record = contract.Release(
        at=change.at.isoformat(),
        kind=change.kind,
        run=change.run,
        replaced=change.replaced,
        by=run.execution,
        why=f"The run ended in {run.state}, before its smoke test: {run.cause or run.error or run.status}",
    )
    write_json(s3, bucket=os.environ["BUCKET"], key=change.key, value=record)
