"""Fetching and opening a run's pages."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli import CliError, main
from cli.commands import runs, shared
from cli.report import ReportPage, fetch_report, report_uri
from tests.cli.stack import RUN, FakeStack

PAGES = {f"runs/{RUN}/report.html": b"<h1>report</h1>", f"runs/{RUN}/profile.html": b"<h1>profile</h1>"}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Addresses that the browser was asked for, while the verbs act on a stack with one run."""
    addresses: list[str] = []

    def open_in_browser(address: str) -> bool:
        addresses.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", open_in_browser)
    monkeypatch.setattr(runs, "STATE", tmp_path)
    monkeypatch.setattr(shared, "find_target", lambda **_: FakeStack(PAGES))
    return addresses


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(main.typer_app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_newest_runs_report_is_opened(opened: list[str], tmp_path: Path) -> None:
    output = invoke("report")
    file = tmp_path / "reports" / f"{RUN}-report.html"
    assert opened == [file.as_uri()]
    assert file.read_bytes() == PAGES[f"runs/{RUN}/report.html"]
    assert str(file) in output


def test_the_profile_is_a_page_of_its_own(opened: list[str], tmp_path: Path) -> None:
    invoke("report", RUN, "--page", "profile")
    file = tmp_path / "reports" / f"{RUN}-profile.html"
    assert opened == [file.as_uri()]
    assert file.read_bytes() == PAGES[f"runs/{RUN}/profile.html"]


def test_no_open_only_prints_where_the_page_is(opened: list[str], tmp_path: Path) -> None:
    assert invoke("report", "--no-open").strip() == str(tmp_path / "reports" / f"{RUN}-report.html")
    assert opened == []


def test_without_a_browser_the_path_is_printed_with_the_reason(
    opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    output = invoke("report")
    assert "no browser was found" in output
    assert str(tmp_path / "reports" / f"{RUN}-report.html") in output


def test_a_run_without_a_report_says_where_it_would_be(tmp_path: Path) -> None:
    stack: Any = FakeStack()
    with pytest.raises(CliError, match=rf"no report at s3://data/runs/{RUN}/report\.html"):
        fetch_report(stack, run=RUN, page=ReportPage.REPORT, folder=tmp_path)


def test_the_reports_address_is_known_only_where_it_was_written() -> None:
    stack: Any = FakeStack(PAGES)
    assert report_uri(stack, run=RUN) == f"s3://data/runs/{RUN}/report.html"
    assert report_uri(stack, run="run-8") is None
