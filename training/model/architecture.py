"""What a backbone's name stands for: a network of some library, its weights, and what they expect of a photo."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

import contract
from training.model.state_dict import checksum, load_whole, versions_of
from training.preprocess import Preprocessing
from training.runtime.environment import JobError

__all__ = ["Architecture", "LinearArchitecture", "Pretraining", "Statistics", "wrong_image_size"]


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of each colour, 0 to 1, that a network's weights expect."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """How photos looked to the network when its weights were evaluated."""

    statistics: Statistics
    image_size: int
    """Side of the square crop, in pixels."""
    resize: int
    """Shorter side before the crop, in pixels."""
    interpolation: contract.Interpolation

    def preprocessing(self, image_size: int) -> Preprocessing:
        """Return the preprocessing for crops of another size: the crop stays the same part of the photo."""
        return Preprocessing(
            image_size=image_size,
            resize=round(image_size * self.resize / self.image_size),
            interpolation=self.interpolation,
        )


class Architecture(ABC):
    """A network by name. A library that backbones come from is a subclass."""

    def __init__(self, name: str):
        """Remember the name, as the hyperparameter `backbone` has it, for messages."""
        self.name = name

    @property
    @abstractmethod
    def pretraining(self) -> Pretraining:
        """What the weights expect."""

    @abstractmethod
    def build(self, *, image_size: int) -> nn.Module:
        """Return the network, its classifier included, with random weights.

        Raises:
            JobError: it does not take images of this size.
        """

    @abstractmethod
    def fetch(self) -> tuple[str, dict[str, Tensor]]:
        """Return the pretrained weights, and the name of their file.

        Raises:
            JobError: they cannot be downloaded.
        """

    @abstractmethod
    def load(self, state: dict[str, Tensor], *, origin: str, image_size: int) -> tuple[nn.Module, str]:
        """Return the network with these weights, and the SHA-256 of the weights.

        The classifier's weights may be of any number of classes, or lack; they do not count in the SHA-256. Nor does
        the image size, by which some weights are resampled as they are loaded.

        Args:
            state: the weights.
            origin: the name of their file, for messages.
            image_size: side of the network's input, in pixels.

        Raises:
            JobError: the weights are not those of this network.
        """

    @abstractmethod
    def remove_classifier(self, network: nn.Module) -> int | None:
        """Take off what follows the features; return their number, if it is known before the network is run.

        Raises:
            JobError: there is no classifier that could be told from the rest.
        """


def wrong_image_size(name: str, *, image_size: int, native: int, error: Exception) -> JobError:
    """Return the error of a network that does not take images of this size."""
    reason = " ".join(str(error).split())[:300]
    return JobError(
        f"backbone {name!r} does not take images of {image_size} x {image_size} pixels ({reason}); "
        f"set training.image_size to what it was trained with, {native}"
    )


class LinearArchitecture(Architecture):
    """A network whose classifier is its last linear layer."""

    def adapted(self, state: dict[str, Tensor], *, network: nn.Module) -> dict[str, Tensor]:
        """Return the weights as this network, built for its image size, takes them."""
        del network
        return state

    def load(self, state: dict[str, Tensor], *, origin: str, image_size: int) -> tuple[nn.Module, str]:
        """See `Architecture.load`."""
        network = self.build(image_size=image_size)
        layer = self._classifier(network)
        versions = versions_of(state)
        state = {key: value for key, value in state.items() if not key.startswith(f"{layer}.")}
        load_whole(
            network,
            self.adapted(state, network=network),
            versions=versions,
            but=layer,
            name=self.name,
            origin=origin,
        )

        # what a file may leave out counts as well
        others = {key: value for key, value in network.state_dict().items() if not key.startswith(f"{layer}.")}
        return network, checksum({**others, **state})

    def remove_classifier(self, network: nn.Module) -> int:
        """Take the last linear layer off; return the number of its inputs."""
        path = self._classifier(network)
        width = cast(nn.Linear, network.get_submodule(path)).in_features
        network.set_submodule(path, nn.Identity())
        return width

    def _classifier(self, network: nn.Module) -> str:
        """Return the dotted name of the classifier.

        Raises:
            JobError: the network has no linear layer; SqueezeNet ends in a convolution.
        """
        linear: list[str] = [path for path, module in network.named_modules() if isinstance(module, nn.Linear)]
        if not linear:
            raise JobError(
                f"backbone {self.name!r} does not end in a linear layer, so its features cannot be told from its "
                "classifier; choose another one, such as resnet50"
            )
        return linear[-1]
