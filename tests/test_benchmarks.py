"""Running the benchmarks: each in its environment, whatever becomes of the others, and reporting their results."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as bench
from benchmarks import machine, rollouts
from benchmarks.http_load import Answered, ask
from benchmarks.report import merged, rendered, table
from benchmarks.result import Result, cost_share, emit, speed_up
from benchmarks.timing import child_cpu_seconds, interleave, median

FIELDS = ["name", "unit", "ours", "peers", "ratio", "against", "goal", "holds", "table", "machine", "date"]


def result(name: str, *, holds: bool = True, ours: float = 2.0) -> Result:
    return Result(
        name=name,
        unit="images/s",
        ours=ours,
        peers={"theirs | old": 1.0},
        ratio=ours,
        against="theirs",
        goal="at least 1.5",
        holds=holds,
    )


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(bench, "DOCUMENT", tmp_path / "docs" / "benchmarks.md")
    monkeypatch.setattr(bench, "MODULES", {"good": "training", "bad": "cloud", "mute": "cloud"})
    return tmp_path


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The commands that were started: `good` gives a result, `bad` fails, `mute` ends without results."""
    started: list[list[str]] = []
    emit([result("speed")])
    line = capsys.readouterr().out

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        started.append(command)
        name = command[2].removeprefix("benchmarks.")
        if name == "bad":
            return subprocess.CompletedProcess(command, 1, stdout="", stderr="Traceback\nValueError: no [disk]\n")
        return subprocess.CompletedProcess(command, 0, stdout=f"log\n{line}" if name == "good" else "log\n", stderr="")

    monkeypatch.setattr("benchmarks.__main__.subprocess.run", run)
    return started


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["benchmarks", *arguments])
    return bench.main()


