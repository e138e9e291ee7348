"""The whole system on one local cloud, as a user drives it: deploy, run, classify, run again, fail, destroy.

The tests of this file build on each other in their order: deploying a stack and releasing a model takes a
minute, and each test also shows that the one before left the system in order.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import contract
from cli.digits import write_digits
from infra.outputs import StackOutput
from local import control
from local.cloud.permission_log import VARIABLE
from tests.system.browser.chromium import chromium
from tests.system.left_behind import LOCAL_ONLY, left, unstated
from tests.system.permission_table import Granted, PermissionLog, granted, table, unproved
from tests.system.system import ENDPOINT, INPUT, OVERRIDES, STACK, System, run_of


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> PermissionLog:
    """The permissions that the roles use."""
    return PermissionLog(tmp_path_factory.mktemp("log") / "permissions.jsonl")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, log: PermissionLog) -> Iterator[System]:
    state = tmp_path_factory.mktemp("whole-run")
    system = System(state, environment={VARIABLE: str(log.file)})
    try:
        system.whippet("up")
        yield system
    finally:
        # Also when the deployment failed: a cloud left behind would go on for ever.
        control.stop(state)
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Path, str]]:
    """Photos of digits in a folder for each class, one of them a text file, and held-out digits with their classes."""
    folder = tmp_path_factory.mktemp("digits")
    answers = write_digits(folder, train=60, held_out=2)
    (folder / "photos" / "3" / "9999.jpg").write_text("this is a text that somebody renamed")
    return folder / "photos", answers


@pytest.fixture(scope="module")
def picture(digits: tuple[Path, dict[Path, str]]) -> bytes:
    return next(iter(digits[1])).read_bytes()


@contextmanager
def account(system: System, document: dict[str, Any]) -> Iterator[None]:
    """Let the local account be another one (docs/local-cloud.md, "Faults, quotas and other accounts")."""
    file = system.state / "account.json"
    file.with_suffix(".new").write_text(json.dumps(document))
    file.with_suffix(".new").rename(file)
    try:
        yield
    finally:
        file.unlink()


def test_a_run_without_photos_says_where_to_put_them(system: System) -> None:
    result = system.whippet("run", check=False)
    assert result.returncode == 1
    assert "CheckDataset" in result.stderr
    assert system.output(StackOutput.DATASET_URI) in result.stderr


def test_the_api_before_the_first_release_answers_503_with_advice(system: System, picture: bytes) -> None:
    answer = system.api("POST", "classify", picture, x_api_key=system.key(), content_type="image/jpeg")
    assert answer.status == 503, answer.data
    assert answer.headers["content-type"] == "application/problem+json"
    assert "start the state machine" in answer.json()["detail"]


def test_one_class_is_refused(system: System, digits: tuple[Path, dict[Path, str]], tmp_path: Path) -> None:
    shutil.copytree(digits[0] / "7", tmp_path / "one" / "7")
    system.whippet("upload", str(tmp_path / "one"))
    result = system.whippet("run", check=False)
    assert result.returncode == 1
    assert "one class" in result.stderr
    assert system.last_execution()["status"] == "FAILED"


def test_a_run_without_a_quota_ends_before_its_first_job(system: System, digits: tuple[Path, dict[Path, str]]) -> None:
    system.whippet("upload", str(digits[0]))
    wanted = "ml.m5.large for training job usage"
    with account(system, {"quotas": {"sagemaker": {wanted: 0, "ml.m5.large for endpoint usage": 0}}}):
        asked = system.whippet("quotas", check=False)
        result = system.whippet("run", "--input", json.dumps(INPUT), check=False)
    assert asked.returncode == result.returncode == 1
    assert "QuotaTooSmall" in result.stderr
    for told in (asked.stderr, result.stderr):
        assert wanted in told
        assert "endpoint usage" not in told, "a serverless endpoint has no instances"
    assert system.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []


def test_the_first_run_releases_a_model(system: System, digits: tuple[Path, dict[Path, str]]) -> None:
    system.whippet("upload", str(digits[0]))
    result = system.whippet("run", "--input", json.dumps(INPUT))
    for shown in ("CheckDataset", "Features", "trial 2", "Train", "epoch", "Verdict", "released"):
        assert shown in result.stdout
    endpoint = system.aws("sagemaker", "describe-endpoint", "--endpoint-name", ENDPOINT)
    assert endpoint["EndpointStatus"] == "InService"
    assert endpoint["ProductionVariants"][0]["VariantName"] == "AllTraffic"


def test_the_first_run_was_judged_by_rules_of_our_own_as_the_account_has_no_debugger(system: System) -> None:
    run = json.loads(system.last_execution()["output"])["run"]
    decision = system.document(run, contract.Artefact.DECISION)
    assert decision["accepted"]
    assert decision["debugger"] == "own"
    assert {rule["rule"] for rule in decision["rules"]} >= set(contract.DEFAULT_RULES["features"])
    fired = [rule for rule in decision["rules"] if rule["status"] == "IssuesFound"]
    assert [rule["rule"] for rule in fired if contract.RULES[rule["rule"]].kind == "tensor"] == [], fired
    assert {check["name"]: check["outcome"] for check in decision["checks"]}.items() >= {
        "accuracy": "passed",
        "class_recall": "passed",
        "leakage": "passed",
    }.items()


def test_the_model_is_in_the_registry_with_its_metrics_and_its_decision(system: System) -> None:
    run = json.loads(system.last_execution()["output"])["run"]
    packages = system.aws("sagemaker", "list-model-packages", "--model-package-group-name", ENDPOINT)
    newest = packages["ModelPackageSummaryList"][0]["ModelPackageArn"]
    package = system.aws("sagemaker", "describe-model-package", "--model-package-name", newest)
    assert package["ModelApprovalStatus"] == "Approved"
    assert package["CustomerMetadataProperties"]["run"] == run
    assert run in package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]


def test_the_report_is_one_page_with_the_whole_run(system: System) -> None:
    path = Path(system.whippet("report", "--no-open").stdout.replace("\n", "").strip())
    page = path.read_text(encoding="utf-8")
    for shown in ("Accepted", "Confusion matrix", "data:image/jpeg;base64,", "LossNotDecreasing", "Cost"):
        assert shown in page
    assert "https://cdn" not in page


def test_the_renamed_text_is_listed_as_broken_and_nothing_else(system: System) -> None:
    run = json.loads(system.last_execution()["output"])["run"]
    bucket = system.output(StackOutput.DATA_BUCKET)
    s3 = system.client("s3")
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix="features/")["Contents"]]
    index = next(key for key in keys if key.endswith("features.json") and run in key)
    features = json.loads(s3.get_object(Bucket=bucket, Key=index)["Body"].read())
    assert features["broken"] == ["3/9999.jpg"]
    assert sum(features["counts"].values()) == 10 * 60


def test_held_out_digits_are_recognised_through_the_api(system: System, digits: tuple[Path, dict[Path, str]]) -> None:
    key = system.key()
    right = 0
    for path, label in digits[1].items():
        answer = system.api("POST", "classify", path.read_bytes(), x_api_key=key, content_type="image/jpeg")
        assert answer.status == 200, answer.data
        predictions = answer.json()["predictions"]
        assert [p["score"] for p in predictions] == sorted((p["score"] for p in predictions), reverse=True)
        right += predictions[0]["label"] == label
    assert right >= len(digits[1]) * 0.6


def test_the_page_is_served_without_a_key(system: System) -> None:
    answer = system.api("GET", "", accept_encoding="gzip")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8"), answer.data
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'sha256-")
    assert answer.data.decode().startswith("<!doctype html>")
    assert system.api("GET", "health").status == 403, "all else needs the key"


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_person_has_a_digit_recognised_on_the_page(
    system: System, digits: tuple[Path, dict[Path, str]], slash: str
) -> None:
    photos = list(digits[1])
    complaints = []
    with chromium() as browser:
        page = browser.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(system.api_url.rstrip("/") + slash)
        page.fill("#key", system.key())
        page.keyboard.press("Enter")
        page.wait_for_selector("#key-form", state="hidden")
        page.set_input_files("#file", photos)
        page.wait_for_function(
            "(count) => document.querySelectorAll('[data-state]:not([data-state=busy])').length === count",
            arg=len(photos),
            timeout=120_000,
        )
        names = page.locator("figcaption").all_inner_texts()
        likeliest = page.locator(".bars li:first-child .name").all_inner_texts()
        classes = page.locator("#model-class-list li").all_text_contents()
    right = sum(digits[1][path] == found for path, found in zip(photos, likeliest, strict=True))
    assert names == [path.name for path in photos]
    assert right >= len(photos) * 0.6
    assert classes == [str(digit) for digit in range(10)]
    by_key = [text for text in complaints if "status of 403" in text]
    others = [text for text in complaints if "status of 422" not in text and text not in by_key]
    assert (len(by_key), others) == (1, []), "the page asks first whether it needs a key"


def test_json_is_answered_as_bytes_are(system: System, picture: bytes) -> None:
    key = system.key()
    plain = system.api("POST", "classify", picture, x_api_key=key, content_type="image/jpeg").json()
    body = json.dumps({"inputs": base64.b64encode(picture).decode(), "parameters": {"top_k": 2}}).encode()
    asked = system.api("POST", "classify", body, x_api_key=key, content_type="application/json").json()
    assert asked == {**plain, "predictions": plain["predictions"][:2]}


def test_a_picture_of_something_else_is_unknown_and_digits_are_not(
    system: System, digits: tuple[Path, dict[Path, str]]
) -> None:
    """The distance is in the model file, the threshold from held-out digits, and the setting says to name none."""
    odd = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)).save(odd, "PNG")
    key = system.key()
    answer = system.api("POST", "classify", odd.getvalue(), x_api_key=key, content_type="image/png").json()
    assert answer["known"] is False
    assert answer["distance"] > 1
    assert answer["label"] is None, "the setting serving.name_unknown is false here"
    assert "unlike" in answer["reason"]

    # the query string reaches the model through the API, the function and SageMaker
    known = 0
    for path in digits[1]:
        of_digit = system.api(
            "POST", "classify?coverage=0.9&top_k=1", path.read_bytes(), x_api_key=key, content_type="image/jpeg"
        ).json()
        known += of_digit["known"]
        assert len(of_digit["predictions"]) == 1
        assert of_digit["labels"][0] == of_digit["predictions"][0]["label"]
    assert known >= len(digits[1]) * 0.7
    refused = system.api("POST", "classify?coverage=95", odd.getvalue(), x_api_key=key, content_type="image/png")
    assert refused.status == 400
    assert "from 0.5 to 0.999" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "says"),
    [
        (b"", "image/jpeg", 400, "no body"),
        (b"I am not a picture", "image/jpeg", 400, "image"),
        (b"I am not a picture", "text/plain", 415, "image/"),
        (b'{"inputs": "!!!"}', "application/json", 400, "base64"),
        (os.urandom(12 << 20), "image/jpeg", 413, "MB"),
    ],
    ids=["empty", "text as jpeg", "text", "bad base64", "12 MB"],
)
def test_a_bad_request_is_explained_and_the_next_good_one_works(
    system: System, picture: bytes, body: bytes, content_type: str, status: int, says: str
) -> None:
    key = system.key()
    answer = system.api("POST", "classify", body, x_api_key=key, content_type=content_type)
    assert answer.status == status, answer.data
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.json()["detail"]
    assert system.api("POST", "classify", picture, x_api_key=key, content_type="image/jpeg").status == 200


def test_a_call_without_the_key_is_refused(system: System, picture: bytes) -> None:
    answer = system.api("POST", "classify", picture, content_type="image/jpeg")
    assert answer.status == 403
    assert "x-api-key" in answer.json()["detail"]


def test_the_aws_cli_sees_what_a_user_of_aws_expects(system: System) -> None:
    execution = system.last_execution()
    run = json.loads(execution["output"])["run"]
    jobs = system.aws("sagemaker", "list-training-jobs", "--name-contains", run)["TrainingJobSummaries"]
    assert {job["TrainingJobStatus"] for job in jobs} == {"Completed"}
    assert len(jobs) == 2 + int(OVERRIDES["tuning.trials"])
    tuning = system.aws(
        "sagemaker",
        "describe-hyper-parameter-tuning-job",
        "--hyper-parameter-tuning-job-name",
        f"{ENDPOINT}-{run}",
    )
    assert tuning["HyperParameterTuningJobStatus"] == "Completed"
    best = tuning["BestTrainingJob"]["TunedHyperParameters"]
    assert 0.001 <= float(best["learning_rate"]) <= 0.1
    assert int(best["batch_size"]) in (16, 32, 64, 128, 256, 512)
    described = system.aws("stepfunctions", "describe-execution", "--execution-arn", execution["executionArn"])
    assert described["status"] == "SUCCEEDED"


def test_a_second_run_reuses_the_features_and_updates_the_endpoint(system: System) -> None:
    before = system.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)
    result = system.whippet("run", "--input", json.dumps({**INPUT, "seed": 0}))
    assert "Features" not in result.stdout
    after = system.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)
    assert after["EndpointConfigName"] != before["EndpointConfigName"]
    assert after["CreationTime"] == before["CreationTime"]
    assert after["EndpointStatus"] == "InService"

    # Retire could look for earlier releases, and keeps the first one
    events = system.client("stepfunctions").get_execution_history(
        executionArn=system.last_execution()["executionArn"], reverseOrder=True, maxResults=100
    )["events"]
    exits = [event["stateExitedEventDetails"] for event in events if "stateExitedEventDetails" in event]
    (retired,) = [json.loads(each["output"])["retired"] for each in exits if each["name"] == "Retire"]
    assert retired == {"configs": [], "models": []}

    # the first run's model was run on the same test photos, none of which it had learnt from
    compared = system.document(run_of(system.last_execution()), contract.Artefact.DECISION)["in_service"]
    assert compared["config"] == before["EndpointConfigName"]
    assert compared["why"] == (
        f"of the {compared['images']} test photos of this run, the two are compared on the {compared['images']} on "
        "which the model in service was run"
    )
    assert compared["old_accuracy"] == pytest.approx(compared["test_accuracy"]), "as its own run had measured"


def test_a_rollback_puts_the_first_model_back_within_a_minute(
    system: System, picture: bytes, log: PermissionLog
) -> None:
    log.end("runs")
    second, first = json.loads(system.whippet("history", "--json").stdout)
    assert (second["now"], first["now"]) == ("serves", "can be put back")
    assert first["until"] == second["since"]

    began = time.monotonic()
    said = system.whippet("rollback", "--reason", "seed 0 was a whim").stdout
    assert time.monotonic() - began < 60
    assert f"the model of run {first['run']} is in service" in said
    answer = system.api("POST", "classify", picture, x_api_key=system.key(), content_type="image/jpeg")
    assert answer.json()["model"]["run"] == first["run"]
    log.end("rollback")

    packages = system.aws("sagemaker", "list-model-packages", "--model-package-group-name", ENDPOINT)
    assert {
        package["ModelPackageDescription"]: package["ModelApprovalStatus"]
        for package in packages["ModelPackageSummaryList"]
    } == {f"Run {first['run']}": "Approved", f"Run {second['run']}": "Rejected"}
    history = system.whippet("history").stdout
    assert re.search(rf"↓ rolled back to run {first['run']} by \S+: seed 0 was a whim", history)

    # there is nothing further back
    result = system.whippet("rollback", check=False)
    assert result.returncode == 1
    assert "release.kept" in result.stderr


def test_a_sabotaged_training_is_rejected_by_rule_step_and_value_while_the_old_model_answers(
    system: System, picture: bytes
) -> None:
    """At a learning rate of 10 the accuracy is above the floor: only the rules see what is wrong."""
    before = system.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)
    sabotage = {**INPUT, "epochs": 20, "learning_rate": {"min": 9.9, "max": 10}}
    with _asking(system, picture) as statuses:
        result = system.whippet("run", "--input", json.dumps(sabotage), check=False)
    assert result.returncode == 1
    assert re.search(r"Overfit found an issue at step \d+: the validation loss [\d.]+ is", result.stderr)
    execution = system.last_execution()
    assert execution["error"] == "ModelRejected"
    assert "Overfit found an issue at step" in execution["cause"]
    decision = system.document(run_of(execution), contract.Artefact.DECISION)
    outcomes = {check["name"]: check["outcome"] for check in decision["checks"]}
    assert decision["in_service"]["config"] == before["EndpointConfigName"], "the model that was put back"
    assert outcomes["accuracy"] == "passed"
    assert outcomes["rules"] == "blocked"
    assert len(statuses) > 10
    assert set(statuses) == {200}
    after = system.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)
    assert after["EndpointConfigName"] == before["EndpointConfigName"]
    assert system.api("POST", "classify", picture, x_api_key=system.key(), content_type="image/jpeg").status == 200


@contextmanager
def _asking(system: System, picture: bytes) -> Iterator[list[int]]:
    """Classify a photo through the API twice a second, and collect the status codes of the answers."""
    key, statuses, over = system.key(), [], threading.Event()

    def ask() -> None:
        while not over.wait(0.5):
            statuses.append(system.api("POST", "classify", picture, x_api_key=key, content_type="image/jpeg").status)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield statuses
    finally:
        over.set()
        asking.join()


def test_a_rejected_model_leaves_the_one_in_service(
    system: System, digits: tuple[Path, dict[Path, str]], picture: bytes, tmp_path: Path
) -> None:
    before = system.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)
    _shuffle_labels(digits[0], tmp_path / "shuffled")
    system.whippet("upload", str(tmp_path / "shuffled"))
    result = system.whippet("run", "--input", json.dumps(INPUT), check=False)
    assert result.returncode == 1
    assert "the model was rejected" in result.stderr
    assert "0.4" in result.stderr, "the floor is named"
    execution = system.last_execution()
    assert execution["error"] == "ModelRejected"

    # other test photos: the model in service was run on them, and those that it was trained on do not count
    compared = system.document(run_of(execution), contract.Artefact.DECISION)["in_service"]
    assert re.search(r"are compared on the \d+ on which the model in service was run; left out are", compared["why"])
    assert "that it was trained on" in compared["why"]
    after = system.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)
    assert after["EndpointConfigName"] == before["EndpointConfigName"]
    answer = system.api("POST", "classify", picture, x_api_key=system.key(), content_type="image/jpeg")
    assert answer.status == 200


def _shuffle_labels(photos: Path, target: Path) -> None:
    """Spread the photos of every class over all classes, so that there is nothing to learn."""
    for number, path in enumerate(sorted(photos.glob("*/0*.jpg"))):
        folder = target / str(number * 7 % 10)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{path.parent.name}-{path.name}")


def test_status_and_logs_tell_what_happened(system: System) -> None:
    status = system.whippet("status").stdout
    assert "InService" in status
    assert "ModelRejected" in status
    assert "epoch" in system.whippet("logs").stdout


@pytest.fixture(scope="module")
def permissions(system: System) -> list[Granted]:
    """What the roles of the stack may do, while it stands."""
    return granted(system.client("iam"), prefix=STACK)


def test_destroy_leaves_nothing_behind_but_what_readme_lists(system: System, permissions: list[Granted]) -> None:
    bucket = system.output(StackOutput.DATA_BUCKET)
    system.destroy()
    # the endpoint's last lines did not make its log group again
    groups = system.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/sagemaker/Endpoints/{ENDPOINT}")
    assert groups["logGroups"] == []
    assert bucket not in [item["Name"] for item in system.client("s3").list_buckets()["Buckets"]]
    assert unstated(system.client) == []


def test_leftovers_removes_the_rest_but_what_the_cdk_keeps(system: System) -> None:
    listed = system.whippet("leftovers").stdout
    assert "record of a training job" in listed
    system.whippet("leftovers", "--remove", "--data")
    mine = re.compile(r".*([Ww]hippet-dev|StepFunctionsGetEvents)")
    kept_by_local_cloud = tuple(LOCAL_ONLY)
    rest = [item for item in left(system.client) if not any(re.fullmatch(each, item) for each in kept_by_local_cloud)]
    assert [item for item in rest if mine.match(item)] == []
    assert json.loads(system.whippet("leftovers", "--json").stdout)[-1]["name"] == "CDKToolkit"


def test_what_others_do_not_need_is_needed_here(permissions: list[Granted], log: PermissionLog) -> None:
    log.end("destroy")
    print(table(permissions, log, stack=STACK))
    assert unproved(permissions, log, test=__file__) == []
