"""`whippet cost` and `--plan`: numbers by the price table, and not one call that changes anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli import CliError, deployment, main
from cli.commands import machine, shared
from cli.cost import overridden, planned_run, shadow_lines
from infra.outputs import StackOutput
from infra.settings import Settings
from local import control
from tests.cli.batch.cloud import FakeCloud, jpeg
from tests.cli.read_only import ReadOnly
from tests.cli.released import ReleasedStack, ServingSageMaker
from tests.cli.stack import FakeStack
from tests.fakes.account import ENDPOINT, Account, Job
from tests.fakes.ssm import RECORD

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main.typer_app, arguments, terminal_width=300)


class Stack(FakeStack):
    """A stack on an account, with 40 photos."""

    cloud: Any = None

    def __init__(self, account: Account, **sections: Any) -> None:
        super().__init__(sagemaker=account, ssm=account)
        self.account = account
        self.place = "in us-east-1"
        self.settings = Settings.model_validate({"serving": {"mode": "serverless"}, **sections})
        self.clients["s3"] = account.s3
        for number in range(40):
            account.s3.put_object(Bucket="data", Key=f"dataset/cat/{number}.jpg", Body=b"x")
        self.outputs = {StackOutput.SLEEP_RECORD: RECORD}

    def output(self, name: StackOutput) -> str:
        return ENDPOINT if name == StackOutput.ENDPOINT_NAME else super().output(name)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    made = Account(NOW)
    made.record = ("none", NOW)
    monkeypatch.setattr("cli.ceiling._now", lambda: NOW)
    return made


def on(monkeypatch: pytest.MonkeyPatch, stack: Any) -> ReadOnly:
    """Let the commands act on a stack that only answers."""
    target = ReadOnly(stack)
    monkeypatch.setattr(shared, "find_target", lambda **_: target)
    monkeypatch.setattr(shared, "read_settings", lambda *_: stack.settings)
    return target


def test_before_anything_is_deployed_the_settings_say_what_a_run_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(**_: Any) -> None:
        raise CliError("the local cloud is not running")

    monkeypatch.setattr(shared, "find_target", nothing)
    result = invoke("cost", "--photos", "4000", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["worst_usd"] == pytest.approx(6 * (2 * 4.5 * 0.408 + 8 * 1.5 * 0.115 + 0.115))
    assert found["once_usd"] == pytest.approx(found["worst_usd"] / 6)
    assert 0.2 < found["expected_usd"] < 0.4
    assert found["month"] is None
    assert "nothing while nobody asks" in found["standing"]


@pytest.mark.parametrize("arguments", [["cost"], ["run", "--plan"]], ids=" ".join)
def test_photos_alone_are_counted(arguments: list[str], account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, Stack(account))
    for name in ("READY", "groups.csv", "cat/", "cat/.DS_Store", "cat/notes.txt"):
        account.s3.put_object(Bucket="data", Key=f"dataset/{name}", Body=b"x")
    assert "a run of 40 photos," in invoke(*arguments).output


@pytest.mark.parametrize("arguments", [["cost"], ["run", "--plan"]], ids=" ".join)
def test_before_an_upload_nothing_is_expected_of_no_photos(
    arguments: list[str], account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack(account)
    on(monkeypatch, stack)
    account.s3.objects.clear()
    lines = invoke(*arguments).output.splitlines()
    assert any(line.startswith("a run of photos that are not counted yet,") for line in lines)
    (together,) = (line.split() for line in lines if line.startswith("together"))
    assert together[1] == "?"


def test_what_starts_runs_by_itself_is_counted_at_worst(monkeypatch: pytest.MonkeyPatch, account: Account) -> None:
    triggers = {"ready_object": True, "schedule": "cron(0 3 ? * SUN *)", "drift": True, "drift_days": 10}
    on(monkeypatch, Stack(account, triggers=triggers, budget={"ceiling": 500}))
    cost = planned_run(Settings(), photos=40)
    assert cost.worst_usd is not None
    assert cost.expected_usd is not None
    told = " ".join(invoke("cost").output.split())
    assert (
        "what starts runs by itself, at most: ready, each time; schedule, 5 a month; drift, 4 a month: 9 runs, "
        f"{9 * cost.worst_usd:.2f} a month at worst, expected {9 * cost.expected_usd:.2f}, and no run that could take "
        "the month above budget.ceiling=500"
    ) in told
    found = json.loads(invoke("cost", "--json").stdout)
    assert found["triggered_runs_a_month"] == {"ready": None, "schedule": 5, "drift": 4}


def test_without_triggers_nothing_starts_by_itself(monkeypatch: pytest.MonkeyPatch, account: Account) -> None:
    on(monkeypatch, Stack(account))
    assert "by itself" not in invoke("cost").output


def test_a_shadow_before_each_release_is_told_and_claimed() -> None:
    sections = {"serving": {"mode": "realtime"}, "release": {"shadow_minutes": 60}}
    shadow, plain = (Settings.model_validate(each) for each in (sections, {"serving": {"mode": "realtime"}}))
    assert shadow_lines(plain) == []
    (line,) = shadow_lines(shadow)
    assert "(release.shadow_minutes=60): one ml.m5.large at 0.115 more" in line
    more = [planned_run(each, photos=None).claim()["change_usd"] for each in (shadow, plain)]
    assert more[0] - more[1] == pytest.approx(0.115 * 9)


def test_without_photos_nothing_is_expected_and_the_worst_case_is_known() -> None:
    cost = planned_run(Settings(), photos=None)
    assert cost.expected_usd is None
    assert cost.worst_usd is not None


def test_on_a_gpu_nothing_was_measured_and_an_unknown_machine_has_no_price() -> None:
    gpu = planned_run(Settings.model_validate({"training": {"instance_type": "ml.g5.xlarge"}}), photos=100)
    assert (gpu.expected_usd, gpu.worst_usd is None) == (None, False)
    unknown = planned_run(Settings.model_validate({"training": {"instance_type": "ml.c7i.large"}}), photos=100)
    assert (unknown.expected_usd, unknown.worst_usd) == (None, None)


def test_fine_tuning_takes_the_rate_that_the_run_is_refused_by() -> None:
    cost = planned_run(Settings.model_validate({"training": {"mode": "finetune", "epochs": 20}}), photos=1000)
    (training,) = [phase for phase in cost.phases if phase.phase == "training"]
    # 10 photos a second on ml.c5.2xlarge
    assert training.expected_seconds == pytest.approx(360 + 0.7 * 1000 * 20 / 10)


def test_the_input_of_a_run_changes_what_it_costs() -> None:
    fewer = overridden(Settings(), '{"trials": 2, "views": 0}')
    assert (fewer.tuning.trials, fewer.training.views) == (2, 0)
    with pytest.raises(CliError, match="--input has a wrong value"):
        overridden(Settings(), '{"trials": 0}')
    with pytest.raises(CliError, match="not a JSON object"):
        overridden(Settings(), "[]")


def test_the_month_so_far_and_the_photos_are_looked_up(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job("whippet-dev-run-1-train", "Training", ("ml.m5.large", 1), 99, NOW - timedelta(hours=9), lambda _: None)
    job.end, job.status = NOW, "Completed"
    account.jobs[job.name] = job
    target = on(monkeypatch, Stack(account, budget={"ceiling": 31.5}))
    result = invoke("cost")
    assert "a run of 40 photos" in result.output
    assert "this month so far: jobs 1.03" in result.output
    assert "32.04 with budget.ceiling=31.5: it would not start" in result.output
    assert target.written == []


def test_a_run_that_was_is_billed_by_its_records(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    class Spot(Account):
        def describe_training_job(self, **names: Any) -> dict[str, Any]:
            saved = {"BillableTimeInSeconds": 3600, "TrainingTimeInSeconds": 7200, "EnableManagedSpotTraining": True}
            return super().describe_training_job(**names) | saved

    account.__class__ = Spot
    for name in ("whippet-dev-run-1-train", "whippet-dev-run-12-train"):
        job = Job(name, "Training", ("ml.m5.large", 2), 99, NOW - timedelta(hours=2), lambda _: None)
        job.end, job.status = NOW, "Completed"
        account.jobs[name] = job
    on(monkeypatch, Stack(account))
    found = json.loads(invoke("cost", "run-1", "--json").stdout)
    assert [row["job"] for row in found["jobs"]] == ["whippet-dev-run-1-train"]
    assert (found["usd"], found["saved_usd"]) == (pytest.approx(0.23), pytest.approx(0.23))
    assert "2 of ml.m5.large at 0.115" in invoke("cost", "run-1").output

    result = invoke("cost", "run-9")
    assert isinstance(result.exception, CliError)
    assert "run run-9 started no job in us-east-1" in str(result.exception)


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is deployed, and no local cloud is started."""
    for module, name in ((deployment, "deploy"), (control, "start"), (machine, "demo")):
        monkeypatch.setattr(module, name, lambda *_, name=name, **__: pytest.fail(f"--plan called {name}"))


