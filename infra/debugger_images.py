"""The image that evaluates SageMaker Debugger's rules: the registry that holds it in each region."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import region_info
from constructs import Construct

__all__ = ["DebuggerImage"]

_REPOSITORY = "sagemaker-debugger-rules"
_TAG = "latest"

_ACCOUNTS = {
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
"""Debugger's own registries ("Amazon ECR URLs for Debugger built-in rule evaluators")."""


class DebuggerImage(Construct):
    """The image's URI, and whether there is one, in whatever region the stack is deployed to.

    The region is not known at synthesis, so both come from a mapping that CloudFormation looks up. A region without
    the image has the way `own` in it: the run then evaluates the rules by itself, or says that it cannot.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        regions = {region.name for region in region_info.RegionInfo.regions} | set(_ACCOUNTS)
        mapping = cdk.CfnMapping(
            cdk.Stack.of(self),
            "DebuggerImageAccounts",
            mapping={
                region: {
                    "account": _ACCOUNTS.get(region, "000000000000"),
                    "way": "managed" if region in _ACCOUNTS else "own",
                }
                for region in sorted(regions)
            },
        )
        account = mapping.find_in_map(cdk.Aws.REGION, "account")
        registry = f"{account}.dkr.ecr.{cdk.Aws.REGION}.{cdk.Aws.URL_SUFFIX}"
        self.uri = f"{registry}/{_REPOSITORY}:{_TAG}"
        self.way = mapping.find_in_map(cdk.Aws.REGION, "way")
