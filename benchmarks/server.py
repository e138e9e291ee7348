"""A server as a process, the endpoint's or another, and what its processes take."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Server", "serving", "started"]

ROOT = Path(__file__).parents[1]

_START_SECONDS = 120.0
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    pid: int
    log: int
    """The descriptor of the file that it writes to."""

    def said(self, text: str) -> list[str]:
        """Return the lines of its log that hold a text, without moving the place where it writes."""
        written = os.pread(self.log, os.fstat(self.log).st_size, 0).decode(errors="replace")
        return [line for line in written.splitlines() if text in line]

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Return the status and the body of an answer, over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """Return a metric, summed over its labels."""
        lines = self.request("GET", "/metrics")[1].decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"whippet_{name}"))

    def processes(self) -> dict[int, str]:
        """Return the numbers and command lines of the server's processes."""
        found, parents = {self.pid: "serve"}, {self.pid}
        every = [(int(folder.name), folder) for folder in Path("/proc").glob("[0-9]*")]
        for number, folder in sorted(every):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent in parents:
                    found[number] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    parents.add(number)
            except OSError:
                continue
        return found

    def workers(self) -> list[int]:
        """Return the numbers of the workers' processes."""
        return [number for number, command in self.processes().items() if "inference.worker " in command]

    def memory(self, figure: str = "VmRSS") -> dict[int, float]:
        """Return the memory of each process in MB; with `VmHWM`, the most that it ever had."""
        found: dict[int, float] = {}
        for number in self.processes():
            try:
                lines = Path(f"/proc/{number}/status").read_text().splitlines()
            except OSError:
                continue
            found[number] = sum(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{figure}:"))
        return found

    def cpu_seconds(self) -> float:
        """Return the processor time of its processes so far, those included that have ended and were waited for."""
        ticks = 0
        for number in self.processes():
            try:
                fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            ticks += sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime (proc_pid_stat(5))
        return ticks / _TICKS_A_SECOND

    def descriptors(self) -> int:
        """Return how many files and sockets its processes have open."""
        return sum(len(list(Path(f"/proc/{number}/fd").iterdir())) for number in self.processes())


@contextmanager
def serving(model: Path, *, python: str = sys.executable, **environment: str) -> Iterator[Server]:
    """Start the endpoint's server on a model, and end it afterwards."""

    def command(port: int) -> list[str]:
        environment["SAGEMAKER_BIND_TO_PORT"] = str(port)
        return [python, "-m", "inference.serve"]

    environment["SM_MODEL_DIR"] = str(model)
    with started(command, environment) as server:
        yield server


@contextmanager
def started(command: Callable[[int], list[str]], environment: dict[str, str]) -> Iterator[Server]:
    """Start a server that answers GET /ping, and end it and its processes afterwards.

    Args:
        command: gives the command that starts it on a port.
        environment: variables besides those of this process.

    Raises:
        RuntimeError: it ends, or does not answer within two minutes; the message has the end of its log.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    argv = command(port)
    with tempfile.TemporaryFile() as log:
        variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        process = subprocess.Popen(argv, cwd=ROOT, env=variables, stdout=log, stderr=log, start_new_session=True)
        server = Server(port, process.pid, log.fileno())
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not _answers(server):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise RuntimeError(f"{' '.join(argv)} does not serve: {log.read()[-2000:].decode()}")
                time.sleep(0.1)
            yield server
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=60)
            with suppress(ProcessLookupError):  # all of its processes have ended
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(server: Server) -> bool:
    try:
        return server.request("GET", "/ping")[0] == 200
    except OSError:
        return False
