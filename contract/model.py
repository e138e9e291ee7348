"""The model, its limits, and the shape of its answers."""

from __future__ import annotations

from typing import Final, Literal, NotRequired, TypedDict

__all__ = [
    "INT8_ACCURACY_LOSS",
    "INT8_CLASS_LOSS",
    "MAX_ERROR_CHARACTERS",
    "MAX_IMAGE_BYTES",
    "MAX_IMAGE_PIXELS",
    "ClassificationParameters",
    "ClassificationRequest",
    "ModelCard",
    "Precision",
    "Prediction",
    "ProblemDetails",
]

MAX_IMAGE_BYTES: Final = 4_500_000
"""A Lambda request holds 6 MB (AWS quota); base64 takes a third more than the image."""

MAX_IMAGE_PIXELS: Final = 50_000_000
"""Decoded size at which an image is refused: 50 megapixels, more than any phone's photo at its default setting."""

MAX_ERROR_CHARACTERS: Final = 1000
"""SageMaker's FailureReason and SNS's e-mail stay readable below this length."""


Precision = Literal["fp32", "int8"]

INT8_ACCURACY_LOSS: Final = 0.005
"""Test accuracy an int8 model may lose against float32 and still be served."""

INT8_CLASS_LOSS: Final = 0.03
"""The same for the recall of any single class."""


class ModelCard(TypedDict):
    """`Artefact.MODEL_CARD`: everything a server needs to know of the model beside it."""

    run: str
    backbone: str
    labels: list[str]
    image_size: int
    resize: int
    """Shorter side before the centre crop, in pixels."""
    dataset_fingerprint: str
    test_accuracy: float
    """Of the file that is served."""
    temperature: float
    """By which the logits are divided before the softmax; it stands in the model file, nobody has to apply it."""
    precision: Precision
    precision_reason: str
    """Why this precision is served, in plain words."""
    test_accuracy_fp32: float
    test_accuracy_int8: float | None
    """None where no int8 model was made."""


class Prediction(TypedDict):
    """One entry of the answer, which is a list of them with the highest score first."""

    label: str
    score: float


class ClassificationParameters(TypedDict):
    """What a request may ask for beside the image."""

    top_k: NotRequired[int]


class ClassificationRequest(TypedDict):
    """The JSON form of a request; the other form is the image's bytes with an `image/*` content type."""

    inputs: str
    """The image, base64."""
    parameters: NotRequired[ClassificationParameters]


class ProblemDetails(TypedDict):
    """RFC 9457, `application/problem+json`."""

    type: str
    title: str
    status: int
    detail: str
