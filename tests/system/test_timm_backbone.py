"""A network of timm with random weights from a file in the bucket: deploy, run, classify, as a user does it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import contract
from cli.target import ROOT
from local import control
from tests.system.system import System

BACKBONE = "timm/test_efficientnet.r160_in1k"
KEY = "weights/test_efficientnet.safetensors"
SETTINGS = {"training.backbone": BACKBONE, "training.weights": KEY}
INPUTS = {
    "features": {"image_size": 32, "views": 0, "epochs": 2},
    # Batch norm of random weights has no statistics to begin with: those of batches would be another network's.
    "finetune": {"image_size": 32, "views": 0, "epochs": 4, "unfreeze_from": "blocks.4"},
}
COLOURS = {"red": (210, 40, 40), "green": (40, 190, 60), "blue": (40, 60, 210)}

WRITE_WEIGHTS = """
import sys, timm, torch
from safetensors.torch import save_file
torch.manual_seed(0)
save_file(timm.create_model("test_efficientnet").state_dict(), sys.argv[1])
"""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    system = System(tmp_path / "state")
    try:
        yield system
    finally:
        control.stop(system.state)
        shutil.rmtree(system.state, ignore_errors=True)


def photo(colour: tuple[int, int, int], *, seed: int) -> Image.Image:
    """A square of nearly this colour, somewhere on grey."""
    rng = random.Random(seed)
    image = Image.new("RGB", (48, 40), (rng.randrange(90, 150),) * 3)
    image.paste(tuple(part + rng.randrange(-15, 15) for part in colour), (rng.randrange(20), rng.randrange(12), 40, 36))
    return image


def write_photos(folder: Path, *, each: int) -> None:
    for number, (name, colour) in enumerate(COLOURS.items()):
        (folder / name).mkdir(parents=True)
        for index in range(each):
            photo(colour, seed=1000 * number + index).save(folder / name / f"{index:02}.png")


@pytest.mark.parametrize("mode", contract.MODES)
def test_a_backbone_of_timm_is_trained_on_and_served(system: System, tmp_path: Path, mode: str) -> None:
    # Pictures of one colour are all alike to a network with random weights.
    settings = {**SETTINGS, "training.mode": mode, "release.max_near_copies": "1"}
    system.whippet("up", settings=settings)
    weights = tmp_path / "weights.safetensors"
    python = Path(os.environ.get("WHIPPET_ENVIRONMENTS") or ROOT / ".envs") / "training" / "bin" / "python"
    subprocess.run([str(python), "-c", WRITE_WEIGHTS, str(weights)], check=True, timeout=300)
    system.client("s3").upload_file(str(weights), system.bucket, KEY)
    write_photos(tmp_path / "photos", each=20)

    system.whippet("upload", str(tmp_path / "photos"), settings=settings)
    result = system.whippet("run", "--input", json.dumps(INPUTS[mode]), settings=settings)
    assert "released" in result.stdout

    # the log says how the weights expect photos, and the model's card hands it to the endpoint
    run = json.loads(system.last_execution()["output"])["run"]
    log = system.whippet("logs", run, settings=settings).stdout
    assert f"backbone {BACKBONE}: crops of 32 from 34 pixels, bicubic; its weights expect 160 pixels" in log
    assert system.document(run, contract.Artefact.DECISION)["accepted"]

    key = system.key()
    for number, (name, colour) in enumerate(COLOURS.items()):
        unseen = tmp_path / "unseen.png"
        photo(colour, seed=1000 * number + 500).save(unseen)
        answer = system.api("POST", "classify", unseen.read_bytes(), x_api_key=key, content_type="image/png")
        assert answer.status == 200, answer.data
        assert answer.json()["predictions"][0]["label"] == name
