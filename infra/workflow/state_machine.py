"""The run: its phases in order, and the role that may carry them out."""

from __future__ import annotations

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.names import Names
from infra.workflow.dataset import dataset_phase
from infra.workflow.features import features_phase
from infra.workflow.jobs import JobParts
from infra.workflow.notify import notify_phase
from infra.workflow.release import ReleasePhase
from infra.workflow.retire import retire_phase
from infra.workflow.task import FailureRoute
from infra.workflow.training import training_phase
from infra.workflow.tuning import no_trial_succeeded, tuning_phase
from infra.workflow.verdict import verdict_phase

__all__ = ["FunctionArns", "Workflow"]


@dataclass(frozen=True, kw_only=True)
class FunctionArns:
    """The Lambda functions of the run."""

    check_dataset: str
    verdict: str
    smoke_test: str
    retire: str
    notify: str

    def all(self) -> list[str]:
        """For the permission to invoke them."""
        return [self.check_dataset, self.verdict, self.smoke_test, self.retire, self.notify]


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
        failure = FailureRoute(notify)
        release = ReleasePhase(
            self,
            settings=parts.settings.release,
            endpoint=names.endpoint,
            image_uri=serving_image,
            role_arn=endpoint_role_arn,
            tags=parts.tags,
            smoke_test_arn=functions.smoke_test,
            failure=failure,
            following=retire_phase(self, function_arn=functions.retire, following=notify),
        )
        verdict = verdict_phase(self, function_arn=functions.verdict, failure=failure)
        no_trial = no_trial_succeeded(self, failure=failure)
        searches = []
        for finetune in (False, True):
            train = training_phase(self, parts=parts, failure=failure, finetune=finetune)
            train.next(verdict)
            searches.append(
                tuning_phase(self, parts=parts, failure=failure, finetune=finetune, no_trial=no_trial, following=train)
            )
        tune, tune_network = searches
        features = features_phase(self, parts=parts, failure=failure, following=tune)
        mode = sfn.Choice(self, "Mode?", comment="Fine-tuning changes the backbone, so its features are of no use.")
        mode.when(sfn.Condition.string_equals("$.plan.hyperparameters.mode", "finetune"), tune_network)
        mode.otherwise(features)
        start, check = dataset_phase(self, parts=parts, function_arn=functions.check_dataset, failure=failure)
        check.next(mode)
        verdict.next(release.start)

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
        for statement in _permissions(names, parts, functions, endpoint_role_arn):
            self.state_machine.add_to_role_policy(statement)


def _permissions(
    names: Names, parts: JobParts, functions: FunctionArns, endpoint_role_arn: str
) -> list[iam.PolicyStatement]:
    endpoint_parts = names.of_runs("model", "endpoint-config")
    jobs = names.of_runs("training-job", "hyper-parameter-tuning-job")
    return [
        iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=functions.all()),
        iam.PolicyStatement(
            actions=[
                "sagemaker:CreateTrainingJob",
                "sagemaker:DescribeTrainingJob",
                "sagemaker:StopTrainingJob",
                "sagemaker:CreateHyperParameterTuningJob",
                "sagemaker:DescribeHyperParameterTuningJob",
                "sagemaker:StopHyperParameterTuningJob",
            ],
            resources=jobs,
        ),
        iam.PolicyStatement(
            actions=["sagemaker:AddTags", "sagemaker:ListTags"],
            resources=[*jobs, *endpoint_parts, names.endpoint_arn],
        ),
        iam.PolicyStatement(
            actions=["sagemaker:CreateModel", "sagemaker:CreateEndpointConfig"], resources=endpoint_parts
        ),
        iam.PolicyStatement(
            actions=["sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"],
            resources=[names.endpoint_arn, *names.of_runs("endpoint-config")],
        ),
        iam.PolicyStatement(
            actions=["sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint"], resources=[names.endpoint_arn]
        ),
        iam.PolicyStatement(
            actions=["iam:PassRole"],
            resources=[parts.role_arn, endpoint_role_arn],
            conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
        iam.PolicyStatement(
            actions=["events:PutTargets", "events:PutRule", "events:DescribeRule"],
            resources=names.step_functions_rules(),
        ),
    ]
