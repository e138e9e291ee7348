"""The alarms on API, functions and runs, and who tells of them.

CloudWatch may not publish to a topic that is encrypted with SNS's own key ("Key management", SNS developer guide), and
its message would be JSON. So EventBridge hands each change of an alarm to a function, which writes the message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

import contract
from contract import Alarm
from infra.api import STAGE
from infra.drift import drift_metric
from infra.names import Names
from infra.permissions import Permission
from infra.python_function import PythonFunction
from infra.settings.monitoring import MonitoringSettings

__all__ = ["AlarmMessages", "Alarms"]

_FIVE_MINUTES: Final = cdk.Duration.minutes(5)
_FEW_REQUESTS: Final = 20
"""Below so many requests in a period, one that fails is no share of them."""

_IN_AN_ALARM: Final = 10
"""The most metrics of an alarm on metric math ("CloudWatch service quotas")."""


class Alarms(Construct):
    """The alarms of an environment, by `contract.Alarm`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        names: Names,
        settings: MonitoringSettings,
        api_function: lambda_.IFunction,
        background: Sequence[lambda_.IFunction],
        state_machine: sfn.IStateMachine,
        failed_deliveries: Mapping[str, cloudwatch.IMetric],
    ) -> None:
        super().__init__(scope, construct_id)
        self._names = names
        self.alarms: dict[Alarm, cloudwatch.Alarm] = {}

        # the API
        requests = api_metric(names, "Count", "Sum")
        for alarm, metric, share in (
            (Alarm.API_ERRORS, "5XXError", settings.api_error_share),
            (Alarm.API_REFUSALS, "4XXError", 0.5),
        ):
            self._add(
                alarm,
                cloudwatch.MathExpression(
                    expression=f"IF(requests >= {_FEW_REQUESTS}, answers / requests, 0)",
                    using_metrics={"answers": api_metric(names, metric, "Sum"), "requests": requests},
                    period=_FIVE_MINUTES,
                    label="share of the requests",
                ),
                threshold=share,
                operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
                periods=3,
            )
        if settings.expect_requests_hours is not None:
            self._add(
                Alarm.NO_REQUESTS,
                api_metric(names, "Count", "Sum", period=cdk.Duration.hours(settings.expect_requests_hours)),
                threshold=1,
                operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
                missing=cloudwatch.TreatMissingData.BREACHING,
            )

        if settings.checks_drift:
            # checks are hours apart, and a check that cannot tell puts nothing: the last one counts until the next
            self._add(
                Alarm.DRIFT,
                drift_metric(names, contract.DRIFT_FOUND, period=_FIVE_MINUTES),
                threshold=1,
                missing=cloudwatch.TreatMissingData.IGNORE,
            )

        # the functions
        self._add(Alarm.FUNCTION_ERRORS, api_function.metric_errors(period=_FIVE_MINUTES), threshold=3)
        self._add(Alarm.FUNCTION_THROTTLES, api_function.metric_throttles(period=_FIVE_MINUTES), threshold=1)
        self._add(Alarm.BACKGROUND_ERRORS, _errors_of(background), threshold=1)

        # the runs
        failed = {
            name: state_machine.metric(f"Executions{name.capitalize()}", statistic="Sum", period=_FIVE_MINUTES)
            for name in ("failed", "aborted")
        } | {"late": state_machine.metric("ExecutionsTimedOut", statistic="Sum", period=_FIVE_MINUTES)}
        self._add(Alarm.RUN_FAILED, _sum(failed), threshold=1)
        if failed_deliveries:
            self._add(Alarm.TRIGGER_FAILED, _sum(failed_deliveries), threshold=1)

    def _add(
        self,
        alarm: Alarm,
        metric: cloudwatch.IMetric,
        *,
        threshold: float,
        operator: cloudwatch.ComparisonOperator = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        periods: int = 1,
        missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
    ) -> None:
        self.alarms[alarm] = cloudwatch.Alarm(
            self,
            "".join(part.capitalize() for part in alarm.split("-")),
            alarm_name=contract.alarm_name(self._names.prefix, alarm),
            alarm_description=contract.ALARMS[alarm].meaning,
            metric=metric,
            threshold=threshold,
            comparison_operator=operator,
            evaluation_periods=periods,
            treat_missing_data=missing,
        )


class AlarmMessages(Construct):
    """The rule and the function that tell of an alarm, and of its end, in words.

    They tell of every alarm whose name begins with the environment's prefix, also of those that people make.
    """

    def __init__(self, scope: Construct, construct_id: str, *, names: Names, topic: sns.ITopic) -> None:
        super().__init__(scope, construct_id)
        self.function = PythonFunction(
            self,
            "Function",
            name="tell_alarm",
            description="Says what an alarm means and what to do",
            environment={"TOPIC_ARN": topic.topic_arn, "NAME_PREFIX": names.prefix},
            permissions=[Permission(actions=["sns:Publish"], resources=[topic.topic_arn])],
            timeout=cdk.Duration.minutes(1),
        )
        events.Rule(
            self,
            "Changes",
            description=f"Alarms of {names.prefix} that come and go",
            event_pattern=events.EventPattern(
                source=["aws.cloudwatch"],
                detail_type=["CloudWatch Alarm State Change"],
                detail={
                    "alarmName": [{"prefix": f"{names.prefix}-"}],
                    "state": {"value": ["ALARM", "OK"]},
                },
            ),
            targets=[targets.LambdaFunction(self.function.function)],
        )


def api_metric(
    names: Names, name: str, statistic: str, *, period: cdk.Duration = _FIVE_MINUTES, label: str | None = None
) -> cloudwatch.Metric:
    """Return a metric of the API's stage ("Amazon API Gateway dimensions and metrics")."""
    return cloudwatch.Metric(
        namespace="AWS/ApiGateway",
        metric_name=name,
        dimensions_map={"ApiName": names.prefix, "Stage": STAGE},
        statistic=statistic,
        period=period,
        label=label,
    )


def _errors_of(functions: Sequence[lambda_.IFunction]) -> cloudwatch.IMetric:
    if len(functions) > _IN_AN_ALARM:
        raise ValueError(f"{len(functions)} functions are more than the {_IN_AN_ALARM} metrics of an alarm")
    return _sum({f"errors{number}": each.metric_errors(period=_FIVE_MINUTES) for number, each in enumerate(functions)})


def _sum(metrics: Mapping[str, cloudwatch.IMetric]) -> cloudwatch.MathExpression:
    """Return the sum of metrics, of which one that has no datapoint counts as 0."""
    terms = " + ".join(f"FILL({name}, 0)" for name in metrics)
    return cloudwatch.MathExpression(
        expression=terms, using_metrics=dict(metrics), period=_FIVE_MINUTES, label="failures"
    )
