"""The endpoint's server beside the bare model, FastAPI and LitServe: CPU time, requests a second, and latencies.

The network is ResNet50 at 224 pixels, with random weights, which take as long as others. The photos are clothing10's.
The peers' environment is made by

    .envs/tools/bin/uv venv .envs/serving-peers
    .envs/tools/bin/uv pip install --python .envs/serving-peers/bin/python fastapi uvicorn litserve \\
        python-multipart onnxruntime pillow

All servers stand at once, and are asked in turns. A server's CPU time is that of all its processes. The bare model runs
in as many processes at once as a server has workers busy. On a processor without VNNI the results of int8 have names of
their own, since they are of another kind.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np
import torch

import contract
from benchmarks.bare_model import BareModel, bare_model
from benchmarks.head import DATA, ROOT, photo_files
from benchmarks.http_load import ask
from benchmarks.machine import without_vnni
from benchmarks.result import Result, emit
from benchmarks.server import Server, serving, started
from benchmarks.timing import interleave, median
from training.export.onnx_export import export
from training.export.quantization import quantize
from training.model.classifier import Classifier
from training.model.head import Head
from training.model.weights import untrained_backbone
from training.preprocess import plain_view

PHOTOS, IMAGE_SIZE, CLASSES = "clothing10", 224, 10
PEERS = Path(os.environ.get("WHIPPET_SERVING_PEERS") or ROOT / ".envs" / "serving-peers" / "bin" / "python")
OURS = ROOT / ".envs" / "inference" / "bin" / "python"
WORKERS = len(os.sched_getaffinity(0))
"""Processes in which our server classifies, one for each core."""
FORM = "multipart/form-data; boundary=form"
"""What the peers take: LitServe reads JSON or forms, and FastAPI's tutorial takes files as forms."""
CONNECTIONS = (1, 4, 16)
ROUNDS, REQUESTS, CALIBRATION = 7, 80, 32


@dataclass
class Measured:
    """What a server did, by connections."""

    cpu: list[float] = field(default_factory=list)
    """CPU milliseconds a request, of each round, over all connections."""
    rates: dict[int, list[float]] = field(default_factory=dict)
    """Requests a second, of each round."""
    latencies: dict[int, list[float]] = field(default_factory=dict)
    """Milliseconds of every request."""

    def row(self, name: str) -> dict[str, str]:
        """Return the server's row of the table."""
        row = {"server": name, "CPU ms a request": f"{median(self.cpu):.1f}"}
        for connections, rates in self.rates.items():
            row[f"requests/s at {connections}"] = f"{median(rates):.1f}"
        for connections, each in self.latencies.items():
            p50, p99 = np.percentile(each, [50, 99])
            row[f"p50 / p99 ms at {connections}"] = f"{p50:.0f} / {p99:.0f}"
        return row


def write_models(folder: Path) -> dict[str, Path]:
    """Write the same network as a model folder in float32 and one in int8, and return the folders."""
    torch.manual_seed(0)
    backbone = untrained_backbone("resnet50", image_size=IMAGE_SIZE)
    seen = backbone.preprocessing
    dim = backbone(torch.zeros(1, IMAGE_SIZE, IMAGE_SIZE, 3, dtype=torch.uint8)).shape[1]
    head = Head(mean=torch.zeros(dim), scale=torch.ones(dim), classes=CLASSES)
    classifier = Classifier(backbone=backbone, head=head.folded(), temperature=1.0).eval()
    card = {
        "run": "benchmark",
        "labels": [str(label) for label in range(CLASSES)],
        "image_size": IMAGE_SIZE,
        "resize": seen.resize,
        "interpolation": seen.interpolation,
        "test_accuracy": 1.0,
    }
    folders = {precision: folder / precision for precision in ("float32", "int8")}
    for each in folders.values():
        each.mkdir()
        (each / contract.Artefact.MODEL_CARD).write_text(json.dumps(card), encoding="utf-8")
    exported = folders["float32"] / contract.Artefact.MODEL
    export(classifier, exported, image_size=IMAGE_SIZE)
    pictures = [plain_view(photo.read_bytes(), seen) for photo in photo_files(PHOTOS, "learnt")[:CALIBRATION]]
    quantize(exported, folders["int8"] / contract.Artefact.MODEL, images=np.stack(pictures))
    return folders


def _round(server: Server, bodies: list[bytes], measured: Measured, *, requests: int, content_type: str) -> float:
    """Ask a server over each number of connections, note what it did, and return its CPU milliseconds a request."""
    before = server.cpu_seconds()
    for connections in CONNECTIONS:
        answered = ask(server.port, bodies, requests=requests, connections=connections, content_type=content_type)
        if set(answered.statuses) != {200}:
            raise RuntimeError(f"the server {server.pid} answered {sorted(set(answered.statuses))}")
        measured.rates.setdefault(connections, []).append(answered.rate)
        measured.latencies.setdefault(connections, []).extend(1000 * each for each in answered.latencies)
    spent = (server.cpu_seconds() - before) * 1000 / (requests * len(CONNECTIONS))
    measured.cpu.append(spent)
    return spent


