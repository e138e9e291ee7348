"""Which answers of the endpoint SageMaker keeps, for the drift check."""

from __future__ import annotations

from typing import Any

import contract
from infra.workflow.payloads import RunParts

__all__ = ["capture_config"]


def capture_config(parts: RunParts) -> dict[str, Any]:
    """Return which share of the answers SageMaker keeps; of the photos, only where a setting says so."""
    monitoring = parts.settings.monitoring
    if not monitoring.capture_percent:
        return {}
    modes = ["Output", *(["Input"] if monitoring.capture_photos else [])]
    return {
        "DataCaptureConfig": {
            "EnableCapture": True,
            "InitialSamplingPercentage": monitoring.capture_percent,
            "DestinationS3Uri": parts.dataset.uri(contract.CAPTURE_PREFIX.rstrip("/")),
            "CaptureOptions": [{"CaptureMode": mode} for mode in modes],
            # what is neither JSON nor CSV is kept in base64
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        }
    }
