"""Photos in uint8 batches, decoded ahead of the network by threads: the input of fine-tuning.

Decoders and resizers release Python's global interpreter lock, so threads keep every core busy without the copies and
the start-up time of worker processes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import contract
from training.data.decoded_cache import DecodedCache
from training.data.manifest import BrokenImages, read_photo
from training.data.transforms import CROP_AREA, ViewMaker
from training.preprocess import ImageError, Preprocessing
from training.runtime import environment
from training.runtime.machine import LoaderPlan, plan_loader
from training.runtime.observer import Observer

__all__ = ["Batch", "PhotoLoader", "on_device"]

_PADDING = -1
"""In an order of photos: no photo; fills up the last batch so that every rank makes the same number of steps."""


@dataclass(frozen=True)
class Batch:
    """Some photos, not normalised yet: `Backbone` does that itself."""

    images: Tensor
    """uint8, (N, S, S, 3), RGB; all zeros where `valid` is False."""
    labels: Tensor
    """int64, (N,)"""
    valid: Tensor
    """bool, (N,): False for a broken photo and for padding, which must count neither in a loss nor in a score."""
    positions: Tensor
    """int64, (N,): index of the photo in the loader's records; -1 for padding."""

    def to(self, device: torch.device) -> Batch:
        """Return the same batch on a device; from pinned memory the copy does not block."""
        tensors = (self.images, self.labels, self.valid, self.positions)
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in tensors))


