"""Verdict: what is accepted, what is rejected and in which words, and what is kept of it."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from verdict import handler as verdict
from verdict.package_metadata import package_metadata
from verdict.training_output import UnreadableOutput

from contract import NOTHING_SLEEPS, RULES, Decision, Rule, Verdict, VerdictInput
from tests.fakes.lambda_context import Context
from tests.fakes.s3 import FakeS3
from tests.fakes.ssm import FakeParameter
from tests.infra import fake_run
from tests.infra.service_model import problems

from .verdict_run import (
    EVENT,
    OUTPUT,
    RUN,
    FakeSageMaker,
    archive,
    before,
    bucket,
    class_scores,
    evaluation,
    manifest,
    output,
    predictions,
    result,
)

NEAR_COPIES = {
    "images": 9,
    "others": 9,
    "accuracy_of_others": 1.0,
    "interval_of_others": {"low": 0.66, "high": 1.0, "level": 0.95},
    "examples": [],
}
IN_SERVICE = FakeSageMaker("whippet-dev-run-1")


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch, context: Context) -> Any:
    """`judge(s3, sagemaker, **event)`: the handler's answer, and the decision as it was stored."""

    def call(s3: FakeS3, sagemaker: FakeSageMaker | None = None, **event: str) -> tuple[Verdict, dict[str, Any]]:
        monkeypatch.setattr(verdict, "s3", s3)
        monkeypatch.setattr(verdict, "sagemaker", sagemaker or FakeSageMaker())
        given = cast(VerdictInput, {**EVENT, **event})
        answer = verdict.handler(given, context)  # type: ignore[arg-type]
        return answer, json.loads(s3.objects["runs/run-2/decision.json"])

    return call


def check(decision: dict[str, Any], name: str) -> dict[str, str]:
    (found,) = [item for item in decision["checks"] if item["name"] == name]
    return found  # type: ignore[no-any-return]


def test_a_retry_is_judged_by_what_lies_beside_the_model_that_the_earlier_run_trained(judge: Any) -> None:
    s3 = bucket()
    folder = "runs/earlier-1/training/whippet-dev-earlier-1-train/output"
    s3.objects[f"{folder}/output.tar.gz"] = s3.objects.pop(OUTPUT)
    answer, decision = judge(s3, model=f"s3://data/{folder}/model.tar.gz")
    assert (answer["accepted"], decision["run"]) == (True, "run-2")
    assert "runs/run-2/results/evaluation.json" in s3.objects


def test_the_first_good_model_is_accepted_with_everything_it_was_judged_by(judge: Any) -> None:
    answer, decision = judge(bucket())
    assert (answer["accepted"], answer["approval"], answer["test_accuracy"]) == (True, "Approved", 0.9)
    assert answer["decision"] == "s3://data/runs/run-2/decision.json"
    assert answer["evaluation"] == "s3://data/runs/run-2/results/evaluation.json"
    assert answer.keys() == fake_run.verdict().keys()
    assert set(decision) == Decision.__required_keys__
    assert decision["in_service"] is None
    assert decision["thresholds"] == {
        "min_accuracy": 0.7,
        "accuracy_by": "photo",
        "min_class_recall": 0.2,
        "max_near_copies": 0.1,
        "tolerance": 0.01,
        "significance": 0.05,
        "blocking_rules": ["Overfit"],
    }
    assert (decision["worst_class"], decision["worst_class_recall"]) == ("dog", 0.8)
    assert (decision["model"], decision["code_version"], decision["debugger"]) == (EVENT["model"], "c0de", "own")
    assert [item["rule"] for item in decision["rules"]] == ["Overfit", "AllZero", "CPUBottleneck"]
    assert {item["name"]: item["outcome"] for item in decision["checks"]} == {
        "accuracy": "passed",
        "class_recall": "passed",
        "gap": "passed",
        "in_service": "skipped",
        "leakage": "passed",
        "rules": "passed",
    }


