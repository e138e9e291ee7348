"""Debugger: who may use it, which requests are refused, tensors in S3, and how rules end."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from local.sagemaker import DebuggerAccess, SageMakerError
from tests.local.sagemaker.conftest import IMAGE, FakeHost, Jobs, eventually

RULES_IMAGE = "503895931360.dkr.ecr.us-east-1.amazonaws.com/rules:latest"


def rule(name: str, **parameters: str) -> dict[str, Any]:
    return {
        "RuleConfigurationName": name,
        "RuleEvaluatorImage": RULES_IMAGE,
        "RuleParameters": {"rule_to_invoke": name, **parameters},
    }


def hook(jobs: Jobs, **members: Any) -> dict[str, Any]:
    return {"S3OutputPath": f"s3://{jobs.bucket}/debug/", "LocalPath": "/opt/ml/output/tensors", **members}


@pytest.fixture
def debugging(jobs: Jobs, host: FakeHost) -> Jobs:
    """Jobs of an account that may use Debugger."""
    host.debugger_access = DebuggerAccess.GRANTED
    return jobs


def evaluated(jobs: Jobs, name: str, member: str = "DebugRuleEvaluationStatuses") -> dict[str, dict[str, Any]]:
    """Every rule's status once all are final."""

    def look() -> dict[str, dict[str, Any]] | None:
        found = jobs.describe(name)[member]
        over = all(entry["RuleEvaluationStatus"] != "InProgress" for entry in found)
        return {entry["RuleConfigurationName"]: entry for entry in found} if over else None

    result: dict[str, dict[str, Any]] = eventually(look)
    return result


def keys(s3: Any, bucket: str, prefix: str) -> set[str]:
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return {entry["Key"].removeprefix(prefix) for entry in listed}


@pytest.mark.parametrize(
    "members",
    [
        {"DebugHookConfig": {"S3OutputPath": "s3://b/debug"}},
        {"DebugRuleConfigurations": [rule("LossNotDecreasing")]},
        {"ProfilerConfig": {"S3OutputPath": "s3://b/profile"}},
        {"ProfilerRuleConfigurations": [rule("ProfilerReport")]},
    ],
    ids=lambda members: next(iter(members)),
)
def test_an_account_that_never_had_debugger_is_refused(jobs: Jobs, members: dict[str, Any]) -> None:
    with pytest.raises(SageMakerError, match="no longer available to new customers") as error:
        jobs.start("new-customer", **members)
    assert error.value.code == "AccessDeniedException"
    with pytest.raises(SageMakerError, match="not found"):
        jobs.describe("new-customer")


def test_tensors_go_to_s3_and_rules_end_after_their_job(debugging: Jobs, s3: Any, host: FakeHost) -> None:
    job = debugging.run(
        "evaluated",
        hyperparameters={"action": "save", "loss": "3.5"},
        DebugHookConfig=hook(debugging),
        DebugRuleConfigurations=[rule("LossNotDecreasing"), rule("Kept")],
        ProfilerConfig={"S3OutputPath": f"s3://{debugging.bucket}/debug/", "ProfilingIntervalInMilliseconds": 500},
        ProfilerRuleConfigurations=[rule("Profile")],
    )
    assert job["TrainingJobStatus"] == "Completed"
    found = evaluated(debugging, "evaluated")
    assert (found["LossNotDecreasing"]["RuleEvaluationStatus"], found["LossNotDecreasing"]["StatusDetails"]) == (
        "IssuesFound", "LossNotDecreasing: 3.5",
    )  # fmt: skip
    assert found["Kept"]["RuleEvaluationStatus"] == "NoIssuesFound"
    arn = found["LossNotDecreasing"]["RuleEvaluationJobArn"]
    assert re.fullmatch(
        r"arn:aws:sagemaker:us-east-1:\d{12}:processing-job/evaluated-lossnotdecreasing-[0-9a-f]{8}", arn
    )
    profiled = evaluated(debugging, "evaluated", "ProfilerRuleEvaluationStatuses")
    assert profiled["Profile"]["StatusDetails"] == "read"
    saved = keys(s3, debugging.bucket, "debug/evaluated/debug-output/")
    assert saved == {"events/0.tfevents", "training_job_end.ts"}, "and no file that the hook still writes to"
    kind, last, _ = host.events[-1]
    assert kind == "SageMaker Training Job State Change"
    assert last["TrainingJobStatus"] == "Completed"
    ends = {entry["RuleConfigurationName"]: entry for entry in last["DebugRuleEvaluationStatuses"]}
    assert ends["LossNotDecreasing"]["RuleEvaluationStatus"] == "IssuesFound"
    assert isinstance(ends["LossNotDecreasing"]["LastModifiedTime"], int), "events carry milliseconds"


