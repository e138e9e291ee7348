"""CloudWatch's metric alarms: evaluate them on the cloud's clock, with metric math.

ministack evaluates an alarm only when somebody calls PutMetricData, over all dimensions together and without a look at
missing data, and it knows no metric math. Composite alarms and actions are its own.
"""

from __future__ import annotations

import importlib
import json
import logging
import math
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from local import clock
from local.cloud import seam
from local.cloud.alarm_state import COMPARISONS, EXTRA_PERIODS, state_of
from local.cloud.metric_math import Expression, ExpressionError
from local.cloud.named_resources import Request, name_resources

__all__ = ["apply", "watch"]

_LOGGER = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 10.0
"""Seconds of the cloud's clock between two evaluations of all alarms; AWS evaluates every minute."""

_SHORTEST_LOOK: Final = 0.2
"""The same in the machine's seconds, however fast the clock runs."""

_OUT_OF_ORDER: Final = 900.0
"""Seconds by which a datapoint may come later than a newer one."""

Points = dict[float, float]
"""The value of each period that has one, by the period's beginning."""


def apply() -> None:
    """Replace ministack's evaluation of alarms, and let alarms have `Metrics`.

    Raises:
        SeamError: ministack's CloudWatch is not the expected one.
    """
    cloudwatch = seam.module("services.cloudwatch")
    for name in ("_metrics", "_alarms"):
        seam.expect(cloudwatch, name)
    seam.expect(cloudwatch, "_evaluate_alarm", "alarm")
    seam.expect(cloudwatch, "_calc_stats", "points")
    seam.expect(cloudwatch, "_stat_value", "stats", "stat_name", "points")
    seam.expect(cloudwatch, "_dims_key", "dims")
    seam.expect(cloudwatch, "_record_history", "alarm_name", "old_state", "new_state", "reason")
    seam.expect(cloudwatch, "_dispatch_alarm_actions", "alarm", "old_state", "new_state", "reason")
    seam.expect(cloudwatch, "_evaluate_parent_alarms", "child")

    evaluation = _Evaluation(cloudwatch)
    cloudwatch._evaluate_alarm = evaluation.evaluate
    _accept_metric_math(cloudwatch)
    _name_resources()


def watch() -> None:
    """Evaluate every alarm again and again, in a thread that ends with the process."""
    cloudwatch = seam.module("services.cloudwatch")

    def look() -> None:
        while True:
            time.sleep(max(_SHORTEST_LOOK, clock.real(_LOOK_SECONDS)))
            try:
                for alarm in list(cloudwatch._alarms.values()):
                    cloudwatch._evaluate_alarm(alarm)
            except Exception:
                _LOGGER.exception("the alarms were not evaluated")

    threading.Thread(target=look, name="alarms", daemon=True).start()


