"""Makes smdebug 1.0.34, the last release, run with the Python packages of today's training images.

Three things are needed. smdebug's protobuf code was generated for protobuf 3; later versions take its way of describing
messages only with the implementation in pure Python, for the whole process, chosen by a variable before the process
starts. Its writer calls a method that numpy 2.3 removed. And at its start it imports packages that only its profiler
uses, which SageMaker ended with PyTorch 2.0, and which no image contains any more.

Importing this module imports smdebug. `training.debugger` imports it before anything else of smdebug.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import InspectLoader, Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Final, cast

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.internal import builder
from numpy.typing import NDArray

_OF_THE_PROFILER: Final = ("pandas", "pyinstrument", "pyinstrument.renderers", "requests")


class _Unused(ModuleType):
    """A stand-in for a package of which only the names are used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _MessagesLoader(Loader):
    """Loads a generated module as if today's protobuf compiler had written it.

    It needs only the serialized description of the messages, which the old code holds as a literal. The module may lie
    in a zip, as in a processing job's source.
    """

    def __init__(self, found: ModuleSpec):
        self._source = cast(InspectLoader, found.loader).get_source(found.name) or ""

    def exec_module(self, module: ModuleType) -> None:
        (described,) = (
            ast.literal_eval(keyword.value)
            for node in ast.walk(ast.parse(self._source))
            if isinstance(node, ast.Call)
            for keyword in node.keywords
            if keyword.arg == "serialized_pb"
        )
        for imported in descriptor_pb2.FileDescriptorProto.FromString(described).dependency:
            importlib.import_module(imported.removesuffix(".proto").replace("/", ".") + "_pb2")
        descriptor = descriptor_pool.Default().AddSerializedFile(described)
        builder.BuildMessageAndEnumDescriptors(descriptor, module.__dict__)
        builder.BuildTopDescriptorsAndMessages(descriptor, module.__name__, module.__dict__)


class _MessagesFinder(MetaPathFinder):
    """Finds smdebug's generated modules and gives them to `_MessagesLoader`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("smdebug.") or not fullname.endswith("_pb2"):
            return None
        found = PathFinder.find_spec(fullname, path, target)
        if found is None or found.origin is None:
            return None
        return importlib.util.spec_from_file_location(fullname, found.origin, loader=_MessagesLoader(found))


def _import() -> None:
    """Import smdebug with stand-ins for its profiler's packages, and remove them: others may need the real ones."""
    sys.meta_path.insert(0, _MessagesFinder())
    replaced = [name for name in _OF_THE_PROFILER if name not in sys.modules]
    sys.modules |= {name: _Unused(name) for name in replaced}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its sources have escape sequences of which Python warns today
            for module in ("smdebug.pytorch", "smdebug.trials", "smdebug.rules"):
                importlib.import_module(module)
    finally:
        for name in replaced:
            del sys.modules[name]


def _mend_writer() -> None:
    """Replace the function that calls `ndarray.tostring`; a method of a C type such as ndarray cannot be added."""
    from smdebug.core import writer
    from smdebug.core.tfevent import util

    def make_tensor_proto(nparray_data: NDArray[Any], tag: str) -> Any:
        """Return a tensor's message as smdebug's own function does, for numbers, the only tensors saved here."""
        _, dtype = util._get_proto_dtype(nparray_data.dtype)
        shape = util.TensorShapeProto(
            dim=[util.TensorShapeProto.Dim(size=size, name=f"{tag}_{size}") for size in nparray_data.shape]
        )
        return util.TensorProto(dtype=dtype, tensor_content=nparray_data.tobytes(), tensor_shape=shape)

    util.make_tensor_proto = writer.make_tensor_proto = make_tensor_proto


_import()
if not hasattr(np.ndarray, "tostring"):
    _mend_writer()
