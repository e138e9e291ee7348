"""What is lost with a permission, as the test of a whole run tells it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.infra.function_calls import ROOT
from tests.system import permission_table
from tests.system.permission_table import (
    BY_AWS,
    BY_CALLS,
    BY_CODE,
    ELSEWHERE,
    Granted,
    PermissionLog,
    lost_calls,
    superfluous,
    table,
    unneeded,
    unproved,
)

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
    rows = {"tests/a.py": {("r", "s3:*"): "a", ("r", "sns:*"): "b"}, "tests/b.py": {("r", "sqs:*"): "c"}}
    monkeypatch.setattr(permission_table, "BY_CALLS", rows)
    log = PermissionLog(Path("log"), phases={CALL: "run"})
    publish = Granted("r", "sns:Publish", "*")
    test = str(ROOT / "tests/a.py")
    assert unproved([READ], log, test=test) == [("r", "sns:*")]
    assert unproved([READ, publish], log, test=test) == [publish]
    monkeypatch.setattr(permission_table, "ELSEWHERE", {**rows["tests/a.py"], ("r", "sns:Publish"): "tests/c.py"})
    assert unproved([READ, publish], log, test=test) == []
    assert superfluous([READ, publish], log) == [("r", "s3:*")]
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


@pytest.mark.parametrize("test", [*BY_CALLS, *BY_CODE, *BY_AWS])
def test_a_test_that_a_row_names_is_there(test: str) -> None:
    assert (ROOT / test).is_file()


def test_a_row_is_in_one_table_and_names_one_test() -> None:
    assert len(ELSEWHERE) == sum(len(rows) for group in (BY_CALLS, BY_CODE, BY_AWS) for rows in group.values())


@pytest.mark.parametrize("test", BY_CALLS)
def test_a_test_that_proves_rows_by_its_calls_asserts_so(test: str) -> None:
    text = (ROOT / test).read_text(encoding="utf-8")
    assert "assert unproved(" in text
    assert "test=__file__) == []" in text


def said(text: str) -> str:
    """A text without what distinguishes the spellings of a call: PutObject, putObject, put_object."""
    return text.replace("_", "").lower()


def with_stubs(file: Path) -> str:
    """The text of a test and of the stubs that it imports."""
    text = file.read_text(encoding="utf-8")
    stubs = re.findall(r"^ *from (tests\.fakes\.\w+) import", text, re.MULTILINE)
    return "\n".join([text, *(with_stubs(ROOT / f"{name.replace('.', '/')}.py") for name in stubs)])


@pytest.mark.parametrize(("test", "action"), [(test, row[1]) for test, rows in BY_CODE.items() for row in rows])
def test_a_unit_test_that_a_row_names_makes_its_call(test: str, action: str) -> None:
    call = action.partition(" ")[0].partition(":")[2].rstrip("*")
    assert call
    assert said(call) in said(with_stubs(ROOT / test))


@pytest.mark.parametrize(("test", "row"), [(test, row) for test, rows in BY_AWS.items() for row in rows])
def test_a_judge_that_a_row_names_knows_its_service_or_its_role(test: str, row: tuple[str, str]) -> None:
    text, service = (ROOT / test).read_text(encoding="utf-8"), row[1].partition(":")[0]
    known = {"*": row[0], "s3": "CreateModelPackage" if "implied" in test else '"s3:'}
    assert known.get(service, f'"{service}:') in text
