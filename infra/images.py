"""The images that AWS provides for jobs: their tags, and the registry that holds them in each region."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import region_info
from constructs import Construct

from infra.instances import gpus

__all__ = ["TRAINING_REPOSITORY", "DebuggerImage", "TrainingImage", "training_tag"]

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
"""Registry accounts of the AWS Deep Learning Containers that CDK's region facts lack.

The containers' own list of regions ("Available images") names neither GovCloud, whose accounts here are those of the
SageMaker Python SDK, nor the European Sovereign Cloud and us-isof, whose accounts are in the CDK's facts. They stay: a
region that turns out to have no such tag fails in the first job of a run, when the image is pulled.
"""

_DEBUGGER_REPOSITORY = "sagemaker-debugger-rules"
_DEBUGGER_TAG = "latest"

_DEBUGGER_ACCOUNTS = {
    "af-south-1": "314341159256",
    "ap-east-1": "199566480951",
    "ap-northeast-1": "430734990657",
    "ap-northeast-2": "578805364391",
    "ap-northeast-3": "364406365360",
    "ap-south-1": "904829902805",
    "ap-southeast-1": "972752614525",
    "ap-southeast-2": "184798709955",
    "ca-central-1": "519511493484",
    "cn-north-1": "618459771430",
    "cn-northwest-1": "658757709296",
    "eu-central-1": "482524230118",
    "eu-north-1": "314864569078",
    "eu-south-1": "563282790590",
    "eu-west-1": "929884845733",
    "eu-west-2": "250201462417",
    "eu-west-3": "447278800020",
    "me-south-1": "986000313247",
    "sa-east-1": "818342061345",
    "us-east-1": "503895931360",
    "us-east-2": "915447279597",
    "us-gov-west-1": "515509971035",
    "us-west-1": "685455198987",
    "us-west-2": "895741380848",
}
"""Registry accounts of the rules' image ("Amazon ECR URLs for Debugger built-in rule evaluators")."""


def training_tag(instance_type: str) -> str:
    """Return the tag for an instance type: the one with CUDA where it has GPUs."""
    return GPU_TAG if gpus(instance_type) else CPU_TAG


class TrainingImage(Construct):
    """URIs of the training image in the region that the stack is deployed to.

    The region is not known at synthesis, so the account comes from a mapping that CloudFormation looks up. In a region
    without the image the deployment fails at once, with "Unable to get mapping for TrainingImageAccounts".
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
        """Return the URI of the image for jobs on this instance type."""
        return f"{_registry(self._account)}/{TRAINING_REPOSITORY}:{training_tag(instance_type)}"

    @property
    def repository_arn(self) -> str:
        """ARN of the image's repository, for the permission to pull it."""
        return f"arn:{cdk.Aws.PARTITION}:ecr:{cdk.Aws.REGION}:{self._account}:repository/{TRAINING_REPOSITORY}"


class DebuggerImage(Construct):
    """The image that evaluates SageMaker Debugger's rules, in the region that the stack is deployed to.

    The region is not known at synthesis, so the account and `evaluator` come from a mapping that CloudFormation looks
    up. `evaluator` is `managed` in a region that has the image and `own` in one that lacks it, where the run then
    evaluates the rules itself or fails with DebuggerNotOffered.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        regions = {region.name for region in region_info.RegionInfo.regions} | set(_DEBUGGER_ACCOUNTS)
        mapping = cdk.CfnMapping(
            cdk.Stack.of(self),
            "DebuggerImageAccounts",
            mapping={
                region: {
                    "account": _DEBUGGER_ACCOUNTS.get(region, "000000000000"),
                    "evaluator": "managed" if region in _DEBUGGER_ACCOUNTS else "own",
                }
                for region in sorted(regions)
            },
        )
        account = mapping.find_in_map(cdk.Aws.REGION, "account")
        self.uri = f"{_registry(account)}/{_DEBUGGER_REPOSITORY}:{_DEBUGGER_TAG}"
        self.repository_arn = (
            f"arn:{cdk.Aws.PARTITION}:ecr:{cdk.Aws.REGION}:{account}:repository/{_DEBUGGER_REPOSITORY}"
        )
        self.evaluator = mapping.find_in_map(cdk.Aws.REGION, "evaluator")


def _registry(account: str) -> str:
    return f"{account}.dkr.ecr.{cdk.Aws.REGION}.{cdk.Aws.URL_SUFFIX}"
