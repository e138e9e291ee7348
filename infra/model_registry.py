"""The group of the SageMaker Model Registry in which every judged model is a version."""

from __future__ import annotations

from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra.names import Names

__all__ = ["ModelRegistry"]


class ModelRegistry(Construct):
    """The group; CloudFormation can delete it only once the clean-up has deleted its versions."""

    def __init__(self, scope: Construct, construct_id: str, *, names: Names) -> None:
        super().__init__(scope, construct_id)
        sagemaker.CfnModelPackageGroup(
            self,
            "Group",
            model_package_group_name=names.model_package_group,
            model_package_group_description="The models of the runs, with measures, decision and approval.",
        )
