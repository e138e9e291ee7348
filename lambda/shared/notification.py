"""Messages to the people who follow the runs, through an SNS topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

__all__ = ["publish"]

_MAX_SUBJECT = 100
"""Longest `Subject` of a message, which must be ASCII (SNS API reference, Publish)."""


def publish(sns: SNSClient, *, topic_arn: str, subject: str, text: str) -> None:
    """Publish a message; a subject that SNS would not take is cut, and its other characters become question marks."""
    plain = subject.encode("ascii", "replace").decode()
    sns.publish(TopicArn=topic_arn, Subject=plain[:_MAX_SUBJECT], Message=text)
