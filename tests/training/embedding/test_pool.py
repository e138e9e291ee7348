"""Several devices at work at once, played by copies of the backbone on the CPU."""

from __future__ import annotations

import copy
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import contract
from tests.training.conftest import Workspace
from training import features
from training.data import manifest
from training.data.manifest import BrokenImages
from training.embedding import embedder as embedding
from training.embedding.embedder import Embedder, embed_photos
from training.embedding.pool import EmbedderPool, PhotoBatch
from training.embedding.store import read_index
from training.model.backbones import Backbone
from training.preprocess import Preprocessing
from training.runtime.environment import JobError

CPU = torch.device("cpu")
CHANNELS = ("dataset", "manifest", "weights")
GUARD = 60.0
"""Seconds after which a test that waits for something that will not come gives up."""


class Means(nn.Module):
    """A backbone whose features are its images' means, times a weight that float16 may not hold."""

    def __init__(self, *, weight: float = 1.0, scale: float = 1.0) -> None:
        super().__init__()
        self.weight, self.scale = nn.Parameter(torch.tensor([[weight]]), requires_grad=False), scale
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        means = images.float().mean(dim=(1, 2, 3)).unsqueeze(1)
        return functional.linear(means, self.weight).float() * self.scale


def batch_of(*values: int, views: int = 1) -> PhotoBatch:
    """A batch of plain pictures of these brightnesses."""
    pixels = torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1, 1).expand(-1, views, 2, 2, 3).contiguous()
    return PhotoBatch(list(values), pixels)


def pool_of(*backbones: nn.Module, precision: contract.FeaturePrecision = "float32") -> EmbedderPool:
    embedders: list[Any] = [Embedder(backbone, CPU, precision) for backbone in backbones]  # type: ignore[arg-type]
    return EmbedderPool(embedders, backbone="means")


def run(pool: EmbedderPool, *batches: PhotoBatch) -> list[tuple[list[int], list[float]]]:
    with pool:
        return [(batch.positions, found.ravel().tolist()) for batch, found in pool.run(batches)]


def test_features_come_in_the_order_of_the_batches_and_every_device_has_its_share() -> None:
    backbones = [Means(), Means(), Means()]
    found = run(pool_of(*backbones), *(batch_of(value, value + 1) for value in range(0, 20, 2)))
    assert found == [([value, value + 1], [value, value + 1]) for value in range(0, 20, 2)]
    assert [len(backbone.seen) for backbone in backbones] == [4, 3, 3]


def test_views_stay_with_their_photo() -> None:
    with pool_of(Means()) as pool:
        ((_, found),) = pool.run([batch_of(3, 4, 5, views=2)])
    assert found.tolist() == [[[3], [3]], [[4], [4]], [[5], [5]]]


def test_devices_work_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=GUARD)

    class Meeting(Means):
        def forward(self, images: Tensor) -> Tensor:
            meeting.wait()
            return super().forward(images)

    assert len(run(pool_of(Meeting(), Meeting()), *map(batch_of, range(4)))) == 4


def test_the_next_batch_is_computed_while_one_is_written() -> None:
    began = {value: threading.Event() for value in range(3)}

    class Noting(Means):
        def forward(self, images: Tensor) -> Tensor:
            began[int(images[0, 0, 0, 0])].set()
            return super().forward(images)

    with pool_of(Noting()) as pool:
        for batch, _ in pool.run(map(batch_of, range(3))):
            following = began.get(batch.positions[0] + 1)
            assert following is None or following.wait(GUARD), "the device waits for the writer"


def test_no_more_batches_are_made_than_the_devices_need() -> None:
    made: list[int] = []

    def batches() -> Iterator[PhotoBatch]:
        for value in range(20):
            made.append(value)
            yield batch_of(value)

    with pool_of(Means(), Means()) as pool:
        for done, _ in enumerate(pool.run(batches()), start=1):
            assert len(made) <= done + 3


def test_an_error_of_a_device_ends_the_run() -> None:
    class Broken(Means):
        def forward(self, images: Tensor) -> Tensor:
            if images[0, 0, 0, 0] == 2:
                raise RuntimeError("CUDA error: an illegal memory access was encountered")
            return super().forward(images)

    with pytest.raises(RuntimeError, match="illegal memory access"):
        run(pool_of(Broken(), Broken()), *map(batch_of, range(6)))


