"""The API's description as an OpenAPI 3.1 document, made of the contract."""

from __future__ import annotations

from typing import Any, Final, Literal

from contract import (
    MAX_BATCH,
    MAX_COVERAGE,
    MIN_COVERAGE,
    UPLOADS_PREFIX,
    Answer,
    ApiRequest,
    BatchAnswer,
    ClassificationParameters,
    FeedbackReceipt,
    FeedbackRequest,
    Health,
    ProblemDetails,
    Upload,
)

from .json_schema import schema_of
from .model_headers import MODEL_HEADERS

__all__ = ["Auth", "document"]

Auth = Literal["api_key", "iam", "none"]
"""The setting `api.auth`."""

_SECURITY: Final[dict[Auth, dict[str, Any]]] = {
    "api_key": {"type": "apiKey", "name": "x-api-key", "in": "header", "description": "`whippet key` prints it."},
    "iam": {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
        "description": "A signature (SigV4, service execute-api).",
        "x-amazon-apigateway-authtype": "awsSigv4",
    },
    "none": {},
}

_PROBLEMS: Final = {
    "400": "The request is wrong; `detail` says how it should be.",
    "403": "The key or the signature is missing or wrong.",
    "404": "There is no such route, no such upload, or the environment does not offer this.",
    "405": "The route takes another method; `Allow` names it.",
    "413": "The image, or the request, is too large.",
    "415": "The content type cannot be an image's.",
    "422": "The model cannot do what is asked.",
    "429": "Too many requests, or today's are used up.",
    "500": "The API failed.",
    "502": "The model failed, or was not reached.",
    "503": "No model is ready, or too many requests are under way; `Retry-After` says when to come back, if ever.",
    "504": "The model did not answer in time.",
}
_OF_EVERY_ROUTE: Final = ("403", "404", "405", "429", "500", "502", "503", "504")

_KEY: Final = rf"^{UPLOADS_PREFIX}[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$"
_BASE64: Final = {"contentEncoding": "base64"}
_LIMITS: Final[dict[str, dict[str, Any]]] = {
    "top_k": {"minimum": 1},
    "coverage": {"minimum": MIN_COVERAGE, "maximum": MAX_COVERAGE},
}
"""What the types of `contract.ClassificationParameters` do not say."""
_PLACES: Final[dict[str, dict[str, Any]]] = {"inputs": {"minLength": 1, **_BASE64}, "s3": {"pattern": _KEY}}
"""Where the images of a request are."""
_FEEDBACK_LIMITS: Final[dict[str, dict[str, Any]]] = {
    **{name: {"minLength": 1, "maxLength": 255} for name in ("label", "answered")},
    **{name: {"pattern": "^[A-Za-z0-9-]{1,64}$"} for name in ("run", "request_id")},
}
"""What the types of `contract.FeedbackRequest` do not say."""


def document(auth: Auth, *, feedback: bool) -> dict[str, Any]:
    """Return the document of an API.

    Args:
        auth: whom it answers.
        feedback: whether it takes feedback.
    """
    schemas = _schemas(feedback=feedback)
    security: list[dict[str, list[str]]] = [{auth: []}] if _SECURITY[auth] else []
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "whippet",
            "version": "1",
            "summary": "What does a photo show?",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        # the folder that this document lies in
        "servers": [{"url": "./"}],
        "security": security,
        "paths": {
            "/classify": {"post": _classify(schemas)},
            "/uploads": {
                "post": _operation("upload", "Where to upload a photo that is too large for a request", "Upload")
            },
            **({"/feedback": {"post": _feedback(schemas)}} if feedback else {}),
            "/health": {"get": _operation("health", "Whether there is a model", "Health")},
            "/openapi.json": {"get": _operation("describe", "This document", None)},
        },
        "components": {
            "schemas": schemas,
            "headers": _headers(),
            **({"securitySchemes": {auth: _SECURITY[auth]}} if security else {}),
        },
    }


