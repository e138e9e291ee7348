"""Catches the inputs and outputs of a network's activation functions in one forward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from training.debugger.samples import activation_sample

__all__ = ["Activations"]

_KINDS: Final[dict[type[nn.Module], str]] = {nn.ReLU: "relu", nn.ReLU6: "relu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid"}
"""The names of activation functions in the built-in rules' regular expressions, by class."""


class Activations:
    """Samples of a model's activations, taken in the forward pass after each `watch`.

    Module hooks exist only during that pass, so the others cost nothing. Errors never reach the forward pass: `failed`
    is called with what was attempted and the error.
    """

    def __init__(self, model: nn.Module, *, failed: Callable[[str, Exception], None]):
        self._model, self._failed = model, failed
        self._modules = [
            (_named(path, _KINDS[type(module)]), module)
            for path, module in model.named_modules()
            if type(module) in _KINDS
        ]
        self._compiled = any(getattr(module, "_compiled_call_impl", None) is not None for module in model.modules())
        self._handles: list[RemovableHandle] = []
        self._samples: dict[str, Tensor] = {}
        self._calls: dict[str, int] = {}
        self._over = False

    def watch(self, wanted: Callable[[str], bool]) -> None:
        """Keep samples of the tensors with wanted names in the next forward pass."""
        self.stop()
        self._over = False
        chosen = [
            (name, module) for name, module in self._modules if wanted(f"{name}_input_0") or wanted(f"{name}_output_0")
        ]
        if not chosen:
            return

        if self._compiled:
            # Compiled code was made without these module hooks and would ignore them; this one step runs as written.
            torch.compiler.set_stance("force_eager")
        for name, module in chosen:
            # The input is taken before the call, since an in-place ReLU overwrites it.
            self._handles.append(module.register_forward_pre_hook(self._before(name, wanted)))
            self._handles.append(module.register_forward_hook(self._after(name, wanted)))
        self._handles.append(self._model.register_forward_hook(self._end))

    def stop(self) -> dict[str, Tensor]:
        """Remove the module hooks, and return the samples by name."""
        if self._handles and self._compiled:
            torch.compiler.set_stance("default")
        for handle in self._handles:
            handle.remove()
        samples = self._samples
        self._handles, self._samples, self._calls = [], {}, {}
        return samples

    def _before(self, name: str, wanted: Callable[[str], bool]) -> Callable[[nn.Module, Any], None]:
        def hook(_module: nn.Module, inputs: Any) -> None:
            self._keep(f"{name}_input_{self._calls.get(name, 0)}", inputs, wanted)

        return hook

    def _after(self, name: str, wanted: Callable[[str], bool]) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            call = self._calls.get(name, 0)
            self._calls[name] = call + 1
            self._keep(f"{name}_output_{call}", (output,), wanted)

        return hook

    def _keep(self, tensor_name: str, given: Any, wanted: Callable[[str], bool]) -> None:
        if self._over or not wanted(tensor_name):
            return
        try:
            self._samples[tensor_name] = activation_sample(given[0])
        except Exception as error:
            self._failed("activations", error)

    def _end(self, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        self._over = True  # the other parts of the batch are not sampled


def _named(path: str, kind: str) -> str:
    """Return a module's name with the function's at its end, by which the built-in rules find a tensor."""
    return path if path.endswith(kind) else f"{path}.{kind}".removeprefix(".")
