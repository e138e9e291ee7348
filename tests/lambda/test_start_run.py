"""StartRun: one event starts one run, and none beside a run that goes on for the same photos."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from start_run import handler as start_run
from start_run.claim import Claims
from start_run.event import UnknownEventError

import contract
from tests.fakes.lambda_context import Context
from tests.fakes.s3 import FakeS3, client_error
from tests.fakes.topic import FakeTopic

KEY = contract.start_lock_key("whippet-dev")
MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:whippet-dev"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def at(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def ready(sequencer: str = "0A", *, moment: datetime = NOW) -> dict[str, Any]:
    """As S3 sends it ("Amazon S3 event notifications to EventBridge")."""
    stored = {"key": "dataset/READY", "size": 0, "etag": "e", "version-id": f"v{sequencer}", "sequencer": sequencer}
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "time": at(moment),
        "detail": {"version": "0", "bucket": {"name": "data"}, "object": stored, "reason": "PutObject"},
    }


def schedule(moment: datetime = NOW) -> dict[str, Any]:
    return {"detail-type": contract.SCHEDULE_DETAIL_TYPE, "time": at(moment)}


def drift(number: int = 1, *, moment: datetime = NOW) -> dict[str, Any]:
    return {
        "id": f"event-{number}",
        "detail-type": contract.DRIFT_DETAIL_TYPE,
        "source": contract.EVENT_SOURCE,
        "time": at(moment),
        "detail": {"environment": "dev"},
    }


class States:
    """Step Functions, which starts an execution of a name once."""

    def __init__(self) -> None:
        self.executions: list[dict[str, Any]] = []
        self.now = NOW
        self.refusal: Exception | None = None

    def add(self, name: str, *, started: datetime, status: str = "RUNNING", given: str = "{}") -> None:
        execution = f"{MACHINE.replace('stateMachine', 'execution')}:{name}"
        self.executions.insert(
            0, {"name": name, "executionArn": execution, "startDate": started, "status": status, "input": given}
        )

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> dict[str, Any]:  # noqa: A002, N803
        assert stateMachineArn == MACHINE
        if self.refusal is not None:
            raise self.refusal
        for each in self.executions:
            if each["name"] == name:
                if each["status"] == "RUNNING" and each["input"] == input:
                    return each
                raise client_error("ExecutionAlreadyExists", f"Execution Already Exists: '{name}'")
        self.add(name, started=self.now, given=input)
        return self.executions[0]

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803
        for each in self.executions:
            if each["executionArn"] == executionArn:
                return each
        raise client_error("ExecutionDoesNotExist", f"Execution Does Not Exist: '{executionArn}'")

    def get_paginator(self, operation: str) -> States:
        assert operation == "list_executions"
        return self

    def paginate(self, *, stateMachineArn: str, statusFilter: str | None = None) -> Iterator[dict[str, Any]]:  # noqa: N803
        assert stateMachineArn == MACHINE
        found = [each for each in self.executions if statusFilter in (None, each["status"])]
        for start in range(0, len(found), 2):
            yield {"executions": found[start : start + 2]}

    @property
    def started(self) -> list[str]:
        """What started each of the executions, the newest first."""
        return [contract.trigger_of(each["name"]) or "a person" for each in self.executions]


class Versions(FakeS3):
    """The versions and delete markers of the bucket, beside its objects."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: list[tuple[str, datetime]] = [("dataset/cat/1.jpg", NOW - timedelta(days=3))]
        self.markers: list[tuple[str, datetime]] = []

    def get_paginator(self, operation: str) -> Versions:
        assert operation == "list_object_versions"
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        assert (Bucket, Prefix) == ("data", "dataset/")
        yield {}
        for member, items in (("Versions", self.versions), ("DeleteMarkers", self.markers)):
            yield {member: [{"Key": key, "LastModified": moment} for key, moment in items]}