def test_rules_are_in_progress_while_the_job_runs(debugging: Jobs) -> None:
    members = {"DebugHookConfig": hook(debugging), "DebugRuleConfigurations": [rule("LossNotDecreasing")]}
    debugging.start("running", hyperparameters={"action": "wait"}, **members)
    (status,) = debugging.describe("running")["DebugRuleEvaluationStatuses"]
    assert status["RuleEvaluationStatus"] == "InProgress"
    assert "StatusDetails" not in status
    eventually(lambda: debugging.describe("running")["SecondaryStatus"] == "Training")
    debugging.sagemaker.call("StopTrainingJob", {"TrainingJobName": "running"})
    assert debugging.ended("running")["TrainingJobStatus"] == "Stopped"
    assert evaluated(debugging, "running")["LossNotDecreasing"]["RuleEvaluationStatus"] == "Error"


def test_the_rules_of_a_failed_job_are_evaluated_too(debugging: Jobs) -> None:
    members = {"DebugHookConfig": hook(debugging), "DebugRuleConfigurations": [rule("LossNotDecreasing", limit="1")]}
    job = debugging.run("failing", hyperparameters={"action": "save-and-fail", "loss": "1.5"}, **members)
    assert job["TrainingJobStatus"] == "Failed"
    assert evaluated(debugging, "failing")["LossNotDecreasing"]["RuleEvaluationStatus"] == "IssuesFound"


def test_a_role_that_may_not_pull_the_rules_image_ends_them_as_error(debugging: Jobs, host: FakeHost) -> None:
    """As on AWS, where a rule is a processing job under the training job's role (A-05)."""
    host.forbidden = {"ecr:BatchGetImage"}
    members = {"DebugHookConfig": hook(debugging), "DebugRuleConfigurations": [rule("Kept")]}
    job = debugging.run("unpulled", hyperparameters={"action": "save"}, **members)
    assert job["TrainingJobStatus"] == "Completed"
    found = evaluated(debugging, "unpulled")["Kept"]
    assert found["RuleEvaluationStatus"] == "Error"
    repository = "arn:aws:ecr:us-east-1:503895931360:repository/rules"
    assert f"ecr:BatchGetImage on resource: {repository}" in found["StatusDetails"]