Plan = Callable[[pytest.MonkeyPatch, Account, Path], ReadOnly]


def _sleeping(monkeypatch: pytest.MonkeyPatch, account: Account, _: Path) -> ReadOnly:
    account.configs["whippet-dev-run-7"] = ("ml.m5.large", 2)
    account.record = ("whippet-dev-run-7", NOW)
    return on(monkeypatch, Stack(account, serving={"mode": "realtime"}, budget={"ceiling": 250}))


def _released(monkeypatch: pytest.MonkeyPatch, _: Account, __: Path) -> ReadOnly:
    return on(monkeypatch, ReleasedStack(ServingSageMaker("c-1")))


def _stack(monkeypatch: pytest.MonkeyPatch, account: Account, _: Path) -> ReadOnly:
    return on(monkeypatch, Stack(account))


def _folder(monkeypatch: pytest.MonkeyPatch, account: Account, folder: Path) -> ReadOnly:
    (folder / "cat").mkdir()
    (folder / "cat" / "new.jpg").write_bytes(jpeg("red"))
    return on(monkeypatch, Stack(account))


def _photos(monkeypatch: pytest.MonkeyPatch, _: Account, folder: Path) -> ReadOnly:
    (folder / "a.jpg").write_bytes(jpeg("red"))
    cloud = FakeCloud()
    cloud.cloud = None
    return on(monkeypatch, cloud)


