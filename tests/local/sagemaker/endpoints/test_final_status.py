"""Whatever goes wrong, an endpoint comes to a final status (F2): one in progress can be neither updated nor deleted.

The tests do not list what may go wrong. They watch an operation once to see which of the service's functions it calls,
and then do it again and again while another one of them raises an exception.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

import local.sagemaker as sagemaker_package
from local.sagemaker import SageMaker, SageMakerError
from tests.local.sagemaker.conftest import eventually
from tests.local.sagemaker.endpoints.test_endpoints import Deployments

FINAL = ("InService", "Failed")
SERVICE = Path(sagemaker_package.__file__).parent
NOT_STEPS = ("_begin", "run")
"""What catches the exceptions itself."""


class InjectedError(RuntimeError):
    """Raised in the middle of the service."""


@contextmanager
def profiled(seen: Callable[[CodeType], None]) -> Iterator[None]:
    """Call `seen` with each function of the service that this thread or one of an endpoint calls."""

    def profile(frame: FrameType, event: str, _argument: Any) -> None:
        code = frame.f_code
        if (
            event == "call"
            and _is_step(code)
            and threading.current_thread().name.startswith(("MainThread", "endpoint "))
        ):
            seen(code)

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def _is_step(code: CodeType) -> bool:
    """Tell whether a function is the service's, or of the cloud around it; its check of requests changes nothing."""
    if code.co_qualname.startswith("FakeHost."):
        return True
    own = Path(code.co_filename).is_relative_to(SERVICE) and code.co_name not in NOT_STEPS
    return own and Path(code.co_filename).name not in ("schema.py", "service.py", "resources.py")


def steps(operation: Callable[[], Any]) -> list[CodeType]:
    """The functions of the service that the operation calls, in the order of their first calls."""
    found: dict[CodeType, None] = {}
    with profiled(lambda code: found.setdefault(code)):
        operation()
    return list(found)


@contextmanager
def failing(step: CodeType) -> Iterator[None]:
    """Raise an exception in the first call of this function."""
    raised = threading.Event()

    def seen(code: CodeType) -> None:
        if code is step and not raised.is_set():
            raised.set()
            raise InjectedError(code.co_qualname)

    with profiled(seen):
        yield


def attempt(sagemaker: SageMaker, operation: str, **parameters: str) -> None:
    """Call the operation, which may fail."""
    with suppress(SageMakerError, InjectedError):
        sagemaker.call(operation, parameters)


def status(deployments: Deployments, name: str) -> str | None:
    """The endpoint's status; None if it does not exist."""
    try:
        return str(deployments.describe(name)["EndpointStatus"])
    except SageMakerError as error:
        return "not to be seen" if error.code == "InternalFailure" else None


def is_final(deployments: Deployments, name: str) -> bool:
    return status(deployments, name) in (None, *FINAL)


def settle(deployments: Deployments, name: str) -> None:
    eventually(lambda: is_final(deployments, name), seconds=20)


def delete(deployments: Deployments, name: str) -> None:
    deployments.sagemaker.call("DeleteEndpoint", {"EndpointName": name})
    eventually(lambda: deployments.gone(name))


@pytest.fixture
def deployments(sagemaker: SageMaker, s3: Any, bucket: str) -> Deployments:
    found = Deployments(sagemaker, s3, bucket)
    found.config("blue")
    found.config("green")
    return found


def test_an_exception_at_any_step_of_an_update_ends_in_service(deployments: Deployments) -> None:
    deployments.create("blue")
    found = steps(lambda: deployments.update("green"))
    assert {"update", "_update", "announce", "publish", "start", "_download_model", "_serve", "retire"} <= {
        code.co_name for code in found
    }
    for number, step in enumerate(found):
        with failing(step):
            attempt(
                deployments.sagemaker,
                "UpdateEndpoint",
                EndpointName="endpoint",
                EndpointConfigName=("blue", "green")[number % 2],
            )
            settle(deployments, "endpoint")
        endpoint = deployments.describe()
        assert endpoint["EndpointStatus"] == "InService", step
        assert "PendingDeploymentSummary" not in endpoint, step
        assert deployments.invoke()["model"] == endpoint["EndpointConfigName"], step


def records_of(found: list[CodeType]) -> list[CodeType]:
    """Those of the functions that deal with records and threads: the others are tried in an update."""
    return [code for code in found if Path(code.co_filename).name in ("endpoints.py", "store.py", "context.py")]


def test_an_exception_at_any_step_of_a_creation_ends_in_a_final_status(deployments: Deployments) -> None:
    found = steps(lambda: deployments.create("blue", "watched"))
    for number, step in enumerate(records_of(found)):
        name = f"e{number}"
        with failing(step):
            attempt(deployments.sagemaker, "CreateEndpoint", EndpointName=name, EndpointConfigName="blue")
            settle(deployments, name)
        if status(deployments, name) is not None:
            delete(deployments, name)


def test_an_exception_at_any_step_of_a_deletion_ends_it_or_lets_it_be_tried_again(deployments: Deployments) -> None:
    deployments.create("blue", "watched")
    for number, step in enumerate(records_of(steps(lambda: delete(deployments, "watched")))):
        name = f"e{number}"
        deployments.create("blue", name)
        with failing(step):
            attempt(deployments.sagemaker, "DeleteEndpoint", EndpointName=name)
            settle(deployments, name)
        if status(deployments, name) is not None:
            delete(deployments, name)


@pytest.mark.parametrize("operation", ["create", "update", "delete"])
def test_a_thread_that_cannot_start_leaves_nothing_in_progress(
    deployments: Deployments, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    if operation != "create":
        deployments.create("blue")

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    parameters = {"EndpointName": "endpoint", "EndpointConfigName": "blue"}
    if operation == "delete":
        del parameters["EndpointConfigName"]
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(SageMakerError, match="can't start new thread") as error:
            deployments.sagemaker.call(f"{operation.capitalize()}Endpoint", parameters)
    assert error.value.code == "InternalFailure"
    assert is_final(deployments, "endpoint")
