"""A ministack that is not the expected one stops the start, by name."""

from __future__ import annotations

import importlib.metadata
from types import SimpleNamespace

import pytest

from local.cloud import seam


def invoke(resource: str, data: object) -> None:
    """As a function of ministack."""


OWNER = SimpleNamespace(__name__="ministack.services.x", invoke=invoke, table={})


def test_what_is_as_expected_is_handed_out() -> None:
    assert seam.expect(OWNER, "invoke", "resource", "data") is invoke
    assert seam.expect(OWNER, "table") == {}


def test_a_name_that_is_gone_is_named() -> None:
    with pytest.raises(seam.SeamError, match=r"ministack\.services\.x\.gone does not exist"):
        seam.expect(OWNER, "gone")


def test_a_function_that_takes_something_else_is_named_with_both_signatures() -> None:
    with pytest.raises(seam.SeamError, match=r"takes \(resource, data\), expected \(resource, event\)"):
        seam.expect(OWNER, "invoke", "resource", "event")


def test_a_table_where_a_function_was_is_named() -> None:
    with pytest.raises(seam.SeamError, match=r"table is not callable"):
        seam.expect(OWNER, "table", "resource")


def test_another_version_is_refused_with_both_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "1.6.0")
    with pytest.raises(seam.SeamError, match=r"ministack 1\.6\.0 is installed, but .* 1\.5\.33"):
        seam.check_version()


def test_an_environment_without_ministack_says_where_it_is() -> None:
    with pytest.raises(seam.SeamError, match=r"\.envs/cloud/bin/python"):
        seam.check_version()
