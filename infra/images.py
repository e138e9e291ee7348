"""The AWS training image: its tags, and the registry that holds it in each region."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import region_info
from constructs import Construct

from infra.instances import gpus

__all__ = ["TRAINING_REPOSITORY", "TrainingImage", "training_tag"]

TRAINING_REPOSITORY = "pytorch"
CPU_TAG = "2.13-cpu-amzn2023-sagemaker"
GPU_TAG = "2.13-cu133-amzn2023-sagemaker"

_ACCOUNTS_UNKNOWN_TO_CDK = {
    "af-south-1": "626614931356",
    "ap-northeast-3": "364406365360",
    "ap-southeast-5": "550225433462",
    "ap-southeast-7": "590183813437",
    "ca-west-1": "204538143572",
    "il-central-1": "780543022126",
    "mx-central-1": "637423239942",
    "us-gov-east-1": "446045086412",
    "us-gov-west-1": "442386744353",
}
"""AWS Deep Learning Containers' registry accounts ("Available images") that CDK's region facts lack."""


def training_tag(instance_type: str) -> str:
    """Tag for an instance type: with CUDA where it has GPUs."""
    return GPU_TAG if gpus(instance_type) else CPU_TAG


class TrainingImage(Construct):
    """URIs of the training image in whatever region the stack is deployed to.

    The region is not known at synthesis, so the account comes from a mapping that CloudFormation looks up. A region
    without the image fails the deployment with "Unable to get mapping for TrainingImageAccounts", before it costs.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        accounts = dict(_ACCOUNTS_UNKNOWN_TO_CDK)
        for region in region_info.RegionInfo.regions:
            account = region.dlc_repository_account
            if account:
                accounts[region.name] = account
        mapping = cdk.CfnMapping(
            cdk.Stack.of(self),
            "TrainingImageAccounts",
            mapping={region: {"account": account} for region, account in sorted(accounts.items())},
        )
        self._account = mapping.find_in_map(cdk.Aws.REGION, "account")

    def uri(self, instance_type: str) -> str:
        """The image for jobs on this instance type."""
        registry = f"{self._account}.dkr.ecr.{cdk.Aws.REGION}.{cdk.Aws.URL_SUFFIX}"
        return f"{registry}/{TRAINING_REPOSITORY}:{training_tag(instance_type)}"

    @property
    def repository_arn(self) -> str:
        """For the pull permission of the jobs' role."""
        return f"arn:{cdk.Aws.PARTITION}:ecr:{cdk.Aws.REGION}:{self._account}:repository/{TRAINING_REPOSITORY}"