def test_with_manual_approval_an_accepted_model_waits_for_it(judge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPROVAL", "manual")
    answer, _ = judge(bucket())
    assert (answer["accepted"], answer["approval"]) == (True, "PendingManualApproval")
    answer, _ = judge(bucket(output(changes={"test_accuracy": 0.1})))
    assert (answer["accepted"], answer["approval"]) == (False, "Rejected")


@pytest.mark.parametrize("approval", ["automatic", "manual"])
def test_too_few_test_photos_are_left_to_a_person(judge: Any, monkeypatch: pytest.MonkeyPatch, approval: str) -> None:
    monkeypatch.setenv("APPROVAL", approval)
    answer, decision = judge(bucket(output(changes={"test_accuracy": 15 / 18, "test_images": 18})))
    assert check(decision, "accuracy")["outcome"] == "undecided"
    assert (answer["undecided"], answer["approval"]) == (True, "PendingManualApproval")
    assert answer["accepted"] == (approval == "manual")
    assert answer["reasons"][0].startswith("Too few test photos to tell: the test accuracy 0.8333 on 18 photos")
    # who is asked sees everything
    assert len(answer["reasons"]) == (1 if approval == "automatic" else 6)

    # what speaks against the model counts more
    changes = {"test_accuracy": 15 / 18, "test_images": 18, "near_copies": NEAR_COPIES}
    answer, _ = judge(bucket(output(changes=changes)))
    assert (answer["accepted"], answer["undecided"], answer["approval"]) == (False, False, "Rejected")
    assert answer["reasons"][0].startswith("9 of 18 test photos are near-copies")


UNKNOWN = {"known_share": 0.8, "promised_share": 0.95}
COVERAGE = [
    {"promised": 0.9, "realised": 0.92, "mean_labels": 1.2},
    {"promised": 0.95, "realised": 0.93, "mean_labels": 1.5},
]


@pytest.mark.parametrize(
    ("setting", "value", "changes", "outcome", "words"),
    [
        ("MIN_KNOWN_SHARE", "0.8", {"unknown": UNKNOWN}, "passed", "knows 0.8000"),
        ("MIN_KNOWN_SHARE", "0.81", {"unknown": UNKNOWN}, "blocked", "below the floor 0.8100 (setting release.min_"),
        ("MIN_KNOWN_SHARE", "0.0", {"unknown": None}, "blocked", "did not measure"),
        ("MAX_COVERAGE_GAP", "0.02", {"coverage": COVERAGE}, "passed", "0.95 hold that of 0.9300"),
        ("MAX_COVERAGE_GAP", "0.019", {"coverage": COVERAGE}, "blocked", "(setting release.max_coverage_gap)"),
        ("MAX_COVERAGE_GAP", "0.0", {"coverage": COVERAGE[:1]}, "passed", "No coverage is more"),
        ("MAX_COVERAGE_GAP", "1.0", {"coverage": []}, "blocked", "Too few photos"),
    ],
)
def test_what_the_model_does_not_know_is_checked_where_it_is_asked_for(
    judge: Any,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    value: str,
    changes: dict[str, Any],
    outcome: str,
    words: str,
) -> None:
    name = {"MIN_KNOWN_SHARE": "known_share", "MAX_COVERAGE_GAP": "coverage"}[setting]
    _, decision = judge(bucket(output(changes=changes)))
    assert name not in {item["name"] for item in decision["checks"]}, "off by default"
    monkeypatch.setenv(setting, value)
    answer, decision = judge(bucket(output(changes=changes)))
    assert check(decision, name)["outcome"] == outcome
    assert words in check(decision, name)["reason"]
    assert answer["accepted"] is (outcome == "passed")
    assert decision["thresholds"]["min_known_share" if name == "known_share" else "max_coverage_gap"] == float(value)


@pytest.mark.parametrize(("accuracy", "accepted"), [(0.7, True), (0.69, False), (float("nan"), False)])
def test_the_accuracy_has_a_floor(judge: Any, accuracy: float, accepted: bool) -> None:
    answer, decision = judge(bucket(output(changes={"test_accuracy": accuracy, "test_images": 400})))
    assert answer["accepted"] is accepted
    if not accepted:
        assert f"accuracy {accuracy:.4f} on 400 photos is below the floor 0.7000" in answer["cause"]
        assert decision["reasons"] == answer["reasons"]
    json.loads(json.dumps(answer, allow_nan=False))  # what Step Functions takes


def test_every_class_has_a_floor(judge: Any) -> None:
    scores = [
        class_scores("cat", images=60, recall=1.0),
        class_scores("owl", images=20, recall=0.15),
        class_scores("unseen", images=0, recall=0.0),
    ]
    answer, _ = judge(bucket(output(changes={"per_class": scores})))
    assert not answer["accepted"]
    assert "the recall 0.1500 of class owl on 20 photos is below the floor 0.2000" in answer["cause"]


def worse_model(*, rerun: bool = True) -> FakeS3:
    """The bucket after a training whose model is worse than that of run-1."""
    old, new = [True] * 99 + [False], [False] * 12 + [True] * 88
    records = [("test", f"test/cat/{place}.jpg", f"content {place}") for place in range(100)]
    return bucket(
        output(right=new, in_service=old if rerun else None),
        more={
            **manifest(*records),
            **manifest(*records, run="run-1"),
            "runs/run-1/decision.json": before(),
            "runs/run-1/results/test_predictions.csv": predictions(old),
        },
    )


@pytest.mark.parametrize("rerun", [True, False])
def test_a_model_worse_than_the_one_in_service_is_kept_out(judge: Any, rerun: bool) -> None:
    """tests/lambda/test_service_comparison.py has every case."""
    answer, decision = judge(worse_model(rerun=rerun), IN_SERVICE)
    assert check(decision, "in_service")["outcome"] == "blocked"
    assert "worse than 0.9900 of the model in service (run-1) by more than 0.0100" in answer["cause"]
    compared = decision["in_service"]
    assert (compared["images"], compared["only_old_right"], compared["only_new_right"]) == (100, 12, 1)
    assert ("on which the model in service was run" in compared["why"]) is rerun
    assert (answer["accepted"], answer["in_service"]) == (False, "whippet-dev-run-1")


def test_a_training_without_predictions_is_not_released_uncompared(judge: Any) -> None:
    with pytest.raises(UnreadableOutput, match=r"this run left no test_predictions\.csv"):
        judge(bucket(more={"runs/run-1/decision.json": before()}), IN_SERVICE)


@pytest.mark.parametrize("sagemaker", [FakeSageMaker(), FakeSageMaker("whippet-dev-run-0", "Failed")])
def test_a_model_that_sleeps_is_compared_with(
    judge: Any, monkeypatch: pytest.MonkeyPatch, sagemaker: FakeSageMaker
) -> None:
    """Its endpoint is gone, or was to be woken or replaced and failed to start."""
    FakeParameter("whippet-dev-run-1").serve(monkeypatch)
    answer, decision = judge(worse_model(), sagemaker)
    assert check(decision, "in_service")["outcome"] == "blocked"
    assert (answer["accepted"], answer["in_service"]) == (False, "whippet-dev-run-1")


def test_an_endpoint_that_works_counts_more_than_the_record(judge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeParameter("whippet-dev-run-0").serve(monkeypatch)
    assert judge(worse_model(), IN_SERVICE)[0]["in_service"] == "whippet-dev-run-1"


@pytest.mark.parametrize("record", [NOTHING_SLEEPS, None], ids=["nothing sleeps", "not deployed yet"])
def test_where_nothing_sleeps_there_is_no_model_in_service(
    judge: Any, monkeypatch: pytest.MonkeyPatch, record: str | None
) -> None:
    FakeParameter(record).serve(monkeypatch)
    assert judge(bucket(), FakeSageMaker())[0]["in_service"] == ""


def test_a_failed_endpoint_has_no_model_in_service(judge: Any) -> None:
    _, decision = judge(bucket(), FakeSageMaker("whippet-dev-run-1", "Failed"))
    assert decision["in_service"] is None


def test_a_copy_that_was_uploaded_in_parts_is_a_copy(judge: Any) -> None:
    """Its ETag is another one."""
    records = [
        {"path": "cat/1.jpg", "label": 0, "split": "train", "etag": "a-2", "content": "same"},
        {"path": "cat/9.jpg", "label": 0, "split": "test", "etag": "b", "content": "same"},
    ]
    lines = "".join(json.dumps(record) + "\n" for record in records).encode()
    _, decision = judge(bucket(more=manifest() | {f"runs/{RUN}/manifest/manifest.jsonl": lines}))
    assert decision["leakage"]["examples"] == ["cat/9.jpg is cat/1.jpg"]


@pytest.mark.parametrize("split", ["test", "validation"])
def test_photos_in_two_splits_block(judge: Any, split: str) -> None:
    copies = manifest(("train", "cat/1.jpg", "a"), (split, "cat/9.jpg", "a"), (split, "cat/8.jpg", "b"))
    answer, decision = judge(bucket(more=copies))
    assert not answer["accepted"]
    assert "Also trained on: 1 photo of the test or validation split, such as cat/9.jpg is cat/1" in answer["cause"]
    assert decision["leakage"] == {"left_out": 3, "remaining": 1, "examples": ["cat/9.jpg is cat/1.jpg"]}


@pytest.mark.parametrize(
    ("rules", "profile", "outcome", "words"),
    [
        (
            [result("Overfit", "IssuesFound", step=40, detail="ratio 0.31 > 0.1"), result("AllZero")],
            [],
            "blocked",
            "Overfit found an issue at step 40: ratio 0.31 > 0.1.",
        ),
        (
            [result("Overfit"), result("AllZero", "IssuesFound", detail="all zero")],
            [],
            "warned",
            "AllZero found an issue: all zero.",
        ),
        ([result("Overfit"), result("AllZero")], [result("CPUBottleneck", "IssuesFound")], "warned", "CPUBottleneck"),
        ([result("Overfit", "Error", detail="no loss"), result("AllZero")], [], "blocked", "judged (Error): no loss"),
        ([result("Overfit", "Stopped"), result("AllZero")], [], "blocked", "Overfit could not be judged (Stopped)"),
        ([result("Overfit", "NotApplicable"), result("AllZero")], [], "passed", "2 debugger rules found no issue; 1"),
        ([result("AllZero")], [], "blocked", "Overfit could not be judged (Error): it was asked for, but nothing says"),
        ([result("Overfit")], [], "warned", "AllZero could not be judged"),
        ([], [], "blocked", "Overfit could not be judged"),
    ],
)  # fmt: skip
def test_rules_block_or_warn(judge: Any, rules: Any, profile: Any, outcome: str, words: str) -> None:
    answer, decision = judge(bucket(output(profile=profile), rules=rules))
    found = check(decision, "rules")
    assert found["outcome"] == outcome
    assert words in found["reason"]
    assert answer["accepted"] == (outcome != "blocked")
    assert (words in answer["cause"]) or outcome == "passed"


def test_a_rules_job_that_wrote_nothing_blocks(judge: Any) -> None:
    s3 = bucket()
    del s3.objects["runs/run-2/rules/rules.json"]
    answer, _ = judge(s3)
    assert not answer["accepted"]


def test_a_blocking_rule_that_nobody_was_asked_for_blocks(judge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RULES", '["AllZero"]')
    answer, _ = judge(bucket(rules=[result("AllZero")]))
    assert "Overfit was not evaluated in this run" in answer["cause"]


@pytest.mark.parametrize("evaluator", ["own", "managed"])
def test_a_rule_that_cannot_apply_neither_passes_nor_blocks(
    judge: Any, monkeypatch: pytest.MonkeyPatch, evaluator: str
) -> None:
    rules = json.dumps(["Overfit", "PoorWeightInitialization"])
    monkeypatch.setenv("RULES", rules)
    monkeypatch.setenv("BLOCKING_RULES", rules)
    statuses = [{"RuleConfigurationName": "Overfit", "RuleEvaluationStatus": "NoIssuesFound"}]
    answer, decision = judge(bucket(rules=[result("Overfit")]), FakeSageMaker(rules=statuses), debugger=evaluator)
    assert answer["accepted"]
    assert {rule["rule"]: (rule["status"], rule["evaluator"]) for rule in decision["rules"]}[
        "PoorWeightInitialization"
    ] == ("NotApplicable", evaluator)
    assert "1 do not apply" in check(decision, "rules")["reason"]
    answer, _ = judge(
        bucket(rules=[result("Overfit")]), FakeSageMaker(rules=statuses), debugger=evaluator, mode="finetune"
    )
    assert "PoorWeightInitialization could not be judged (Error)" in answer["cause"]


def test_a_rule_that_sagemaker_does_not_know_is_evaluated_by_this_project_alone(
    judge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Rule(name="LossPlateau", kind="tensor", fires_when="the loss is flat", evaluators=("own",))
    monkeypatch.setitem(RULES, "LossPlateau", own)
    monkeypatch.setenv("RULES", json.dumps(["Overfit", "LossPlateau"]))
    statuses = [{"RuleConfigurationName": "Overfit", "RuleEvaluationStatus": "NoIssuesFound"}]
    answer, decision = judge(bucket(rules=[]), FakeSageMaker(rules=statuses), debugger="managed")
    assert answer["accepted"]
    (unasked,) = [rule for rule in decision["rules"] if rule["rule"] == "LossPlateau"]
    assert (unasked["status"], unasked["evaluator"]) == ("NotApplicable", "managed")
    assert "set debugger.mode=own to evaluate it" in unasked["detail"]
    _, decision = judge(bucket(rules=[result("Overfit")]), debugger="own")
    assert "LossPlateau could not be judged (Error)" in check(decision, "rules")["reason"]


def test_without_a_debugger_no_rule_is_missed(judge: Any) -> None:
    answer, decision = judge(bucket(output(profile=[]), rules=[]), debugger="off")
    assert answer["accepted"]
    assert check(decision, "rules")["outcome"] == "skipped"


def test_sagemakers_own_statuses_become_the_same_list(judge: Any) -> None:
    met = (
        "RuleEvaluationConditionMet: Evaluation of the rule Overfit at step 40 resulted in the condition being met. "
        "ratio 0.31 > 0.1"
    )
    statuses = [
        {"RuleConfigurationName": "Overfit", "RuleEvaluationStatus": "IssuesFound", "StatusDetails": met},
        {
            "RuleConfigurationName": "AllZero",
            "RuleEvaluationStatus": "Error",
            "StatusDetails": "NotApplicable: there is no such tensor",
        },
        {"RuleConfigurationName": "ProfilerReport", "RuleEvaluationStatus": "NoIssuesFound"},
    ]
    answer, decision = judge(bucket(rules=[]), FakeSageMaker(rules=statuses), debugger="managed")
    assert not answer["accepted"]
    assert decision["rules"] == [
        result("Overfit", "IssuesFound", step=40, detail="ratio 0.31 > 0.1", evaluator="managed"),
        result("AllZero", "NotApplicable", detail="there is no such tensor", evaluator="managed"),
        result("CPUBottleneck"),
        result("ProfilerReport", evaluator="managed"),
    ]


def test_sagemakers_message_may_end_at_the_condition(judge: Any) -> None:
    met = "RuleEvaluationConditionMet: Evaluation of the rule Overfit at step 7 resulted in the condition being met"
    status = {"RuleConfigurationName": "Overfit", "RuleEvaluationStatus": "IssuesFound", "StatusDetails": met}
    answer, _ = judge(bucket(), FakeSageMaker(rules=[status]), debugger="managed")
    assert "Overfit found an issue at step 7" in answer["cause"]


def test_a_rule_that_had_not_ended_could_not_be_judged(judge: Any) -> None:
    status = {"RuleConfigurationName": "Overfit", "RuleEvaluationStatus": "InProgress"}
    answer, _ = judge(bucket(), FakeSageMaker(rules=[status]), debugger="managed")
    assert "Overfit could not be judged (Error): it had not ended: its status was InProgress" in answer["cause"]


def test_the_archive_is_laid_out_but_for_its_tensors(judge: Any) -> None:
    s3 = bucket(output(right=[True]))
    judge(s3)
    laid_out = {key.removeprefix("runs/run-2/results/") for key in s3.objects if "/results/" in key}
    assert laid_out == {"evaluation.json", "history.csv", "thumbnails.json", "profile.json", "test_predictions.csv"}


def test_what_the_registry_keeps_is_what_it_takes(judge: Any) -> None:
    answer, decision = judge(bucket(rules=[result("Overfit"), result("AllZero", "IssuesFound")]))
    metadata = answer["metadata"]
    assert metadata["rules"] == "IssuesFound=1 NoIssuesFound=2"
    assert metadata["rules_with_issues"] == "AllZero"
    assert metadata["hyperparameter.epochs"] == "20"
    assert "hyperparameter.unfreeze_from" not in metadata, "a value may not be empty"
    decision["worst_class"] = "ünïcode,\t{odd}\n" + "x" * 300
    decision["hyperparameters"] = {f"h{number}": "1" for number in range(60)}
    odd = package_metadata(decision, decision_uri=answer["decision"])
    assert odd["worst_class"].startswith("ünïcode---odd--x")
    assert len(odd["worst_class"]) == 256
    for value in (metadata, odd):
        assert problems("createModelPackage", {"CustomerMetadataProperties": value}) == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"not an archive", "not a readable tar.gz"),
        (output()[:60], "not a readable tar.gz"),
        (archive({"something.json": b"{}"}), "holds no evaluation.json"),
        (archive({"evaluation.json": b"{"}), "is not JSON"),
        (archive({"evaluation.json": b"[]"}), "lacks everything"),
        (archive({"evaluation.json": b'{"run": "x"}'}), "lacks by_group, calibration, classes"),
    ],
    ids=["no archive", "cut off", "no evaluation", "no JSON", "a list", "keys missing"],
)
def test_broken_outputs_are_named(judge: Any, body: bytes, words: str) -> None:
    with pytest.raises(UnreadableOutput) as error:
        judge(bucket(body))
    assert words in str(error.value)
    assert OUTPUT in str(error.value)


def test_the_evaluation_is_found_at_any_depth(judge: Any) -> None:
    body = archive({"a/b/evaluation.json": json.dumps(evaluation()).encode(), "a/b/profile.json": b'{"rules": []}'})
    answer, _ = judge(bucket(body), debugger="off")
    assert answer["accepted"]


def test_a_missing_output_is_named(judge: Any) -> None:
    s3 = bucket()
    s3.objects.clear()
    with pytest.raises(UnreadableOutput, match="is not there"):
        judge(s3)


@pytest.mark.parametrize(("limit", "words"), [("MAX_FILE_BYTES", "more than 3"), ("MAX_FILES", "more than 3 files")])
def test_oversized_outputs_are_not_read(judge: Any, monkeypatch: pytest.MonkeyPatch, limit: str, words: str) -> None:
    monkeypatch.setattr(f"verdict.training_output.{limit}", 3)
    with pytest.raises(UnreadableOutput, match=words):
        judge(bucket())