# --- float16 ----------------------------------------------------------------------------------------------------------

TIMES_1000 = {"weight": 1000.0, "scale": 1e-3}
"""A brightness above 65 overflows float16 on the way, and fits in it again at the end."""


@pytest.mark.parametrize("devices", [1, 3])
def test_an_overflow_of_float16_is_named_and_the_rest_computed_in_float32(
    devices: int, capsys: pytest.CaptureFixture[str]
) -> None:
    computed: list[tuple[int, torch.dtype]] = []

    class Noting(Means):
        def forward(self, images: Tensor) -> Tensor:
            result = super().forward(images)
            half = torch.is_autocast_enabled("cpu")
            computed.append((int(images[0, 0, 0, 0]), torch.get_autocast_dtype("cpu") if half else torch.float32))
            return result

    values = [1, 2, 200, 3, 201, 4]
    with pool_of(*(Noting(**TIMES_1000) for _ in range(devices)), precision="float16") as pool:
        found = [(batch.positions[0], features.item()) for batch, features in pool.run(map(batch_of, values))]
    assert [value for value, _ in found] == values
    np.testing.assert_allclose([feature for _, feature in found], values, rtol=1e-3)

    # what comes behind the overflow is in float32 whatever was in flight
    last = dict(computed)
    assert {value: last[value] for value in values} == {
        **dict.fromkeys((1, 2), torch.float16),
        **dict.fromkeys((200, 3, 201, 4), torch.float32),
    }
    assert capsys.readouterr().out.count("float16 overflows in means: this batch and all later ones") == 1


def test_float16_without_overflow_stays(capsys: pytest.CaptureFixture[str]) -> None:
    pool = pool_of(Means(**TIMES_1000), precision="float16")
    assert [features for _, features in run(pool, batch_of(10), batch_of(20))] == [
        pytest.approx([10], rel=1e-3),
        pytest.approx([20], rel=1e-3),
    ]
    assert "overflow" not in capsys.readouterr().out


def test_features_that_float16_cannot_hold_are_refused() -> None:
    with pytest.raises(JobError, match=r"features of means exceed 65504.*ml\.g5\.xlarge"):
        run(pool_of(Means(weight=1000.0), precision="float16"), batch_of(200))


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_features_that_are_no_numbers_are_refused(precision: contract.FeaturePrecision) -> None:
    with pytest.raises(JobError, match=r"features of means are infinite or not a number.*choose another backbone"):
        run(pool_of(Means(weight=float("nan")), precision=precision), batch_of(1))


# --- the features job -------------------------------------------------------------------------------------------------


