"""The account's quotas against a run's needs: what ends a run, what does not, and in which words (A-03)."""

from __future__ import annotations

from typing import Any, cast

import pytest
from check_dataset import quotas
from check_dataset.quotas import QuotaTooSmall, check_quotas

import contract
from infra.quotas import machines
from infra.settings import Settings
from tests.fakes.quotas import FakeEndpoint, service_quotas
from tests.infra import fake_run

_TYPES = (
    "ml.c5.2xlarge for training job usage",
    "ml.m5.large for processing job usage",
    "ml.m5.large for endpoint usage",
)


def check(
    table: dict[str, float], *, in_service: FakeEndpoint | None = None, client: Any = None, **sections: Any
) -> None:
    settings = Settings.model_validate(sections)
    check_quotas(
        client or service_quotas(table),
        in_service or FakeEndpoint(),  # type: ignore[arg-type]
        needs=machines(settings)["quotas"],
        plan=plan(parallel_trials=settings.tuning.parallel_trials),
        endpoint="whippet-dev",
    )


def plan(*, parallel_trials: int = 2, ready: bool = False) -> contract.Plan:
    made = cast("contract.Plan", fake_run.plan())
    made["tuning"]["parallel_trials"] = parallel_trials
    made["features"]["ready"] = ready
    return made


@pytest.mark.parametrize("name", _TYPES)
def test_a_quota_of_a_new_account_ends_the_run_with_its_name_its_value_and_where_to_ask(name: str) -> None:
    enough: dict[str, float] = dict.fromkeys(_TYPES, 4)
    check(enough)
    with pytest.raises(QuotaTooSmall) as refused:
        check(enough | {name: 0})
    text = str(refused.value)
    assert f'quota "{name}" is 0, but ' in text
    assert (
        "ask for 1 at https://eu-west-1.console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas/L-" in text
    )


def test_parallel_trials_count_together_and_phases_do_not() -> None:
    tuning = {"parallel_trials": 4}
    trials = f"{Settings().tuning.instance_type} for training job usage"
    check({trials: 4, "Number of instances across all training jobs": 4}, tuning=tuning)
    for name in (trials, "Number of instances across all training jobs"):
        with pytest.raises(QuotaTooSmall, match=r"the trials need 4 \(setting tuning.parallel_trials\)"):
            check({name: 3}, tuning=tuning)


def test_spot_instances_have_a_quota_of_their_own() -> None:
    training = {"mode": "finetune", "spot": True, "instance_type": "ml.g5.xlarge"}
    # the features job, which cannot be resumed, takes one that is not
    check({"ml.g5.xlarge for training job usage": 1}, training=training)
    with pytest.raises(QuotaTooSmall, match="spot training job usage"):
        check({"ml.g5.xlarge for spot training job usage": 1}, training=training)


def test_an_update_needs_the_new_fleet_beside_the_one_in_service() -> None:
    """One instance in service and a quota of one: the first release works, the second would fail after the training."""
    quota: dict[str, float] = {"ml.m5.large for endpoint usage": 1}
    check(quota)
    with pytest.raises(QuotaTooSmall, match=r"the endpoint needs 2 beside the 1 in service") as refused:
        check(quota, in_service=FakeEndpoint(1))
    assert "ask for 2" in str(refused.value)
    check(quota, in_service=FakeEndpoint(1, "ml.c6i.large"))
    with pytest.raises(QuotaTooSmall, match="across active endpoints"):
        check({"Number of instances across active endpoints": 3}, in_service=FakeEndpoint(3, "ml.c6i.large"))


def test_features_that_are_there_need_no_machine() -> None:
    needs = machines(Settings.model_validate({"features": {"instance_count": 3}}))["quotas"]
    client = service_quotas({"ml.c5.2xlarge for training job usage": 1})
    for ready in (True, False):
        arguments: dict[str, Any] = {"needs": needs, "plan": plan(ready=ready), "endpoint": "whippet-dev"}
        if ready:
            check_quotas(client, FakeEndpoint(), **arguments)  # type: ignore[arg-type]
        else:
            with pytest.raises(QuotaTooSmall, match="the features job needs 3"):
                check_quotas(client, FakeEndpoint(), **arguments)  # type: ignore[arg-type]


def test_a_missing_permission_and_an_unknown_quota_are_no_failure() -> None:
    check({}, client=service_quotas({}, refuse=True))
    check({"something else": 0})


def test_a_service_that_answers_slowly_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "_LONGEST_SECONDS", -1)
    table: dict[str, float] = {"a": 1, "b": 1, "ml.m5.large for endpoint usage": 0}
    check(table)  # the quota that is too small stands on the second page
    assert quotas.PATIENCE.read_timeout <= 5  # type: ignore[attr-defined]