class World:
    """What the function meets, and what came of it."""

    def __init__(self) -> None:
        self.states, self.s3, self.topic = States(), Versions(), FakeTopic()

    def tell(self, event: dict[str, Any]) -> contract.TriggerOutcome:
        context: Any = Context()
        return start_run.handler(event, context)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    for name, client in (("states", made.states), ("s3", made.s3), ("sns", made.topic)):
        monkeypatch.setattr(start_run, name, client)
    for name, value in {
        "BUCKET": "data",
        "DATASET_PREFIX": "dataset/",
        "DRIFT_DAYS": "7",
        "START_LOCK": KEY,
        "STATE_MACHINE_ARN": MACHINE,
        "TOPIC_ARN": "arn:topic",
    }.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.mark.parametrize(
    ("event", "trigger", "words"),
    [
        (ready(), "ready", f"s3://data/dataset/READY was uploaded at {at(NOW)}"),
        (schedule(), "schedule", f"The schedule of {at(NOW)}"),
        (drift(), "drift", f"Drift was found at {at(NOW)}"),
    ],
    ids=["ready", "schedule", "drift"],
)
def test_an_event_starts_a_run_that_says_why(world: World, event: dict[str, Any], trigger: str, words: str) -> None:
    outcome = world.tell(event)
    (execution,) = world.states.executions
    assert outcome == {"trigger": trigger, "execution": execution["executionArn"], "why_not": ""}
    assert contract.trigger_of(execution["name"]) == trigger
    assert json.loads(execution["input"]) == {"Comment": words}
    assert world.topic.published == []


@pytest.mark.parametrize("event", [ready(), schedule(), drift()], ids=["ready", "schedule", "drift"])
@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "FAILED"])
def test_an_event_that_is_delivered_again_starts_no_second_run(
    world: World, event: dict[str, Any], status: str
) -> None:
    first = world.tell(event)
    world.states.executions[0]["status"] = status
    again = world.tell(dict(event))
    assert len(world.states.executions) == 1
    if not (event["detail-type"] == contract.DRIFT_DETAIL_TYPE and status != "RUNNING"):
        assert again == first
    assert world.topic.published == [], "nobody is told of what is no failure"


def test_two_deliveries_at_once_start_one_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither sees the other's execution in the list."""
    monkeypatch.setattr(start_run, "going_on", lambda *_: [])
    assert world.tell(ready()) == world.tell(ready())
    assert len(world.states.executions) == 1


ALL: dict[str, Callable[[], dict[str, Any]]] = {"ready": ready, "schedule": schedule, "drift": drift}


@pytest.mark.parametrize("first", ALL)
@pytest.mark.parametrize("second", ALL)
def test_two_events_of_the_same_second_start_one_run(
    world: World, monkeypatch: pytest.MonkeyPatch, first: str, second: str
) -> None:
    """Neither sees the other's execution in the list; the second comes between the first's look and its start."""
    monkeypatch.setattr(start_run, "going_on", lambda *_: [])
    monkeypatch.setattr("time.sleep", lambda _: None)
    outcomes: list[contract.TriggerOutcome] = []
    put = world.s3.put_object

    def meanwhile(**written: Any) -> dict[str, Any]:
        """What the first is about to write comes too late."""
        monkeypatch.setattr(world.s3, "put_object", put)
        outcomes.append(world.tell(ALL[second]()))
        return put(**written)

    monkeypatch.setattr(world.s3, "put_object", meanwhile)
    outcomes.append(world.tell(ALL[first]()))
    assert len(world.states.executions) == 1
    assert [bool(each["execution"]) for each in outcomes] == [True, first == second]
    if first != second:
        assert "goes on" in outcomes[1]["why_not"]


def test_a_start_that_another_is_about_to_make_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    name = contract.triggered_name("ready", "another upload")
    Claims(world.s3, world.states, bucket="data", key=KEY, machine=MACHINE).take(name)  # type: ignore[arg-type]
    monkeypatch.setattr("time.sleep", lambda _: world.states.add(name, started=NOW))
    assert "goes on" in world.tell(schedule())["why_not"]
    assert world.states.started == ["ready"]


def test_the_claim_of_one_that_was_killed_before_its_start_lapses(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = datetime.now(UTC) - contract.START_HOLD
    world.s3.objects[KEY] = json.dumps({"name": "schedule-killed", "at": old.isoformat()}).encode()
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("nobody is waited for"))
    world.tell(drift())
    assert world.states.started == ["drift"]


