"""Lambda: the errors that handlers raise, complete logs, and no packages but those of AWS's runtime."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from local.cloud import seam

__all__ = ["MAX_REQUEST_BYTES", "apply", "stop"]

MAX_REQUEST_BYTES: Final = 6 * 1024 * 1024
"""Lambda quota: the payload of a synchronous invocation, request or response."""

_END_OF_LOG: Final = "\x04end of invocation"
"""The line that the worker writes after an invocation's log."""

_LOG_SECONDS: Final = 0.25
"""Seconds that an invocation waits for the end of its log, which a worker that died does not write."""

_RUNTIME_PACKAGES: Final = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six")
"""Packages that AWS's Python runtime brings along."""

_PROLOGUE: Final = f"""
def _whippet_runtime():
    # The worker runs in ministack's environment. Refuse the packages of that environment that AWS's runtime does not
    # have: the function would fail on AWS if they are missing in its zip.
    import importlib.machinery, sys, sysconfig
    site = sysconfig.get_paths()["purelib"]

    class RuntimePackagesOnly:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if path is not None or name in {_RUNTIME_PACKAGES!r}:
                return None
            spec = importlib.machinery.PathFinder.find_spec(name)
            if spec is not None and spec.origin and spec.origin.startswith(site):
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
            return None

    sys.meta_path.insert(0, RuntimePackagesOnly)

_whippet_runtime()
"""

# a part of ministack's worker, and what replaces it
_RESULT: Final = """            result = handler_fn(event, context)
            _real_stdout.write(json.dumps({"status": "ok", "result": result}) + "\\n")
        except Exception as e:
            _real_stdout.write(json.dumps({"status": "error", "error": str(e), "trace": traceback.format_exc()}) + "\\n")
"""  # noqa: E501

_FAITHFUL_RESULT: Final = f"""            result = handler_fn(event, context)
            try:
                _answer = json.dumps({{"status": "ok", "result": result}})
            except (TypeError, ValueError) as e:
                raise type("Runtime.MarshalError", (Exception,), {{}})(f"Unable to marshal response: {{e}}") from None
        except Exception as e:
            traceback.print_exc()
            _answer = json.dumps({{"status": "ok", "function_error": True, "result": {{
                "errorMessage": str(e), "errorType": type(e).__name__, "requestId": context.aws_request_id,
                "stackTrace": traceback.format_tb(e.__traceback__)}}}})
        print({_END_OF_LOG!r}, file=sys.stderr, flush=True)
        _real_stdout.write(_answer + "\\n")
"""


def apply() -> None:
    """Replace parts of ministack's Python worker and of the code that reads its answers."""
    runtime, service = seam.module("core.lambda_runtime"), seam.module("services.lambda_svc")
    script: str = seam.expect(runtime, "_PYTHON_WORKER_SCRIPT")
    if script.count(_RESULT) != 1:
        raise seam.SeamError(
            f"ministack.core.lambda_runtime._PYTHON_WORKER_SCRIPT answers differently than in ministack {seam.VERSION}"
        )
    runtime._PYTHON_WORKER_SCRIPT = _PROLOGUE + script.replace(_RESULT, _FAITHFUL_RESULT)
    _keep_function_errors(runtime, service)
    _read_whole_logs(runtime)
    _fail_custom_resources_at_once(service)


def stop() -> None:
    """End every worker process."""
    seam.module("core.lambda_runtime").reset()


def _keep_function_errors(runtime: Any, service: Any) -> None:
    """Answer the class of a handler's exception as `errorType`, and keep its environment warm, as AWS does.

    Retry and Catch of Step Functions match that name; ministack answers `Runtime.HandlerError` for every exception.
    """
    invoke = seam.expect(runtime.Worker, "invoke", "self", "event", "request_id")
    execute = seam.expect(service, "_execute_function_warm", "func", "event", "request_id")
    current = threading.local()

    def invoke_worker(self: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        answer: dict[str, Any] = invoke(self, *args, **kwargs)
        current.failed = answer.pop("function_error", False)
        return answer

    def execute_function_warm(func: Any, event: Any, request_id: Any) -> dict[str, Any]:
        current.failed = False
        result: dict[str, Any] = execute(func, event, request_id)
        return {**result, "error": True} if current.failed else result

    runtime.Worker.invoke = invoke_worker
    service._execute_function_warm = execute_function_warm


def _read_whole_logs(runtime: Any) -> None:
    """Read an invocation's log up to the line that ends it; ministack reads until there is none for 50 ms."""
    seam.expect(runtime.Worker, "_drain_stderr_bounded", "self")

    def drain(self: Any, *_: Any, **__: Any) -> str:
        lines: list[str] = []
        deadline = time.monotonic() + _LOG_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            try:
                line: str = self._stderr_queue.get(timeout=left)
            except queue.Empty:
                break
            if line == _END_OF_LOG:
                break
            lines.append(line)
        return "\n".join(lines)

    runtime.Worker._drain_stderr_bounded = drain


def _fail_custom_resources_at_once(service: Any) -> None:
    """Let a custom resource fail with the error that its function raised; on AWS the deployment waits for an hour."""
    custom_resource = seam.module("services.cloudformation.custom_resource")
    deliver = seam.expect(custom_resource, "deliver_response", "token", "response")
    execute = seam.expect(service, "_execute_function_with_config_scope", "func", "event")

    def execute_function(func: Any, event: Any) -> dict[str, Any]:
        result: dict[str, Any] = execute(func, event)
        if _is_custom_resource(event) and result.get("error"):
            body = result.get("body") or {}
            reason = f"{body.get('errorType')}: {body.get('errorMessage')}" if isinstance(body, dict) else str(body)
            token = str(event["ResponseURL"]).rpartition("/")[2]
            reason = f"The function of {event['LogicalResourceId']} failed: {reason}"
            deliver(token, {"Status": "FAILED", "Reason": reason})
        return result

    service._execute_function_with_config_scope = execute_function


def _is_custom_resource(event: Any) -> bool:
    return isinstance(event, Mapping) and "ResponseURL" in event and "StackId" in event and "LogicalResourceId" in event
