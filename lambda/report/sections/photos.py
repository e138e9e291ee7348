"""The photos that a person should look at: suspected labels, copies, damaged and odd ones, and what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from typing import Any, Final

from shared.console_links import object_link

import contract

from ..run_context import RunContext
from ..run_files import Missing, if_present

__all__ = ["photos"]

TWICE_SHOWN: Final = 10
"""Photos in two classes that are shown."""

_ORDER: Final[tuple[contract.FindingKind, ...]] = (
    "label",
    "copy",
    "unreadable",
    "odd",
    "blurred",
    "dark",
    "bright",
    "tiny",
)


def photos(run: RunContext) -> dict[str, Any]:
    """Return what is suspected of the photos, which of them were left out and why, and what changed since."""
    check = if_present(lambda: run.files.check)
    summary = if_present(lambda: run.files.dataset)
    evaluation = if_present(lambda: run.files.evaluation)
    if check is None and summary is None and evaluation is None:
        raise Missing("The run came to no list of its photos.")

    # what of each file is shown, with its pictures
    key = f"{contract.RUNS_PREFIX}{run.name}/manifest/{contract.Artefact.LEFT_OUT}"
    copies = evaluation["near_copies"] if evaluation else None
    twice = summary["in_two_classes"][:TWICE_SHOWN] if summary else []
    return {
        "kinds": _kinds(run, check, known={path for paths in twice for path in paths}) if check else [],
        "suspected": len({finding["path"] for finding in check["findings"]}) if check else 0,
        "check": check,
        "unexamined": None if check else _unexamined(run, summary),
        "near_copies": {
            **copies,
            "pairs": [
                {
                    **pair,
                    "picture": run.files.picture(pair["path"]),
                    "trained_picture": run.files.picture(pair["trained"]),
                }
                for pair in copies["examples"]
            ],
        }
        if copies and copies["images"]
        else None,
        "accuracy": evaluation["test_accuracy"] if evaluation else None,
        "remarks": [
            remark
            for remark in [*(summary["remarks"] if summary else []), *(check["remarks"] if check else [])]
            if not any(paths[0] in remark for paths in twice)  # these are listed
        ],
        "in_two_classes": [{"paths": paths, "picture": run.files.picture(paths[0])} for paths in twice],
        "dataset": summary,
        "changes": run.files.dataset_changes if summary else None,
        "left_out": summary["stray_files"] + summary["duplicates_across_splits"] if summary else 0,
        "left_out_uri": f"s3://{run.files.bucket}/{key}",
        "left_out_link": object_link(run.files.bucket, key, beside=run.execution),
    }


def _kinds(run: RunContext, check: contract.DatasetCheck, *, known: Container[str]) -> list[dict[str, Any]]:
    """Return the findings by their kind, each with its pictures; `known` are photos whose copies are listed anyway."""
    # of two copies in different classes each is a finding
    pairs: set[frozenset[str | None]] = set()
    findings = []
    for finding in check["findings"]:
        pair = frozenset((finding["path"], finding["other"]))
        if finding["kind"] == "copy" and (pair in pairs or (finding["path"] in known and finding["other"] in known)):
            continue
        if finding["kind"] == "copy":
            pairs.add(pair)
        findings.append(finding)

    classes, counts = check["classes"], Counter(finding["kind"] for finding in findings)
    return [
        {
            "kind": kind,
            "title": contract.FINDING_TITLES[kind],
            "meaning": contract.FINDING_KINDS[kind],
            "count": counts[kind],
            "findings": [
                {
                    **finding,
                    "label": classes[finding["label"]],
                    "suggested": None if finding["suggested"] is None else classes[finding["suggested"]],
                    "picture": run.files.picture(finding["path"]),
                    "other_picture": run.files.picture(finding["other"]) if finding["other"] else None,
                }
                for finding in [finding for finding in findings if finding["kind"] == kind][
                    : contract.REPORTED_FINDINGS[kind]
                ]
            ],
        }
        for kind in _ORDER
        if counts[kind]
    ]


def _unexamined(run: RunContext, summary: contract.DatasetSummary | None) -> str:
    """Return why there is no `Artefact.CHECK`."""
    most = contract.MOST_EXAMINED_PHOTOS
    if summary and summary["images"] > most:
        return f"A training examines at most {most:,} photos, and this data set has {summary['images']:,}."
    if "training" not in run.data:
        return "The run did not come to its training, which examines the photos."
    return f"The training left no {contract.Artefact.CHECK}; one of an earlier version did not examine the photos."