class PhotoLoader:
    """Iterates over the batches of one epoch of one split; made once, iterated once an epoch.

    >>> loader = PhotoLoader(records=manifest.records["train"], root=channel, split="train",
    ...                      hyperparameters=hyperparameters, batch_size=32, shuffle=True, seed=0)
    >>> for epoch in range(epochs):
    ...     loader.set_epoch(epoch)
    ...     for batch in on_device(loader, device):
    ...         losses = cross_entropy(model(batch.images), batch.labels, reduction="none")
    ...         loss = (losses * batch.valid).sum() / batch.valid.sum().clamp(min=1)

    The same seed and epoch give the same batches to the bit, whatever the number of threads, whether the decoded cache
    is empty or full, and whether the epoch was begun anew or in its middle (`start_batch`).

    With `augment`, a photo is seen in a random crop, mirrored half the time if `hyperparameters.flip`, another one each
    epoch. Without, it is seen exactly as the endpoint sees it (`preprocess.plain_view`).

    With `world` processes, global batch b holds `world * batch_size` consecutive photos of the epoch's order, and the
    rank has every `world`-th of them: gradients averaged over the ranks are those of one process with all of them.
    Every rank gets the same number of batches, of `batch_size` each but for the last one.

    A photo that cannot be decoded is named and left out (`valid` is False) until more than
    `dataset.BROKEN_SHARE` of the photos are broken.
    """

    def __init__(
        self,
        *,
        records: Sequence[contract.ImageRecord],
        root: Path,
        split: contract.SplitName,
        hyperparameters: contract.Hyperparameters,
        batch_size: int,
        shuffle: bool,
        seed: int,
        preprocessing: Preprocessing | None = None,
        augment: bool | None = None,
        crop_area: tuple[float, float] = CROP_AREA,
        rank: int = 0,
        world: int = 1,
        cache: Path | None = None,
        plan: LoaderPlan | None = None,
        broken: BrokenImages | None = None,
    ):
        """Set the loader up; nothing is read yet.

        Args:
            records: the split's photos.
            root: the dataset channel.
            split: its name.
            hyperparameters: say how large the views are and whether they are mirrored.
            batch_size: photos of a batch of this process.
            shuffle: whether each epoch has an order of its own.
            seed: of the orders and of the random views.
            preprocessing: the backbone's; by default the usual one of the hyperparameters' image size.
            augment: whether photos are seen in random views; by default those of the training split only.
            crop_area: smallest and largest share of a photo's area that a random crop keeps.
            rank: this process's number, from 0.
            world: how many processes there are.
            cache: folder, not the dataset channel, where decoded photos are kept for the next epochs.
            plan: threads and batches ahead; by default chosen from the machine.
            broken: counts broken photos; by default of this loader alone.
        """
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} is not one of {world} ranks; give 0 to {world - 1}")
        self.records, self.split, self.batch_size = records, split, batch_size
        self.broken = broken if broken is not None else BrokenImages(total=len(records))

        # which photo is seen when, and how
        self._root, self._size = root, hyperparameters.image_size
        self._shuffle, self._seed, self._rank, self._world = shuffle, seed, rank, world
        self._augment = split == "train" if augment is None else augment
        preprocessing = preprocessing or Preprocessing.usual(self._size)
        self._views = ViewMaker(
            preprocessing, flip=hyperparameters.flip, crop_area=crop_area, magnitude=hyperparameters.randaugment
        )

        # what the machine gives: threads, and disk for decoded photos
        self._plan = plan or plan_loader(
            batch_size=batch_size,
            image_size=self._size,
            streamed=environment.is_streamed(contract.Channel.DATASET),
        )
        self._cache = (
            DecodedCache.open_for(
                records, folder=cache, side=self._views.cached_side, interpolation=preprocessing.interpolation
            )
            if cache is not None and self._augment
            else None
        )
        self._cache_is_full = False
        self._known_broken: set[int] = set()
        self._epoch = self._start_batch = 0
        kept = f", decoded photos kept in {self._cache.folder}" if self._cache is not None else ""
        print(f"loading {split} photos: {len(records)} photos, {self._plan.describe()}{kept}", flush=True)

    def __len__(self) -> int:
        """Return the number of batches of an epoch, the skipped ones included."""
        return -(-len(self.records) // (self.batch_size * self._world))

    def set_epoch(self, epoch: int, *, start_batch: int = 0) -> None:
        """Choose which epoch (from 0) the next iteration gives, and from which of its batches (from 0) on."""
        self._epoch, self._start_batch = epoch, start_batch

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches in order, decoded ahead; nothing is decoded of the batches before `start_batch`.

        Raises:
            JobError: too many photos are broken.
        """
        order, epoch = self._order(), self._epoch
        starts = iter(range(self._start_batch * self.batch_size, len(order), self.batch_size))
        torch.get_num_threads()  # settles this thread's own number before the decoding threads set theirs
        pool = ThreadPoolExecutor(self._plan.threads, "photos", initializer=torch.set_num_threads, initargs=(1,))
        try:
            waiting: deque[tuple[Batch, list[Future[dict[int, ImageError]]]]] = deque()
            for start in starts:
                waiting.append(self._begin(pool, order[start : start + self.batch_size], epoch=epoch))
                if len(waiting) > self._plan.batches_ahead:
                    yield self._finished(*waiting.popleft())
            while waiting:
                yield self._finished(*waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _order(self) -> NDArray[np.int64]:
        """Return this rank's photos of the epoch, as positions in the records."""
        count = len(self.records)
        order = (
            np.random.default_rng([self._seed, self._epoch]).permutation(count) if self._shuffle else np.arange(count)
        )
        order = np.append(order, np.full(-count % self._world, _PADDING))
        return np.ascontiguousarray(order[self._rank :: self._world], dtype=np.int64)

    def _begin(
        self, pool: ThreadPoolExecutor, positions: NDArray[np.int64], *, epoch: int
    ) -> tuple[Batch, list[Future[dict[int, ImageError]]]]:
        """Hand a batch's photos to the threads, which write into its tensors."""
        count, pin = len(positions), self._plan.pin_memory
        batch = Batch(
            images=torch.empty((count, self._size, self._size, 3), dtype=torch.uint8, pin_memory=pin),
            labels=torch.zeros(count, dtype=torch.int64, pin_memory=pin),
            valid=torch.zeros(count, dtype=torch.bool, pin_memory=pin),
            positions=torch.from_numpy(positions),
        )
        work: Callable[[slice], dict[int, ImageError]] = lambda part: self._fill(batch, part, epoch=epoch)  # noqa: E731
        chunk = self._plan.chunk
        return batch, [pool.submit(work, slice(start, min(start + chunk, count))) for start in range(0, count, chunk)]

    def _fill(self, batch: Batch, part: slice, *, epoch: int) -> dict[int, ImageError]:
        """Decode some photos of a batch into their places; returns the broken ones by position in the records."""
        images, labels, valid = batch.images.numpy(), batch.labels.numpy(), batch.valid.numpy()
        errors: dict[int, ImageError] = {}
        for place in range(part.start, part.stop):
            position = int(batch.positions[place])
            if position == _PADDING:
                images[place] = 0
                continue
            record = self.records[position]
            labels[place] = record["label"]
            if position in self._known_broken:
                images[place] = 0
                continue
            try:
                images[place] = self._pixels(position, record, epoch=epoch)
                valid[place] = True
            except ImageError as error:
                images[place] = 0
                errors[position] = error
        return errors

    def _pixels(self, position: int, record: contract.ImageRecord, *, epoch: int) -> NDArray[np.uint8]:
        """Return one photo as it is seen in an epoch: uint8, (S, S, 3)."""
        if not self._augment:
            return self._views.plain(read_photo(self._root, record["path"]))
        seed = f"{self._seed}/{epoch}/{record['path']}"
        if self._cache is None:
            return self._views.random(read_photo(self._root, record["path"]), seed=seed)
        pixels, sides = self._cache.get(position) or self._keep(self._cache, position, record)
        return self._views.random_of(torch.from_numpy(pixels), seed=seed, sides=sides)

    def _keep(
        self, cache: DecodedCache, position: int, record: contract.ImageRecord
    ) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """Decode a photo into the cache. Its first view is made from there too: full or empty, the same views."""
        whole = self._views.whole(read_photo(self._root, record["path"]))
        height, width, _ = whole.shape
        pixels = self._views.squeezed(whole, side=self._views.cached_side)
        try:
            cache.put(position, pixels, sides=(width, height))
        except OSError as error:  # the disk is full by now; the photo is decoded again in the next epoch
            if not self._cache_is_full:
                print(f"photos from here on are not cached: {error}", flush=True)
            self._cache_is_full = True
        return pixels, (width, height)

    def _finished(self, batch: Batch, parts: list[Future[dict[int, ImageError]]]) -> Batch:
        for part in parts:
            for position, error in part.result().items():
                self._known_broken.add(position)
                self.broken.add(self.records[position]["path"], error)
        return batch


def on_device(
    batches: Iterator[Batch] | PhotoLoader, device: torch.device, *, observer: Observer | None = None
) -> Iterator[Batch]:
    """Yield the batches on a device; on a GPU the next batch is copied while the network works on this one.

    Places without a readable photo are filled here, on the CPU: to ask the GPU about them would make it wait.
    """
    observer = observer or Observer()
    whole = (_filled(batch) for batch in batches)
    if device.type != "cuda":
        yield from (batch.to(device) for batch in whole)
        return

    copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    coming: Batch | None = None
    for batch in whole:
        # begin to copy the next batch, then let the network work on the one before
        current, coming = coming, None
        with observer.phase("transfer"), torch.cuda.stream(copying):
            coming = batch.to(device)
        if current is not None:
            yield current
            # The copy just begun ran beside the network's work on `current`; the next use must wait for it.
        torch.cuda.current_stream(device).wait_stream(copying)
        for tensor in (coming.images, coming.labels, coming.valid, coming.positions):
            tensor.record_stream(torch.cuda.current_stream(device))
    if coming is not None:
        yield coming


def _filled(batch: Batch) -> Batch:
    """Give each place without a photo the picture and the label of one of the batch's photos; `valid` stays False.

    A black picture would count in batch norm's statistics, and a smaller batch would be another shape to compile and to
    tune kernels for. A batch without any readable photo is left as it is.
    """
    valid, images, labels = batch.valid.numpy(), batch.images.numpy(), batch.labels.numpy()
    if valid.all() or not valid.any():
        return batch
    kept, empty = np.flatnonzero(valid), np.flatnonzero(~valid)
    lent = kept[np.arange(len(empty)) % len(kept)]
    images[empty], labels[empty] = images[lent], labels[lent]
    return batch
