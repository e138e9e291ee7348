"""`whippet quotas`: the account's quotas, held against what an environment needs, before it is deployed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from rich.table import Table

from cli import CliError
from infra.quotas import Need, needs

if TYPE_CHECKING:
    from rich.console import Console

    from cli.target import Target

__all__ = ["check", "request_for", "values"]


@dataclass(frozen=True)
class _Found:
    need: Need
    have: float | None
    """None where Service Quotas does not know the quota."""
    code: str

    @property
    def too_small(self) -> bool:
        return self.have is not None and self.have < self.need.need


def check(target: Target, *, console: Console) -> None:
    """Print each quota that the environment needs, and what the account has.

    Raises:
        CliError: a quota is too small, or Service Quotas could not be asked.
    """
    wanted = needs(target.settings)
    try:
        found = _find(target.client("service-quotas"), wanted)
    except ClientError as error:
        raise CliError(
            f"Service Quotas did not answer {target.place}: {error}; allow servicequotas:ListServiceQuotas and "
            "servicequotas:ListAWSDefaultServiceQuotas, or look the quotas up in the console"
        ) from None

    table = Table("quota", "need", "have", "what for", box=None, padding=(0, 2, 0, 0))
    for item in found:
        have = "unknown" if item.have is None else f"{item.have:g}"
        table.add_row(f"{item.need.service}: {item.need.quota}", str(item.need.need), have, item.need.reason)
    console.print(table, highlight=False)

    problems = [item for item in found if item.too_small]
    for item in problems:
        if not item.need.certain:
            console.print(f"{item.need.quota} may be too small: it counts only {item.need.reason}", highlight=False)
    if short := [item for item in problems if item.need.certain]:
        requests = "\n".join(map(_request, short))
        raise CliError(
            f"{len(short)} of {len(found)} quotas are too small for {target.settings.stack_name} {target.place}. "
            f"Change the settings named above, or ask for more, which may take AWS a day or longer:\n{requests}"
        )


def values(client: Any, service: str) -> dict[str, tuple[float, str]]:
    """Return the value and the code of every quota of a service, by its name.

    Raises:
        ClientError: Service Quotas refuses to answer.
    """
    # A quota that was never changed may be in the list of AWS's defaults alone.
    return {
        quota["QuotaName"]: (quota["Value"], quota["QuotaCode"])
        for operation in ("list_aws_default_service_quotas", "list_service_quotas")
        for quota in _listed(client, operation, service)
    }


def request_for(service: str, quota: str, *, code: str, need: int) -> str:
    """Return the command that asks AWS for more."""
    return (
        f"aws service-quotas request-service-quota-increase --service-code {service} "
        f"--quota-code {code} --desired-value {need}    # {quota}"
    )


def _find(client: Any, wanted: Sequence[Need]) -> list[_Found]:
    known = {service: values(client, service) for service in dict.fromkeys(need.service for need in wanted)}
    return [_Found(need, *known[need.service].get(need.quota, (None, ""))) for need in wanted]


def _listed(client: Any, operation: str, service: str) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator(operation).paginate(ServiceCode=service, PaginationConfig={"PageSize": 100}):
        yield from page["Quotas"]


def _request(item: _Found) -> str:
    return request_for(item.need.service, item.need.quota, code=item.code, need=item.need.need)
