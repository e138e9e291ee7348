"""What is lost with a permission, as the test of a whole run tells it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.system import permission_table
from tests.system.permission_table import Granted, PermissionLog, lost_calls, table, unneeded, unproved

READ = Granted("r", "s3:GetObject", "arn:aws:s3:::b/runs/*")
WIDER = Granted("r", "s3:GetObject", "arn:aws:s3:::b/*")
OTHER = Granted("other", "s3:GetObject", "arn:aws:s3:::b/*")
CALL = ("r", "s3:GetObject", "arn:aws:s3:::b/runs/1/a.json")


def test_a_call_is_lost_with_the_only_permission_that_covers_it() -> None:
    assert lost_calls(READ, [READ, OTHER], [CALL]) == [CALL]
    assert lost_calls(READ, [READ], [("r", "s3:GetObject", "arn:aws:s3:::b/photos/1.png")]) == []


def test_nothing_is_lost_with_a_permission_that_another_one_covers() -> None:
    assert lost_calls(READ, [READ, WIDER], [CALL]) == []


def test_actions_are_compared_in_any_case_and_on_all_resources() -> None:
    listing = Granted("r", "sagemaker:ListModels", "*")
    assert lost_calls(listing, [listing], [("r", "sagemaker:listmodels", "*")])


def test_a_row_that_names_a_test_is_proved_by_a_call_that_needs_its_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {("r", "s3:*"): "tests/a.py", ("r", "sns:*"): "tests/a.py", ("r", "sqs:*"): "tests/b.py"}
    monkeypatch.setattr(permission_table, "ELSEWHERE", rows)
    log = PermissionLog(Path("log"), phases={CALL: "run"})
    publish = Granted("r", "sns:Publish", "*")
    assert unproved([READ, publish], log, test="tests/a.py") == [("r", "sns:*")]
    monkeypatch.setattr(permission_table, "ELSEWHERE", {})
    assert unneeded([READ, publish], log, role="r") == [publish]


def test_a_call_belongs_to_the_phase_in_which_it_came_first(tmp_path: Path) -> None:
    log = PermissionLog(tmp_path / "log")
    log.end("deploy")
    log.file.write_text(json.dumps(CALL) + "\n")
    log.end("run")
    log.end("destroy")
    assert log.phases == {CALL: "run"}
    assert "run" in table([READ], log, stack="Whippet-dev")
