"""InvokeEndpoint: send a request to the model, and return its answer or SageMaker's error."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

import urllib3

from local.sagemaker.context import Context
from local.sagemaker.endpoints.endpoints import Endpoints
from local.sagemaker.endpoints.metrics import Timing, measure
from local.sagemaker.endpoints.shadow import mirror
from local.sagemaker.errors import SageMakerError

__all__ = ["invoke"]

TIMEOUT: Final = 60.0
"""Seconds in which a model must answer (SageMaker hosting quota)."""

_PREFIX: Final = "x-amzn-sagemaker-"
_CUSTOM_ATTRIBUTES: Final = "X-Amzn-SageMaker-Custom-Attributes"


def invoke(
    context: Context, endpoints: Endpoints, name: str, *, headers: Mapping[str, str], body: bytes
) -> tuple[int, dict[str, str], bytes]:
    """Return the status, headers and body of InvokeEndpoint's answer.

    Raises:
        SageMakerError: ValidationError (there is no such endpoint, or the body is too large), ThrottlingException (a
            serverless endpoint is asked more at once than its `MaxConcurrency`) or ModelError (the model answered with
            an error, too late, or not at all).
    """
    given = {key.lower(): value for key, value in headers.items()}

    # send the request to the model
    forwarded = {
        "Content-Type": given.get("content-type", "application/octet-stream"),
        "Accept": given.get("accept", "*/*"),
        **{key: value for key, value in given.items() if key.startswith(_PREFIX)},
    }
    began = time.perf_counter()
    timing = Timing()
    fleet, instance = endpoints.enter(name, given.get("x-amzn-sagemaker-target-variant"))
    status = 400  # a body that is too large
    try:
        instance.check_size(body)
        status = 500  # no answer
        mirror(context, fleet, endpoint=name, body=body, headers=forwarded)
        asked = time.perf_counter()
        answer = instance.request(body, forwarded, timeout=TIMEOUT)
        content = answer.data
        timing.model = time.perf_counter() - asked
        status = answer.status
    except urllib3.exceptions.TimeoutError:
        raise _model_error(
            context,
            name,
            0,
            "Your invocation timed out while waiting for a response from container primary. Review the latency metrics "
            "for each container in Amazon CloudWatch, resolve the issue, and try again.",
        ) from None
    except urllib3.exceptions.HTTPError as error:
        raise _model_error(context, name, 500, f"The container primary did not answer: {error}") from error
    finally:
        instance.leave()
        timing.whole = time.perf_counter() - began
        measure(
            context,
            endpoint=name,
            config=fleet.config_name,
            instance=instance,
            status=status,
            timing=timing,
        )

    # pass its answer on
    if answer.status >= 300:
        raise _model_error(context, name, answer.status, content.decode("utf-8", "replace"))
    if instance.capture is not None:
        instance.capture.take(headers=given, body=body, answer_headers=answer.headers, answer=content)
    result = {
        "Content-Type": answer.headers.get("Content-Type", "application/octet-stream"),
        "x-Amzn-Invoked-Production-Variant": instance.variant["VariantName"],
    }
    if _CUSTOM_ATTRIBUTES in answer.headers:
        result[_CUSTOM_ATTRIBUTES] = answer.headers[_CUSTOM_ATTRIBUTES]
    return 200, result, content


def _model_error(context: Context, name: str, status: int, message: str) -> SageMakerError:
    region, account = context.host.region, context.host.account_id
    kind = "client" if 400 <= status < 500 else "server"
    group = f"/aws/sagemaker/Endpoints/{name}"
    return SageMakerError(
        "ModelError",
        f'Received {kind} error ({status}) from primary with message "{message}". See https://{region}.console.aws.'
        f"amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group} in account {account} for more "
        "information.",
        424,
        members={
            "OriginalStatusCode": status,
            "OriginalMessage": message,
            "LogStreamArn": f"arn:aws:logs:{region}:{account}:log-group:{group}",
        },
    )
