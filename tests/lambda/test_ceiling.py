"""CheckDataset and budget.ceiling: a run that could pass it ends before anything costs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from check_dataset.ceiling import CeilingReached, check_ceiling

import contract
from infra.cost import cost_plan
from infra.settings import Settings
from tests.fakes.account import Account, Job
from tests.fakes.autoscaling import PLAN
from tests.fakes.person import live

NOW = datetime(2099, 3, 10, tzinfo=UTC)


@pytest.fixture
def account() -> Account:
    return Account(NOW)


def check(account: Account, *, run: str = "run-1", ceiling: float = 40, ready: bool = False, trials: int = 8) -> None:
    settings = Settings.model_validate({"serving": {"mode": "serverless"}, "budget": {"ceiling": ceiling}})
    cost = cost_plan(settings)
    assert cost is not None
    plan: Any = {"run": run, "features": {"ready": ready}, "tuning": {"trials": trials}}
    fake: Any = account
    check_ceiling(
        cost,
        plan=plan,
        s3=fake.s3,
        sagemaker=fake,
        states=fake,
        autoscaling=fake.autoscaling,
        bucket="data",
        name_prefix="whippet-dev",
        endpoint="whippet-dev",
        sleep_record="",
        state_machine="arn:machine",
        started=NOW.isoformat(),
        region="us-east-1",
    )


def claim(account: Account, run: str) -> contract.Claim:
    found: contract.Claim = json.loads(account.s3.objects[f"claims/2099-03/{run}.json"])
    return found


def test_a_run_that_fits_claims_its_worst_case(account: Account) -> None:
    check(account)
    assert claim(account, "run-1")["worst_usd"] == pytest.approx(6 * (2 * 4.5 * 0.408 + 8 * 1.5 * 0.115 + 0.115))


def test_one_that_does_not_fit_is_refused_in_words_and_claims_nothing(account: Account) -> None:
    with pytest.raises(CeilingReached) as refused:
        check(account, ceiling=30)
    assert "the month could come to 31.00 dollars, above budget.ceiling=30: this run at worst 31.00" in str(
        refused.value
    )
    assert "Lower tuning.trials, tuning.max_minutes or training.max_minutes" in str(refused.value)
    assert claim(account, "run-1")["worst_usd"] == 0.0


def test_fewer_trials_and_features_that_are_there_cost_less(account: Account) -> None:
    check(account, ceiling=30, trials=4)
    check(account, run="run-2", ceiling=60, ready=True)
    assert claim(account, "run-2")["worst_usd"] < claim(account, "run-1")["worst_usd"]


def test_what_this_month_has_cost_counts_and_what_the_last_one_did_does_not(account: Account) -> None:
    job = Job("whippet-dev-old-train", "Training", ("ml.c5.2xlarge", 1), 99, NOW - timedelta(days=1), lambda _: None)
    account.jobs[job.name] = job
    job.end, job.status = NOW, "Completed"
    with pytest.raises(CeilingReached, match=r"the month's jobs so far 9\.79"):
        check(account)
    job.start, job.end = NOW - timedelta(days=30), NOW - timedelta(days=29)
    check(account)


def test_the_second_fleet_of_a_run_over_the_end_of_the_month_counts(account: Account) -> None:
    old = contract.Claim(
        name="old", kind="run", at="2099-02-28T00:00:00+00:00", worst_usd=30, change_usd=9.5, fleet_usd_an_hour=0
    )
    account.s3.put_object(Bucket="data", Key="claims/2099-02/old.json", Body=json.dumps(old).encode())
    check(account)
    job = Job("whippet-dev-old-train", "Training", ("ml.m5.large", 1), 99, NOW - timedelta(days=10), lambda _: None)
    account.jobs[job.name] = job
    job.end, job.status = NOW - timedelta(days=9), "Completed"
    with pytest.raises(CeilingReached, match=r"changes of the endpoint so far 9\.50"):
        check(account)


def test_jobs_of_other_environments_are_not_counted(account: Account) -> None:
    job = Job("other-whippet-dev-1", "Training", ("ml.c5.2xlarge", 9), 99, NOW - timedelta(days=9), lambda _: None)
    account.jobs[job.name] = job
    check(account)


def test_two_that_start_at_once_do_not_both_start(account: Account) -> None:
    first, second = (contract.run_id(name, started=NOW) for name in ("one", "two"))
    check(account, run=first)
    for name in ("one", "two"):
        account.executions[name] = {"name": name, "startDate": NOW}
    with pytest.raises(CeilingReached, match=rf"what is going on at worst \({first}\) 31\.00"):
        check(account, run=second)


def test_an_endpoint_counts_for_the_whole_month(account: Account) -> None:
    account.configs["whippet-dev-run-0"] = ("ml.m5.large", 1)
    account.create_endpoint(EndpointName="whippet-dev", EndpointConfigName="whippet-dev-run-0")
    account.advance(timedelta(hours=1))
    with pytest.raises(CeilingReached, match=r"the endpoint for a whole month at 0\.115 an hour 85\.56"):
        check(account, ceiling=100)


def test_an_endpoint_that_scales_counts_with_the_most_instances_that_it_may_have(account: Account) -> None:
    account.configs["whippet-dev-run-0"] = ("ml.m5.large", 1)
    account.create_endpoint(EndpointName="whippet-dev", EndpointConfigName="whippet-dev-run-0")
    account.advance(timedelta(hours=1))
    account.autoscaling.register_scalable_target(**contract.scalable_range(PLAN))
    with pytest.raises(CeilingReached, match=r"the endpoint for a whole month at 0\.460 an hour 342\.24"):
        check(account, ceiling=300)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_a_person_does_the_bill_stays_below_the_ceiling_and_nothing_is_left(seed: int) -> None:
    life = live(seed)
    assert life.worst_month <= life.ceiling, life
    assert life.left == []
    assert life.longest_idle <= timedelta(minutes=30)


def test_the_proof_fails_where_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract.HeldClaim, "refusal", None)
    lives = [live(seed) for seed in range(40)]
    assert any(life.worst_month > life.ceiling for life in lives)
