"""The base class of the settings' sections, and the kinds of field they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

import contract
from infra.instances import why_not_for_endpoints, why_not_for_jobs

__all__ = ["ONE_OR_MORE", "EndpointInstanceType", "JobInstanceType", "Section", "hyperparameter"]


def _refuse(why_not: Callable[[str], str | None]) -> Callable[[str], str]:
    def check(instance_type: str) -> str:
        if reason := why_not(instance_type):
            raise ValueError(f"{instance_type} cannot be used: {reason}")
        return instance_type

    return check


_INSTANCE_TYPE = Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")
JobInstanceType = Annotated[str, _INSTANCE_TYPE, AfterValidator(_refuse(why_not_for_jobs))]
EndpointInstanceType = Annotated[str, _INSTANCE_TYPE, AfterValidator(_refuse(why_not_for_endpoints))]


def _listed(value: object) -> object:
    if value is None:
        return ()
    return [value] if isinstance(value, str | int) else value


ONE_OR_MORE = BeforeValidator(_listed)
"""For a field that is a list: with `-c`, one entry stands for a list of one, and nothing for an empty one."""


class Section(BaseModel):
    """A section of the settings; it refuses unknown names and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def hyperparameter(name: str, **more: Any) -> Any:
    """Return the field of a setting that is a hyperparameter; default, limits and description are the contract's.

    The default is that of `mode=features`.
    """
    declared = contract.DECLARED[name].metadata
    low, high = declared["within"] or (None, None)
    return Field(**{"default": declared["default"], "ge": low, "le": high, "description": declared["meaning"], **more})
