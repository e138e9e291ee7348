"""Names of the stack's outputs, which the template writes and the `whippet` command reads."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["StackOutput"]


class StackOutput(StrEnum):
    """The logical id of each output."""

    DATA_BUCKET = "DataBucket"
    DATASET_URI = "DatasetUri"
    """S3 URI that the class folders are put below."""
    STATE_MACHINE_ARN = "StateMachineArn"
    STATE_MACHINE_CONSOLE = "StateMachineConsole"
    ENDPOINT_NAME = "EndpointName"
    BATCH_ROLE_ARN = "BatchRoleArn"
    """The role of the model that classifies the photos of a folder or of an S3 prefix."""
    API_URL = "ApiUrl"
    """Base URL with a slash at its end, as in `<ApiUrl>classify`."""
    NOTIFICATION_TOPIC = "NotificationTopic"
    """The SNS topic of the results of runs and of the questions for approval."""
    KMS_KEY_ARN = "KmsKeyArn"
    """The customer's KMS key (`security.kms_key`); not with AWS's own."""
    API_KEY_ID = "ApiKeyId"
    """Only where the API takes keys (`api.auth`)."""
    API_KEY_COMMAND = "ApiKeyCommand"
    """The AWS CLI command that prints the key's value."""
    DRIFT_FUNCTION = "DriftFunction"
    """The function that checks captured answers; only with `monitoring.capture_percent`."""
    READY_OBJECT = "ReadyObject"
    """S3 URI of the object whose upload starts a run; only with `triggers.ready_object`."""
    SLEEP_RECORD = "SleepRecord"
    """The SSM parameter that says which model sleeps; only with `serving.pause_after_hours`."""
