"""Serverless variants: their container runs while it is asked, and ends after some minutes without a request."""

from __future__ import annotations

import logging
import threading
from typing import Final

import urllib3

from local import clock
from local.sagemaker.context import Context
from local.sagemaker.endpoints.instance import Instance
from local.sagemaker.errors import JobFailure, SageMakerError, validation
from local.sagemaker.store import Record

__all__ = ["IDLE_SECONDS", "ServerlessInstance", "check_serverless"]

_LOGGER = logging.getLogger(__name__)

IDLE_SECONDS = 300.0
"""Seconds without a request after which the container ends. An assumption: AWS publishes no time."""

_MAX_BODY: Final = 4 * 1024 * 1024
"""Bytes that a request may have (developer guide, "Deploy models with Amazon SageMaker Serverless Inference")."""

_POLL: Final = 0.1
_MEMORY_STEP: Final = 1024
_STOP_GRACE: Final = 30.0


class ServerlessInstance(Instance):
    """Answer with one container, however many requests come at once, up to `MaxConcurrency`.

    The endpoint's creation starts it once, to see whether it can answer.
    """

    def __init__(
        self, context: Context, *, endpoint: str, variant: Record, model: Record, capture: Record | None = None
    ) -> None:
        super().__init__(context, endpoint=endpoint, variant=variant, model=model, capture=capture)
        self._concurrency = int(variant["ServerlessConfig"]["MaxConcurrency"])
        self._starting = threading.Lock()
        self._last = clock.monotonic()

    def check_size(self, body: bytes) -> None:
        """Check a request's size: serverless endpoints take less; see `Instance`."""
        if len(body) > _MAX_BODY:
            raise SageMakerError(
                "ValidationError",
                f"Request has oversize body: {len(body)} bytes, and a serverless endpoint takes {_MAX_BODY}.",
            )

    def enter(self) -> None:
        """Count a request in flight.

        Raises:
            SageMakerError: ThrottlingException, because `MaxConcurrency` requests are in flight.
        """
        with self._idle:
            if self._in_flight >= self._concurrency:
                raise SageMakerError("ThrottlingException", "Rate exceeded")
            self._in_flight += 1

    def leave(self) -> None:
        """Count a request as answered."""
        self._last = clock.monotonic()
        super().leave()

    def request(self, body: bytes, headers: dict[str, str], *, timeout: float) -> urllib3.BaseHTTPResponse:
        """Start the container if it does not run, and return its answer to POST /invocations; see `Instance`."""
        with self._starting:
            if not self.is_running:
                self._context.start_up("serverless_first_answer")
                try:
                    self._launch()
                    self._wait_until_healthy()
                except JobFailure as failure:
                    self._end_program()
                    raise urllib3.exceptions.HTTPError(str(failure)) from failure
        return super().request(body, headers, timeout=timeout)

    def _keep_alive(self) -> None:
        """End the container when it was idle for long enough; it is not started again until it is asked."""
        while not self._retired.wait(_POLL) and not self._context.closing.is_set():
            with self._starting:
                with self._idle:
                    is_idle = self._in_flight == 0 and clock.monotonic() - self._last >= IDLE_SECONDS
                if is_idle and self.is_running:
                    self._end_program()

    def _end_program(self) -> None:
        with self._lock:
            program = self._program
        if program is not None and program.is_running:
            _LOGGER.info("endpoint %s: the serverless container ends", self._endpoint)
            program.stop(_STOP_GRACE)


def check_serverless(variants: list[Record]) -> None:
    """Check the variants of a configuration that has a serverless one.

    Raises:
        SageMakerError: there is more than one variant, or it has what serverless variants do not have.
    """
    if len(variants) > 1:
        raise validation("Serverless endpoints have one variant.")
    (variant,) = variants
    name, config = variant["VariantName"], variant["ServerlessConfig"]
    for member in ("InstanceType", "InitialInstanceCount", "ContainerStartupHealthCheckTimeoutInSeconds"):
        if member in variant:
            raise validation(f"Variant {name}: {member} cannot be given with ServerlessConfig.")
    if config["MemorySizeInMB"] % _MEMORY_STEP:
        raise validation(
            f"Variant {name}: MemorySizeInMB is {config['MemorySizeInMB']}; expected a multiple of {_MEMORY_STEP}."
        )
    if "ProvisionedConcurrency" in config:
        raise validation("The local SageMaker does not support ProvisionedConcurrency; leave it out.")
