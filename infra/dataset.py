"""The data bucket: the photos, their features, and the results of the runs."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

import contract
from infra.acknowledged import acknowledge
from infra.settings import DatasetSettings

__all__ = ["Dataset"]

FEATURES_DAYS = 90
TENSORS_DAYS = 30
"""Rules are evaluated within hours; whoever wants to look at the tensors oneself has some weeks."""
DRIFT_DAYS = 365
CHECKPOINTS_DAYS = 7
"""A training writes a checkpoint every few minutes while it runs, and waits for spot capacity for a day at most."""


class Dataset(Construct):
    """A bucket that the stack owns, or the existing one that the settings name.

    It is encrypted with S3's managed keys unless the settings name one of KMS. With KMS an object's ETag is not the
    hash of its content (S3 API reference, "Object": ETag), and CheckDataset asks for every photo's checksum to compute
    the split.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: DatasetSettings,
        feedback_days: int,
        capture_days: int,
        upload_origins: Sequence[str] = (),
        sends_events: bool = False,
        key: kms.IKey | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self._sends_events = sends_events
        self.prefix = settings.prefix
        self.owned = settings.bucket is None
        self.readable_prefix = "" if self.owned else settings.prefix
        self.emptied_at_destroy = self.owned and not settings.keep_at_destroy
        self.bucket: s3.IBucket = (
            self._build_bucket(settings, feedback_days, capture_days, upload_origins, key)
            if settings.bucket is None
            else s3.Bucket.from_bucket_name(self, "Bucket", settings.bucket)
        )
        customers = key.key_arn if key else None
        self.key_arn: str | None = settings.bucket_key or customers
        """The KMS key of its objects; None where S3 encrypts them with its own."""

    def uri(self, key: str) -> str:
        """Return the S3 URI of a key."""
        return f"s3://{self.bucket.bucket_name}/{key}"

    def arn(self, key_pattern: str) -> str:
        """Return the ARN pattern of the objects of a key pattern, for a policy's resources."""
        return f"{self.bucket.bucket_arn}/{key_pattern}"

    def _build_bucket(
        self,
        settings: DatasetSettings,
        feedback_days: int,
        capture_days: int,
        upload_origins: Sequence[str],
        key: kms.IKey | None,
    ) -> s3.Bucket:
        keep = settings.keep_at_destroy
        bucket = s3.Bucket(
            self,
            "Bucket",
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            # one request to KMS for many objects, which else cost one each
            bucket_key_enabled=True if key else None,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=True,
            # A first deployment that fails leaves none, since there are no photos in it yet.
            removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if keep else cdk.RemovalPolicy.DESTROY,
            lifecycle_rules=[
                # what was overwritten or deleted can be restored for some days
                s3.LifecycleRule(
                    id="bring-back",
                    noncurrent_version_expiration=cdk.Duration.days(settings.noncurrent_days),
                    expired_object_delete_marker=True,
                ),
                s3.LifecycleRule(id="aborted-uploads", abort_incomplete_multipart_upload_after=cdk.Duration.days(7)),
                # features can be computed again
                s3.LifecycleRule(
                    id="old-features",
                    prefix=contract.FEATURES_PREFIX,
                    expiration=cdk.Duration.days(FEATURES_DAYS),
                ),
                # tensors are needed while the rules are evaluated
                s3.LifecycleRule(
                    id="old-tensors",
                    prefix=contract.TENSORS_PREFIX,
                    expiration=cdk.Duration.days(TENSORS_DAYS),
                    noncurrent_version_expiration=cdk.Duration.days(1),
                ),
                # photos and answers of batches, which the command has fetched
                s3.LifecycleRule(
                    id="old-batches",
                    prefix=contract.BATCHES_PREFIX,
                    expiration=cdk.Duration.days(contract.BATCHES_DAYS),
                    noncurrent_version_expiration=cdk.Duration.days(1),
                ),
                # Photos that callers of the API have uploaded are theirs: a day is the shortest time that S3 knows.
                s3.LifecycleRule(
                    id="old-uploads",
                    prefix=contract.UPLOADS_PREFIX,
                    expiration=cdk.Duration.days(1),
                    noncurrent_version_expiration=cdk.Duration.days(1),
                ),
                # Also where no more feedback is taken: what came before must not stay for ever.
                s3.LifecycleRule(
                    id="old-feedback",
                    prefix=contract.FEEDBACK_PREFIX,
                    expiration=cdk.Duration.days(feedback_days),
                    noncurrent_version_expiration=cdk.Duration.days(1),
                ),
                # Also where nothing is captured any more.
                s3.LifecycleRule(
                    id="old-captures",
                    prefix=contract.CAPTURE_PREFIX,
                    expiration=cdk.Duration.days(capture_days),
                    noncurrent_version_expiration=cdk.Duration.days(1),
                ),
                # shares and histograms, no answers
                s3.LifecycleRule(
                    id="old-drift-checks",
                    prefix=contract.DRIFT_PREFIX,
                    expiration=cdk.Duration.days(DRIFT_DAYS),
                    noncurrent_version_expiration=cdk.Duration.days(1),
                ),
                # A job overwrites and deletes gigabytes an hour, and the bucket keeps them all as versions.
                s3.LifecycleRule(
                    id="old-checkpoints",
                    prefix=contract.CHECKPOINTS_PREFIX,
                    expiration=cdk.Duration.days(CHECKPOINTS_DAYS),
                    noncurrent_version_expiration=cdk.Duration.days(1),
                ),
            ],
        )
        if self._sends_events:
            # CloudFormation's own property: that of the construct would take a function with permissions on any bucket
            resource = bucket.node.default_child
            assert isinstance(resource, s3.CfnBucket)  # noqa: S101 (what a Bucket always has)
            resource.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
                event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(event_bridge_enabled=True)
            )
        if upload_origins:
            # scripts of pages that may call the API may POST its forms, which the function has signed
            bucket.add_cors_rule(
                allowed_methods=[s3.HttpMethods.POST], allowed_origins=[*upload_origins], allowed_headers=["*"]
            )
        acknowledge(
            bucket,
            {
                "AwsSolutions-S1": "A log bucket would outlive the stack and cost more than it tells; CloudTrail data "
                "events record object access where an account wants that.",
            },
        )
        return bucket
