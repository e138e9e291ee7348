from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from retire import handler as retire

import contract
from tests.fakes.lambda_context import Context
from tests.fakes.s3 import FakeS3, client_error
from tests.fakes.ssm import FakeParameter

AGES = {"whippet-dev-older": 1, "whippet-dev-previous": 2, "whippet-dev-waiting": 3, "whippet-dev-current": 4}
EVENT = {"current": "whippet-dev-current", "previous": "whippet-dev-previous"}


@pytest.fixture(autouse=True)
def records(monkeypatch: pytest.MonkeyPatch) -> FakeS3:
    """The bucket with the records of releases; there are none."""
    bucket = FakeS3()
    monkeypatch.setattr(retire, "s3", bucket)
    return bucket


def tell(records: FakeS3, *changes: tuple[contract.ChangeKind, str, str]) -> None:
    """Record changes of the model in service: what happened, which run served from then on, and which before."""
    for number, (kind, run, replaced) in enumerate(changes):
        change = contract.ReleaseChange(datetime(2026, 1, 1, number, tzinfo=UTC), kind, run, replaced)
        records.put_object(Bucket="data", Key=change.key, Body=b"{}")


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


RELEASED: tuple[tuple[contract.ChangeKind, str, str], ...] = (
    ("released", "older", ""),
    ("released", "previous", "older"),
    ("released", "waiting", "previous"),
    ("released", "current", "waiting"),
)


@pytest.mark.parametrize(("kept", "deleted"), [(1, {"older", "previous"}), (2, {"older"}), (3, set()), (20, set())])
def test_the_last_releases_are_kept(
    monkeypatch: pytest.MonkeyPatch, context: Context, records: FakeS3, kept: int, deleted: set[str]
) -> None:
    fake = FakeSageMaker()
    monkeypatch.setattr(retire, "sagemaker", fake)
    monkeypatch.setenv("RELEASES_KEPT", str(kept))
    tell(records, *RELEASED)
    answer = retire.handler(EVENT | {"previous": "whippet-dev-waiting"}, context)  # type: ignore[arg-type]
    assert set(answer["configs"]) == set(answer["models"]) == {f"whippet-dev-{name}" for name in deleted}


def test_what_was_rolled_back_or_failed_its_smoke_test_is_no_release_to_fall_back_to(
    monkeypatch: pytest.MonkeyPatch, context: Context, records: FakeS3
) -> None:
    """`older` is needed: the two between it and the current one were bad."""
    fake = FakeSageMaker()
    monkeypatch.setattr(retire, "sagemaker", fake)
    tell(
        records,
        ("released", "older", ""),
        ("released", "previous", "older"),
        ("rolled-back", "older", "previous"),
        ("released", "waiting", "older"),
        ("failed", "older", "waiting"),
        ("released", "current", "older"),
    )
    retire.handler(EVENT | {"previous": "whippet-dev-older"}, context)  # type: ignore[arg-type]
    assert fake.deleted == []


def test_without_a_record_of_the_current_release_the_ones_before_are_kept(
    monkeypatch: pytest.MonkeyPatch, context: Context, records: FakeS3
) -> None:
    fake = FakeSageMaker()
    monkeypatch.setattr(retire, "sagemaker", fake)
    tell(records, *RELEASED[:3])
    retire.handler(EVENT | {"previous": "whippet-dev-waiting"}, context)  # type: ignore[arg-type]
    assert fake.deleted == [
        f"{kind} whippet-dev-{name}" for kind in ("config", "model") for name in ("older", "previous")
    ]


def test_a_kept_release_that_somebody_deleted_keeps_nothing_older(
    monkeypatch: pytest.MonkeyPatch, context: Context, records: FakeS3
) -> None:
    fake = FakeSageMaker()
    monkeypatch.setattr(retire, "sagemaker", fake)
    tell(records, ("released", "deleted", ""), ("released", "current", "deleted"))
    answer = retire.handler(EVENT | {"previous": "whippet-dev-deleted"}, context)  # type: ignore[arg-type]
    assert answer == {"configs": [], "models": []}
