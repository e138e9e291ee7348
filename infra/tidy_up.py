"""What is done after a run that did not reach its own end: it was stopped, ran out of time, or could not tell of it.

Step Functions tells EventBridge of every execution that does not succeed. The function looks at each, and leaves those
alone that have told of their failure themselves, since they have also tidied up themselves.
"""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sns as sns
from constructs import Construct

import contract
from infra.dataset import Dataset
from infra.job_permissions import stop_jobs
from infra.names import Names
from infra.pause import SleepRecord
from infra.permissions import MODEL_VERSIONS, NO_RESOURCES, OBJECTS, RUN_NAMES, Permission
from infra.python_function import PythonFunction
from infra.scaling import Scaling

__all__ = ["TidyUp"]


class TidyUp(Construct):
    """The rule, and the function that it invokes; what fails for good is told to the topic."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        names: Names,
        dataset: Dataset,
        topic: sns.Topic,
        record: SleepRecord,
        scaling: Scaling,
        env: str,
    ) -> None:
        super().__init__(scope, construct_id)

        # what it knows and may do
        self.function = PythonFunction(
            self,
            "Function",
            name="tidy_up",
            description="Ends what a stopped run left, and tells of it",
            environment={
                "BUCKET": dataset.bucket.bucket_name,
                "ENDPOINT_NAME": names.endpoint,
                "ENVIRONMENT": env,
                "NAME_PREFIX": names.prefix,
                "SCALING": scaling.variable,
                "SLEEP_RECORD": record.name,
                "TOPIC_ARN": topic.topic_arn,
            },
            permissions=[
                # how far did the run come?
                Permission(
                    actions=["states:GetExecutionHistory"], resources=[names.executions_arn], reason=Names.EXECUTIONS
                ),
                *stop_jobs(names, "Training", "HyperParameterTuning", "Processing"),
                *_withdraw(names),
                *record.read(),
                *scaling.begin(),
                *_write(names, dataset),
                Permission(actions=["sns:Publish"], resources=[topic.topic_arn]),
            ],
            timeout=cdk.Duration.minutes(15),
        )

        # its attempts have 45 minutes for an endpoint that must come to rest before it can be changed
        self.function.tell_failures(self, topic)

        # when it begins
        self.rule = events.Rule(
            self,
            "Ended",
            description=f"Runs of {names.prefix} that did not succeed",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={
                    "stateMachineArn": [names.state_machine_arn],
                    "status": ["ABORTED", "FAILED", "TIMED_OUT"],
                },
            ),
            targets=[targets.LambdaFunction(self.function.function)],
        )


def _withdraw(names: Names) -> list[Permission]:
    """Return the permissions to bring the endpoint back, and to delete and reject what came of the run's model."""
    return [
        Permission(
            actions=["sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint", "sagemaker:AddTags"],
            resources=[names.endpoint_arn],
        ),
        # both are authorised on the configuration, too
        Permission(
            actions=["sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"],
            resources=[names.endpoint_arn, *names.of_runs("endpoint-config")],
            reason=RUN_NAMES,
        ),
        Permission(
            actions=["sagemaker:DeleteEndpointConfig", "sagemaker:DeleteModel"],
            resources=names.of_runs("endpoint-config", "model"),
            reason=RUN_NAMES,
        ),
        Permission(actions=["sagemaker:ListModelPackages"], resources=["*"], reason=NO_RESOURCES),
        Permission(
            actions=["sagemaker:UpdateModelPackage"], resources=[names.model_package_arns], reason=MODEL_VERSIONS
        ),
    ]


def _write(names: Names, dataset: Dataset) -> list[Permission]:
    """Return the permissions on the lock, on what was done, and on the record that a model was taken back."""
    tidied, lock = contract.tidied_key("*"), contract.release_lock_key(names.prefix)
    return [
        Permission(actions=["s3:GetObject"], resources=[dataset.arn(key) for key in (tidied, lock)], reason=OBJECTS),
        # the lock lies below the records
        Permission(
            actions=["s3:PutObject"],
            resources=[dataset.arn(tidied), dataset.arn(f"{contract.RELEASES_PREFIX}*")],
            reason=OBJECTS,
        ),
    ]
