"""The state of a CloudWatch alarm, by its datapoints.

Source: CloudWatch user guide, "Evaluating an alarm" and "Configuring how CloudWatch alarms treat missing data", whose
two tables are the tests of this module.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Final

__all__ = ["COMPARISONS", "EXTRA_PERIODS", "state_of"]

EXTRA_PERIODS: Final = 2
"""How many periods more than EvaluationPeriods are looked at, for datapoints in place of missing ones: those of the
guide's tables; it names no number."""

COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
"""ComparisonOperator, apart from those of anomaly detection."""


def state_of(breaching: Sequence[bool | None], *, periods: int, needed: int, treat_missing: str, before: str) -> str:
    """Return OK, ALARM or INSUFFICIENT_DATA.

    Args:
        breaching: for `periods + EXTRA_PERIODS` periods, the oldest first, whether the datapoint breaches the
            threshold; None where there is none.
        periods: EvaluationPeriods.
        needed: DatapointsToAlarm.
        treat_missing: TreatMissingData: `missing`, `ignore`, `breaching` or `notBreaching`.
        before: the alarm's state so far.
    """
    # the newest datapoints, as many as are evaluated; older ones stand in for missing ones
    real = [point for point in breaching if point is not None][-periods:]
    lacking, breaches = periods - len(real), sum(real)
    if breaches >= needed:
        return "ALARM"
    if not lacking:
        return "OK"

    # what the missing ones count as
    if treat_missing == "breaching":
        return "ALARM" if breaches + lacking >= needed else "OK"
    if treat_missing == "notBreaching":
        return "OK"
    if real and breaches < len(real):
        return "OK"
    if treat_missing == "ignore":
        return before
    return "ALARM" if real else "INSUFFICIENT_DATA"
