"""The model file, the limits of the endpoint, and the format of requests and responses."""

from __future__ import annotations

from typing import Final, Literal, NotRequired, TypedDict

__all__ = [
    "INT8_ACCURACY_LOSS",
    "INT8_CLASS_LOSS",
    "MAX_ERROR_CHARACTERS",
    "MAX_IMAGE_BYTES",
    "MAX_IMAGE_PIXELS",
    "MAX_JSON_IMAGE_BYTES",
    "ClassificationParameters",
    "ClassificationRequest",
    "Interpolation",
    "ModelCard",
    "Precision",
    "Prediction",
    "ProblemDetails",
]

MAX_IMAGE_BYTES: Final = 4_500_000
"""Largest image of a request. A Lambda invocation takes 6 MB (Lambda quotas), and base64 adds a third to the image."""

MAX_JSON_IMAGE_BYTES: Final = 3_500_000
"""Largest image of a request as JSON, where it is in base64 already and API Gateway encodes the JSON once more."""

MAX_IMAGE_PIXELS: Final = 50_000_000
"""Largest decoded image: 50 megapixels, more than a phone's photo has at its default setting."""

MAX_ERROR_CHARACTERS: Final = 1000
"""Longest error message of a job: SageMaker cuts `FailureReason` at 1,024 characters (DescribeTrainingJob)."""

Precision = Literal["fp32", "int8"]

Interpolation = Literal["bilinear", "bicubic"]
"""How photos are resized: the filters that pretrained weights are evaluated with, both antialiased."""

INT8_ACCURACY_LOSS: Final = 0.005
"""Validation accuracy that an int8 model may lose against float32 and still be served."""

INT8_CLASS_LOSS: Final = 0.03
"""Recall of a single class, on the validation photos, that an int8 model may lose and still be served."""


class ModelCard(TypedDict):
    """The content of `Artefact.MODEL_CARD`: everything a server has to know about the model beside it."""

    run: str
    backbone: str
    labels: list[str]
    image_size: int
    resize: int
    """Shorter side before the centre crop, in pixels."""
    interpolation: NotRequired[Interpolation]
    """How photos are resized; bilinear on the cards of earlier releases, which do not say so."""
    dataset_fingerprint: str
    test_accuracy: float
    """Test accuracy of the file that is served."""
    temperature: float
    """Divisor of the logits before the softmax. The model file applies it itself."""
    precision: Precision
    precision_reason: str
    """Why this precision is served, as a sentence."""
    test_accuracy_fp32: float
    test_accuracy_int8: float | None
    """Test accuracy in int8; None where no int8 model was made."""


class Prediction(TypedDict):
    """One entry of the response, which is a list of predictions with the highest score first."""

    label: str
    score: float


class ClassificationParameters(TypedDict):
    """Options of a request."""

    top_k: NotRequired[int]
    """Number of predictions in the response."""


class ClassificationRequest(TypedDict):
    """A request as JSON. The alternative is the image's bytes with an `image/*` content type."""

    inputs: str
    """The image in base64."""
    parameters: NotRequired[ClassificationParameters]


class ProblemDetails(TypedDict):
    """The body of an error response: `application/problem+json` (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
