"""The order of what is asked of a GPU, by fakes that write it down."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn

from training.embedding import embedder as embedding
from training.embedding.embedder import Embedder
from training.embedding.transfer import CudaTransfer, HostTransfer, transfer_for

GPU = torch.device("cuda", 1)


class FakeCuda:
    """torch.cuda, whose streams and events write down what they are asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[str] = []
        self.current = "compute"
        fake = self

        class Stream:
            def __init__(self, device: torch.device) -> None:
                self.name = "copy"
                assert device.type == "cuda"

            def wait_stream(self, other: Stream) -> None:
                fake.log.append(f"{self.name} waits for {other.name}")

        class Event:
            def record(self, stream: Stream) -> None:
                fake.log.append(f"event in {stream.name}")

            def synchronize(self) -> None:
                fake.log.append("host waits for the event")

        @contextmanager
        def stream(entered: Stream) -> Any:
            before, fake.current = fake.current, entered.name
            yield
            fake.current = before

        def current_stream(device: torch.device) -> Stream:
            found = Stream(device)
            found.name = fake.current
            return found

        for name, value in (
            ("Stream", Stream), ("Event", Event), ("stream", stream), ("current_stream", current_stream)
        ):  # fmt: skip
            monkeypatch.setattr(torch.cuda, name, value)

        def empty(*shape: Any, pin_memory: bool = False, **named: Any) -> FakeTensor:
            fake.log.append(f"memory{' page-locked' if pin_memory else ''}")
            return FakeTensor(fake, torch.zeros(*shape, **named))

        monkeypatch.setattr("training.embedding.transfer.torch.empty", empty)


class FakeTensor:
    """A tensor whose copies are written down."""

    def __init__(self, cuda: FakeCuda, values: torch.Tensor) -> None:
        self.cuda, self.values = cuda, values
        self.shape, self.dtype = values.shape, values.dtype

    def to(self, device: torch.device, *, non_blocking: bool = False) -> FakeTensor:
        self.cuda.log.append(f"to {device} in {self.cuda.current}{'' if non_blocking else ', blocking'}")
        return self

    def copy_(self, other: FakeTensor, *, non_blocking: bool = False) -> None:
        self.cuda.log.append(f"back in {self.cuda.current}{'' if non_blocking else ', blocking'}")
        self.values.copy_(other.values)

    def record_stream(self, stream: Any) -> None:
        self.cuda.log.append(f"used in {stream.name}")

    def numpy(self) -> Any:
        self.cuda.log.append("read")
        return self.values.numpy()


def test_a_batch_is_copied_beside_the_networks_work_and_its_features_are_read_once_they_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuda = FakeCuda(monkeypatch)
    transfer: Any = CudaTransfer(GPU)
    pixels = transfer.buffer(4, 2, 2, 3)
    sent = transfer.send(pixels)
    cuda.log.append(f"network in {cuda.current}")
    arriving = transfer.fetch(sent)
    cuda.log.append("the next batch")
    assert arriving.wait().shape == (4, 2, 2, 3)
    assert cuda.log == [
        "memory page-locked",
        "to cuda:1 in copy",
        "compute waits for copy",
        "used in compute",
        "network in compute",
        "memory page-locked",
        "back in compute",
        "event in compute",
        "the next batch",
        "host waits for the event",
        "read",
    ]


def test_a_cpu_copies_nothing() -> None:
    transfer = transfer_for(torch.device("cpu"))
    assert isinstance(transfer, HostTransfer)
    pixels = transfer.buffer(2, 3)
    assert (pixels.dtype, tuple(pixels.shape)) == (torch.uint8, (2, 3))
    assert transfer.send(pixels) is pixels
    features = torch.rand(2, 5)
    assert transfer.fetch(features).features is features


class FakeBackbone(nn.Module):
    """Notes the devices that its copies are put on."""

    def __init__(self, placed: list[torch.device]) -> None:
        super().__init__()
        self.placed = placed

    def __deepcopy__(self, _: dict[int, Any]) -> FakeBackbone:
        return FakeBackbone(self.placed)

    def to(self, device: torch.device) -> FakeBackbone:  # type: ignore[override]
        self.placed.append(device)
        return self


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeCuda(monkeypatch)
    monkeypatch.setattr(embedding, "has_cuda", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)


@pytest.mark.usefixtures("four_gpus")
@pytest.mark.parametrize(("native", "precision"), [(True, "bfloat16"), (False, "float16")])
def test_every_gpu_has_a_copy_of_its_own_in_the_precision_that_it_computes_in(
    monkeypatch: pytest.MonkeyPatch, native: bool, precision: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    placed: list[torch.device] = []
    embedders = Embedder.on_all_devices(FakeBackbone(placed))  # type: ignore[arg-type]
    assert [embedder.device for embedder in embedders] == placed == [torch.device("cuda", at) for at in range(4)]
    assert len({id(embedder.backbone) for embedder in embedders}) == 4
    assert {embedder.precision for embedder in embedders} == {precision}
    assert torch.backends.cudnn.benchmark
    assert embedders[0].batch_pixels == 4 * embedding.BATCH_PIXELS


def test_a_cpu_computes_with_the_backbone_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "has_cuda", lambda: False)
    monkeypatch.setattr(embedding, "fast_bfloat16", lambda _: False)
    backbone: Any = nn.Identity()
    (alone,) = Embedder.on_all_devices(backbone)
    assert (alone.backbone, alone.device.type, alone.precision) == (backbone, "cpu", "float32")
    assert alone.batch_pixels == embedding.BATCH_PIXELS


def test_a_copy_of_a_backbone_gives_the_same_features_from_a_network_of_its_own() -> None:
    """The earlier level is read by a hook on a part of the network, which must be the copy's own."""
    import copy

    from training.model.weights import untrained_backbone

    torch.manual_seed(0)
    backbone = untrained_backbone("shufflenet_v2_x0_5", image_size=32)
    other = copy.deepcopy(backbone)
    assert {id(module) for module in other.middle} <= {id(module) for module in other.modules()}
    images = torch.randint(0, 255, (2, 32, 32, 3), dtype=torch.uint8)
    assert torch.equal(backbone(images), other(images))