def _bare(model: BareModel, *, requests: int) -> float:
    """Return the CPU milliseconds of a photo, in as many processes at once as a server works in, by connections.

    Cores share caches and memory, and some of them more than that: two that are busy take longer for a photo each.
    """
    at_once = [min(connections, WORKERS) for connections in CONNECTIONS]
    return mean(model.cpu_milliseconds(requests // each, processes=each) for each in at_once)


def _peer(name: str, model: Path, port: int) -> list[str]:
    return [str(PEERS), "-m", "benchmarks.serving_peers", name, str(model), str(port)]


def measure(*, rounds: int, requests: int) -> tuple[dict[str, float], dict[str, Measured]]:
    """Return the bare model's CPU milliseconds a photo by precision, and what each server did."""
    photos = photo_files(PHOTOS, "test")[:40]
    bodies = [photo.read_bytes() for photo in photos]
    part = b'--form\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\n\r\n'
    forms = [part + body + b"\r\n--form--\r\n" for body in bodies]
    with tempfile.TemporaryDirectory() as name, ExitStack() as servers:
        with redirect_stdout(sys.stderr):
            folders = write_models(Path(name))
        ways: dict[str, Callable[[], float]] = {}
        found: dict[str, Measured] = {}

        def stand(name: str, server: Server, sent: list[bytes], content_type: str = "image/jpeg") -> None:
            found[name] = Measured()
            ways[name] = partial(_round, server, sent, found[name], requests=requests, content_type=content_type)

        for precision, folder in folders.items():
            stand(f"ours {precision}", servers.enter_context(serving(folder, python=str(OURS))), bodies)
            bare = servers.enter_context(bare_model(folder, photos, python=OURS, processes=WORKERS))
            ways[precision] = partial(_bare, bare, requests=requests)
        for peer in ("fastapi", "litserve"):
            command = partial(_peer, peer, folders["float32"] / contract.Artefact.MODEL)
            stand(peer, servers.enter_context(started(command, {})), forms, FORM)

        taken = interleave(ways, rounds)
        return {precision: median(taken[precision]) for precision in folders}, found


def results(bare: dict[str, float], found: dict[str, Measured]) -> list[Result]:
    """Return the results, the first one with the table of all servers."""
    # the table of all of them
    cpu = {name: median(each.cpu) for name, each in found.items()}
    at_4 = {name: median(each.rates[4]) for name, each in found.items()}
    rows = [{"server": f"the model alone, {each}", "CPU ms a request": f"{taken:.1f}"} for each, taken in bare.items()]
    heads = list(next(iter(found.values())).row(""))
    table = [{head: row.get(head, "") for head in heads} for row in rows] + [each.row(n) for n, each in found.items()]

    # beside the goals
    int8, float32 = "ours int8", "ours float32"
    kind = "_without_vnni" if without_vnni() else ""
    p50, p99 = np.percentile(found[int8].latencies[4], [50, 99])
    best = min(cpu["fastapi"], cpu["litserve"])
    return [
        Result(
            name=f"serving_int8{kind}",
            unit="CPU milliseconds a request, int8, decoding and HTTP included; the model alone runs in as many "
            "processes at once as the server has workers",
            ours=cpu[int8],
            peers={"the model alone": bare["int8"], "LitServe, float32": cpu["litserve"]},
            ratio=bare["int8"] / cpu[int8],
            against="the model alone",
            goal="at least 0.95",
            holds=bare["int8"] >= 0.95 * cpu[int8],
            table=table,
        ),
        Result(
            name=f"serving_rate{kind}",
            unit="requests a second at 4 connections, int8",
            ours=at_4[int8],
            peers={"LitServe, float32": at_4["litserve"], "FastAPI, float32": at_4["fastapi"]},
            ratio=at_4[int8] / at_4["litserve"],
            against="LitServe, float32",
            goal="at least 2.5",
            holds=at_4[int8] >= 2.5 * at_4["litserve"],
        ),
        Result(
            name="serving_float32",
            unit="CPU milliseconds a request, float32, decoding and HTTP included",
            ours=cpu[float32],
            peers={"the model alone": bare["float32"], "LitServe": cpu["litserve"], "FastAPI": cpu["fastapi"]},
            ratio=best / cpu[float32],
            against="the better of LitServe and FastAPI",
            goal="at least 1",
            holds=cpu[float32] <= best,
        ),
        Result(
            name=f"serving_p99{kind}",
            unit="p99 in milliseconds at 4 connections, int8",
            ours=float(p99),
            peers={"p50": float(p50)},
            ratio=float(p99 / p50),
            against="p50",
            goal="at most 3",
            holds=bool(p99 <= 3 * p50),
        ),
    ]


def run(*, quick: bool) -> list[Result]:
    """Return the results; none without clothing10's photos."""
    if not (DATA / PHOTOS).is_dir():
        return []
    return results(*measure(rounds=2 if quick else ROUNDS, requests=20 if quick else REQUESTS))


if __name__ == "__main__":
    torch.set_num_threads(1)
    emit(run(quick="--quick" in sys.argv))
