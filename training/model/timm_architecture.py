"""timm's networks, by name and tag of their weights: timm/resnet50.a1_in1k.

timm makes the network, resamples position embeddings to the image size and gives files of other projects its own names;
its configuration of the weights says how photos are to look. timm is imported for such a name only, since it takes
seconds.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, Final

from torch import Tensor, nn
from torch.hub import load_state_dict_from_url

from training.model.architecture import Architecture, Pretraining, Statistics, wrong_image_size
from training.model.hub import download
from training.model.state_dict import checksum, read_state
from training.runtime.environment import JobError

__all__ = ["TIMM_PREFIX", "TimmArchitecture"]

TIMM_PREFIX: Final = "timm/"

_OLD_FILE: Final = "pytorch_model.bin"
"""The weights in repositories that have none as safetensors."""

_REFUSED: Final = re.compile(r'(?:Missing|Unexpected) key\(s\) in state_dict: "[^"]+"|size mismatch for [^:]+')
"""What torch's message says of the weights that do not fit: the first of each kind."""


class TimmArchitecture(Architecture):
    """A network of timm and the weights chosen for it."""

    def __init__(self, name: str, *, tag: str):
        """Look the name and the tag up; without a tag, timm's own choice of weights is meant.

        Raises:
            JobError: timm has no such network, or it has no such weights.
        """
        import timm

        super().__init__(f"{TIMM_PREFIX}{name}.{tag}" if tag else f"{TIMM_PREFIX}{name}")
        if not timm.is_model(name):
            near = difflib.get_close_matches(name, timm.list_models(), n=5, cutoff=0.5)
            raise JobError(
                f"timm {timm.__version__} has no network {name!r}; set training.backbone to one of those that "
                f"timm.list_models() lists{f', such as {TIMM_PREFIX}' if near else ''}{f', {TIMM_PREFIX}'.join(near)}"
            )
        tags = [weights.partition(".")[2] for weights in timm.list_pretrained(f"{name}.*")]
        if tag and tag.lower() not in tags:
            raise JobError(
                f"timm {timm.__version__} has no weights {tag!r} of {name!r}; set training.backbone to "
                f"{TIMM_PREFIX}{name} and a dot and one of {', '.join(tags) or '(it has none)'}, or leave the tag out"
            )
        self._model = f"{name}.{tag.lower()}" if tag else name
        self._config: Any = timm.get_pretrained_cfg(self._model)

    @property
    def pretraining(self) -> Pretraining:
        """Return what timm's configuration of the weights says.

        Its few ways to fit a photo into the square without cropping (`crop_mode`) are not taken: a photo is cropped.
        """
        image_size = self._config.input_size[-1]
        return Pretraining(
            statistics=Statistics(mean=tuple(self._config.mean), std=tuple(self._config.std)),
            image_size=image_size,
            resize=int(image_size / self._config.crop_pct),  # timm rounds down
            interpolation="bilinear" if self._config.interpolation == "bilinear" else "bicubic",
        )

    def build(self, *, image_size: int) -> nn.Module:
        """Return the network with random weights."""
        return self._create(image_size=image_size)

    def fetch(self) -> tuple[str, dict[str, Tensor]]:
        """Download the weights from Hugging Face's hub, or from where else timm says.

        Raises:
            JobError: timm has no weights of this network, or they cannot be downloaded.
        """
        hub, url = self._config.hf_hub_id, self._config.url
        if hub:
            return self._from_hugging_face(hub)
        if url:
            folder, _, file = url.rpartition("/")
            with download(self.name, file=file, source=folder, key=f"weights/{file}"):
                return file, load_state_dict_from_url(url, map_location="cpu", progress=False, weights_only=True)
        raise JobError(
            f"timm has no pretrained weights of {self._model}; put a file of its weights into the data bucket and set "
            "training.weights to that key, or choose another backbone"
        )

    def load(self, state: dict[str, Tensor], *, origin: str, image_size: int) -> tuple[nn.Module, str]:
        """See `Architecture.load`; timm's own loader resamples, renames, and insists on every weight."""
        layers = self._classifiers()
        fixed = {key: value for key, value in state.items() if not key.startswith(tuple(f"{at}." for at in layers))}
        classes = next((len(state[f"{at}.weight"]) for at in layers if f"{at}.weight" in state), None)

        # a file of another project names its classifier otherwise: then it is of timm's number of classes
        tried = [classes] if classes is not None else [0, self._config.num_classes]
        refused: Exception | None = None
        for number in dict.fromkeys(tried):
            try:
                return self._create(image_size=image_size, state=state, classes=number), checksum(fixed)
            except JobError:
                raise
            except (RuntimeError, LookupError, TypeError, AttributeError) as error:  # of timm's renaming, too
                refused = refused or error
        reasons = _REFUSED.findall(str(refused)) or [f"timm cannot read them ({refused!r:.300})"]
        raise JobError(
            f"the weights in {origin} are not those of {self.name}: {'; '.join(reasons[:3])}; "
            "make training.backbone and training.weights the same network"
        ) from refused

    def remove_classifier(self, network: nn.Module) -> None:
        """Take the classifier off as timm does: what it does before its last layer, such as a norm, stays.

        Raises:
            JobError: the network does not know how.
        """
        try:
            network.reset_classifier(0)  # type: ignore[operator]
        except Exception as error:  # timm's networks write this method one by one
            raise JobError(
                f"timm cannot take the classifier off backbone {self.name!r} ({error}); "
                "choose another one, such as timm/resnet50"
            ) from error

    def _from_hugging_face(self, repository: str) -> tuple[str, dict[str, Tensor]]:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        first = self._config.hf_hub_filename or "model.safetensors"
        source = f"the repository {repository} of Hugging Face's hub"
        key = f"weights/{repository.rpartition('/')[2]}{Path(first).suffix}"
        with download(self.name, file=first, source=source, key=key):
            try:
                return first, read_state(Path(hf_hub_download(repository, first)))
            except LocalEntryNotFoundError:  # a kind of EntryNotFoundError: no connection, and none of it in the cache
                raise
            except EntryNotFoundError:
                return _OLD_FILE, read_state(Path(hf_hub_download(repository, _OLD_FILE)))

    def _classifiers(self) -> tuple[str, ...]:
        named = self._config.classifier or ()
        return (named,) if isinstance(named, str) else tuple(named)

    def _create(
        self, *, image_size: int, state: dict[str, Tensor] | None = None, classes: int | None = None
    ) -> nn.Module:
        import timm

        options: dict[str, Any] = {}
        if self._config.fixed_input_size:
            options["img_size"] = image_size
        if state is not None:
            # The configuration describes the given weights: with as many classes as asked for, none may lack.
            options["pretrained_cfg_overlay"] = {
                "state_dict": dict(state),
                "num_classes": classes,
                "label_offset": 0,
                "custom_load": False,
            }
            options["num_classes"] = classes
        try:
            network: nn.Module = timm.create_model(self._model, pretrained=state is not None, **options)
        except (AssertionError, ValueError) as error:  # an image size that the patches do not divide
            raise wrong_image_size(
                self.name, image_size=image_size, native=self.pretraining.image_size, error=error
            ) from error
        return network
