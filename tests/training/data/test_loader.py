from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import contract
from tests.training.conftest import IMAGE_SIZE, Workspace
from training import preprocess
from training.data.loader import Batch, PhotoLoader, on_device
from training.preprocess import Preprocessing
from training.runtime.environment import JobError
from training.runtime.machine import LoaderPlan, plan_loader

HYPERPARAMETERS = contract.Hyperparameters(image_size=IMAGE_SIZE)


def plan(threads: int) -> LoaderPlan:
    return LoaderPlan(threads=threads, batches_ahead=2, pin_memory=False)


def loader_of(workspace: Workspace, records: Sequence[contract.ImageRecord], **changes: Any) -> PhotoLoader:
    settings: dict[str, Any] = {
        "root": workspace.root / "dataset",
        "split": "train",
        "hyperparameters": HYPERPARAMETERS,
        "batch_size": 7,
        "shuffle": True,
        "seed": 3,
        **changes,
    }
    return PhotoLoader(records=records, **settings)


def same(first: Sequence[Batch], second: Sequence[Batch]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a, b)
        for one, other in zip(first, second, strict=True)
        for a, b in zip(vars(one).values(), vars(other).values(), strict=True)
    )


@pytest.fixture
def records(workspace: Workspace) -> list[contract.ImageRecord]:
    return workspace.fill(each=10)


def test_an_epoch_holds_every_photo_once_with_its_label(
    workspace: Workspace, records: list[contract.ImageRecord]
) -> None:
    loader = loader_of(workspace, records)
    batches = list(loader)
    assert len(batches) == len(loader) == 5
    assert [tuple(batch.images.shape) for batch in batches] == [(7, IMAGE_SIZE, IMAGE_SIZE, 3)] * 4 + [
        (2, IMAGE_SIZE, IMAGE_SIZE, 3)
    ]
    assert all(batch.images.dtype == torch.uint8 and batch.valid.all() for batch in batches)
    positions = torch.cat([batch.positions for batch in batches]).tolist()
    assert sorted(positions) == list(range(30))
    assert positions != sorted(positions)
    assert torch.cat([batch.labels for batch in batches]).tolist() == [records[at]["label"] for at in positions]


def test_the_number_of_threads_changes_nothing(workspace: Workspace, records: list[contract.ImageRecord]) -> None:
    one, many = (list(loader_of(workspace, records, plan=plan(threads))) for threads in (1, 5))
    assert same(one, many)


def test_every_epoch_has_another_order_and_other_views(
    workspace: Workspace, records: list[contract.ImageRecord]
) -> None:
    loader = loader_of(workspace, records, batch_size=30)
    (first,) = loader
    loader.set_epoch(1)
    (second,) = loader
    assert not torch.equal(first.positions, second.positions)
    views = [batch.images[int((batch.positions == 0).nonzero())] for batch in (first, second)]
    assert not torch.equal(views[0], views[1])
    loader.set_epoch(0)
    assert same([first], list(loader))


def test_an_epoch_begun_in_its_middle_is_the_rest_of_it(
    workspace: Workspace, records: list[contract.ImageRecord]
) -> None:
    whole = loader_of(workspace, records)
    whole.set_epoch(2)
    resumed = loader_of(workspace, records)
    resumed.set_epoch(2, start_batch=3)
    assert same(list(whole)[3:], list(resumed))


def test_the_plain_view_is_the_endpoints(workspace: Workspace, records: list[contract.ImageRecord]) -> None:
    for split, augment in (("validation", None), ("train", False)):
        (batch,) = loader_of(workspace, records, batch_size=30, shuffle=False, split=split, augment=augment)
        for at in (0, 11, 29):
            data = (workspace.root / "dataset" / records[at]["path"]).read_bytes()
            served = preprocess.plain_view(data, Preprocessing.usual(IMAGE_SIZE))
            np.testing.assert_array_equal(batch.images[at].numpy(), served)


def test_ranks_share_every_global_batch(workspace: Workspace, records: list[contract.ImageRecord]) -> None:
    (whole,) = ([set(batch.positions.tolist()) for batch in loader_of(workspace, records, batch_size=8)],)
    ranks = [list(loader_of(workspace, records, batch_size=4, rank=rank, world=2)) for rank in (0, 1)]
    together = [set(one.positions.tolist()) | set(other.positions.tolist()) for one, other in zip(*ranks, strict=True)]
    assert together == whole


def test_the_last_batch_is_filled_up_so_that_all_ranks_step_alike(
    workspace: Workspace, records: list[contract.ImageRecord]
) -> None:
    ranks = [list(loader_of(workspace, records[:10], batch_size=2, rank=rank, world=3)) for rank in range(3)]
    assert [[len(batch.labels) for batch in batches] for batches in ranks] == [[2, 2]] * 3
    valid = [at for batches in ranks for batch in batches for at in batch.positions[batch.valid].tolist()]
    assert sorted(valid) == list(range(10))
    assert sum(int((~batch.valid).sum()) for batches in ranks for batch in batches) == 2


def test_an_impossible_rank_is_refused(workspace: Workspace, records: list[contract.ImageRecord]) -> None:
    with pytest.raises(ValueError, match="rank 2 is not one of 2 ranks"):
        loader_of(workspace, records, rank=2, world=2)


