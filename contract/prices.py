"""SageMaker's on-demand prices in US East (N. Virginia), rounded, for an order of magnitude.

They come from the page "Amazon SageMaker AI pricing" and published copies of its table. Other regions cost more, up to
`OTHER_REGIONS` times as much. Whoever shows one names the date and says "about".
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "HOURS_A_MONTH",
    "OTHER_REGIONS",
    "PRICES_AS_OF",
    "PRICES_NOTE",
    "PRICES_REGION",
    "S3_READ_USD",
    "S3_WRITE_USD",
    "hourly_price",
    "machines_in_words",
    "price_factor",
]

PRICES_AS_OF: Final = "2025"
PRICES_REGION: Final = "us-east-1"
PRICES_NOTE: Final = f"prices of {PRICES_REGION} of {PRICES_AS_OF}"
OTHER_REGIONS: Final = 1.6
"""An allowance, not a price: an m5.large costs 1.59 times as much in South America (São Paulo), the dearest region."""
HOURS_A_MONTH: Final = 730
"""Hours of a month in AWS's pricing calculator."""

S3_WRITE_USD: Final = 0.005 / 1000
S3_READ_USD: Final = 0.0004 / 1000
"""US dollars for a PUT or LIST, and for a GET, of S3 Standard (page "Amazon S3 pricing")."""

_USD_AN_HOUR: Final[dict[str, float]] = {
    "t2.medium": 0.056, "t2.large": 0.111, "t2.xlarge": 0.223,
    "t3.medium": 0.05, "t3.large": 0.10, "t3.xlarge": 0.20, "t3.2xlarge": 0.399,
    "m5.large": 0.115, "m5.xlarge": 0.23, "m5.2xlarge": 0.461, "m5.4xlarge": 0.922, "m5.12xlarge": 2.765,
    "m5.24xlarge": 5.53,
    "c5.large": 0.102, "c5.xlarge": 0.204, "c5.2xlarge": 0.408, "c5.4xlarge": 0.816, "c5.9xlarge": 1.836,
    "c5.18xlarge": 3.672,
    "g4dn.xlarge": 0.736, "g4dn.2xlarge": 0.94, "g4dn.4xlarge": 1.505, "g4dn.8xlarge": 2.72, "g4dn.12xlarge": 4.89,
    "g4dn.16xlarge": 5.44,
    "g5.xlarge": 1.408, "g5.2xlarge": 1.515, "g5.4xlarge": 2.03, "g5.8xlarge": 3.06, "g5.12xlarge": 7.09,
    "g5.16xlarge": 5.12, "g5.24xlarge": 10.18, "g5.48xlarge": 20.36,
    "g6.xlarge": 1.127,
    "p3.2xlarge": 3.825, "p3.8xlarge": 14.688, "p3.16xlarge": 28.152,
}  # fmt: skip


def hourly_price(instance_type: str) -> float | None:
    """Return about how many US dollars a machine costs an hour; None for a type that is not in the table."""
    return _USD_AN_HOUR.get(instance_type.removeprefix("ml."))


def price_factor(region: str) -> float:
    """Return by how much a region's prices may at most be above the table's: what a limit has to reckon with."""
    return 1.0 if region == PRICES_REGION else OTHER_REGIONS


def machines_in_words(instance_type: str, instances: int = 1) -> str:
    """Return so many machines with the price of one for an hour, as `2 of ml.m5.large at 0.115`."""
    machines = f"one {instance_type}" if instances == 1 else f"{instances} of {instance_type}"
    hourly = hourly_price(instance_type)
    return f"{machines}, whose price is not known here" if hourly is None else f"{machines} at {hourly:g}"
