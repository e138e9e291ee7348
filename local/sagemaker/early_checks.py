"""What SageMaker looks up in S3 before it accepts a request: a training job's input, and a model's data.

The messages are AWS's own, from errors in the public issues aws/amazon-sagemaker-examples#2267 and #2489 (input),
aws/amazon-sagemaker-examples#2264 and philschmid/llm-sagemaker-sample#2 (model data). Processing jobs are not checked:
theirs fail once they run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from local.sagemaker.clients import s3_client
from local.sagemaker.context import Context
from local.sagemaker.errors import JobFailure, SageMakerError, validation
from local.sagemaker.transfer import no_objects, split_uri

__all__ = ["check_input_data", "check_model_data"]


def check_input_data(context: Context, channels: Sequence[Mapping[str, Any]], role_arn: str) -> None:
    """Check that there is at least one object under each channel's S3Uri, which the role may list.

    Raises:
        SageMakerError: ValidationException, because there is none or the role may not look.
    """
    if not channels:
        return
    credentials = _credentials(context, role_arn)
    for channel in channels:
        uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
        try:
            found = _is_prefix(credentials, uri)
        except ClientError:
            found = False
        if not found:
            raise validation(no_objects(uri, region=context.host.region, role_arn=role_arn))


def check_model_data(context: Context, container: Mapping[str, Any], role_arn: str) -> None:
    """Check that a container's model data exists and that the role may read it.

    Raises:
        SageMakerError: ValidationException, because it does not or may not.
    """
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    uri = container.get("ModelDataUrl") or (source["S3Uri"] if source else None)
    if uri is None:
        return
    credentials = _credentials(context, role_arn)
    try:
        if source is not None and source["S3DataType"] == "S3Prefix":
            found = _is_prefix(credentials, uri)
        else:
            bucket, key = split_uri(uri)
            found = bool(s3_client(credentials).head_object(Bucket=bucket, Key=key))
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise _no_access(uri, role_arn=role_arn, region=context.host.region) from error
        found = False
    if not found:
        raise validation(f"Could not find model data at {uri}.")


def _is_prefix(credentials: Mapping[str, str], uri: str) -> bool:
    bucket, prefix = split_uri(uri)
    return s3_client(credentials).list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)["KeyCount"] > 0


def _credentials(context: Context, role_arn: str) -> dict[str, str]:
    try:
        return context.credentials(role_arn, "SageMaker")
    except JobFailure as failure:
        raise validation(
            f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal "
            "'sagemaker.amazonaws.com' to assume the role."
        ) from failure


def _no_access(uri: str, *, role_arn: str, region: str) -> SageMakerError:
    return validation(
        f'Could not access model data at {uri}. Please ensure that the role "{role_arn}" exists and that its trust '
        'relationship policy allows the action "sts:AssumeRole" for the service principal "sagemaker.amazonaws.com". '
        f'Also ensure that the role has "s3:GetObject" permissions and that the object is located in {region}. If your '
        "Model uses multiple models or uncompressed models, please ensure that the role has "
        '"s3:ListBucket" permission.'
    )
