"""What a batch costs, and whether the account may run it: both are told before anything is uploaded or started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

import contract
from cli import CliError
from cli.quotas import request_for
from cli.quotas import values as quota_values
from infra.instances import virtual_cpus

if TYPE_CHECKING:
    from rich.console import Console

    from cli.target import Target

__all__ = ["check_quota", "price_line"]

_SECONDS_A_PHOTO: Final = 0.15
"""Of one virtual CPU: a phone's photo decoded, and a ResNet50 in float32; other photos and int8 take a third."""
_START_HOURS: Final = 0.1
"""From the launch of the machine to the first answer."""


def price_line(*, photos: int, uploads: int, instance_type: str) -> str:
    """Return about what a batch costs, in words.

    Args:
        photos: to be answered.
        uploads: of them that are uploaded first.
        instance_type: the machine's.
    """
    hours = _START_HOURS + photos * _SECONDS_A_PHOTO / virtual_cpus(instance_type) / 3600
    # a photo is listed or uploaded, read by the job, answered, and its answer read
    requests = (uploads + photos) * contract.S3_WRITE_USD + 2 * photos * contract.S3_READ_USD
    hourly = contract.hourly_price(instance_type)
    machine = f"at most about {hours:.1f} hours of one {instance_type}"
    if hourly is None:
        return f"{machine}, whose price is not known here, and {requests:.2f} dollars of S3 requests"
    return (
        f"at most about {hours * hourly + requests:.2f} dollars: {machine} at {hourly:g}, and {requests:.2f} of S3 "
        f"requests (prices of {contract.PRICES_REGION} of {contract.PRICES_AS_OF})"
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
