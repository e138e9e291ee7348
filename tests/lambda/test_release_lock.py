"""The release lock: one run after another, whatever becomes of the one that holds it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from release_lock import handler as release_lock

import contract
from tests.fakes.lambda_context import Context
from tests.fakes.s3 import FakeS3, client_error

KEY = contract.release_lock_key("whippet-dev")
NOW = datetime(2026, 11, 29, 20, tzinfo=UTC)
ONE, TWO = (f"arn:aws:states:eu-west-1:123456789012:execution:whippet-dev:{name}" for name in ("one", "two"))


class Executions:
    """Step Functions, with how each execution goes."""

    def __init__(self, status: str = "RUNNING", *, ended: timedelta = timedelta()) -> None:
        self.status, self.ended = status, NOW - ended

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803
        assert executionArn in (ONE, TWO)
        if self.status == "missing":
            raise client_error("ExecutionDoesNotExist", f"Execution Does Not Exist: '{executionArn}'")
        return {"status": self.status, **({} if self.status == "RUNNING" else {"stopDate": self.ended})}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> FakeS3:
    fake = FakeS3()
    monkeypatch.setattr(release_lock, "s3", fake)
    monkeypatch.setattr(release_lock, "states", Executions())
    return fake


def ask(action: contract.LockAction, execution: str, *, at: datetime = NOW) -> contract.LockAnswer:
    run = execution.rpartition(":")[2]
    event: contract.ReleaseLockInput = {"action": action, "execution": execution, "run": run, "at": at.isoformat()}
    return release_lock.handler(event, Context())  # type: ignore[arg-type]


def test_the_second_run_gets_it_when_the_first_gives_it_back(s3: FakeS3) -> None:
    assert ask("take", ONE)["held"]
    second = ask("take", TWO)
    assert (second["held"], second["holder"]) == (False, f"run one ({ONE})")
    ask("give-back", ONE)
    assert ask("take", TWO)["held"]
    assert not ask("take", ONE)["held"], "it is the other's now"


def test_asking_twice_changes_nothing(s3: FakeS3) -> None:
    """A call whose answer got lost is made again."""
    assert ask("take", ONE)["held"]
    assert ask("take", ONE)["held"]
    ask("give-back", ONE)
    ask("give-back", ONE)
    assert ask("take", TWO)["held"]
    ask("give-back", ONE)
    assert json.loads(s3.objects[KEY])["holder"] == TWO, "what another holds is not given back"


def test_of_two_that_ask_at_once_one_gets_it(s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both read a free lock; the second one's write finds that it has changed."""
    ask("take", ONE)
    ask("give-back", ONE)
    read, between = s3.get_object, iter([lambda: ask("take", ONE)])

    def read_and_be_slow(**asked: Any) -> Any:
        found = read(**asked)
        next(between, lambda: None)()
        return found

    monkeypatch.setattr(s3, "get_object", read_and_be_slow)
    assert not ask("take", TWO)["held"]
    assert json.loads(s3.objects[KEY])["holder"] == ONE


@pytest.mark.parametrize(
    ("status", "ended", "held"),
    [
        ("RUNNING", timedelta(), False),
        ("ABORTED", timedelta(minutes=1), False),
        ("TIMED_OUT", timedelta(minutes=59), False),
        ("ABORTED", timedelta(hours=1), True),
        ("FAILED", timedelta(hours=2), True),
        ("SUCCEEDED", timedelta(), True),
        ("missing", timedelta(), True),
    ],
)
def test_a_lock_whose_run_is_over_is_taken_once_nothing_can_tidy_up_any_more(
    s3: FakeS3, monkeypatch: pytest.MonkeyPatch, status: str, ended: timedelta, held: bool
) -> None:
    ask("take", ONE)
    monkeypatch.setattr(release_lock, "states", Executions(status, ended=ended))
    assert ask("take", TWO)["held"] is held


def test_a_command_that_was_killed_holds_it_for_a_while_only(s3: FakeS3) -> None:
    until = NOW + timedelta(minutes=15)
    lock = contract.ReleaseLock(holder="rollback by jo", run="a-1", at=NOW.isoformat(), until=until.isoformat())
    s3.put_object(Bucket="data", Key=KEY, Body=json.dumps(lock).encode())
    assert ask("take", TWO)["holder"] == "run a-1 (rollback by jo)"
    assert ask("take", TWO, at=until)["held"]


def test_a_lock_that_may_not_be_read_is_an_error(s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or else the run would wait for hours for what never comes."""
    ask("take", ONE)

    def denied(**_: Any) -> Any:
        raise client_error("AccessDenied", "Access Denied", status=403)

    monkeypatch.setattr(s3, "get_object", denied)
    with pytest.raises(Exception, match="Access Denied"):
        ask("take", TWO)


def test_the_lock_is_no_record_of_a_release() -> None:
    assert KEY.startswith(contract.RELEASES_PREFIX)
    assert contract.ReleaseChange.of_key(KEY) is None
