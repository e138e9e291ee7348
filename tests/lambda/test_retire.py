from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from retire import handler as retire

from tests.fakes.lambda_context import Context
from tests.fakes.s3 import client_error
from tests.fakes.ssm import FakeParameter

AGES = {"whippet-dev-older": 1, "whippet-dev-previous": 2, "whippet-dev-waiting": 3, "whippet-dev-current": 4}
EVENT = {"current": "whippet-dev-current", "previous": "whippet-dev-previous"}


class FakeSageMaker:
    def __init__(self) -> None:
        self.deleted: list[str] = []

    def get_paginator(self, name: str) -> Any:
        collection, key = {
            "list_endpoint_configs": ("EndpointConfigs", "EndpointConfigName"),
            "list_models": ("Models", "ModelName"),
        }[name]
        # A model is made a moment before its configuration.
        hour = 1 if collection == "Models" else 2
        names = AGES | {"not-whippet-dev-1": 0, "whippet-dev2-1": 0}
        if collection == "Models":
            names |= {"whippet-dev-batch-0123456789ab": 0}
        items = [
            {key: item, "CreationTime": datetime(2026, 1, day + 1, hour, tzinfo=UTC)} for item, day in names.items()
        ]

        class Pages:
            def paginate(self, **_: Any) -> list[dict[str, Any]]:
                return [{collection: items}]

        return Pages()

    def delete_endpoint_config(self, *, EndpointConfigName: str) -> None:  # noqa: N803
        self.deleted.append(f"config {EndpointConfigName}")

    def delete_model(self, *, ModelName: str) -> None:  # noqa: N803
        self.deleted.append(f"model {ModelName}")


def test_only_what_is_older_than_the_previous_release_goes(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    fake = FakeSageMaker()
    monkeypatch.setattr(retire, "sagemaker", fake)
    answer = retire.handler(EVENT, context)  # type: ignore[arg-type]
    assert fake.deleted == ["config whippet-dev-older", "model whippet-dev-older"]
    assert answer == {"configs": ["whippet-dev-older"], "models": ["whippet-dev-older"]}


def test_the_first_release_retires_nothing(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    fake = FakeSageMaker()
    monkeypatch.setattr(retire, "sagemaker", fake)
    retire.handler(EVENT | {"previous": ""}, context)  # type: ignore[arg-type]
    assert fake.deleted == []


def test_what_is_gone_already_is_fine_and_a_refusal_is_not(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    fake = FakeSageMaker()
    monkeypatch.setattr(retire, "sagemaker", fake)

    def raising(error: Exception) -> Any:
        def call(**_: str) -> None:
            raise error

        return call

    monkeypatch.setattr(fake, "delete_model", raising(client_error("ValidationException", "Could not find model")))
    retire.handler(EVENT, context)  # type: ignore[arg-type]
    monkeypatch.setattr(fake, "delete_model", raising(client_error("AccessDeniedException", "not authorized")))
    with pytest.raises(Exception, match="not authorized"):
        retire.handler(EVENT, context)  # type: ignore[arg-type]


def test_a_model_that_slept_is_kept_as_the_previous_one(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    fake = FakeSageMaker()
    monkeypatch.setattr(retire, "sagemaker", fake)
    FakeParameter("whippet-dev-previous").serve(monkeypatch)
    answer = retire.handler(EVENT | {"previous": ""}, context)  # type: ignore[arg-type]
    assert fake.deleted == ["config whippet-dev-older", "model whippet-dev-older"]
    assert answer == {"configs": ["whippet-dev-older"], "models": ["whippet-dev-older"]}
