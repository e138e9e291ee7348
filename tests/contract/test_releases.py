"""The order in which models came and went, read from the keys of the records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

import contract
from contract import ChangeKind, ReleaseChange, release_lineage

BEGIN = datetime(2026, 11, 28, 22, tzinfo=UTC)


def told(*changes: tuple[ChangeKind, str, str]) -> list[ReleaseChange]:
    return [ReleaseChange(BEGIN + timedelta(hours=number), *change) for number, change in enumerate(changes)]


A: tuple[ChangeKind, str, str] = ("released", "a-1", "")
B: tuple[ChangeKind, str, str] = ("released", "b-1", "a-1")
C: tuple[ChangeKind, str, str] = ("released", "c-1", "b-1")
AFTER_A: tuple[ChangeKind, str, str] = ("released", "c-1", "a-1")


@pytest.mark.parametrize("change", told(A, B, ("failed", "", "a-1"), ("rolled-back", "a-1", "B-2")))
def test_a_key_tells_the_whole_change(change: ReleaseChange) -> None:
    assert ReleaseChange.of_key(change.key) == change
    assert change.key.startswith(contract.RELEASES_PREFIX)


def test_keys_sort_by_time_wherever_they_were_written() -> None:
    east = datetime(2026, 11, 29, 3, 30, tzinfo=timezone(timedelta(hours=5)))
    later = ReleaseChange(BEGIN + timedelta(microseconds=1), "released", "a-1", "")
    later_still = ReleaseChange(east, "released", "b-1", "")
    assert later.key < later_still.key
    assert later_still.key.startswith("releases/20261128T223000.000000Z_")


@pytest.mark.parametrize(
    "key",
    [
        "releases/",
        "releases/notes.txt",
        "releases/20261128T220000.000000Z_sold_a-1_none.json",
        "releases/20261128T220000.000000Z_released_a/b_none.json",
        "runs/20261128T220000.000000Z_released_a-1_none.json",
    ],
)
def test_other_objects_are_no_records(key: str) -> None:
    assert ReleaseChange.of_key(key) is None


@pytest.mark.parametrize(
    ("changes", "lineage"),
    [
        ([], []),
        ([A, B, C], ["a-1", "b-1", "c-1"]),
        ([B], ["a-1", "b-1"]),
        ([A, B, C, ("rolled-back", "b-1", "c-1")], ["a-1", "b-1"]),
        ([A, B, C, ("rolled-back", "a-1", "c-1")], ["a-1"]),
        ([A, B, ("rolled-back", "a-1", "b-1"), AFTER_A], ["a-1", "c-1"]),
        ([A, B, ("rolled-back", "a-1", "b-1"), ("rolled-back", "b-1", "a-1")], ["a-1", "b-1"]),
        ([A, B, ("failed", "a-1", "b-1"), AFTER_A], ["a-1", "c-1"]),
        ([A, ("failed", "", "a-1")], []),
        # the endpoint was created while `a-1` slept, and removed again
        ([A, ("released", "b-1", ""), ("failed", "", "b-1")], ["a-1"]),
        # the record of the release was lost, or that of the rollback
        ([A, ("failed", "a-1", "b-1")], ["a-1"]),
        ([A, B, AFTER_A], ["a-1", "c-1"]),
    ],
)
def test_models_wait_behind_the_one_in_service(changes: list[tuple[ChangeKind, str, str]], lineage: list[str]) -> None:
    assert release_lineage(told(*changes)) == lineage
    assert release_lineage(reversed(told(*changes))) == lineage, "whatever the order of the listing"


@pytest.mark.parametrize(("config", "run"), [("whippet-dev-a-1", "a-1"), ("", ""), ("somebodys", "somebodys")])
def test_a_configuration_is_named_after_its_run(config: str, run: str) -> None:
    assert contract.released_run(config, prefix="whippet-dev") == run
