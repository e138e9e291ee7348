"""What in a photo speaks for its likeliest class: the logit's parts by place, exact for a linear head on averages.

The features of a level are averages of activations over places, and the head is linear. So a class's logit is its bias
plus a sum over places of weights times activations there: class activation mapping (Zhou et al., 2016), here for both
levels of the features. No second model and no approximation is needed, and the network runs once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from training.model.backbones import Backbone, channels_first, quarter_slices
from training.model.classifier import Classifier

__all__ = ["Evidence", "Explained", "find_evidence"]

_SAME: Final = 1e-4
"""Largest difference, relative to the largest feature, between the features and the averages of the right map."""


@dataclass(frozen=True, eq=True)
class _Place:
    """Where in a network a map can be seen: before or after one of its modules."""

    module: nn.Module
    before: bool

    def watch(self, see: Callable[[Tensor], object]) -> RemovableHandle:
        """Have each map seen there as the network runs."""

        def hook(_module: nn.Module, inputs: tuple[object, ...], output: object = None) -> None:
            values = inputs[0] if self.before and inputs else output
            if isinstance(values, Tensor) and values.ndim == 4:
                see(values)

        return self.module.register_forward_pre_hook(hook) if self.before else self.module.register_forward_hook(hook)


class Evidence(nn.Module):
    """From activations and the head's weights to the evidence for the likeliest class, (N, rows, columns).

    The evidence is the class's own minus the mean over all classes, for a softmax tells classes apart by differences
    alone. Its sum over all places is the class's logit minus the mean of all logits, both without their biases. One
    class and not all of them, since ONNX Runtime computes every output of a file, also those that nobody asks for: like
    this it costs the same with a thousand classes as with two.
    """

    masks: Tensor
    to_rows: Tensor
    to_columns: Tensor

    def __init__(self, places: list[_Place], *, sides: list[tuple[int, int]]):
        """Prepare what the places are weighted with.

        Args:
            places: where the network makes the levels' maps, shallow to deep: one whose averages over the whole image
                are the features of the deepest level, and for two levels first one whose averages over its quarters are
                those of the other.
            sides: rows and columns of the maps.
        """
        super().__init__()
        self._places = places
        finer, self._grid = sides[0], sides[-1]
        self.register_buffer("masks", _quarter_masks(*finer), persistent=False)
        self.register_buffer("to_rows", _shares(finer[0], self._grid[0]), persistent=False)
        self.register_buffer("to_columns", _shares(finer[1], self._grid[1]).T.contiguous(), persistent=False)

    @contextmanager
    def watching(self) -> Iterator[list[Tensor]]:
        """Fill the list that it gives with the levels' maps, shallow to deep, as the network runs."""
        maps: list[Tensor] = []
        with ExitStack() as stack:
            for place in self._places:
                stack.callback(place.watch(maps.append).remove)
            yield maps

    def forward(self, maps: list[Tensor], *, weight: Tensor, likeliest: Tensor, mirrored: bool) -> Tensor:
        """Return the evidence, on the grid of the deepest level.

        Args:
            maps: as `watching` found them, of N photos.
            weight: of the head, (classes, dim).
            likeliest: index of the likeliest class, (N,).
            mirrored: whether the maps are of 2 N photos, where each is followed by its mirror image, and the logits are
                the mean of both.
        """
        # the likeliest class's weights against all others'
        against = weight[likeliest] - weight.mean(dim=0)
        activations = [channels_first(values).float() for values in maps]
        if mirrored:
            against = against.repeat_interleave(2, dim=0)

        # the deepest level
        *middle, last = activations
        width = last.shape[1]
        evidence = (against[:, None, -width:] @ last.flatten(2)).reshape(-1, *self._grid)
        evidence = evidence / (self._grid[0] * self._grid[1])

        # the level before, whose places are smaller
        for values in middle:
            of_quarters = against[:, :-width].reshape(-1, len(self.masks), values.shape[1]) @ values.flatten(2)
            finer = (of_quarters.reshape(-1, *self.masks.shape) * self.masks).sum(dim=1)
            evidence = evidence + self.to_rows @ finer @ self.to_columns

        if not mirrored:
            return evidence
        of_photo, of_mirror_image = evidence.reshape(-1, 2, *self._grid).unbind(dim=1)
        return (of_photo + of_mirror_image.flip(2)) / 2