def test_a_claim_that_may_not_be_written_fails_the_function(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise client_error("AccessDenied", "is not authorized to perform: s3:PutObject", status=403)

    monkeypatch.setattr(world.s3, "put_object", refuse)
    with pytest.raises(Exception, match="not authorized"):
        world.tell(ready())
    assert world.states.executions == []


def test_each_upload_starts_a_run_of_its_own(world: World) -> None:
    world.tell(ready("0A"))
    world.states.executions[0]["status"] = "SUCCEEDED"
    world.tell(ready("0B"))
    assert world.states.started == ["ready", "ready"]


def test_a_second_upload_of_ready_beside_a_run_for_the_same_photos_is_told(world: World) -> None:
    world.tell(ready("0A"))
    world.s3.versions.append(("dataset/READY", NOW + timedelta(minutes=5)))
    outcome = world.tell(ready("0B", moment=NOW + timedelta(minutes=5)))
    assert outcome["execution"] == ""
    assert "which began after the last change below s3://data/dataset/" in outcome["why_not"]
    assert len(world.states.executions) == 1
    (message,) = world.topic.published
    assert message["Subject"] == "whippet: the object READY started no run"
    assert "`whippet run`" in message["Message"]


@pytest.mark.parametrize("change", ["versions", "markers"])
def test_photos_that_changed_since_a_run_began_are_worth_another(world: World, change: str) -> None:
    world.states.add("by-hand", started=NOW - timedelta(hours=2))
    getattr(world.s3, change).append(("dataset/cat/2.jpg", NOW - timedelta(hours=1)))
    world.tell(ready())
    assert world.states.started == ["ready", "a person"]


def test_a_run_for_other_photos_does_not_count(world: World) -> None:
    world.states.add("by-hand", started=NOW - timedelta(hours=2), given='{"dataset_prefix": "other/"}')
    world.tell(ready())
    assert world.states.started == ["ready", "a person"]


def test_a_run_with_an_event_as_its_input_counts(world: World) -> None:
    world.states.add("by-rule", started=NOW - timedelta(hours=2), given=json.dumps(["not an object"]))
    assert world.tell(ready())["execution"] == ""


@pytest.mark.parametrize(("event", "told"), [(schedule(), 1), (drift(), 0)], ids=["schedule", "drift"])
def test_nothing_comes_beside_a_run(world: World, event: dict[str, Any], told: int) -> None:
    """Drift is told by its own alarm for as long as it lasts."""
    world.states.add("by-hand", started=NOW - timedelta(hours=2))
    outcome = world.tell(event)
    run = contract.run_id("by-hand", started=NOW - timedelta(hours=2))
    assert outcome["why_not"] == f"run {run} of 2026-11-29 10:00 UTC goes on"
    assert len(world.states.executions) == 1
    assert len(world.topic.published) == told


def test_drift_that_lasts_starts_a_run_every_seven_days(world: World) -> None:
    for day in range(15):
        world.states.now = NOW + timedelta(days=day)
        world.tell(drift(day, moment=world.states.now))
        for execution in world.states.executions:
            execution["status"] = "FAILED"
    started = sorted((each["startDate"] - NOW).days for each in world.states.executions)
    assert started == [0, 7, 14]


def test_runs_that_others_started_do_not_hold_drift_back(world: World) -> None:
    for number in range(5):
        world.states.add(f"by-hand-{number}", started=NOW - timedelta(days=1), status="SUCCEEDED")
    world.tell(drift())
    assert world.states.started[0] == "drift"


def test_a_refusal_fails_the_function_so_that_lambda_tries_again(world: World) -> None:
    world.states.refusal = client_error("AccessDeniedException", "is not authorized to perform: states:StartExecution")
    with pytest.raises(Exception, match="not authorized"):
        world.tell(ready())


def test_another_event_is_refused_with_those_that_are_known(world: World) -> None:
    with pytest.raises(UnknownEventError, match=r"'Object Deleted' starts no run; expected Object Created"):
        world.tell(ready() | {"detail-type": "Object Deleted"})
