"""Cases from the field: folders, pictures and requests, each through check, upload and a whole run in both modes.

The cases lie in `shared/cases` beside the checkout, with what is right for each; without them there is no result. A
whole system is deployed on a local cloud of its own and driven by the `whippet` command, as in tests/system.
"""

from __future__ import annotations

import io
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from boto3.s3.transfer import TransferConfig
from PIL import Image

from benchmarks.cases.data_set import CASES, DAMAGED, LARGE, write_folders
from benchmarks.cases.driver import Driver
from benchmarks.result import Result, emit
from cli.photos import media_type
from local import control
from tests.system.system import System

SETTINGS: Final = {
    "tuning.trials": "1",
    "tuning.epochs": "1",
    # what is asked here is what becomes of the photos, not how good a model of so few is
    "release.min_accuracy": "0",
    "release.min_class_recall": "0",
    "release.tolerance": "1",
    "debugger.block": "",
}
SMALLEST: Final = {"image_size": 32, "batch_sizes": [1]}
"""Input of the run of `twoclasses`: a batch norm of one value has no variance."""


@dataclass(frozen=True)
class Folder:
    """What is right for a folder: what upload and check say, and its classes, none where it is refused."""

    told: tuple[str, ...]
    classes: tuple[str, ...] = ()
    checked: tuple[str, ...] = ()
    """What check says, where it is not what upload says."""


FOLDERS: Final = {
    "vehicles": Folder(("train counts as a class",), classes=("bus", "car", "train")),
    "intel": Folder(("no photo lies directly in a folder of", "seg_train/seg_train/")),
    "zip-top": Folder(("everything lies in one folder", "clothing10/")),
    "messy": Folder(
        ("HEIC is not read; convert it to JPEG",),
        classes=("10", "2", "Pants & Jeans (50% off) #1", "Schu\u0308he+Stiefel", "dress [old]", "帽子 🎩"),
    ),
    "nfcnfd": Folder((ascii("Caf\u00e9"), ascii("Cafe\u0301"), "look the same")),
    "twoclasses": Folder(
        ("6 photos in more than one class",),
        classes=("dress", "hat"),
        checked=("copy (12)", "which is in the class hat"),
    ),
}

TURNED: Final = {"exif6-after-xmp.jpg": True, "exif-no-orientation-plus-xmp6.jpg": True, "exif6-cut-short.jpg": False}
"""Whether a picture is to be turned by a quarter: EXIF first, then XMP; EXIF that is cut short says nothing."""
REFUSED: Final = {"heic.heic": "HEIC is not read; convert it to JPEG"}

PARTS: Final = TransferConfig(multipart_threshold=8 * 1024**2, multipart_chunksize=8 * 1024**2)


@dataclass(frozen=True)
class Outcome:
    """What became of a case in one mode, in words, and whether that is right."""

    said: str
    right: bool


def folder_case(driver: Driver, name: str, folder: Path, *, checked: str) -> Outcome:
    """Upload and run a folder; one that is refused is also run as `aws s3 sync` sends it.

    Args:
        checked: what `whippet check` says of it.
    """
    wanted = FOLDERS[name]
    status, uploaded = driver.tell("upload", str(folder))
    told = all(words in uploaded for words in wanted.told)
    told = told and all(words in checked for words in wanted.checked or wanted.told)
    if not wanted.classes:
        driver.sync(folder)
        ended, said = driver.start()
        right = told and 0 not in (status, ended) and all(words in said for words in wanted.told)
        return Outcome("refused alike by check, upload and the run of the synced folder" if right else said, right)

    # the same photos of the same classes, whatever cannot be read is named, and the terminal leaves names alone
    ran = driver.run(**(SMALLEST if name == "twoclasses" else {}))
    count, classes = len(ran.paths), len(wanted.classes)
    alike = f"{count:,} photos in {classes} classes" in checked
    alike = alike and f"holds {count:,} photos of {classes} classes" in uploaded
    _, answered = driver.tell("classify", str(folder / ran.paths[0]), "--top", "9")
    shown = all(label in answered for label in wanted.classes)
    return Outcome(
        f"{count:,} photos of {classes} classes{' in check, upload and run' if alike else ', NOT ALIKE'}; "
        f"{len(ran.unreadable)} unreadable; {ran.ended}",
        alike
        and told
        and shown
        and all(path in checked for path in ran.unreadable)
        and set(ran.photos) == set(wanted.classes)
        and ran.ended == "released",
    )


