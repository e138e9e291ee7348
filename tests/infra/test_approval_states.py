"""From the verdict to the release: the registry, a rejected model, a person's answer; and the report of every run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.asl_walker import TOKEN, TaskError, walk
from tests.infra.fake_run import OLD_CONFIG, PACKAGE, REPORT, Endpoint, tasks, verdict

REJECTED = verdict(accepted=False, approval="Rejected", cause="Overfit found an issue at step 40: ratio 0.31 > 0.1.")
WAITING = verdict(approval="PendingManualApproval")


def test_a_good_model_is_registered_and_released(definition: dict[str, Any]) -> None:
    result = walk(definition, tasks(Endpoint()), {})
    package = dict(result.payloads)["RegisterModel"]
    assert package["ModelPackageGroupName"] == "whippet-dev"
    assert package["ModelApprovalStatus"] == "Approved"
    assert package["CustomerMetadataProperties"] == verdict()["metadata"]
    statistics = package["ModelMetrics"]["ModelQuality"]["Statistics"]
    assert statistics["S3Uri"] == "s3://data-bucket/runs/run-1/results/evaluation.json"
    (container,) = package["InferenceSpecification"]["Containers"]
    model = dict(result.payloads)["CreateModel"]["PrimaryContainer"]
    assert container == model, "what is registered is what is served"
    assert package["MetadataProperties"]["CommitId"]
    assert "Tags" not in package
    assert result.path.index("RegisterModel") < result.path.index("CreateModel")
    assert "AskApproval" not in definition["States"]


def test_a_rejected_model_is_registered_too_and_ends_the_run(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    result = walk(definition, tasks(endpoint) | {"Verdict": lambda _: REJECTED}, {})
    assert (result.status, result.error, result.cause) == ("FAILED", "ModelRejected", REJECTED["cause"])
    assert dict(result.payloads)["RegisterModel"]["ModelApprovalStatus"] == "Rejected"
    assert result.path[-7:] == ["Accepted?", "ModelRejected", "GiveBack?", "Report", "Notify", "Outcome?", "Failed"]
    assert endpoint.calls == []


def test_a_model_with_too_few_test_photos_is_neither_released_nor_rejected(definition: dict[str, Any]) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    undecided = verdict(accepted=False, undecided=True, approval="PendingManualApproval", cause="Too few test photos.")
    result = walk(definition, tasks(endpoint) | {"Verdict": lambda _: undecided}, {})
    assert (result.status, result.error, result.cause) == ("FAILED", "TooFewTestPhotos", "Too few test photos.")
    assert dict(result.payloads)["RegisterModel"]["ModelApprovalStatus"] == "PendingManualApproval"
    assert endpoint.calls == []


def test_a_person_may_release_a_model_with_too_few_test_photos(asking: dict[str, Any]) -> None:
    undecided = verdict(undecided=True, approval="PendingManualApproval")
    result = walk(asking, tasks(Endpoint()) | {"Verdict": lambda _: undecided}, {})
    assert (result.status, "AskApproval" in result.path) == ("SUCCEEDED", True)


def test_a_yes_releases_the_model(asking: dict[str, Any]) -> None:
    result = walk(asking, tasks(Endpoint()) | {"Verdict": lambda _: WAITING}, {})
    assert result.status == "SUCCEEDED"
    payloads = dict(result.payloads)
    assert payloads["RegisterModel"]["ModelApprovalStatus"] == "PendingManualApproval"
    question = payloads["AskApproval"]
    assert (question["token"], question["run"], question["package"]) == (TOKEN, "run-1", PACKAGE)
    assert question["verdict"] == WAITING
    assert payloads["ApproveModel"] == {"ModelPackageArn": PACKAGE, "ModelApprovalStatus": "Approved"}
    assert result.path.index("ApproveModel") < result.path.index("CreateModel")
    assert asking["States"]["AskApproval"]["TimeoutSeconds"] == 24 * 3600


@pytest.mark.parametrize(
    ("answer", "error", "words", "update"),
    [
        (TaskError("ModelRejected", "the owls look wrong"), "ModelRejected", "the owls look wrong", "RejectModel"),
        (TaskError("States.Timeout", ""), "ApprovalTimedOut", "within 24 hours", "ExpireApproval"),
    ],
)
def test_a_no_or_no_answer_ends_the_run_and_the_model(
    asking: dict[str, Any], answer: TaskError, error: str, words: str, update: str
) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    known = tasks(endpoint, broken={"AskApproval": answer}) | {"Verdict": lambda _: WAITING}
    result = walk(asking, known, {})
    assert (result.status, result.error) == ("FAILED", error)
    assert words in result.cause
    assert dict(result.payloads)[update]["ModelApprovalStatus"] == "Rejected"
    assert endpoint.calls == []


@pytest.mark.parametrize("answer", [{"approved": False}, {"approved": "true"}, {}, None, []])
def test_an_answer_that_is_no_yes_keeps_the_model_out(asking: dict[str, Any], answer: Any) -> None:
    endpoint = Endpoint(OLD_CONFIG)
    known = tasks(endpoint) | {"Verdict": lambda _: WAITING, "AskApproval": lambda _: answer}
    result = walk(asking, known, {})
    assert (result.status, result.error) == ("FAILED", "ModelRejected")
    assert '{"approved": true}' in result.cause
    assert dict(result.payloads)["RejectModel"]["ModelApprovalStatus"] == "Rejected"
    assert endpoint.calls == []


@pytest.mark.parametrize("served", ["", OLD_CONFIG])
def test_a_model_that_may_sleep_by_now_is_compared_with(pausing: dict[str, Any], served: str) -> None:
    """Only the verdict looks at the record: another model may have been released, and sleep, since the first one."""
    worse = verdict(accepted=False, cause="It is worse than the one that sleeps.", in_service="whippet-dev-better")
    known = tasks(Endpoint()) | {"Verdict": lambda _: WAITING | {"in_service": served}, "VerdictAgain": lambda _: worse}
    result = walk(pausing, known, {})
    assert (result.status, result.error) == ("FAILED", "ModelRejected")
    assert "It is worse than the one that sleeps." in result.cause


def test_a_question_that_could_not_be_asked_is_a_failure(asking: dict[str, Any]) -> None:
    known = tasks(Endpoint(), broken={"AskApproval": TaskError("NotFound", "no topic")}) | {
        "Verdict": lambda _: WAITING
    }
    result = walk(asking, known, {})
    assert (result.status, result.error) == ("FAILED", "NotFound")
    assert result.cause == "AskApproval: no topic"
    assert dict(result.payloads)["RejectModel"]["ModelApprovalStatus"] == "Rejected", "nobody will answer any more"


def test_a_rejected_model_is_not_asked_about(asking: dict[str, Any]) -> None:
    result = walk(asking, tasks(Endpoint()) | {"Verdict": lambda _: REJECTED}, {})
    assert (result.error, "AskApproval" in result.path) == ("ModelRejected", False)


def test_every_run_is_reported_with_all_that_is_known_of_it(definition: dict[str, Any]) -> None:
    good = dict(walk(definition, tasks(Endpoint()), {}).payloads)
    assert good["Report"]["run"]["verdict"] == verdict()
    assert good["Notify"]["run"]["report"] == REPORT
    bad = walk(definition, tasks(Endpoint(), broken={"CheckDataset": TaskError("BadDataset", "no photos")}), {})
    payloads = dict(bad.payloads)
    assert payloads["Report"]["run"]["failure"]["CheckDataset"]["Error"] == "BadDataset"
    assert payloads["Report"].keys() == {"run", "execution", "state_machine"}


def test_a_report_that_cannot_be_written_changes_nothing(definition: dict[str, Any]) -> None:
    broken = {"Report": TaskError("KeyError", '{"errorMessage": "plan"}')}
    assert walk(definition, tasks(Endpoint(), broken=broken), {}).status == "SUCCEEDED"
    failed = walk(definition, tasks(Endpoint(), broken=broken) | {"Verdict": lambda _: REJECTED}, {})
    assert (failed.error, failed.cause) == ("ModelRejected", REJECTED["cause"])
    assert "Report" in failed.path


def test_the_output_says_what_was_released_and_leads_to_the_report(definition: dict[str, Any]) -> None:
    assert walk(definition, tasks(Endpoint()), {}).output == {
        "run": "run-1",
        "endpoint": "whippet-dev",
        "test_accuracy": 0.9,
        "test_images": 10,
        "decision": verdict()["decision"],
        "model_package": PACKAGE,
        "report": REPORT["uri"],
    }