def test_a_broken_photo_is_named_once_and_marked_every_epoch(
    workspace: Workspace, records: list[contract.ImageRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace.root / "dataset" / records[4]["path"]).write_bytes(b"\xff\xd8 no photo")
    loader = loader_of(workspace, records, batch_size=30, shuffle=False)
    epochs = []
    for epoch in range(2):
        loader.set_epoch(epoch)
        epochs += list(loader)
    for batch in epochs:
        assert (~batch.valid).nonzero().flatten().tolist() == [4]
        assert not batch.images[4].any()
    assert loader.broken.paths == [records[4]["path"]]
    assert capsys.readouterr().out.count("left out: ") == 1


def test_on_a_device_a_broken_photos_place_holds_another_photo_that_does_not_count(
    workspace: Workspace, records: list[contract.ImageRecord]
) -> None:
    """A black picture would count in batch norm's statistics, and its label in mixup's."""
    (workspace.root / "dataset" / records[4]["path"]).write_bytes(b"no photo")
    (batch,) = on_device(loader_of(workspace, records, batch_size=30, shuffle=False), torch.device("cpu"))
    assert (~batch.valid).nonzero().flatten().tolist() == [4]
    assert torch.equal(batch.images[4], batch.images[0])
    assert batch.labels[4] == batch.labels[0]
    assert len({image.numpy().tobytes() for image in batch.images}) == 29


def test_too_many_broken_photos_stop_the_loader(workspace: Workspace, records: list[contract.ImageRecord]) -> None:
    for record in records[:2]:
        (workspace.root / "dataset" / record["path"]).write_bytes(b"")
    with pytest.raises(JobError, match="2 of 30 photos are broken"):
        list(loader_of(workspace, records))


def test_an_empty_and_a_full_cache_give_the_same_views(
    workspace: Workspace, records: list[contract.ImageRecord], tmp_path: Path
) -> None:
    cold, warm = (loader_of(workspace, records, cache=tmp_path / "cache") for _ in range(2))
    first = list(cold)
    for record in records:
        (workspace.root / "dataset" / record["path"]).unlink()  # so that nothing but the cache can give them
    assert same(first, list(warm))


def test_the_cache_is_not_used_for_other_photos_under_the_same_names(
    workspace: Workspace, records: list[contract.ImageRecord], tmp_path: Path
) -> None:
    first = list(loader_of(workspace, records, cache=tmp_path / "cache"))
    changed: list[contract.ImageRecord] = [{**record, "etag": "other"} for record in records]
    for record, other in zip(records, reversed(records), strict=True):
        data = (workspace.root / "dataset" / other["path"]).read_bytes()
        (workspace.root / "swapped" / record["path"]).parent.mkdir(parents=True, exist_ok=True)
        (workspace.root / "swapped" / record["path"]).write_bytes(data)
    second = list(loader_of(workspace, changed, root=workspace.root / "swapped", cache=tmp_path / "cache"))
    assert not same(first, second)


def test_cached_views_show_what_uncached_ones_show(
    workspace: Workspace, records: list[contract.ImageRecord], tmp_path: Path
) -> None:
    (plain,) = loader_of(workspace, records, batch_size=30)
    (cached,) = loader_of(workspace, records, batch_size=30, cache=tmp_path / "cache")
    assert torch.equal(plain.positions, cached.positions)
    difference = (plain.images.float().mean(dim=(1, 2)) - cached.images.float().mean(dim=(1, 2))).abs()
    assert difference.max() < 6  # of 255: the same parts of the photos, at another resolution


def test_without_room_on_the_disk_photos_are_decoded_every_epoch(
    workspace: Workspace,
    records: list[contract.ImageRecord],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    assert sum(len(batch.labels) for batch in loader_of(workspace, records, cache=workspace.root / "cache")) == 30
    assert "decoded photos are not cached: that would need" in capsys.readouterr().out


def test_a_disk_that_is_full_by_then_costs_the_cache_and_not_the_training(
    workspace: Workspace,
    records: list[contract.ImageRecord],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = list(loader_of(workspace, records, cache=workspace.root / "cache"))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.data.decoded_cache.DecodedCache.put", full)
    loader = loader_of(workspace, records, cache=workspace.root / "full")
    assert same(expected, list(loader))
    assert same(expected, list(loader))
    assert capsys.readouterr().out.count("not cached: [Errno 28] No space left on device") == 1


def test_on_device_hands_over_every_batch_in_order(workspace: Workspace, records: list[contract.ImageRecord]) -> None:
    loader = loader_of(workspace, records)
    assert same(list(loader), list(on_device(loader, torch.device("cpu"))))


def test_leaving_an_epoch_early_leaves_no_thread_behind(
    workspace: Workspace, records: list[contract.ImageRecord]
) -> None:
    import threading

    batches = iter(loader_of(workspace, records))
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("photos")]


def test_the_plan_is_shown_and_shares_the_cores_among_local_ranks(
    workspace: Workspace,
    records: list[contract.ImageRecord],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("training.runtime.machine.cores", lambda: 16)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert plan_loader(batch_size=32, image_size=224) == LoaderPlan(threads=16, batches_ahead=8, pin_memory=True)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert plan_loader(batch_size=512, image_size=224) == LoaderPlan(threads=4, batches_ahead=3, pin_memory=True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    loader_of(workspace, records)
    assert "30 photos, 1 decoding threads, 8 batches ahead, pageable memory" in capsys.readouterr().out
