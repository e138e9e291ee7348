"""The model file, the limits of the endpoint, and the format of requests and responses."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal, NotRequired, TypedDict

__all__ = [
    "CONTENT_TYPES",
    "INT8_ACCURACY_LOSS",
    "INT8_CLASS_LOSS",
    "KNOWN_SHARE",
    "MAX_COVERAGE",
    "MAX_ERROR_CHARACTERS",
    "MAX_IMAGE_BYTES",
    "MAX_IMAGE_PIXELS",
    "MAX_JSON_IMAGE_BYTES",
    "MAX_SERVERLESS_IMAGE_BYTES",
    "MIN_COVERAGE",
    "REQUEST_ID",
    "Answer",
    "ClassificationParameters",
    "ClassificationRequest",
    "CoverageTable",
    "HeatMap",
    "Interpolation",
    "ModelCard",
    "Precision",
    "Prediction",
    "ProblemDetails",
    "ServedModel",
    "ServingMode",
    "ServingVariable",
]

CONTENT_TYPES: Final = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "image/bmp",
    "image/tiff",
    "image/avif",
    "application/x-image",
    "application/octet-stream",
    "application/json",
)
"""What a request to the endpoint may be: an image of any format (`x-image`, `octet-stream`), or JSON."""

MAX_IMAGE_BYTES: Final = 4_500_000
"""Largest image of a request. A Lambda invocation takes 6 MB (Lambda quotas), and base64 adds a third to the image."""

MAX_JSON_IMAGE_BYTES: Final = 3_500_000
"""Largest image of a request as JSON, where it is in base64 already and API Gateway encodes the JSON once more; several
images of one request have it together."""

MAX_SERVERLESS_IMAGE_BYTES: Final = 4_000_000
"""Largest image of a request to a serverless endpoint, which takes 4 MB (developer guide, "Serverless Inference")."""

MAX_IMAGE_PIXELS: Final = 50_000_000
"""Largest decoded image: 50 megapixels, more than a phone's photo has at its default setting."""

MAX_ERROR_CHARACTERS: Final = 1000
"""Longest error message of a job: SageMaker cuts `FailureReason` at 1,024 characters (DescribeTrainingJob)."""

ServingMode = Literal["realtime", "serverless"]
"""Whether the endpoint runs on instances of its own, or only while it is asked."""

REQUEST_ID: Final = "request_id"
"""Name by which SageMaker's CustomAttributes carry the API's id of a request to the container and its log."""

Precision = Literal["fp32", "int8"]

Interpolation = Literal["bilinear", "bicubic"]
"""How photos are resized: the filters that pretrained weights are evaluated with, both antialiased."""

INT8_ACCURACY_LOSS: Final = 0.005
"""Validation accuracy that an int8 model may lose against float32 and still be served."""

INT8_CLASS_LOSS: Final = 0.03
"""Recall of a single class, on the validation photos, that an int8 model may lose and still be served."""

KNOWN_SHARE: Final = 0.95
"""Share of held-out photos of the known classes that are to count as known: the distance's threshold is set for it."""

MIN_COVERAGE: Final = 0.5
"""Lowest coverage that a request may ask for."""

MAX_COVERAGE: Final = 0.999
"""Highest coverage that a request may ask for; a model with fewer than a thousand held-out photos promises less."""


class ServingVariable(StrEnum):
    """Environment variables of the endpoint's container: what the server has to know that is no model's property."""

    NAME_UNKNOWN = "WHIPPET_NAME_UNKNOWN"
    """`true` or `false`: whether `Answer.label` names the likeliest class of an unknown photo, too."""
    RELEASE = "WHIPPET_RELEASE"
    """`ServedModel.release`"""
    BATCH_PARAMETERS = "WHIPPET_BATCH_PARAMETERS"
    """Parameters of every photo of a batch, such as `coverage=0.95;top_k=3`: a transform job's requests carry none."""
    METRICS_ENDPOINT = "WHIPPET_METRICS_ENDPOINT"
    """The endpoint's name: metrics are then written to the log in CloudWatch's embedded metric format, under it."""
    METRICS_SECONDS = "WHIPPET_METRICS_SECONDS"
    """Seconds between two lines of metrics, 60 if it is not given: for a local cloud whose clock runs fast."""


class CoverageTable(TypedDict):
    """What sets of labels with a promised coverage are made by: split conformal prediction on held-out photos.

    A label belongs to the set that promises `levels[i]` if its probability is at least `lowest_scores[i]`.
    """

    photos: int
    """Photos that were held out to find the scores."""
    levels: list[float]
    """Ascending, from `MIN_COVERAGE` up to what so many photos can promise."""
    lowest_scores: list[float]


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
    known_share: NotRequired[float]
    """Share of held-out known photos whose distance is at most 1; not on the cards of earlier releases, whose model
    files give no distance."""
    coverage: NotRequired[CoverageTable]
    """Not on the cards of earlier releases, nor where fewer photos were held out than the lowest coverage needs."""


class Prediction(TypedDict):
    """A class and its probability."""

    label: str
    score: float


class HeatMap(TypedDict):
    """What in the photo spoke for the label, as the network saw the photo: resized, with its centre cut out."""

    label: str
    """The likeliest class, also where `Answer.label` names none."""
    values: list[list[float]]
    """(rows, columns): each place's share of the label's score against the mean of all labels, divided by the greatest
    magnitude; from -1 to 1."""
    crop: float
    """Side of the square in the photo's centre that the rows and columns lie over, as a share of the photo's shorter
    side."""


class ServedModel(TypedDict):
    """The model that gave an answer."""

    run: str
    """The run that trained it."""
    release: NotRequired[str]
    """Name of the model and of the endpoint configuration; not where the container was started by other means."""
    test_accuracy: float
    """Its accuracy on the run's test photos."""


class Answer(TypedDict):
    """The response to a photo."""

    label: str | None
    """The likeliest class; None where the endpoint is set to name no class of an unknown photo."""
    score: float
    """Probability of the likeliest class."""
    known: bool | None
    """Whether the photo is like those that the model was trained on; None if the model, of an earlier release, cannot
    tell."""
    distance: float | None
    """How far the photo is from those that the model was trained on; known photos are at most 1 away."""
    reason: NotRequired[str]
    """Why the photo counts as unknown, as a sentence."""
    predictions: list[Prediction]
    """The likeliest classes, the likeliest first."""
    labels: NotRequired[list[str]]
    """The smallest set of labels that holds the right one with the probability that was asked for (`coverage`)."""
    heat_map: NotRequired[HeatMap]
    """Where `explain` was asked for."""
    model: NotRequired[ServedModel]
    """Not in the answers of earlier releases."""


class ClassificationParameters(TypedDict):
    """Options of a request."""

    top_k: NotRequired[int]
    """Number of predictions in the response."""
    coverage: NotRequired[float]
    """Probability with which `Answer.labels` is to hold the right label."""
    explain: NotRequired[bool]
    """Whether the response is to hold a heat map."""


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
    """What was wrong, and what to do."""
    instance: NotRequired[str]
    """The request's id as a URN, `urn:uuid:…`, by which the logs are searched."""
    retry_after: NotRequired[int]
    """Seconds after which the same request may succeed, as the header `Retry-After` says."""
