"""Writes the debugger hook's files in the layout and format that smdebug's trials read, and so SageMaker's rules.

smdebug's own writer opens an event file and an index file for each step and hands each event to a thread. This takes
2 ms a step, three times as long as a head's step. Here the events of several steps share a file (an index names the
file of its step's tensors), and what is cheap to keep in memory, such as losses, waits for the next flush. Messages,
record framing, names and places are smdebug's.
"""

from __future__ import annotations

import json
import os
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from smdebug.core.access_layer.utils import END_OF_JOB_FILENAME
from smdebug.core.config_constants import DEFAULT_WORKER_NAME
from smdebug.core.locations import IndexFileLocationUtils, TensorFileLocation
from smdebug.core.modes import MODE_PLUGIN_NAME, MODE_STEP_PLUGIN_NAME, ModeKeys
from smdebug.core.tfevent.index_file_writer import Index
from smdebug.core.tfevent.proto.event_pb2 import Event
from smdebug.core.tfevent.proto.summary_pb2 import Summary, SummaryMetadata
from smdebug.core.tfevent.util import make_tensor_proto
from smdebug.core.tfrecord.record_writer import CHECKSUM_MAGIC_BYTES, masked_crc32c

__all__ = ["ModeKeys", "SavedStep", "TensorFiles"]

_FOOTER: Final = struct.pack("I", masked_crc32c(CHECKSUM_MAGIC_BYTES))
"""The constant that smdebug writes in place of a record's checksum."""


@dataclass
class SavedStep:
    """The tensors of one step."""

    number: int
    """The global step: the number among the steps of all modes, in the order in which they happen."""
    mode: ModeKeys
    mode_step: int
    tensors: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    time: float = field(default_factory=time.time)
    """The time of the step, in seconds since 1970."""


class TensorFiles:
    """A folder of saved tensors. Errors of the file system are raised."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.bytes = 0
        """The size of all files written so far."""
        self.written: list[str] = []
        """The places of the files written so far, for whoever empties the list."""

    def begin(self) -> None:
        """Make the folder, and remove an earlier attempt's marker of the training's end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / END_OF_JOB_FILENAME).unlink(missing_ok=True)

    def write(self, steps: list[SavedStep]) -> None:
        """Write steps that have at least one tensor: all events to one file, then an index file for each step."""
        if not steps:
            return
        place = TensorFileLocation(step_num=steps[0].number, worker_name=DEFAULT_WORKER_NAME).get_file_location()
        events, indices = bytearray(), []
        for step in steps:
            # the step's mode and number, which smdebug keeps in each tensor's metadata
            plugins = [
                SummaryMetadata.PluginData(plugin_name=name, content=str(value))
                for name, value in ((MODE_STEP_PLUGIN_NAME, step.mode_step), (MODE_PLUGIN_NAME, step.mode.value))
            ]
            metadata = SummaryMetadata(plugin_data=plugins)

            # a record for each tensor: length, its checksum, the event, and the footer
            found = []
            for name, value in step.tensors.items():
                tensor = make_tensor_proto(nparray_data=value, tag=name)
                summary = Summary(value=[Summary.Value(tag=name, metadata=metadata, tensor=tensor)])
                record = Event(wall_time=step.time, step=step.number, summary=summary).SerializeToString()
                header = struct.pack("Q", len(record))
                start = len(events)
                events += header + struct.pack("I", masked_crc32c(header)) + record + _FOOTER
                found.append({"tensorname": name, "start_idx": start, "length": len(events) - start})

            # the index, which names the file and the place of each tensor
            meta = {"mode": step.mode.name, "mode_step": step.mode_step, "event_file_name": place}
            key = IndexFileLocationUtils.get_index_key_for_step("", step.number, DEFAULT_WORKER_NAME)
            indices.append((key, Index(meta=meta, tensor_payload=found, shape_payload=[]).to_json()))

        # the events first: a reader of an index finds them
        self._put(place, bytes(events))
        for key, text in indices:
            self._put(key, text.encode())

    def write_collections(self, collections: dict[str, object]) -> None:
        """Write which tensors the collections hold; a reader waits for this file."""
        self._put(f"collections/{0:09}/{DEFAULT_WORKER_NAME}_collections.json", json.dumps(collections).encode())

    def end(self) -> None:
        """Mark the training's end, without which an evaluator waits for ever."""
        (self.folder / END_OF_JOB_FILENAME).touch()

    def _put(self, place: str, content: bytes) -> None:
        """Write a file in one piece, since SageMaker uploads a managed job's files while the training goes on."""
        path = f"{self.folder}/{place}"  # pathlib takes as long for it as the system does for the file
        unfinished = f"{path}.tmp"
        try:
            try:
                file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            except FileNotFoundError:  # the first of its folder
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            with os.fdopen(file, "wb") as stream:
                stream.write(content)
            os.replace(unfinished, path)  # noqa: PTH105
        except OSError:
            Path(unfinished).unlink(missing_ok=True)
            raise
        self.bytes += len(content)
        self.written.append(place)
