"""The model in service, run on this run's test photos, so that the verdict can compare the two photo by photo.

Whatever is wrong with that model's files must not end the training of a new one: it becomes the reason why there is no
comparison.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Final, get_args

import numpy as np

import contract
from contract import MODEL_ARCHIVE, Artefact
from training.evaluation.results import write_prediction_table
from training.evaluation.served_photos import Batch, as_served, batches
from training.export.onnx_model import OnnxModel
from training.preprocess import Preprocessing
from training.runtime.environment import write_json
from training.runtime.tar import tarfile

__all__ = ["MAX_MODEL_BYTES", "ModelInService", "open_model_in_service"]

MAX_MODEL_BYTES: Final = 2 * 2**30
"""Largest model file that is unpacked: an ONNX file cannot be larger without further files (protobuf's limit)."""

_MAX_CARD_BYTES: Final = 16 * 2**20
_MAX_MEMBERS: Final = 100
_MAX_SIDE: Final = 4096
"""Largest side of the network's input, in pixels, that is believed."""


class _UnusableError(Exception):
    """The model cannot be run; the message is a clause that says why."""


class ModelInService:
    """The model in service and what it has answered so far."""

    def __init__(self, archive: Path, *, scratch: Path):
        """Unpack the archive's model and card, and load them. What is wrong with them is kept in `why`.

        Args:
            archive: `MODEL_ARCHIVE`, as the endpoint gets it.
            scratch: folder for the unpacked files.
        """
        self.run = ""
        self.labels: list[str] = []
        self.preprocessing: Preprocessing | None = None
        self.why = ""
        self._rows: list[tuple[contract.ImageRecord, int, float]] = []
        self._seconds = 0.0
        self._try(partial(self._load, archive, scratch))

    def see(self, batch: Batch) -> None:
        """Answer to photos as this model sees them, (S, S, 3) each."""
        self._try(partial(self._answer, batch))

    def test(
        self, records: Sequence[contract.ImageRecord], *, photos: Path, classes: Sequence[str], output_dir: Path
    ) -> None:
        """Answer to the test photos, if `see` has not been given them yet, and write both files of it.

        Args:
            records: the test photos.
            photos: the dataset channel.
            classes: names of the classes of the records' labels.
            output_dir: gets `Artefact.IN_SERVICE` and, if the model could be run, `Artefact.IN_SERVICE_PREDICTIONS`.
        """
        preprocessing = self.preprocessing
        if preprocessing is not None and not self._rows and not self.why:
            for batch in batches(records, partial(as_served, photos=photos, preprocessing=preprocessing)):
                self.see(batch)

        # the answers, or why there are none
        tested: contract.InServiceTest = {"run": self.run, "labels": self.labels, "why": self.why}
        write_json(output_dir / Artefact.IN_SERVICE, tested)
        if self.why:
            print(f"the model in service could not be run on the test photos: {self.why}", flush=True)
            return
        write_prediction_table(
            output_dir / Artefact.IN_SERVICE_PREDICTIONS,
            (
                (record["path"], classes[record["label"]], self.labels[predicted], confidence, None)
                for record, predicted, confidence in self._rows
            ),
        )
        right = sum(classes[record["label"]] == self.labels[predicted] for record, predicted, _ in self._rows)
        print(
            f"the model in service (run {self.run}) is right on {right} of the {len(self._rows)} test photos, some of "
            f"which it may have been trained on; it took {self._seconds:.1f} s",
            flush=True,
        )

    def _try(self, step: Callable[[], None]) -> None:
        """Take a step towards the answers; the first failure is kept, and no further step is taken."""
        if self.why:
            return
        begin = time.monotonic()
        try:
            step()
        except _UnusableError as error:
            self.why = str(error)
        except Exception as error:  # ONNX Runtime's exceptions have no common base but Exception
            self.why = f"its files are damaged ({' '.join(str(error).split())[:300] or type(error).__name__})"
        self._seconds += time.monotonic() - begin

    def _load(self, archive: Path, scratch: Path) -> None:
        _unpack(archive, scratch)
        card = json.loads((scratch / Artefact.MODEL_CARD).read_text(encoding="utf-8"))
        self.run, self.labels = str(card["run"]), [str(label) for label in card["labels"]]
        self.preprocessing = _preprocessing(card)
        self._model = OnnxModel(scratch / Artefact.MODEL)

    def _answer(self, batch: Batch) -> None:
        probabilities = self._model.probabilities(np.stack([image for _, image in batch]))
        if probabilities.shape != (len(batch), len(self.labels)):
            raise _UnusableError(
                f"{Artefact.MODEL} gives {probabilities.shape} probabilities to {len(batch)} photos, but its card "
                f"names {len(self.labels)} classes"
            )
        if not np.isfinite(probabilities).all():
            raise _UnusableError(f"{Artefact.MODEL} gives probabilities that are no numbers")
        self._rows += zip(
            [record for record, _ in batch],
            probabilities.argmax(axis=1).tolist(),
            probabilities.max(axis=1).tolist(),
            strict=True,
        )


def open_model_in_service(channel: Path | None, *, scratch: Path) -> ModelInService | None:
    """Return the model in the channel, or None where there is none in service: the channel then holds another file."""
    archive = channel / MODEL_ARCHIVE if channel else None
    return ModelInService(archive, scratch=scratch) if archive and archive.is_file() else None


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack the model and its card, and nothing else of what the archive holds.

    Raises:
        _UnusableError: one of them is missing or too large, or the archive holds too many files.
    """
    wanted = {Artefact.MODEL.value: MAX_MODEL_BYTES, Artefact.MODEL_CARD.value: _MAX_CARD_BYTES}
    with tarfile.open(archive, mode="r|gz") as opened:
        for number, member in enumerate(opened):
            if number >= _MAX_MEMBERS:
                raise _UnusableError(f"its {MODEL_ARCHIVE} holds more than {_MAX_MEMBERS} files")
            # What is not wanted is unpacked, too, to get past it.
            name = str(PurePosixPath(member.name))
            if member.size > wanted.get(name, MAX_MODEL_BYTES):
                raise _UnusableError(f"{name} in its {MODEL_ARCHIVE} has {member.size:,} bytes, which is too large")
            if not member.isfile() or name not in wanted:
                continue
            del wanted[name]
            content: IO[bytes] | None = opened.extractfile(member)
            if content is not None:
                with (folder / name).open("wb") as file:
                    shutil.copyfileobj(content, file)
            if not wanted:
                return
    raise _UnusableError(f"its {MODEL_ARCHIVE} holds no {' and no '.join(wanted)}")


def _preprocessing(card: contract.ModelCard) -> Preprocessing:
    """Return how the model sees photos; cards of earlier releases leave the interpolation out.

    Raises:
        _UnusableError: the card says what cannot be.
    """
    found = Preprocessing(
        image_size=card["image_size"], resize=card["resize"], interpolation=card.get("interpolation", "bilinear")
    )
    sides = (found.image_size, found.resize)
    if not all(isinstance(side, int) and 0 < side <= _MAX_SIDE for side in sides):
        raise _UnusableError(f"its card gives image_size and resize as {sides[0]!r} and {sides[1]!r}")
    if found.interpolation not in get_args(contract.Interpolation):
        raise _UnusableError(f"its card names an interpolation that is not known, {found.interpolation!r}")
    return found
