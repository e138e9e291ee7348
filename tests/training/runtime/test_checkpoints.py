from __future__ import annotations

from pathlib import Path

import pytest
import torch

from training.runtime.checkpoints import Checkpoints, empty

IDENTITY = {"learning_rate": 0.1, "dataset": "f"}


def checkpoints(folder: Path | None, **identity: object) -> Checkpoints:
    return Checkpoints(folder, identity={**IDENTITY, **identity})


def saved(folder: Path, *steps: int) -> list[Path]:
    writer = checkpoints(folder)
    for step in steps:
        writer.save({"step": step, "weights": torch.full((3,), float(step))})
    return sorted(folder.iterdir())


def test_the_newest_state_comes_back_and_only_one_older_is_kept(tmp_path: Path) -> None:
    files = saved(tmp_path, 1, 2, 3)
    assert len(files) == 2
    state = checkpoints(tmp_path).load()
    assert state is not None
    assert state["step"] == 3
    assert torch.equal(state["weights"], torch.full((3,), 3.0))


@pytest.mark.parametrize("damage", ["flipped bit", "cut", "empty", "other file"])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = saved(tmp_path, 1, 2)[-1]
    content = bytearray(newest.read_bytes())
    if damage == "flipped bit":
        content[len(content) // 2] ^= 1
    newest.write_bytes(
        {"flipped bit": bytes(content), "cut": bytes(content[:-20]), "empty": b"", "other file": b"x" * 999}[damage]
    )
    reader = checkpoints(tmp_path)
    state = reader.load()
    assert state is not None
    assert state["step"] == 1
    assert f"warning: {newest.name} is damaged" in capsys.readouterr().out
    reader.save({"step": 5})
    again = checkpoints(tmp_path).load()
    assert again is not None
    assert again["step"] == 5


def test_nothing_is_found_where_all_are_damaged(tmp_path: Path) -> None:
    for path in saved(tmp_path, 1, 2):
        path.write_bytes(b"")
    assert checkpoints(tmp_path).load() is None


def test_checkpoints_of_other_hyperparameters_are_ignored_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = saved(tmp_path, 1, 2)
    other = checkpoints(tmp_path, learning_rate=0.2)
    assert other.load() is None
    assert "warning: 2 checkpoints of other hyperparameters, data or weights are ignored" in capsys.readouterr().out
    for step in range(4):
        other.save({"step": step})
    assert set(files) <= set(tmp_path.iterdir())


def test_a_trial_discards_its_own_checkpoints_only(tmp_path: Path) -> None:
    files = saved(tmp_path, 1, 2)
    other = checkpoints(tmp_path, learning_rate=0.2)
    other.save({"step": 1})
    other.discard()
    assert sorted(tmp_path.iterdir()) == files
    assert other.load() is None
    checkpoints(None).discard()


def test_a_job_that_has_its_results_empties_its_folder(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    (tmp_path / "tensors-00001-steps-0-7.tar").write_bytes(b"tensors")
    empty(tmp_path)
    assert list(tmp_path.iterdir()) == []
    empty(None)


def test_a_write_that_was_cut_off_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, 1)

    def full(_number: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        checkpoints(tmp_path).save({"step": 2})
    monkeypatch.undo()
    state = checkpoints(tmp_path).load()
    assert state is not None
    assert state["step"] == 1
    assert [path.suffix for path in tmp_path.iterdir()] == [".pt"]


def test_a_job_without_a_checkpoint_folder_trains_without(tmp_path: Path) -> None:
    none = checkpoints(None)
    none.save({"step": 1})
    assert (none.load(), none.due(), none.kept) == (None, False, False)


def test_a_checkpoint_is_due_after_a_while(tmp_path: Path) -> None:
    impatient = Checkpoints(tmp_path, identity=IDENTITY, every=0.0)
    patient = Checkpoints(tmp_path, identity=IDENTITY, every=1000.0)
    assert (impatient.due(), patient.due()) == (True, False)
