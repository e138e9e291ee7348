"""Guarded rollouts under load, on a local cloud whose clock runs fast: a good model, and three that are taken back.

The tests of this file build on each other in their order. Nothing in them is measured against the machine's clock: how
many requests there are depends on the machine, and so does how long a run takes.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.machine import describe, today
from benchmarks.rollouts import Measured, RolloutFigures, table, write
from cli.digits import write_digits
from infra.outputs import StackOutput
from local import control
from local.clock import SPEED_VARIABLE
from local.cloud.permission_log import VARIABLE
from tests.system.permission_table import PermissionLog, granted, unproved
from tests.system.soak.rollout_watch import errors_of, watching
from tests.system.system import ENDPOINT, INPUT, STACK, System

SPEED = 12
"""A minute in five seconds: short enough to wait for a bake, and long enough for a minute's requests to be some."""
SHORT = {**INPUT, "epochs": 2, "trials": 1, "trial_epochs": 1}
"""Input of a run whose model need not be good, since it is taken back."""
SHARE = 30
"""Percent of the requests that go to the new model first."""
BAKE_MINUTES = 6
CLIENTS = 6
PAUSE_SECONDS = 0.3
SETTINGS = {
    "serving.mode": "realtime",
    "release.canary_percent": str(SHARE),
    "release.bake_minutes": str(BAKE_MINUTES),
    "release.max_latency_ms": "10000",  # other tests run at the same time
    # what is tested is the rollout, and the last model has other photos
    "release.tolerance": "1",
    "release.min_accuracy": "0",
    "release.min_class_recall": "0",
    "release.max_near_copies": "1",
    # the clock runs fast for the jobs, too
    "tuning.max_minutes": "1440",
    "training.max_minutes": "1440",
    "debugger.mode": "off",
    "api.daily_quota": "1000000",  # of all that is asked here
}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> PermissionLog:
    """The permissions that the roles use."""
    return PermissionLog(tmp_path_factory.mktemp("log") / "permissions.jsonl")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, log: PermissionLog) -> Iterator[System]:
    state = tmp_path_factory.mktemp("rollout")
    system = System(state, environment={SPEED_VARIABLE: str(SPEED), VARIABLE: str(log.file)})
    try:
        system.whippet("up", settings=SETTINGS)
        yield system
    finally:
        control.stop(state)
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """The folder of digits, and one that was held out."""
    folder = tmp_path_factory.mktemp("digits")
    answers = write_digits(folder, train=30, held_out=1)
    return folder / "photos", next(iter(answers)).read_bytes()


@pytest.fixture(scope="module")
def mail(system: System) -> Iterator[list[str]]:
    """The messages of the topic so far."""
    sqs, sns = system.client("sqs"), system.client("sns")
    queue = sqs.create_queue(QueueName="mail")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    topic = system.output(StackOutput.NOTIFICATION_TOPIC)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})

    messages: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.wait(0.5):
            found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
            for message in found:
                messages.append(message["Body"])
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])

    thread = threading.Thread(target=read)
    thread.start()
    yield messages
    done.set()
    thread.join()


@pytest.fixture(scope="module")
def figures() -> Iterator[list[RolloutFigures]]:
    """What each test has measured; written into docs/rollout.md where WHIPPET_WRITE_FIGURES asks for it."""
    rows: list[RolloutFigures] = []
    load_before = os.getloadavg()[0]
    yield rows
    found = Measured(
        machine=describe(),
        date=today(),
        load=load_before,
        speed=SPEED,
        canary_percent=SHARE,
        bake_seconds=60 * BAKE_MINUTES,
        rows=rows,
    )
    print(f"\n{table(found)}")
    if os.environ.get("WHIPPET_WRITE_FIGURES"):
        write(found)


@dataclass
class Answered:
    """What one request of the load saw."""

    status: int
    release: str
    detail: str


@dataclass
class Load:
    """Clients that ask the API again and again."""

    seen: list[Answered] = field(default_factory=list)

    @property
    def failed(self) -> list[Answered]:
        """The requests that failed, apart from 504: the API waits for 29 s of the machine's clock, however busy it is.

        What the endpoint itself did not answer is in its metrics.
        """
        return [answer for answer in self.seen if answer.status not in (200, 504)]

    @property
    def releases(self) -> set[str]:
        return {answer.release for answer in self.seen if answer.status == 200}


@contextmanager
def load(system: System, photo: bytes) -> Iterator[Load]:
    """Ask about a photo, about ten times a second where the machine can."""
    load, done, key = Load(), threading.Event(), system.key()

    def ask() -> None:
        while not done.wait(PAUSE_SECONDS):
            answer = system.api("POST", "classify", photo, x_api_key=key, content_type="image/jpeg")
            content = answer.json()
            release = content["model"]["release"] if answer.status == 200 else ""
            load.seen.append(Answered(answer.status, release, str(content.get("detail", ""))))

    clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield load
    finally:
        done.set()
        for client in clients:
            client.join()


