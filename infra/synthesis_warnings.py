"""What the stack says at synthesis of settings that are allowed and hardly meant."""

from __future__ import annotations

import aws_cdk as cdk

from infra.instances import fine_tuning_rate
from infra.settings import Settings

__all__ = ["add_warnings"]


def add_warnings(stack: cdk.Stack, settings: Settings) -> None:
    """Annotate the stack, so that `cdk synth` and `cdk deploy` print the warnings."""
    warnings = cdk.Annotations.of(stack)

    # a training that would take days
    training, tuning = settings.training, settings.tuning
    rate = fine_tuning_rate(training.instance_type)
    if training.mode == "finetune" and rate is not None:
        photos = 60 * rate * min(tuning.max_minutes / tuning.epochs, training.max_minutes / training.epochs)
        warnings.add_warning_v2(
            "whippet:fine-tuning-without-gpu",
            f"training.mode=finetune on {training.instance_type}, which has no GPU, trains about {rate:g} photos a "
            f"second with a ResNet50 at 224 pixels: more than {photos:.0f} training photos would reach the time "
            "limits tuning.max_minutes or training.max_minutes. Set training.instance_type to a type with a GPU "
            "such as ml.g5.xlarge, or train on features (training.mode=features)",
        )

    # what everybody may do
    if settings.api.auth == "none":
        warnings.add_warning_v2(
            "whippet:open-api",
            "api.auth=none answers everybody who knows the URL, and api.daily_quota, which is a key's, limits "
            f"nobody: up to api.rate={settings.api.rate:g} requests a second are paid for. Set api.auth to api_key "
            "or iam, or lower api.rate",
        )
        if settings.serving.pause_after_hours is not None:
            warnings.add_warning_v2(
                "whippet:open-to-waking",
                "api.auth=none lets everybody who knows the URL wake the endpoint, which then costs its machines' "
                f"price for at least {settings.serving.pause_after_hours} hours (serving.pause_after_hours). Set "
                "api.auth to api_key or iam",
            )
        if settings.api.feedback:
            warnings.add_warning_v2(
                "whippet:open-feedback",
                "api.feedback=true with api.auth=none lets everybody who knows the URL store photos in your "
                f"bucket, up to api.rate={settings.api.rate:g} a second, for "
                f"api.feedback_days={settings.api.feedback_days} days. Set api.auth to api_key, whose "
                "api.daily_quota bounds it, or lower api.rate",
            )

    # a network that the endpoint is not in
    if settings.security.in_vpc and settings.serving.mode == "serverless":
        warnings.add_warning_v2(
            "whippet:endpoint-outside-vpc",
            "security.subnets holds the jobs, and not the endpoint: serving.mode=serverless knows no VPC. Set "
            "serving.mode=realtime for an endpoint in it",
        )

    # a bucket whose events are not the stack's to switch on
    if settings.triggers.ready_object and settings.dataset.bucket is not None:
        warnings.add_warning_v2(
            "whippet:events-of-an-existing-bucket",
            f"triggers.ready_object=true hears of no upload until dataset.bucket={settings.dataset.bucket} sends "
            "its events to EventBridge, which a stack cannot switch on for a bucket that is not its own: do so in "
            "the S3 console (Properties, Amazon EventBridge), or as docs/triggers.md says",
        )

    # drift that nobody looks for
    if settings.triggers.drift and not settings.monitoring.checks_drift:
        warnings.add_warning_v2(
            "whippet:drift-is-not-checked",
            "triggers.drift=true starts no run by itself, since nothing checks for drift: set "
            "monitoring.capture_percent (docs/drift.md), or put the event of docs/triggers.md on the bus by a check of "
            "your own",
        )

    # a question that reaches nobody
    if settings.release.approval == "manual" and settings.notifications.email is None:
        warnings.add_warning_v2(
            "whippet:nobody-is-asked",
            "release.approval=manual asks nobody, since notifications.email is empty: set it, subscribe to the "
            "topic of the output NotificationTopic, or look for runs that wait with `whippet status`; "
            "`whippet approve RUN` answers",
        )
