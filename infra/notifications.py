"""The SNS topic that the result of each run is published to."""

from __future__ import annotations

from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.settings import NotificationSettings

__all__ = ["Notifications"]


class Notifications(Construct):
    """An encrypted topic that takes messages over TLS only; they are mailed to the address in the settings, if any."""

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: NotificationSettings, key: kms.IKey | None
    ) -> None:
        super().__init__(scope, construct_id)
        self.topic = sns.Topic(
            self,
            "Topic",
            enforce_ssl=True,
            master_key=key or kms.Alias.from_alias_name(self, "Key", "alias/aws/sns"),
        )
        if settings.email:
            self.topic.add_subscription(subscriptions.EmailSubscription(settings.email))
