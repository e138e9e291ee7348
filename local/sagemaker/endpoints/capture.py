"""Data capture: a sample of an endpoint's requests and answers, written to S3 as JSON Lines.

Sources: "Data capture" and "Capture data from real-time endpoint" (developer guide): the members of a line, and the
folders `<prefix>/<endpoint>/<variant>/yyyy/mm/dd/hh/`. SageMaker collects for some minutes before it writes a file; it
takes seconds here. Only requests that the model answered are captured. Nobody who asks waits for it or hears of its
failures.
"""

from __future__ import annotations

import base64
import json
import logging
import random
import threading
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from local import clock
from local.sagemaker.clients import s3_client
from local.sagemaker.context import Context
from local.sagemaker.errors import validation
from local.sagemaker.store import Record
from local.sagemaker.transfer import split_uri

__all__ = ["Capture", "check_capture", "summary"]

_LOGGER = logging.getLogger(__name__)

_FLUSH_SECONDS: Final = 1.0
"""Seconds of the machine's clock for which lines are collected."""

_FLUSH_BYTES: Final = 16 * 1024 * 1024
"""Collected bytes that are written at once."""


def check_capture(config: Record, variants: Sequence[Record]) -> None:
    """Check a DataCaptureConfig.

    Raises:
        SageMakerError: ValidationException, because a variant is serverless (developer guide, "Serverless Inference":
            feature exclusions).
    """
    if config.get("EnableCapture", True) and any("ServerlessConfig" in variant for variant in variants):
        raise validation("DataCaptureConfig is not supported with a serverless variant; leave it out.")


def summary(config: Record) -> dict[str, Any]:
    """Return the DataCaptureConfigSummary that DescribeEndpoint answers."""
    enabled = config.get("EnableCapture", True)
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }


class Capture:
    """Collects the lines of one variant's requests, and writes them to S3 as the model's role.

    Args:
        context: the service's.
        config: the DataCaptureConfig.
        endpoint: name of the endpoint.
        variant: name of the variant.
        role_arn: execution role of the model.
    """

    def __init__(self, context: Context, config: Record, *, endpoint: str, variant: str, role_arn: str) -> None:
        self._context = context
        self._config = config
        self._endpoint, self._variant, self._role_arn = endpoint, variant, role_arn
        self._modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._bytes = 0
        self._timer: threading.Timer | None = None

    def take(
        self, *, headers: Mapping[str, str], body: bytes, answer_headers: Mapping[str, str], answer: bytes
    ) -> None:
        """Keep a request and its answer, if it belongs to the sample.

        Args:
            headers: of the request, by names in lower case.
            body: of the request.
            answer_headers: of the answer.
            answer: its body.
        """
        if 100 * random.random() >= self._config["InitialSamplingPercentage"]:  # noqa: S311 (a sample, not a secret)
            return
        data: dict[str, Any] = {}
        if {"Input", "InputAndOutput"} & self._modes:
            data["endpointInput"] = self._part("INPUT", headers.get("content-type", ""), body)
        if {"Output", "InputAndOutput"} & self._modes:
            data["endpointOutput"] = self._part("OUTPUT", answer_headers.get("Content-Type", ""), answer)

        moment = datetime.fromtimestamp(clock.time(), UTC)
        metadata: dict[str, Any] = {"eventId": str(uuid.uuid4()), "inferenceTime": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}
        if attributes := headers.get("x-amzn-sagemaker-custom-attributes"):
            metadata["customAttributes"] = [attributes]
        line = json.dumps({"captureData": data, "eventMetadata": metadata, "eventVersion": "0"})
        self._keep(line)

    def flush(self) -> None:
        """Write what has been collected; failures are logged."""
        with self._lock:
            lines, self._lines, self._bytes = self._lines, [], 0
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if not lines:
            return
        moment = datetime.fromtimestamp(clock.time(), UTC)
        bucket, prefix = split_uri(self._config["DestinationS3Uri"])
        folder = f"{prefix.rstrip('/')}/{self._endpoint}/{self._variant}/{moment:%Y/%m/%d/%H}".lstrip("/")
        key = f"{folder}/{moment:%M-%S}-{moment.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
        encryption: dict[str, Any] = (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self._config["KmsKeyId"]}
            if self._config.get("KmsKeyId")
            else {}
        )
        try:
            s3 = s3_client(self._context.credentials(self._role_arn, "SageMaker"))
            s3.put_object(Bucket=bucket, Key=key, Body="".join(f"{line}\n" for line in lines).encode(), **encryption)
        except Exception:
            _LOGGER.exception("endpoint %s: %d captured requests could not be written", self._endpoint, len(lines))

    def _keep(self, line: str) -> None:
        with self._lock:
            self._lines.append(line)
            self._bytes += len(line)
            is_full = self._bytes >= _FLUSH_BYTES
            if self._timer is None:
                self._timer = threading.Timer(_FLUSH_SECONDS, self.flush)
                self._timer.daemon = True
                self._timer.start()
        if is_full:
            self.flush()

    def _part(self, mode: str, content_type: str, data: bytes) -> dict[str, str]:
        kinds = self._config.get("CaptureContentTypeHeader", {})
        plain = content_type.partition(";")[0].strip().lower()
        for encoding, member in (("JSON", "JsonContentTypes"), ("CSV", "CsvContentTypes")):
            if plain in kinds.get(member, ()):
                return self._as(mode, content_type, data.decode("utf-8", "replace"), encoding)
        return self._as(mode, content_type, base64.b64encode(data).decode(), "BASE64")

    @staticmethod
    def _as(mode: str, content_type: str, data: str, encoding: str) -> dict[str, str]:
        return {"observedContentType": content_type, "mode": mode, "data": data, "encoding": encoding}
