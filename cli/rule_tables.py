"""The debugger's rules and their parameters as Markdown tables, for docs/debugger.md and docs/profile.md.

`python -m cli.rule_tables` writes the tables of `contract.RULES` into both pages; a test holds the pages to them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from contract import RULES, Parameter, ParameterValue, Rule, RuleKind

__all__ = ["PAGES", "parameters_table", "rules_table", "with_tables"]

PAGES: Final[dict[str, RuleKind]] = {"docs/debugger.md": "tensor", "docs/profile.md": "profiler"}
"""The pages with tables, and the kind of rules that each is about."""


def rules_table(kind: RuleKind) -> str:
    """Return the rules of a kind, with the modes in which they are on by default; blocking ones are in bold."""
    lines = ["| rule | fires when | features | fine-tuning |", "| --- | --- | --- | --- |"]
    for rule in RULES.values():
        if rule.kind == kind:
            name = f"**{rule.name}**" if rule.blocks else rule.name
            own_alone = kind == "tensor" and rule.evaluators == ("own",)
            fires_when = rule.fires_when + (" (with `debugger.mode` own)" if own_alone else "")
            lines.append(f"| {name} | {fires_when} | {_use(rule, 'features')} | {_use(rule, 'finetune')} |")
    return "\n".join(lines)


def parameters_table(kind: RuleKind) -> str:
    """Return every parameter of the rules of a kind: what is allowed, SageMaker's default and this project's own."""
    lines = [
        "| parameter | allowed | SageMaker's default | features | fine-tuning |",
        "| --- | --- | --- | --- | --- |",
    ]
    for rule in RULES.values():
        if rule.kind == kind:
            lines += [_row(rule, name, parameter) for name, parameter in rule.parameters.items()]
    return "\n".join(lines)


def with_tables(page: str, kind: RuleKind) -> str:
    """Return a page's text with its two marked tables written anew.

    Raises:
        ValueError: the page lacks the marks of a table.
    """
    tables: dict[str, Callable[[RuleKind], str]] = {"rules": rules_table, "parameters": parameters_table}
    for name, table in tables.items():
        start = f"<!-- {name}: written by python -m cli.rule_tables -->"
        found = re.search(rf"{re.escape(start)}\n(.*?)<!-- end -->", page, re.DOTALL)
        if found is None:
            raise ValueError(f"the page has no table between '{start}' and '<!-- end -->'; add these two lines")
        page = f"{page[: found.start(1)]}{table(kind)}\n{page[found.end(1) :]}"
    return page


def _use(rule: Rule, mode: str) -> str:
    if mode in rule.not_applicable:
        return "not applicable"
    return "on" if mode in rule.on_in else "off"


def _row(rule: Rule, name: str, parameter: Parameter) -> str:
    own = [parameter.project_defaults.get(mode) for mode in ("features", "finetune")]
    cells = ["" if value is None else _text(parameter, value) for value in own]
    default = _text(parameter, parameter.default)
    return f"| `{rule.name}.{name}` | {parameter.allowed} | {default} | {' | '.join(cells)} |"


def _text(parameter: Parameter, value: ParameterValue) -> str:
    if value is None:
        return "none"
    if parameter.type == "regex":
        return f"`{value}`".replace("|", "\\|")
    return str(value).lower() if isinstance(value, bool) else str(value)


def main() -> None:
    """Write the tables into the pages."""
    root = Path(__file__).parents[1]
    for name, kind in PAGES.items():
        page = root / name
        page.write_text(with_tables(page.read_text(encoding="utf-8"), kind), encoding="utf-8")


if __name__ == "__main__":
    main()
