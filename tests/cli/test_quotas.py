"""`whippet quotas`: what an environment needs of an account, and what is asked for where the account has less."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from cli import CliError
from cli.quotas import check
from infra.quotas import needs
from infra.settings import Settings
from tests.cli.stack import FakeStack
from tests.fakes.quotas import service_quotas
from tests.infra.app_process import cdk_context


def stack(client: Any, **sections: Any) -> Any:
    fake = FakeStack(**{"service-quotas": client})
    fake.settings = Settings.model_validate({"debugger": {"mode": "own"}, **sections})
    return fake


def enough(**sections: Any) -> dict[str, float]:
    return {need.quota: need.need for need in needs(stack(None, **sections).settings)}


def printed(target: Any) -> str:
    console = Console(record=True, width=300)
    check(target, console=console)
    return console.export_text()


def test_an_account_with_just_enough_is_enough_and_every_quota_is_shown() -> None:
    text = printed(stack(service_quotas(enough())))
    for name, need in enough().items():
        (line,) = [line for line in text.splitlines() if f": {name} " in line]
        assert line.split(name)[1].split()[:2] == [str(need), f"{need:g}"]


@pytest.mark.parametrize("name", sorted(enough()))
def test_each_quota_that_is_too_small_is_refused_with_the_command_that_asks_for_more(name: str) -> None:
    have = enough()
    with pytest.raises(CliError) as refused:
        printed(stack(service_quotas(have | {name: have[name] - 1})))
    text = str(refused.value)
    assert f"1 of {len(have)} quotas are too small for Whippet-dev" in text
    assert f"--desired-value {have[name]:g}    # {name}" in text
    assert "--quota-code L-" in text


def test_a_quota_that_was_never_changed_has_aws_default() -> None:
    have = enough()
    low = service_quotas({}, defaults=have | {"ml.m5.large for endpoint usage": 0})
    with pytest.raises(CliError, match="1 of"):
        printed(stack(low))
    name = "ml.m5.large for endpoint usage"
    raised = service_quotas({name: 2}, defaults=have | {name: 0})
    assert "ml.m5.large for endpoint usage" in printed(stack(raised))


def test_what_service_quotas_does_not_know_is_no_failure() -> None:
    assert "unknown" in printed(stack(service_quotas({})))


def test_a_refusal_says_which_permissions_are_missing() -> None:
    with pytest.raises(CliError, match=r"AccessDenied.*servicequotas:ListServiceQuotas"):
        printed(stack(service_quotas({}, refuse=True)))


def test_rules_that_the_account_may_not_use_need_not_be_paid_for() -> None:
    """SageMaker Debugger starts an instance for each rule; with debugger.mode=auto, only where it may be used."""
    name = "Number of instances across all processing jobs"
    have: dict[str, float] = {name: 4}
    managed = {"debugger": {"mode": "managed"}}
    assert 10 <= enough(**managed)[name] <= 13
    with pytest.raises(CliError, match=name):
        printed(stack(service_quotas(have), **managed))
    assert f"{name} may be too small" in printed(stack(service_quotas(have), debugger={"mode": "auto"}))


def test_an_update_of_the_endpoint_needs_both_fleets_and_a_search_all_parallel_trials() -> None:
    prod = {need.quota: need.need for need in needs(Settings.from_context(cdk_context() | {"env": "prod"}))}
    assert prod["ml.m5.large for endpoint usage"] == prod["Number of instances across active endpoints"] == 4
    assert prod["Number of instances across all training jobs"] == 4
    assert prod["Concurrent executions"] == 100
    own_image = Settings.model_validate({"release": {"image_uri": "registry/image:1"}})
    assert "codebuild" not in {need.service for need in needs(own_image)}


def test_a_shadow_needs_instances_beside_both_fleets() -> None:
    sections: dict[str, Any] = {"serving": {"mode": "realtime"}, "release": {"instance_count": 2, "shadow_minutes": 30}}
    found = {need.quota: need.need for need in needs(Settings.model_validate(sections))}
    assert found["ml.m5.large for endpoint usage"] == found["Number of instances across active endpoints"] == 6
