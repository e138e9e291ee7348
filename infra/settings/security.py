"""The settings of serious accounts: whose key encrypts, and in which network the jobs and the endpoint run."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from infra.settings.section import ONE_OR_MORE, Section

__all__ = ["KEY_ARN", "KEY_PENDING_DAYS", "SecuritySettings"]

KEY_ARN = r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]{1,64}"
"""Pattern of a key's ARN. An alias would not do: a policy's resource has to be the key itself."""

KEY_PENDING_DAYS: Final = 30
"""How long a key's deletion can be taken back, the longest that KMS knows."""

_Subnet = Annotated[str, Field(pattern=r"^subnet-[0-9a-f]{8,17}$")]
_SecurityGroup = Annotated[str, Field(pattern=r"^sg-[0-9a-f]{8,17}$")]


class SecuritySettings(Section):
    """Whose key encrypts what is stored, and in which network the jobs and the endpoint run."""

    kms_key: str = Field(
        default="aws",
        pattern=rf"^(aws|create|{KEY_ARN})$",
        description="Key that encrypts bucket, topic, log groups, functions, images, the jobs' disks and results, and "
        "the endpoint: keys of AWS (aws), a key of the stack's own (create), or the ARN of an existing one. On a "
        "standing stack another key replaces the repository with the image in service: start a run right after the "
        "change.",
    )
    key_at_destroy: Literal["keep", "delete"] = Field(
        default="keep",
        description="What becomes of a key that the stack created when it is destroyed: it is kept, or its deletion is "
        f"scheduled in {KEY_PENDING_DAYS} days, which needs dataset.keep_at_destroy=false, as nobody could read the "
        "photos any more.",
    )
    subnets: Annotated[tuple[_Subnet, ...], ONE_OR_MORE] = Field(
        default=(),
        max_length=16,
        description="Subnets of the VPC that the jobs and a real-time endpoint run in, such as "
        "subnet-0a1b2c3d4e5f60718; empty: SageMaker's own network.",
    )
    security_groups: Annotated[tuple[_SecurityGroup, ...], ONE_OR_MORE] = Field(
        default=(),
        max_length=5,
        description="Security groups of the jobs and the endpoint in that VPC.",
    )
    isolate_training: bool = Field(
        default=False,
        description="Keep the jobs' containers from every network and from the credentials of their role, as a "
        "real-time endpoint's always is. Needs training.wheels, and weights that need no download.",
    )

    @property
    def in_vpc(self) -> bool:
        """Whether the jobs run in a VPC of the account."""
        return bool(self.subnets)

    @property
    def vpc_config(self) -> dict[str, list[str]]:
        """The member `VpcConfig` of a job or a model."""
        return {"Subnets": list(self.subnets), "SecurityGroupIds": list(self.security_groups)}

    @model_validator(mode="after")
    def _a_network_has_both(self) -> SecuritySettings:
        if bool(self.subnets) != bool(self.security_groups):
            missing, given = ("security_groups", "subnets") if self.subnets else ("subnets", "security_groups")
            raise ValueError(
                f"security.{given} is set and security.{missing} is empty: SageMaker takes a VPC by both; set both, or "
                "empty both"
            )
        return self

    @model_validator(mode="after")
    def _only_an_own_key_is_deleted(self) -> SecuritySettings:
        if self.key_at_destroy == "delete" and self.kms_key != "create":
            raise ValueError(
                f"security.key_at_destroy=delete has no effect with security.kms_key={self.kms_key}: the stack deletes "
                "only a key that it created; set security.kms_key=create, or leave security.key_at_destroy out"
            )
        return self
