"""Every state with every fault: what is promised of a run holds wherever AWS, a job or a person interferes.

Whatever happens, no job runs on, the endpoint serves what it did before or the new model, the release lock is given
back, and a message is sent. Each test prints how many faults it has injected (`pytest -s`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

import contract
from tests.fakes.ended_account import EXECUTION, OLD, RUN, EndedAccount
from tests.fakes.lambda_context import Context
from tests.infra.asl_walker import StoppedError, Task, TaskError, Walk, walk
from tests.infra.fake_run import JOBS, NEW_CONFIG, OLD_CONFIG, Endpoint, Rules, job_failed, tasks, verdict
from tests.infra.fake_sagemaker import Fault, SageMaker, lost_answer, quota, timed_out

NOT_NEEDED: Final = {
    *("BeginScaling", "DescribeFleet", "DescribeServedConfig", "EndScaling", "GiveLockBack", "PutScalingPolicy"),
    *("DeleteShadowConfig", "DeleteShadowModel", "LookAtAlarms", "RecordRelease", "RecordRollback", "Report", "Retire"),
}
"""States without which a release counts."""

OTHERWISE: Final = {"DescribeInService", "TrainManaged"}
"""States whose refusal is an answer: the verdict looks for itself, the rules are evaluated elsewhere."""

ROLLBACK: Final = {"DescribeBeforeRollback", "DescribeRollback", "RemoveEndpoint", "RestoreEndpoint"}
"""States that bring the endpoint back; where they fail, the message says that it is not."""

SHADOW_END: Final = {"DescribeShadowEnd", "RemoveShadow"}
"""States that take the shadow away: they are tried for two hours, and then the message says that it still stands."""

SHADOW_CONFIG: Final = contract.shadow_config(OLD_CONFIG, "run-1")

REFUSED: Final = TaskError(
    "SageMaker.AmazonSageMakerException", "is not authorized to perform (Service: SageMaker; Status Code: 400)"
)
SMOKE: Final = {"SmokeTest": TaskError("SmokeTestFailed", "wrong shape")}


@dataclass(frozen=True)
class Way:
    """A way through the state machine."""

    before: str | None = OLD_CONFIG
    status: str = "InService"
    asks: bool = False
    shadow: bool = False
    answers: dict[str, Any] = field(default_factory=dict)
    planned: dict[str, Any] = field(default_factory=dict)
    serverless: bool = True
    machine: str = ""
    """Where the settings let the endpoint scale: its instance type before the run."""
    rolls_back: bool | str = False
    """Whether an alarm takes updates back: every one, or those to this configuration."""

    def endpoint(self) -> Endpoint:
        endpoint = Endpoint(self.before, self.status, serverless=self.serverless)
        endpoint.rolls_back = self.rolls_back
        endpoint.scales, endpoint.machine = bool(self.machine), self.machine or endpoint.machine
        return endpoint

    @property
    def settings(self) -> tuple[tuple[str, str], ...]:
        asks = {"release.approval": "manual"} if self.asks else {}
        scales = {"serving.mode": "realtime", "scaling.max_instances": "4"} if self.machine else {}
        shadow = {"serving.mode": "realtime", "release.shadow_minutes": "30"} if self.shadow else {}
        return tuple((asks | scales | shadow).items())

    def account(self, endpoint: Endpoint, faults: dict[str, list[Fault]] | None = None) -> SageMaker:
        known = tasks(endpoint, **self.planned) | {name: _answer(value) for name, value in self.answers.items()}
        return SageMaker(known, faults)


def _answer(value: Any) -> Task:
    def task(_: dict[str, Any]) -> Any:
        if isinstance(value, TaskError):
            raise value
        return value

    return task


OVERTAKEN: Final = verdict(in_service="whippet-dev-older")
WAYS: Final = {
    "update with SageMaker's rules": Way(planned={"access": True}),
    "first": Way(before=None),
    "more photos": Way(planned={"extends": True}),
    "rules on uploaded tensors": Way(planned={"access": True, "rules": Rules("Error", all_of_them=True)}),
    "rolled back": Way(answers=SMOKE),
    "rolled back to nothing": Way(before=None, answers=SMOKE),
    "broken endpoint": Way(status="Failed"),
    "real-time endpoint": Way(serverless=False),
    "taken back": Way(rolls_back=True),
    "overtaken": Way(answers={"Verdict": OVERTAKEN}),
    "overtaken by a better one": Way(answers={"Verdict": OVERTAKEN, "VerdictAgain": verdict(accepted=False)}),
    "a person's yes": Way(asks=True, answers={"Verdict": verdict(approval="PendingManualApproval")}),
    "a person's no": Way(asks=True, answers={"AskApproval": TaskError("ModelRejected", "no")}),
    "scales": Way(serverless=False, machine="ml.m5.large"),
    "scales on other machines": Way(serverless=False, machine="ml.c5.large"),
    "scales, and is taken back": Way(serverless=False, machine="ml.c5.large", rolls_back=True),
    "scales, and is rolled back": Way(serverless=False, machine="ml.c5.large", answers=SMOKE),
    "a shadow": Way(shadow=True, serverless=False),
    "a shadow, and then rolled back": Way(shadow=True, serverless=False, rolls_back=NEW_CONFIG),
    "nobody answers": Way(asks=True, answers={"AskApproval": TaskError("States.Timeout", "")}),
}


@dataclass
class Case:
    """A fault in a state, on a way that passes it."""

    state: str
    way: Way
    definition: dict[str, Any]
    clean: Walk

    def run(self, *faults: Fault) -> tuple[Walk, Endpoint, SageMaker]:
        endpoint = self.way.endpoint()
        account = self.way.account(endpoint, {self.state: list(faults)})
        return walk(self.definition, account.tasks, {}, limit=20_000), endpoint, account

    @property
    def is_lambda(self) -> bool:
        return ":states:::aws-sdk:" not in self.resource and ":states:::sagemaker:" not in self.resource

    @property
    def is_scaling(self) -> bool:
        return ":applicationautoscaling:" in self.resource

    @property
    def resource(self) -> str:
        resource: str = self.definition["States"][self.state]["Resource"]
        return resource


@pytest.fixture(scope="module")
def cases(synthesise: Callable[..., Any]) -> list[Case]:
    """A case for every Task state, on the first way that passes it; those that stop a job are passed in a time-out."""
    machines = {
        settings: synthesise(**dict(settings)).definition() for settings in {way.settings for way in WAYS.values()}
    }
    found: dict[str, Case] = {}
    for way in WAYS.values():
        definition = machines[way.settings]
        clean = walk(definition, way.account(way.endpoint()).tasks, {})
        for state in dict.fromkeys(name for name, _ in clean.payloads):
            found.setdefault(state, Case(state, way, definition, clean))
    every = {name for each in machines.values() for name, state in each["States"].items() if state["Type"] == "Task"}
    assert every - found.keys() == {f"Stop{name}" for name in JOBS if f"Stop{name}" in every}
    return list(found.values())


def broken_promises(case: Case, ended: Walk, endpoint: Endpoint, account: SageMaker) -> Iterator[str]:
    """What holds whatever happens."""
    if account.running:
        yield f"a job runs on: {account.running}"
    if "Notify" not in ended.path:
        yield "nobody is told"
    if ended.status == "FAILED" and not (ended.error and ended.cause) and case.state != "Notify":
        yield "no reason is told"  # that of Notify the tidy-up tells
    if "TakeReleaseLock" in ended.path and case.state != "TakeReleaseLock" and "GiveLockBack" not in ended.path:
        yield "the lock is kept"
    if case.way.machine and not endpoint.scales and not _may_fail_to_scale(case):
        yield "it scales no more"
    expected = NEW_CONFIG if ended.status == "SUCCEEDED" or case.state == "Notify" else case.way.before
    gone = case.way.before if case.way.status == "InService" else None
    serves = None if endpoint.status == "Deleting" else endpoint.config
    told = case.state in ROLLBACK and f"Then {case.state}" in ended.cause
    stands = case.state in SHADOW_END and (serves, ended.error) == (SHADOW_CONFIG, "ShadowNotRemoved")
    if serves not in (expected, gone) and not told and not stands:
        yield f"{serves} serves"


def _may_fail_to_scale(case: Case) -> bool:
    """Whether the fault hits what lets the endpoint scale, which the message then tells."""
    return case.state == "BeginScaling"


def report(kind: str, count: int, wrong: dict[str, list[str]]) -> None:
    print(f"{kind}: {count} faults injected, one at each call site, {len(wrong)} with a broken promise")
    assert count > 0
    assert not wrong, json.dumps(wrong, indent=1)


@pytest.mark.parametrize("kind", ["throttling", "quota", "lost answer"])
def test_what_passes_leads_to_the_same_end(cases: list[Case], kind: str) -> None:
    wrong: dict[str, list[str]] = {}
    count = 0
    for case in cases:
        if kind == "quota" and (case.is_lambda or case.is_scaling):
            continue
        count += 1
        ended, endpoint, account = case.run(_passing(kind, case))
        found = list(broken_promises(case, ended, endpoint, account))
        if (ended.status, ended.error) != (case.clean.status, case.clean.error):
            found.append(f"{ended.status} {ended.error}: {ended.cause}")
        if found:
            wrong[case.state] = found
    report(kind, count, wrong)


def _passing(kind: str, case: Case) -> Fault:
    if kind == "quota":
        return quota
    if kind == "lost answer" and case.state in JOBS:
        return lost_answer
    if kind == "lost answer" and not case.is_lambda:
        return _carried_out
    if case.is_scaling:
        return _raising(TaskError("ApplicationAutoScaling.ApplicationAutoScalingException", "Rate exceeded"))
    of_lambda = {"throttling": "Lambda.TooManyRequestsException", "lost answer": "Lambda.SdkClientException"}
    error = of_lambda[kind] if case.is_lambda else "SageMaker.AmazonSageMakerException"
    return _raising(TaskError(error, "Rate exceeded (Status Code: 400; Error Code: ThrottlingException)"))


def _carried_out(_: SageMaker, task: Task, payload: dict[str, Any]) -> Any:
    """The call is carried out, and its answer gets lost."""
    task(payload)
    service = "ApplicationAutoScaling" if "ScalableDimension" in payload else "SageMaker"
    raise TaskError(f"{service}.SdkClientException", "Unable to execute HTTP request: The server failed to respond")


def _raising(error: TaskError) -> Fault:
    def fault(*_: Any) -> Any:
        raise error

    return fault


@pytest.mark.parametrize("kind", ["API error", "job failure", "time-out"])
def test_what_does_not_pass_ends_the_run_with_its_reason(cases: list[Case], kind: str) -> None:
    wrong: dict[str, list[str]] = {}
    count = 0
    for case in cases:
        is_job = case.state in JOBS
        if kind == "job failure" and not is_job:
            continue
        count += 1
        fault = {
            "API error": _raising(TaskError("ClientError", "Access Denied") if case.is_lambda else REFUSED),
            "job failure": _raising(job_failed("AlgorithmError: out of memory")),
            "time-out": timed_out if is_job else _raising(TaskError("States.Timeout", "")),
        }[kind]
        times = 2000 if case.state in SHADOW_END else 1 if is_job and kind == "time-out" else 200
        ended, endpoint, account = case.run(*[fault] * times)
        found = list(broken_promises(case, ended, endpoint, account))
        goes_on = case.state in NOT_NEEDED or (case.state in OTHERWISE and not (is_job and kind != "API error"))
        expected = case.clean.status if goes_on else "FAILED"
        if ended.status != expected:
            found.append(f"{ended.status} instead of {expected}: {ended.error}")
        if found:
            wrong[case.state] = found
    report(kind, count, wrong)


@pytest.mark.parametrize("moment", ["before the call", "after the call"])
def test_a_run_that_is_stopped_anywhere_is_tidied_up(
    cases: list[Case], moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {}
    for case in cases:

        def stop(account: SageMaker, task: Task, payload: dict[str, Any], case: Case = case) -> Any:
            if moment == "after the call":
                try:
                    task(payload)
                    if case.state in JOBS:
                        account.goes_on(payload)
                except TaskError:
                    pass  # it had failed
            raise StoppedError

        ended, endpoint, account = case.run(stop)
        assert ended.status == "ABORTED"
        if found := list(_not_tidied(case, ended, endpoint, account, monkeypatch, carried_out=moment.startswith("a"))):
            wrong[case.state] = found
    report(f"stop {moment}", len(cases), wrong)


def _not_tidied(
    case: Case,
    ended: Walk,
    endpoint: Endpoint,
    account: SageMaker,
    monkeypatch: pytest.MonkeyPatch,
    *,
    carried_out: bool,
) -> Iterator[str]:
    """Tidy up after the run, and yield what is not as promised."""

    def renamed(value: Any) -> Any:
        text = json.dumps(value).replace("run-1", RUN).replace(OLD_CONFIG, OLD)
        return json.loads(text)

    monkeypatch.setattr("time.sleep", lambda _: None)
    environment = EndedAccount(monkeypatch, Context())
    done = ended.path if carried_out else ended.path[:-1]

    # what the run has left
    sagemaker = environment.sagemaker
    sagemaker.config, sagemaker.status = renamed(endpoint.config), endpoint.status
    sagemaker.jobs = {renamed(job): "TrainingJob" for job in account.running}
    if "RegisterModel" not in done:
        del sagemaker.packages["arn:1"]
    environment.hold(EXECUTION if "TakeReleaseLock" in done and "GiveLockBack" not in done else "")

    tidied = environment.end(case.state, renamed(ended.output))
    if tidied is None or len(environment.mails) != 1:
        yield f"{len(environment.mails)} messages"
    if sagemaker.jobs:
        yield f"a job runs on: {sagemaker.jobs}"
    if environment.holder:
        yield "the lock is kept"
    passed = "smoke_test" in ended.output and not ended.output["failure"]
    before = None if case.way.before is None else OLD
    allowed = {renamed(NEW_CONFIG)} if passed else {before, before if case.way.status == "InService" else None}
    changing = sagemaker.config is not None and sagemaker.status in ("Creating", "Updating", "Deleting")
    if sagemaker.config not in allowed or changing:
        yield f"{sagemaker.config} is {sagemaker.status}"
    if not passed and sagemaker.packages.get("arn:1", ["", "Rejected"])[1] != "Rejected":
        yield "the package is still approved"
