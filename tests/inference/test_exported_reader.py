"""The Python reader that `whippet export` writes, beside the endpoint's own code."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import ImageFile

from inference.classifier import Classifier
from inference.invocation import ClassifyRequest
from tests.fakes import photo_kinds
from tests.inference.conftest import LABELS
from training.preprocess import Preprocessing, plain_view

READER = Path(__file__).resolve().parents[2] / "cli" / "exported" / "classify.py"
PHOTOS = photo_kinds.photos()

pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data")


@pytest.fixture(scope="module")
def reader(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("exported")
    shutil.copytree(model_folder, folder, dirs_exist_ok=True)
    shutil.copyfile(READER, folder / "classify.py")
    spec = importlib.util.spec_from_file_location("exported_classify", folder / "classify.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _whole_photos_only(monkeypatch: pytest.MonkeyPatch, reader: ModuleType, request: pytest.FixtureRequest) -> None:
    """The reader lets Pillow take a photo that is cut short, for the whole process: not for the endpoint's code."""
    own = reader.pixels

    def pixels(data: bytes) -> object:
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            return own(data)
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = False

    ImageFile.LOAD_TRUNCATED_IMAGES = False
    monkeypatch.setattr(reader, "pixels", pixels)


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_it_sees_the_very_pixels_of_the_endpoint(
    reader: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, interpolation: str
) -> None:
    monkeypatch.setitem(reader.CARD, "interpolation", interpolation)
    monkeypatch.setitem(reader.CARD, "image_size", 64)
    monkeypatch.setitem(reader.CARD, "resize", 73)
    seen = plain_view(
        PHOTOS[name],
        Preprocessing(image_size=64, resize=73, interpolation="bicubic" if interpolation == "bicubic" else "bilinear"),
    )
    np.testing.assert_array_equal(reader.pixels(PHOTOS[name]), seen)


def test_it_answers_as_the_endpoint(reader: ModuleType, model_folder: Path) -> None:
    classifier = Classifier(model_folder, threads=1)
    knowns = set()
    for name, data in PHOTOS.items():
        expected = classifier.classify(ClassifyRequest(image=data, top_k=len(LABELS)))
        answer = reader.classify(data)
        assert [each["label"] for each in answer["predictions"]] == [each["label"] for each in expected["predictions"]]
        scores = [each["score"] for each in expected["predictions"]]
        np.testing.assert_allclose([each["score"] for each in answer["predictions"]], scores, atol=1e-4, err_msg=name)
        assert answer["known"] == expected["known"], name
        knowns.add(answer["known"])
    assert knowns == {True, False}, "the photos show nothing about what is known"


def test_a_photo_without_an_answer_is_told_and_the_others_are_answered(reader: ModuleType, tmp_path: Path) -> None:
    files = {"text.jpg": b"no photo", "cut.heic": b"\0\0\0\x18ftypheic", "good.jpg": PHOTOS["exif1.jpg"]}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    arguments = [*files, "missing.jpg"]
    done = subprocess.run(
        [sys.executable, str(reader.__file__), *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr, [each["photo"] for each in answers]) == (1, "", arguments)
    undecodable = "this Pillow cannot decode it, or it is damaged; convert it to JPEG or PNG"
    missing = "the file cannot be read: No such file or directory"
    assert [each.get("error") for each in answers] == [undecodable, undecodable, None, missing]
    assert answers[2]["label"] in LABELS
