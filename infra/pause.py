"""A real-time endpoint that nobody asks is deleted after some hours; the record says which model then sleeps.

A rule starts the function every quarter of an hour. The endpoint's configuration, its model and the model package
stay, so that CreateEndpoint alone brings the model back (lambda/classify, `whippet wake`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_ssm as ssm
from constructs import Construct

import contract
from infra.names import Names
from infra.permissions import NO_RESOURCES, RUN_NAMES, Permission
from infra.python_function import PythonFunction
from infra.scaling import Scaling
from infra.settings import Settings

__all__ = ["Pause", "SleepRecord"]

_EVERY: Final = cdk.Duration.minutes(15)
"""How often the endpoint is looked at: by so much a pause may come late."""


@dataclass(frozen=True)
class SleepRecord:
    """What functions know of the record, and what they may do with it: nothing where no endpoint is ever paused."""

    names: Names
    hours: int | None
    """The setting `serving.pause_after_hours`."""

    @classmethod
    def of(cls, settings: Settings, names: Names) -> SleepRecord:
        """Return the record of an environment."""
        return cls(names, settings.serving.pause_after_hours)

    @property
    def name(self) -> str:
        """Name of the parameter; empty where nothing ever sleeps."""
        return "" if self.hours is None else self.names.sleep_record

    def read(self) -> list[Permission]:
        """Return the permission to learn which model sleeps."""
        return self._permissions("ssm:GetParameter")

    def write(self) -> list[Permission]:
        """Return the permission to say which model sleeps."""
        return self._permissions("ssm:PutParameter")

    def wake(self) -> list[Permission]:
        """Return the permissions to create the endpoint again as a run created it, with its tags."""
        if self.hours is None:
            return []
        endpoint = self.names.endpoint_arn
        return [
            *self.read(),
            Permission(
                actions=["sagemaker:CreateEndpoint"],
                resources=[endpoint, *self.names.of_runs("endpoint-config")],
                reason=RUN_NAMES,
            ),
            Permission(actions=["sagemaker:AddTags"], resources=[endpoint]),
        ]

    def _permissions(self, action: str) -> list[Permission]:
        if self.hours is None:
            return []
        return [Permission(actions=[action], resources=[self.names.sleep_record_arn])]


class Pause(Construct):
    """The record, and the function that deletes an idle endpoint."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        names: Names,
        record: SleepRecord,
        scaling: Scaling,
        hours: int,
    ) -> None:
        super().__init__(scope, construct_id)

        # An update of the parameter would set it back while a model sleeps: nothing of it depends on a setting.
        ssm.StringParameter(self, "Record", parameter_name=names.sleep_record, string_value=contract.NOTHING_SLEEPS)

        self.function = PythonFunction(
            self,
            "Function",
            name="pause",
            description="Deletes the endpoint when nobody has asked it for hours",
            environment={
                "ENDPOINT_NAME": names.endpoint,
                "SLEEP_RECORD": record.name,
                "STATE_MACHINE_ARN": names.state_machine_arn,
                "PAUSE_AFTER_HOURS": str(hours),
                "SCALING": scaling.variable,
            },
            permissions=[
                Permission(
                    actions=["sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint"], resources=[names.endpoint_arn]
                ),
                # may a run be about to release a model? did anybody ask?
                Permission(actions=["states:ListExecutions"], resources=[names.state_machine_arn]),
                Permission(actions=["cloudwatch:GetMetricStatistics"], resources=["*"], reason=NO_RESOURCES),
                *record.read(),
                *record.write(),
                # it scales no more while it sleeps, and again once it is awake
                *scaling.end(),
                *([Scaling.look(), *scaling.begin()] if scaling.plan else []),
            ],
            timeout=cdk.Duration.minutes(5),
        )
        events.Rule(
            self,
            "Schedule",
            description=f"Looks every {_EVERY.to_minutes()} minutes whether {names.endpoint} is idle",
            schedule=events.Schedule.rate(_EVERY),
            targets=[targets.LambdaFunction(self.function.function)],
        )
