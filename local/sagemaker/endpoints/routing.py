"""Choose the production variant that answers a request."""

from __future__ import annotations

import random
from collections.abc import Sequence

from local.sagemaker.endpoints.instance import Instance
from local.sagemaker.errors import SageMakerError

__all__ = ["choose"]


def choose(instances: Sequence[Instance], variant: str | None) -> Instance:
    """Return the instance of the variant asked for, or one drawn with the variants' weights.

    Raises:
        SageMakerError: ValidationError, because there is no such variant.
    """
    if variant is not None:
        for instance in instances:
            if instance.variant["VariantName"] == variant:
                return instance
        raise SageMakerError("ValidationError", f"Variant {variant} not found for Request")
    weights = [float(instance.variant.get("InitialVariantWeight", 1.0)) for instance in instances]
    if sum(weights) <= 0:
        return instances[0]
    return random.choices(instances, weights)[0]  # noqa: S311 - traffic, not a secret