class _Evaluation:
    """Evaluates alarms on the metrics of ministack's CloudWatch."""

    def __init__(self, cloudwatch: Any) -> None:
        self._cloudwatch = cloudwatch
        self._put_events = seam.expect(seam.module("services.eventbridge"), "_put_events", "data")
        self._lock = threading.Lock()

    def evaluate(self, alarm: dict[str, Any]) -> None:
        """Give the alarm the state that its metrics ask for."""
        compare = COMPARISONS.get(alarm.get("ComparisonOperator") or "")
        if compare is None or not (alarm.get("Metrics") or alarm.get("MetricName")):
            return
        period, periods = _period(alarm), int(alarm["EvaluationPeriods"])
        needed = int(alarm.get("DatapointsToAlarm") or periods)

        # whole periods only: the one that goes on is not over
        end = math.floor(clock.time() / period) * period
        starts = [end - count * period for count in range(periods + EXTRA_PERIODS, 0, -1)]
        values = self._values(alarm, period=period, start=starts[0], end=end)
        points = [values.get(start) for start in starts]

        with self._lock:
            before = alarm["StateValue"]
            state = state_of(
                [None if value is None else compare(value, alarm["Threshold"]) for value in points],
                periods=periods,
                needed=needed,
                treat_missing=alarm.get("TreatMissingData") or "missing",
                before=before,
            )
            if state == before:
                return
            reason = _reason(alarm, [value for value in points if value is not None][-periods:])
            alarm |= {"StateValue": state, "StateReason": reason, "StateUpdatedTimestamp": int(clock.time())}
        self._cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
        self._publish(alarm, before=before, reason=reason)
        self._cloudwatch._dispatch_alarm_actions(alarm, before, state, reason)
        self._cloudwatch._evaluate_parent_alarms(alarm)

    def _publish(self, alarm: Mapping[str, Any], *, before: str, reason: str) -> None:
        """Put the event of a change ("Alarm events and EventBridge") on the default bus."""
        detail = {
            "alarmName": alarm["AlarmName"],
            "state": {"value": alarm["StateValue"], "reason": reason},
            "previousState": {"value": before},
            "configuration": {"description": alarm.get("AlarmDescription") or ""},
        }
        entry = {
            "Source": "aws.cloudwatch",
            "DetailType": "CloudWatch Alarm State Change",
            "Detail": json.dumps(detail),
            "Resources": [alarm["AlarmArn"]],
        }
        self._put_events({"Entries": [entry]}, allow_aws_source=True)

    def _values(self, alarm: Mapping[str, Any], *, period: int, start: float, end: float) -> Points:
        """Return the values that are held against the threshold."""
        queries: Sequence[Mapping[str, Any]] = alarm.get("Metrics") or ()
        if not queries:
            statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
            return self._statistics(alarm, statistic, period=period, start=start, end=end)

        # metrics first, and then the expressions, each after those it stands on
        found: dict[str, Points] = {}
        waiting = []
        for query in queries:
            if "Expression" in query:
                waiting.append((query["Id"], Expression(query["Expression"])))
                continue
            wanted = query["MetricStat"]
            found[query["Id"]] = self._statistics(
                wanted["Metric"], wanted["Stat"], period=int(wanted["Period"]), start=start, end=end
            )
        times = sorted({moment for points in found.values() for moment in points})
        while waiting:
            name, expression = next(entry for entry in waiting if entry[1].names <= set(found))
            waiting.remove((name, expression))
            results = {
                moment: expression.value({other: points.get(moment) for other, points in found.items()})
                for moment in times
            }
            found[name] = {moment: value for moment, value in results.items() if value is not None}
        return found[_returned(queries)]

    def _statistics(
        self, metric: Mapping[str, Any], statistic: str, *, period: int, start: float, end: float
    ) -> Points:
        """Return a statistic of a metric, of exactly its dimensions, period by period."""
        dimensions = {entry["Name"]: entry["Value"] for entry in metric.get("Dimensions") or ()}
        key = (metric["Namespace"], metric["MetricName"], self._cloudwatch._dims_key(dimensions))
        buckets: dict[float, list[Any]] = {}
        for point in reversed(list(self._cloudwatch._metrics.get(key) or ())):
            if point["Timestamp"] < start - _OUT_OF_ORDER:
                break
            if start <= point["Timestamp"] < end:
                buckets.setdefault(math.floor(point["Timestamp"] / period) * period, []).append(point)

        values: Points = {}
        for moment, points in buckets.items():
            value = self._cloudwatch._stat_value(self._cloudwatch._calc_stats(points), statistic, points)
            if value is not None:
                values[moment] = float(value)
        return values


def _period(alarm: Mapping[str, Any]) -> int:
    """Return the length in seconds of the alarm's periods, which all its metrics share."""
    queries = alarm.get("Metrics") or ()
    return int(next((query["MetricStat"]["Period"] for query in queries if "MetricStat" in query), alarm["Period"]))


def _returned(queries: Sequence[Mapping[str, Any]]) -> str:
    """Return the id of the metric or expression that the alarm watches."""
    return str(next(query["Id"] for query in queries if query.get("ReturnData", True)))


def _reason(alarm: Mapping[str, Any], points: Sequence[float]) -> str:
    """Return StateReason, much as AWS words it."""
    if not points:
        return "Insufficient Data: no datapoints were received."
    shown = ", ".join(f"{value:g}" for value in points)
    return (
        f"Threshold Crossed: the last {len(points)} datapoints are [{shown}], and the alarm is set for "
        f"{alarm['ComparisonOperator']} {alarm['Threshold']:g}."
    )


