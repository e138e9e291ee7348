"""What a person may do with an environment, at random, on an account with a clock: the bill's proof.

The decisions are the project's own: CheckDataset's ceiling check, the function that pauses the endpoint, the clean-up,
and the commands that wake and classify. The state machine is played (played_run.py): it makes the jobs of infra/cost.py
one after the other, as often as contract/cost.py says, each as long as SageMaker lets it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from unittest import mock

import boto3
from rich.console import Console

import contract
from cli import CliError
from cli.batch.price import batch_cost
from cli.ceiling import claim_of, keep_ceiling
from cli.wake import wake
from infra.cost import cost_plan, fleet, planned_jobs
from infra.names import Names
from infra.outputs import StackOutput
from infra.scaling import Scaling
from infra.settings import Settings
from tests.fakes.account import ENDPOINT, Account, Job
from tests.fakes.lambda_context import Context
from tests.fakes.played_run import PREFIX, PlayedRuns

from check_dataset import ceiling as check_ceiling_module  # isort: skip
from cleanup import handler as cleanup  # isort: skip
from pause import handler as pause  # isort: skip
from shared.custom_resource import Deadline, OutOfTime  # isort: skip
from shared.patience import LONGEST_CALL_SECONDS  # isort: skip

__all__ = ["Life", "live"]

RECORD: Final = "/whippet-dev/sleeping-model"
BEGIN: Final = datetime(2099, 1, 3, tzinfo=UTC)
"""Later than the machine's clock, which the functions take where it is ahead of an event's time."""
TICK: Final = timedelta(minutes=15)
"""How often EventBridge starts the pause function (infra/pause.py)."""


@dataclass(frozen=True)
class Life:
    """What came of a sequence of a person's actions."""

    ceiling: float
    worst_month: float
    runs: int
    refused: int
    longest_idle: timedelta
    """How long an endpoint stood without a request, a change or a run, beyond the hours of the setting."""
    left: list[str]
    """What still cost by the hour after the last destroy."""
    actions: list[str]


@dataclass
class _Target:
    """Stands in for `cli.target.Target`."""

    account: Account
    settings: Settings
    cloud: Any = None
    place: str = "in us-east-1"
    region: str = "us-east-1"
    outputs: dict[str, str] = field(default_factory=lambda: {StackOutput.SLEEP_RECORD: RECORD})

    def client(self, service: str) -> Any:
        others = {"s3": self.account.s3, "application-autoscaling": self.account.autoscaling}
        return others.get(service, self.account)

    def output(self, name: StackOutput) -> str:
        return {
            StackOutput.DATA_BUCKET: "data",
            StackOutput.ENDPOINT_NAME: ENDPOINT,
            StackOutput.STATE_MACHINE_ARN: "arn:machine",
        }[name]


