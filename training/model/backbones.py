"""The network below the head: a classifier of torchvision, timm or another library, without its last layer.

A feature vector has one or two parts ("levels"):

* what the network's own classifier layer reads, and
* where the network is convolutional, its activations one resolution earlier (stride 16 of 32), averaged over the four
  quarters of the image. These still know shapes and where they are, which the last layer, made for ImageNet's
  classes, has forgotten. Reading intermediate activations beside the last ones is the idea of Head2Toe (Evci et al.,
  2022); here it takes 210 MNIST digits a class from 0.91 to 0.97 and does not hurt on photos.
"""

from __future__ import annotations

from itertools import takewhile

import torch
from torch import Tensor, nn

from training.model.architecture import Architecture, Statistics, wrong_image_size
from training.preprocess import Preprocessing
from training.runtime.environment import JobError

__all__ = ["Backbone", "Statistics", "channels_first", "quarter_slices", "split"]

_GLOBAL_POOL = "global_pool"
"""timm's name for the pooling before the classifier, and before what MobileNetV3 and V4 do to the pooled values."""


class Backbone(nn.Module):
    """From pixels to features; normalisation is part of it, so that no caller can forget it.

    Input: uint8, (N, S, S, 3), RGB. Output: float32, (N, dim).
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self, *, network: nn.Module, middle: nn.Module | None, statistics: Statistics, preprocessing: Preprocessing
    ):
        super().__init__()
        mean, std = torch.tensor(statistics.mean), torch.tensor(statistics.std)
        self.network = network
        self.preprocessing = preprocessing
        """How a photo becomes the pixels that it expects."""
        self.middle = [middle] if middle is not None else []  # in a list: it is the network's, not a second copy
        self.register_buffer("scale", (1 / (255 * std)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", (-mean / std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features of the images: the levels side by side."""
        return torch.cat(self.levels(images), dim=1)

    @torch.inference_mode()
    def level_sizes(self, *, image_size: int) -> list[int]:
        """Return the sizes of the parts of a feature vector, shallow to deep; their sum is `dim`."""
        blank = torch.zeros(1, image_size, image_size, 3, dtype=torch.uint8, device=self.scale.device)
        return [level.shape[1] for level in self.levels(blank)]

    def levels(self, images: Tensor) -> list[Tensor]:
        """Return the parts of the features, shallow to deep: float32, (N, size) each."""
        pixels = images.permute(0, 3, 1, 2).to(torch.float32) * self.scale + self.shift
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        seen: list[Tensor] = []
        watchers = [
            module.register_forward_hook(lambda _module, _inputs, output: seen.append(output)) for module in self.middle
        ]
        try:
            last = self.network(pixels)
        finally:
            for watcher in watchers:
                watcher.remove()
        return [*(_quarters(channels_first(activation)) for activation in seen), last.float()]


def split(network: nn.Module, *, architecture: Architecture, image_size: int) -> Backbone:
    """Take the classifier off a network and find the activations one resolution above its deepest ones.

    Raises:
        JobError: what is left of the network does not give features, or images of `image_size` are too small for it.
    """
    width = architecture.remove_classifier(network)
    network.eval().requires_grad_(False)

    # find the earlier activations, and try the whole on a blank image
    pretraining = architecture.pretraining
    try:
        middle = _middle(network, image_size=image_size)
        backbone = Backbone(
            network=network,
            middle=middle,
            statistics=pretraining.statistics,
            preprocessing=pretraining.preprocessing(image_size),
        ).eval()
        with torch.inference_mode():
            last = backbone.levels(torch.zeros(1, image_size, image_size, 3, dtype=torch.uint8))[-1]
    except (RuntimeError, AssertionError, IndexError, ValueError) as error:
        raise wrong_image_size(
            architecture.name, image_size=image_size, native=pretraining.image_size, error=error
        ) from error

    if last.ndim != 2 or width not in (last.shape[1], None):
        raise JobError(
            f"backbone {architecture.name!r} does not end in its last linear layer, so its features cannot be told "
            "from its classifier; choose another one, such as resnet50"
        )
    backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack this form
    return backbone


def _middle(network: nn.Module, *, image_size: int) -> nn.Module | None:
    """Return the last unit before the network's last halving of the resolution; None where it never halves.

    Units are the network's children, lists of layers opened one level: ResNet's blocks, EfficientNet's stages. A dry
    run on a blank image shows each one's resolution, so that no table of architectures is needed.
    """
    before_pooling = takewhile(lambda child: child[0] != _GLOBAL_POOL, network.named_children())
    units = [
        unit
        for _, child in before_pooling
        for unit in (child.children() if isinstance(child, (nn.Sequential, nn.ModuleList)) else [child])
        if not isinstance(unit, nn.AdaptiveAvgPool2d)
    ]
    seen: list[tuple[nn.Module, int]] = []

    def watch(module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            seen.append((module, channels_first(output).shape[-1]))

    watchers = [unit.register_forward_hook(watch) for unit in units]
    try:
        with torch.inference_mode():
            network(torch.zeros(1, 3, image_size, image_size))
    finally:
        for watcher in watchers:
            watcher.remove()
    runs = [module for module, _ in seen]
    sides = sorted({side for _, side in seen})
    if len(sides) < 3:  # a transformer cuts the image into patches once and keeps their number
        return None
    return [module for module, side in seen if side == sides[1] and runs.count(module) == 1][-1]


def channels_first(activation: Tensor) -> Tensor:
    """Return (N, C, H, W) of an activation that may be (N, H, W, C), as Swin's are: the equal sides are H and W."""
    _, first, second, third = activation.shape
    return activation.permute(0, 3, 1, 2) if first == second != third else activation


def _quarters(activation: Tensor) -> Tensor:
    """Average over the quarters of the image, which overlap by a row where the side is odd: (N, 4 C), float32.

    The same as adaptive average pooling to 2 x 2, in operations that every ONNX runtime has.
    """
    cuts = [activation[:, :, rows, columns] for rows, columns in quarter_slices(*activation.shape[2:])]
    return torch.cat([cut.float().mean(dim=(2, 3)) for cut in cuts], dim=1)


def quarter_slices(height: int, width: int) -> list[tuple[slice, slice]]:
    """Return the rows and columns of the quarters of an image, in the order of the features."""
    rows, columns = ((slice(0, (side + 1) // 2), slice(side // 2, side)) for side in (height, width))
    return [(of_rows, of_columns) for of_rows in rows for of_columns in columns]
