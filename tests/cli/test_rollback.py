"""`whippet rollback`: an earlier model serves again, or the reason why not is told and nothing was changed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

import contract
from cli import CliError
from cli.release_lock import hold_release_lock
from cli.rollback import rollback
from contract import NO_HOLDER, ReleaseChange, ReleaseLock, release_lock_key
from infra.outputs import StackOutput
from infra.settings import Settings
from tests.cli.released import BEGIN, IDENTITY, Execution, ReleasedStack, ServingSageMaker, record
from tests.fakes.autoscaling import PLAN
from tests.fakes.s3 import client_error
from tests.fakes.ssm import RECORD, FakeParameter


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    made: list[float] = []
    monkeypatch.setattr("time.sleep", made.append)
    return made


def rolled_back(stack: Any, run: str | None = None, *, reason: str = "", asked: list[str] | None = None) -> str:
    """What the command says."""
    console = Console(record=True, width=500)
    rollback(stack, run, reason=reason, confirm=(asked if asked is not None else []).append, console=console)
    return console.export_text()


def newest_record(stack: Any) -> tuple[str, dict[str, Any]]:
    s3 = stack.client("s3")
    key = max(key for key in s3.objects if ReleaseChange.of_key(key))
    return key, json.loads(s3.objects[key])


def test_the_release_before_serves_again_and_that_is_recorded(pauses: list[float]) -> None:
    sagemaker = ServingSageMaker("c-1")
    stack, asked = ReleasedStack(sagemaker), list[str]()
    said = rolled_back(stack, reason="shirts are called blouses", asked=asked)
    assert sagemaker.calls == ["update to whippet-dev-b-1"]
    assert asked == ["Put the model of run b-1 into service?"]
    assert "in service run c-1: test accuracy 0.9000 (0.8256 to 0.9448) on 100 photos" in said
    assert "the model of run b-1 is in service" in said
    assert "it has answered a request" in said
    assert len(pauses) == 1

    key, written = newest_record(stack)
    assert key == "releases/20261129T080000.000000Z_rolled-back_b-1_c-1.json"
    assert (written["by"], written["why"]) == (IDENTITY, "shirts are called blouses")
    assert sagemaker.approvals == {"a-1": "Approved", "b-1": "Approved", "c-1": "Rejected"}
    assert sagemaker.said == {"c-1": f"Rolled back to run b-1 by {IDENTITY}: shirts are called blouses"}


def test_twice_goes_two_releases_back_and_not_to_and_fro() -> None:
    sagemaker = ServingSageMaker("c-1")
    stack = ReleasedStack(sagemaker)
    rolled_back(stack)
    sagemaker.changed += timedelta(hours=1)
    rolled_back(stack)
    assert sagemaker.calls == ["update to whippet-dev-b-1", "update to whippet-dev-a-1"]


def test_a_named_run_is_put_back_also_forwards() -> None:
    """`b-1` was replaced by the older `a-1`, and is good after all."""
    sagemaker = ServingSageMaker("c-1")
    stack = ReleasedStack(sagemaker)
    rolled_back(stack, "a-1")
    sagemaker.approvals["b-1"] = "Rejected"
    sagemaker.changed += timedelta(hours=1)
    rolled_back(stack, "b-1")
    assert sagemaker.calls == ["update to whippet-dev-a-1", "update to whippet-dev-b-1"]
    assert sagemaker.approvals == {"a-1": "Approved", "b-1": "Approved", "c-1": "Rejected"}


def test_classes_that_only_one_model_knows_are_named_before() -> None:
    def decided(*classes: str) -> bytes:
        return json.dumps({"classes": classes, "test_accuracy": 0.8, "test_images": 7}).encode()

    released = record(0, "released", "c-1", "b-1")
    files = {"runs/b-1/decision.json": decided("coat", "[hat]"), "runs/c-1/decision.json": decided("coat", "shoe")}
    said = rolled_back(ReleasedStack(ServingSageMaker("c-1"), released | files))
    assert "classes no longer known: shoe" in said
    assert "classes known again: [hat]" in said
    assert "put back   run b-1: test accuracy 0.8000 on 7 photos" in said, "of its decision, as no record has it"


def test_who_says_no_changes_nothing() -> None:
    sagemaker = ServingSageMaker("c-1")

    def no(question: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rollback(ReleasedStack(sagemaker), None, reason="", confirm=no, console=Console(record=True))  # type: ignore[arg-type]
    assert sagemaker.calls == []


def test_what_serves_already_is_left_alone() -> None:
    sagemaker = ServingSageMaker("c-1")
    assert "the model of run c-1 is in service already" in rolled_back(ReleasedStack(sagemaker), "c-1")
    assert sagemaker.calls == []


# --- one at a time ----------------------------------------------------------------------------------------------------

LOCK = release_lock_key("whippet-dev")


def locked(stack: Any) -> ReleaseLock:
    lock: ReleaseLock = json.loads(stack.client("s3").objects[LOCK])
    return lock


def lock_of(holder: str, *, until: str = "") -> dict[str, bytes]:
    """A lock in the bucket that somebody holds for run d-1, and the records."""
    held = json.dumps(ReleaseLock(holder=holder, run="d-1", at=datetime.now(UTC).isoformat(), until=until)).encode()
    return {LOCK: held, **record(0, "released", "b-1", ""), **record(1, "released", "c-1", "b-1")}


def test_no_run_releases_during_a_rollback() -> None:
    sagemaker = ServingSageMaker("c-1")
    stack, held = ReleasedStack(sagemaker), list[ReleaseLock]()
    update = sagemaker.update_endpoint

    def seen(**request: str) -> None:
        held.append(locked(stack))
        update(**request)

    sagemaker.update_endpoint = seen  # type: ignore[method-assign]
    rolled_back(stack)
    assert [(lock["holder"].split(" (")[0], lock["run"]) for lock in held] == [
        (f"whippet rollback by {IDENTITY}", "b-1")
    ]
    assert datetime.fromisoformat(held[0]["until"]) > datetime.now(UTC)
    assert locked(stack)["holder"] == NO_HOLDER


def test_a_rollback_that_fails_gives_the_lock_back() -> None:
    sagemaker = ServingSageMaker("c-1")
    sagemaker.fails = "no such image"
    stack = ReleasedStack(sagemaker)
    with pytest.raises(CliError, match="no such image"):
        rolled_back(stack)
    assert locked(stack)["holder"] == NO_HOLDER


@pytest.mark.parametrize(
    ("status", "ago", "words"),
    [
        ("RUNNING", None, "run d-1 is releasing its model"),
        ("ABORTED", timedelta(minutes=5), "run d-1 is releasing its model"),
        ("ABORTED", timedelta(hours=2), None),
        ("SUCCEEDED", timedelta(), None),
    ],
)
def test_a_rollback_waits_for_the_run_that_holds_the_lock(
    status: str, ago: timedelta | None, words: str | None
) -> None:
    sagemaker = ServingSageMaker("c-1")
    stack = ReleasedStack(sagemaker, lock_of("arn:9"))
    described = {"status": status} | ({} if ago is None else {"stopDate": datetime.now(UTC) - ago})
    stack.clients["stepfunctions"].describe_execution = lambda **_: described
    if words is None:
        rolled_back(stack)
        assert sagemaker.calls == ["update to whippet-dev-b-1"]
        return
    with pytest.raises(CliError, match=words):
        rolled_back(stack)
    assert sagemaker.calls == []
    assert locked(stack)["holder"] == "arn:9"


@pytest.mark.parametrize(("left", "refused"), [(timedelta(minutes=2), True), (timedelta(), False)])
def test_another_commands_hold_lapses(left: timedelta, refused: bool) -> None:
    until = (datetime.now(UTC) + left).isoformat()
    stack = ReleasedStack(ServingSageMaker("c-1"), lock_of("whippet rollback by al", until=until))
    if refused:
        with pytest.raises(CliError, match="whippet rollback by al puts the model of run d-1 into service"):
            rolled_back(stack)
    else:
        assert "is in service" in rolled_back(stack)


def test_a_hold_is_renewed_while_the_endpoint_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = ReleasedStack(ServingSageMaker("c-1"))
    with hold_release_lock(stack, run="b-1", by="jo") as keep:  # type: ignore[arg-type]
        first = locked(stack)
        keep()
        assert locked(stack) == first, "there is time left"
        monkeypatch.setattr("cli.release_lock._RENEW", timedelta(hours=1))
        keep()
        assert locked(stack)["until"] > first["until"]

        stack.client("s3").put_object(Bucket="data", Key=LOCK, Body=lock_of("arn:9")[LOCK])
        with pytest.raises(CliError, match="a run has taken the release lock over"):
            keep()
    assert locked(stack)["holder"] == "arn:9", "another's lock is not given back"


# --- interrupted ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", [None, "b-1"])
def test_an_update_that_an_interrupted_command_began_is_waited_for(run: str | None) -> None:
    sagemaker = ServingSageMaker("c-1", status="Updating")
    sagemaker.pending = "whippet-dev-b-1"
    stack, asked = ReleasedStack(sagemaker), list[str]()
    rolled_back(stack, run, asked=asked)
    assert (sagemaker.calls, asked) == ([], [])
    assert newest_record(stack)[0].endswith("_rolled-back_b-1_c-1.json")


@pytest.mark.parametrize("run", [None, "b-1"])
def test_what_an_interrupted_command_left_out_is_made_good_and_nothing_further_is_rolled_back(run: str | None) -> None:
    sagemaker = ServingSageMaker("b-1")
    stack = ReleasedStack(sagemaker)
    said = rolled_back(stack, run)
    assert "no record says so, as after an interrupted rollback from run c-1" in said
    assert sagemaker.calls == []
    assert newest_record(stack)[0].endswith("_rolled-back_b-1_c-1.json")
    assert sagemaker.approvals["c-1"] == "Rejected"
    assert "in service already" in rolled_back(stack, "b-1")


def test_an_interrupted_way_forwards_is_made_good_by_the_same_command() -> None:
    """`c-1` had been rolled back, and was put back by its name."""
    story = (
        record(0, "released", "b-1", "") | record(1, "released", "c-1", "b-1") | record(2, "rolled-back", "b-1", "c-1")
    )
    sagemaker = ServingSageMaker("c-1")
    sagemaker.approvals["c-1"] = "Rejected"
    stack = ReleasedStack(sagemaker, story)
    assert "as after an interrupted rollback from run b-1" in rolled_back(stack, "c-1")
    assert newest_record(stack)[0].endswith("_rolled-back_c-1_b-1.json")
    assert (sagemaker.approvals["b-1"], sagemaker.approvals["c-1"]) == ("Approved", "Approved")


def test_without_any_record_what_serves_is_left_alone() -> None:
    stack = ReleasedStack(ServingSageMaker("c-1"), {})
    assert "in service already" in rolled_back(stack, "c-1")
    assert stack.client("s3").objects == {}


def test_a_reason_of_several_lines_becomes_one() -> None:
    stack = ReleasedStack(ServingSageMaker("c-1"))
    rolled_back(stack, reason="shirts\n are   blouses")
    assert newest_record(stack)[1]["why"] == "shirts are blouses"


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sagemaker", "run", "words"),
    [
        (
            ServingSageMaker("c-1", kept=("b-1", "c-1")),
            "a-1",
            r"run a-1 has no .*these still have a model: b-1 .*release\.kept",
        ),
        (ServingSageMaker("c-1", kept=("c-1",)), None, r"there is no earlier release to put back .*release\.kept"),
        (
            ServingSageMaker("c-1", kept=("c-1", "x-1")),
            None,
            "no record tells of .* before run c-1 .*: x-1 .*RUN",
        ),
        (ServingSageMaker(None), None, "no model is in service on this machine: release one with `whippet run`"),
        (ServingSageMaker("c-1", status="Failed"), None, "no model is in service"),
        (
            ServingSageMaker("c-1", status="Updating"),
            None,
            "is Updating: a run or somebody else changes it",
        ),
        (ServingSageMaker("c-1", status="OutOfService"), None, "is OutOfService, and SageMaker updates none"),
    ],
)
def test_where_it_cannot_be_done_it_says_why(sagemaker: ServingSageMaker, run: str | None, words: str) -> None:
    with pytest.raises(CliError, match=words):
        rolled_back(ReleasedStack(sagemaker), run)
    assert sagemaker.calls == []


@pytest.mark.parametrize("approval", ["Rejected", "PendingManualApproval"])
def test_a_model_that_was_never_released_is_not_put_into_service(approval: str) -> None:
    sagemaker = ServingSageMaker("c-1", kept=("b-1", "c-1", "x-1"))
    sagemaker.approvals["x-1"] = approval
    with pytest.raises(CliError, match=r"run x-1 never served and is not approved .*these still have a model: b-1$"):
        rolled_back(ReleasedStack(sagemaker), "x-1")
    assert sagemaker.calls == []


def test_a_model_that_was_rolled_back_may_serve_again() -> None:
    sagemaker = ServingSageMaker("c-1")
    sagemaker.approvals["b-1"] = "Rejected"
    rolled_back(ReleasedStack(sagemaker), "b-1")
    assert sagemaker.calls == ["update to whippet-dev-b-1"]
    assert sagemaker.approvals["b-1"] == "Approved"


def test_a_configuration_without_its_model_is_passed_over() -> None:
    sagemaker = ServingSageMaker("c-1")
    sagemaker.models.remove("b-1")
    with pytest.raises(CliError, match="run b-1 has no endpoint configuration and model"):
        rolled_back(ReleasedStack(sagemaker), "b-1")
    rolled_back(ReleasedStack(sagemaker))
    assert sagemaker.calls == ["update to whippet-dev-a-1"]


def test_a_change_to_something_else_is_not_taken_for_its_own() -> None:
    sagemaker = ServingSageMaker("c-1", status="Updating")
    sagemaker.pending = "whippet-dev-d-1"
    with pytest.raises(CliError, match="Updating to whippet-dev-d-1: a run or somebody else changes it"):
        rolled_back(ReleasedStack(sagemaker))


def test_a_model_that_sleeps_is_to_be_woken_first() -> None:
    stack = ReleasedStack(ServingSageMaker(None), ssm=FakeParameter("whippet-dev-c-1"))
    stack.outputs[StackOutput.SLEEP_RECORD] = RECORD
    with pytest.raises(CliError, match="sleeps: wake it with `whippet wake`, then roll it back"):
        rolled_back(stack)


def test_a_real_time_endpoint_is_not_made_serverless() -> None:
    sagemaker = ServingSageMaker("c-1")
    sagemaker.real_time = ("c-1",)
    with pytest.raises(CliError, match=r"b-1 is serverless and the endpoint real-time.*serving\.mode=serverless"):
        rolled_back(ReleasedStack(sagemaker))
    assert sagemaker.calls == []


@pytest.mark.parametrize("real_time", [("b-1",), ("b-1", "c-1")])
def test_any_endpoint_becomes_a_real_time_one(real_time: tuple[str, ...]) -> None:
    sagemaker = ServingSageMaker("c-1")
    sagemaker.real_time = real_time
    rolled_back(ReleasedStack(sagemaker))
    assert sagemaker.calls == ["update to whippet-dev-b-1"]


@pytest.mark.parametrize("state", ["CreateModel", "Rollout?", "SmokeTest", "RestoreEndpoint"])
def test_a_run_that_releases_is_not_disturbed(state: str) -> None:
    sagemaker = ServingSageMaker("c-1")
    with pytest.raises(CliError, match=rf"is releasing its model \(state {state.replace('?', '.')}\): try again"):
        rolled_back(ReleasedStack(sagemaker, stepfunctions=Execution(state)))
    assert sagemaker.calls == []


@pytest.mark.parametrize("state", ["Train", "Report"])
def test_another_run_is_only_mentioned(state: str) -> None:
    said = rolled_back(ReleasedStack(ServingSageMaker("c-1"), stepfunctions=Execution(state)))
    assert "is going on: if its model is accepted, it takes the place of the one put back" in said


def test_who_is_overtaken_is_told_so() -> None:
    sagemaker = ServingSageMaker("c-1")
    sagemaker.refusal = client_error("ValidationException", 'Cannot update in-progress endpoint "arn".')
    with pytest.raises(CliError, match="is being changed by now"):
        rolled_back(ReleasedStack(sagemaker))
    sagemaker.refusal = client_error("AccessDeniedException", "not authorized")
    with pytest.raises(Exception, match="not authorized"):
        rolled_back(ReleasedStack(sagemaker))


# --- what goes wrong afterwards ---------------------------------------------------------------------------------------


def test_an_update_that_sagemaker_takes_back_is_no_rollback() -> None:
    sagemaker = ServingSageMaker("c-1")
    sagemaker.fails = "The container did not pass the ping health check."
    stack = ReleasedStack(sagemaker)
    with pytest.raises(CliError, match="with whippet-dev-c-1, not with whippet-dev-b-1: The container did not pass"):
        rolled_back(stack)
    assert newest_record(stack)[0].endswith("_released_c-1_b-1.json")
    assert sagemaker.approvals["c-1"] == "Approved"


def test_an_endpoint_that_takes_its_time_to_answer_is_asked_again(pauses: list[float]) -> None:
    stack = ReleasedStack(ServingSageMaker("c-1"))
    stack.runtime.failures = [client_error("ModelError", "starting")] * 2
    assert "it has answered a request" in rolled_back(stack)
    assert len(pauses) == 3


def test_an_endpoint_that_does_not_answer_is_told_and_the_record_is_true() -> None:
    stack = ReleasedStack(ServingSageMaker("c-1"))
    stack.runtime.failures = [client_error("ModelError", "broken")] * 3
    with pytest.raises(CliError, match=r"has the configuration whippet-dev-b-1, but does not answer: .*broken"):
        rolled_back(stack)
    assert newest_record(stack)[0].endswith("_rolled-back_b-1_c-1.json")


def test_an_answer_of_another_model_is_told() -> None:
    stack = ReleasedStack(ServingSageMaker("c-1"))
    stack.runtime.answer = {"model": {"release": "whippet-dev-c-1"}}
    with pytest.raises(CliError, match="answers with whippet-dev-c-1, not with whippet-dev-b-1"):
        rolled_back(stack)


@pytest.mark.parametrize("answer", [[{"label": "coat", "score": 1.0}], {"label": "coat"}])
def test_the_answer_of_an_early_release_names_no_model(answer: Any) -> None:
    stack = ReleasedStack(ServingSageMaker("c-1"))
    stack.runtime.answer = answer
    assert "it has answered a request" in rolled_back(stack)


def test_times_are_the_endpoints_own_and_not_this_machines() -> None:
    stack = ReleasedStack(ServingSageMaker("c-1"))
    rolled_back(stack)
    assert newest_record(stack)[1]["at"] == (BEGIN + timedelta(hours=10)).isoformat()


def scaled_stack(sagemaker: ServingSageMaker) -> Any:
    """A stack whose endpoint scales, all of whose releases are real-time."""
    stack: Any = ReleasedStack(sagemaker)
    stack.settings = Settings.model_validate({"serving": {"mode": "realtime"}, "scaling": {"max_instances": 4}})
    sagemaker.real_time = ("a-1", "b-1", "c-1")
    stack.autoscaling.register_scalable_target(**contract.scalable_range(PLAN))
    stack.autoscaling.calls.clear()
    return stack


def test_an_endpoint_that_scales_keeps_its_instances() -> None:
    sagemaker = ServingSageMaker("c-1")
    stack = scaled_stack(sagemaker)
    said = rolled_back(stack)
    assert sagemaker.retained == contract.retained_properties()
    assert stack.autoscaling.calls == ["scale 1 to 4"], "it was never ended"
    assert "it scales between 1 and 4 instances" in said


def test_other_machines_scale_again_once_they_serve() -> None:
    sagemaker = ServingSageMaker("c-1")
    sagemaker.machines = {"b-1": "ml.c5.large"}
    stack = scaled_stack(sagemaker)
    rolled_back(stack)
    assert sagemaker.retained == contract.retained_properties()
    assert stack.autoscaling.calls == ["scale no more", "scale 1 to 4"]


def test_without_scaling_an_update_keeps_nothing() -> None:
    sagemaker = ServingSageMaker("c-1")
    stack: Any = ReleasedStack(sagemaker)
    rolled_back(stack)
    assert (sagemaker.retained, stack.autoscaling.calls) == ({}, [])


def test_scaling_that_is_refused_is_told_after_the_model_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    sagemaker = ServingSageMaker("c-1")
    stack = scaled_stack(sagemaker)
    denied = client_error("AccessDeniedException", "is not authorized")

    def refuse(**_: Any) -> None:
        raise denied

    monkeypatch.setattr(stack.autoscaling, "put_scaling_policy", refuse)
    with pytest.raises(CliError, match=r"the model serves, and the endpoint does not scale: .*not authorized"):
        rolled_back(stack)
    assert newest_record(stack)[1]["run"] == "b-1"
