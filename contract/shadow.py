"""The shadow of a release: a variant that gets a copy of the requests, and the names by which everybody knows it."""

from __future__ import annotations

from typing import Final, Literal, NotRequired, TypedDict

__all__ = [
    "SHADOW_CONFIG_FORMAT",
    "SHADOW_MODEL_FORMAT",
    "SHADOW_VARIANT",
    "ShadowBegin",
    "ShadowState",
    "ShadowVerdict",
    "ShadowedConfig",
    "ShadowedVariant",
    "shadow_config",
    "shadow_metrics",
    "shadow_model",
    "shadow_of",
    "shadowed_config",
]

SHADOW_VARIANT: Final = "Shadow"
"""Name of the shadow variant, by which CloudWatch tells its metrics apart."""

_INFIX: Final = "--shadow-"
"""Neither an environment's prefix nor a run's name has two hyphens in a row."""

SHADOW_CONFIG_FORMAT: Final = f"{{}}{_INFIX}{{}}"
"""Name of the endpoint configuration with a shadow: of the configuration in service, and of the run that tries."""

SHADOW_MODEL_FORMAT: Final = "{}-shadow"
"""Name of the shadow's entry of a model, of the run's own configuration: its container counts for itself."""


def shadow_config(served: str, run: str) -> str:
    """Return the name of the endpoint configuration with which a run's model shadows the one in service."""
    return SHADOW_CONFIG_FORMAT.format(served, run)


def shadow_model(own: str) -> str:
    """Return the name of the model's entry of a shadow, of the name of the run's configuration."""
    return SHADOW_MODEL_FORMAT.format(own)


def shadowed_config(config: str) -> str:
    """Return the configuration whose model answers: an endpoint with a shadow serves what it served without."""
    return config.partition(_INFIX)[0]


def shadow_of(config: str) -> str | None:
    """Return the run whose model shadows in a configuration of this name; None without a shadow."""
    return config.partition(_INFIX)[2] or None


def shadow_metrics(endpoint: str) -> str:
    """Return the name under which a shadow's container tells its metrics, so that no alarm takes them for answers."""
    return f"{endpoint}-shadow"


class ShadowedVariant(TypedDict):
    """A variant of the configuration in service, as far as it is read."""

    ServerlessConfig: NotRequired[dict[str, int]]
    """Not there where instances serve."""


class ShadowedConfig(TypedDict):
    """DescribeEndpointConfig's answer on the configuration in service: its variant goes on beside the shadow."""

    ProductionVariants: list[ShadowedVariant]


class ShadowVerdict(TypedDict):
    """JudgeShadow's answer."""

    outcome: Literal["passed", "failed", "too few"]
    said: str
    """A sentence on what was seen."""


class ShadowBegin(TypedDict):
    """When the shadow stood."""

    at: str
    """ISO 8601."""


class ShadowState(TypedDict):
    """The shadow in the run's document."""

    config: str
    model: str
    said: str
    """Why there was no shadow; empty where there is one."""
    served: NotRequired[ShadowedConfig]
    begun: NotRequired[ShadowBegin]
    verdict: NotRequired[ShadowVerdict]
