"""What every section of the report is made from: the run's name, the state machine's data, its files, SageMaker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .run_files import RunFiles

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = ["RunContext"]


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """One run, at its end."""

    name: str
    """`run_id`"""
    prefix: str
    """`<prefix>-<environment>`: what every job's name starts with."""
    data: Mapping[str, Any]
    """The state machine's: `plan`, `training`, `verdict`, `failure` …, as far as the run came."""
    execution: str
    """ARN"""
    files: RunFiles
    sagemaker: SageMakerClient

    def at(self, *path: str) -> Any:
        """A value of the state machine's data; None where the run did not come that far."""
        value: Any = self.data
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value
