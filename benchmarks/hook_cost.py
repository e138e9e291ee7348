"""The cost of the debugger hook at its default setting, beside smdebug's own hook set up as its documentation shows.

* Features (`hook/features.py`): the hook's share of the CPU time of a whole best-trial job on the features of a frozen
  backbone. A head's step is so short that what the hook adds to the loop is given in the unit, too.
* Fine-tuning (`hook/finetune.py`): the hook's share of a fine-tuning of a ResNet50, from steps with nothing saved, with
  their loss saved, and with everything saved.

The candidates take turns, and CPU time is measured, so that a busy neighbour does not count.
"""

from __future__ import annotations

import sys

import torch

from benchmarks.hook.features import features
from benchmarks.hook.finetune import finetune
from benchmarks.result import Result, emit


def run(*, quick: bool) -> list[Result]:
    torch.set_num_threads(1)
    return [features(quick=quick), finetune(quick=quick)]


if __name__ == "__main__":
    emit(run(quick="--quick" in sys.argv))
