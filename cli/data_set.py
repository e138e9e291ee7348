"""`whippet upload`: the data set in the bucket becomes the same as a folder, with remarks on what that means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import contract
from cli.bursts import find_bursts, groups_file, rows_in_bucket
from cli.findings import copy_lines, left_out_lines
from cli.run import running
from cli.target import STATE
from cli.upload import compare, content_hashes, upload

if TYPE_CHECKING:
    from rich.console import Console

    from cli.photos import Photos
    from cli.target import Target

__all__ = ["make_equal"]

_LISTED: Final = 1000
"""Objects that one request lists."""


def make_equal(
    target: Target,
    photos: Photos,
    *,
    add: bool,
    groups: bool,
    confirm: Callable[[int, str], None],
    console: Console,
    plan: bool = False,
) -> None:
    """Make the data set in the bucket the same as a folder of photos.

    Args:
        target: Where the bucket is.
        photos: The folder's photos.
        add: Keep photos in the bucket that the folder lacks.
        groups: Find photos that were taken in one burst.
        confirm: Is called before objects are removed with how many and from where; may raise to stop.
        console: Where to print.
        plan: Only say what would be done, and what its requests cost.

    Raises:
        CliError: a file cannot be read.
    """
    s3, (bucket, prefix) = target.client("s3"), target.dataset
    for run in running(target):
        console.print(
            f"warning: run {run} is going on and may yet read photos that this upload changes or removes; start "
            "another run after the upload, or upload when this one has ended",
            soft_wrap=True,
        )

    # what belongs together stays in one split
    bursts = find_bursts(photos, console=console) if groups else {}
    if add:
        paths = [path.as_posix() for path in photos.paths]
        bursts |= rows_in_bucket(s3, bucket=bucket, prefix=prefix, without=paths)
    photos = replace(photos, made=groups_file(bursts))

    # only what differs
    contents = content_hashes(photos)
    changes = compare(s3, photos=photos, contents=contents, bucket=bucket, prefix=prefix, add=add)
    if plan:
        listed = len(changes.surplus) + changes.unchanged + len(changes.missing)
        requests = (len(changes.missing) + listed / _LISTED) * contract.S3_WRITE_USD
        console.print(
            f"`whippet upload` makes s3://{bucket}/{prefix} the same: {len(changes.missing):,} uploaded, "
            f"{changes.unchanged:,} unchanged, {len(changes.surplus):,} removed; about {requests:.2f} dollars of S3 "
            f"requests ({contract.PRICES_NOTE})",
            soft_wrap=True,
        )
        console.print("--plan: nothing was done")
        return
    if changes.surplus:
        confirm(len(changes.surplus), f"s3://{bucket}/{prefix}")
    upload(s3, photos=photos, changes=changes, bucket=bucket, prefix=prefix, console=console)

    done = f"{len(changes.missing):,} uploaded, {changes.unchanged:,} unchanged, {len(changes.surplus):,} removed"
    console.print(
        f"s3://{bucket}/{prefix} holds {contract.counted(len(photos.paths), 'photo')} of "
        f"{contract.counted(len(photos.classes), 'class')}: {done}",
        soft_wrap=True,
    )
    for line in (*photos.remarks, *copy_lines(photos, contents), *left_out_lines(photos, state=STATE)):
        console.print(line, soft_wrap=True)
