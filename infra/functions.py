"""The Lambda functions of a run, each with exactly what it may do."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

import contract
from infra.dataset import Dataset
from infra.function_arns import FunctionArns
from infra.job_role import read_objects
from infra.names import Names
from infra.python_function import PythonFunction
from infra.settings import Settings

__all__ = ["RunFunctions"]

_REPORT_PACKAGES = ("jinja2", "markupsafe")
_CHARTING_LIBRARY = "node_modules/echarts/dist/echarts.min.js"


class RunFunctions(Construct):
    """CheckDataset, Verdict, AskApproval, SmokeTest, Retire, Report and Notify."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        names: Names,
        dataset: Dataset,
        topic: sns.Topic,
        code_version: str,
    ) -> None:
        super().__init__(scope, construct_id)
        self.settings, self.names, self.dataset = settings, names, dataset
        self._common = {"BUCKET": dataset.bucket.bucket_name, "NAME_PREFIX": names.prefix}
        self.arns = FunctionArns(
            check_dataset=self._check_dataset().arn,
            verdict=self._verdict(code_version).arn,
            ask_approval=self._ask_approval(topic).arn if settings.release.approval == "manual" else None,
            smoke_test=self._smoke_test().arn,
            retire=self._retire().arn,
            report=self._report().arn,
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

    def _verdict(self, code_version: str) -> PythonFunction:
        release, debugger = self.settings.release, self.settings.debugger
        statements = [
            *read_objects(self.dataset, ["runs/*"]),
            iam.PolicyStatement(actions=["s3:PutObject"], resources=[self.dataset.arn("runs/*")]),
            iam.PolicyStatement(actions=["sagemaker:DescribeEndpoint"], resources=[self.names.endpoint_arn]),
        ]
        if debugger.mode in ("auto", "managed"):
            statements.append(
                iam.PolicyStatement(
                    actions=["sagemaker:DescribeTrainingJob"], resources=self.names.of_runs("training-job")
                )
            )
        return PythonFunction(
            self,
            "Verdict",
            name="verdict",
            description="Decides whether the model may go into service",
            environment={
                **self._common,
                "ENDPOINT_NAME": self.names.endpoint,
                "MIN_ACCURACY": str(release.min_accuracy),
                "MIN_CLASS_RECALL": str(release.min_class_recall),
                "TOLERANCE": str(release.tolerance),
                "SIGNIFICANCE": str(release.significance),
                "APPROVAL": release.approval,
                "BLOCKING_RULES": json.dumps(debugger.block),
                "RULES": json.dumps(debugger.evaluated(self.settings.training.mode)),
                "CODE_VERSION": code_version,
            },
            statements=statements,
            # The archive is streamed, the tensors in it are unpacked and passed over.
            timeout=cdk.Duration.minutes(10),
            memory_mib=1769,
        )

    def _ask_approval(self, topic: sns.Topic) -> PythonFunction:
        return PythonFunction(
            self,
            "AskApproval",
            name="ask_approval",
            description="Asks a person whether the model may go into service",
            environment={
                **self._common,
                "TOPIC_ARN": topic.topic_arn,
                "APPROVAL_HOURS": str(self.settings.release.approval_hours),
            },
            statements=[
                iam.PolicyStatement(
                    actions=["s3:PutObject"], resources=[self.dataset.arn(f"runs/*/{contract.Artefact.APPROVAL}")]
                ),
                iam.PolicyStatement(actions=["sns:Publish"], resources=[topic.topic_arn]),
            ],
            timeout=cdk.Duration.minutes(1),
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

    def _report(self) -> PythonFunction:
        dataset, names = self.dataset, self.names
        return PythonFunction(
            self,
            "Report",
            name="report",
            description="Writes the run's report, one page",
            environment=self._common,
            packages=_REPORT_PACKAGES,
            files=[_CHARTING_LIBRARY],
            statements=[
                *read_objects(dataset, ["runs/*"]),
                iam.PolicyStatement(
                    actions=["s3:PutObject"],
                    resources=[
                        dataset.arn(f"runs/*/{page}")
                        for page in (contract.Artefact.REPORT, contract.Artefact.PROFILE_PAGE)
                    ],
                ),
                iam.PolicyStatement(actions=["sagemaker:DescribeTrainingJob"], resources=names.of_runs("training-job")),
                iam.PolicyStatement(
                    actions=[
                        "sagemaker:DescribeHyperParameterTuningJob",
                        "sagemaker:ListTrainingJobsForHyperParameterTuningJob",
                    ],
                    resources=names.of_runs("hyper-parameter-tuning-job"),
                ),
                iam.PolicyStatement(
                    actions=["sagemaker:DescribeProcessingJob"], resources=names.of_runs("processing-job")
                ),
                iam.PolicyStatement(
                    actions=["sagemaker:DescribeEndpointConfig"], resources=names.of_runs("endpoint-config")
                ),
            ],
            timeout=cdk.Duration.minutes(5),
            memory_mib=1024,
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
