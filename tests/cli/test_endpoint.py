"""A deployment that would forget which model sleeps is refused before it begins."""

from __future__ import annotations

from typing import Any

import pytest

from cli import CliError
from cli.endpoint import refuse_to_forget
from infra.outputs import StackOutput
from infra.settings import Settings
from tests.cli.stack import FakeStack
from tests.fakes.ssm import RECORD, FakeParameter
from tests.fakes.waking import SLEPT, WakingSageMaker

PAUSING = Settings.model_validate({"serving": {"pause_after_hours": 12}})
OUTPUTS = {StackOutput.ENDPOINT_NAME: "whippet-dev", StackOutput.SLEEP_RECORD: RECORD}


def deploy(
    status: str | None, *, record: str = SLEPT, settings: Settings | None = None, outputs: Any = OUTPUTS
) -> None:
    stack: Any = FakeStack(sagemaker=WakingSageMaker(status), ssm=FakeParameter(record))
    stack.settings = settings or Settings()
    stack.read_outputs = lambda: outputs
    refuse_to_forget(stack)


@pytest.mark.parametrize("status", [None, "Failed"])
def test_a_model_that_sleeps_is_not_forgotten(status: str | None) -> None:
    with pytest.raises(CliError, match=r"a model sleeps.*wake it with `whippet wake` before"):
        deploy(status)


def test_what_forgets_nothing_is_deployed() -> None:
    deploy(None, settings=PAUSING)
    deploy(None, record="none")
    deploy("InService")
    deploy(None, outputs=None)
    deploy(None, outputs={StackOutput.ENDPOINT_NAME: "whippet-dev"})
