"""The debugger in the state machine: who is asked to evaluate the rules, with what, and where each end leads."""

from __future__ import annotations

import json
from typing import Any

import pytest

import contract
from tests.infra.asl_walker import TaskError, Walk, walk
from tests.infra.fake_run import NO_DEBUGGER, Endpoint, Rules, job_failed, tasks
from tests.infra.service_model import problems

IMAGE = "929884845733.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-debugger-rules:latest"


def run(definition: dict[str, Any], **chosen: Any) -> Walk:
    return walk(definition, tasks(Endpoint(), **chosen), {})


def rule_variables(environment: dict[str, str]) -> dict[str, Any]:
    """The rules a job is asked for, with their parameters."""
    start = contract.rule_variable("")
    return {
        name.removeprefix(start): json.loads(value) for name, value in environment.items() if name.startswith(start)
    }


def rules_of(mode: str, kind: str, evaluator: contract.Evaluator = "own") -> set[str]:
    """The default rules of a kind that can apply to the mode and that the evaluator knows."""
    return {
        rule
        for rule in contract.DEFAULT_RULES[mode]
        if contract.RULES[rule].kind == kind
        and contract.why_not_applicable(rule, mode=mode, evaluator=evaluator) is None
    }


@pytest.fixture(params=contract.MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Each training mode in turn."""
    name: str = request.param
    return name


@pytest.fixture
def of_mode(synthesise: Any, mode: str) -> dict[str, Any]:
    """The state machine of that mode."""
    found: dict[str, Any] = synthesise(**{"training.mode": mode}).definition()
    return found


def expected_parameters(mode: str, rule: str) -> dict[str, Any]:
    ours = contract.DEFAULT_PARAMETERS[mode].get(rule, {})
    return {name: value for name, value in ours.items() if value != contract.RULES[rule].defaults[name]}


def test_an_account_with_access_has_sagemaker_evaluate_the_rules(of_mode: dict[str, Any], mode: str) -> None:
    result = run(of_mode, access=True, mode=mode)
    assert result.status == "SUCCEEDED"
    assert not {"Train", "Rules"} & set(result.path)
    payloads = dict(result.payloads)
    request = payloads["TrainManaged"]
    assert request["DebugHookConfig"] == {
        "S3OutputPath": "s3://data-bucket/debug/run-1/",
        "LocalPath": "/opt/ml/output/tensors",
        "CollectionConfigurations": contract.hook_collections(mode, 50),
    }
    configured = {rule["RuleConfigurationName"]: rule for rule in request["DebugRuleConfigurations"]}
    assert configured.keys() == rules_of(mode, "tensor", "managed")
    for name, rule in configured.items():
        assert rule["RuleEvaluatorImage"] == IMAGE
        parameters = {key: str(value) for key, value in expected_parameters(mode, name).items()}
        assert rule["RuleParameters"] == {"rule_to_invoke": name, **parameters}
    assert len(configured) <= 20
    (report,) = request["ProfilerRuleConfigurations"]
    assert report["RuleParameters"] == {"rule_to_invoke": "ProfilerReport"}
    assert request["ProfilerConfig"]["ProfilingIntervalInMilliseconds"] == 500
    ours = rules_of(mode, "profiler") - {"ProfilerReport"}
    assert rule_variables(request["Environment"]).keys() == ours, "the training job evaluates the others itself"
    assert request["Environment"]["WHIPPET_SAVE_INTERVAL"] == "50"
    assert payloads["Verdict"]["debugger"] == "managed"
    assert payloads["Verdict"]["mode"] == mode


def test_an_account_without_access_goes_on_with_a_job_of_ours(of_mode: dict[str, Any], mode: str) -> None:
    result = run(of_mode, access=False, mode=mode)
    assert result.status == "SUCCEEDED"
    payloads = dict(result.payloads)
    assert payloads["Verdict"]["debugger"] == "own"
    train, job = payloads["Train"], payloads["Rules"]
    assert train["TrainingJobName"] == payloads["TrainManaged"]["TrainingJobName"], "the refused request left no job"
    assert not [member for member in train if member.startswith(("Debug", "Profiler"))]
    assert rule_variables(train["Environment"]).keys() == rules_of(mode, "profiler")
    assert train["Environment"]["WHIPPET_SAVE_INTERVAL"] == "50"
    assert contract.SMDEBUG_ENVIRONMENT.items() <= train["Environment"].items()
    assert contract.SMDEBUG_ENVIRONMENT.items() <= job["Environment"].items()
    asked = rule_variables(job["Environment"])
    assert asked == {rule: expected_parameters(mode, rule) for rule in rules_of(mode, "tensor")}
    assert job["ProcessingJobName"] == "whippet-dev-run-1-rules"
    assert job["AppSpecification"]["ImageUri"] == train["AlgorithmSpecification"]["TrainingImage"]
    code, archive = job["ProcessingInputs"]
    program = code["S3Input"]["S3Uri"].rsplit("/", 1)[1]
    assert program.endswith(".zip")
    assert job["AppSpecification"]["ContainerEntrypoint"] == ["python3", f"/opt/ml/processing/input/code/{program}"]
    arguments = job["AppSpecification"]["ContainerArguments"]
    assert dict(zip(arguments[::2], arguments[1::2], strict=True)) == {
        "--archive": "/opt/ml/processing/input/training/output.tar.gz",
        "--output": "/opt/ml/processing/output/rules",
        "--evaluator": "own",
        "--mode": mode,
    }
    job_output = "s3://data-bucket/runs/run-1/training/whippet-dev-run-1-train/output/output.tar.gz"
    assert archive["S3Input"]["S3Uri"] == job_output
    (output,) = job["ProcessingOutputConfig"]["Outputs"]
    assert output["S3Output"]["S3Uri"] == "s3://data-bucket/runs/run-1/rules/"


def test_a_training_that_failed_under_sagemakers_eyes_is_not_trained_again(definition: dict[str, Any]) -> None:
    for error in (job_failed("AlgorithmError: out of memory"), TaskError("States.Timeout", "")):
        result = run(definition, broken={"TrainManaged": error})
        assert (result.status, result.error) == ("FAILED", error.error)
        assert result.cause.startswith("TrainManaged: ")
        assert "Train" not in result.path
    assert "Train" in run(definition, broken={"TrainManaged": NO_DEBUGGER}).path


def test_rules_are_waited_for_until_each_has_ended(definition: dict[str, Any]) -> None:
    result = run(definition, access=True, rules=Rules("InProgress", "Stopping", "IssuesFound"))
    assert result.status == "SUCCEEDED"
    assert result.path.count("DescribeRules") == 3
    assert result.path.count("WaitForRules") == 2
    assert definition["States"]["WaitForRules"]["Seconds"] == 20


def test_rules_that_never_end_end_the_run_in_plain_words(definition: dict[str, Any]) -> None:
    known = tasks(Endpoint(), access=True, rules=Rules("InProgress"))
    result = walk(definition, known, {}, limit=1000)
    assert (result.status, result.error) == ("FAILED", "RulesNotFinished")
    assert "30 minutes after the training (setting debugger.max_minutes)" in result.cause
    assert result.path.count("DescribeRules") == 30 * 60 // 20


def test_managed_leaves_no_other_evaluator(synthesise: Any) -> None:
    template = synthesise(**{"debugger.mode": "managed"})
    definition = template.definition()
    assert not {"Train", "Rules"} & definition["States"].keys()
    assert run(definition, access=True).status == "SUCCEEDED"
    refused = run(definition, access=False)
    assert (refused.status, refused.error) == ("FAILED", NO_DEBUGGER.error)
    assert "not available to this account" in refused.cause
    definition["States"]["RuleEvaluator"]["Parameters"]["evaluator"] = "own"  # what the mapping says of other regions
    elsewhere = run(definition, access=True)
    assert (elsewhere.status, elsewhere.error) == ("FAILED", "DebuggerNotOffered")


def test_in_a_region_without_debugger_auto_does_not_ask_for_it(definition: dict[str, Any]) -> None:
    elsewhere = json.loads(json.dumps(definition))
    elsewhere["States"]["RuleEvaluator"]["Parameters"]["evaluator"] = "own"
    result = run(elsewhere, access=True)
    assert result.status == "SUCCEEDED"
    assert "TrainManaged" not in result.path
    assert "Rules" in result.path


def test_the_mapping_knows_where_debugger_is(template: Any) -> None:
    regions = template.body["Mappings"]["DebuggerImageAccounts"]
    assert regions["us-east-1"] == {"account": "503895931360", "evaluator": "managed"}
    assert regions["il-central-1"]["evaluator"] == "own"
    assert all(len(item["account"]) == 12 for item in regions.values())


def test_own_never_asks_sagemaker_and_takes_the_settings(synthesise: Any) -> None:
    overrides = {
        "debugger.mode": "own",
        "debugger.rules": "Overfit,ProfilerReport",
        "debugger.block": "Overfit",
        "debugger.parameters": "Overfit.patience=7",
        "debugger.save_interval": "9",
        "debugger.instance_type": "ml.g5.xlarge",
        "debugger.max_minutes": "11",
    }
    definition = synthesise(**overrides).definition()
    assert not {"TrainManaged", "DescribeRules"} & definition["States"].keys()
    payloads = dict(run(definition).payloads)
    job = payloads["Rules"]
    asked = rule_variables(job["Environment"])
    assert asked["Overfit"]["patience"] == 7
    assert asked.keys() == {"Overfit"}
    assert rule_variables(payloads["Train"]["Environment"]) == {"ProfilerReport": {}}
    assert payloads["Train"]["Environment"]["WHIPPET_SAVE_INTERVAL"] == "9"
    assert job["ProcessingResources"]["ClusterConfig"]["InstanceType"] == "ml.g5.xlarge"
    assert "cu133" in job["AppSpecification"]["ImageUri"]
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 660}
    assert problems("createProcessingJob.sync", job) == []


def test_off_saves_nothing_and_asks_nobody(synthesise: Any) -> None:
    template = synthesise(**{"debugger.mode": "off"})
    result = run(template.definition())
    assert result.status == "SUCCEEDED"
    payloads = dict(result.payloads)
    environment = payloads["Train"]["Environment"]
    assert rule_variables(environment) == {}
    assert "WHIPPET_SAVE_INTERVAL" not in environment
    assert payloads["Verdict"]["debugger"] == "off"
    assert not any(
        "ProcessingJob" in json.dumps(statement)
        for name, statement in template.statements()
        if name.startswith("Workflow")
    )


def test_without_a_debug_rule_nothing_is_saved_and_nobody_is_asked(synthesise: Any) -> None:
    definition = synthesise(**{"debugger.rules": "CPUBottleneck", "debugger.block": ""}).definition()
    result = run(definition)
    assert not {"TrainManaged", "Rules"} & set(result.path)
    payloads = dict(result.payloads)
    assert rule_variables(payloads["Train"]["Environment"]) == {"CPUBottleneck": {}}
    assert "WHIPPET_SAVE_INTERVAL" not in payloads["Train"]["Environment"]
    assert payloads["Verdict"]["debugger"] == "own"


def test_nobody_is_asked_about_rules_that_cannot_apply(synthesise: Any, mode: str) -> None:
    rules = {"debugger.rules": "DeadRelu,ExplodingTensor", "debugger.block": "DeadRelu,ExplodingTensor"}
    definition = synthesise(**rules, **{"training.mode": mode}).definition()
    asked = {"features": {"ExplodingTensor"}, "finetune": {"DeadRelu", "ExplodingTensor"}}[mode]
    request = dict(run(definition, access=True, mode=mode).payloads)["TrainManaged"]
    assert {rule["RuleConfigurationName"] for rule in request["DebugRuleConfigurations"]} == asked
    job = dict(run(definition, access=False, mode=mode).payloads)["Rules"]
    assert rule_variables(job["Environment"]).keys() == asked


@pytest.fixture
def loss_plateau(monkeypatch: pytest.MonkeyPatch) -> str:
    """A rule of the project's own, which SageMaker Debugger does not know."""
    parameters = {"patience": contract.Parameter(type="whole", default=3, low=1)}
    rule = contract.Rule(
        name="LossPlateau", kind="tensor", fires_when="the loss is flat", parameters=parameters, evaluators=("own",)
    )
    monkeypatch.setitem(contract.RULES, rule.name, rule)
    return rule.name


def test_a_rule_that_sagemaker_does_not_know_is_asked_of_the_own_job_alone(
    synthesise: Any, loss_plateau: str, mode: str
) -> None:
    overrides = {"debugger.rules": f"+{loss_plateau}", "debugger.parameters": f"{loss_plateau}.patience=5"}
    template = synthesise(**overrides, **{"training.mode": mode})
    definition = template.definition()
    request = dict(run(definition, access=True, mode=mode).payloads)["TrainManaged"]
    asked = {rule["RuleConfigurationName"] for rule in request["DebugRuleConfigurations"]}
    assert asked == rules_of(mode, "tensor", "managed")
    job = dict(run(definition, access=False, mode=mode).payloads)["Rules"]
    assert rule_variables(job["Environment"])[loss_plateau] == {"patience": 5}
    judged = json.loads(template.function("verdict")["Environment"]["Variables"]["RULES"])
    assert loss_plateau in judged, "so that the results say why it has none"


def test_where_sagemaker_knows_no_rule_that_applies_the_own_job_evaluates(
    synthesise: Any, loss_plateau: str, mode: str
) -> None:
    """DeadRelu cannot apply to a head on features, and SageMaker does not know the other."""
    overrides = {"debugger.mode": "managed", "debugger.rules": f"DeadRelu,{loss_plateau}", "debugger.block": ""}
    result = run(synthesise(**overrides, **{"training.mode": mode}).definition(), access=True, mode=mode)
    assert result.status == "SUCCEEDED"
    payloads = dict(result.payloads)
    if mode == "finetune":
        assert "TrainManaged" in payloads
    else:
        assert rule_variables(payloads["Rules"]["Environment"]).keys() == {loss_plateau}
        assert payloads["Verdict"]["debugger"] == "own"


@pytest.mark.parametrize("setting", ["auto", "managed", "own"])
def test_a_mode_to_which_no_rule_applies_is_trained_without_a_hook(synthesise: Any, setting: str) -> None:
    chosen = {"debugger.mode": setting, "debugger.rules": "DeadRelu", "debugger.block": "DeadRelu"}
    definition = synthesise(**chosen).definition()
    assert not {"TrainManaged", "Rules", "DescribeRules"} & definition["States"].keys()
    result = run(definition, access=True)
    assert result.status == "SUCCEEDED"
    payloads = dict(result.payloads)
    assert "WHIPPET_SAVE_INTERVAL" not in payloads["Train"]["Environment"]
    assert payloads["Verdict"]["debugger"] == "own"

    fine_tuning = synthesise(**chosen, **{"training.mode": "finetune"}).definition()
    path = run(fine_tuning, access=True, mode="finetune").path
    assert ("Rules" if setting == "own" else "TrainManaged") in path


def test_the_verdict_knows_what_was_asked_for(synthesise: Any, mode: str) -> None:
    environment = synthesise(**{"training.mode": mode}).function("verdict")["Environment"]["Variables"]
    assert tuple(json.loads(environment["RULES"])) == contract.DEFAULT_RULES[mode]
    assert tuple(json.loads(environment["BLOCKING_RULES"])) == contract.BLOCKING_RULES


@pytest.mark.parametrize(
    ("setting", "access", "evaluator"),
    [("auto", True, "managed"), ("auto", False, "own"), ("managed", True, "managed"), ("own", True, "own"),
     ("off", True, "off")],
)  # fmt: skip
def test_the_report_is_told_who_evaluated_the_rules(
    synthesise: Any, setting: str, access: bool, evaluator: str
) -> None:
    result = run(synthesise(**{"debugger.mode": setting}).definition(), access=access)
    debugger = dict(result.payloads)["Report"]["run"]["debugger"]
    assert debugger["evaluator"] == evaluator
    assert ("refusal" in debugger) == (setting == "auto" and not access)
