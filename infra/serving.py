"""The endpoint's container image: built by CodeBuild when the stack is deployed, so that no Docker is needed here."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from infra.names import Names
from infra.python_function import PythonFunction

__all__ = ["ServingImage", "content_tag", "repository_of", "stage_context"]

ROOT = Path(__file__).resolve().parent.parent
_CONTEXT = (
    "contract",
    "inference",
    "training/__init__.py",
    "training/preprocess.py",
    "locks/inference.txt",
)
"""What the Dockerfile copies, by path from the repository's root."""

_IMAGES_KEPT = 10


def stage_context(target: Path) -> None:
    """Copy the build context into `target`, with the paths it has in the repository."""
    for name in _CONTEXT:
        source, copy = ROOT / name, target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copyfile(source, copy)


def content_tag(context: Path) -> str:
    """Tag of the image: a hash of the context's file names and bytes, so that equal contents are built once."""
    digest = hashlib.sha256()
    for path in sorted(context.rglob("*"), key=lambda path: path.relative_to(context).as_posix()):
        if path.is_file():
            digest.update(path.relative_to(context).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def repository_of(image_uri: str) -> str | None:
    """ARN of the ECR repository an image lies in; None for an image of another registry."""
    match = re.fullmatch(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)(?:[:@].+)?", image_uri)
    return f"arn:{cdk.Aws.PARTITION}:ecr:{match[2]}:{match[1]}:repository/{match[3]}" if match else None


_BUILD = {
    "version": "0.2",
    # One command: each is a shell of its own, in which an `exit 0` would skip none of those that follow.
    "phases": {"build": {"commands": ["bash inference/build_image.sh"]}},
}


class ServingImage(Construct):
    """Repository, build project and the custom resource that waits for the build; `uri` is the finished image."""

    def __init__(self, scope: Construct, construct_id: str, *, names: Names) -> None:
        super().__init__(scope, construct_id)
        self.repository = ecr.Repository(
            self,
            "Repository",
            repository_name=names.serving_repository,
            image_scan_on_push=True,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            encryption=ecr.RepositoryEncryption.AES_256,
            removal_policy=cdk.RemovalPolicy.DESTROY,
            empty_on_delete=True,
            lifecycle_rules=[ecr.LifecycleRule(max_image_count=_IMAGES_KEPT)],
        )
        with tempfile.TemporaryDirectory() as folder:
            context = Path(folder)
            stage_context(context)
            tag = content_tag(context)
            source = s3_assets.Asset(self, "Source", path=folder)
        project = self._build_project(source)
        builder = self._build_function(project)
        image = cdk.CustomResource(
            self,
            "Image",
            service_token=builder.arn,
            resource_type="Custom::WhippetServingImage",
            properties={
                "Project": project.project_name,
                "RepositoryUri": self.repository.repository_uri,
                "Tag": tag,
            },
        )
        image.node.add_dependency(project, builder)
        self.uri = image.get_att_string("ImageUri")

    def _build_project(self, source: s3_assets.Asset) -> codebuild.Project:
        log_group = logs.LogGroup(
            self, "BuildLogs", retention=logs.RetentionDays.THREE_MONTHS, removal_policy=cdk.RemovalPolicy.DESTROY
        )
        role = iam.Role(self, "BuildRole", assumed_by=iam.ServicePrincipal("codebuild.amazonaws.com"))
        policy = iam.Policy(
            self,
            "BuildPolicy",
            roles=[role],
            statements=[
                iam.PolicyStatement(
                    actions=["s3:GetObject", "s3:GetObjectVersion"],
                    resources=[f"{source.bucket.bucket_arn}/{source.s3_object_key}"],
                ),
                iam.PolicyStatement(
                    actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                    resources=[log_group.log_group_arn],
                ),
                iam.PolicyStatement(
                    actions=[
                        "ecr:BatchCheckLayerAvailability",
                        "ecr:BatchGetImage",
                        "ecr:CompleteLayerUpload",
                        "ecr:DescribeImages",
                        "ecr:GetDownloadUrlForLayer",
                        "ecr:InitiateLayerUpload",
                        "ecr:PutImage",
                        "ecr:UploadLayerPart",
                    ],
                    resources=[self.repository.repository_arn],
                ),
                # The logins to this account's registry and to the base image's public one have no resources in IAM.
                iam.PolicyStatement(
                    actions=[
                        "ecr:GetAuthorizationToken",
                        "ecr-public:GetAuthorizationToken",
                        "sts:GetServiceBearerToken",
                    ],
                    resources=["*"],
                ),
            ],
        )
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
            logging=codebuild.LoggingOptions(cloud_watch=codebuild.CloudWatchLoggingOptions(log_group=log_group)),
            timeout=cdk.Duration.minutes(13),
            queued_timeout=cdk.Duration.minutes(5),
        )
        project.node.add_dependency(policy)
        return project

    def _build_function(self, project: codebuild.Project) -> PythonFunction:
        return PythonFunction(
            self,
            "Builder",
            name="build_image",
            description="At deploy: builds the serving image and waits for it",
            environment={},
            statements=[
                iam.PolicyStatement(
                    actions=["codebuild:StartBuild", "codebuild:BatchGetBuilds", "codebuild:StopBuild"],
                    resources=[project.project_arn],
                )
            ],
            timeout=cdk.Duration.minutes(15),
        )
