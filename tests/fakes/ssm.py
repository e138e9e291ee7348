"""SSM with the one parameter that says which model sleeps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from contract import NOTHING_SLEEPS
from tests.fakes.s3 import client_error

__all__ = ["RECORD", "FakeParameter"]

RECORD = "/whippet-dev/sleeping-model"


class FakeParameter:
    """The parameter, None where it was deleted, and the order of what was done with it, in a list of the test's."""

    def __init__(
        self,
        value: str | None = NOTHING_SLEEPS,
        *,
        modified: datetime = datetime(2026, 11, 1, tzinfo=UTC),
        calls: list[str] | None = None,
    ) -> None:
        self.value, self.modified = value, modified
        self.calls = [] if calls is None else calls

    def get_parameter(self, *, Name: str) -> dict[str, Any]:  # noqa: N803
        assert Name == RECORD
        if self.value is None:
            raise client_error("ParameterNotFound", "")
        return {"Parameter": {"Value": self.value, "LastModifiedDate": self.modified}}

    def put_parameter(self, *, Name: str, Value: str, Overwrite: bool) -> None:  # noqa: N803
        assert (Name, Overwrite) == (RECORD, True)
        self.value = Value
        self.calls.append(f"record {Value}")

    def serve(self, monkeypatch: pytest.MonkeyPatch) -> FakeParameter:
        """Let the functions that know the record's name find this parameter."""
        make = boto3.client

        def client(service: str, **options: Any) -> Any:
            return self if service == "ssm" else make(service, **options)  # type: ignore[call-overload]

        monkeypatch.setattr(boto3, "client", client)
        monkeypatch.setenv("SLEEP_RECORD", RECORD)
        return self
