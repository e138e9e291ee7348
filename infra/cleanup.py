"""What surrounds the endpoint outside of a run: its log group, and the clean-up when the stack is destroyed."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.dataset import Dataset
from infra.names import Names
from infra.python_function import PythonFunction

__all__ = ["Cleanup", "EndpointLogs"]


class EndpointLogs(Construct):
    """The endpoint's log group, made here so that it has a retention and goes with the stack."""

    def __init__(self, scope: Construct, construct_id: str, *, names: Names) -> None:
        super().__init__(scope, construct_id)
        logs.LogGroup(
            self,
            "Group",
            log_group_name=names.endpoint_log_group,
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )


class Cleanup(Construct):
    """When the stack is destroyed: what the runs made outside of CloudFormation is stopped and deleted.

    It depends on everything it needs, so CloudFormation calls it before it deletes any of that.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        names: Names,
        dataset: Dataset,
        state_machine_name: str,
    ) -> None:
        super().__init__(scope, construct_id)
        stack = cdk.Stack.of(self)
        state_machine = stack.format_arn(
            service="states",
            resource="stateMachine",
            resource_name=state_machine_name,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        executions = stack.format_arn(
            service="states",
            resource="execution",
            resource_name=f"{state_machine_name}:*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        statements = [
            iam.PolicyStatement(actions=["states:ListExecutions"], resources=[state_machine]),
            iam.PolicyStatement(actions=["states:StopExecution"], resources=[executions]),
            iam.PolicyStatement(
                # Listing has no resources in IAM; the Lambda takes only what carries the prefix.
                actions=[
                    "sagemaker:ListTrainingJobs",
                    "sagemaker:ListHyperParameterTuningJobs",
                    "sagemaker:ListProcessingJobs",
                    "sagemaker:ListEndpointConfigs",
                    "sagemaker:ListModels",
                    "sagemaker:ListModelPackages",
                ],
                resources=["*"],
            ),
            iam.PolicyStatement(
                actions=[
                    "sagemaker:StopTrainingJob",
                    "sagemaker:StopHyperParameterTuningJob",
                    "sagemaker:StopProcessingJob",
                ],
                resources=names.of_runs("training-job", "hyper-parameter-tuning-job", "processing-job"),
            ),
            iam.PolicyStatement(actions=["sagemaker:DeleteModelPackage"], resources=[names.model_package_arns]),
            iam.PolicyStatement(
                actions=["sagemaker:DeleteEndpointConfig", "sagemaker:DeleteModel"],
                resources=names.of_runs("endpoint-config", "model"),
            ),
            iam.PolicyStatement(
                actions=["sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint"], resources=[names.endpoint_arn]
            ),
        ]
        if dataset.emptied_at_destroy:
            statements += [
                iam.PolicyStatement(actions=["s3:ListBucketVersions"], resources=[dataset.bucket.bucket_arn]),
                iam.PolicyStatement(
                    actions=["s3:DeleteObject", "s3:DeleteObjectVersion"], resources=[dataset.arn("*")]
                ),
            ]
        self.function = PythonFunction(
            self,
            "Function",
            name="cleanup",
            description="At destroy: stops jobs, deletes endpoint, configurations, models, packages",
            environment={},
            statements=statements,
            timeout=cdk.Duration.minutes(15),
        )
        self.resource = cdk.CustomResource(
            self,
            "Resource",
            service_token=self.function.arn,
            resource_type="Custom::WhippetCleanup",
            properties={
                "Prefix": names.prefix,
                "Endpoint": names.endpoint,
                "ModelPackageGroup": names.model_package_group,
                "StateMachineArn": state_machine,
                "EmptyBucket": dataset.bucket.bucket_name if dataset.emptied_at_destroy else "",
            },
        )
        self.resource.node.add_dependency(self.function, dataset)
