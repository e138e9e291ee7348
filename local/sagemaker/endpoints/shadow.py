"""Shadow variants: they get a copy of the production variant's requests, and nobody gets their answers.

Sources: CreateEndpointConfig's member ShadowProductionVariants (API reference); "Create a shadow test", "Exclusions"
and "Testing models with shadow variants" (SageMaker developer guide).
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import urllib3

from local.sagemaker.context import Context
from local.sagemaker.endpoints.fleet import Fleet
from local.sagemaker.endpoints.instance import Instance
from local.sagemaker.endpoints.metrics import Timing, measure
from local.sagemaker.errors import SageMakerError, validation
from local.sagemaker.store import Record

__all__ = ["SHADOWS", "check_shadow", "mirror", "shadow_members"]

_LOGGER = logging.getLogger(__name__)

SHADOWS: Final = "ShadowProductionVariants"

_TIMEOUT: Final = 60.0
"""Seconds in which a model must answer (SageMaker hosting quota)."""

_MOST_COPIES: Final = 32
"""Copies in flight, beyond which further ones are dropped, so that a slow shadow takes no memory from callers."""

_COPIES = threading.BoundedSemaphore(_MOST_COPIES)


def check_shadow(variants: Sequence[Record], shadows: Sequence[Record]) -> None:
    """Check the variants of a configuration with a shadow variant.

    Raises:
        SageMakerError: there is more than one production or shadow variant, or one of a kind that has no shadows.
    """
    if len(variants) != 1 or len(shadows) != 1:
        raise validation(
            "If you use ShadowProductionVariants, you can only specify one variant for ProductionVariants and one "
            "variant for ShadowProductionVariants."
        )
    for variant in (*variants, *shadows):
        name = variant["VariantName"]
        if "ServerlessConfig" in variant:
            raise validation(f"Variant {name}: shadow variants are not supported for serverless inference.")
        if str(variant.get("InstanceType", "")).startswith("ml.inf1."):
            raise validation(f"Variant {name}: shadow variants are not supported on Inf1 instances.")


def shadow_members(shadows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the member of a description with the endpoint's shadow variants; none without one."""
    return {SHADOWS: list(shadows)} if shadows else {}


def mirror(context: Context, fleet: Fleet, *, endpoint: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Send a copy of a request to the fleet's shadow variant, if it has one and the request is in the sample.

    The share is the shadow variant's weight by the production variant's, at most all. The copy has a thread of its own,
    so that its answer, which is dropped, neither delays the caller nor fails the request.
    """
    for shadow in fleet.shadows:
        production = float(fleet.instances[0].variant.get("InitialVariantWeight", 1.0))
        weight = float(shadow.variant.get("InitialVariantWeight", 1.0))
        if random.random() * production >= weight:  # noqa: S311 - traffic, not a secret
            continue
        if not _COPIES.acquire(blocking=False):
            _LOGGER.warning("endpoint %s: a copy for the shadow variant was dropped", endpoint)
            continue

        shadow.enter()
        copy = threading.Thread(
            target=_ask,
            args=(context, fleet, shadow),
            kwargs={"endpoint": endpoint, "body": body, "headers": dict(headers)},
            name=f"shadow of {endpoint}",
            daemon=True,
        )
        try:
            copy.start()
        except RuntimeError:
            # the machine has no thread left: the caller's request counts
            shadow.leave()
            _COPIES.release()
            _LOGGER.warning("endpoint %s: a copy for the shadow variant was dropped", endpoint)


def _ask(
    context: Context, fleet: Fleet, shadow: Instance, *, endpoint: str, body: bytes, headers: dict[str, str]
) -> None:
    """Ask the shadow variant, and count how it answered."""
    timing, status = Timing(), 500
    began = time.perf_counter()
    try:
        shadow.check_size(body)
        answer = shadow.request(body, headers, timeout=_TIMEOUT)
        _ = answer.data
        timing.model, status = time.perf_counter() - began, answer.status
    except SageMakerError:
        status = 400
    except urllib3.exceptions.HTTPError as error:
        _LOGGER.info("endpoint %s: the shadow variant did not answer: %s", endpoint, error)
    finally:
        shadow.leave()
        _COPIES.release()
        timing.whole = time.perf_counter() - began
        measure(
            context,
            endpoint=endpoint,
            config=fleet.config_name,
            instance=shadow,
            status=status,
            timing=timing,
        )
