"""A SageMaker job as states: what becomes of it where it is refused, finds no machine, or takes too long.

    Train ─ done → …
      ├ too long, or the name is taken ───→ StopTrain ─┐
      └ any other error ───────────────→ TrainFailed? ←┘
            ├ no machine, SageMaker busy, or the name taken → WaitBeforeTrainAgain → TrainAgain (another name) → Train
            ├ too long, and it could not be stopped → TrainNotStopped → …failed
            └ anything else → TrainFailed → …failed

A time-out of the state does not stop its job ("Integrating services", Run a Job: only a stopped execution does), so the
run stops it. A name is taken where SageMaker made the job and its answer got lost: nobody would follow that job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

from contract import JOB_ATTEMPTS
from infra.workflow.task import ANY_ERROR, LOST_ANSWER, NAME_TAKEN, TRANSIENT, FailureRoute, RunScope, sagemaker_task

__all__ = ["JobPlan", "sagemaker_job"]

_ATTEMPT: Final = "$.attempt"
"""Where the error of a job's last attempt stands."""

_PASSING: Final = (
    "*Unable to provision requested ML compute capacity*",
    "*Status Code: 5*",
    "*Rate exceeded*",
    "*Throttling*",
)
"""Causes that pass by themselves: no machine was free (a job's CapacityError), or SageMaker failed or was busy."""

_LAST_NAME: Final = JOB_ATTEMPTS
"""The number in a job's last name: the first name has none, the second has 2."""

_PAUSE: Final = cdk.Duration.minutes(5)


@dataclass(frozen=True, kw_only=True)
class JobPlan:
    """The member of `$.plan` that names a job.

    Attributes:
        member: Its name, such as `training`.
        job: What a job's name adds to `$.plan.name`, such as `-train`.
        kept: The members that another name does not change.
        renamed: Members that the job's name is part of, with their intrinsic functions, in which `{job}` stands for the
            name's own format and `{next}` for its arguments.
    """

    member: str
    job: str
    kept: Sequence[str]
    renamed: Mapping[str, str] | None = None

    @property
    def name(self) -> str:
        """JSONPath of the job's name."""
        return f"{self._path}.job"

    @property
    def next_name(self) -> str:
        """JSONPath of the number in the job's next name."""
        return f"{self._path}.next_name"

    @property
    def _path(self) -> str:
        return f"$.plan.{self.member}"

    def again(self) -> dict[str, str]:
        """Return the Parameters of the state that gives the job its next name."""
        job, arguments = f"{{}}{self.job}-{{}}", f"$.plan.name, {self.next_name}"
        return {
            "job.$": f"States.Format('{job}', {arguments})",
            "next_name.$": f"States.MathAdd({self.next_name}, 1)",
            **{f"{name}.$": f"{self._path}.{name}" for name in self.kept},
            **{f"{name}.$": text.format(job=job, arguments=arguments) for name, text in (self.renamed or {}).items()},
        }

    def rename(self, scope: RunScope, name: str) -> sfn.Pass:
        """Return a state that gives the job its next name."""
        return sfn.Pass(scope, name, parameters=self.again(), result_path=self._path)


def sagemaker_job(
    scope: RunScope,
    name: str,
    *,
    call: str,
    plan: JobPlan,
    payload: Mapping[str, Any],
    failure: FailureRoute,
    timeout: cdk.Duration,
    result_path: str | None = None,
    result_selector: Mapping[str, str] | None = None,
    if_refused: sfn.IChainable | None = None,
) -> sfn.CustomState:
    """Return the state that makes a job and waits for its end, with the states that handle its errors behind it.

    Args:
        scope: The scope of the run's states.
        name: Name of the state.
        call: The API action, such as `createTrainingJob.sync`.
        plan: Where the job's name stands.
        payload: The request.
        failure: Where an error leads in the end.
        timeout: How long the state waits. SageMaker's own limits should come first, so that its reason is told.
        result_path: JSONPath at which the job's description is kept; None drops it.
        result_selector: The members of the description to keep.
        if_refused: Where a request leads that SageMaker refuses for good; None fails the run. A refusal is then not
            retried, since it may well be expected.
    """
    job = sagemaker_task(
        scope,
        name,
        call=call,
        payload=payload,
        result_path=result_path,
        result_selector=result_selector,
        timeout=timeout,
        passing=TRANSIENT if if_refused is None else LOST_ANSWER,
    )

    # what the run does not follow any more must not go on
    kind = call.removeprefix("create").removesuffix(".sync")
    stop = sagemaker_task(scope, f"Stop{name}", call=f"stop{kind}", payload={f"{kind}Name.$": plan.name})

    # why did it fail?
    failed = failure.hand_on(scope, name, error_at=_ATTEMPT)
    goes_on = failure.fail(
        scope,
        f"{name}NotStopped",
        error="JobNotStopped",
        cause="States.Format('The job {} took longer than the run waits for it, and could not be stopped: {} If it has "
        f"not ended, it goes on and costs: stop it in the SageMaker console.', {plan.name}, {_ATTEMPT}.stopping.Cause)",
    )
    why = sfn.Choice(scope, f"{name}Failed?")
    too_long = sfn.Condition.string_equals(f"{_ATTEMPT}.Error", "States.Timeout")
    why.when(sfn.Condition.and_(too_long, sfn.Condition.is_present(f"{_ATTEMPT}.stopping")), goes_on)
    why.when(_passing(plan), _once_more(scope, name, plan=plan, job=job))
    if if_refused is not None:
        why.when(_refused(), if_refused)
    why.otherwise(failed)

    stop.next(why)
    stop.add_catch(why, errors=ANY_ERROR, result_path=f"{_ATTEMPT}.stopping")
    job.add_catch(stop, errors=["States.Timeout", *NAME_TAKEN], result_path=_ATTEMPT)
    job.add_catch(why, errors=ANY_ERROR, result_path=_ATTEMPT)
    return job


def _refused() -> sfn.Condition:
    """Return the condition that SageMaker refused the request itself, and not for want of a quota."""
    error = f"{_ATTEMPT}.Error"
    return sfn.Condition.and_(
        sfn.Condition.string_matches(error, "SageMaker.*"),
        sfn.Condition.not_(sfn.Condition.string_matches(error, "SageMaker.Resource*")),
    )


def _passing(plan: JobPlan) -> sfn.Condition:
    """Return the condition that the job may well succeed under another name, and that there is a name left."""
    return sfn.Condition.and_(
        sfn.Condition.or_(
            *(sfn.Condition.string_matches(f"{_ATTEMPT}.Cause", cause) for cause in _PASSING),
            *(sfn.Condition.string_equals(f"{_ATTEMPT}.Error", error) for error in NAME_TAKEN),
        ),
        sfn.Condition.not_(sfn.Condition.number_greater_than(plan.next_name, _LAST_NAME)),
    )


def _once_more(scope: RunScope, name: str, *, plan: JobPlan, job: sfn.CustomState) -> sfn.Wait:
    wait = sfn.Wait(scope, f"WaitBefore{name}Again", time=sfn.WaitTime.duration(_PAUSE))
    again = plan.rename(scope, f"{name}Again")
    wait.next(again).next(job)
    return wait
