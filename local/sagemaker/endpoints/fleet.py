"""A fleet: the instances that serve one endpoint configuration, one for each of its variants."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from local.sagemaker.endpoints.instance import Instance

__all__ = ["Fleet"]

_LOGGER = logging.getLogger(__name__)


class Fleet:
    """The instances of an endpoint configuration.

    Args:
        config_name: name of the endpoint configuration.
        instances: one for each of its production variants.
        shadows: one for each of its shadow variants.
    """

    def __init__(self, config_name: str, instances: Sequence[Instance], shadows: Sequence[Instance] = ()) -> None:
        self.config_name = config_name
        self.instances = list(instances)
        self.shadows = list(shadows)

    @property
    def is_serverless(self) -> bool:
        """Whether its variant is serverless; such an endpoint has only one."""
        return "ServerlessConfig" in self.instances[0].variant

    @property
    def variant_names(self) -> set[str]:
        """The names of its production variants."""
        return {instance.variant["VariantName"] for instance in self.instances}

    def start(self) -> None:
        """Start every instance and wait until it is healthy.

        Raises:
            JobFailure: an instance's model could not be read, or it did not answer /ping in time.
            SageMakerError: an image's program does not exist.
        """
        for instance in (*self.instances, *self.shadows):
            instance.start()

    def retire(self, *, drain: bool = True) -> None:
        """End the instances, with `drain` after the requests in flight; one that cannot be ended does not keep others.

        A second call does nothing.
        """
        for instance in (*self.instances, *self.shadows):
            try:
                instance.retire(drain=drain)
            except Exception:
                _LOGGER.exception("an instance of variant %s was not ended", instance.variant["VariantName"])
