"""A worker of the endpoint: it reads, decodes and classifies one request at a time, in a process of its own.

`python -m inference.worker FD`, where FD is its end of a socket to the server (`inference.messages`). Whatever a file
does to a decoder, it does to this process only: memory and processor time of a request are bounded, and the server
starts another worker if this one ends. It ends by itself when the server is gone.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from PIL import AvifImagePlugin

from inference.answer import CoverageError
from inference.classifier import Classifier, ExplanationError
from inference.environment import name_unknown, release, threads_of_a_worker
from inference.invocation import Problem, parse
from inference.messages import READY, REQUEST_HEADER, Job, Reply, packed_reply
from inference.parameters import request_id
from inference.problems import problem_body
from training.preprocess import ImageError

__all__ = ["MAX_CPU_SECONDS", "MAX_MEMORY_BYTES", "answered", "main"]

MAX_MEMORY_BYTES: Final = 700 * 2**20
"""Memory that a request may take beside the model: a picture of 50 megapixels in two forms, 4 bytes a pixel, and 300
MB. Beyond, the decoder gets no more and the request a 400."""

MAX_CPU_SECONDS: Final = 10
"""Processor time of a request, after which the kernel ends the worker with SIGPROF. It does not depend on how busy the
machine is."""

_log = logging.getLogger("inference")


def main() -> None:
    """Load the model, say so, and answer until the server closes the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the server ends its workers itself
    warnings.simplefilter("ignore")  # Pillow's, of which strangers' files make very many
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # there is a worker for each core

    channel = socket.socket(fileno=int(sys.argv[1]))
    folder = Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
    classifier = Classifier(folder, threads=threads_of_a_worker(), name_unknown=name_unknown(), release=release())
    _bound_memory()
    _quiet_decoders()
    try:
        channel.sendall(READY)
        while (job := _received(channel)) is not None:
            with _bounded_time():
                reply = answered(classifier, job)
            channel.sendall(packed_reply(reply))
    except (BrokenPipeError, ConnectionResetError):
        pass  # the server has ended


def answered(classifier: Classifier, job: Job) -> Reply:
    """Return the answer to a request, or the problem that it has."""
    try:
        asked = parse(job.body, content_type=job.content_type, attributes=job.attributes)
        answer, timing = classifier.timed(asked)
        return Reply(
            200,
            json.dumps(answer, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(),
            timing.decode,
            timing.model,
            answer["known"] is False,
        )
    except Problem as problem:
        return Reply(problem.status, problem_body(problem.status, problem.detail))
    except ImageError as error:
        return Reply(400, problem_body(400, str(error)))
    except (CoverageError, ExplanationError) as error:
        return Reply(422, problem_body(422, str(error)))
    except MemoryError:
        return Reply(400, problem_body(400, "the request takes more memory than it may; send a smaller image"))
    except Exception as error:
        _log.error("internal error at request %s", request_id(job.attributes), exc_info=error)
        return Reply(500, problem_body(500, "internal error; the endpoint's log has the details"))


def _received(channel: socket.socket) -> Job | None:
    """Return the next request; None once the server has closed the socket."""
    header = _exactly(channel, REQUEST_HEADER.size)
    if header is None:
        return None
    lengths = REQUEST_HEADER.unpack(header)
    kind, attributes, body = (_exactly(channel, length) for length in lengths)
    if kind is None or attributes is None or body is None:
        return None
    return Job(bytes(body), kind.decode(), attributes.decode())


def _exactly(channel: socket.socket, size: int) -> bytearray | None:
    content = bytearray(size)
    view, at = memoryview(content), 0
    while at < size:
        got = channel.recv_into(view[at:])
        if not got:
            return None
        at += got
    return content


def _quiet_decoders() -> None:
    """Log to where standard error leads, and let native decoders, which write a line for any odd tag, do so nowhere."""
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stderr, force=True)


def _bound_memory() -> None:
    """Bound the memory that can be asked for from now on, where the kernel counts it: RLIMIT_DATA, setrlimit(2)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return
    lines = status.read_text().splitlines()
    used = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = used + MAX_MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


@contextmanager
def _bounded_time() -> Iterator[None]:
    """Bound the processor time of what is done inside: ITIMER_PROF, setitimer(2).

    A limit on the time of the whole process (RLIMIT_CPU), moved on by what getrusage(2) tells, would end workers that
    do nothing wrong: Linux holds it against time counted by ticks, which may run ahead of what getrusage tells (by a
    second in fifteen of a server under load).
    """
    signal.setitimer(signal.ITIMER_PROF, MAX_CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
    main()
