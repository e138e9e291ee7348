"""Every debugger mode, and both answers of a person, in an account that may use SageMaker Debugger: one run each.

The tests of this file build on each other in their order, as those in test_whole_run.py do.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

import contract
from cli.digits import write_digits
from local import control
from local.cloud.permission_log import VARIABLE
from tests.system.approval import run_and_answer
from tests.system.permission_table import PermissionLog, granted, unproved
from tests.system.system import ENDPOINT, INPUT, STACK, System, run_of


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> PermissionLog:
    """The permissions that the roles use."""
    return PermissionLog(tmp_path_factory.mktemp("log") / "permissions.jsonl")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, log: PermissionLog) -> Iterator[System]:
    state = tmp_path_factory.mktemp("debugger-ways")
    system = System(state, environment={"WHIPPET_DEBUGGER_ACCESS": "true", VARIABLE: str(log.file)})
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
    ended, said = run_and_answer(system, "--reject", "the zeros look odd", asked=waits_for_a_person)
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
    ended, said = run_and_answer(system, asked=waits_for_a_person)
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


def waits_for_a_person(system: System) -> None:
    assert _newest_package(system)["ModelApprovalStatus"] == "PendingManualApproval"


def _newest_package(system: System) -> dict[str, Any]:
    sagemaker = system.client("sagemaker")
    packages = sagemaker.list_model_packages(
        ModelPackageGroupName=ENDPOINT, SortBy="CreationTime", SortOrder="Descending"
    )["ModelPackageSummaryList"]
    described: dict[str, Any] = sagemaker.describe_model_package(ModelPackageName=packages[0]["ModelPackageArn"])
    return described


def test_what_others_do_not_need_is_needed_here(system: System, log: PermissionLog) -> None:
    log.end("runs")
    permissions = granted(system.client("iam"), prefix=STACK)
    assert unproved(permissions, log, test=__file__) == []
