"""SNS: a role that publishes to a topic that a customer's KMS key encrypts needs the key, too, as on AWS.

Nothing is encrypted here, and a service that publishes by itself, as CloudWatch does, is not asked. Source: Amazon SNS
developer guide, "Setting up Amazon SNS topic encryption with server-side encryption", permissions of a publisher.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from local.cloud import auth, seam

__all__ = ["apply"]

_ACTIONS: Final = ("kms:GenerateDataKey", "kms:Decrypt")


def apply() -> None:
    """Wrap the calls of ministack's SNS that publish.

    Raises:
        SeamError: ministack's SNS is not the expected one.
    """
    sns, evaluator = seam.module("services.sns"), seam.module("core.iam_evaluator")
    parameter = seam.expect(sns, "_p", "params", "key")
    topic_of = seam.expect(sns, "_topic_by_arn_any_scope", "topic_arn")
    error = seam.expect(sns, "_error", "code", "message", "status")
    caller = seam.expect(evaluator, "caller_arn")
    resolve = seam.expect(seam.module("services.kms"), "_resolve_key", "key_id_or_arn")

    def refusal(topic_arn: str) -> str | None:
        topic = topic_of(topic_arn) or {"attributes": {}}
        key = resolve(topic["attributes"].get("KmsMasterKeyId") or "")
        _, is_role, session = caller().partition(":assumed-role/")
        if not key or not is_role:
            return None
        role, _, name = session.partition("/")
        via = {"kms:viaservice": f"sns.{key['Arn'].split(':')[3]}.amazonaws.com"}
        asked = (auth.role_may(role, action=each, resource=key["Arn"], session=name, context=via) for each in _ACTIONS)
        return next(filter(None, asked), None)

    def guarded(publish: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def publish_with_key(params: Any) -> Any:
            refused = refusal(parameter(params, "TopicArn") or parameter(params, "TargetArn"))
            return publish(params) if refused is None else error("KMSAccessDenied", refused, 400)

        return publish_with_key

    for name in ("_publish", "_publish_batch"):
        setattr(sns, name, guarded(seam.expect(sns, name, "params")))
