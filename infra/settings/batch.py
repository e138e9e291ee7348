"""Settings of photos that are classified many at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infra.settings.section import ONE_OR_MORE, EndpointInstanceType, Section

__all__ = ["BatchSettings"]


_Source = Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/([^*?\s]+/)?$")]


class BatchSettings(Section):
    """Photos that are classified many at once, by `whippet classify FOLDER`."""

    instance_type: EndpointInstanceType = Field(
        default="ml.c5.xlarge", description="Machine that classifies the photos of a folder or of an S3 prefix."
    )
    sources: Annotated[tuple[_Source, ...], ONE_OR_MORE] = Field(
        default=(),
        max_length=20,
        description="Other S3 prefixes whose photos may be classified, as s3://bucket/prefix/, beside the data set's; "
        "empty: none.",
    )
