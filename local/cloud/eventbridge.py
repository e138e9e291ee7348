"""EventBridge: a rule invokes a function where its policy allows it, and again where it fails, as Lambda does it.

ministack has the further attempts for the events of other services, and invokes a rule's function once, asking no
policy. The further attempts are `MaximumRetryAttempts`, and what fails for good goes to the destination of failures
(Lambda developer guide, "Asynchronous invocation"). ministack shortens the pauses between them, which take minutes on
AWS.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from local.cloud import seam

__all__ = ["apply"]


def apply() -> None:
    """Invoke the functions of rules asynchronously, and by their policies.

    Raises:
        SeamError: ministack is not the expected one.
    """
    bridge, functions = seam.module("services.eventbridge"), seam.module("services.lambda_svc")
    invoke_target = seam.expect(bridge, "_invoke_target", "target", "event", "rule")
    seam.expect(bridge, "_dispatch_to_lambda", "arn", "payload")
    find = seam.expect(functions, "_get_func_record_for_ref", "function_ref")
    scoped = seam.expect(functions, "_execution_record_for_config", "func", "config")
    invoke = seam.expect(functions, "invoke_async_with_retry", "func", "event")
    invoking = threading.local()

    def invoke_by_rule(target: Any, event: Any, rule: Mapping[str, Any], *rest: Any) -> Any:
        invoking.rule = rule.get("Arn")
        try:
            return invoke_target(target, event, rule, *rest)
        finally:
            invoking.rule = None

    def dispatch(arn: str, payload: str) -> None:
        function, config, name = find(arn)
        if not function or not config:
            bridge.logger.warning("EventBridge: the function %s of a rule does not exist", name)
            return
        rule = getattr(invoking, "rule", None)
        if rule is not None and not _lets(function["policy"], rule):
            bridge.logger.error("EventBridge: the policy of the function %s does not let %s invoke it", name, rule)
            return
        invoke(scoped(function, config), json.loads(payload))

    bridge._invoke_target = invoke_by_rule
    bridge._dispatch_to_lambda = dispatch


def _lets(policy: Mapping[str, Any], rule: str) -> bool:
    """Return whether a function's policy lets a rule invoke it ("Using resource-based policies for EventBridge")."""
    for statement in policy["Statement"]:
        principal = statement["Principal"]
        named = principal.get("Service") if isinstance(principal, dict) else principal
        patterns = statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn", "*")
        if (
            statement["Effect"] == "Allow"
            and named in ("events.amazonaws.com", "*")
            and statement["Action"] in ("lambda:InvokeFunction", "lambda:*", "*")
            and any(fnmatchcase(rule, each) for each in ([patterns] if isinstance(patterns, str) else patterns))
        ):
            return True
    return False
