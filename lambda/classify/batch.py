"""Several images of one request: each is answered, or has a problem of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from contract import Answer, BatchAnswer, BatchItem

from .endpoint_failures import TOO_LONG
from .problems import Problem
from .request_image import ImageRequest, Images

__all__ = ["classify_all"]

_AT_ONCE: Final = 4
"""Images that the endpoint is asked about at once: less than a serverless endpoint takes by default (5)."""


def classify_all(classify: Callable[[ImageRequest], Answer], images: Images, *, seconds: float) -> BatchAnswer:
    """Return an answer or a problem for each image, in their order.

    Args:
        classify: answers one image, or raises Problem.
        images: the images of a request.
        seconds: time for all of them; those that have no answer then have a problem that says so.

    Raises:
        Problem: 422, since what the model cannot do is a fault of the request, whatever the image.
    """
    end = time.monotonic() + seconds
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        asked = [each if isinstance(each, Problem) else pool.submit(classify, each) for each in images.each]
        return {"answers": [_item(each, end) for each in asked]}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _item(asked: Problem | Future[Answer], end: float) -> BatchItem:
    if isinstance(asked, Problem):
        return {"problem": asked.details()}
    try:
        return {"answer": asked.result(timeout=max(0.0, end - time.monotonic()))}
    except TimeoutError:
        return {"problem": TOO_LONG().details()}
    except Problem as problem:
        if problem.status == 422:
            raise
        return {"problem": problem.details()}
