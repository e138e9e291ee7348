"""What a batch costs, and whether the account may run it: both are told before anything is uploaded or started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

import contract
from cli import CliError
from cli.quotas import request_for
from cli.quotas import values as quota_values
from infra.instances import virtual_cpus

if TYPE_CHECKING:
    from rich.console import Console

    from cli.target import Target

__all__ = ["BatchCost", "batch_cost", "check_quota", "price_line"]


@dataclass(frozen=True)
class BatchCost:
    """What a batch costs at most, in US dollars by the table of prices."""

    instance_type: str
    hours: float
    requests_usd: float

    @property
    def longest_seconds(self) -> float:
        """How long a job may take before it is stopped, where the settings have a ceiling: twice as long."""
        return 2 * 3600 * self.hours

    @property
    def machine_usd(self) -> float | None:
        """The machine's part; None where its price is not known."""
        return contract.machine_usd(self.instance_type, seconds=3600 * self.hours)


def batch_cost(*, photos: int, uploads: int, instance_type: str) -> BatchCost:
    """Return about what a batch costs at most: of large photos, and a ResNet50 in float32.

    Args:
        photos: to be answered.
        uploads: of them that are uploaded first.
        instance_type: the machine's.
    """
    seconds = contract.START_SECONDS + photos * contract.FORWARD_CPU_SECONDS / virtual_cpus(instance_type)
    # a photo is listed or uploaded, read by the job, answered, and its answer read
    requests = (uploads + photos) * contract.S3_WRITE_USD + 2 * photos * contract.S3_READ_USD
    return BatchCost(instance_type, seconds / 3600, requests)


def price_line(cost: BatchCost) -> str:
    """Return about what a batch costs, in words."""
    machine = f"at most about {cost.hours:.1f} hours of {contract.machines_in_words(cost.instance_type)}"
    if cost.machine_usd is None:
        return f"{machine}, and {cost.requests_usd:.2f} dollars of S3 requests"
    return (
        f"at most about {cost.machine_usd + cost.requests_usd:.2f} dollars: {machine}, and {cost.requests_usd:.2f} of "
        f"S3 requests ({contract.PRICES_NOTE})"
    )


def check_quota(target: Target, *, console: Console) -> None:
    """Look whether the account may run the batch's machine.

    Raises:
        CliError: it may not; the message has the command that asks for it.
    """
    quota = f"{target.settings.batch.instance_type} for transform job usage"
    try:
        value, code = quota_values(target.client("service-quotas"), "sagemaker").get(quota, (None, ""))
    except ClientError as error:
        console.print(f"the quota {quota!r} could not be looked up ({error})", soft_wrap=True)
        return
    if value is not None and value < 1:
        raise CliError(
            f"the account's quota {quota!r} is {value:g}, and a batch needs 1. Set batch.instance_type to another "
            f"type, or ask for more, which may take AWS a day or longer:\n"
            f"{request_for('sagemaker', quota, code=code, need=1)}"
        )
    have = "unknown" if value is None else f"{value:g}"
    console.print(f"quota {quota!r}: {have}, needed 1", soft_wrap=True)
