"""What the validation photos say of the model files, with a head that has not learnt from them."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

import contract
from training.evaluation.mirror_averaging import mirror_averaging
from training.evaluation.served_photos import Crop
from training.export.distance_weights import write_with_parts
from training.export.onnx_export import export
from training.export.onnx_model import OnnxModel, median_milliseconds
from training.export.other_head import write_with_head
from training.export.predictions import Predictions, predict
from training.model.classifier import Classifier

__all__ = ["MIRRORED_IMAGES", "Validated", "validate"]

MIRRORED_IMAGES = 256
"""Photos on which mirror averaging is measured: it takes as long as running the float32 model over them twice."""


@dataclass(frozen=True)
class Validated:
    """What the validation photos say."""

    predictions: Predictions[contract.Precision]
    """Of each model file, by the head that has not learnt from these photos; with the parts of the distance."""
    mirror_averaging: contract.MirrorAveraging | None
    """None where mirror images mean something else."""


def validate(
    files: Mapping[contract.Precision, Path],
    classifier: Classifier,
    *,
    validated_head: nn.Linear | None,
    records: Sequence[contract.ImageRecord],
    crop: Crop,
    hyperparameters: contract.Hyperparameters,
) -> Validated:
    """Run the model files over the validation photos, and measure what mirror averaging brings and costs.

    The finished head has learnt from the validation photos too. It is so sure of them that neither int8 nor averaging
    would change much, so copies of the files with the head from before are run instead. That head has learnt from fewer
    photos, so its accuracy is a little lower; of the files beside each other, it tells the truth.

    Args:
        files: the classifier's, in each precision.
        classifier: calibrated.
        validated_head: its head as it was before it learnt from these photos; None if it has not.
        records: the validation photos.
        crop: from a record to pixels.
        hyperparameters: the training's.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        judged = {precision: folder / file.name for precision, file in files.items()}
        for precision, file in files.items():
            write_with_parts(file, judged[precision])
            if validated_head is not None:
                write_with_head(judged[precision], judged[precision], head=validated_head)
        predictions = predict({precision: OnnxModel(file) for precision, file in judged.items()}, records, crop)
        if not hyperparameters.flip:
            return Validated(predictions, None)

        # the gain is that of one file over itself; if the files average already, it takes one that does not
        plain = judged["fp32"]
        if classifier.average_mirrored:
            plain = folder / "plain.onnx"
            head = validated_head or classifier.head
            single = Classifier(backbone=classifier.backbone, head=head, temperature=classifier.temperature)
            export(single, plain, image_size=hyperparameters.image_size)
        sample = random.Random(hyperparameters.seed).sample(  # noqa: S311 (a sample, not a secret)
            range(len(records)), min(MIRRORED_IMAGES, len(records))
        )
        return Validated(
            predictions,
            _mirror_averaging(plain, [records[at] for at in sorted(sample)], crop, served=classifier.average_mirrored),
        )


def _mirror_averaging(
    plain: Path, records: Sequence[contract.ImageRecord], crop: Crop, *, served: bool
) -> contract.MirrorAveraging:
    """Measure on a file that does not average: with each photo, its mirror image, and both in one batch."""
    model = OnnxModel(plain)
    found = predict({"plain": model, "mirrored": lambda pixels: model(_mirrored(pixels))}, records, crop)
    photo = found.first[:1]
    alone, both = median_milliseconds([(plain, photo), (plain, np.concatenate([photo, _mirrored(photo)]))])
    return mirror_averaging(
        found.probabilities["plain"],
        found.probabilities["mirrored"],
        found.labels,
        served=served,
        milliseconds=(alone, both),
    )


def _mirrored(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(pixels[:, :, ::-1])
