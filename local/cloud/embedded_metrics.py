"""CloudWatch Logs takes metrics from log lines in the embedded metric format, as on AWS.

Source: CloudWatch user guide, "Embedded metric format specification". A metric gets the time at which its line was
logged, which follows the cloud's clock, and not the line's own Timestamp, which is the machine's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from local.cloud import seam

__all__ = ["apply", "datapoints"]


def apply() -> None:
    """Put the metrics of log lines into CloudWatch.

    Raises:
        SeamError: ministack's CloudWatch Logs is not the expected one.
    """
    logs, cloudwatch = seam.module("services.cloudwatch_logs"), seam.module("services.cloudwatch")
    put = seam.expect(logs, "_put_log_events", "data")
    store = seam.expect(
        cloudwatch, "_store_datum", "namespace", "name", "dims", "ts", "unit", "value", "values", "counts"
    )

    def put_log_events(data: Any) -> Any:
        answer = put(data)
        if answer[0] == 200:
            for event in data.get("logEvents", ()):
                for namespace, name, dimensions, unit, values in datapoints(event.get("message", "")):
                    store(namespace, name, dimensions, event["timestamp"] / 1000, unit, None, values, None, None)
        return answer

    logs._put_log_events = put_log_events


def datapoints(line: str) -> Iterator[tuple[str, str, dict[str, str], str, list[float]]]:
    """Yield namespace, name, dimensions, unit and values of each metric of a log line; none of an ordinary line."""
    if '"_aws"' not in line:
        return
    try:
        entry = json.loads(line)
        directives = entry["_aws"]["CloudWatchMetrics"]
    except (ValueError, KeyError, TypeError):
        return  # CloudWatch, too, takes it for an ordinary line
    for directive in directives:
        for dimensions in directive["Dimensions"]:
            named = {name: str(entry[name]) for name in dimensions}
            for metric in directive["Metrics"]:
                values = _values(entry, metric["Name"])
                if values:
                    yield directive["Namespace"], metric["Name"], named, metric.get("Unit", "None"), values


def _values(entry: Mapping[str, Any], name: str) -> list[float]:
    value = entry.get(name)
    return [float(number) for number in (value if isinstance(value, list) else [value]) if number is not None]