def _schemas(*, feedback: bool) -> dict[str, dict[str, Any]]:
    """Return the schemas of the contract, with the limits that its types do not say."""
    known: dict[str, dict[str, Any]] = {}
    of_feedback = (FeedbackRequest, FeedbackReceipt) if feedback else ()
    for kind in (ApiRequest, Answer, BatchAnswer, Upload, Health, ProblemDetails, *of_feedback):
        schema_of(kind, known)

    # requests are held to their fields
    for kind in (ApiRequest, ClassificationParameters, *of_feedback[:1]):
        known[kind.__name__]["additionalProperties"] = False
    for name, limits in _LIMITS.items():
        known[ClassificationParameters.__name__]["properties"][name] |= limits
    request = known[ApiRequest.__name__]
    request["oneOf"] = [{"required": ["inputs"]}, {"required": ["s3"]}]
    for name, limits in _PLACES.items():
        one = {"type": "string", **limits}
        request["properties"][name]["anyOf"] = [
            one,
            {"type": "array", "items": one, "minItems": 1, "maxItems": MAX_BATCH},
        ]
    if feedback:
        known[FeedbackRequest.__name__]["oneOf"] = request["oneOf"]
        for name, limits in (_PLACES | _FEEDBACK_LIMITS).items():
            known[FeedbackRequest.__name__]["properties"][name] |= limits
    return known


def _classify(schemas: dict[str, dict[str, Any]]) -> dict[str, Any]:
    asked = schemas[ClassificationParameters.__name__]["properties"]
    operation = _operation("classify", "Classify an image, or several", None, problems=tuple(_PROBLEMS))
    operation["parameters"] = [
        {"name": name, "in": "query", "description": schema["description"], "schema": _plain(schema)}
        for name, schema in asked.items()
    ]
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    files = {"type": "array", "items": file, "minItems": 1, "maxItems": MAX_BATCH}
    form = {
        "type": "object",
        "properties": {"image": files, **{name: _plain(schema) for name, schema in asked.items()}},
        "required": ["image"],
        "additionalProperties": False,
    }
    operation["requestBody"] = {
        "required": True,
        "description": "The image's bytes; or a form with it; or JSON with it in base64, or with the key of an upload.",
        "content": {
            "image/*": {},
            "application/octet-stream": {},
            "multipart/form-data": {"schema": form},
            "application/json": {"schema": {"$ref": "#/components/schemas/ApiRequest"}},
        },
    }
    answers = [{"$ref": f"#/components/schemas/{name}"} for name in ("Answer", "BatchAnswer")]
    answered = operation["responses"]["200"]
    answered["content"]["application/json"]["schema"] = {"anyOf": answers}
    answered["headers"] |= {name: {"$ref": f"#/components/headers/{name}"} for name in MODEL_HEADERS}
    return operation


def _feedback(schemas: dict[str, dict[str, Any]]) -> dict[str, Any]:
    problems = tuple(sorted({"400", "413", "415", *_OF_EVERY_ROUTE}))
    operation = _operation(
        "feedback",
        "Give a photo with its right label, to be kept and reviewed",
        FeedbackReceipt.__name__,
        problems=problems,
        success="201",
    )
    fields = schemas[FeedbackRequest.__name__]["properties"]
    texts = {name: _plain(schema) for name, schema in fields.items() if name not in _PLACES}
    form = {
        "type": "object",
        "properties": {
            "image": {"type": "string", "contentMediaType": "application/octet-stream"},
            **texts,
            "consent": {"enum": ["true"]},
        },
        "required": ["image", "label", "consent"],
        "additionalProperties": False,
    }
    operation["requestBody"] = {
        "required": True,
        "description": "A form with the photo; or JSON with it in base64, or with the key of an upload.",
        "content": {
            "multipart/form-data": {"schema": form},
            "application/json": {"schema": {"$ref": "#/components/schemas/FeedbackRequest"}},
        },
    }
    return operation


def _operation(
    name: str,
    summary: str,
    answer: str | None,
    *,
    problems: tuple[str, ...] = _OF_EVERY_ROUTE,
    success: str = "200",
) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{answer}"} if answer else {"type": "object"}
    request_id = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    return {
        "operationId": name,
        "summary": summary,
        "responses": {
            success: {
                "description": "The answer.",
                "headers": dict(request_id),
                "content": {"application/json": {"schema": schema}},
            },
            **{status: _problem(status, request_id) for status in problems},
        },
    }


def _problem(status: str, headers: dict[str, Any]) -> dict[str, Any]:
    come_back = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}
    return {
        "description": _PROBLEMS[status],
        "headers": {**headers, **(come_back if status == "429" or status >= "500" else {})},
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
    }


def _headers() -> dict[str, Any]:
    """Return the headers of the responses."""
    number = {"type": "integer", "minimum": 1}
    return {
        "X-Request-Id": {"description": "The request's id, by which every log shows it.", "schema": {"type": "string"}},
        "Retry-After": {"description": "Seconds after which the same request may succeed.", "schema": number},
        **{
            name: {"description": f"`model.{field}` of the answer.", "schema": {"type": "string"}}
            for name, field in MODEL_HEADERS.items()
        },
    }


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != "description"}
