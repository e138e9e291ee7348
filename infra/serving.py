"""What the endpoint is made of: its image, its role, its log group, and the registry of the models."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

import contract
from infra.acknowledged import acknowledge, acknowledge_wildcards
from infra.dataset import Dataset
from infra.job_role import (
    pull_image,
    read_objects,
    sagemaker_role,
    service_of_this_account,
    write_logs_and_metrics,
)
from infra.names import Names
from infra.permissions import NO_RESOURCES, OBJECTS, Permission
from infra.python_function import LOG_RETENTION, SERVICE_TIMEOUT, PythonFunction, make_readable

__all__ = [
    "EndpointLogs",
    "EndpointRole",
    "ModelRegistry",
    "ServingImage",
    "content_tag",
    "repository_of",
    "stage_context",
]

ROOT = Path(__file__).resolve().parent.parent
_CONTEXT = (
    "contract",
    "inference",
    "training/__init__.py",
    "training/colour.py",
    "training/depth.py",
    "training/file_limits.py",
    "training/jpeg_markers.py",
    "training/preprocess.py",
    "training/whole_jpeg.py",
    "locks/inference.txt",
)
"""Files and folders that the Dockerfile copies, by their path from the repository's root."""

_IMAGES_KEPT = cdk.Duration.days(365)
"""How long an image can be pulled after its push. A count would expire the image in service after so many deployments
without a release."""


def stage_context(target: Path) -> None:
    """Copy the build context into `target`, keeping its paths in the repository."""
    for name in _CONTEXT:
        source, copy = ROOT / name, target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copyfile(source, copy)
    make_readable(target)