class _Person:
    def __init__(self, account: Account, settings: Settings, rng: random.Random) -> None:
        self.account, self.settings, self.rng = account, settings, rng
        self.target: Any = _Target(account, settings)
        self.idle_limit = timedelta(hours=settings.serving.pause_after_hours or 0)
        self.runs = self.refused = self.batches = 0
        self.deployed = True
        self.played = PlayedRuns(account, settings, rng, unlucky=rng.random() < 0.5)
        self.busy_until = account.now
        self.is_asked = rng.random() < 0.3
        """Whether callers send photos at every hour, so that the endpoint never sleeps."""
        self.longest_idle = timedelta()
        account.record = (contract.NOTHING_SLEEPS, account.now)
        account.at(account.now + TICK, self._tick)

    # --- what a person does

    def start(self) -> None:
        """Start a run; the ceiling check is CheckDataset's."""
        if not self.deployed:
            return
        self.runs += 1
        arn, name = f"arn:execution:{self.runs}", f"{self.runs:08x}-0000"
        run = contract.run_id(name, started=self.account.now)
        self.account.executions[arn] = {"executionArn": arn, "name": name, "startDate": self.account.now}
        cost = cost_plan(self.settings)
        assert cost is not None
        ready = self.rng.random() < 0.3
        plan: Any = {"run": run, "features": {"ready": ready}, "tuning": {"trials": self.settings.tuning.trials}}
        try:
            check_ceiling_module.check_ceiling(
                cost,
                plan=plan,
                s3=self.account.s3,  # type: ignore[arg-type]
                sagemaker=self.account,  # type: ignore[arg-type]
                states=self.account,  # type: ignore[arg-type]
                autoscaling=self.account.autoscaling,
                bucket="data",
                name_prefix=PREFIX,
                endpoint=ENDPOINT,
                sleep_record=RECORD,
                state_machine="arn:machine",
                started=self.account.now.isoformat(),
                region="us-east-1",
            )
        except check_ceiling_module.CeilingReached:
            self.refused += 1
            del self.account.executions[arn]
            return
        phases = [job for job in planned_jobs(self.settings) if not (ready and job["phase"] == "features")]
        self.played.begin(arn, run, phases)

    def stop(self) -> None:
        """Stop a run as the console does, which stops its job."""
        if self.account.executions:
            self.account.stop_execution(executionArn=self.rng.choice(list(self.account.executions)))

    def kill(self) -> None:
        """Abort a run so that its job, or its tuning job, goes on without anybody."""
        if self.account.executions:
            del self.account.executions[self.rng.choice(list(self.account.executions))]

    def ask(self) -> None:
        """Send some photos; the API wakes a model that sleeps (lambda/classify)."""
        account = self.account
        if account.endpoint is None and self.deployed:
            config = contract.sleeping_config(account.get_parameter(Name=RECORD)["Parameter"]["Value"])
            if config is not None:
                account.create_endpoint(**contract.wake_request(endpoint=ENDPOINT, config=config, env="dev"))
        elif account.endpoint is not None and account.endpoint["EndpointStatus"] == "InService":
            account.requests.append(account.now)

    def wake(self) -> None:
        """`whippet wake`."""
        self._command(lambda: wake(self.target, wait=False, console=Console(quiet=True)))

    def classify(self) -> None:
        """`whippet classify FOLDER`: the claim, and the job that takes at most what it claims."""
        photos, machine = self.rng.choice([100, 20_000, 500_000]), self.settings.batch.instance_type
        self.batches += 1
        name = contract.batch_job_name(PREFIX, f"{self.batches:012x}", 1)
        seconds = batch_cost(photos=photos, uploads=0, instance_type=machine).longest_seconds
        usd = contract.machine_usd(machine, seconds=seconds + contract.OVERHEAD_SECONDS)
        assert usd is not None

        def begin() -> None:
            keep_ceiling(self.target, claim_of("batch", name, worst_usd=usd))
            job = Job(name, "Transform", (machine, 1), None, self.account.now, lambda _: None)
            self.account.start_job(job, seconds=self.played.takes(seconds), status="Completed")

        if self.deployed:
            self._command(begin)

    def forget(self) -> None:
        """Do nothing for some time."""
        self.account.advance(timedelta(hours=self.rng.choice([1, 5, 24, 7 * 24])))

    def destroy(self) -> bool:
        """`cdk destroy`, whose function may run out of time; return whether it got to its end."""
        if not self.deployed:
            return True
        context = Context(remaining=self.rng.choice([100_000, 300_000, 900_000]))
        self.account.context = context
        properties = {
            "Prefix": PREFIX,
            "Endpoint": ENDPOINT,
            "ModelPackageGroup": PREFIX,
            "StateMachineArn": "arn:machine",
            "EmptyBucket": "",
            "SleepRecord": RECORD,
        }
        try:
            cleanup._clean_up(
                properties,
                Deadline(context, longest_call_seconds=LONGEST_CALL_SECONDS),  # type: ignore[arg-type]
            )
        except OutOfTime:
            return False
        finally:
            self.account.context = None
        self.deployed = False
        return True

    def deploy(self) -> None:
        """Deploy again; the bucket was kept."""
        if not self.deployed:
            self.deployed = True
            self.account.record = (contract.NOTHING_SLEEPS, self.account.now)

    def _command(self, command: Callable[[], None]) -> None:
        if not self.deployed:
            return
        try:
            command()
        except CliError as error:
            self.refused += "budget.ceiling" in str(error)

    # --- what EventBridge does

    def _tick(self) -> None:
        account = self.account
        account.at(account.now + TICK, self._tick)
        if self.is_asked and account.now.minute < 15:
            self.ask()
        endpoint = account.endpoint
        if endpoint is None or endpoint["EndpointStatus"] != "InService" or not self.deployed:
            return
        used = max([endpoint["LastModifiedTime"], *account.requests[-1:]])
        if account.executions:
            self.busy_until = account.now
        idle = account.now - max(used, self.busy_until)
        self.longest_idle = max(self.longest_idle, idle - self.idle_limit)
        # not asked where it would surely say no: that can only make the endpoint stand longer
        if account.now - used >= self.idle_limit - TICK:
            event: Any = {"time": account.now.isoformat()}
            pause.handler(event, Context())  # type: ignore[arg-type]


