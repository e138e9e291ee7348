"""EventBridge: a function that a rule invokes is invoked again where it fails, as Lambda does it.

ministack has this for the events of other services, and invokes a rule's function once. The further attempts are
`MaximumRetryAttempts`, and what fails for good goes to the destination of failures (Lambda developer guide,
"Asynchronous invocation"). ministack shortens the pauses between them, which take minutes on AWS.
"""

from __future__ import annotations

import json

from local.cloud import seam

__all__ = ["apply"]


def apply() -> None:
    """Invoke the functions of rules asynchronously.

    Raises:
        SeamError: ministack is not the expected one.
    """
    bridge, functions = seam.module("services.eventbridge"), seam.module("services.lambda_svc")
    seam.expect(bridge, "_dispatch_to_lambda", "arn", "payload")
    find = seam.expect(functions, "_get_func_record_for_ref", "function_ref")
    scoped = seam.expect(functions, "_execution_record_for_config", "func", "config")
    invoke = seam.expect(functions, "invoke_async_with_retry", "func", "event")

    def dispatch(arn: str, payload: str) -> None:
        function, config, name = find(arn)
        if not function or not config:
            bridge.logger.warning("EventBridge: the function %s of a rule does not exist", name)
            return
        invoke(scoped(function, config), json.loads(payload))

    bridge._dispatch_to_lambda = dispatch
