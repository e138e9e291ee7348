"""Entry point of the features job: run the frozen backbone once over every photo and keep its features.

Heads are then tuned and trained on these features in seconds. Every training photo is also embedded in `views`
augmented versions; the validation and test photos only as they are. Each of several hosts embeds its share of the
photos, on all of its GPUs; photos whose features are in the `previous` channel are not embedded again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import contract
from training.data.manifest import BrokenImages, Manifest, read_manifest, share_of
from training.embedding.embedder import Embedder, embed_photos
from training.embedding.files import SplitWriter, write_index
from training.embedding.pool import EmbedderPool
from training.embedding.previous import PreviousFeatures
from training.model.weights import load_backbone
from training.runtime import environment
from training.runtime.environment import JobError
from training.runtime.machine import cores

_COPIED_AT_ONCE = 1024


def main() -> None:
    """Write the features of this host's photos to the model folder: by the backbone, or by each that is searched."""
    hyperparameters = environment.hyperparameters()
    manifest = read_manifest(environment.channel(contract.Channel.MANIFEST))
    searched = os.environ.get(contract.JobVariable.BACKBONES)
    if searched is None:
        _embed_all(hyperparameters, manifest=manifest, folder=environment.model_dir())
        return
    for backbone in searched.split(","):
        folder = environment.model_dir() / contract.backbone_folder(backbone)
        _embed_all(replace(hyperparameters, backbone=backbone), manifest=manifest, folder=folder)


def _embed_all(hyperparameters: contract.Hyperparameters, *, manifest: Manifest, folder: Path) -> None:
    """Write the features of this host's validation, test and training photos to a folder, or to its part of it."""
    host, hosts = environment.hosts()

    # the backbone, and the features it will give
    backbone, weights = load_backbone(
        hyperparameters.backbone,
        image_size=hyperparameters.image_size,
        frozen=hyperparameters.mode == "features",  # fine-tuning begins with a head on what it will train
    )
    embedders = Embedder.on_all_devices(backbone)
    device, precision = embedders[0].device.type, embedders[0].precision
    spec = contract.feature_spec(
        hyperparameters,
        weights=weights,
        resize=backbone.preprocessing.resize,
        interpolation=backbone.preprocessing.interpolation,
        levels=embedders[0].backbone.level_sizes(image_size=hyperparameters.image_size),
        precision=precision,
    )
    key = os.environ.get(contract.JobVariable.FEATURES_KEY, "")
    index = contract.new_features_index(spec, key=key, classes=manifest.classes, host=host, hosts=hosts)
    print(
        f"features: {hyperparameters.backbone}, {index['dim']} values per photo, "
        f"on {f'{len(embedders)} GPUs' if len(embedders) > 1 else device} in {precision}, "
        f"{cores()} decoding threads, host {host + 1} of {hosts}",
        flush=True,
    )

    # this host's photos, and features of an earlier run
    previous = _previous(index)
    shares = {split: share_of(records, host=host, hosts=hosts) for split, records in manifest.records.items()}
    broken = BrokenImages(total=sum(len(share) for share in shares.values()))
    folder /= contract.features_part_folder(number=host, of=hosts)
    folder.mkdir(parents=True, exist_ok=True)

    # embed split by split; a mistake in the small ones shows early
    splits: tuple[contract.SplitName, ...] = ("validation", "test", "train")
    with EmbedderPool(embedders, backbone=hyperparameters.backbone) as pool:
        for split in splits:
            with SplitWriter(
                folder, split=split, views=index["views"][split], dim=index["dim"], precision=precision
            ) as writer:
                rest = shares[split]
                if previous is not None:
                    rest = _take_over(previous, writer, split=split, records=manifest.records[split], positions=rest)
                embed_photos(
                    pool,
                    writer,
                    name=f"features of {split}",
                    records=manifest.records[split],
                    positions=rest,
                    views=index["views"][split],
                    photos=environment.channel(contract.Channel.DATASET),
                    broken=broken,
                    hyperparameters=hyperparameters,
                    preprocessing=backbone.preprocessing,
                )
            index["counts"][split] = writer.count
            if len(shares[split]) and not writer.count:
                raise JobError(
                    f"none of the {len(shares[split])} {split} photos could be read; replace them and start again"
                )

    index["broken"] = broken.paths
    write_index(folder, index)
    print(f"features done: {sum(index['counts'].values())} photos, {len(broken.paths)} left out", flush=True)


def _previous(index: contract.FeaturesIndex) -> PreviousFeatures | None:
    """Return the previous features, if there are any of the same specification."""
    channel: Path | None = environment.optional_channel(contract.Channel.PREVIOUS_FEATURES)
    if channel is None:
        return None
    previous = PreviousFeatures(channel, backbone=index["backbone"])
    differences = previous.differs_in(index)
    if differences:
        print(f"previous features not used: made with another {', '.join(differences)}", flush=True)
        return None
    return previous


def _take_over(
    previous: PreviousFeatures,
    writer: SplitWriter,
    *,
    split: contract.SplitName,
    records: Sequence[contract.ImageRecord],
    positions: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Copy the features of the photos that the previous ones hold; return the positions of the others."""
    taken: set[int] = set()
    for known in previous.split(split):
        left = (int(position) for position in positions if int(position) not in taken)
        for batch, stored in known.copies(records, left, batch=_COPIED_AT_ONCE):
            writer.add_stored(stored, records=[records[position] for position in batch], positions=batch)
            taken.update(batch)
    print(f"features of {split}: {len(taken)} of {len(positions)} photos taken over from an earlier run", flush=True)
    return positions[~np.isin(positions, np.fromiter(taken, np.int64, len(taken)))]


if __name__ == "__main__":
    environment.run_job(main)