def photo_cases(driver: Driver, folder: Path) -> dict[str, Outcome]:
    """Upload and run the pictures among other photos, and post each of them."""
    _, uploaded = driver.tell("upload", str(folder))
    bucket, key = driver.system.bucket, f"dataset/{LARGE[0]}"
    driver.system.client("s3").upload_file(str(folder / LARGE[0]), bucket, key, Config=PARTS)
    ran = driver.run()

    outcomes = {}
    for picture in sorted((CASES / "images").iterdir()):
        path = f"train/dress/{picture.name}"
        used = path in ran.paths and path not in ran.unreadable
        named = f"{REFUSED.get(picture.name)}: {path}" in uploaded
        answer, right = posted(driver, picture)
        outcomes[f"images/{picture.name}"] = Outcome(
            f"{'trained on' if used else 'left out and named' if named else 'LOST'}; {answer}",
            right and used == (picture.name not in REFUSED) and used != named,
        )

    # the other cases of this data set
    linked, reasons = ran.photos.get("shoes", 0), {file["path"]: file["reason"] for file in ran.summary["left_out"]}
    told = f"holds {len(ran.paths) + 1} photos of 3 classes" in uploaded
    copied = LARGE[0] in ran.paths and LARGE[1] in reasons
    named = DAMAGED in ran.unreadable
    return outcomes | {
        "a linked class folder": Outcome(f"{linked} of its 20 photos; {ran.ended}", linked == 20 and told),
        "a photo of 9 MB in train and test, one in parts": Outcome(
            f"left out of train: {reasons[LARGE[1]]}" if copied else "not seen as a copy", copied
        ),
        "a damaged photo `dress/scan [/old].jpg`": Outcome("named in the logs" if named else "NOT NAMED", named),
    }


def posted(driver: Driver, picture: Path) -> tuple[str, bool]:
    """Post a picture; one that says how it is turned is compared with its pixels, as they are stored and turned."""
    status, answer = driver.classify(picture.read_bytes(), media_type(picture))
    if picture.name in REFUSED:
        return f"{status}: {answer['detail']}", status == 400 and "convert it to JPEG" in answer["detail"]
    if status != 200 or picture.name not in TURNED:
        return f"{status}", status == 200

    gaps = {}
    for turned in (False, True):
        with Image.open(picture) as stored, io.BytesIO() as file:
            pixels = Image.fromarray(np.asarray(stored.convert("RGB")))
            (pixels.transpose(Image.Transpose.ROTATE_270) if turned else pixels).save(file, "PNG")
            gaps[turned] = gap(answer, driver.classify(file.getvalue(), "image/png")[1])
    upright = TURNED[picture.name]
    return (
        f"{status}, scores within {gaps[upright]:.4f} of the upright picture's, {gaps[not upright]:.4f} of the turned",
        gaps[upright] < gaps[not upright],
    )


def gap(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Return the largest difference of two answers' scores."""
    scores: list[dict[str, float]] = [
        {each["label"]: each["score"] for each in answer["predictions"]} for answer in (one, other)
    ]
    return max(abs(scores[0][label] - scores[1][label]) for label in scores[0])


def request_case(driver: Driver, request: Path) -> Outcome:
    """Post a request to the model, which has three classes."""
    status, answer = driver.classify(request.read_bytes(), "application/json")
    labels = len(answer.get("predictions", []))
    return Outcome(f"{status}, {labels} labels" if labels else f"{status}: {answer['detail']}", labels == 3)


def measure(driver: Driver, mode: str, root: Path, *, checked: dict[str, str]) -> dict[str, Outcome]:
    """Return what becomes of each case in a mode; `checked` is what `whippet check` says of the folders."""
    driver.system.whippet("up", settings={**SETTINGS, "training.mode": mode})
    outcomes = photo_cases(driver, root / "photos")
    for request in sorted((CASES / "requests").iterdir()):
        outcomes[f"requests/{request.name}"] = request_case(driver, request)
    for name in FOLDERS:
        outcomes[f"folders/{name}"] = folder_case(driver, name, root / name, checked=checked[name])
    return outcomes


def result(measured: dict[str, dict[str, Outcome]]) -> Result:
    """Return the number of cases that are right in every mode, and the table of what happened."""
    cases = list(next(iter(measured.values())))
    right = [case for case in cases if all(outcomes[case].right for outcomes in measured.values())]
    return Result(
        name="cases",
        unit=f"of {len(cases)} cases from the field that end as they should, in the modes {', '.join(measured)}",
        ours=len(right),
        peers={},
        ratio=len(right) / len(cases),
        against="all of them",
        goal="all of them",
        holds=len(right) == len(cases),
        table=[
            {"case": case, **{mode: outcomes[case].said for mode, outcomes in measured.items()}}
            | {"right": "yes" if case in right else "NO"}
            for case in cases
        ],
    )


def run(*, quick: bool) -> list[Result]:
    """Return the result; none without the cases."""
    if not CASES.is_dir():
        print(f"{CASES} is not there", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory(prefix="whippet-cases-") as name:
        root = Path(name)
        write_folders(root)
        driver = Driver(System(root / "state"))
        checked = {folder: driver.tell("check", str(root / folder))[1] for folder in FOLDERS}
        modes = ("features",) if quick else ("features", "finetune")
        try:
            return [result({mode: measure(driver, mode, root, checked=checked) for mode in modes})]
        finally:
            control.stop(root / "state")


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