@contextmanager
def ailing(system: System, **how: Any) -> Iterator[None]:
    """Let every model answer so, but the one in service."""
    entries = [{"name": served(system)}, {"name": "*", **how}]
    file = system.state / "account.json"
    file.with_suffix(".new").write_text(json.dumps({"answering": entries}))
    file.with_suffix(".new").rename(file)
    try:
        yield
    finally:
        file.unlink()


@contextmanager
def measured(
    system: System, figures: list[RolloutFigures], mail: list[str], photo: bytes, model: str
) -> Iterator[Load]:
    """Ask about a photo while a model is released, and keep what happened."""
    told, before = len(mail), served(system)
    with watching(system) as watch, load(system, photo) as asked:
        yield asked
    seconds = time.monotonic() - watch.begun
    execution = system.last_execution()
    released = execution["status"] == "SUCCEEDED"
    inside = 0 if released else int(errors_of(system, watch.new)) if watch.new != before else 0
    taken_back = not released and watch.baking is not None and watch.back is not None
    subjects = {line for message in mail[told:] for line in message.splitlines() if line.startswith(("Run ", ENDPOINT))}
    figures.append(
        RolloutFigures(
            model=model,
            ended="released" if released else execution["error"],
            requests=len(asked.seen),
            per_second=len(asked.seen) / seconds,
            failed_inside=inside,
            failed_outside=max(0, len(asked.failed) - inside),
            back_after=SPEED * ((watch.back or 0) - (watch.baking or 0)) if taken_back else None,
            told="; ".join(sorted(_short(line) for line in subjects)),
        )
    )


def _short(line: str) -> str:
    """The message's first line, without names of runs."""
    if line.startswith("Run "):
        return "run " + line.removeprefix("Run ").partition(" ")[2].rstrip(".").partition(" for ")[0]
    return "alarm " + line.removeprefix(f"{ENDPOINT}-").partition(":")[0]


def served(system: System) -> str:
    return str(system.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)["EndpointConfigName"])


def taken_back(system: System, mail: list[str], *, alarm: str) -> None:
    """Run once more, and check that its model is taken back by this alarm."""
    before, told = served(system), len(mail)
    result = system.whippet("run", "--input", json.dumps(SHORT), check=False, settings=SETTINGS)
    execution = system.last_execution()
    assert (execution["status"], execution["error"]) == ("FAILED", "RolloutRolledBack"), result.stderr
    assert f"{ENDPOINT}-endpoint-{alarm} went off" in execution["cause"]

    # what served serves on
    sagemaker = system.client("sagemaker")
    endpoint = sagemaker.describe_endpoint(EndpointName=ENDPOINT)
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", before)
    packages = sagemaker.list_model_packages(ModelPackageGroupName=ENDPOINT, SortOrder="Descending", MaxResults=1)
    assert packages["ModelPackageSummaryList"][0]["ModelApprovalStatus"] == "Rejected"

    # people are told of the run and of the alarm
    def messages() -> str:
        return "\n".join(mail[told:])

    deadline = time.monotonic() + 60
    while not ("taken back during the rollout" in messages() and f"{ENDPOINT}-endpoint-{alarm}: " in messages()):
        assert time.monotonic() < deadline, messages()
        time.sleep(0.2)


def well_again(system: System) -> None:
    """Wait until no alarm is on, as somebody would before the next run."""
    cloudwatch = system.client("cloudwatch")
    deadline = time.monotonic() + 120
    while on := cloudwatch.describe_alarms(AlarmNamePrefix=ENDPOINT, StateValue="ALARM")["MetricAlarms"]:
        assert time.monotonic() < deadline, on
        time.sleep(0.5)


def test_a_first_release_has_nothing_to_shift_from(system: System, digits: tuple[Path, bytes], mail: list[str]) -> None:
    system.whippet("upload", str(digits[0]), settings=SETTINGS)
    system.whippet("run", "--input", json.dumps(INPUT), settings=SETTINGS)
    assert system.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"] == "InService"


def test_a_good_model_takes_over_and_no_request_fails(
    system: System, digits: tuple[Path, bytes], mail: list[str], figures: list[RolloutFigures]
) -> None:
    before = served(system)
    with measured(system, figures, mail, digits[1], "good") as asked:
        system.whippet("run", "--input", json.dumps(INPUT), settings=SETTINGS)
        after = served(system)
        # the last answers are the new model's
        count = len(asked.seen)
        while len(asked.seen) < count + 2 * CLIENTS:
            time.sleep(0.1)
    assert asked.failed == []
    assert errors_of(system) == 0
    assert asked.releases == {before, after}
    assert {answer.release for answer in asked.seen[count + CLIENTS :] if answer.status == 200} == {after}
    changed = [answer.release for answer in asked.seen].index(after)
    assert before in {answer.release for answer in asked.seen[changed:]}, "both models answered for a while"


