"""The run: its phases in order, and the role that may carry them out."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.function_arns import FunctionArns
from infra.names import Names
from infra.workflow.approval import approval_phase
from infra.workflow.dataset import dataset_phase
from infra.workflow.debugger import debugger_not_offered, debugger_way, managed_rules, way_of
from infra.workflow.features import features_phase
from infra.workflow.jobs import JobParts
from infra.workflow.notify import notify_phase
from infra.workflow.permissions import permissions
from infra.workflow.registry import register_phase
from infra.workflow.release import ReleasePhase
from infra.workflow.report import report_phase
from infra.workflow.retire import retire_phase
from infra.workflow.task import FailureRoute
from infra.workflow.training import ManagedWay, training_phase
from infra.workflow.tuning import no_trial_succeeded, tuning_phase
from infra.workflow.verdict import accepted, verdict_phase

__all__ = ["Workflow"]


class Workflow(Construct):
    """The state machine with its role and log."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        names: Names,
        parts: JobParts,
        functions: FunctionArns,
        serving_image: str,
        endpoint_role_arn: str,
    ) -> None:
        super().__init__(scope, construct_id)
        notify = notify_phase(self, function_arn=functions.notify)
        report = report_phase(self, function_arn=functions.report, following=notify)
        failure = FailureRoute(report)
        release = ReleasePhase(
            self,
            settings=parts.settings.release,
            endpoint=names.endpoint,
            image_uri=serving_image,
            role_arn=endpoint_role_arn,
            tags=parts.tags,
            smoke_test_arn=functions.smoke_test,
            failure=failure,
            following=retire_phase(self, function_arn=functions.retire, following=report),
        )
        register = register_phase(
            self,
            settings=parts.settings.release,
            group=names.model_package_group,
            image_uri=serving_image,
            code_version=parts.code_version,
            failure=failure,
            following=accepted(
                self, failure=failure, following=self._approved(parts, functions, failure, release.start)
            ),
        )
        verdict = verdict_phase(self, function_arn=functions.verdict, failure=failure, following=register)
        train, train_network = self._trainings(parts, failure, verdict)
        no_trial = no_trial_succeeded(self, failure=failure)
        tune, tune_network = (
            tuning_phase(self, parts=parts, failure=failure, finetune=finetune, no_trial=no_trial, following=following)
            for finetune, following in ((False, train), (True, train_network))
        )
        features = features_phase(self, parts=parts, failure=failure, following=tune)
        mode = sfn.Choice(self, "Mode?", comment="Fine-tuning changes the backbone, so its features are of no use.")
        mode.when(sfn.Condition.string_equals("$.plan.hyperparameters.mode", "finetune"), tune_network)
        mode.otherwise(features)
        start, check = dataset_phase(self, parts=parts, function_arn=functions.check_dataset, failure=failure)
        check.next(debugger_way(self, parts=parts)).next(mode)

        log_group = logs.LogGroup(
            self,
            "Logs",
            # Step Functions shortens its log policy by this prefix ("Logging to CloudWatch Logs").
            log_group_name=f"/aws/vendedlogs/states/{names.prefix}",
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        self.state_machine = sfn.StateMachine(
            self,
            "StateMachine",
            state_machine_name=names.prefix,
            definition_body=sfn.DefinitionBody.from_chainable(start),
            comment="From photos to a released model. Start it with {}, or with overrides of the settings.",
            logs=sfn.LogOptions(destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=True),
            tracing_enabled=True,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        for statement in permissions(names, parts, functions, endpoint_role_arn):
            self.state_machine.add_to_role_policy(statement)

    def _approved(
        self, parts: JobParts, functions: FunctionArns, failure: FailureRoute, following: sfn.State
    ) -> sfn.State:
        """What comes before the release of an accepted model: `following` at once, or a person's answer."""
        if functions.ask_approval is None:
            return following
        return approval_phase(
            self,
            function_arn=functions.ask_approval,
            hours=parts.settings.release.approval_hours,
            failure=failure,
            following=following,
        )

    def _trainings(self, parts: JobParts, failure: FailureRoute, verdict: sfn.State) -> list[sfn.State]:
        """Train and TrainNetwork, with what watches them."""
        managed, way = None, way_of(parts.settings.debugger)
        if way in ("auto", "managed"):
            managed = ManagedWay(
                rules=managed_rules(self, parts=parts, failure=failure, following=verdict),
                not_offered=debugger_not_offered(self, failure=failure) if way == "managed" else None,
            )
        return [
            training_phase(self, parts=parts, failure=failure, finetune=finetune, managed=managed, following=verdict)
            for finetune in (False, True)
        ]
