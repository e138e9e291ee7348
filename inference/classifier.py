"""The model behind the endpoint: an ONNX file, its labels, and the way from a photo to an answer."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

import contract
from inference.answer import answer
from inference.invocation import ClassifyRequest
from training.preprocess import Preprocessing, plain_view

__all__ = ["Classifier", "ExplanationError", "ModelError", "Timing", "available_cores"]

_EVIDENCE = "evidence"


class ModelError(RuntimeError):
    """The model folder holds no model that can be served; the message says what is wrong with it."""


class ExplanationError(ValueError):
    """The model has no heat maps; the message says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long an answer took, in seconds."""

    decode: float
    model: float


class Classifier:
    """A loaded model. Safe to call from several threads at once."""

    def __init__(self, folder: Path, *, threads: int, name_unknown: bool = True, release: str = ""):
        """Load the model and run it once, on a blank image.

        Args:
            folder: holds `Artefact.MODEL` and `Artefact.MODEL_CARD`.
            threads: CPU threads that one photo is classified with.
            name_unknown: whether answers name the likeliest class of an unknown photo, too.
            release: its name, which answers tell; empty where there is none.

        Raises:
            ModelError: a file is missing, damaged or not readable, or model and labels do not belong together.
        """
        self.card = _read_card(folder / contract.Artefact.MODEL_CARD)
        self._name_unknown = name_unknown
        self._release = release
        file = folder / contract.Artefact.MODEL
        _check_readable(file)

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Idle threads that spin for work cost up to four times the speed where cores are shared.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")

        # load the model and try it
        try:
            self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
            # model files of earlier releases give no distance
            given = {output.name for output in self._session.get_outputs()}
            self._explains = _EVIDENCE in given
            self._outputs = [name for name in ("probabilities", "distance") if name in given or name != "distance"]
            size = self.card["image_size"]
            blank, distance, _ = self._run(np.zeros((1, size, size, 3), dtype=np.uint8))
        except Exception as error:  # ONNX Runtime's exceptions have no common base but Exception
            raise ModelError(f"{file.name} cannot be run: {error}; train the model again") from error
        if distance is not None and not np.isfinite(distance):
            raise ModelError(f"{file.name} gives {distance} as a photo's distance; train the model again")
        if blank.shape != (len(self.card["labels"]),) or not np.isfinite(blank).all():
            raise ModelError(
                f"{file.name} does not give a probability for each of {len(self.card['labels'])} labels; "
                "put the model and the card of the same training into the folder"
            )

    @property
    def labels(self) -> list[str]:
        """Names of the classes, in the order of the model's output."""
        return self.card["labels"]

    def classify(self, asked: ClassifyRequest) -> contract.Answer:
        """Return the answer to a photo; see `timed`."""
        return self.timed(asked)[0]

    def timed(self, asked: ClassifyRequest) -> tuple[contract.Answer, Timing]:
        """Return the answer to a photo, and how long it took.

        Raises:
            ImageError: the bytes are no image that can be decoded.
            CoverageError: the model cannot promise the coverage that was asked for.
            ExplanationError: a heat map is asked for, and the model has none.
        """
        if asked.explain and not self._explains:
            raise ExplanationError(
                "the model in service has no heat maps: it was released before them, or its network does not classify "
                "by averages over the places of a photo (a transformer with a class token, for example); leave explain "
                "out, or start a run, with training.backbone=efficientnet_lite0 or a ResNet if it was released lately"
            )
        begin = time.perf_counter()
        pixels = plain_view(asked.image, _preprocessing(self.card))
        decoded = time.perf_counter()
        probabilities, distance, evidence = self._run(pixels[np.newaxis], explain=asked.explain)
        timing = Timing(decode=decoded - begin, model=time.perf_counter() - decoded)
        content = answer(
            self.card,
            probabilities=probabilities,
            distance=distance,
            evidence=evidence,
            top_k=asked.top_k,
            coverage=asked.coverage,
            name_unknown=self._name_unknown,
            release=self._release,
        )
        return content, timing

    def _run(
        self, images: NDArray[np.uint8], *, explain: bool = False
    ) -> tuple[NDArray[np.float32], float | None, NDArray[np.float32] | None]:
        """Return the first image's probabilities, (classes,), its distance where the file gives one, and evidence."""
        names = [*self._outputs, _EVIDENCE] if explain else self._outputs
        found = dict(zip(names, self._session.run(names, {"image": images}), strict=True))
        distance = float(found["distance"][0]) if "distance" in found else None
        return found["probabilities"][0], distance, found[_EVIDENCE][0] if explain else None


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_readable(file: Path) -> None:
    try:
        file.open("rb").close()
    except (FileNotFoundError, IsADirectoryError):
        raise ModelError(f"there is no {file.name} in {file.parent}; train a model first") from None
    except PermissionError:
        raise ModelError(
            f"{file.name} may not be read by the user {os.geteuid()}; start the container as root, which SageMaker "
            f"does, or let every user read the model: chmod -R a+rX {file.parent}"
        ) from None


def _read_card(file: Path) -> contract.ModelCard:
    _check_readable(file)
    try:
        card: contract.ModelCard = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{file.name} is damaged: {error}; train the model again") from error
    needed = ("run", "labels", "image_size", "resize", "test_accuracy")
    missing = [name for name in needed if name not in card]
    if missing:
        raise ModelError(f"{file.name} lacks {', '.join(missing)}; train the model again")
    return card


def _preprocessing(card: contract.ModelCard) -> Preprocessing:
    """Return how the model was trained to see photos; cards of earlier releases leave the interpolation out."""
    return Preprocessing(
        image_size=card["image_size"], resize=card["resize"], interpolation=card.get("interpolation", "bilinear")
    )
