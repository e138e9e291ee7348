"""Networks of timm, with weights from a file, through the jobs of both modes and into the endpoint's classifier."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

import contract
from inference.classifier import Classifier
from inference.invocation import ClassifyRequest
from tests.training.conftest import CLASSES, Workspace
from training import features, train, trial
from training.data.loader import PhotoLoader
from training.embedding.store import read_index
from training.preprocess import Preprocessing

pytestmark = pytest.mark.shipped_exporter

SEEN = Preprocessing(image_size=32, resize=34, interpolation="bicubic")
"""timm's test networks are evaluated on 160 of 168 pixels, most of them bicubic."""


@pytest.fixture
def photos(workspace: Workspace) -> Workspace:
    workspace.fill(each=20)
    return workspace


def write_weights(workspace: Workspace, name: str) -> None:
    torch.manual_seed(0)
    state = timm.create_model(name, num_classes=7).state_dict()
    save_file(state, workspace.folder("weights") / f"{name}.safetensors")


def check_served_as_tested(workspace: Workspace, model: Path) -> None:
    """The endpoint's classifier, which knows the card and the file only, answers as the test did."""
    card = json.loads((model / contract.Artefact.MODEL_CARD).read_text(encoding="utf-8"))
    assert {name: card[name] for name in ("image_size", "resize", "interpolation")} == {
        "image_size": SEEN.image_size,
        "resize": SEEN.resize,
        "interpolation": SEEN.interpolation,
    }
    classifier = Classifier(model, threads=1)
    with (workspace.root / "output" / contract.Artefact.PREDICTIONS).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            data = (workspace.root / "dataset" / row["path"]).read_bytes()
            answer = classifier.classify(ClassifyRequest(image=data, top_k=1))
            assert answer["label"] == row["predicted"]
            assert answer["score"] == pytest.approx(float(row["confidence"]), abs=1e-4)


def test_a_head_on_the_features_of_a_network_of_timm(photos: Workspace) -> None:
    name = "timm/test_efficientnet.r160_in1k"
    write_weights(photos, "test_efficientnet")
    photos.start(channels=("dataset", "manifest", "weights"), model="features", backbone=name, epochs=2)
    features.main()
    _, index = read_index(photos.root / "features")
    assert (index["backbone"], index["resize"], index["interpolation"]) == (name, SEEN.resize, SEEN.interpolation)
    assert index["levels"] == [4 * 48, 256]

    photos.start(channels=("features",), backbone=name, epochs=2)
    trial.main()
    channels = ("dataset", "manifest", "features", "weights")
    model = photos.start(channels=channels, backbone=name, epochs=2, learning_rate=0.03)
    train.main()
    evaluation = json.loads((photos.root / "output" / contract.Artefact.EVALUATION).read_text(encoding="utf-8"))
    assert evaluation["test_accuracy"] > 0.6
    check_served_as_tested(photos, model)


@pytest.mark.parametrize(
    ("name", "unfreeze_from", "trained"),
    [
        ("test_vit", "blocks.4", "3 of 8 stages, from blocks.4 on"),
        ("test_convnext", "", "7 of 7 stages, from stem.0 on"),
    ],
)
def test_a_network_of_timm_is_fine_tuned(
    photos: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    unfreeze_from: str,
    trained: str,
) -> None:
    write_weights(photos, name)
    seen: set[Preprocessing] = set()
    original = PhotoLoader.__init__

    def watched(self: PhotoLoader, **options: object) -> None:
        assert isinstance(options["preprocessing"], Preprocessing)
        seen.add(options["preprocessing"])
        original(self, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(PhotoLoader, "__init__", watched)
    model = photos.start(
        channels=("dataset", "manifest", "weights"),
        backbone=f"timm/{name}",
        mode="finetune",
        unfreeze_from=unfreeze_from,
        epochs=2,
        batch_size=12,
        quantize=False,
    )
    train.main()
    log = capsys.readouterr().out
    assert trained in log
    assert len(re.findall(contract.metric("train:loss").regex, log, flags=re.MULTILINE)) == 2
    assert seen == {SEEN}
    evaluation = json.loads((photos.root / "output" / contract.Artefact.EVALUATION).read_text(encoding="utf-8"))
    assert evaluation["classes"] == list(CLASSES)
    check_served_as_tested(photos, model)
