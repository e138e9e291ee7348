"""`whippet leftovers`: list what an environment left in the account, and remove it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from rich.table import Table

from cli import CliError
from cli.aws_errors import is_gone
from cli.leftovers.account import data_and_its_key, parts_of_stack, shared_by_account, written_logs
from cli.leftovers.leftover import Leftover
from cli.leftovers.sagemaker import in_sagemaker

if TYPE_CHECKING:
    from rich.console import Console

    from cli.target import Target

__all__ = ["as_json", "find_leftovers", "remove_leftovers", "show_leftovers"]

_FINDERS = (in_sagemaker, parts_of_stack, written_logs, shared_by_account, data_and_its_key)
"""In the order of removal: what is paid for by the hour first, logs after what writes them, data at the end."""

_SHOWN_OF_A_KIND = 5


def find_leftovers(target: Target) -> list[Leftover]:
    """Return what the environment left, in the order in which it can be removed.

    Raises:
        CliError: its stack stands, so that nothing of it is left over.
    """
    outputs = target.read_outputs()
    if outputs is not None:
        raise CliError(
            f"the stack {target.settings.stack_name} stands {target.place}, and what belongs to it is no leftover: "
            "destroy it with `whippet down` first, again if that failed"
        )
    return [leftover for find in _FINDERS for leftover in find(target)]


def show_leftovers(target: Target, found: list[Leftover], *, console: Console) -> None:
    """Print what is left, a few of each kind, what it costs, and what removes it."""
    if not found:
        console.print(f"nothing of {target.settings.stack_name} is left {target.place}")
        return

    table = Table("what", "name", "costs", "note", box=None, padding=(0, 2, 0, 0))
    shown: Counter[str] = Counter()
    counts = Counter(leftover.kind for leftover in found)
    for leftover in found:
        shown[leftover.kind] += 1
        if shown[leftover.kind] <= _SHOWN_OF_A_KIND:
            note = leftover.why if leftover.remove else f"stays: {leftover.why}"
            table.add_row(leftover.kind, leftover.name, leftover.bill, note)
        elif shown[leftover.kind] == _SHOWN_OF_A_KIND + 1:
            table.add_row(leftover.kind, f"and {counts[leftover.kind] - _SHOWN_OF_A_KIND:,} more", leftover.bill, "")
    console.print(table, highlight=False)

    if any(leftover.remove and not leftover.is_data for leftover in found):
        console.print("`whippet leftovers --remove` removes all that need not stay, but no data")
    if any(leftover.is_data for leftover in found):
        console.print("`whippet leftovers --remove --data` removes the photos, the models and the results, too")


def remove_leftovers(
    target: Target, found: list[Leftover], *, data: bool, confirm: Callable[[str], None], console: Console
) -> None:
    """Remove what can be removed, saying what, and go on where something is refused.

    Args:
        target: Where the environment stood.
        found: What is left of it.
        data: Remove the photos, the models and the results, too.
        confirm: Asks a question, and raises where the answer is no.
        console: Where to say what is removed.

    Raises:
        CliError: something was not removed; the message names each with the reason.
    """
    chosen = [leftover for leftover in found if leftover.remove and (data or not leftover.is_data)]
    staying = [leftover for leftover in found if leftover not in chosen]
    if chosen:
        buckets = ", ".join(leftover.name for leftover in chosen if leftover.kind == "bucket")
        what = f", and with all photos and models in them the buckets {buckets}" if buckets else ""
        confirm(f"Remove {len(chosen):,} leftovers of {target.settings.stack_name} {target.place}{what}?")

    # each by itself: what is refused must not keep the others
    problems: list[str] = []
    for leftover in chosen:
        assert leftover.remove is not None  # noqa: S101 - for mypy
        console.print(f"removing {leftover} ...", highlight=False, soft_wrap=True)
        try:
            leftover.remove()
        except ClientError as error:
            # somebody was quicker, or an earlier attempt of this request, whose answer got lost
            if not is_gone(error):
                problems.append(f"{leftover}: {error}")
        except (BotoCoreError, CliError) as error:
            problems.append(f"{leftover}: {error}")

    console.print(f"removed: {len(chosen) - len(problems):,}", highlight=False)
    for leftover in staying:
        reason = leftover.why if leftover.remove is None else "data stays without --data"
        console.print(f"stays: {leftover} ({reason})", highlight=False, soft_wrap=True)
    if problems:
        raise CliError("not removed, try again: " + "; ".join(problems))


def as_json(found: list[Leftover]) -> str:
    """Return what is left as JSON: a list of objects with kind, name, costs, removable, data and note."""
    rows = [
        {
            "kind": leftover.kind,
            "name": leftover.name,
            "costs": leftover.bill,
            "removable": leftover.remove is not None,
            "data": leftover.is_data,
            "note": leftover.why,
        }
        for leftover in found
    ]
    return json.dumps(rows, indent=2)
