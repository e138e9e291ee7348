from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import pytest
import verdict
from job_output import UnreadableOutput
from release_rules import decide

from tests.unit.lambdas.conftest import Context
from tests.unit.lambdas.fake_s3 import FakeS3, client_error
from training.contract import Evaluation

OUTPUT = "runs/run-2/training/whippet-dev-run-2-train/output/output.tar.gz"
EVENT = {"run": "run-2", "training_job": "whippet-dev-run-2-train", "model": "s3://data/model.tar.gz"}


def evaluation(**changes: Any) -> Evaluation:
    value: dict[str, Any] = {
        "run": "run-2",
        "classes": ["cat", "dog"],
        "dataset_fingerprint": "d",
        "test_fingerprint": "t",
        "validation_accuracy": 0.9,
        "test_accuracy": 0.9,
        "test_loss": 0.3,
        "test_images": 100,
        "per_class": [],
        "confusion_matrix": [[50, 0], [10, 40]],
        "hyperparameters": {"epochs": "20"},
    }
    value = dict.fromkeys(Evaluation.__required_keys__) | value  # the rest is not the verdict's business
    return value | changes  # type: ignore[return-value]


def archive(name: str = "evaluation.json", content: bytes | None = None) -> bytes:
    body = json.dumps(evaluation()).encode() if content is None else content
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path, data in (("data/history.csv", b"x"), (name, body)):
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


class FakeSageMaker:
    def __init__(self, config: str | None = None, status: str = "InService") -> None:
        self.config, self.status = config, status

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, str]:  # noqa: N803
        if self.config is None:
            raise client_error("ValidationException", f'Could not find endpoint "{EndpointName}".')
        return {"EndpointConfigName": self.config, "EndpointStatus": self.status}


def use(
    monkeypatch: pytest.MonkeyPatch, output: bytes | None = None, sagemaker: FakeSageMaker | None = None, **more: bytes
) -> FakeS3:
    s3 = FakeS3({OUTPUT: archive() if output is None else output, **more})
    monkeypatch.setattr(verdict, "s3", s3)
    monkeypatch.setattr(verdict, "sagemaker", sagemaker or FakeSageMaker())
    return s3


def before(**changes: Any) -> bytes:
    """The decision of the run whose model is in service."""
    return json.dumps({"classes": ["cat", "dog"], "test_fingerprint": "t", "test_accuracy": 0.9} | changes).encode()


def decision_of(s3: FakeS3) -> dict[str, Any]:
    decision: dict[str, Any] = json.loads(s3.objects["runs/run-2/decision.json"])
    return decision


@pytest.mark.parametrize("name", ["evaluation.json", "data/evaluation.json", "a/b/c/evaluation.json"])
def test_the_first_good_model_is_accepted(monkeypatch: pytest.MonkeyPatch, context: Context, name: str) -> None:
    s3 = use(monkeypatch, archive(name))
    answer = verdict.handler(EVENT, context)  # type: ignore[arg-type]
    assert answer["test_accuracy"] == 0.9
    decision = decision_of(s3)
    assert decision["accepted"]
    assert decision["in_service"] is None
    assert (decision["min_accuracy"], decision["tolerance"], decision["model"]) == (0.7, 0.01, EVENT["model"])


def test_a_model_below_the_floor_is_rejected_and_the_decision_kept(
    monkeypatch: pytest.MonkeyPatch, context: Context
) -> None:
    s3 = use(monkeypatch, archive(content=json.dumps(evaluation(test_accuracy=0.69)).encode()))
    with pytest.raises(verdict.ModelRejected, match=r"0\.6900 on 100 photos is below the floor 0\.7000"):
        verdict.handler(EVENT, context)  # type: ignore[arg-type]
    assert not decision_of(s3)["accepted"]


def test_a_worse_model_than_the_one_in_service_is_rejected(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    use(
        monkeypatch,
        None,
        FakeSageMaker("whippet-dev-run-1"),
        **{"runs/run-1/decision.json": before(test_accuracy=0.95)},
    )
    with pytest.raises(verdict.ModelRejected, match=r"worse than 0\.9500 of the model in service \(run-1\)"):
        verdict.handler(EVENT, context)  # type: ignore[arg-type]


@pytest.mark.parametrize(("accuracy", "accepted"), [(0.91, True), (0.911, False), (0.5, True)])
def test_the_tolerance_is_still_good(
    monkeypatch: pytest.MonkeyPatch, context: Context, accuracy: float, accepted: bool
) -> None:
    service = FakeSageMaker("whippet-dev-run-1")
    s3 = use(monkeypatch, None, service, **{"runs/run-1/decision.json": before(test_accuracy=accuracy)})
    try:
        verdict.handler(EVENT, context)  # type: ignore[arg-type]
    except verdict.ModelRejected:
        assert not accepted
    assert decision_of(s3)["accepted"] is accepted
    assert decision_of(s3)["in_service"]["comparable"]


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        (before(test_accuracy=0.99, test_fingerprint="other"), "tested on other photos"),
        (before(test_accuracy=0.99, classes=["cat", "dog", "owl"]), "trained on other classes"),
        (None, "left no decision.json"),
    ],
)
def test_what_cannot_be_compared_is_not_and_says_why(
    monkeypatch: pytest.MonkeyPatch, context: Context, stored: bytes | None, why: str
) -> None:
    more = {"runs/run-1/decision.json": stored} if stored else {}
    s3 = use(monkeypatch, None, FakeSageMaker("whippet-dev-run-1"), **more)
    answer = verdict.handler(EVENT, context)  # type: ignore[arg-type]
    assert any(why in reason for reason in answer["reasons"])
    assert not decision_of(s3)["in_service"]["comparable"]


def test_a_failed_endpoint_has_no_model_in_service(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    s3 = use(monkeypatch, None, FakeSageMaker("whippet-dev-run-1", "Failed"))
    verdict.handler(EVENT, context)  # type: ignore[arg-type]
    assert decision_of(s3)["in_service"] is None


def test_an_accuracy_that_is_no_number_is_rejected() -> None:
    value = evaluation(test_accuracy=float("nan"))
    decision = decide(value, run="r", model="m", min_accuracy=0.0, tolerance=1.0, in_service=None)
    assert not decision["accepted"]


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (b"not an archive", "not a readable tar.gz"),
        (archive()[:60], "not a readable tar.gz"),
        (archive("something.json"), "holds no evaluation.json"),
        (archive(content=b"{"), "is not JSON"),
        (archive(content=b"[]"), "lacks everything"),
        (archive(content=b'{"run": "x"}'), "lacks calibration, classes"),
    ],
)
def test_broken_outputs_are_named(monkeypatch: pytest.MonkeyPatch, context: Context, output: bytes, words: str) -> None:
    use(monkeypatch, output)
    with pytest.raises(UnreadableOutput) as error:
        verdict.handler(EVENT, context)  # type: ignore[arg-type]
    assert words in str(error.value)
    assert OUTPUT in str(error.value)


def test_a_missing_output_is_named(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    use(monkeypatch).objects.clear()
    with pytest.raises(UnreadableOutput, match="is not there"):
        verdict.handler(EVENT, context)  # type: ignore[arg-type]


def test_an_oversized_evaluation_is_not_read(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    monkeypatch.setattr("job_output.MAX_EVALUATION_BYTES", 10)
    use(monkeypatch)
    with pytest.raises(UnreadableOutput, match="more than 10"):
        verdict.handler(EVENT, context)  # type: ignore[arg-type]
