"""The endpoint's own server as a process, and what its processes take."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Server", "serving"]

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    pid: int

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

    def descriptors(self) -> int:
        """Return how many files and sockets its processes have open."""
        return sum(len(list(Path(f"/proc/{number}/fd").iterdir())) for number in self.processes())


@contextmanager
def serving(model: Path, *, python: str = sys.executable, **environment: str) -> Iterator[Server]:
    """Start the server on a model, and end it afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "SM_MODEL_DIR": str(model), **environment}
    variables["SAGEMAKER_BIND_TO_PORT"] = str(port)
    process = subprocess.Popen([python, "-m", "inference.serve"], cwd=ROOT, env=variables, stdout=subprocess.DEVNULL)
    server = Server(port, process.pid)
    try:
        while not _answers(server):
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with status {process.returncode}")
            time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=60)


def _answers(server: Server) -> bool:
    try:
        return server.request("GET", "/ping")[0] == 200
    except OSError:
        return False
