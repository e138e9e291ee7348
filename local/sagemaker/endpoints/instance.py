"""One instance behind an endpoint: the model's files and the `serve` process that answers with them."""

from __future__ import annotations

import logging
import secrets
import shutil
import socket
import threading
import time
from typing import Final

import urllib3

from local.sagemaker.context import Context
from local.sagemaker.endpoints.capture import Capture
from local.sagemaker.errors import JobFailure, SageMakerError
from local.sagemaker.host import find_image
from local.sagemaker.jobs.container import environment, localised, program_of
from local.sagemaker.jobs.logs import LogStream
from local.sagemaker.jobs.mounts import ML_ROOT
from local.sagemaker.jobs.process import Program
from local.sagemaker.store import Record
from local.sagemaker.transfer import Transfer

__all__ = ["Instance"]

_LOGGER = logging.getLogger(__name__)

_STARTUP_TIMEOUT: Final = 240
"""Seconds until a container must answer /ping if ContainerStartupHealthCheckTimeoutInSeconds is not given."""

_STOP_GRACE: Final = 30.0
"""Seconds between SIGTERM and SIGKILL (developer guide, "Use Your Own Inference Code with Hosting Services")."""

_DRAIN_TIMEOUT: Final = 65.0
"""Seconds for requests in flight to end, a bit more than the 60 of an invocation."""

_MAX_BODY: Final = 25 * 1024 * 1024
"""Bytes that a request may have (SageMaker hosting quota)."""

_MAX_RESTART_PAUSE: Final = 30.0
"""The longest pause in seconds before a container that ended is started again."""


