"""Fine-tuning through the jobs' entry points, in one process and in two."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch._dynamo.backends.common import aot_autograd
from torch._functorch._aot_autograd.utils import make_boxed_func
from torchvision import models

import contract
from tests.training.conftest import BACKBONE, CLASSES, IMAGE_SIZE, Workspace
from tests.training.loop.fine_tunings import Plain, found, start, start_pretrained
from training import features, train, trial
from training.data.manifest import read_photo
from training.embedding.store import read_index
from training.export.evaluate_and_export import Job, TrainedModel, evaluate_and_export
from training.loop import finetune
from training.model.backbones import Backbone
from training.model.classifier import Classifier
from training.model.compute import autocast, compile_stages, compiling_pays, micro_batch
from training.model.stages import stages
from training.model.weights import load_backbone
from training.runtime.distributed import ALONE, Group
from training.runtime.environment import JobError

ROOT = Path(__file__).parents[3]


def test_a_trial_prints_its_metrics_and_how_fast_it_is(photos: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    start(photos, ema=0.9, mixup=0.2, cutmix=1.0, randaugment=3, label_smoothing=0.1)
    trial.main()
    log = capsys.readouterr().out
    assert len(found(log, "train:loss")) == len(found(log, "validation:loss")) == 3
    assert len(found(log, contract.OBJECTIVES[contract.DEFAULT_OBJECTIVE].metric.name)) == 3
    assert re.search(r"^epoch 3/3: .*; [0-9.]+ images/s$", log, flags=re.MULTILINE)
    assert "batches of 12 in parts of 12" in log


def test_training_delivers_the_network_it_trained(photos: Workspace) -> None:
    start_pretrained(photos, epochs=3)
    train.main()
    evaluation = json.loads((photos.root / "output" / contract.Artefact.EVALUATION).read_text(encoding="utf-8"))
    assert evaluation["classes"] == list(CLASSES)
    assert evaluation["test_accuracy"] > 0.8
    # the photos are examined by the features that the fine-tuning began with
    assert evaluation["near_copies"] is not None
    check = json.loads((photos.root / "output" / contract.Artefact.CHECK).read_text(encoding="utf-8"))
    assert (check["photos"], check["classes"]) == (60, list(CLASSES))
    card = json.loads((photos.root / "model" / contract.Artefact.MODEL_CARD).read_text(encoding="utf-8"))
    assert card["test_accuracy"] == evaluation["test_accuracy"]
    session = onnxruntime.InferenceSession(photos.root / "model" / contract.Artefact.MODEL)
    images = np.zeros((2, 64, 64, 3), dtype=np.uint8)
    (answered,) = session.run(["probabilities"], {"image": images})
    assert answered.shape == (2, len(CLASSES))


def weights_of(classifier: Classifier) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in classifier.backbone.network.state_dict().items()}


def test_only_the_stages_asked_for_are_trained(photos: Workspace) -> None:
    values = start(photos, unfreeze_from="stage4", epochs=1)
    before = load_backbone(BACKBONE, image_size=IMAGE_SIZE)[0].network.state_dict()
    after = weights_of(finetune.train(values).classifier)
    changed = {name.split(".")[0] for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {"stage4", "conv5"}


def test_an_unknown_stage_ends_the_job_with_the_list_of_stages(photos: Workspace) -> None:
    values = start(photos, unfreeze_from="layer4")
    with pytest.raises(JobError, match=r"unfreeze_from='layer4' is not a stage.*stage2\.0.*conv5"):
        finetune.run_trial(values)


def test_a_large_batch_is_cut_where_memory_ends() -> None:
    parts = micro_batch(Plain(), batch_size=512, image_size=224, device=ALONE.device, precision=None)
    assert 1 <= parts < 512
    assert micro_batch(Plain(), batch_size=512, image_size=32, device=ALONE.device, precision=None) == 512


def test_a_gpus_memory_is_also_for_what_training_keeps_of_every_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients, momentum, the average and what processes exchange come after the images' share is measured."""
    network = torch.nn.Linear(1000, 1000, bias=False)
    kept = 4 * 4_000_000
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr("training.model.compute._bytes_of_an_image", lambda *_, **__: 1_000_000)

    def images(*, free: int) -> int:
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, free))
        return micro_batch(network, batch_size=512, image_size=224, device=torch.device("cuda"), precision=None)

    assert images(free=kept + 100_000_000) == 70
    assert images(free=kept) == 1
    assert images(free=10**12) == 512
    network.requires_grad_(False)
    assert images(free=100_000_000) == 70, "nothing is kept of a weight that is not trained"


