"""Names of the stack's outputs: the template writes them, the `whippet` command reads them."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["StackOutput"]


class StackOutput(StrEnum):
    """Logical id of each output."""

    DATA_BUCKET = "DataBucket"
    DATASET_URI = "DatasetUri"
    """`s3://…/` under which the class folders go."""
    STATE_MACHINE_ARN = "StateMachineArn"
    STATE_MACHINE_CONSOLE = "StateMachineConsole"
    ENDPOINT_NAME = "EndpointName"
    API_URL = "ApiUrl"
    """Base URL with a slash at its end: `<ApiUrl>classify`."""
    API_KEY_ID = "ApiKeyId"
    API_KEY_COMMAND = "ApiKeyCommand"
    """The AWS CLI command that prints the key's value."""
