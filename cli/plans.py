"""`--plan`: what a command would do and cost. Nothing is done: AWS is only looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import contract
from cli import CliError
from cli.cost import overridden, planned_run, show_plan, standing_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from cli.target import Target
    from infra.settings import Settings

__all__ = ["NOTHING_DONE", "count_photos", "plan_demo", "plan_deployment", "plan_run", "target_if_there"]

NOTHING_DONE = "--plan: nothing was done"


def target_if_there(find: Callable[[], Target], *, console: Console) -> Target | None:
    """Return the target where its stack is deployed, and None with the reason where a plan has to do without."""
    try:
        target = find()
    except CliError as error:
        console.print(f"planned by the settings alone: {error}", highlight=False, markup=False, soft_wrap=True)
        return None
    if target.read_outputs() is None:
        console.print(f"planned by the settings alone: the stack is not deployed {target.place}", soft_wrap=True)
        return None
    return target


def count_photos(target: Target) -> int | None:
    """Return how many photos the data set holds, by their names; None where nothing was uploaded yet."""
    bucket, prefix = target.dataset
    pages = target.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    found = ((item["Key"].removeprefix(prefix), item["Size"]) for page in pages for item in page.get("Contents", []))
    return sum(contract.why_no_photo(path, size) is None for path, size in found) or None


def plan_deployment(settings: Settings, *, local: bool, console: Console) -> None:
    """Say what `whippet up` would deploy, and what of it costs while nobody uses it."""
    budget, ceiling = settings.budget.monthly, settings.budget.ceiling
    told = "no budget" if budget is None else f"a budget of {budget:g} dollars a month"
    if budget is not None and settings.notifications.email is None:
        told += ", which tells nobody since notifications.email is empty"
    lines = [
        f"`whippet up` deploys {settings.stack_name}: a bucket, the state machine and its functions, the API, the "
        f"image that serves, roles, logs, {told}",
        "a deployment itself costs cents: a few minutes of CodeBuild where the image is built",
        standing_line(None, settings),
        "no budget.ceiling" if ceiling is None else f"budget.ceiling={ceiling:g}: nothing starts that could pass it",
        *(["on this machine it costs nothing"] if local else []),
        NOTHING_DONE,
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def plan_run(target: Target | None, settings: Settings, *, overrides: str, console: Console) -> None:
    """Say what a run would do and cost, and whether budget.ceiling lets it start."""
    settings = overridden(settings, overrides)
    photos = None if target is None else count_photos(target)
    console.print(
        "`whippet run` checks the photos, computes their features unless they are there, tunes, trains, judges the "
        "model and, if it is accepted, releases it",
        highlight=False,
        soft_wrap=True,
    )
    show_plan(target, planned_run(settings, photos=photos), machine_readable=False, console=console)
    console.print(NOTHING_DONE)


def plan_demo(console: Console) -> None:
    """Say what the demo would do."""
    console.print(
        "`whippet demo` starts a local cloud, deploys the stack there, uploads 4,000 handwritten digits, runs the "
        "state machine and classifies pictures: some minutes of this machine, at no cost. No AWS account is asked",
        highlight=False,
        soft_wrap=True,
    )
    console.print(NOTHING_DONE)
