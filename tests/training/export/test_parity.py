"""The endpoint answers what the training pipeline would: same bytes, same probabilities, through the real server."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import contract
from tests.training.conftest import CLASSES, IMAGE_SIZE, Workspace, photo
from training import features, train
from training.evaluation.served_photos import as_served
from training.export import evaluate_and_export
from training.export.evaluate_and_export import TrainedModel
from training.export.onnx_model import OnnxModel
from training.export.precision import Choice

pytestmark = pytest.mark.shipped_exporter

ROOT = Path(__file__).parents[3]
SERVER = ROOT / ".envs" / "inference" / "bin" / "python"
CLOTHING = ROOT.parent / "shared" / "data" / "clothing10" / "test"

BOUND = 1e-3
INT8_BOUND = 0.15
"""Of the mean over the photos of the largest change of a probability by quantization. What may be lost of the accuracy
is the gate's business (see test_precision); the endpoint itself must add no more than `BOUND` to it."""

pytestmark = pytest.mark.skipif(not SERVER.exists(), reason="the endpoint's environment is not there: make setup")


def odd_photos() -> dict[str, bytes]:
    """What people upload."""
    upright = Image.open(io.BytesIO(photo(CLASSES["red"], seed=1)))
    wide = Image.fromarray(np.random.default_rng(0).integers(0, 255, size=(20, 1500, 3), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = Image.fromarray(np.arange(40 * 40, dtype=np.uint16).reshape(40, 40) * 40)

    def saved(image: Image.Image, form: str, **options: Any) -> bytes:
        file = io.BytesIO()
        image.save(file, form, **options)
        return file.getvalue()

    return {
        "an ordinary one": saved(upright, "JPEG"),
        "turned by EXIF": saved(upright, "JPEG", exif=turned),
        "CMYK": saved(upright.convert("CMYK"), "JPEG"),
        "grey": saved(upright.convert("L"), "JPEG"),
        "28 x 28": saved(upright.resize((28, 28)), "PNG"),
        "very wide": saved(wide, "JPEG"),
        "transparent": saved(upright.convert("RGBA").rotate(30), "PNG"),
        "16 bits": saved(deep, "PNG"),
        "large": saved(upright.resize((1600, 1200)), "JPEG"),
    }


@contextmanager
def endpoint(model: Path, *, classes: int) -> Iterator[Callable[[bytes], dict[str, float]]]:
    """The server on a port of its own; answers a photo's bytes with every class's score."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "SM_MODEL_DIR": str(model),
        "SAGEMAKER_BIND_TO_PORT": str(port),
    }
    with (model.parent / "server.log").open("w") as log:
        process = subprocess.Popen(
            [SERVER, "-m", "inference.serve"], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )

    def call(method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request(method, path, body, {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def classify(data: bytes) -> dict[str, float]:
        request = {"inputs": base64.b64encode(data).decode(), "parameters": {"top_k": classes}}
        status, body = call("POST", "/invocations", json.dumps(request).encode())
        assert status == 200, body
        return {entry["label"]: entry["score"] for entry in json.loads(body)["predictions"]}

    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, (model.parent / "server.log").read_text()
            assert time.monotonic() < deadline, "the server did not start"
            try:
                if call("GET", "/ping")[0] == 200:
                    break
            except OSError:
                time.sleep(0.05)
        yield classify
    finally:
        process.terminate()
        process.wait(timeout=30)


def largest_differences(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each photo's probabilities, (photos, classes) both."""
    largest: NDArray[np.float32] = np.abs(left - right).max(axis=1)
    return largest


def answers(
    trained: TrainedModel, model: Path, photos: list[Path], *, image_size: int, labels: list[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Probabilities of PyTorch and of the model file, both in the training's pipeline, and of the endpoint."""
    records: list[contract.ImageRecord] = [
        {"path": file.name, "label": 0, "split": "test", "etag": "e"} for file in photos
    ]
    pixels = np.stack(
        [
            as_served(record, photos=file.parent, preprocessing=trained.classifier.backbone.preprocessing)
            for record, file in zip(records, photos, strict=True)
        ]
    )
    with torch.inference_mode():
        expected: NDArray[np.float32] = trained.classifier(torch.from_numpy(pixels)).numpy()
    exported = OnnxModel(model / contract.Artefact.MODEL).probabilities(pixels)
    with endpoint(model, classes=len(labels)) as classify:
        scores = [classify(file.read_bytes()) for file in photos]
    served = np.array([[score[label] for label in labels] for score in scores], dtype=np.float32)
    return expected, exported, served


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> list[TrainedModel]:
    """The trainings of a test as they were handed over for delivery."""
    seen: list[TrainedModel] = []
    original = evaluate_and_export.evaluate_and_export

    def keep(trained: TrainedModel, job: evaluate_and_export.Job) -> contract.Evaluation:
        seen.append(trained)
        return original(trained, job)

    monkeypatch.setattr(train, "evaluate_and_export", keep)
    return seen


def test_the_endpoint_answers_odd_photos_as_the_training_would(
    workspace: Workspace, finished: list[TrainedModel]
) -> None:
    workspace.fill(each=20)
    workspace.write_weights()
    workspace.start(channels=("dataset", "manifest", "weights"), model="features")
    features.main()
    channels = ("features", "dataset", "manifest", "weights")
    model = workspace.start(channels=channels, learning_rate=0.03, batch_size=16, quantize=False)
    train.main()
    photos = []
    for name, data in odd_photos().items():
        photos.append(workspace.folder("odd") / name)
        photos[-1].write_bytes(data)
    expected, _, served = answers(finished[0], model, photos, image_size=IMAGE_SIZE, labels=list(CLASSES))
    found = dict(zip(odd_photos(), largest_differences(expected, served), strict=True))
    assert max(found.values()) <= BOUND, found


@pytest.mark.skipif(not CLOTHING.is_dir(), reason=f"needs the photos of {CLOTHING}")
def test_the_endpoint_answers_real_photos_in_int8_as_the_training_would(
    workspace: Workspace, finished: list[TrainedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate_and_export, "choose", lambda *_, **__: Choice("int8", "the test says so"))
    classes = sorted(folder.name for folder in CLOTHING.iterdir())
    records: list[contract.ImageRecord] = []
    for label, name in enumerate(classes):
        for index, file in enumerate(sorted((CLOTHING / name).iterdir())[:12]):
            split: contract.SplitName = "train" if index < 6 else "validation" if index < 9 else "test"
            records.append({"path": f"{name}/{file.name}", "label": label, "split": split, "etag": "e"})
    workspace.write_manifest(records, classes=classes)
    (workspace.root / "dataset").symlink_to(CLOTHING)
    values: dict[str, Any] = {"backbone": "efficientnet_lite0", "image_size": 96, "views": 0, "epochs": 10}
    workspace.start(channels=("dataset", "manifest"), model="features", **values)
    features.main()
    model = workspace.start(channels=("features", "dataset", "manifest"), **values)
    train.main()
    card = json.loads((model / contract.Artefact.MODEL_CARD).read_text(encoding="utf-8"))
    assert card["precision"] == "int8"
    photos = [CLOTHING / record["path"] for record in records if record["split"] == "test"]
    expected, exported, served = answers(finished[0], model, photos, image_size=96, labels=classes)
    assert largest_differences(exported, served).max() <= BOUND
    assert 0 < largest_differences(expected, served).mean() <= INT8_BOUND
