"""`whippet run` follows every state that waits: it finds in the definition what each of them waits for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import contract
from cli.definition import Definition
from infra.settings import Settings
from tests.infra.fake_run import RUN, plan
from tests.infra.template import Template


@pytest.mark.parametrize(
    "overrides",
    [{}, {"training.mode": "finetune"}, {"debugger.mode": "own"}, {"tuning.warm_start": "true"}],
    ids=lambda overrides: next(iter(overrides.values()), "defaults"),
)
def test_every_state_that_waits_for_a_job_names_the_job(
    synthesise: Callable[..., Template], overrides: dict[str, str]
) -> None:
    states = synthesise(**overrides).definition()["States"]
    waiting = {name for name, state in states.items() if state.get("Resource", "").endswith(".sync")}
    definition = Definition(states)
    jobs = {name: job for name in states if (job := definition.job(name, {"plan": plan()}))}
    assert set(jobs) == waiting
    prefix = Settings().prefix
    assert {job.name for job in jobs.values()} >= {
        contract.tuning_job_name(prefix, RUN),
        contract.training_job_name(prefix, RUN),
        contract.rules_job_name(prefix, RUN),
    }


@pytest.mark.parametrize(("approval", "asking"), [("automatic", 0), ("manual", 1)])
def test_one_state_waits_for_an_answer_where_a_person_approves(
    synthesise: Callable[..., Template], approval: str, asking: int
) -> None:
    states = synthesise(**{"release.approval": approval}).definition()["States"]
    definition = Definition(states)
    assert sum(definition.waits_for_answer(name) for name in states) == asking
