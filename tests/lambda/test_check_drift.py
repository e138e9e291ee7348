"""CheckDrift: which answers it reads, what it compares them with, what it writes, counts and tells."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import contract
from tests.fakes.lambda_context import Context
from tests.fakes.s3 import FakeS3, client_error

from check_drift import captured as captured_files  # isort: skip
from check_drift import handler as check_drift  # isort: skip

NOW = datetime(2099, 11, 29, 12, 30, tzinfo=UTC)
RUN = "run-1"
PREDICTIONS = contract.result_key(RUN, contract.Artefact.PREDICTIONS)


class Account:
    """An endpoint, a bucket, CloudWatch and EventBridge."""

    def __init__(self) -> None:
        self.s3 = FakeS3()
        self.config: str | None = f"whippet-dev-{RUN}"
        self.metrics: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.failed_events = 0
        self.set_test()

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, str]:  # noqa: N803
        if self.config is None:
            raise client_error("ValidationException", f'Could not find endpoint "{EndpointName}".')
        return {"EndpointStatus": "InService", "EndpointConfigName": self.config}

    def put_metric_data(self, *, Namespace: str, MetricData: list[dict[str, Any]]) -> None:  # noqa: N803
        self.metrics += [{"Namespace": Namespace, **datum} for datum in MetricData]

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        if self.failed_events:
            self.failed_events -= 1
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "later"}]}
        self.events += Entries
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}

    def set_test(self, *, photos: int = 200, run: str = RUN, with_distance: bool = True) -> None:
        """Test photos of the classes a and b, half and half."""
        rows = [
            f"{number}.jpg,a,{'ab'[number % 2]},{0.5 + number % 50 / 100:.2f}"
            + (f",{0.4 + number % 60 / 100:.2f}" if with_distance else "")
            for number in range(photos)
        ]
        head = "path,label,predicted,confidence" + (",distance" if with_distance else "")
        key = contract.result_key(run, contract.Artefact.PREDICTIONS)
        content = "\n".join([head, *rows]).encode()
        self.s3.put_object(Bucket="data", Key=key, Body=content)

    def capture(self, lines: Iterable[str], *, at: datetime = NOW, name: str = "1") -> str:
        """Write a file as SageMaker does."""
        folder = contract.capture_folder("whippet-dev", "AllTraffic")
        key = f"{folder}{at:%Y/%m/%d/%H}/{at:%M-%S}-000-{name}.jsonl"
        self.s3.put_object(Bucket="data", Key=key, Body="".join(f"{line}\n" for line in lines).encode())
        return key

    def metric(self, name: str) -> list[float]:
        return [datum["Value"] for datum in self.metrics if datum["MetricName"] == name]


def line(answer: dict[str, Any] | str, *, at: datetime = NOW, encoding: str = "JSON") -> str:
    """A captured line with this answer."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    data = base64.b64encode(text.encode()).decode() if encoding == "BASE64" else text
    output = {"observedContentType": "application/json", "mode": "OUTPUT", "data": data, "encoding": encoding}
    metadata = {"eventId": "1", "inferenceTime": f"{at:%Y-%m-%dT%H:%M:%SZ}"}
    return json.dumps({"captureData": {"endpointOutput": output}, "eventMetadata": metadata, "eventVersion": "0"})


def answer(
    label: str, *, score: float = 0.75, distance: float | None = 0.7, run: str = RUN, release: str | None = None
) -> dict[str, Any]:
    predictions = [{"label": label, "score": score}]
    known = None if distance is None else distance <= 1
    model = {"run": run, "test_accuracy": 0.9} | ({} if release is None else {"release": release})
    # the label of an unknown photo may be null
    return {
        "label": None,
        "score": score,
        "known": known,
        "distance": distance,
        "predictions": predictions,
        "model": model,
    }


def usual(number: int, *, run: str = RUN, at: datetime = NOW, encoding: str = "JSON") -> list[str]:
    """Answers like those to the test photos."""
    return [
        line(
            answer("ab"[n % 2], score=0.5 + n % 50 / 100, distance=0.4 + n % 60 / 100, run=run),
            at=at,
            encoding=encoding,
        )
        for n in range(number)
    ]


