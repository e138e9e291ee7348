"""Serve ministack with the changes of this package, on loopback only, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from local import control
from local.cloud import (
    alarms,
    apigateway,
    auth,
    budgets,
    clock,
    cloudformation,
    codebuild,
    condition_keys,
    embedded_metrics,
    eventbridge,
    faults,
    form_uploads,
    images,
    lambda_,
    lambda_workers,
    messages,
    model_package_groups,
    object_keys,
    object_store,
    permission_log,
    sagemaker,
    scheduler,
    seam,
    service_limits,
    service_quotas,
    topic_keys,
)
from local.cloud.autoscaling import service as autoscaling
from local.cloud.gate import Gate, admit_one_administrator
from local.cloud.host import MinistackHost
from local.cloud.stepfunctions import integrations, jsonpaths
from local.control import ACCOUNT_ID, IDENTITY_PATH, LOOPBACK, REGION
from local.sagemaker import DebuggerAccess, SageMaker, StopPolicy
from local.sagemaker.account import Account
from local.state_folder import SERVER_FOLDERS, remove_server_folders

__all__ = ["prepare", "serve"]

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def prepare(*, port: int, state: Path, access_key: str, secret_key: str) -> None:
    """Remove an earlier server's files, and set the environment that ministack reads when it is imported.

    Args:
        port: the port on loopback.
        state: the folder for the server's files.
        access_key: the access key ID of the account's administrator, without which nobody is answered.
        secret_key: the secret access key to it.
    """
    # an empty state folder
    state.mkdir(parents=True, exist_ok=True)
    remove_server_folders(state)
    for name in SERVER_FOLDERS:
        (state / name).mkdir()

    # no profile or key of the user's must reach ministack or a Lambda
    for name in [name for name in os.environ if name.startswith(("AWS_", "MINISTACK_", "LAMBDA_", "LOCALSTACK_"))]:
        del os.environ[name]

    # with PYTHONPATH, a Lambda could import the repository
    os.environ.pop("PYTHONPATH", None)

    os.environ.update(
        AUTH="true",
        GATEWAY_PORT=str(port),
        BIND_HOST=LOOPBACK,
        MINISTACK_HOST="localhost",
        MINISTACK_REGION=REGION,
        MINISTACK_ACCOUNT_ID=ACCOUNT_ID,
        # no listeners beside the port
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        S3_DATA_DIR=str(state / "objects"),
        # keep objects on disk; `SERVER_FOLDERS` are removed at a start all the same
        S3_PERSIST="1",
        STATE_DIR=str(state / "records"),
        TMPDIR=str(state / "tmp"),
        AWS_ACCESS_KEY_ID=access_key,
        AWS_SECRET_ACCESS_KEY=secret_key,
        AWS_EC2_METADATA_DISABLED="true",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        LOG_LEVEL=os.environ.get("LOG_LEVEL", "WARNING"),
    )


def serve(*, port: int, state: Path, workers: int, debugger_access: DebuggerAccess, stopping: StopPolicy) -> None:
    """Serve until SIGTERM or SIGINT, then end every Lambda, job and endpoint.

    Args:
        port: the port on 127.0.0.1.
        state: folder for the server's files.
        workers: how many interpreters may run Lambda functions at once.
        debugger_access: what SageMaker Debugger, which is closed to new customers, does for the account.
        stopping: how training jobs are ended.

    Raises:
        SeamError: ministack is not the expected one.
        DocumentError: the account document of the state folder is wrong.
        OSError: the port is in use.
    """
    seam.check_version()
    known = images.standard_images()
    host = MinistackHost(endpoint_url=f"http://{LOOPBACK}:{port}", debugger_access=debugger_access)
    account = Account(state)
    service = SageMaker(host=host, images=known, root=state / "sagemaker", account=account, stopping=stopping)

    try:
        # change ministack before it serves its first request
        auth.apply()
        condition_keys.apply()
        clock.apply()
        admit_one_administrator()
        scaling = autoscaling.register(service)
        sagemaker.register(service, scaling)
        integrations.apply(service, scaling)
        jsonpaths.apply()
        object_store.apply()
        object_keys.apply()
        topic_keys.apply()
        messages.apply(state)
        form_uploads.apply()
        lambda_.apply()
        lambda_workers.apply(workers)
        eventbridge.apply()
        scheduler.apply()
        cloudformation.apply()
        model_package_groups.apply(service)
        budgets.apply()
        apigateway.apply()
        codebuild.apply(known)
        service_quotas.register(account)
        service_limits.apply(account)
        embedded_metrics.apply()
        alarms.apply()
        permission_log.apply()
        # last, since it wraps what the others have put there
        faults.apply(account, port=port)
        alarms.watch()
        asyncio.run(_serve(service, port=port, state=state))
    finally:
        _end(service, state)


def _end(service: SageMaker, state: Path) -> None:
    """End every process that this one started, and remove its files; a second call does nothing."""
    service.close()
    lambda_.stop()
    remove_server_folders(state)


async def _serve(service: SageMaker, *, port: int, state: Path) -> None:
    application = seam.expect(seam.module("app"), "app", "scope", "receive", "send")
    config = importlib.import_module("hypercorn.config").Config()
    config.bind = [f"{LOOPBACK}:{port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1.0
    config.loglevel = os.environ["LOG_LEVEL"]
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    run = importlib.import_module("hypercorn.asyncio").serve
    try:
        identity = {"pid": os.getpid(), "state": str(state.resolve()), "variables": control.variables()}
        answers = faults.LostAnswers(Gate(_identified(application, identity), port=port))
        await run(answers, config, shutdown_trigger=stopped.wait)
    finally:
        # before the event loop closes, which waits for its threads, and these for Lambdas and endpoints
        _end(service, state)


def _identified(application: Callable[[Scope, Receive, Send], Awaitable[None]], identity: dict[str, Any]) -> Any:
    """Return the ASGI application with an answer for `IDENTITY_PATH` before it."""
    answer = json.dumps(identity).encode()

    async def identified(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == IDENTITY_PATH:
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": answer})
            return
        await application(scope, receive, send)

    return identified