def test_an_account_may_accept_rules_and_evaluate_none(
    debugging: Jobs, host: FakeHost, s3: Any, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    host.debugger_access = DebuggerAccess.UNEVALUATED
    members = {
        "DebugHookConfig": hook(debugging),
        "DebugRuleConfigurations": [rule("Slow")],
        "ProfilerConfig": {"S3OutputPath": f"s3://{debugging.bucket}/debug/"},
        "ProfilerRuleConfigurations": [rule("Profile")],
    }
    job = debugging.run("unevaluated", hyperparameters={"action": "save"}, **members)
    assert job["TrainingJobStatus"] == "Completed"
    eventually(lambda: "training_job_end.ts" in keys(s3, debugging.bucket, "debug/unevaluated/debug-output/"))
    described = debugging.describe("unevaluated")
    assert described["DebugRuleConfigurations"][0]["RuleConfigurationName"] == "Slow"
    assert not {"DebugRuleEvaluationStatuses", "ProfilerRuleEvaluationStatuses"} & set(described)
    eventually(lambda: not list((root / "rule-evaluations").iterdir()), seconds=10)
    assert not (root / "evaluating").exists()
    assert not [record for record in caplog.records if record.levelname == "ERROR"], "nobody tried to evaluate them"


def test_an_account_may_accept_rules_and_end_all_of_them_as_error(debugging: Jobs, host: FakeHost) -> None:
    host.debugger_access = DebuggerAccess.ERROR
    members = {"DebugHookConfig": hook(debugging), "DebugRuleConfigurations": [rule("Kept"), rule("LossNotDecreasing")]}
    debugging.run("errors", hyperparameters={"action": "save", "loss": "3.5"}, **members)
    found = evaluated(debugging, "errors")
    assert {entry["RuleEvaluationStatus"] for entry in found.values()} == {"Error"}
    assert all(entry["StatusDetails"].startswith("InternalServerError") for entry in found.values())


def test_tensors_of_every_attempt_are_evaluated(debugging: Jobs) -> None:
    debugging.run(
        "restarted",
        hyperparameters={"action": "save", "attempts": "2"},
        CheckpointConfig={"S3Uri": f"s3://{debugging.bucket}/checkpoints"},
        RetryStrategy={"MaximumRetryAttempts": 1},
        DebugHookConfig=hook(debugging),
        DebugRuleConfigurations=[rule("Kept")],
    )
    assert evaluated(debugging, "restarted")["Kept"]["StatusDetails"] == "0.tfevents first.tfevents"


def test_a_rule_program_that_breaks_ends_its_rules_as_error(debugging: Jobs) -> None:
    members = {"DebugHookConfig": hook(debugging), "DebugRuleConfigurations": [rule("Broken"), rule("Kept")]}
    debugging.run("broken", hyperparameters={"action": "save"}, **members)
    found = evaluated(debugging, "broken")
    assert {name: entry["RuleEvaluationStatus"] for name, entry in found.items()} == {
        "Broken": "Error",
        "Kept": "Error",
    }
    assert found["Broken"]["StatusDetails"].startswith("InternalServerError")


def test_closing_the_service_ends_the_rules_program(debugging: Jobs, root: Path) -> None:
    members = {"DebugHookConfig": hook(debugging), "DebugRuleConfigurations": [rule("Slow")]}
    job = debugging.run("slow", hyperparameters={"action": "save"}, **members)
    assert job["DebugRuleEvaluationStatuses"][0]["RuleEvaluationStatus"] == "InProgress"
    started = root / "evaluating"
    process = int(eventually(lambda: started.exists() and started.read_text()))
    debugging.sagemaker.close()
    command = Path(f"/proc/{process}/cmdline")  # empty for a process that has ended and nobody has waited for
    assert not command.exists() or not command.read_bytes()
    assert debugging.describe("slow")["DebugRuleEvaluationStatuses"][0]["RuleEvaluationStatus"] == "Error"
    assert not list((root / "rule-evaluations").iterdir())


def test_the_hooks_path_outside_of_opt_ml_is_moved_into_the_jobs_folder(debugging: Jobs, s3: Any) -> None:
    debugging.run(
        "elsewhere", hyperparameters={"action": "save"}, DebugHookConfig=hook(debugging, LocalPath="/tensors")
    )
    prefix = "debug/elsewhere/debug-output/"
    assert eventually(lambda: "training_job_end.ts" in (found := keys(s3, debugging.bucket, prefix)) and found) == {
        "events/0.tfevents", "training_job_end.ts",
    }  # fmt: skip
    assert "DebugRuleEvaluationStatuses" not in debugging.describe("elsewhere")
    assert debugging.describe("elsewhere")["DebugHookConfig"]["LocalPath"] == "/tensors"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"TensorBoardOutputConfig": {"S3OutputPath": "s3://b/t"}}, "does not support TensorBoardOutputConfig"),
        ({"DebugHookConfig": {}}, "'debugHookConfig.s3OutputPath' failed"),
        ({"DebugHookConfig": {"S3OutputPath": "b/debug"}}, "regular expression pattern"),
        ({"DebugHookConfig": {"S3OutputPath": "s3://b", "LocalPath": "/opt/ml/../../etc"}}, "LocalPath"),
        ({"DebugRuleConfigurations": [rule("A"), rule("A")]}, "RuleConfigurationName must be unique"),
        ({"DebugRuleConfigurations": [rule("A"), rule("B", rule_to_invoke="A")]}, "rule_to_invoke must be unique"),
        ({"DebugRuleConfigurations": [rule("A") | {"RuleParameters": {}}]}, "must have rule_to_invoke"),
        ({"DebugRuleConfigurations": [rule("A") | {"RuleEvaluatorImage": IMAGE}]}, "cannot evaluate rules"),
        ({"DebugRuleConfigurations": [rule("A") | {"RuleEvaluatorImage": "else/where:1"}]}, "has no program"),
        ({"DebugRuleConfigurations": [rule(f"R{number}") for number in range(21)]}, "less than or equal to 20"),
        (
            {
                "ProfilerConfig": {"S3OutputPath": "s3://b"},
                "DebugRuleConfigurations": [rule(f"R{number}") for number in range(20)],
                "ProfilerRuleConfigurations": [rule("P")],
            },
            "at most 20 rules; the request has 21",
        ),
        ({"ProfilerRuleConfigurations": [rule("P")]}, "ProfilerConfig.S3OutputPath"),
        ({"ProfilerConfig": {"S3OutputPath": "s3://b", "ProfilingIntervalInMilliseconds": 300}}, "must be one of 100"),
        (
            {"ProfilerConfig": {"DisableProfiler": True}, "ProfilerRuleConfigurations": [rule("P")]},
            "profiler is disabled",
        ),
    ],
)
def test_a_wrong_request_is_refused_and_says_why(debugging: Jobs, members: dict[str, Any], message: str) -> None:
    with pytest.raises(SageMakerError, match=re.escape(message)) as error:
        debugging.start("wrong", **members)
    assert error.value.code == "ValidationException"


def test_a_tuning_jobs_trials_cannot_be_debugged(debugging: Jobs) -> None:
    definition = debugging.request("x", DebugHookConfig=hook(debugging))
    definition = {key: value for key, value in definition.items() if key not in ("TrainingJobName", "HyperParameters")}
    with pytest.raises(SageMakerError, match="Unknown member 'DebugHookConfig'"):
        debugging.sagemaker.call(
            "CreateHyperParameterTuningJob",
            {
                "HyperParameterTuningJobName": "t",
                "HyperParameterTuningJobConfig": {
                    "Strategy": "Random",
                    "ResourceLimits": {"MaxParallelTrainingJobs": 1, "MaxNumberOfTrainingJobs": 1},
                },
                "TrainingJobDefinition": definition,
            },
        )
