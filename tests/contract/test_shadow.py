"""The names of a shadow: read back by whoever looks at an endpoint, and short enough for SageMaker."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

import contract

RUNS = [contract.run_id(name, started=datetime(2026, 11, 29, tzinfo=UTC)) for name in ("first", "--", "a--shadow-b")]
RUNS.append(contract.run_id("0ab1c2d3-e4f5-6789-abcd-ef0123456789", started=datetime(2026, 11, 29, tzinfo=UTC)))


@pytest.mark.parametrize("served", RUNS)
@pytest.mark.parametrize("tried", RUNS)
@pytest.mark.parametrize("prefix", ["whippet-dev", "whippet-shadow"])
def test_the_configuration_names_both_models(prefix: str, served: str, tried: str) -> None:
    config = contract.shadow_config(contract.job_prefix(prefix, served), tried)
    assert contract.shadowed_config(config) == contract.job_prefix(prefix, served)
    assert contract.shadow_of(config) == tried
    longest = max(len(config), len(contract.shadow_model(contract.job_prefix(prefix, tried))))
    assert longest <= 63
    assert not config.endswith("-")


def test_a_configuration_without_a_shadow_serves_itself() -> None:
    for run in RUNS:
        config = contract.job_prefix("whippet-shadow", run)
        assert (contract.shadowed_config(config), contract.shadow_of(config)) == (config, None)