def test_compiled_stages_compute_the_same(photos: Workspace) -> None:
    start(photos)
    backbone, _ = load_backbone(BACKBONE, image_size=IMAGE_SIZE)
    images = torch.randint(0, 255, (2, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=torch.uint8)
    expected = backbone(images)
    # Without code generation: what is tried here is that stages, hooks and the compiler get along.
    compile_stages(backbone.network, stages=stages(backbone.network), watched=backbone.middle, backend="eager")
    torch.testing.assert_close(backbone(images), expected)


def test_only_long_trainings_on_gpus_are_compiled() -> None:
    gpu = torch.device("cuda")
    assert compiling_pays(device=gpu, photos=10_000, epochs=20)
    assert not compiling_pays(device=gpu, photos=9_999, epochs=20)
    assert not compiling_pays(device=ALONE.device, photos=10**6, epochs=20)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_a_stage_is_compiled_once_for_batches_of_any_size(caplog: pytest.LogCaptureFixture) -> None:
    """ResNet50's blocks share one forward function; a short last batch and evaluation need no graphs beyond these."""
    torch._dynamo.reset()
    compiled: list[list[object]] = []

    def counting(graph: torch.fx.GraphModule, inputs: list[object]) -> Callable[..., Any]:
        compiled.append([given for given in inputs if not isinstance(given, torch.Tensor)])
        return graph.forward

    network = models.resnet50(weights=None)
    blocks = [stage for stage in stages(network) if stage.startswith("layer")]
    compile_stages(network, stages=blocks, watched=[], backend=counting)
    for size in (6, 5, 2, 3):
        network.train()(torch.rand(size, 3, 32, 32)).sum().backward()
    for size in (6, 3):
        with torch.no_grad():
            network.eval()(torch.rand(size, 3, 32, 32))
    # Two blocks of each of the four layers are unlike those before them; each kind has a graph to train and another to
    # evaluate.
    assert len(blocks) == 16
    assert len(compiled) == 2 * 8
    assert all(sizes for sizes in compiled)
    assert "recompile_limit" not in caplog.text


@pytest.mark.parametrize("fails", ["forward", "backward"])
def test_a_training_goes_on_where_its_compilation_fails(
    photos: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fails: str
) -> None:
    values = start(photos, epochs=2)
    expected = [epoch.train_loss for epoch in finetune.train(values).history.epochs]

    def no_compiler(graph: torch.fx.GraphModule, _inputs: Any, **_options: Any) -> Callable[..., Any]:
        def cannot(*_: Any) -> None:
            raise RuntimeError("no C++ compiler found")

        if fails == "forward":
            cannot()
        return aot_autograd(fw_compiler=lambda inner, _: make_boxed_func(inner.forward), bw_compiler=cannot)(
            graph, _inputs
        )

    def compile_badly(*network: Any, backend: str, **options: Any) -> None:
        assert backend == "inductor"
        compile_stages(*network, backend=no_compiler, **options)

    monkeypatch.setattr(finetune, "compile_stages", compile_badly)
    monkeypatch.setattr(finetune, "compiling_pays", lambda **_: True)
    capsys.readouterr()
    assert [epoch.train_loss for epoch in finetune.train(values).history.epochs] == expected
    assert "torch.compile failed, the training goes on without it" in capsys.readouterr().out


def test_bfloat16_trains_to_the_loss_of_float32(photos: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    values = start_pretrained(photos, epochs=3)
    losses = {}
    for precision in (None, torch.bfloat16):
        monkeypatch.setattr(finetune, "training_precision", lambda _device, kind=precision: kind)
        history = finetune.train(values).history
        losses[precision] = [epoch.train_loss for epoch in history.epochs]
    np.testing.assert_allclose(losses[torch.bfloat16], losses[None], rtol=0.1, atol=0.02)
    assert isinstance(autocast(ALONE.device, torch.bfloat16), torch.autocast)


KEEPING = """
from training import train
from training.runtime import environment
train.empty = lambda folder: None
environment.run_job(train.main)
"""
"""A training job that leaves its checkpoints, as one does that ends between its export and its end."""


def run_training(workspace: Workspace, *, processes: int, keeping: bool = False) -> tuple[dict[str, Any], str]:
    """The training job by itself or under torchrun; returns its evaluation and its log."""
    script = ROOT / contract.EntryPoint.TRAIN
    if keeping:
        script = workspace.root / "keeping.py"
        script.write_text(KEEPING, encoding="utf-8")
    alone = [sys.executable, str(script)]
    several = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    several += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1", alone[1]]
    environ = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    for variable, value in environ.items():
        workspace.monkeypatch.setenv(variable, value)
    result = subprocess.run(
        alone if processes == 1 else several, capture_output=True, text=True, timeout=300, cwd=workspace.root
    )
    assert result.returncode == 0, result.stdout + result.stderr
    file = workspace.root / "output" / contract.Artefact.EVALUATION
    evaluation: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    file.unlink()
    return evaluation, result.stdout


def test_two_processes_train_and_evaluate_as_one(photos: Workspace) -> None:
    """One process goes on from the checkpoint of two and evaluates the same weights. Tolerance of losses: 1e-4.

    An odd number of validation photos and a broken one: every photo must count once, and padding must not.
    """
    photos.write_manifest([record for record in records_of(photos) if record["path"] != "red/15.jpg"])
    (photos.root / "dataset/red/14.jpg").write_bytes(b"no photo")
    photos.monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(photos.folder("checkpoints").parent))
    start_pretrained(photos, epochs=2, batch_size=32)
    two, log_of_two = run_training(photos, processes=2, keeping=True)
    one, log_of_one = run_training(photos, processes=1)
    assert list((photos.root / "checkpoints").iterdir()) == [], "a job that has its results keeps nothing"
    assert "2 x cpu" in log_of_two
    assert log_of_two.count("batch norm takes its statistics from 16 photos of each process together") == 1
    assert "batch norm takes" not in log_of_one
    assert log_of_two.count("epoch 2/2:") == 1
    assert "resumed at epoch 3" in log_of_one
    losses = [
        float(re.search(r"in float32: loss ([0-9.]+) and accuracy \S+ on 10 validation photos", log)[1])  # type: ignore[index]
        for log in (log_of_one, log_of_two)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert (two["test_images"], two["test_accuracy"]) == (one["test_images"], one["test_accuracy"])
    assert two["validation_accuracy"] == one["validation_accuracy"] > 0.8
    assert two["confusion_matrix"] == one["confusion_matrix"]
    assert two["test_loss"] == pytest.approx(one["test_loss"], abs=1e-4)


def records_of(workspace: Workspace) -> list[contract.ImageRecord]:
    lines = (workspace.root / "manifest" / contract.Artefact.MANIFEST).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_batch_that_the_processes_cannot_share_is_refused() -> None:
    with pytest.raises(JobError, match="a batch of 16 cannot be shared by 3 processes"):
        finetune._share_of_batch(16, group=Group(rank=0, size=3, device=torch.device("cpu")))


def test_a_fine_tuning_of_imbalanced_classes_weighs_them_and_says_why(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    records = workspace.fill(each=20)
    rare = [record for record in records if record["label"] == 0 and record["split"] == "train"]
    workspace.write_manifest([record for record in records if record not in rare[2:]])
    workspace.write_weights()
    losses = {}
    for wanted in ("auto", "none"):
        start(workspace, class_weights=wanted, epochs=1)
        trial.main()
        log = capsys.readouterr().out
        assert ("classes are weighted in the loss (imbalance 6.0:1" in log) == (wanted == "auto")
        losses[wanted] = found(log, "train:loss")
    assert losses["auto"] != losses["none"]


@pytest.mark.parametrize(("batch_size", "parts", "learnt"), [(32, 32, True), (32, 16, False), (12, 12, False)])
def test_statistics_of_few_photos_do_not_replace_the_pretrained_ones(
    photos: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    batch_size: int,
    parts: int,
    learnt: bool,
) -> None:
    """However few a batch has, or go through the network at once since no more fit."""
    monkeypatch.setattr(finetune, "micro_batch", lambda *_, **__: parts)
    values = start(photos, batch_size=batch_size, epochs=1, ema=0.0)
    before = load_backbone(BACKBONE, image_size=IMAGE_SIZE)[0].network.state_dict()
    after = weights_of(finetune.train(values).classifier)
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert ("conv1.1.running_mean" in changed) == learnt
    assert "conv1.1.bias" in changed, "what it does with the statistics is trained all the same"
    said = f"batch norm keeps the pretrained statistics: {parts} photos together are too few for others"
    assert (said in capsys.readouterr().out) == (not learnt)


def test_batches_of_a_photo_go_through_the_whole_job(photos: Workspace) -> None:
    values = start(photos, batch_size=1, epochs=1)
    assert len(finetune.train(values).history.epochs) == 1


def test_photos_are_decoded_once_and_the_next_epochs_read_them_from_the_scratch_disk(
    photos: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def noted(root: Path, path: str) -> bytes:
        read.append(path)
        return read_photo(root, path)

    values = start(photos, epochs=3)
    scratch = photos.folder("scratch")
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setattr("training.data.loader.read_photo", noted)
    finetune.run_trial(values)
    training = {record["path"] for record in records_of(photos) if record["split"] == "train"}
    assert sorted(path for path in read if path in training) == sorted(training)
    assert list(scratch.iterdir()) == [], "the job leaves nothing behind"

    # a single epoch reads no photo twice
    read.clear()
    finetune.run_trial(start(photos, epochs=1))
    assert not list(scratch.iterdir())


def test_a_fine_tuning_reads_the_head_to_begin_with_from_the_features(
    photos: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a trial nor the training embeds a photo: the features job did, for all of them."""
    values = start(photos, epochs=1)
    seen: list[int] = []
    forward = Backbone.forward

    def counted(backbone: Backbone, images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return forward(backbone, images)

    monkeypatch.setattr(Backbone, "forward", counted)
    finetune.run_trial(values)
    assert sum(seen) == 36 + 12, "an epoch of the training photos, and the validation photos once"


def test_its_features_and_its_network_are_of_the_weights_that_torchvision_recommends(workspace: Workspace) -> None:
    """Those of a head on features are of the plain recipe's, which see photos otherwise (A-57)."""
    workspace.fill(each=10)
    name = "mobilenet_v3_large"
    workspace.write_weights(name)
    resized = {}
    for mode in contract.MODES:
        if mode == "features":
            workspace.start(channels=("dataset", "manifest", "weights"), model="features", backbone=name)
            features.main()
        else:
            finetune.run_trial(start(workspace, backbone=name, epochs=1))
        resized[mode] = read_index(workspace.root / "features")[1]["resize"]
    assert resized == {"features": round(IMAGE_SIZE * 256 / 224), "finetune": round(IMAGE_SIZE * 232 / 224)}


def test_features_of_another_network_are_refused(photos: Workspace) -> None:
    values = replace(start(photos), image_size=64)
    with pytest.raises(JobError, match="the features were made with image_size 32 and this job has 64"):
        finetune.run_trial(values)


@pytest.mark.parametrize(("certain", "kept"), [(0.0, "the logistic regression"), (20.0, "the fine-tuned network")])
def test_a_fine_tuning_that_lost_is_not_served(
    photos: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], certain: float, kept: str
) -> None:
    """The validation photos decide between it and a logistic regression on the features that it began with."""
    start_pretrained(photos, epochs=1)
    fine_tune = finetune.train
    networks: list[Classifier] = []

    def with_other_logits(values: contract.Hyperparameters, **options: Any) -> finetune.FineTuned:
        tuned = fine_tune(values, **options)
        networks.append(tuned.classifier)
        logits = (certain * np.eye(3)[tuned.validation.labels]).astype(np.float32)
        return replace(tuned, validation=replace(tuned.validation, logits=logits))

    models: list[TrainedModel] = []

    def export(trained: TrainedModel, job: Job) -> contract.Evaluation:
        models.append(trained)
        return evaluate_and_export(trained, job)

    monkeypatch.setattr(finetune, "train", with_other_logits)
    monkeypatch.setattr(train, "evaluate_and_export", export)
    train.main()
    (comparison,) = [model.fine_tuning for model in models]
    assert comparison is not None
    assert comparison["served"] == (kept == "the fine-tuned network")
    assert (comparison["network_loss"] < comparison["head_loss"]) == comparison["served"]
    served = [model.classifier for model in models]
    (said,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fine-tuned network:")]
    assert said.endswith(f"kept: {kept}")
    assert (served == networks) == (kept == "the fine-tuned network")
    if served != networks:
        before, _ = load_backbone("efficientnet_lite0", image_size=64)
        assert all(
            torch.equal(value, served[0].backbone.network.state_dict()[name])
            for name, value in before.network.state_dict().items()
        )
