"""Choose the fleet and the production variant that answer a request."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from local.sagemaker.endpoints.fleet import Fleet
from local.sagemaker.endpoints.instance import Instance
from local.sagemaker.errors import SageMakerError

__all__ = ["Traffic"]


@dataclass(frozen=True)
class Traffic:
    """How the requests of an endpoint are shared between its fleets.

    Attributes:
        fleet: the fleet in service; while an update goes on, the old (blue) one.
        new: the new (green) fleet, which gets a share of the requests while an update goes on.
        share: the new fleet's share of the requests, 0 to 1.
    """

    fleet: Fleet
    new: Fleet | None = None
    share: float = 0.0

    @property
    def fleets(self) -> list[Fleet]:
        """The fleets that may get a request."""
        return [self.fleet] if self.new is None else [self.fleet, self.new]

    def choose(self, variant: str | None) -> tuple[Fleet, Instance]:
        """Draw a fleet by its share, and in it return the variant asked for, or one drawn with the variants' weights.

        Raises:
            SageMakerError: ValidationError, because there is no such variant.
        """
        fleet = self.fleet
        if self.new is not None and random.random() < self.share:  # noqa: S311 - traffic, not a secret
            fleet = self.new
        return fleet, _variant(fleet.instances, variant)


def _variant(instances: Sequence[Instance], variant: str | None) -> Instance:
    if variant is not None:
        for instance in instances:
            if instance.variant["VariantName"] == variant:
                return instance
        raise SageMakerError("ValidationError", f"Variant {variant} not found for Request")
    weights = [instance.weight for instance in instances]
    if sum(weights) <= 0:
        return instances[0]
    return random.choices(instances, weights)[0]  # noqa: S311 - traffic, not a secret
