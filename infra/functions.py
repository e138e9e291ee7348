"""The Lambda functions of a run, each with exactly what it may do."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.dataset import Dataset
from infra.lambdas import PythonFunction
from infra.names import Names
from infra.roles import read_objects
from infra.settings import Settings
from infra.workflow.state_machine import FunctionArns

__all__ = ["RunFunctions"]


class RunFunctions(Construct):
    """CheckDataset, Verdict, SmokeTest, Retire and Notify."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        names: Names,
        dataset: Dataset,
        topic: sns.Topic,
    ) -> None:
        super().__init__(scope, construct_id)
        self.settings, self.names, self.dataset = settings, names, dataset
        self._common = {"BUCKET": dataset.bucket.bucket_name, "NAME_PREFIX": names.prefix}
        self.arns = FunctionArns(
            check_dataset=self._check_dataset().arn,
            verdict=self._verdict().arn,
            smoke_test=self._smoke_test().arn,
            retire=self._retire().arn,
            notify=self._notify(topic).arn,
        )

    def _check_dataset(self) -> PythonFunction:
        dataset = self.dataset
        weights = self.settings.training.weights
        return PythonFunction(
            self,
            "CheckDataset",
            name="check_dataset",
            description="Checks and splits the photos, plans the run",
            environment={
                **self._common,
                "READABLE_PREFIX": dataset.readable_prefix,
                "SETTINGS": json.dumps(
                    self.settings.model_dump(mode="json", include={"dataset", "tuning", "training"}), sort_keys=True
                ),
            },
            statements=[
                iam.PolicyStatement(
                    actions=["s3:ListBucket"],
                    resources=[dataset.bucket.bucket_arn],
                    conditions={"StringLike": {"s3:prefix": [f"{dataset.readable_prefix}*", "features/*"]}},
                ),
                iam.PolicyStatement(
                    actions=["s3:GetObject"],
                    resources=[dataset.arn("features/*"), *([dataset.arn(weights)] if weights else [])],
                ),
                iam.PolicyStatement(actions=["s3:PutObject"], resources=[dataset.arn("runs/*")]),
                *(self._earlier_tuning() if self.settings.tuning.warm_start else []),
            ],
            # 100,000 photos are listed in 100 calls and fit well below this; a whole vCPU starts at 1,769 MiB.
            timeout=cdk.Duration.minutes(15),
            memory_mib=1769,
        )

    def _earlier_tuning(self) -> list[iam.PolicyStatement]:
        return [
            # Listing has no resources in IAM; the Lambda takes only what carries the prefix.
            iam.PolicyStatement(actions=["sagemaker:ListHyperParameterTuningJobs"], resources=["*"]),
            iam.PolicyStatement(
                actions=["sagemaker:DescribeHyperParameterTuningJob"],
                resources=self.names.of_runs("hyper-parameter-tuning-job"),
            ),
        ]

    def _verdict(self) -> PythonFunction:
        release = self.settings.release
        return PythonFunction(
            self,
            "Verdict",
            name="verdict",
            description="Decides whether the model may go into service",
            environment={
                **self._common,
                "ENDPOINT_NAME": self.names.endpoint,
                "MIN_ACCURACY": str(release.min_accuracy),
                "TOLERANCE": str(release.tolerance),
            },
            statements=[
                *read_objects(self.dataset, ["runs/*"]),
                iam.PolicyStatement(actions=["s3:PutObject"], resources=[self.dataset.arn("runs/*")]),
                iam.PolicyStatement(actions=["sagemaker:DescribeEndpoint"], resources=[self.names.endpoint_arn]),
            ],
            timeout=cdk.Duration.minutes(5),
            memory_mib=512,
        )

    def _smoke_test(self) -> PythonFunction:
        dataset = self.dataset
        return PythonFunction(
            self,
            "SmokeTest",
            name="smoke_test",
            description="Asks the new model about a photo it has not seen",
            environment={**self._common, "ENDPOINT_NAME": self.names.endpoint},
            statements=[
                iam.PolicyStatement(
                    actions=["s3:GetObject"],
                    resources=[dataset.arn("runs/*"), dataset.arn(f"{dataset.readable_prefix}*")],
                ),
                iam.PolicyStatement(actions=["sagemaker:InvokeEndpoint"], resources=[self.names.endpoint_arn]),
            ],
            timeout=cdk.Duration.minutes(5),
        )

    def _retire(self) -> PythonFunction:
        return PythonFunction(
            self,
            "Retire",
            name="retire",
            description="Deletes models and configurations that nothing can fall back to any more",
            environment={"NAME_PREFIX": self.names.prefix},
            statements=[
                # Listing has no resources in IAM; the Lambda takes only what carries the prefix.
                iam.PolicyStatement(actions=["sagemaker:ListEndpointConfigs", "sagemaker:ListModels"], resources=["*"]),
                iam.PolicyStatement(
                    actions=["sagemaker:DeleteEndpointConfig", "sagemaker:DeleteModel"],
                    resources=self.names.of_runs("endpoint-config", "model"),
                ),
            ],
            timeout=cdk.Duration.minutes(5),
        )

    def _notify(self, topic: sns.Topic) -> PythonFunction:
        return PythonFunction(
            self,
            "Notify",
            name="notify",
            description="Says how the run ended",
            environment={"TOPIC_ARN": topic.topic_arn},
            statements=[
                iam.PolicyStatement(actions=["sns:Publish"], resources=[topic.topic_arn]),
            ],
            timeout=cdk.Duration.minutes(1),
        )
