"""What is kept of photos by their content: it comes back, survives an interruption, and is known to the next check."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import contract
from tests.training.doctor.pictures import photo
from training.doctor.kept import KeptPhotos
from training.doctor.pixels import measure

PIXELS = np.stack([measure(photo(seed), size=(320, 240)) for seed in range(3)])
FEATURES = np.random.default_rng(1).normal(0, 1, (3, 8)).astype(np.float32)
CONTENTS = [bytes([number]) * 32 for number in range(3)]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_was_kept_is_found_again_in_any_order(tmp_path: Path, precision: contract.FeaturePrecision) -> None:
    file = tmp_path / "kept" / "a.photos"
    with KeptPhotos.open(file, dim=8, precision=precision) as kept:
        kept.add(CONTENTS[:2], pixels=PIXELS[:2], features=FEATURES[:2])
        kept.add(CONTENTS[2:], pixels=PIXELS[2:], features=FEATURES[2:])
        assert CONTENTS[2] in kept
    with KeptPhotos.open(file, dim=8, precision=precision) as kept:
        assert bytes(32)[:31] + b"x" not in kept
        order = [2, 0, 2]
        assert (kept.pixels([CONTENTS[at] for at in order]) == PIXELS[order]).all()
        assert np.allclose(kept.features([CONTENTS[at] for at in order]), FEATURES[order], rtol=0.01)


def test_a_record_that_was_cut_short_is_left_out_and_written_anew(tmp_path: Path) -> None:
    file = tmp_path / "a.photos"
    with KeptPhotos.open(file, dim=8, precision="float32") as kept:
        kept.add(CONTENTS, pixels=PIXELS, features=FEATURES)
    file.write_bytes(file.read_bytes()[:-5])
    with KeptPhotos.open(file, dim=8, precision="float32") as kept:
        assert [content in kept for content in CONTENTS] == [True, True, False]
        kept.add(CONTENTS[2:], pixels=PIXELS[2:], features=FEATURES[2:])
    with KeptPhotos.open(file, dim=8, precision="float32") as kept:
        assert np.array_equal(kept.features(CONTENTS), FEATURES)