def _check_metrics(queries: Sequence[Mapping[str, Any]]) -> None:
    """Check the `Metrics` of an alarm.

    Raises:
        ExpressionError: an expression cannot be evaluated, stands on what is not there, or not exactly one query
            returns data, as CloudWatch asks of an alarm.
    """
    if not queries:
        return
    known = {query["Id"] for query in queries if "MetricStat" in query}
    expressions = {query["Id"]: Expression(query["Expression"]) for query in queries if "Expression" in query}
    while ready := [name for name, expression in expressions.items() if expression.names <= known]:
        for name in ready:
            del expressions[name]
            known.add(name)
    if expressions:
        name, expression = next(iter(expressions.items()))
        missing = ", ".join(sorted(expression.names - known))
        raise ExpressionError(f"The expression {name} stands on {missing}, which the alarm's Metrics do not have.")
    if sum(bool(query.get("ReturnData", True)) for query in queries) != 1:
        raise ExpressionError("Exactly one of an alarm's Metrics must have ReturnData=true.")


def _name_resources() -> None:
    """Tell ministack's IAM which alarm a request is about, where its body is CBOR, as boto3 writes it."""
    responses = seam.module("core.responses")

    def resource_of(request: Request) -> str | None:
        if "cbor" not in str(request.headers.get("content-type", "")):
            return None
        try:
            asked = importlib.import_module("cbor2").loads(request.body)
            names = [asked["AlarmName"]] if "AlarmName" in asked else asked.get("AlarmNames") or ()
        except (ValueError, TypeError):
            names = ()  # the service itself refuses an unreadable body
        # a request about several alarms is held against the first
        place = f"{responses.get_region()}:{responses.get_account_id()}"
        return f"arn:aws:cloudwatch:{place}:alarm:{names[0]}" if names else "*"

    name_resources("monitoring", resource_of)


def _accept_metric_math(cloudwatch: Any) -> None:
    """Keep `Metrics` of PutMetricAlarm and of AWS::CloudWatch::Alarm, which ministack drops and refuses."""
    put = seam.expect(cloudwatch, "_put_metric_alarm", "params", "cbor_data", "is_cbor", "is_json")

    def put_metric_alarm(params: Any, cbor_data: Any, is_cbor: bool, is_json: bool = False) -> Any:
        queries = cbor_data.get("Metrics") or ()
        try:
            _check_metrics(queries)
        except ExpressionError as error:
            return cloudwatch._error("ValidationError", str(error), 400, use_json=is_json, use_cbor=is_cbor)
        answer = put(params, cbor_data, is_cbor, is_json)
        alarm = cloudwatch._alarms.get(cbor_data.get("AlarmName", ""))
        if queries and answer[0] < 400 and alarm is not None:
            alarm["Metrics"] = list(queries)
            cloudwatch._evaluate_alarm(alarm)
        return answer

    cloudwatch._put_metric_alarm = put_metric_alarm

    provisioners = seam.module("services.cloudformation.provisioners")
    record = seam.expect(provisioners, "_cw_metric_alarm_record", "name", "props")

    def alarm_record(name: str, props: Mapping[str, Any]) -> dict[str, Any]:
        queries = [_query(query) for query in props.get("Metrics") or ()]
        if not queries:
            alarm: dict[str, Any] = record(name, props)
            return alarm
        _check_metrics(queries)
        plain = {key: value for key, value in props.items() if key != "Metrics"}
        alarm = record(name, {**plain, "MetricName": "-", "Namespace": "-"})
        return {**alarm, "MetricName": None, "Namespace": None, "Statistic": None, "Metrics": queries}

    provisioners._cw_metric_alarm_record = alarm_record


def _query(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return a template's query as the API has it: numbers and booleans may be text in a template."""
    result = dict(query)
    if "ReturnData" in result:
        result["ReturnData"] = str(result["ReturnData"]).lower() == "true"
    if "MetricStat" in result:
        result["MetricStat"] = {**result["MetricStat"], "Period": int(result["MetricStat"]["Period"])}
    return result
