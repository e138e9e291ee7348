"""What watches the environment, as the settings say: alarms, who tells of them, and the dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.alarms import AlarmMessages, Alarms
from infra.dashboard import Dashboard
from infra.dataset import Dataset
from infra.endpoint_alarms import EndpointAlarms, alarm_names
from infra.names import Names
from infra.pause import SleepRecord
from infra.settings import Settings

__all__ = ["Monitoring"]


class Monitoring(Construct):
    """The endpoint's alarms, which rollouts need, those of everything else, and the dashboard.

    `background` are the functions that nobody waits for: what a run calls, the run itself tells of.
    `failed_deliveries` are the metrics of events that did not reach the function that starts runs.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        names: Names,
        dataset: Dataset,
        settings: Settings,
        record: SleepRecord,
        api_function: lambda_.IFunction,
        background: Sequence[lambda_.IFunction],
        state_machine: sfn.IStateMachine,
        topic: sns.ITopic,
        failed_deliveries: Mapping[str, cloudwatch.IMetric],
    ) -> None:
        super().__init__(scope, construct_id)
        alarms: list[cloudwatch.IAlarm] = []
        if alarm_names(settings, names):
            alarms += EndpointAlarms(self, "EndpointAlarms", names=names, settings=settings.release).alarms.values()

        # whoever is told of the endpoint's alarms is told of all
        if alarms or settings.monitoring.alarms:
            messages = AlarmMessages(self, "AlarmMessages", names=names, topic=topic)
            background = [messages.function.function, *background]
        if settings.monitoring.alarms:
            made = Alarms(
                self,
                "Alarms",
                names=names,
                settings=settings.monitoring,
                api_function=api_function,
                background=background,
                state_machine=state_machine,
                failed_deliveries=failed_deliveries,
            )
            alarms += made.alarms.values()

        if settings.monitoring.dashboard:
            Dashboard(
                self,
                "Dashboard",
                names=names,
                dataset=dataset,
                record=record,
                api_function=api_function,
                state_machine=state_machine,
                alarms=alarms,
                shows_drift=settings.monitoring.checks_drift,
            )
