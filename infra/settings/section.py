"""The base class of the settings' sections, and the kinds of field they share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

import contract

__all__ = ["InstanceType", "Section", "hyperparameter"]

InstanceType = Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")]


class Section(BaseModel):
    """A section of the settings; it refuses unknown names and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def hyperparameter(name: str, **more: Any) -> Any:
    """Return the field of a setting that is a hyperparameter; default, limits and description are the contract's."""
    field = contract.DECLARED[name]
    low, high = field.metadata["within"] or (None, None)
    return Field(**{"default": field.default, "ge": low, "le": high, "description": field.metadata["meaning"], **more})
