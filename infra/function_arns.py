"""Which Lambda functions the state machine invokes."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["FunctionArns"]


@dataclass(frozen=True, kw_only=True)
class FunctionArns:
    """The Lambda functions of the run."""

    check_dataset: str
    verdict: str
    ask_approval: str | None
    """Only where a person approves of models."""
    smoke_test: str
    retire: str
    report: str
    notify: str

    def all(self) -> list[str]:
        """For the permission to invoke them."""
        arns = (getattr(self, field.name) for field in fields(self))
        return [arn for arn in arns if arn is not None]
