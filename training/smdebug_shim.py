"""smdebug 1.0.34, the last release, on the Python packages of today's training images.

It needs three things. Its generated protobuf code runs with protobuf 4 and later only where the variables of
`ENVIRONMENT` are set at the process's start. Its writer calls a method that numpy 2.3 removed. And it imports, at its
start, packages that only its profiler uses, which SageMaker ended with PyTorch 2.0 and no image brings any more.
Importing this module imports smdebug; import it first.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from training.environment import SMDEBUG_ENVIRONMENT as ENVIRONMENT

__all__ = ["ENVIRONMENT"]

_OF_THE_PROFILER: Final = ("pandas", "pyinstrument", "pyinstrument.renderers", "requests")


class _NotInstalled(ModuleType):
    """Stands for a package that is not there, as long as only its names are wanted."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def _import() -> None:
    """Import smdebug with stand-ins, which are gone again afterwards: others ask whether these packages are there."""
    missing = [name for name in _OF_THE_PROFILER if importlib.util.find_spec(name.partition(".")[0]) is None]
    sys.modules |= {name: _NotInstalled(name) for name in missing}
    try:
        for module in ("smdebug.pytorch", "smdebug.trials", "smdebug.rules"):
            importlib.import_module(module)
    finally:
        for name in missing:
            del sys.modules[name]


def _mend_writer() -> None:
    """`ndarray.tostring` cannot be put back, ndarray being a C type, so the function that calls it is replaced."""
    from smdebug.core import writer
    from smdebug.core.tfevent import util

    def make_tensor_proto(nparray_data: NDArray[Any], tag: str) -> Any:
        """As smdebug's own, for numbers, the only tensors that are saved here."""
        _, dtype = util._get_proto_dtype(nparray_data.dtype)
        shape = util.TensorShapeProto(
            dim=[util.TensorShapeProto.Dim(size=size, name=f"{tag}_{size}") for size in nparray_data.shape]
        )
        return util.TensorProto(dtype=dtype, tensor_content=nparray_data.tobytes(), tensor_shape=shape)

    util.make_tensor_proto = writer.make_tensor_proto = make_tensor_proto


_import()
if not hasattr(np.ndarray, "tostring"):
    _mend_writer()