def test_a_model_that_fails_is_taken_back(
    system: System, digits: tuple[Path, bytes], mail: list[str], figures: list[RolloutFigures]
) -> None:
    with measured(system, figures, mail, digits[1], "answers 500") as asked, ailing(system, status=500):
        before = served(system)
        taken_back(system, mail, alarm="errors")
        count = len(asked.seen)
        while len(asked.seen) < count + 2 * CLIENTS:
            time.sleep(0.1)

    # only requests of the canary failed, and none after the rollback
    indices = [index for index, answer in enumerate(asked.seen) if answer in asked.failed]
    first, last = indices[0], indices[-1]
    assert last < count + CLIENTS
    assert len(asked.failed) < 2 * SHARE / 100 * (last - first + 1) + 3
    assert asked.releases == {before}
    well_again(system)


def test_a_model_that_is_too_slow_is_taken_back(
    system: System, digits: tuple[Path, bytes], mail: list[str], figures: list[RolloutFigures]
) -> None:
    with measured(system, figures, mail, digits[1], "takes 13 s") as asked, ailing(system, delay_seconds=13):
        taken_back(system, mail, alarm="latency")
    assert asked.failed == []
    well_again(system)


def test_a_model_that_knows_nothing_is_taken_back(
    system: System, digits: tuple[Path, bytes], mail: list[str], figures: list[RolloutFigures], tmp_path: Path
) -> None:
    """A model of other photos: stripes, by which every digit is unlike all that it was trained on."""
    replace_photos(system, _stripes(tmp_path / "stripes"))
    with measured(system, figures, mail, digits[1], "takes every photo for unknown") as asked:
        taken_back(system, mail, alarm="unknown")
    assert asked.failed == []
    well_again(system)


def test_what_a_whole_run_does_not_need_is_needed_here(system: System, log: PermissionLog) -> None:
    log.end("rollouts")
    permissions = granted(system.client("iam"), prefix=STACK)
    assert unproved(permissions, log, test=__file__) == []


SHADOW = {**SETTINGS, "release.shadow_minutes": str(BAKE_MINUTES), "release.shadow_requests": "20"}


@pytest.mark.parametrize(("model", "how"), [("answers 500", {"status": 500}), ("takes every photo for unknown", {})])
def test_a_shadow_that_does_not_pass_answers_nobody(
    system: System,
    digits: tuple[Path, bytes],
    mail: list[str],
    figures: list[RolloutFigures],
    model: str,
    how: dict[str, Any],
) -> None:
    """The photos are still the stripes, whose model knows no digit."""
    system.whippet("up", settings=SHADOW)
    before, errors = served(system), errors_of(system)
    with (
        measured(system, figures, mail, digits[1], f"{model}, as a shadow") as asked,
        ailing(system, **how) if how else nullcontext(),
    ):
        system.whippet("run", "--input", json.dumps(SHORT), check=False, settings=SHADOW)
    execution = system.last_execution()
    assert execution["error"] == "ShadowFailed", execution["cause"]
    assert asked.failed == []
    assert asked.releases == {before}
    assert errors_of(system) == errors
    assert served(system) == before
    assert "ShadowProductionVariants" not in system.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)


def test_a_shadow_that_passes_is_rolled_out(
    system: System, digits: tuple[Path, bytes], mail: list[str], figures: list[RolloutFigures]
) -> None:
    replace_photos(system, digits[0])
    system.whippet("up", settings=SHADOW)
    before = served(system)
    with measured(system, figures, mail, digits[1], "good, as a shadow first") as asked:
        system.whippet("run", "--input", json.dumps(INPUT), settings=SHADOW)
    assert asked.failed == []
    assert asked.releases == {before, served(system)}
    configs = system.client("sagemaker").list_endpoint_configs(NameContains="shadow")["EndpointConfigs"]
    models = system.client("sagemaker").list_models(NameContains="shadow")["Models"]
    assert (configs, models) == ([], [])


def replace_photos(system: System, folder: Path) -> None:
    """Let the data set be this folder's photos."""
    bucket = system.client("s3")
    for page in bucket.get_paginator("list_objects_v2").paginate(Bucket=system.bucket, Prefix="dataset/"):
        for entry in page.get("Contents", []):
            bucket.delete_object(Bucket=system.bucket, Key=entry["Key"])
    system.whippet("upload", str(folder), settings=SETTINGS)


def _stripes(root: Path) -> Path:
    rng = np.random.default_rng(0)
    for digit in range(10):
        for number in range(30):
            pixels = np.zeros((28, 28, 3))
            pixels[:, :: digit + 2] = rng.uniform(120, 255, size=3)
            pixels = np.clip(pixels + rng.normal(0, 12, pixels.shape), 0, 255)
            folder = root / str(digit)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype("uint8")).save(folder / f"{number:04d}.png")
    return root
