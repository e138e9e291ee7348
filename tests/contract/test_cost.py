"""The cost model: prices in words, worst cases, and what the ceiling counts of a month."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

import contract

NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("machines", "words"),
    [
        (("ml.m5.large", 1), "one ml.m5.large at 0.115"),
        (("ml.m5.large", 2), "2 of ml.m5.large at 0.115"),
        (("ml.x9.large", 2), "2 of ml.x9.large, whose price is not known here"),
    ],
)
def test_machines_are_named_with_their_price(machines: tuple[str, int], words: str) -> None:
    assert contract.machines_in_words(*machines) == words


def test_the_worst_case_is_every_attempt_at_its_limit() -> None:
    job = contract.PlannedJob(phase="trials", instance_type="ml.m5.large", instances=1, max_seconds=3600)
    an_attempt = 4 * (1 + contract.OVERHEAD_SECONDS / 3600) * 0.115
    assert contract.worst_usd(job, trials=4) == pytest.approx(contract.JOB_ATTEMPTS * an_attempt)
    assert contract.worst_usd({**job, "phase": "training", "instances": 2}, trials=4) == pytest.approx(
        contract.JOB_ATTEMPTS * an_attempt / 2
    )
    assert contract.worst_usd({**job, "instance_type": "ml.x9.large"}, trials=4) is None


def test_a_serverless_endpoint_has_no_machines_and_shadows_count() -> None:
    variant = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
    assert contract.config_usd_an_hour({"ProductionVariants": [variant]}) == pytest.approx(0.23)
    both = {"ProductionVariants": [variant], "ShadowProductionVariants": [variant]}
    assert contract.config_usd_an_hour(both) == pytest.approx(0.46)
    assert contract.config_usd_an_hour({"ProductionVariants": [{"ServerlessConfig": {}}]}) == 0.0
    assert contract.config_usd_an_hour({"ProductionVariants": [{**variant, "InstanceType": "ml.x9.large"}]}) is None


def recorded(
    name: str,
    *,
    status: str = "Completed",
    hours: float = 2,
    ago: timedelta = timedelta(days=1),
    limit: int | None = 3600,
) -> contract.RecordedJob:
    start = NOW - ago
    ended = status not in ("InProgress", "Stopping")
    return contract.RecordedJob(
        contract.MachineTime("Training", name, status, "ml.m5.large", 1, hours * 3600 if ended else 0.0, spot=False),
        start,
        start + timedelta(hours=hours) if ended else None,
        limit,
    )


def claim(
    name: str, *, worst: float, change: float = 0.0, fleet: float = 0.0, kind: Literal["run", "batch"] = "run"
) -> contract.Claim:
    return contract.Claim(
        name=name,
        kind=kind,
        at=NOW.isoformat(),
        worst_usd=worst,
        change_usd=change,
        fleet_usd_an_hour=fleet,
    )


def month(
    jobs: list[contract.RecordedJob], *claims: contract.Claim, runs: tuple[str, ...] = (), without: str = ""
) -> contract.MonthSoFar:
    return contract.month_so_far(
        prefix="whippet-dev",
        jobs=jobs,
        claims=claims,
        runs=runs,
        at_work=[job.name for job in jobs if job.is_running],
        unclaimed_usd=7.0,
        now=NOW,
        without=without,
    )


def test_what_has_ended_counts_by_its_record_and_a_claim_of_it_no_more() -> None:
    found = month([recorded("whippet-dev-run-1-train")], claim("run-1", worst=50, change=3, fleet=0.1))
    assert found.jobs == pytest.approx(2 * 0.115)
    assert (found.claimed, found.changes, found.fleet_an_hour) == (0.0, 3.0, 0.1)


def test_what_goes_on_counts_by_its_claim_and_not_by_its_record() -> None:
    jobs = [recorded("whippet-dev-run-1-features"), recorded("whippet-dev-run-2-train")]
    found = month(jobs, claim("run-1", worst=50), runs=("run-1",))
    assert found.jobs == pytest.approx(2 * 0.115)
    assert (found.claimed, found.going_on) == (50.0, ("run-1",))


def test_an_aborted_run_whose_job_goes_on_still_counts_at_its_worst() -> None:
    found = month([recorded("whippet-dev-run-1-train", status="InProgress")], claim("run-1", worst=50))
    assert (found.jobs, found.claimed) == (0.0, 50.0)


def test_a_run_that_claimed_nothing_counts_as_the_new_one_would() -> None:
    assert month([], runs=("run-0",)).claimed == 7.0
    assert month([], runs=("run-0",), without="run-0").claimed == 0.0


def test_a_running_job_that_nobody_claimed_counts_at_its_limit() -> None:
    found = month([recorded("whippet-dev-run-1-train", status="InProgress")])
    assert found.jobs == pytest.approx((1 + contract.OVERHEAD_SECONDS / 3600) * 0.115)


def test_of_a_job_over_the_end_of_the_month_its_part_in_this_month_counts() -> None:
    over = recorded("whippet-dev-run-1-train", ago=NOW - datetime(2026, 10, 31, 23, tzinfo=UTC), hours=4)
    assert month([over]).jobs == pytest.approx(3 * 0.115)


def test_a_batch_counts_before_its_job_is_on_the_records() -> None:
    found = month([], claim("whippet-dev-batch-1-1", worst=9, kind="batch"))
    assert (found.claimed, found.going_on) == (9.0, ("whippet-dev-batch-1-1",))


def test_a_refusal_has_every_number_and_other_regions_count_at_their_dearest() -> None:
    so_far = contract.MonthSoFar(jobs=10.0, changes=1.0, claimed=20.0, going_on=("run-1",))
    here = contract.HeldClaim(claim("run-2", worst=5, fleet=0.115), so_far, "us-east-1", 121.0)
    assert here.refusal is not None
    assert "could come to 121.56 dollars, above budget.ceiling=121: this run at worst 5.00" in here.refusal
    assert "what is going on at worst (run-1) 20.00" in here.refusal
    assert "the endpoint for a whole month at 0.115 an hour 85.56" in here.refusal
    assert contract.HeldClaim(here.claim, so_far, "us-east-1", 122.0).refusal is None
    there = contract.HeldClaim(here.claim, so_far, "sa-east-1", 122.0)
    assert there.refusal is not None
    assert "194.50 dollars" in there.refusal
    assert contract.HeldClaim(here.claim, so_far, "sa-east-1", None).refusal is None


def test_without_a_price_no_ceiling_can_be_kept() -> None:
    held = contract.HeldClaim(claim("run-2", worst=5), contract.MonthSoFar(unknown=("ml.x9.large",)), "us-east-1", 100)
    assert held.refusal is not None
    assert "the price of ml.x9.large" in held.refusal


def test_a_shadow_costs_its_time_and_two_further_changes() -> None:
    plain = contract.change_usd(0.2, 0.1)
    assert plain == pytest.approx(0.2 * contract.CHANGE_HOURS)
    assert contract.change_usd(0.2, 0.1, shadow_minutes=30) == pytest.approx(plain + 0.2 * (0.5 + 8))
