"""The account's quotas: the table's defaults or plenty, and what the account document sets."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

from local.sagemaker.account import quota_table
from local.sagemaker.account.document import AccountDocument
from local.sagemaker.account.quota_table import Quota
from local.sagemaker.errors import SageMakerError

__all__ = ["Quotas"]


class Quotas:
    """The limits of the account as they are now.

    Args:
        document: returns the account document.
    """

    def __init__(self, document: Callable[[], AccountDocument]) -> None:
        self._document = document

    def table(self, service: str) -> list[Quota]:
        """Return the quotas that Service Quotas lists for a service, by name."""
        return sorted(
            (quota for quota in quota_table.quotas() if quota.service == service and quota.code),
            key=lambda quota: quota.name,
        )

    def limit(self, service: str, name: str) -> int:
        """Return the limit of a quota: what the document sets by name, code or pattern, or its default."""
        chosen = self.chosen(service, name)
        if chosen is not None:
            return chosen
        if self._document().quota_defaults == "aws":
            return next((quota.default for quota in quota_table.quotas() if _is(quota, service, name)), 0)
        return quota_table.GENEROUS

    def chosen(self, service: str, name: str) -> int | None:
        """Return what the document sets; a name or code counts before a pattern. None if it does not name the quota."""
        limits = self._document().quotas.get(service, {})
        code = next((quota.code for quota in quota_table.quotas() if _is(quota, service, name)), "")
        for exact in filter(None, (name, code)):
            if exact in limits:
                return limits[exact]
        return next((limit for pattern, limit in limits.items() if fnmatchcase(name, pattern)), None)

    def is_strict(self, service: str, name: str) -> bool:
        """Tell whether somebody chose the limit: the document names the quota, or asks for AWS's numbers."""
        return self._document().quota_defaults == "aws" or self.chosen(service, name) is not None

    def check(self, name: str, *, used: int, wanted: int, unit: str = "Instances") -> None:
        """Check that a request of SageMaker fits a quota.

        Args:
            name: the quota.
            used: what the account uses already.
            wanted: what the request adds.
            unit: as the message counts.

        Raises:
            SageMakerError: ResourceLimitExceeded, in AWS's words.
        """
        limit = self.limit("sagemaker", name)
        if used + wanted > limit:
            raise SageMakerError(
                "ResourceLimitExceeded",
                f"The account-level service limit '{name}' is {limit} {unit}, with current utilization of {used} "
                f"{unit} and a request delta of {wanted} {unit}. Please use AWS Service Quotas to request an increase "
                "for this quota. If AWS Service Quotas is not available, contact AWS support to request an increase "
                "for this quota.",
            )


def _is(quota: Quota, service: str, name: str) -> bool:
    return quota.service == service and quota.name == name