def one_class(number: int) -> list[str]:
    """Answers of the class a alone, else like those to the test photos."""
    return [line(answer("a", score=0.5 + n % 50 / 100, distance=0.4 + n % 60 / 100)) for n in range(number)]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    made = Account()
    for name in ("s3", "sagemaker", "cloudwatch", "events"):
        monkeypatch.setattr(check_drift, name, made.s3 if name == "s3" else made)
    for name, value in {
        "VARIANT_NAME": "AllTraffic",
        "DRIFT_HOURS": "24",
        "DRIFT_SHARE": "0.1",
        "DRIFT_MEASURES": json.dumps(contract.DRIFT_MEASURES),
        "CAPTURE_DAYS": "30",
    }.items():
        monkeypatch.setenv(name, value)
    return made


def check(context: Context) -> contract.DriftCheck:
    found: contract.DriftCheck = check_drift.handler({"time": NOW.isoformat()}, context)  # type: ignore[arg-type]
    return found


def test_answers_like_those_to_the_test_photos_are_no_drift(account: Account, context: Context) -> None:
    account.capture(usual(300))
    found = check(context)
    assert (found["verdict"], found["answers"], found["test_photos"]) == ("steady", 300, 200)
    assert [measured["measure"] for measured in found["measures"]] == list(contract.DRIFT_MEASURES)
    assert account.metric(contract.DRIFT_FOUND) == [0]
    assert not account.events


def test_another_class_mix_is_drift_and_is_counted_and_told(account: Account, context: Context) -> None:
    account.capture(one_class(300))
    found = check(context)
    assert found["verdict"] == "drifted"
    assert found["why"] == "What is sent is unlike the test photos: class mix (50%)."
    assert [measured["measure"] for measured in found["measures"] if measured["drifted"]] == ["class_mix"]
    assert found["classes"][0]["name"] in ("a", "b")
    assert account.metric(contract.DRIFT_FOUND) == [1]
    assert account.metric("DriftOfClassMix") == [pytest.approx(50)]
    assert account.metrics[0]["Dimensions"] == [{"Name": "EndpointName", "Value": "whippet-dev"}]
    (event,) = account.events
    assert (event["Source"], event["DetailType"]) == ("whippet", "Drift Found")
    assert json.loads(event["Detail"]) == {
        "environment": "dev",
        "endpoint": "whippet-dev",
        "release": RUN,
        "metrics": ["class_mix"],
    }


def test_what_was_told_is_not_told_again_of_the_same_model(account: Account, context: Context) -> None:
    """One change must not start a run every day."""
    account.capture(one_class(300))
    check(context)
    check(context)
    assert len(account.events) == 1
    assert account.metric(contract.DRIFT_FOUND) == [1, 1]

    # of another model it is
    account.config = "whippet-dev-run-2"
    account.set_test(run="run-2")
    account.capture([text.replace(RUN, "run-2") for text in one_class(300)], name="2")
    assert check(context)["told"] == ["class_mix"]
    assert len(account.events) == 2


def test_an_event_that_is_not_taken_is_told_by_the_next_check(account: Account, context: Context) -> None:
    account.capture(one_class(300))
    account.failed_events = 1
    with pytest.raises(RuntimeError, match="InternalFailure: later"):
        check(context)
    assert not account.events
    check(context)
    assert len(account.events) == 1


def test_too_few_answers_say_nothing(account: Account, context: Context) -> None:
    account.capture(one_class(contract.FEWEST_ANSWERS - 1))
    found = check(context)
    assert found["verdict"] == "too_few"
    assert "99 captured answers of run run-1 are too few to tell; a check needs 100." in found["why"]
    assert not account.metrics
    assert not account.events


def test_answers_of_other_models_and_lines_that_are_none_do_not_count(account: Account, context: Context) -> None:
    odd = [
        "",
        "no json",
        "{}",
        line("no json"),
        line("[]"),
        line({"predictions": []}),
        line({"error": {"status": 400}}),
    ]
    account.capture([*usual(200), *one_class(5), *odd, *usual(40, run="run-0")])
    account.capture(["{}"], name="other.txt")
    found = check(context)
    assert (found["answers"], found["others"], found["unreadable"]) == (205, 40, 7)


def test_a_model_that_another_run_trained_is_known_by_its_release(account: Account, context: Context) -> None:
    """A run that is tried again releases the model of the run that failed."""
    ours = [line(answer("a", run="run-0", release="whippet-dev-run-1")) for _ in range(150)]
    others = [line(answer("a", release="whippet-dev-run-0")) for _ in range(20)]
    account.capture([*ours, *others])
    found = check(context)
    assert (found["answers"], found["others"]) == (150, 20)


