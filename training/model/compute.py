"""A network on the machine at hand: its precision, how much of a batch goes through it at once, compilation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

import torch
from torch import Tensor, nn

__all__ = [
    "autocast",
    "compile_stages",
    "compiling_pays",
    "eager_if_compiling_fails",
    "fast_bfloat16",
    "micro_batch",
    "training_precision",
]

_CPU_PIXELS: Final = 32 * 224 * 224
"""On a CPU larger parts of a batch only leave the caches: 32 images train 1.5 times as fast as 64."""

_COMPILED_FROM: Final = 200_000
"""Photos times epochs. A ResNet50's stages take tens of seconds to compile, a GPU trains some 1,000 photos in one."""
_RECOMPILE_LIMIT: Final = 64

_PROBE_IMAGES: Final = 4
_SHARE_OF_MEMORY: Final = 0.7
"""Of the GPU's free memory; the rest is for what the allocator cannot use and for the loader's batches."""
_KEPT_OF_A_WEIGHT: Final = 4
"""What training allocates for each weight later on: gradient, momentum, average, and the processes' exchange."""


def fast_bfloat16(device: torch.device) -> bool:
    """Return whether the device computes in bfloat16: 2 to 5 times as fast; where it is emulated, it is slow."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return any(able.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16", "sve_bf16"))


def training_precision(device: torch.device) -> torch.dtype | None:
    """Return bfloat16 where the device computes in it, float16 on older GPUs, None (float32) on older CPUs."""
    if fast_bfloat16(device):
        return torch.bfloat16
    return torch.float16 if device.type == "cuda" else None


def autocast(device: torch.device, precision: torch.dtype | None) -> AbstractContextManager[object]:
    """Return the context in which a network computes in that precision."""
    return torch.autocast(device.type, precision) if precision is not None else nullcontext()


def micro_batch(
    network: nn.Module, *, batch_size: int, image_size: int, device: torch.device, precision: torch.dtype | None
) -> int:
    """Return how many images go through the network at once, so that a batch of any size fits.

    On a GPU it is measured: what a few images take, against what is free beside all that is kept of the weights.
    """
    if device.type != "cuda":
        return max(1, min(batch_size, _CPU_PIXELS // image_size**2))
    with _untouched(network):
        each = _bytes_of_an_image(network, image_size=image_size, device=device, precision=precision)
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    free -= _KEPT_OF_A_WEIGHT * sum(weight.nbytes for weight in network.parameters() if weight.requires_grad)
    return max(1, min(batch_size, int(_SHARE_OF_MEMORY * free / each)))


def compiling_pays(*, device: torch.device, photos: int, epochs: int) -> bool:
    """Return whether a training is long enough to win back the time, tens of seconds, that its compilation takes."""
    return device.type == "cuda" and photos * epochs >= _COMPILED_FROM


def compile_stages(
    network: nn.Module, *, stages: list[str], watched: list[nn.Module], backend: str | Callable[..., Any]
) -> None:
    """Compile each stage by itself, but for those whose activations are watched: hooks are not for the compiler.

    A stage is compiled once for batches of any size, and once more for evaluation.
    """
    from torch import _dynamo as dynamo  # which takes a second or more to import

    # A network's blocks share one forward function, whose graphs the limit counts together: 8 by default, and beyond
    # that everything runs eager. The other sizes are each block's own and stay constants.
    dynamo.config.recompile_limit = max(_RECOMPILE_LIMIT, 4 * len(stages))
    dynamo.config.automatic_dynamic_shapes = False
    for stage in stages:
        module = network.get_submodule(stage)
        if module not in watched:
            compile_it: Callable[..., None] = module.compile
            compile_it(backend=backend)
            module._compiled_call_impl = _with_any_batch(module._compiled_call_impl)


def eager_if_compiling_fails(
    network: nn.Module, *, stages: list[nn.Module], image_size: int, device: torch.device, precision: torch.dtype | None
) -> bool:
    """Rehearse one step of a network with compiled stages, and undo their compilation if it fails.

    A compiler depends on the machine (its own compilers, the GPU's generation, the driver); the training does not.

    Args:
        network: in the mode that it is trained in; its running statistics and gradients are left as they are.
        stages: those that were compiled.
        image_size: side of the training's images.
        device: where the network is.
        precision: what it computes in; None for float32.

    Returns:
        Whether the stages are still compiled.
    """
    from torch import _dynamo as dynamo

    images = torch.zeros(2, image_size, image_size, 3, dtype=torch.uint8, device=device)
    try:
        with _untouched(network):
            with autocast(device, precision):
                loss: Tensor = network(images).float().square().mean()
            loss.backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # whatever a compiler may raise; the same step then runs eager, and its own errors stand
        for stage in stages:
            stage._compiled_call_impl = None
        dynamo.reset()
        reason = (str(error).strip().splitlines() or [""])[0][:200]
        print(f"torch.compile failed, the training goes on without it: {type(error).__name__}: {reason}", flush=True)
        return False
    # What is compiled later, for evaluation, runs eager if that fails.
    dynamo.config.suppress_errors = True
    return True


def _with_any_batch(compiled: Callable[..., Any] | None) -> Callable[..., Any]:
    """Tell the compiler that the first dimension of a stage's inputs varies."""
    from torch import _dynamo as dynamo

    assert compiled is not None  # noqa: S101 (set by Module.compile)

    def call(*inputs: Any, **options: Any) -> Any:
        for given in inputs:
            if isinstance(given, Tensor) and given.ndim:
                dynamo.maybe_mark_dynamic(given, 0)
        return compiled(*inputs, **options)

    return call


def _bytes_of_an_image(
    network: nn.Module, *, image_size: int, device: torch.device, precision: torch.dtype | None
) -> float:
    used = []
    for count in (_PROBE_IMAGES, 2 * _PROBE_IMAGES):
        torch.cuda.reset_peak_memory_stats(device)
        images = torch.zeros(count, image_size, image_size, 3, dtype=torch.uint8, device=device)
        with autocast(device, precision):
            loss: Tensor = network(images).float().square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        used.append(torch.cuda.max_memory_allocated(device))
    return max((used[1] - used[0]) / _PROBE_IMAGES, 1.0)


@contextmanager
def _untouched(network: nn.Module) -> Iterator[None]:
    """Leave the network's running statistics and gradients as they were before the `with` statement."""
    before = [(buffer, buffer.clone()) for buffer in network.buffers()]
    try:
        yield
    finally:
        network.zero_grad(set_to_none=True)
        for buffer, value in before:
            buffer.copy_(value)
