"""A run as the verdict finds it: the training job's archive, the manifest, the rules' results, the endpoint."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

from contract import ClassScores, Evaluation, Interval, RuleResult
from tests.fakes.s3 import FakeS3, client_error

RUN = "run-2"
OUTPUT = f"runs/{RUN}/training/whippet-dev-run-2-train/output/output.tar.gz"
EVENT = {
    "run": RUN,
    "training_job": "whippet-dev-run-2-train",
    "model": f"s3://data/runs/{RUN}/training/whippet-dev-run-2-train/output/model.tar.gz",
    "mode": "features",
    "debugger": "own",
}
NO_ISSUE = ("Overfit", "AllZero", "CPUBottleneck")


def interval(share: float, images: int) -> Interval:
    """Wilson's 95 % interval, by its definition: the shares that a score test would not reject."""
    square = 1.96**2
    if not images or share != share:
        return {"low": 0.0, "high": 1.0, "level": 0.95}
    half = (square * share * (1 - share) / images + square**2 / (4 * images**2)) ** 0.5
    low, high = ((share + square / (2 * images) + sign * half) / (1 + square / images) for sign in (-1, 1))
    return {"low": low, "high": high, "level": 0.95}


def class_scores(name: str, *, images: int, recall: float) -> ClassScores:
    return {
        "name": name,
        "images": images,
        "precision": 0.9,
        "recall": recall,
        "recall_interval": interval(recall, images),
        "f1": 0.9,
    }


def evaluation(**changes: Any) -> Evaluation:
    value: dict[str, Any] = {
        "run": RUN,
        "classes": ["cat", "dog"],
        "dataset_fingerprint": "d",
        "test_fingerprint": "t",
        "validation_accuracy": 0.9,
        "validation_images": 100,
        "test_accuracy": 0.9,
        "test_loss": 0.3,
        "test_images": 100,
        "per_class": [
            class_scores("cat", images=50, recall=1.0),
            class_scores("dog", images=50, recall=0.8),
        ],
        "confusion_matrix": [[50, 0], [10, 40]],
        "hyperparameters": {"epochs": "20", "unfreeze_from": ""},
    }
    value = dict.fromkeys(Evaluation.__required_keys__) | value  # the rest is not the verdict's business
    value |= changes
    measured = interval(value["test_accuracy"], value["test_images"])
    return value | {"test_accuracy_interval": changes.get("test_accuracy_interval", measured)}  # type: ignore[return-value]


def result(rule: str, status: str = "NoIssuesFound", **more: Any) -> RuleResult:
    return {"rule": rule, "status": status, "detail": "", "step": None, "evaluator": "own"} | more  # type: ignore[return-value]


def predictions(right: Sequence[bool]) -> bytes:
    lines = [f"test/cat/{place}.jpg,cat,{'cat' if good else 'dog'},0.9" for place, good in enumerate(right)]
    return "\n".join(["path,label,predicted,confidence", *lines, ""]).encode()


def archive(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def output(
    *,
    changes: Mapping[str, Any] | None = None,
    profile: Sequence[RuleResult] = (),
    right: Sequence[bool] | None = None,
    in_service: Sequence[bool] | None = None,
) -> bytes:
    """The job's archive; `right` and `in_service` say which predictions of the two models are."""
    files = {
        "evaluation.json": json.dumps(evaluation(**(changes or {}))).encode(),
        "history.csv": b"epoch\n1\n",
        "thumbnails.json": b"{}",
        "tensors/events/000/0_worker.tfevents": b"tensors",
        "profile.json": json.dumps({"rules": profile or [result("CPUBottleneck")]}).encode(),
    }
    if right is not None:
        files["test_predictions.csv"] = predictions(right)
    if in_service is not None:
        files["in_service.json"] = json.dumps({"run": "run-1", "labels": ["cat", "dog"], "why": ""}).encode()
        files["in_service_predictions.csv"] = predictions(in_service)
    return archive(files)


def manifest(*records: tuple[str, str, str], run: str = RUN) -> dict[str, bytes]:
    """Objects of a run's manifest folder; a record is split, path and content hash."""
    lines = [json.dumps({"path": path, "label": 0, "split": split, "etag": etag}) for split, path, etag in records]
    return {
        f"runs/{run}/manifest/manifest.jsonl": ("\n".join(lines) + "\n").encode(),
        f"runs/{run}/manifest/dataset.json": json.dumps({"duplicates_across_splits": 3}).encode(),
    }


def bucket(
    body: bytes | None = None, *, rules: Sequence[RuleResult] | None = None, more: Mapping[str, bytes] | None = None
) -> FakeS3:
    """The data bucket; `rules` are the own job's results."""
    ended = [result("Overfit"), result("AllZero")] if rules is None else rules
    return FakeS3(
        {
            OUTPUT: output() if body is None else body,
            f"runs/{RUN}/rules/rules.json": json.dumps({"results": list(ended), "seconds": 1.0}).encode(),
            **manifest(("train", "cat/1.jpg", "a"), ("validation", "cat/2.jpg", "b"), ("test", "cat/3.jpg", "c")),
            **(more or {}),
        }
    )


class FakeSageMaker:
    def __init__(
        self, config: str | None = None, status: str = "InService", rules: Sequence[dict[str, str]] = ()
    ) -> None:
        self.config, self.status, self.rules = config, status, rules

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, str]:  # noqa: N803
        if self.config is None:
            raise client_error("ValidationException", f'Could not find endpoint "{EndpointName}".')
        return {"EndpointConfigName": self.config, "EndpointStatus": self.status}

    def describe_training_job(self, *, TrainingJobName: str) -> dict[str, Any]:  # noqa: N803
        assert TrainingJobName == EVENT["training_job"]
        return {
            "DebugRuleEvaluationStatuses": [
                {"RuleEvaluationJobArn": "arn", **rule}
                for rule in self.rules
                if rule["RuleConfigurationName"] != "ProfilerReport"
            ],
            "ProfilerRuleEvaluationStatuses": [
                rule for rule in self.rules if rule["RuleConfigurationName"] == "ProfilerReport"
            ],
        }


def before(**changes: Any) -> bytes:
    """The decision of the run whose model is in service."""
    return json.dumps({"classes": ["cat", "dog"], "test_fingerprint": "t", "test_accuracy": 0.9} | changes).encode()