@pytest.mark.parametrize(
    ("flags", "without"),
    [("fpu avx2 avx512_vnni", False), ("fpu avx2 avx_vnni", False), ("fpu avx2", True), (None, False)],
)
def test_a_processor_on_which_int8_is_slow_is_told(
    flags: str | None, without: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A processor of Arm says no flags, and has such instructions."""
    information = tmp_path / "cpuinfo"
    information.write_text("model name\t: A Processor\n" + (f"flags\t\t: {flags}\n" if flags else ""))
    monkeypatch.setattr(machine, "CPU_INFORMATION", information)
    assert machine.without_vnni() is without
    assert machine.describe().startswith("A Processor, ")
    assert ("without VNNI" in machine.describe()) is without


def test_results_are_written_with_machine_and_date(
    root: Path, processes: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "good") == 0
    (written,) = json.loads((root / "results.json").read_text())
    assert list(written) == FIELDS
    assert (written["name"], written["ratio"], written["holds"]) == ("speed", 2.0, True)
    assert processes[0] == [str(root / ".envs/training/bin/python"), "-m", "benchmarks.good"]
    assert "speed" in (root / "docs" / "benchmarks.md").read_text()
    assert "at least 1.5" in capsys.readouterr().out


def test_a_benchmark_that_fails_is_reported_and_the_others_go_on(
    root: Path, processes: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "bad", "mute", "good") == 1
    out = capsys.readouterr().out
    assert "bad FAILED: Traceback\nValueError: no [disk]" in out
    assert "mute FAILED: its last line is not a list of results: 'log'" in out
    assert [entry["name"] for entry in json.loads((root / "results.json").read_text())] == ["speed"]


def test_all_run_if_none_is_named(root: Path, processes: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch) == 1
    assert [command[2] for command in processes] == ["benchmarks.good", "benchmarks.bad", "benchmarks.mute"]


def test_a_benchmark_that_drives_the_project_runs_in_its_environment(
    root: Path, processes: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "MODULES", {"good": "app"})
    assert run(monkeypatch) == 0
    assert processes[0][0] == str(root / ".venv/bin/python")


def test_quick_results_are_not_written(root: Path, processes: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "--quick", "good") == 0
    assert processes[0][-1] == "--quick"
    assert not (root / "results.json").exists()


def test_an_unknown_benchmark_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, "unheard_of")


def test_every_benchmark_of_the_list_exists() -> None:
    folder = Path(bench.__file__).parent
    files = {name: (folder / f"{name}.py", folder / name / "__main__.py") for name in bench.MODULES}
    assert not [name for name, places in files.items() if not any(place.exists() for place in places)]


def test_a_new_measurement_replaces_the_old_one_of_its_name() -> None:
    before = [{"name": "a", "ours": 1}, {"name": "b", "ours": 1}]
    assert merged(before, [{"name": "a", "ours": 2}]) == [{"name": "b", "ours": 1}, {"name": "a", "ours": 2}]


def test_a_goal_that_is_missed_stands_out_in_the_table_and_on_the_page() -> None:
    failed = {**vars(result("speed", holds=False, ours=1234.5)), "machine": "M", "date": "2026-01-01"}
    assert "NO" in table([failed])
    page = rendered([failed])
    assert "| speed | images/s | 1,234 | theirs / old 1 | 1,234 x theirs | at least 1.5 | NO |" in page
    assert "- M, 2026-01-01" in page


def test_what_happened_case_by_case_has_a_section_of_its_own() -> None:
    told = [{"case": "a|b", "right": "yes"}, {"case": "c", "right": "NO"}]
    measured = {**vars(result("cases")), "table": told, "machine": "M", "date": "2026-01-01"}
    page = rendered([measured, {**vars(result("speed")), "machine": "M", "date": "2026-01-01"}])
    assert "\n## cases\n\n| case | right |\n| --- | --- |\n| a/b | yes |\n| c | NO |\n\nMeasured on" in page
    assert "## speed" not in page


def test_candidates_take_turns() -> None:
    turns: list[str] = []

    def candidate(name: str) -> float:
        turns.append(name)
        return float(len(turns))

    measured = interleave({"a": lambda: candidate("a"), "b": lambda: candidate("b")}, rounds=3)
    assert turns == ["a", "b", "b", "a", "a", "b"]
    assert measured == {"a": [1, 4, 5], "b": [2, 3, 6]}
    assert median([5, 1, 3]) == 3


@pytest.mark.parametrize(("ours", "ratio", "holds"), [(3.0, 1.5, True), (2.9, 1.45, False)])
def test_a_rate_is_compared_with_the_named_peer_and_the_goal(ours: float, ratio: float, holds: bool) -> None:
    compared = speed_up("step", unit="images/s", ours=ours, peers={"a": 2, "b": 9}, against="a", at_least=1.5)
    assert compared.ratio == pytest.approx(ratio)
    assert (compared.against, compared.goal, compared.holds) == ("a", "at least 1.5", holds)


@pytest.mark.parametrize(("ours", "holds"), [(0.05, True), (0.06, False)])
def test_a_cost_above_its_goal_does_not_hold_however_dear_the_peer_is(ours: float, holds: bool) -> None:
    compared = cost_share("hook", unit="share", ours=ours, peer=("theirs", 0.6), at_most=0.05)
    assert compared.ratio == pytest.approx(0.6 / ours)
    assert (compared.peers, compared.goal, compared.holds) == ({"theirs": 0.6}, "at most 0.05", holds)


def test_a_childs_time_is_measured_and_its_failure_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where Python does not find the project's packages by itself
    work = "import contract, os, time\nwhile time.process_time() < float(os.environ['BUSY']): pass"
    assert child_cpu_seconds(["-c", work], {"BUSY": "0.4"}) >= 0.4
    with pytest.raises(subprocess.CalledProcessError):
        child_cpu_seconds(["-c", "raise SystemExit(3)"], {})


class Answering(BaseHTTPRequestHandler):
    """Answers the length of what is posted, with the status that the body names."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        answer = str(len(body)).encode()
        self.send_response(int(body[:3]))
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


def asked(*arguments: Any, **options: Any) -> Answered:
    """Ask in a thread: the browser of other tests keeps an event loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(ask, *arguments, **options).result()


def test_a_load_asks_as_often_as_it_says_and_notes_every_answer() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        answered = asked(server.server_address[1], [b"200 good", b"503 busy"], requests=7, connections=2)
    finally:
        server.shutdown()
        server.server_close()
    assert sorted(answered.statuses) == [200] * 4 + [503] * 3
    assert len(answered.latencies) == 7
    assert answered.rate == pytest.approx(7 / answered.seconds)


def test_a_load_tells_of_a_server_that_hangs_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            connection, _ = listening.accept()
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(ConnectionResetError, match="before the end of an answer"):
            asked(listening.getsockname()[1], [b"x"], requests=1, connections=1)


def test_a_measurement_of_rollouts_takes_the_place_of_the_one_before() -> None:
    """The page is that of docs/rollout.md, with its marks."""
    # what was measured, and the page as it is
    row = rollouts.RolloutFigures(
        model="answers 500",
        ended="RolloutRolledBack",
        requests=1234,
        per_second=9.87,
        failed_inside=12,
        failed_outside=0,
        back_after=118.4,
        told="run had its model taken back",
    )
    measured = rollouts.Measured(
        machine="a machine",
        date="2026-01-01",
        load=1.0,
        speed=12,
        canary_percent=30,
        bake_seconds=360,
        rows=[row, {**row, "model": "good", "ended": "released", "back_after": None}],
    )
    document = rollouts.DOCUMENT.read_text()

    # its rows stand in the page, those of before do not, and the rest stays
    page = rollouts.page(document, measured)
    assert (
        "| answers 500 | RolloutRolledBack | 1,234 (9.9) | 12 | 0 | 118 s of 360 | run had its model taken back |"
        in page
    )
    assert "| good | released | 1,234 (9.9) | 12 | 0 |  | run had its model taken back |" in page
    once_more = rollouts.page(page, {**measured, "rows": [row]})
    assert "| good |" not in once_more
    assert (
        once_more.partition("## When a model is taken back")[2]
        == document.partition("## When a model is taken back")[2]
    )

    # a session that measures some of it again replaces those rows, and under other conditions all of them
    again: rollouts.Measured = {**measured, "load": 0.5, "rows": [{**row, "requests": 99}]}
    both = rollouts.merged(measured, again)
    assert [(each["model"], each["requests"]) for each in both["rows"]] == [("answers 500", 99), ("good", 1234)]
    assert both["load"] == 1.0
    assert rollouts.merged({**measured, "speed": 6}, again) == again
    assert rollouts.merged(None, again) == again

    # the committed page is that of the committed figures
    if rollouts.RESULTS.exists():
        assert rollouts.page(document, json.loads(rollouts.RESULTS.read_text())) == document
