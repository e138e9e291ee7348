"""Every debugger mode, and both answers of a person, in an account that may use SageMaker Debugger: one run each.

The tests of this file build on each other in their order, as those in test_whole_run.py do.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

import contract
from cli.digits import write_digits
from local import control
from tests.system.system import ENDPOINT, INPUT, System, run_of

PATIENCE_SECONDS = 300


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    state = tmp_path_factory.mktemp("debugger-ways")
    system = System(state, environment={"WHIPPET_DEBUGGER_ACCESS": "true"})
    try:
        write_digits(state, train=60, held_out=1)
        system.whippet("up", settings={"debugger.mode": "managed"})
        system.whippet("upload", str(state / "photos"))
        yield system
    finally:
        control.stop(state)
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="module")
def judged() -> dict[str, list[contract.RuleResult]]:
    """The rules' results by debugger mode, which the tests fill in as they go."""
    return {}


def results(system: System) -> list[contract.RuleResult]:
    """Return the rules' results of the last run, from its decision."""
    decision = system.document(run_of(system.last_execution()), contract.Artefact.DECISION)
    rules: list[contract.RuleResult] = decision["rules"]
    return rules


def of_the_training(rules: list[contract.RuleResult]) -> list[dict[str, Any]]:
    """Return the results on tensors, sorted by rule, without their evaluator.

    The profiler's rules are left out: their results depend on how busy the machine was.
    """
    chosen = [rule for rule in rules if contract.RULES[rule["rule"]].kind == "tensor"]
    return [
        {name: value for name, value in rule.items() if name != "evaluator"}
        for rule in sorted(chosen, key=lambda rule: rule["rule"])
    ]


def test_sagemakers_own_rules_are_waited_for(system: System, judged: dict[str, list[contract.RuleResult]]) -> None:
    shown = system.whippet("run", "--input", json.dumps(INPUT)).stdout
    assert "TrainManaged" in shown
    assert "\nRules" not in shown, "the job of ours is not needed"
    job = f"{ENDPOINT}-{run_of(system.last_execution())}-train"
    described = system.client("sagemaker").describe_training_job(TrainingJobName=job)
    statuses = described["DebugRuleEvaluationStatuses"]
    assert {status["RuleEvaluationStatus"] for status in statuses} <= {"NoIssuesFound", "IssuesFound", "Error"}
    judged["managed"] = results(system)
    assert {rule["evaluator"] for rule in judged["managed"] if contract.RULES[rule["rule"]].kind == "tensor"} == {
        "managed"
    }
    asked = {status["RuleConfigurationName"] for status in statuses}
    others = [rule for rule in of_the_training(judged["managed"]) if rule["rule"] not in asked]
    assert {rule["rule"]: rule["status"] for rule in others} == {"PoorWeightInitialization": "NotApplicable"}
    assert len(of_the_training(judged["managed"])) == len(statuses) + 1


def test_rules_of_our_own_say_the_same_and_a_person_may_refuse(
    system: System, judged: dict[str, list[contract.RuleResult]]
) -> None:
    system.whippet("up", settings={"debugger.mode": "own", "release.approval": "manual"})
    before = system.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)["EndpointConfigName"]
    ended, said = _run_and_answer(system, "--reject", "the zeros look odd")
    assert ended == 1
    assert "the model was rejected" in said
    assert "the zeros look odd" in said
    assert system.last_execution()["error"] == "ModelRejected"
    judged["own"] = results(system)
    assert {rule["evaluator"] for rule in judged["own"]} == {"own"}
    assert of_the_training(judged["own"]) == of_the_training(judged["managed"])
    assert system.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)["EndpointConfigName"] == before
    assert _newest_package(system)["ModelApprovalStatus"] == "Rejected"


def test_auto_uses_sagemakers_rules_where_it_may_and_a_person_may_approve(
    system: System, judged: dict[str, list[contract.RuleResult]]
) -> None:
    system.whippet("up", settings={"debugger.mode": "auto", "release.approval": "manual"})
    before = system.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)["EndpointConfigName"]
    ended, said = _run_and_answer(system)
    assert ended == 0, said
    judged["auto"] = results(system)
    assert of_the_training(judged["auto"]) == of_the_training(judged["managed"])
    assert {rule["evaluator"] for rule in judged["auto"]} >= {"managed"}
    assert system.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)["EndpointConfigName"] != before
    assert _newest_package(system)["ModelApprovalStatus"] == "Approved"


def test_an_answered_question_is_answered_once(system: System) -> None:
    again = system.whippet("approve", run_of(system.last_execution()), check=False)
    assert again.returncode == 1
    assert "answered" in again.stderr


def _run_and_answer(system: System, *answer: str) -> tuple[int, str]:
    """Start a run and answer its question; return the exit status of `whippet run` and its output."""
    run = subprocess.Popen(
        system.command("run", "--input", json.dumps(INPUT)),
        env=system.variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        name = _asked(system, process=run)
        assert _newest_package(system)["ModelApprovalStatus"] == "PendingManualApproval"
        system.whippet("approve", name, *answer)
        said, _ = run.communicate(timeout=PATIENCE_SECONDS)
        return run.returncode, said
    finally:
        run.kill()
        run.wait()


def _asked(system: System, *, process: subprocess.Popen[str]) -> str:
    """Wait until the run asks for approval, and return its name."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    stepfunctions = system.client("stepfunctions")
    while time.monotonic() < deadline and process.poll() is None:
        execution = system.last_execution()
        if execution["status"] == "RUNNING":
            history = stepfunctions.get_execution_history(executionArn=execution["executionArn"], maxResults=1000)
            entered = [event.get("stateEnteredEventDetails", {}).get("name") for event in history["events"]]
            name = run_of(execution)
            if "AskApproval" in entered and _stored(system, contract.approval_key(name)):
                return name
        time.sleep(1)
    raise AssertionError(
        f"the run asked nothing: {process.communicate()[0] if process.poll() is not None else 'in time'}"
    )


def _stored(system: System, key: str) -> bool:
    bucket = system.bucket
    return bool(system.client("s3").list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"])


def _newest_package(system: System) -> dict[str, Any]:
    sagemaker = system.client("sagemaker")
    packages = sagemaker.list_model_packages(
        ModelPackageGroupName=ENDPOINT, SortBy="CreationTime", SortOrder="Descending"
    )["ModelPackageSummaryList"]
    described: dict[str, Any] = sagemaker.describe_model_package(ModelPackageName=packages[0]["ModelPackageArn"])
    return described
