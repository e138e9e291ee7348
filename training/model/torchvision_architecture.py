"""torchvision's classifiers, by name and tag of their weights: resnet50, vit_b_16.IMAGENET1K_SWAG_E2E_V1."""

from __future__ import annotations

import re
import warnings
from collections import OrderedDict
from typing import Any, Final

from torch import Tensor, nn

import contract
from training.model.architecture import LinearArchitecture, Pretraining, Statistics, wrong_image_size
from training.model.hub import download
from training.model.packaged import PACKAGED
from training.runtime.environment import JobError

__all__ = ["TorchvisionArchitecture"]

_FIRST_RECIPE: Final = "IMAGENET1K_V1"
"""The tag of the weights that were trained by the plain recipe, where there are others."""

_OLD_DENSENET: Final = re.compile(r"^(.*denselayer\d+\.(?:norm|conv))\.([12]\..*)$")
"""Names of DenseNet's weights in the files of torchvision's hub, which torchvision renames as it loads them."""


class TorchvisionArchitecture(LinearArchitecture):
    """A classifier of torchvision and the weights chosen for it."""

    def __init__(self, name: str, *, tag: str, frozen: bool):
        """Look the name and the tag up.

        Args:
            name: as torchvision lists it.
            tag: of the weights, in any case. Empty: those of the plain recipe for a frozen backbone, since the newer
                recipes make features that transfer worse; torchvision's recommended ones for fine-tuning.
            frozen: whether the backbone's features are used as they are.

        Raises:
            JobError: torchvision has no such classifier, or it has no such weights.
        """
        from torchvision import models

        super().__init__(f"{name}.{tag}" if tag else name)
        known = models.list_models(module=models)
        if name not in known:
            raise JobError(
                f"there is no backbone {name!r}; set training.backbone to {', '.join(PACKAGED)}, timm/ and a name of "
                f"timm, or a classifier of torchvision: {', '.join(known)}"
            )
        self._model = name
        every = models.get_model_weights(name)
        if tag and tag.upper() not in every.__members__:
            raise JobError(
                f"backbone {name!r} has no weights {tag!r}; set training.backbone to {name} and a dot and one of "
                f"{', '.join(weights.name for weights in every)}, or leave the tag out"
            )
        first = every.__members__.get(_FIRST_RECIPE) if frozen else None
        self._weights: Any = every[tag.upper()] if tag else first or every.DEFAULT

    @property
    def pretraining(self) -> Pretraining:
        """Return what the chosen weights' own transforms do."""
        transforms = self._weights.transforms()
        interpolation: contract.Interpolation = "bicubic" if transforms.interpolation.value == "bicubic" else "bilinear"
        return Pretraining(
            statistics=Statistics(mean=tuple(transforms.mean), std=tuple(transforms.std)),
            image_size=transforms.crop_size[0],
            resize=transforms.resize_size[0],
            interpolation=interpolation,
        )

    def build(self, *, image_size: int) -> nn.Module:
        """Return the classifier with random weights."""
        from torchvision import models

        size: dict[str, Any] = {}
        if self._model.startswith("vit_"):
            size = {"image_size": image_size}
        elif self._model.startswith("maxvit"):
            size = {"input_size": (image_size, image_size)}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # GoogLeNet and Inception warn of their slow initialisation
                network: nn.Module = models.get_model(self._model, weights=None, **size)
        except (RuntimeError, AssertionError, ValueError) as error:
            raise wrong_image_size(
                self.name, image_size=image_size, native=self.pretraining.image_size, error=error
            ) from error
        if hasattr(network, "transform_input"):
            network.transform_input = True  # type: ignore[assignment]  # Inception's weights are of other statistics
        return network

    def fetch(self) -> tuple[str, dict[str, Tensor]]:
        """Download the weights; torchvision checks them against the hash in their file's name."""
        file = self._weights.url.rpartition("/")[2]
        with download(self.name, file=file, source="torchvision's hub", key=f"weights/{file}"):
            return file, self._weights.get_state_dict(progress=False, check_hash=True)

    def adapted(self, state: dict[str, Tensor], *, network: nn.Module) -> dict[str, Tensor]:
        """Give DenseNet's old names the new form; resample a transformer's position embeddings to the image size."""
        from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

        state = {_OLD_DENSENET.sub(r"\1\2", key): value for key, value in state.items()}
        positions = state.get("encoder.pos_embedding")
        if isinstance(network, VisionTransformer) and positions is not None:
            state = interpolate_embeddings(network.image_size, network.patch_size, OrderedDict(state))
        return state
