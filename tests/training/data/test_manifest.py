"""The manifest, and reading photos it names."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import contract
from tests.training.conftest import Workspace
from training.data.manifest import in_order, read_manifest, read_photo, share_of
from training.preprocess import ImageError
from training.runtime.environment import JobError


def many(workspace: Workspace, count: int) -> list[contract.ImageRecord]:
    splits = contract.SPLITS
    records: list[contract.ImageRecord] = [
        {"path": f"class é/{at:08}.jpg", "label": at % 7, "split": splits[at % 3], "etag": f"{at:032x}"}
        for at in range(count)
    ]
    workspace.write_manifest(records)
    return records


def test_records_are_those_of_the_manifest_in_its_order(workspace: Workspace) -> None:
    records = many(workspace, 30)
    manifest = read_manifest(workspace.root / "manifest")
    for split in contract.SPLITS:
        expected = [record for record in records if record["split"] == split]
        assert list(manifest.records[split]) == expected
        assert len(manifest.records[split]) == 10
        assert manifest.records[split][3] == expected[3]
        assert manifest.records[split][2:5] == expected[2:5]
        with pytest.raises(IndexError):
            manifest.records[split][10]


def test_a_large_manifest_is_not_held_in_memory(workspace: Workspace) -> None:
    many(workspace, 60_000)
    tracemalloc.start()
    try:
        manifest = read_manifest(workspace.root / "manifest")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(map(len, manifest.records.values())) == 60_000
    assert held < 20 * 60_000  # bytes a photo; as dictionaries they would be more than 500


def test_records_can_be_read_by_many_threads(workspace: Workspace) -> None:
    records = many(workspace, 3000)
    train = read_manifest(workspace.root / "manifest").records["train"]
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(train.__getitem__, range(len(train))))
    assert read == [record for record in records if record["split"] == "train"]


def test_a_manifest_that_is_no_json_is_refused(workspace: Workspace) -> None:
    many(workspace, 30)
    (workspace.root / "manifest" / contract.Artefact.MANIFEST).write_text("{")
    with pytest.raises(JobError, match=r"cannot be read.*start the state machine again"):
        read_manifest(workspace.root / "manifest")


def test_hosts_share_the_photos_by_their_keys(workspace: Workspace) -> None:
    records = many(workspace, 3000)
    shares = [share_of(records, host=host, hosts=3) for host in range(3)]
    assert sorted(at for share in shares for at in share.tolist()) == list(range(3000))
    assert all(900 < len(share) < 1100 for share in shares)
    fewer = [share_of(records[100:], host=host, hosts=3) for host in range(3)]
    for share, rest in zip(shares, fewer, strict=True):
        assert [at + 100 for at in rest.tolist()] == [at for at in share.tolist() if at >= 100]


def test_a_host_without_photos_has_an_empty_share(workspace: Workspace) -> None:
    records = many(workspace, 3)[:1]
    assert sorted(len(share_of(records, host=host, hosts=2)) for host in range(2)) == [0, 1]


@pytest.mark.parametrize(
    "path", ["../secret.jpg", "a/../../secret.jpg", "/etc/hostname", "a", "nowhere.jpg", "b.jpg/c.jpg"]
)
def test_only_files_of_the_channel_are_read(tmp_path: Path, path: str) -> None:
    root = tmp_path / "dataset"
    (root / "a").mkdir(parents=True)
    (root / "b.jpg").write_bytes(b"b")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    assert read_photo(root, "b.jpg") == b"b"
    with pytest.raises(ImageError, match="not in the dataset channel"):
        read_photo(root, path)


def test_work_is_done_ahead_and_handed_over_in_order() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise ImageError("three")
        return item * item

    results = in_order(work, iter(range(100)), ahead=5)
    first = [next(results) for _ in range(5)]
    assert [item for item, _ in first] == [0, 1, 2, 3, 4]
    assert [result for _, result in first if not isinstance(result, ImageError)] == [0, 1, 4, 16]
    assert isinstance(first[3][1], ImageError)
    assert len(begun) <= 10
    results.close()  # type: ignore[attr-defined]


def test_an_unexpected_error_ends_the_work(tmp_path: Path) -> None:
    def work(item: int) -> int:
        raise OSError(f"disk {item}")

    with pytest.raises(OSError, match="disk 0"):
        list(in_order(work, range(3), ahead=2))