def content_tag(context: Path) -> str:
    """Return the image's tag, a hash of the context's file names and bytes: equal contents are built once."""
    digest = hashlib.sha256()
    for path in sorted(context.rglob("*"), key=lambda path: path.relative_to(context).as_posix()):
        if path.is_file():
            digest.update(path.relative_to(context).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def repository_of(image_uri: str) -> str | None:
    """Return the ARN of the ECR repository that holds an image, or None for an image of another registry."""
    match = re.fullmatch(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)(?:[:@].+)?", image_uri)
    return f"arn:{cdk.Aws.PARTITION}:ecr:{match[2]}:{match[1]}:repository/{match[3]}" if match else None


_BUILD = {
    "version": "0.2",
    # One command: each is a shell of its own, in which an `exit 0` would skip none of those that follow.
    "phases": {"build": {"commands": ["bash inference/build_image.sh"]}},
}


class ServingImage(Construct):
    """The endpoint's image, built by CodeBuild at deployment, so that the deploying machine needs no Docker.

    A custom resource waits for the build; `uri` is the finished image.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, repository_name: str, key: kms.IKey | None = None
    ) -> None:
        super().__init__(scope, construct_id)
        self._key = key

        # where the images are kept
        self.repository = ecr.Repository(
            self,
            "Repository",
            repository_name=repository_name,
            image_scan_on_push=True,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            encryption=ecr.RepositoryEncryption.KMS if key else ecr.RepositoryEncryption.AES_256,
            encryption_key=key,
            removal_policy=cdk.RemovalPolicy.DESTROY,
            empty_on_delete=True,
            lifecycle_rules=[ecr.LifecycleRule(max_image_age=_IMAGES_KEPT)],
        )

        # what the image is built from, whose content is its tag
        with tempfile.TemporaryDirectory() as folder:
            context = Path(folder)
            stage_context(context)
            tag = content_tag(context)
            source = s3_assets.Asset(self, "Source", path=folder)

        # the build, and who starts it and waits for it
        project = self._build_project(source)
        builder = self._build_function(project)
        image = cdk.CustomResource(
            self,
            "Image",
            service_token=builder.arn,
            resource_type="Custom::WhippetServingImage",
            service_timeout=SERVICE_TIMEOUT,
            properties={
                "Project": project.project_name,
                "RepositoryUri": self.repository.repository_uri,
                "Tag": tag,
            },
        )
        image.node.add_dependency(project, builder)
        self.uri = image.get_att_string("ImageUri")

    def _build_project(self, source: s3_assets.Asset) -> codebuild.Project:
        log_group = logs.LogGroup(self, "BuildLogs", retention=LOG_RETENTION, removal_policy=cdk.RemovalPolicy.DESTROY)
        role = iam.Role(self, "BuildRole", assumed_by=service_of_this_account("codebuild.amazonaws.com"))
        permissions = self._build_permissions(source, log_group)
        statements = [permission.statement() for permission in permissions]
        policy = iam.Policy(self, "BuildPolicy", roles=[role], statements=statements)
        acknowledge_wildcards(policy, permissions)

        project = codebuild.Project(
            self,
            "Project",
            description="Builds the serving image from inference/",
            source=codebuild.Source.s3(bucket=source.bucket, path=source.s3_object_key),
            build_spec=codebuild.BuildSpec.from_object(_BUILD),
            environment=codebuild.BuildEnvironment(
                build_image=codebuild.LinuxBuildImage.AMAZON_LINUX_2023_5,
                compute_type=codebuild.ComputeType.SMALL,
                privileged=True,
            ),
            environment_variables={
                "REPOSITORY": codebuild.BuildEnvironmentVariable(value=self.repository.repository_name),
                "REPOSITORY_URI": codebuild.BuildEnvironmentVariable(value=self.repository.repository_uri),
            },
            role=role.without_policy_updates(),
            # It has no artefacts and no cache, so its role needs no permission on the key.
            encryption_key=self._key,
            logging=codebuild.LoggingOptions(cloud_watch=codebuild.CloudWatchLoggingOptions(log_group=log_group)),
            timeout=cdk.Duration.minutes(13),
            queued_timeout=cdk.Duration.minutes(5),
        )
        # A build must not start before its role's policy is there.
        project.node.add_dependency(policy)
        acknowledge(
            project,
            {"AwsSolutions-CB4": "The build has no artefacts to encrypt; its image is encrypted by the registry."},
        )
        return project

    def _build_permissions(self, source: s3_assets.Asset, log_group: logs.LogGroup) -> list[Permission]:
        return [
            Permission(
                actions=["s3:GetObject", "s3:GetObjectVersion"],
                resources=[f"{source.bucket.bucket_arn}/{source.s3_object_key}"],
            ),
            # of AWS's list for a source in S3 ("Create a CodeBuild service role")
            Permission(actions=["s3:GetBucketAcl", "s3:GetBucketLocation"], resources=[source.bucket.bucket_arn]),
            Permission(actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[log_group.log_group_arn]),
            Permission(
                actions=[
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:BatchGetImage",
                    "ecr:CompleteLayerUpload",
                    "ecr:DescribeImages",
                    "ecr:InitiateLayerUpload",
                    "ecr:PutImage",
                    "ecr:UploadLayerPart",
                ],
                resources=[self.repository.repository_arn],
            ),
            # the logins to this account's registry and to the base image's public one
            Permission(
                actions=[
                    "ecr:GetAuthorizationToken",
                    "ecr-public:GetAuthorizationToken",
                    "sts:GetServiceBearerToken",
                ],
                resources=["*"],
                reason=NO_RESOURCES,
            ),
        ]

    def _build_function(self, project: codebuild.Project) -> PythonFunction:
        return PythonFunction(
            self,
            "Builder",
            name="build_image",
            description="At deploy: builds the serving image and waits for it",
            environment={},
            permissions=[
                Permission(
                    actions=["codebuild:StartBuild", "codebuild:BatchGetBuilds", "codebuild:StopBuild"],
                    resources=[project.project_arn],
                )
            ],
            timeout=cdk.Duration.minutes(15),
        )


class EndpointRole(Construct):
    """Role of the endpoint: it reads the model, pulls its image, writes its log, metrics and, by setting, answers."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        dataset: Dataset,
        names: Names,
        repository_arn: str | None,
        captures: bool = False,
        further: Sequence[Permission] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        permissions = [
            *read_objects(dataset, ["runs/*"]),
            *(_capture(dataset, names) if captures else []),
            *write_logs_and_metrics(
                [names.endpoint_log_group], namespaces=["/aws/sagemaker/Endpoints"], create_groups=False
            ),
            *pull_image(repository_arn),
            *further,
        ]
        self.role = sagemaker_role(self, permissions)


def _capture(dataset: Dataset, names: Names) -> list[Permission]:
    """Return the permission to write captured answers ("Capture data from real-time endpoint")."""
    folder = contract.capture_folder(names.endpoint, names.variant)
    return [Permission(actions=["s3:PutObject"], resources=[dataset.arn(f"{folder}*")], reason=OBJECTS)]


class EndpointLogs(Construct):
    """The endpoint's log group, made by the stack so that it has a retention and is deleted with the stack."""

    def __init__(self, scope: Construct, construct_id: str, *, names: Names) -> None:
        super().__init__(scope, construct_id)
        logs.LogGroup(
            self,
            "Group",
            log_group_name=names.endpoint_log_group,
            retention=LOG_RETENTION,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )


class ModelRegistry(Construct):
    """The model package group of the registry; every model that got a verdict is a version in it.

    CloudFormation can delete the group only after the clean-up has deleted its versions.
    """

    def __init__(self, scope: Construct, construct_id: str, *, names: Names) -> None:
        super().__init__(scope, construct_id)
        sagemaker.CfnModelPackageGroup(
            self,
            "Group",
            model_package_group_name=names.model_package_group,
            model_package_group_description="The models of the runs, with measures, decision and approval.",
        )
