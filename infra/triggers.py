"""What starts runs by itself: an object READY, a schedule, drift; and the function that starts them.

EventBridge and its Scheduler deliver an event at least once, and their targets cannot name an execution after it. So
the function does: of two deliveries the second finds the name taken (lambda/start_run).
"""

from __future__ import annotations

import json
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sns as sns
from constructs import Construct

import contract
from infra.dataset import Dataset
from infra.names import Names
from infra.permissions import Permission
from infra.python_function import PythonFunction
from infra.settings import Settings

__all__ = ["Triggers"]

_DELIVERY: Final = cdk.Duration.hours(24)
"""How long EventBridge and its Scheduler try to invoke the function: their longest, since a late run is a run."""
_DELIVERIES: Final = 185
"""The most attempts that both make in that time, which is their default."""

_FIVE_MINUTES: Final = cdk.Duration.minutes(5)


class Triggers(Construct):
    """The function, and the rules and the schedule that the settings ask for."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        names: Names,
        dataset: Dataset,
        topic: sns.Topic,
        settings: Settings,
        key_arn: str | None,
    ) -> None:
        super().__init__(scope, construct_id)
        chosen = settings.triggers
        self.failed_deliveries: dict[str, cloudwatch.Metric] = {}
        """Metrics of events that did not reach the function, by a name for each."""

        self.function = PythonFunction(
            self,
            "Function",
            name="start_run",
            description="Starts a run for an event, once, and not beside one for the same photos",
            environment={
                "BUCKET": dataset.bucket.bucket_name,
                "DATASET_PREFIX": dataset.prefix,
                "DRIFT_DAYS": str(chosen.drift_days),
                "START_LOCK": contract.start_lock_key(names.prefix),
                "STATE_MACHINE_ARN": names.state_machine_arn,
                "TOPIC_ARN": topic.topic_arn,
            },
            permissions=_permissions(names, dataset, topic, photos=chosen.ready_object),
            timeout=cdk.Duration.minutes(5),
        )
        # what fails for good is told, as Lambda words it
        self.function.tell_failures(self, topic)

        if chosen.ready_object:
            self._rule(
                "Ready",
                name=f"{names.prefix}-ready",
                description=f"The upload of {dataset.uri(_ready_key(dataset))}",
                pattern=events.EventPattern(
                    source=["aws.s3"],
                    detail_type=["Object Created"],
                    detail={"bucket": {"name": [dataset.bucket.bucket_name]}, "object": {"key": [_ready_key(dataset)]}},
                ),
            )
        if chosen.drift:
            self._rule(
                "Drift",
                name=f"{names.prefix}-drift",
                description=f"Photos of {names.prefix} that have drifted",
                pattern=events.EventPattern(
                    source=[contract.EVENT_SOURCE],
                    detail_type=[contract.DRIFT_DETAIL_TYPE],
                    detail={"environment": [settings.env]},
                ),
            )
        if chosen.schedule is not None:
            self._schedule(names, expression=chosen.schedule, time_zone=chosen.time_zone, key_arn=key_arn)

    def _rule(self, construct_id: str, *, name: str, description: str, pattern: events.EventPattern) -> None:
        target = targets.LambdaFunction(self.function.function, max_event_age=_DELIVERY, retry_attempts=_DELIVERIES)
        events.Rule(
            self, construct_id, rule_name=name, description=description, event_pattern=pattern, targets=[target]
        )
        # after the last attempt ("EventBridge metrics")
        self._watch(construct_id.lower(), "AWS/Events", "FailedInvocations", {"RuleName": name})

    def _schedule(self, names: Names, *, expression: str, time_zone: str, key_arn: str | None) -> None:
        """Make the schedule, in a group of its own: metrics are counted by group, and roles are trusted for one."""
        group = scheduler.CfnScheduleGroup(self, "ScheduleGroup", name=names.prefix)
        role = iam.Role(
            self,
            "ScheduleRole",
            # "Confused deputy prevention in EventBridge Scheduler"
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID, "aws:SourceArn": group.attr_arn}},
            ),
        )
        permissions = [Permission(actions=["lambda:InvokeFunction"], resources=[self.function.arn])]
        if key_arn is not None:
            permissions.append(Permission(actions=["kms:Decrypt"], resources=[key_arn]))
        policy = iam.Policy(self, "SchedulePolicy", statements=[each.statement() for each in permissions], roles=[role])

        # "Adding context attributes": the scheduled time is the same at each attempt, an execution's id is not
        handed_on = {"detail-type": contract.SCHEDULE_DETAIL_TYPE, "time": "<aws.scheduler.scheduled-time>"}
        schedule = scheduler.CfnSchedule(
            self,
            "Schedule",
            name=names.prefix,
            group_name=group.ref,
            description=f"When a run of {names.prefix} is started",
            schedule_expression=expression,
            schedule_expression_timezone=time_zone,
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            kms_key_arn=key_arn,
            target=scheduler.CfnSchedule.TargetProperty(
                arn=self.function.arn,
                role_arn=role.role_arn,
                input=json.dumps(handed_on),
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                    maximum_event_age_in_seconds=_DELIVERY.to_seconds(), maximum_retry_attempts=_DELIVERIES
                ),
            ),
        )
        schedule.node.add_dependency(policy)
        # "Monitoring EventBridge Scheduler with CloudWatch": given up for good
        self._watch("schedule", "AWS/Scheduler", "InvocationDroppedCount", {"ScheduleGroup": names.prefix})

    def _watch(self, name: str, namespace: str, metric: str, dimensions: dict[str, str]) -> None:
        self.failed_deliveries[name] = cloudwatch.Metric(
            namespace=namespace,
            metric_name=metric,
            dimensions_map=dimensions,
            statistic="Sum",
            period=_FIVE_MINUTES,
        )


def _ready_key(dataset: Dataset) -> str:
    return f"{dataset.prefix}{contract.READY_FILE}"


def _permissions(names: Names, dataset: Dataset, topic: sns.Topic, *, photos: bool) -> list[Permission]:
    """Return the permissions to see what goes on, to start a run, and to tell where none is started."""
    changes: dict[str, Any] = {"StringLike": {"s3:prefix": [dataset.prefix]}}
    return [
        Permission(actions=["states:StartExecution", "states:ListExecutions"], resources=[names.state_machine_arn]),
        Permission(actions=["sns:Publish"], resources=[topic.topic_arn]),
        # does the run go on that another event has just started, and which photos does it read?
        Permission(
            actions=["s3:GetObject", "s3:PutObject"], resources=[dataset.arn(contract.start_lock_key(names.prefix))]
        ),
        Permission(actions=["states:DescribeExecution"], resources=[names.executions_arn], reason=Names.EXECUTIONS),
        *(
            # have they changed since?
            [Permission(actions=["s3:ListBucketVersions"], resources=[dataset.bucket.bucket_arn], conditions=changes)]
            if photos
            else []
        ),
    ]