@pytest.fixture
def filled(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(embedding, "BATCH_PIXELS", 9 * 32 * 32)
    workspace.fill(each=20)
    workspace.write_weights()
    return workspace


def embed_on(devices: int, workspace: Workspace, *, model: str, precision: str = "float32") -> dict[str, bytes]:
    """Run the features job on as many devices; return its files."""

    def on_all_devices(backbone: Backbone) -> list[Embedder]:
        return [Embedder(copy.deepcopy(backbone), CPU, precision) for _ in range(devices)]  # type: ignore[arg-type]

    workspace.monkeypatch.setattr(Embedder, "on_all_devices", on_all_devices)
    folder = workspace.start(channels=CHANNELS, model=model)
    features.main()
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_several_devices_write_the_files_of_one_to_the_bit(
    filled: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    alone, together = embed_on(1, filled, model="alone"), embed_on(3, filled, model="together")
    assert len(alone) == 13
    assert together == alone
    assert "on 3 GPUs in float32" in capsys.readouterr().out


def test_float16_features_are_kept_in_float16_and_taken_over(
    filled: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    embed_on(1, filled, model="exact")
    embed_on(1, filled, model="previous", precision="float16")
    exact, half = (np.load(filled.root / name / "train_features.npy") for name in ("exact", "previous"))
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, exact, rtol=0.05, atol=0.02)
    assert read_index(filled.root / "previous")[1]["precision"] == "float16"

    filled.start(channels=(*CHANNELS, "previous"), model="again")
    features.main()
    assert "features of train: 36 of 36 photos taken over" in capsys.readouterr().out
    np.testing.assert_array_equal(np.load(filled.root / "again/train_features.npy"), half)


# --- threads and memory -----------------------------------------------------------------------------------------------


class NoWriter:
    """Takes features and keeps none."""

    def __init__(self) -> None:
        self.photos = 0

    def add(self, *_: Any, records: list[contract.ImageRecord], **__: Any) -> None:
        self.photos += len(records)


def embed_fakes(
    pool: EmbedderPool, *, photos: int, views: int, side: int, make: Callable[[], np.ndarray[Any, Any]] | None = None
) -> None:
    """Embed photos that are made of nothing."""
    records: list[contract.ImageRecord] = [{"path": "p", "label": 0, "split": "train", "etag": "e"}] * photos
    writer = NoWriter()
    make = make or (lambda: np.zeros((views, side, side, 3), dtype=np.uint8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding, "views_of", lambda *_, **__: make())
        embed_photos(
            pool,
            writer,  # type: ignore[arg-type]
            name="fakes",
            records=records,
            positions=np.arange(photos),
            views=views,
            photos=Path(),
            broken=BrokenImages(total=photos),
            hyperparameters=contract.Hyperparameters(image_size=side),
            preprocessing=Preprocessing.usual(side),
        )
    assert writer.photos == photos


def test_all_decoding_threads_make_views_however_small_a_batch_is(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = 12
    monkeypatch.setattr(embedding, "cores", lambda: threads)
    monkeypatch.setattr(manifest, "ThreadPoolExecutor", lambda _, **named: ThreadPoolExecutor(threads, **named))
    meeting = threading.Barrier(threads, timeout=GUARD)

    def make() -> np.ndarray[Any, Any]:
        meeting.wait()
        return np.zeros((4, 32, 32, 3), dtype=np.uint8)

    monkeypatch.setattr(embedding, "BATCH_PIXELS", 32 * 32)
    with pool_of(Means()) as pool:
        embed_fakes(pool, photos=2 * threads, views=4, side=32, make=make)


def peak(*, photos: int, views: int, devices: int) -> float:
    """Return the peak of memory in batches: what numpy held, and with it the photos' pixels."""
    backbones = [Means() for _ in range(devices)]
    tracemalloc.start()
    with pool_of(*backbones) as pool:
        embed_fakes(pool, photos=photos, views=views, side=32)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(size for backbone in backbones for size in backbone.seen) * 32 * 32 <= embedding.BATCH_PIXELS
    return most / (embedding.BATCH_PIXELS * 3)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of 16 views of 32 pixels, and pixels in memory that tracemalloc sees."""
    monkeypatch.setattr(embedding, "BATCH_PIXELS", 16 * 32 * 32)
    monkeypatch.setattr(embedding, "cores", lambda: 1)
    monkeypatch.setattr(
        "training.embedding.transfer.HostTransfer.buffer",
        lambda _, *shape: torch.from_numpy(np.empty(shape, dtype=np.uint8)),
    )


MOST = 9
"""Batches in memory with one device: two decoded ahead, two in flight, one being filled, one being written, and what
Python needs beside them."""


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize(("photos", "views"), [(100, 1), (2000, 1), (300, 4), (300, 16)])
def test_memory_does_not_grow_with_photos_or_views(photos: int, views: int) -> None:
    assert peak(photos=photos, views=views, devices=1) < MOST


@pytest.mark.usefixtures("small_batches")
def test_memory_grows_by_a_few_batches_with_each_device() -> None:
    assert peak(photos=600, views=1, devices=4) < MOST + 3 * 6


@pytest.mark.usefixtures("small_batches")
def test_a_photo_with_more_views_than_a_batch_goes_through_in_parts() -> None:
    backbone = Means()
    with pool_of(backbone) as pool:
        embed_fakes(pool, photos=2, views=40, side=32)
    assert backbone.seen == [16, 16, 8] * 2