@pytest.mark.parametrize(
    ("arguments", "setting", "said"),
    [
        (["up"], _stack, "deploys Whippet-dev"),
        (["up"], _released, "the endpoint: a released one is "),
        (["demo"], _stack, "4,000 handwritten digits"),
        (["run"], _stack, "checks the photos, computes their features"),
        (["run", "--input", '{"trials": 2}'], _stack, "2 of ml.m5.large at 0.115"),
        (["wake"], _sleeping, "it costs about 0.23 dollars an hour"),
        (["rollback"], _released, "changes the endpoint to the model of run b-1"),
        (["upload", "FOLDER"], _folder, "1 uploaded, 0 unchanged, 40 removed; about 0.00 dollars"),
        (["classify", "FOLDER"], _photos, "at most about 0.02 dollars"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_plan_says_what_it_would_do_and_does_nothing(
    arguments: list[str],
    setting: Plan,
    said: str,
    account: Account,
    no_process: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    target = setting(monkeypatch, account, tmp_path)
    result = invoke(*(str(tmp_path) if each == "FOLDER" else each for each in arguments), "--plan")
    assert result.exit_code == 0, result.exception
    assert said in " ".join(result.output.split())
    assert "--plan: nothing was done" in result.output
    assert target.written == []


def test_what_is_planned_would_be_refused_where_the_ceiling_refuses_it(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sleeping(monkeypatch, account, Path())
    stack: Any = Stack(account, serving={"mode": "realtime"}, budget={"ceiling": 100})
    on(monkeypatch, stack)
    assert "above budget.ceiling=100" in " ".join(invoke("wake", "--plan").output.split())


def test_wake_and_batches_are_refused_above_the_ceiling(
    account: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _sleeping(monkeypatch, account, tmp_path)
    stack: Any = Stack(account, serving={"mode": "realtime"}, budget={"ceiling": 100})
    monkeypatch.setattr(shared, "find_target", lambda **_: stack)
    result = invoke("wake")
    assert isinstance(result.exception, CliError)
    assert "above budget.ceiling=100" in str(result.exception)
    assert account.endpoint is None


def test_with_a_ceiling_a_job_that_takes_twice_the_time_is_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg("red"))
    cloud: Any = FakeCloud()
    cloud.pace = 0
    clock = iter(range(0, 10**6, 300))
    monkeypatch.setattr(shared, "find_target", lambda **_: cloud)
    monkeypatch.setattr("cli.batch.classify.keep_ceiling", lambda *_: None)
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    monkeypatch.setattr("time.sleep", lambda _: None)

    cloud.settings = Settings.model_validate({"serving": {"mode": "serverless"}, "budget": {"ceiling": 1}})
    result = invoke("classify", str(tmp_path), "--output", str(tmp_path / "out"))
    assert isinstance(result.exception, CliError)
    assert "is Stopped (it was stopped), with 1 photo left" in str(result.exception)


def test_a_batch_claims_before_it_uploads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg("red"))
    cloud: Any = FakeCloud()
    cloud.settings = Settings.model_validate({"serving": {"mode": "serverless"}, "budget": {"ceiling": 1}})
    seen: list[Any] = []

    def refuse(_: Any, claim: Any) -> None:
        seen.append((claim, set(cloud.s3.objects)))
        raise CliError("above budget.ceiling")

    monkeypatch.setattr(shared, "find_target", lambda **_: cloud)
    monkeypatch.setattr("cli.batch.classify.keep_ceiling", refuse)
    result = invoke("classify", str(tmp_path), "--output", str(tmp_path / "out"))
    assert isinstance(result.exception, CliError)
    ((claim, objects),) = seen
    assert claim["worst_usd"] == pytest.approx((2 * 360 + 1800) / 3600 * 0.204, rel=0.01)
    assert objects == {"runs/run-7/model.tar.gz"}
    assert cloud.jobs == {}
