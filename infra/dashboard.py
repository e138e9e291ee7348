"""The dashboard: is it well, how fast, how much, and which model."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

import contract
from infra.alarms import api_metric
from infra.dataset import Dataset
from infra.drift import drift_metric
from infra.names import Names
from infra.pause import SleepRecord
from infra.permissions import OBJECTS, Permission
from infra.python_function import PythonFunction

__all__ = ["Dashboard"]

_HOUR = cdk.Duration.hours(1)

_WIDTH = 24
"""Columns of a CloudWatch dashboard."""


class Dashboard(Construct):
    """A row for each question, and the function that knows which model serves."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        names: Names,
        dataset: Dataset,
        record: SleepRecord,
        api_function: lambda_.IFunction,
        state_machine: sfn.IStateMachine,
        alarms: Sequence[cloudwatch.IAlarm],
        shows_drift: bool,
    ) -> None:
        super().__init__(scope, construct_id)
        self.function = self._model_function(names, dataset, record)
        dashboard = cloudwatch.Dashboard(
            self, "Dashboard", dashboard_name=names.prefix, default_interval=cdk.Duration.hours(12)
        )

        # is it well?
        if alarms:
            dashboard.add_widgets(
                cloudwatch.AlarmStatusWidget(title="Is it well?", alarms=list(alarms), width=_WIDTH, height=3)
            )
        dashboard.add_widgets(
            _graph("Answers of the API that are errors", *(_api(names, kind) for kind in ("5XXError", "4XXError"))),
            _graph("Errors of the API's function", api_function.metric_errors(), api_function.metric_throttles()),
            _graph(
                "Runs",
                *(state_machine.metric(f"Executions{end}", statistic="Sum") for end in ("Succeeded", "Failed")),
                *(state_machine.metric(f"Executions{end}", statistic="Sum") for end in ("TimedOut", "Aborted")),
            ),
        )

        # how fast, and how much?
        latencies = [
            api_metric(names, "Latency", statistic, label=f"API, {statistic}, ms") for statistic in ("p50", "p99")
        ]
        dashboard.add_widgets(
            _graph("How fast? From the request to the answer", *latencies),
            _graph(
                "How fast? The model, microseconds",
                *(_endpoint(names, "ModelLatency", statistic) for statistic in ("p50", "p99")),
            ),
            _graph("How much? Requests", _api(names, "Count"), _endpoint(names, "Invocations", "Sum")),
        )

        # has what is asked changed?
        if shows_drift:
            dashboard.add_widgets(
                cloudwatch.GraphWidget(
                    title="Drift: percent of the answers that differ from those to the test photos",
                    left=[
                        drift_metric(
                            names, contract.DRIFT_METRICS[measure], period=_HOUR, label=contract.DRIFT_TITLES[measure]
                        )
                        for measure in contract.DRIFT_MEASURES
                    ],
                    width=_WIDTH,
                    height=6,
                )
            )

        # which model?
        dashboard.add_widgets(
            cloudwatch.CustomWidget(
                title="Which model?",
                function_arn=self.function.arn,
                width=_WIDTH,
                height=6,
                update_on_refresh=True,
            )
        )

    def _model_function(self, names: Names, dataset: Dataset, record: SleepRecord) -> PythonFunction:
        return PythonFunction(
            self,
            "Model",
            name="model_widget",
            description="Tells the dashboard which model serves",
            environment={
                "BUCKET": dataset.bucket.bucket_name,
                "NAME_PREFIX": names.prefix,
                "ENDPOINT_NAME": names.endpoint,
                "SLEEP_RECORD": record.name,
            },
            permissions=[
                Permission(actions=["sagemaker:DescribeEndpoint"], resources=[names.endpoint_arn]),
                Permission(
                    actions=["s3:ListBucket"],
                    resources=[dataset.bucket.bucket_arn],
                    conditions={"StringLike": {"s3:prefix": [f"{contract.RELEASES_PREFIX}*"]}},
                ),
                Permission(
                    actions=["s3:GetObject"],
                    resources=[dataset.arn(f"{contract.RELEASES_PREFIX}*")],
                    reason=OBJECTS,
                ),
                *record.read(),
            ],
            timeout=cdk.Duration.seconds(30),
        )


def _graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=_WIDTH // 3, height=6)


def _api(names: Names, name: str) -> cloudwatch.Metric:
    return api_metric(names, name, "Sum", label=f"API: {name}")


def _endpoint(names: Names, name: str, statistic: str) -> cloudwatch.Metric:
    """Return a metric of the endpoint's only variant ("Amazon SageMaker AI endpoint invocation metrics")."""
    return cloudwatch.Metric(
        namespace="AWS/SageMaker",
        metric_name=name,
        dimensions_map={"EndpointName": names.endpoint, "VariantName": "AllTraffic"},
        statistic=statistic,
        label=f"model: {name}, {statistic}",
    )
