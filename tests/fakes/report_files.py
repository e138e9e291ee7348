"""What a plausible run leaves for the report: the content of each file that the report reads."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from PIL import Image, ImageDraw

from contract import DEFAULT_RULES, Artefact, Hyperparameters, run_id

STARTED = "2026-11-25T09:00:00.000Z"
RUN = run_id("run-7", started=STARTED)
EXECUTION = "arn:aws:states:eu-west-1:123456789012:execution:whippet-dev:run-7"
JOB = f"whippet-dev-{RUN}"
CLASSES = ("dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt")
START = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
EARLIER = ("run-5", "run-4", "run-3")
"""Executions that came to a decision before; the last was tested on other photos."""


def evaluation_of_run(classes: Sequence[str], *, each: int, rng: random.Random) -> dict[str, Any]:
    # answers, most of them right, and the measures that follow from them
    count = len(classes)
    matrix = [[0] * count for _ in classes]
    for row in range(count):
        for _ in range(each):
            right = rng.random() < 0.8 + 0.18 * math.sin(row)
            matrix[row][row if right else (row + rng.choice((1, 1, 1, 2, 3))) % count] += 1
    of_all = sum(matrix[index][index] for index in range(count))
    columns = [sum(row[index] for row in matrix) for index in range(count)]
    scores = [
        {
            "name": name,
            "images": each,
            "precision": matrix[i][i] / columns[i] if columns[i] else 0.0,
            "recall": matrix[i][i] / each,
            "recall_interval": {"low": 0.8 * matrix[i][i] / each, "high": 1.0, "level": 0.95},
            "f1": 2 * matrix[i][i] / (each + columns[i]),
        }
        for i, name in enumerate(classes)
    ]

    # how often answers of each confidence are right
    bins = []
    for place in range(15):
        confidence = (place + 0.5) / 15
        bins.append(
            {
                "low": place / 15,
                "high": (place + 1) / 15,
                "images": int(6 * math.exp(place / 4)) if place > 2 else 0,
                "confidence": confidence,
                "accuracy": min(1.0, max(0.0, confidence + rng.gauss(0.01, 0.05))),
            }
        )

    # the worst mistakes first
    mistakes = [
        {
            "path": f"test/{classes[place % count]}/{place:05}.jpg",
            "label": classes[place % count],
            "predicted": classes[(place + 1) % count],
            "confidence": 0.99 - place * 0.02,
            "label_score": 0.005 + place * 0.01,
        }
        for place in range(12)
    ]

    return {
        "run": RUN,
        "classes": list(classes),
        "dataset_fingerprint": "d" * 64,
        "test_fingerprint": "e" * 64,
        "validation_accuracy": 0.8571,
        "validation_images": 240,
        "test_accuracy": of_all / (each * count),
        "test_accuracy_interval": {"low": 0.79, "high": 0.87, "level": 0.95},
        "test_top_5_accuracy": 0.985,
        "test_loss": 0.52,
        "test_images": each * count,
        "per_class": scores,
        "confusion_matrix": matrix,
        "calibration": {
            "temperature": 1.31,
            "expected_calibration_error": 0.021,
            "expected_calibration_error_before": 0.064,
            "bins": bins,
        },
        "hardest_mistakes": mistakes,
        "multiclass_classification_metrics": {
            "accuracy_best_constant_classifier": {"value": 1 / count, "standard_deviation": 0.01}
        },
        "precision": "int8",
        "precision_reason": "int8 is as accurate: validation accuracy 0.8571 against 0.8603 in fp32 on 315 photos; "
        "up to 0.005 may be lost, and a standard error of 0.0055",
        "model_files": [
            {
                "precision": "fp32",
                "validation_accuracy": 0.8603,
                "test_accuracy": (of_all + 1) / (each * count),
                "bytes": 13_500_000,
                "milliseconds": 17.9,
            },
            {
                "precision": "int8",
                "validation_accuracy": 0.8571,
                "test_accuracy": of_all / (each * count),
                "bytes": 4_100_000,
                "milliseconds": 8.7,
            },
        ],
        "near_copies": {
            "images": 3,
            "others": each * count - 3,
            "accuracy_of_others": 0.81,
            "interval_of_others": {"low": 0.77, "high": 0.85, "level": 0.95},
            "examples": [
                {"path": f"test/a/copy-{n}.jpg", "trained": f"train/a/{n}.jpg", "cosine": 0.98} for n in range(3)
            ],
        },
        "by_group": {
            "source": "groups",
            "groups": 12,
            "images": each * count,
            "accuracy": 0.74,
            "interval": {"low": 0.66, "high": 0.81, "level": 0.95},
            "accuracy_by_photo": 0.86,
        },
        "unknown": {
            "known_share": 0.94,
            "promised_share": 0.95,
            "accuracy_known": 0.88,
            "accuracy_unknown": 0.41,
            "curve": [{"answered": place / 10, "accuracy": 1 - 0.014 * place} for place in range(1, 11)],
            "oddest": [
                {"path": f"test/{classes[0]}/odd-{n}.jpg", "label": classes[0], "distance": 1.6 - n / 5}
                for n in range(5)
            ],
        },
        "coverage": [
            {"promised": 0.9, "realised": 0.912, "mean_labels": 1.2},
            {"promised": 0.95, "realised": 0.947, "mean_labels": 1.7},
        ],
        "mirror_averaging": {
            "served": False,
            "images": 256,
            "accuracy": 0.8594,
            "averaged_accuracy": 0.8672,
            "accuracy_gain_error": 0.0078,
            "loss": 0.4312,
            "averaged_loss": 0.4207,
            "loss_gain_error": 0.0061,
            "milliseconds": 17.9,
            "averaged_milliseconds": 35.2,
        },
        "fine_tuning": None,
        "hyperparameters": Hyperparameters(learning_rate=0.0126, batch_size=32).to_strings(),
    }


def decision_of(evaluation: dict[str, Any]) -> dict[str, Any]:
    # every rule found nothing, but for three
    rules: list[dict[str, Any]] = [
        {"rule": name, "status": "NoIssuesFound", "detail": "nothing of 580 steps", "step": None, "evaluator": "own"}
        for name in DEFAULT_RULES["features"]
    ]
    found = {
        "PoorWeightInitialization": ("NotApplicable", "a head has no activation whose input could be looked at", None),
        "Overtraining": ("IssuesFound", "the validation loss did not fall below 0.5101 for 10 epochs", 460),
        "GPUMemoryIncrease": ("NotApplicable", "the machine has no GPU", None),
    }
    for rule in rules:
        if rule["rule"] in found:
            rule["status"], rule["detail"], rule["step"] = found[rule["rule"]]

    worst = min(evaluation["per_class"], key=lambda score: score["recall"])
    accuracy = evaluation["test_accuracy"]
    return {
        # the decision, and how it came about
        "run": RUN,
        "model": f"s3://data/runs/{RUN}/training/{JOB}-train/output/model.tar.gz",
        "code_version": "9f2c41d07b",
        "decided_at": "2026-11-25T09:31:12+00:00",
        "accepted": True,
        "undecided": False,
        "approval": "Approved",
        "reasons": [f"The test accuracy {accuracy:.4f} reaches the floor 0.7000 (setting release.min_accuracy)."],
        "checks": [
            {"name": "accuracy", "outcome": "passed", "reason": f"The test accuracy {accuracy:.4f} reaches 0.7000."},
            {"name": "class_recall", "outcome": "skipped", "reason": "There is no floor (release.min_class_recall)."},
            {"name": "in_service", "outcome": "passed", "reason": "It loses 6 photos and wins 11 against run-5."},
            {"name": "leakage", "outcome": "passed", "reason": "No test photo was trained on; 3 copies were left out."},
            {"name": "rules", "outcome": "warned", "reason": "Overtraining found an issue at step 460; it only warns."},
        ],
        # what was asked of the model
        "thresholds": {
            "min_accuracy": 0.7,
            "accuracy_by": "photo",
            "max_near_copies": 0.1,
            "min_class_recall": 0.0,
            "tolerance": 0.01,
            "significance": 0.05,
            "blocking_rules": ["ExplodingTensor", "LossNotDecreasing", "VanishingGradient", "Overfit"],
        },
        # how good it is, alone and beside the model in service
        "test_accuracy": accuracy,
        "test_images": evaluation["test_images"],
        "validation_accuracy": 0.8571,
        "worst_class": worst["name"],
        "worst_class_recall": worst["recall"],
        "in_service": {
            "config": "whippet-dev-run-5",
            "run": "run-5",
            "comparable": True,
            "why": f"of the {evaluation['test_images']} test photos of this run, the two are compared on the "
            f"{evaluation['test_images']} on which the model in service was run",
            "test_accuracy": accuracy - 5 / evaluation["test_images"],
            "images": evaluation["test_images"],
            "old_accuracy": accuracy - 5 / evaluation["test_images"],
            "new_accuracy": accuracy,
            "gained": [
                {"path": f"test/gained-{n}.jpg", "label": evaluation["classes"][0], "old": "hat", "new": "dress"}
                for n in range(3)
            ],
            "lost": [
                {
                    "path": mistake["path"],
                    "label": mistake["label"],
                    "old": mistake["label"],
                    "new": mistake["predicted"],
                }
                for mistake in evaluation["hardest_mistakes"][:2]
            ],
            "only_new_right": 11,
            "only_old_right": 6,
            "p_value": 0.928,
        },
        # its data, its training and its rules
        "leakage": {"left_out": 3, "remaining": 0, "examples": []},
        "debugger": "own",
        "rules": rules,
        "classes": evaluation["classes"],
        "dataset_fingerprint": "d" * 64,
        "test_fingerprint": "e" * 64,
        "hyperparameters": evaluation["hyperparameters"],
    }


def predictions_of(evaluation: dict[str, Any]) -> bytes:
    """The predictions of the confusion matrix, with the hardest mistakes among them."""
    classes, mistakes = evaluation["classes"], evaluation["hardest_mistakes"]
    left = [list(row) for row in evaluation["confusion_matrix"]]
    rows = []
    for mistake in mistakes:
        row, column = classes.index(mistake["label"]), classes.index(mistake["predicted"])
        left[row][column] = max(0, left[row][column] - 1)
        rows.append((mistake["path"], mistake["label"], mistake["predicted"], f"{mistake['confidence']:.6f}"))
    for row, counts in enumerate(left):
        for column, count in enumerate(counts):
            names = classes[row], classes[column]
            rows += [(f"test/{names[0]}/{column}-{n}.jpg", *names, f"{0.7 - n / 1000:.6f}") for n in range(count)]
    text = io.StringIO()
    csv.writer(text).writerows([("path", "label", "predicted", "confidence"), *sorted(rows)])
    return text.getvalue().encode()


def check_of(classes: Sequence[str]) -> dict[str, Any]:
    def finding(kind: str, path: str, reason: str, **more: Any) -> dict[str, Any]:
        nothing = {"suggested": None, "other": None, "group": None}
        return (
            {"kind": kind, "path": path, "label": 0, "split": "train", "reason": reason, "score": 1.0} | nothing | more
        )

    return {
        "classes": list(classes),
        "photos": 1830,
        "findings": [
            finding("unreadable", "train/a/cut.jpg", "the features job could not read it; its log says why"),
            *(
                finding(
                    "label",
                    f"train/a/flipped-{n}.jpg",
                    "it looks like another class",
                    suggested=1,
                    other="train/b/1.jpg",
                )
                for n in range(30)
            ),
            finding("copy", "train/a/twin.jpg", "the same picture as train/a/1.jpg", other="train/a/1.jpg", group=0),
            finding("odd", "train/a/moon.jpg", "few photos are like it"),
        ],
        "remarks": ["The class hat has 9 photos, where the largest has 120."],
    }


def pictured_paths(evaluation: dict[str, Any]) -> list[str]:
    """Paths of the photos that have a thumbnail: all that the page shows but for one mistake and one suspect."""
    mistakes = [mistake["path"] for mistake in evaluation["hardest_mistakes"][:-1]]
    flipped = [f"train/a/flipped-{n}.jpg" for n in range(1, 30)]
    copies = [path for pair in evaluation["near_copies"]["examples"] for path in (pair["path"], pair["trained"])]
    oddest = [photo["path"] for photo in evaluation["unknown"]["oddest"]]
    return [*mistakes, *flipped, *copies, *oddest, "train/a/twin.jpg", "train/a/moon.jpg", "a/7.jpg"]


def earlier_runs(decision: dict[str, Any], evaluation: dict[str, Any]) -> dict[str, bytes]:
    """What earlier runs left that the report reads, such as the mistakes of the model in service."""
    found = {}
    for number, name in enumerate(EARLIER):
        run = run_id(name, started=START - timedelta(days=number + 2))
        other = {"run": run, "test_accuracy": 0.8 - 0.02 * number, "accepted": number != 1}
        if number == len(EARLIER) - 1:
            other["test_fingerprint"] = "f" * 64
        found[f"runs/{run}/{Artefact.DECISION}"] = as_json(decision | other)
        found[f"runs/{run}/results/{Artefact.EVALUATION}"] = as_json(evaluation | {"run": run})
    picture = base64.b64encode(jpeg(random.Random(1))).decode()
    gained = {photo["path"]: picture for photo in decision["in_service"]["gained"]}
    return found | {f"runs/run-5/results/{Artefact.THUMBNAILS}": as_json(gained)}


def history(rng: random.Random) -> bytes:
    rows = ["epoch,train_loss,validation_loss,validation_loss_error,validation_accuracy,kept"]
    for epoch in range(1, 21):
        fallen = math.exp(-epoch / 4)
        noise = rng.gauss(0, 0.008)
        losses = f"{0.28 + 1.6 * fallen},{0.5 + 1.4 * fallen + noise},{0.04 + 0.02 * fallen}"
        rows.append(f"{epoch},{losses},{0.86 - 0.5 * fallen + noise},{int(epoch == 20)}")
    return "\n".join(rows).encode()


def profile(rng: random.Random) -> dict[str, Any]:
    # steps of 12 ms, and three that took much longer
    steps = [0.012 + abs(rng.gauss(0, 0.0015)) for _ in range(580)]
    for step in (40, 231, 405):
        steps[step] = 0.055 + rng.random() / 50
    ordered = sorted(steps)

    # what the machine did meanwhile, twice a second
    seconds = [second / 2 for second in range(40)]
    names = {"cpu": "%", "cpu0": "%", "memory": "%", "disk_read": "MB/s", "disk_write": "MB/s", "network": "MB/s"}
    timeline: dict[str, list[float]] = {"seconds": seconds}
    for name, unit in names.items():
        level = 62 if name.startswith("cpu") else 31 if name == "memory" else 4
        timeline[name] = [max(0.0, level + rng.gauss(0, 8 if unit == "%" else 2)) for _ in seconds]

    # where the time went
    shares = {"data": 0.06, "transfer": 0.0, "forward": 0.24, "backward": 0.33, "optimizer": 0.12}
    shares |= {"validation": 0.11, "saving": 0.09, "other": 0.05}
    return {
        "instance_type": "ml.c5.2xlarge",
        "hosts": 1,
        "cpus": 8,
        "gpus": 0,
        "seconds": 19.6,
        "initialization_seconds": 11.2,
        "phases": [{"phase": name, "seconds": 19.6 * share, "share": share} for name, share in shares.items()],
        "steps": {
            "steps": 580,
            "mean": sum(steps) / 580,
            "deviation": 0.004,
            "median": ordered[290],
            "p95": ordered[551],
            "p99": ordered[574],
            "longest": ordered[-1],
        },
        "outliers": [
            {"step": step, "seconds": steps[step], "phase": "saving"}
            for step in sorted((40, 231, 405), key=lambda step: -steps[step])
        ],
        "step_seconds": steps,
        "utilization": [
            {
                "name": name,
                "unit": unit,
                "mean": sum(timeline[name]) / 40,
                "p95": sorted(timeline[name])[38],
                "peak": max(timeline[name]),
            }
            for name, unit in names.items()
        ],
        "timeline": timeline,
        "recommendations": [
            {
                "title": "A smaller machine would do",
                "evidence": "The training used 62 % of 8 CPUs on average and 31 % of the memory.",
                "advice": "Take ml.c5.xlarge (setting training.instance_type): about the same time for half the price.",
            }
        ],
        "rules": [
            {"rule": "StepOutlier", "status": "NoIssuesFound", "detail": "3 outliers", "step": None, "evaluator": "own"}
        ],
    }


def dataset_of(classes: Sequence[str], *, each: int) -> dict[str, Any]:
    return {
        "prefix": "dataset/",
        "classes": [{"name": name, "train": 3 * each, "validation": each - 2, "test": each} for name in classes],
        "images": len(classes) * (5 * each - 2),
        "stray_files": 2,
        "duplicates_across_splits": 3,
        "left_out": [
            {"path": "a/notes <b>.txt", "reason": "it is no photo by its name"},
            {"path": "a/1.heic", "reason": "HEIC is not read; convert it to JPEG"},
            *(
                {"path": f"train/a/{n}.jpg", "reason": f"it is the same photo as test/a/{n}.jpg in the test split"}
                for n in range(3)
            ),
        ],
        "in_two_classes": [["a/7.jpg", "b/7.jpg"]],
        "remarks": ["train counts as a class, since it holds its photos itself."],
        "split": "by content",
        "fingerprint": "d" * 64,
        "test_fingerprint": "e" * 64,
    }


def jpeg(rng: random.Random) -> bytes:
    image = Image.new("RGB", (144, 192), tuple(rng.randint(150, 240) for _ in range(3)))
    ImageDraw.Draw(image).ellipse((30, 40, 110, 150), fill=tuple(rng.randint(0, 120) for _ in range(3)))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()


def as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
