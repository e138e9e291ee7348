"""How far long work is, in a terminal and elsewhere."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from rich.console import Console

from cli import progress
from cli.progress import progress_of


@pytest.fixture
def log() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=1000)


def lines(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_without_a_terminal_it_says_now_and_then_how_much_is_done(
    log: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("cli.progress.time.monotonic", lambda: now)
    with progress_of(log, "uploading", total=12_000) as stage:
        for second in range(100):
            now = float(second)
            stage.reach(100 * second)
    said = lines(log)
    assert [line.partition(",")[0] for line in said] == ["uploading: 3", "uploading: 6", "uploading: 9"]
    assert said[0].startswith("uploading: 3,000 of 12,000, ")
    assert said[0].endswith(" s left")


def test_work_of_unknown_length_and_its_stages_are_told(log: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with progress_of(log, "starting") as stage:
        stage.reach(1)
        stage.enter("reading", done=5, total=None)
    assert lines(log) == ["starting: 1", "reading: 5"]


def test_threads_are_counted_and_short_work_says_nothing(log: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    with progress_of(log, "uploading", total=400) as stage, ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(stage.advance) for _ in range(400)]:
            done.result()
        assert lines(log) == []
        monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
        stage.advance()
    assert lines(log)[0].startswith("uploading: 401 of 400")


def test_a_terminal_shows_a_bar_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    with progress_of(terminal, "uploading", total=4) as stage:
        stage.advance()
    assert isinstance(terminal.file, io.StringIO)
    shown = terminal.file.getvalue()
    assert "━" in shown
    assert "1/4" in shown
    assert "uploading: " not in shown
