"""IAM where ministack does not check it: the roles that services act as, and TLS-only policies over loopback.

Sessions of roles that have expired are dropped while other threads begin new ones.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from local.cloud import seam

__all__ = ["apply", "drop_expired", "role_may", "role_name", "role_trusts"]


def apply() -> None:
    """Let requests over loopback count as TLS, and sessions begin at the same time.

    The local cloud speaks plain HTTP, and nothing leaves the machine. Policies that demand `aws:SecureTransport`, as
    those of the data bucket and the CDK's bootstrap bucket do, would deny every call.
    """
    app = seam.module("app")
    pin = seam.expect(app, "pin_request_origin", "source_ip", "secure_transport")

    def pin_request_origin(source_ip: str, secure_transport: bool) -> None:
        pin(source_ip, secure_transport or source_ip.startswith("127.") or source_ip == "::1")

    app.pin_request_origin = pin_request_origin

    # ministack walks over the sessions while another function's start adds one, which then fails
    tokens = seam.module("services.sts")
    sessions = seam.expect(tokens, "_sessions")
    seam.expect(tokens, "_evict_expired_sessions")
    tokens._evict_expired_sessions = lambda: drop_expired(sessions, now=time.time())

    # check what `role_may` and `role_trusts` use of ministack
    evaluator = seam.module("core.iam_evaluator")
    seam.expect(evaluator, "evaluate", "ctx", "policies")
    seam.expect(evaluator, "_resource_policy", "service", "resource_arn")
    seam.expect(
        evaluator, "combine_resource_policy", "identity", "ctx", "policy", "owner_account", "required", "limits"
    )
    seam.expect(evaluator, "_gather_role_policies", "role_name", "account_id")
    seam.expect(evaluator, "_permissions_boundary", "store", "name", "account_id")
    seam.expect(
        evaluator,
        "EvalContext",
        "principal_arn",
        "principal_type",
        "principal_account",
        "action",
        "resource_arn",
        "region",
    )
    seam.expect(seam.module("services.iam"), "_roles")
    seam.expect(seam.module("core.responses"), "get_account_id")
    seam.expect(seam.module("core.responses"), "get_region")


def drop_expired(sessions: dict[str, dict[str, Any]], *, now: float) -> None:
    """Drop the sessions that have expired, whatever other threads add or drop meanwhile."""
    for key, session in sessions.copy().items():
        expiration = session.get("Expiration")
        if isinstance(expiration, int | float) and now > expiration:
            sessions.pop(key, None)


def role_name(role_arn: str) -> str:
    """Return `name` of `arn:aws:iam::123456789012:role/path/name`."""
    return role_arn.rsplit("/", 1)[-1]


def role_may(
    role_arn: str, *, action: str, resource: str, session: str, context: Mapping[str, str] | None = None
) -> str | None:
    """Return None if the role's policies and boundary allow the action on the resource, else AWS's refusal.

    Of a KMS key its own policy counts, too.

    Args:
        role_arn: the role.
        action: such as `sagemaker:CreateModel`.
        resource: ARN of the resource, or `*`.
        session: name of the role's session, for the message.
        context: condition keys in lower case, such as `iam:passedtoservice`. Keys that are set neither here nor by
            ministack count as absent; docs/local-cloud.md lists those that are known.
    """
    evaluator = seam.module("core.iam_evaluator")
    responses = seam.module("core.responses")

    # evaluate the role's policies for a session of the role
    account = responses.get_account_id()
    caller = f"arn:aws:sts::{account}:assumed-role/{role_name(role_arn)}/{session}"
    asked = evaluator.EvalContext(
        principal_arn=caller,
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region=responses.get_region(),
        service_context=dict(context or {}),
    )
    policies = evaluator._gather_role_policies(role_name(role_arn), account)
    limits = evaluator._permissions_boundary(seam.module("services.iam")._roles, role_name(role_arn), account)
    result = evaluator.evaluate(asked, policies, *limits)
    if action.startswith("kms:") and (of_key := evaluator._resource_policy("kms", resource)):
        result = evaluator.combine_resource_policy(result, asked, *of_key, required=True, limits=limits)

    if result.decision == "Allow":
        return None

    why = (
        "with an explicit deny in an identity-based policy"
        if result.decision == "Deny"
        else f"because no identity-based policy allows the {action} action"
    )
    return f"User: {caller} is not authorized to perform: {action} on resource: {resource} {why}"


def role_trusts(role_arn: str, service: str) -> bool:
    """Return whether the role exists and trusts `service` (such as `sagemaker.amazonaws.com`) to assume it."""
    role = seam.module("services.iam")._roles.get(role_name(role_arn))
    if role is None:
        return False
    document = role["AssumeRolePolicyDocument"]
    policy: Any = json.loads(unquote(document)) if isinstance(document, str) else document
    for statement in _listed(policy.get("Statement")):
        principal = statement.get("Principal")
        named = _listed(principal.get("Service")) if isinstance(principal, dict) else _listed(principal)
        actions = _listed(statement.get("Action"))
        if statement.get("Effect") == "Allow" and service in named and {"sts:AssumeRole", "sts:*", "*"} & set(actions):
            return True
    return False


def _listed(value: Any) -> list[Any]:
    """Return an element of a policy, which may be one value or a list, as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