class Explained(nn.Module):
    """A model that gives the evidence after its other outputs; the weights keep the names that they have in it."""

    def __init__(self, model: nn.Module, *, classifier: Classifier, evidence: Evidence):
        """Add an output.

        Args:
            model: gives probabilities, (N, classes), as its only or its first output.
            classifier: that runs in it; its head is linear.
            evidence: of the classifier's network.
        """
        super().__init__()
        for name, child in model.named_children():
            self.add_module(name, child)
        self.evidence = evidence
        self._run = model.forward
        self._head: list[nn.Module] = [classifier.head]  # in a list: it is the model's, not a second copy
        self._mirrored = classifier.average_mirrored

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the model's outputs and the evidence, in one pass."""
        with self.evidence.watching() as maps:
            found = self._run(image)
        outputs: tuple[Tensor, ...] = found if isinstance(found, tuple) else (found,)
        evidence = self.evidence(
            maps, weight=self._head[0].weight, likeliest=outputs[0].argmax(dim=1), mirrored=self._mirrored
        )
        return (*outputs, evidence)


@torch.inference_mode()
def find_evidence(backbone: Backbone, head: nn.Module) -> Evidence | None:
    """Return what finds the evidence in this network's activations; None where logits have no exact parts by place.

    That is so where the head is not linear, and where the features are no averages of a map of several places, but a
    class token, pooled by attention, or normalised once more. A try on noise shows it, so that no table of
    architectures is needed.
    """
    if not isinstance(head, nn.Linear):
        return None
    size = backbone.preprocessing.image_size
    noise = torch.randint(0, 256, (2, size, size, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)

    # every map that the network makes on its way
    seen: list[tuple[_Place, Tensor]] = []
    places = [_Place(module, before) for module in backbone.network.modules() for before in (True, False)]
    with ExitStack() as stack:
        for place in places:
            stack.callback(place.watch(partial(_keep, seen, place)).remove)
        levels = backbone.levels(noise.to(backbone.scale.device))
    runs = Counter(place for place, _ in seen)
    maps = {place: channels_first(values) for place, values in seen if runs[place] == 1}

    # the largest one whose averages are the features: what pooling leaves is a map, too, of a single place
    fitting = [place for place, values in maps.items() if _is_average(levels[-1], values)]
    if not fitting:
        return None
    last = max(reversed(fitting), key=lambda place: maps[place].shape[2:].numel())
    chosen = [*(_Place(module, before=False) for module in backbone.middle), last]
    sides = [(maps[place].shape[2], maps[place].shape[3]) for place in chosen]
    return Evidence(chosen, sides=sides) if max(sides[-1]) > 1 else None


def _keep(seen: list[tuple[_Place, Tensor]], place: _Place, values: Tensor) -> None:
    seen.append((place, values))


def _is_average(features: Tensor, values: Tensor) -> bool:
    if values.shape[:2] != features.shape:
        return False
    return bool((values.float().mean(dim=(2, 3)) - features).abs().max() <= _SAME * features.abs().max())


def _quarter_masks(rows: int, columns: int) -> Tensor:
    """Return how much each place counts in the average over each quarter, (4, rows, columns)."""
    masks = torch.zeros(4, rows, columns)
    for mask, quarter in zip(masks, quarter_slices(rows, columns), strict=True):
        mask[quarter] = 1 / mask[quarter].numel()
    return masks


def _shares(finer: int, coarser: int) -> Tensor:
    """Return how much of each of the finer places lies in each of the coarser, (coarser, finer); columns sum to 1."""
    edges = torch.arange(finer + 1, dtype=torch.float64) * coarser / finer
    place = torch.arange(coarser, dtype=torch.float64)[:, None]
    overlap = (torch.minimum(edges[1:], place + 1) - torch.maximum(edges[:-1], place)).clamp(min=0)
    return (overlap / overlap.sum(dim=0)).float()