def _with_ceiling(sections: dict[str, Any], rng: random.Random) -> Settings:
    """Return settings whose ceiling leaves room for the endpoint, and for one to four runs at their worst."""
    settings = Settings.model_validate(sections)
    runs = [contract.worst_usd(job, trials=settings.tuning.trials) or 0.0 for job in planned_jobs(settings)]
    hourly = contract.fleet_usd_an_hour(fleet(settings)) or 0.0
    run = sum(runs) + contract.change_usd(hourly)
    ceiling = round(hourly * contract.FULL_MONTH_HOURS + rng.uniform(1.01, 4) * run, 2)
    return Settings.model_validate({**sections, "budget": {"ceiling": ceiling}})


@contextmanager
def _aws(account: Account) -> Iterator[None]:
    """Let the functions and commands reach the account, and its clock."""
    make = boto3.client

    def client(service: str, **options: Any) -> Any:
        return account if service == "ssm" else make(service, **options)  # type: ignore[call-overload]

    environment = {
        "ENDPOINT_NAME": ENDPOINT,
        "SLEEP_RECORD": RECORD,
        "STATE_MACHINE_ARN": "arn:machine",
    }
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict("os.environ", environment))
        for module in (pause, cleanup):
            stack.enter_context(mock.patch.object(module, "autoscaling", account.autoscaling))
            for name in {"sagemaker", "states", "cloudwatch", "s3"} & set(vars(module)):
                stack.enter_context(mock.patch.object(module, name, account.s3 if name == "s3" else account))
        stack.enter_context(mock.patch.object(boto3, "client", client))
        stack.enter_context(mock.patch("time.sleep", account.sleep))
        stack.enter_context(mock.patch("cli.ceiling._now", side_effect=lambda: account.now))
        yield


def live(seed: int, *, actions: int = 60) -> Life:
    """Let a person do things at random for some weeks, then destroy everything, and tell what it cost."""
    # what is deployed, with a ceiling that allows it
    rng = random.Random(seed)
    sections: dict[str, Any] = {
        "serving": {"mode": "realtime", "pause_after_hours": rng.choice([1, 12, 48])},
        "release": {"instance_count": rng.choice([1, 2])},
        "tuning": {"trials": rng.choice([1, 4, 8]), "parallel_trials": 1, "max_minutes": rng.choice([5, 30])},
        "training": {
            "max_minutes": rng.choice([10, 60, 240]),
            "instance_type": rng.choice(["ml.c5.2xlarge", "ml.g5.xlarge", "ml.g5.12xlarge"]),
        },
    }
    if seed % 3 == 0:
        sections["scaling"] = {"max_instances": 2 + seed % 4}
    settings = _with_ceiling(sections, rng)
    account = Account(BEGIN + timedelta(days=rng.uniform(0, 28)))
    scaling = Scaling.of(settings, Names(PREFIX))
    account.most_instances = settings.most_instances if scaling.plan else 0
    variables = {"PAUSE_AFTER_HOURS": str(settings.serving.pause_after_hours), "SCALING": scaling.variable}
    with _aws(account), mock.patch.dict("os.environ", variables):
        # some weeks of a person's life
        person = _Person(account, settings, rng)
        kinds: list[Callable[[], object]] = [
            person.start, person.stop, person.kill, person.ask, person.wake, person.classify, person.forget,
            person.destroy, person.deploy,
        ]  # fmt: skip
        done = []
        for action in rng.choices(kinds, [8, 1, 2, 4, 2, 2, 6, 1, 3], k=actions):
            done.append(action.__name__)
            action()
            account.advance(timedelta(minutes=rng.choice([0, 0, 1, 30, 300])))

        # at the end, everything goes, in as many attempts as it takes
        for _ in range(50):
            if person.destroy():
                break
        account.advance(timedelta(hours=1))
        left = account.hourly()
        account.advance(timedelta(days=35))
        assert settings.budget.ceiling is not None
        return Life(
            ceiling=settings.budget.ceiling,
            worst_month=max(account.bills().values(), default=0.0),
            runs=person.runs,
            refused=person.refused,
            longest_idle=person.longest_idle,
            left=left,
            actions=done,
        )