class Instance:
    """Serve one production variant from `start` to `retire`, and start its container again if it ends."""

    def __init__(
        self, context: Context, *, endpoint: str, variant: Record, model: Record, capture: Record | None = None
    ) -> None:
        self.variant = variant
        self.count = int(variant.get("InitialInstanceCount", 1))
        """Instances that it stands for: one process, however many are asked for."""
        self.weight = float(variant.get("InitialVariantWeight", 1.0))
        """Its share of the requests beside the other variants'."""
        self._context = context
        self._endpoint = endpoint
        self._role_arn = model["ExecutionRoleArn"]
        self.capture_config = capture
        self.capture = (
            Capture(
                context, capture, endpoint=endpoint, variant=variant["VariantName"], role_arn=model["ExecutionRoleArn"]
            )
            if capture is not None and capture.get("EnableCapture", True)
            else None
        )
        self._container: Record = model.get("PrimaryContainer") or model["Containers"][0]
        self._image = find_image(context.images, self._container["Image"])
        self._id = f"i-{secrets.token_hex(8)}"
        self._base = context.root / "endpoints" / endpoint / f"{variant['VariantName']}-{self._id}"
        self._port = _free_port()
        self._pool = urllib3.HTTPConnectionPool("127.0.0.1", self._port, maxsize=32, retries=False)
        self._idle = threading.Condition()
        self._in_flight = 0
        self._retired = threading.Event()
        self._lock = threading.Lock()
        self._program: Program | None = None
        self._log: LogStream | None = None

    @property
    def image_uri(self) -> str:
        """The URI of the model's image."""
        return str(self._container["Image"])

    @property
    def is_running(self) -> bool:
        """Whether the program runs."""
        with self._lock:
            return self._program is not None and self._program.is_running

    def start(self) -> None:
        """Download the model, start the program and wait until it is healthy.

        Raises:
            JobFailure: the model could not be read, or the program did not answer /ping in time.
            SageMakerError: the image's program does not exist.
        """
        credentials = self._context.credentials(self._role_arn, "SageMaker")
        model = self._base / "model"
        model.mkdir(parents=True)
        self._download_model(credentials)

        # the program's environment, and a log stream of its own
        places = [(ML_ROOT, self._base)]
        own = {key: localised(value, places) for key, value in self._variables().items()}
        self._environment = environment(
            self._image,
            own,
            credentials,
            {"SAGEMAKER_BIND_TO_PORT": str(self._port), "SM_MODEL_DIR": str(model)},
        )
        self._argv = program_of(list(self._image.serve or ()), self._environment)
        group, stream = self._log_place()
        self._log = LogStream(credentials, group=group, stream=stream)

        self._launch()
        self._wait_until_healthy()
        threading.Thread(target=self._keep_alive, name=f"instance {self._id}", daemon=True).start()

    def check_size(self, body: bytes) -> None:
        """Check a request's size.

        Raises:
            SageMakerError: ValidationError, because the body is too large.
        """
        if len(body) > _MAX_BODY:
            raise SageMakerError(
                "ValidationError",
                f"1 validation error detected: Value of {len(body)} bytes at 'body' failed to satisfy constraint: "
                f"Member must have length less than or equal to {_MAX_BODY}",
            )

    def enter(self) -> None:
        """Count a request in flight: `retire` waits for its `leave`."""
        with self._idle:
            self._in_flight += 1

    def leave(self) -> None:
        """Count a request as answered."""
        with self._idle:
            self._in_flight -= 1
            self._idle.notify_all()

    def request(self, body: bytes, headers: dict[str, str], *, timeout: float) -> urllib3.BaseHTTPResponse:
        """Return the model's answer to POST /invocations.

        Raises:
            urllib3.exceptions.TimeoutError: there was no answer within `timeout` seconds.
            urllib3.exceptions.HTTPError: there was no answer for another reason.
        """
        limits = urllib3.Timeout(connect=5, read=timeout)
        ailing = self._context.account.answering(self.variant["ModelName"])
        if ailing is not None:
            time.sleep(ailing.delay_seconds)
            if ailing.status is not None:
                return urllib3.HTTPResponse(b"an error of the account document", status=ailing.status)
        try:
            return self._post(body, headers, limits)
        except urllib3.exceptions.ProtocolError:
            # the server may just have closed a kept-alive connection: try once more unless it is dead
            if not self.is_running:
                raise
            return self._post(body, headers, limits)

    def retire(self, *, drain: bool = True) -> None:
        """End the process, with `drain` after the requests in flight; a second call does nothing."""
        if drain:
            with self._idle:
                self._idle.wait_for(
                    lambda: self._in_flight == 0 or self._context.closing.is_set(), timeout=_DRAIN_TIMEOUT
                )

        self._retired.set()
        with self._lock:
            program = self._program
        if program is not None:
            program.stop(_STOP_GRACE if drain and not self._context.closing.is_set() else 2.0)
        self._pool.close()
        if self.capture is not None:
            self.capture.flush()
        if self._log is not None:
            self._log.close()
        shutil.rmtree(self._base, ignore_errors=True)

    def _variables(self) -> dict[str, str]:
        """Return the container's variables as the user gave them."""
        return dict(self._container.get("Environment", {}))

    def _log_place(self) -> tuple[str, str]:
        """Return the log group and the log stream of the program's lines."""
        return f"/aws/sagemaker/Endpoints/{self._endpoint}", f"{self.variant['VariantName']}/{self._id}"

    def _unhealthy(self) -> str:
        """Return the FailureReason where the program does not answer /ping in time."""
        return (
            f"The primary container for production variant {self.variant['VariantName']} did not pass the ping health "
            "check. Please check CloudWatch logs for this endpoint."
        )

    def _post(self, body: bytes, headers: dict[str, str], limits: urllib3.Timeout) -> urllib3.BaseHTTPResponse:
        return self._pool.request(
            "POST", "/invocations", body=body, headers=headers, timeout=limits, redirect=False, decode_content=False
        )

    def _download_model(self, credentials: dict[str, str]) -> None:
        transfer = Transfer(credentials, role_arn=self._role_arn, cache=self._context.cache)
        folder = self._base / "model"
        source = self._container.get("ModelDataSource", {}).get("S3DataSource")
        if "ModelDataUrl" in self._container:
            transfer.download_archive(self._container["ModelDataUrl"], folder)
        elif source is None:
            return
        elif source["CompressionType"] == "Gzip":
            transfer.download_archive(source["S3Uri"], folder)
        elif source["S3DataType"] == "S3Object":
            transfer.download_object(source["S3Uri"], folder)
        else:
            transfer.download_prefix(source["S3Uri"], folder)

    def _launch(self) -> None:
        log = self._log
        if log is None:
            raise RuntimeError("the instance's log must be opened before its program starts")
        with self._lock:
            if not self._retired.is_set():
                self._program = Program(self._argv, environment=self._environment, folder=self._base, on_line=log.write)

    def _wait_until_healthy(self) -> None:
        seconds = self.variant.get("ContainerStartupHealthCheckTimeoutInSeconds", _STARTUP_TIMEOUT)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._context.closing.is_set() and not self._retired.is_set():
            if not self.is_running:
                break
            if self._is_healthy():
                return
            time.sleep(0.1)
        raise JobFailure(self._unhealthy())

    def _is_healthy(self) -> bool:
        try:
            return self._pool.request("GET", "/ping", timeout=2.0, redirect=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def _keep_alive(self) -> None:
        pause = 0.5
        while not self._retired.is_set():
            program = self._program
            status = program.wait(1.0) if program is not None else 0
            if status is None:
                continue
            if self._retired.is_set() or self._context.closing.is_set():
                return

            # pause twice as long each time
            _LOGGER.warning(
                "endpoint %s: the container ended with status %s and is started again", self._endpoint, status
            )
            if self._retired.wait(pause):
                return
            pause = min(2 * pause, _MAX_RESTART_PAUSE)
            self._launch()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
