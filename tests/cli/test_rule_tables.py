"""The pages on rules say what the contract declares."""

from __future__ import annotations

import pytest

import contract
from cli.rule_tables import PAGES, parameters_table, rules_table, with_tables
from cli.target import ROOT


@pytest.mark.parametrize(("page", "kind"), PAGES.items())
def test_a_pages_tables_are_the_contracts(page: str, kind: contract.RuleKind) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text == with_tables(text, kind), "write them anew with: python -m cli.rule_tables"
    assert rules_table(kind) in text
    assert parameters_table(kind) in text


def test_a_rule_says_where_it_is_on_and_whether_it_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = {"patience": contract.Parameter(type="whole", default=3, low=1, project_defaults={"finetune": 5})}
    rule = contract.Rule(
        name="LossPlateau",
        kind="tensor",
        fires_when="the loss is flat",
        parameters=parameters,
        on_in=("finetune",),
        blocks=True,
        evaluators=("own",),
    )
    monkeypatch.setitem(contract.RULES, rule.name, rule)
    written = rules_table("tensor").splitlines()
    assert "| **LossPlateau** | the loss is flat (with `debugger.mode` own) | off | on |" in written
    assert any(line.startswith("| DeadRelu |") and line.endswith("| not applicable | on |") for line in written)
    assert not any("LossPlateau" in line for line in rules_table("profiler").splitlines())
    assert (
        "| `LossPlateau.patience` | a whole number, 1 or more | 3 |  | 5 |" in parameters_table("tensor").splitlines()
    )


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="no table between '<!-- rules"):
        with_tables("# The debugger\n", "tensor")