def test_answers_in_base64_are_read(account: Account, context: Context) -> None:
    account.capture(usual(150, encoding="BASE64"))
    assert check(context)["answers"] == 150


def test_older_answers_are_read_until_there_are_enough(account: Account, context: Context) -> None:
    for days in range(60):
        at = NOW - timedelta(days=days)
        account.capture(usual(20, at=at), at=at, name=str(days))
    found = check(context)
    assert captured_files.ENOUGH_ANSWERS <= found["answers"] < 2 * captured_files.ENOUGH_ANSWERS
    assert not found["is_sample"]
    assert found["since"] > (NOW - timedelta(days=30)).isoformat()

    # all of the time since the check before is read, and nothing older
    account.capture(usual(700), name="many")
    assert check(context)["answers"] in (720, 740)


def test_what_is_too_old_is_not_read(account: Account, context: Context) -> None:
    at = NOW - timedelta(days=32)
    account.capture(usual(300, at=at), at=at)
    assert check(context)["verdict"] == "too_few"


def test_a_check_reads_no_more_than_it_may(account: Account, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        account.capture(usual(100), name=str(number))
    for name, limit in (("MOST_FILES", 4), ("MOST_ANSWERS", 301), ("MOST_BYTES", len(account.s3.objects) * 4_000)):
        with monkeypatch.context() as patch:
            patch.setattr(captured_files, name, limit)
            found = check(context)
        assert found["is_sample"]
        assert 0 < found["answers"] < 1000, name
    context.remaining = 80_000
    assert check(context)["answers"] == 0


def test_a_model_without_distances_is_compared_without(account: Account, context: Context) -> None:
    account.set_test(with_distance=False)
    account.capture([line(answer("ab"[n % 2], score=0.5 + n % 50 / 100, distance=None)) for n in range(200)])
    found = check(context)
    assert [measured["measure"] for measured in found["measures"]] == ["class_mix", "confidence"]
    assert "unknown" not in found
    assert not found["distance"]


def test_unknown_photos_are_drift_of_the_distance(account: Account, context: Context) -> None:
    far = [line(answer("ab"[n % 2], score=0.5 + n % 50 / 100, distance=1.5)) for n in range(100)]
    account.capture([*usual(100), *far])
    found = check(context)
    assert [measured["measure"] for measured in found["measures"] if measured["drifted"]] == ["distance"]
    assert (found["unknown"]["test"], found["unknown"]["captured"]) == (0, 0.5)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "Run run-1 left answers to 0 test photos, and a check needs 30."),
        (b"path,label\na,b\n", "cannot be read: KeyError: 'predicted'."),
        (b"\xff", "cannot be read: UnicodeDecodeError"),
        (b"path,label,predicted,confidence\na,a,a,0.9\n", "left answers to 1 test photos"),
    ],
)
def test_without_answers_to_test_photos_there_is_nothing_to_compare_with(
    account: Account, context: Context, content: bytes | None, why: str
) -> None:
    del account.s3.objects[PREDICTIONS]
    if content is not None:
        account.s3.objects[PREDICTIONS] = content
    account.capture(one_class(300))
    found = check(context)
    assert found["verdict"] == "no_baseline"
    assert why in found["why"]
    assert not account.metrics


def test_without_a_model_there_is_nothing_to_check(account: Account, context: Context) -> None:
    account.config = None
    assert check(context)["verdict"] == "no_model"


def test_the_result_is_kept_and_shown_as_a_page(account: Account, context: Context) -> None:
    account.capture([line(answer("<b>x</b>")) for _ in range(150)])
    found = check(context)
    assert json.loads(account.s3.objects[contract.DRIFT_LATEST]) == found
    assert json.loads(account.s3.objects["drift/checks/2099-11-29T12-30-00Z.json"]) == found
    page = account.s3.objects[contract.DRIFT_PAGE].decode()
    assert '<h1 class="drifted">Drift found</h1>' in page
    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert page.count("<svg") == 3
    assert not re.search(r"\b(nan|inf)\b", page)
    assert "<script" not in page


def test_a_page_without_a_comparison_says_why(account: Account, context: Context) -> None:
    account.capture(one_class(3))
    check(context)
    page = account.s3.objects[contract.DRIFT_PAGE].decode()
    assert "Too few answers to tell" in page
    assert "<svg" not in page
