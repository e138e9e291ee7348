"""The scheduled check of captured answers: whether what people send is still like the test photos."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct

import contract
from infra.dataset import Dataset
from infra.names import Names
from infra.pause import SleepRecord
from infra.permissions import NO_RESOURCES, OBJECTS, Permission
from infra.python_function import PythonFunction
from infra.settings import Settings

__all__ = ["DriftCheck", "drift_metric"]


class DriftCheck(Construct):
    """The function that checks, and its schedule."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        names: Names,
        dataset: Dataset,
        settings: Settings,
        record: SleepRecord,
    ) -> None:
        super().__init__(scope, construct_id)
        monitoring = settings.monitoring
        if monitoring.drift_hours is None:
            raise ValueError("monitoring.drift_hours is empty: there is nothing to schedule")

        # what it compares, and may do
        self.function = PythonFunction(
            self,
            "Function",
            name="check_drift",
            description="Compares captured answers with the test photos'",
            environment={
                "BUCKET": dataset.bucket.bucket_name,
                "CAPTURE_DAYS": str(monitoring.capture_days),
                "DRIFT_HOURS": str(monitoring.drift_hours),
                "DRIFT_MEASURES": json.dumps(monitoring.drift_measures),
                "DRIFT_SHARE": str(monitoring.drift_share),
                "ENDPOINT_NAME": names.endpoint,
                "ENVIRONMENT": settings.env,
                "NAME_PREFIX": names.prefix,
                "SLEEP_RECORD": record.name,
                "VARIANT_NAME": names.variant,
            },
            permissions=[
                # which model serves, or sleeps?
                Permission(actions=["sagemaker:DescribeEndpoint"], resources=[names.endpoint_arn]),
                *record.read(),
                *_objects(names, dataset),
                *_tell(),
            ],
            timeout=cdk.Duration.minutes(10),
            memory_mib=1024,
        )

        # how often it does
        events.Rule(
            self,
            "Schedule",
            description=f"Checks every {monitoring.drift_hours} hours whether what {names.endpoint} gets has changed",
            schedule=events.Schedule.rate(cdk.Duration.hours(monitoring.drift_hours)),
            targets=[targets.LambdaFunction(self.function.function)],
        )


def drift_metric(names: Names, name: str, *, period: cdk.Duration, label: str | None = None) -> cloudwatch.Metric:
    """Return a metric that checks put."""
    return cloudwatch.Metric(
        namespace=contract.SERVING_NAMESPACE,
        metric_name=name,
        dimensions_map={contract.ENDPOINT_DIMENSION: names.endpoint},
        statistic="Maximum",
        period=period,
        label=label,
    )


def _objects(names: Names, dataset: Dataset) -> list[Permission]:
    """Return the permissions on captured answers, on those to the test photos, and on what checks found."""
    captured = f"{contract.capture_folder(names.endpoint, names.variant)}*"
    tested = contract.result_key("*", contract.Artefact.PREDICTIONS)
    latest = contract.DRIFT_LATEST
    return [
        Permission(
            actions=["s3:GetObject"],
            resources=[dataset.arn(key) for key in (captured, tested, latest)],
            reason=OBJECTS,
        ),
        Permission(
            actions=["s3:ListBucket"],
            resources=[dataset.bucket.bucket_arn],
            conditions={"StringLike": {"s3:prefix": [captured, tested, latest]}},
        ),
        Permission(actions=["s3:PutObject"], resources=[dataset.arn(f"{contract.DRIFT_PREFIX}*")], reason=OBJECTS),
    ]


def _tell() -> list[Permission]:
    """Return the permissions to put the metrics and the event of found drift."""
    bus = f"arn:{cdk.Aws.PARTITION}:events:{cdk.Aws.REGION}:{cdk.Aws.ACCOUNT_ID}:event-bus/default"
    return [
        Permission(
            actions=["cloudwatch:PutMetricData"],
            resources=["*"],
            reason=NO_RESOURCES,
            conditions={"StringEquals": {"cloudwatch:namespace": contract.SERVING_NAMESPACE}},
        ),
        Permission(
            actions=["events:PutEvents"],
            resources=[bus],
            conditions={
                # both are keys of several values, one of each entry of the request
                "ForAllValues:StringEquals": {
                    "events:source": contract.EVENT_SOURCE,
                    "events:detail-type": contract.DRIFT_DETAIL_TYPE,
                }
            },
        ),
    ]
