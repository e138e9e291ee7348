"""The clean-up at destroy: it stops and deletes what the runs created outside of CloudFormation."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from infra.dataset import Dataset
from infra.job_permissions import stop_jobs
from infra.names import Names
from infra.pause import SleepRecord
from infra.permissions import MODEL_VERSIONS, NO_RESOURCES, OBJECTS, RUN_NAMES, Permission
from infra.python_function import SERVICE_TIMEOUT, PythonFunction
from infra.scaling import Scaling

__all__ = ["Cleanup"]


class Cleanup(Construct):
    """A custom resource whose deletion leaves no execution, job, endpoint, configuration, model or package behind.

    `resource` must depend on everything that the clean-up needs: CloudFormation deletes in the opposite order of the
    dependencies, so it then calls the clean-up before it deletes any of that.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        names: Names,
        dataset: Dataset,
        state_machine_name: str,
        record: SleepRecord,
        scaling: Scaling,
    ) -> None:
        super().__init__(scope, construct_id)
        state_machine = self._states_arn("stateMachine", state_machine_name)
        executions = self._states_arn("execution", f"{state_machine_name}:*")

        self.function = PythonFunction(
            self,
            "Function",
            name="cleanup",
            description="At destroy: stops jobs, deletes endpoint, configurations, models, packages",
            environment={},
            permissions=[
                *_end_executions(state_machine, executions),
                *stop_jobs(names, "Training", "HyperParameterTuning", "Processing", "Transform"),
                *_delete_models(names),
                *record.write(),
                *scaling.end(),
                *(_empty_bucket(dataset) if dataset.emptied_at_destroy else []),
            ],
            timeout=cdk.Duration.minutes(15),
        )

        # CloudFormation calls the function when it deletes this resource.
        self.resource = cdk.CustomResource(
            self,
            "Resource",
            service_token=self.function.arn,
            resource_type="Custom::WhippetCleanup",
            service_timeout=SERVICE_TIMEOUT,
            properties={
                "Prefix": names.prefix,
                "Endpoint": names.endpoint,
                "ModelPackageGroup": names.model_package_group,
                "StateMachineArn": state_machine,
                "EmptyBucket": dataset.bucket.bucket_name if dataset.emptied_at_destroy else "",
                "SleepRecord": record.name,
            },
        )
        self.resource.node.add_dependency(self.function, dataset)

    def _states_arn(self, resource: str, name: str) -> str:
        return cdk.Stack.of(self).format_arn(
            service="states",
            resource=resource,
            resource_name=name,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )


def _end_executions(state_machine: str, executions: str) -> list[Permission]:
    return [
        Permission(actions=["states:ListExecutions"], resources=[state_machine]),
        Permission(
            actions=["states:StopExecution"], resources=[executions], reason="Every running execution is stopped."
        ),
    ]


def _delete_models(names: Names) -> list[Permission]:
    return [
        Permission(
            actions=["sagemaker:ListEndpointConfigs", "sagemaker:ListModels", "sagemaker:ListModelPackages"],
            resources=["*"],
            reason=NO_RESOURCES,
        ),
        Permission(actions=["sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint"], resources=[names.endpoint_arn]),
        Permission(
            actions=["sagemaker:DeleteEndpointConfig", "sagemaker:DeleteModel"],
            resources=names.of_runs("endpoint-config", "model"),
            reason=RUN_NAMES,
        ),
        Permission(
            actions=["sagemaker:DeleteModelPackage"], resources=[names.model_package_arns], reason=MODEL_VERSIONS
        ),
    ]


def _empty_bucket(dataset: Dataset) -> list[Permission]:
    return [
        Permission(actions=["s3:ListBucketVersions"], resources=[dataset.bucket.bucket_arn]),
        Permission(actions=["s3:DeleteObject", "s3:DeleteObjectVersion"], resources=[dataset.arn("*")], reason=OBJECTS),
    ]
