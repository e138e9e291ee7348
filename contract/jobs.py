"""What jobs are told and what files they leave: entry points, variables, channels, artefacts."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = [
    "JOB_ENVIRONMENT",
    "SMDEBUG_ENVIRONMENT",
    "Artefact",
    "Channel",
    "EntryPoint",
    "JobVariable",
    "rule_variable",
]


class EntryPoint(StrEnum):
    """`sagemaker_program` of each kind of job, relative to the source bundle's root."""

    FEATURES = "training/features.py"
    TRIAL = "training/trial.py"
    TRAIN = "training/train.py"
    RULES = "training/evaluate_rules.py"


class JobVariable(StrEnum):
    """Names in the jobs' `Environment`: what a job says of itself and is no hyperparameter."""

    RUN = "WHIPPET_RUN"
    """`run_id` of the run the job belongs to."""
    FEATURES_KEY = "WHIPPET_FEATURES_KEY"
    """`features_key` the features job works for."""
    SAVE_INTERVAL = "WHIPPET_SAVE_INTERVAL"
    """Steps between two at which the debugger hook saves more than the loss; not set: there is no hook."""


JOB_ENVIRONMENT: Final = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
    "OMP_WAIT_POLICY": "PASSIVE",
}
"""For the `Environment` of jobs on CPU instances. glibc's allocator then keeps freed memory instead of handing it back
and faulting it in anew every step (1.4 times as fast a training step), and idle OpenMP threads leave their cores to
the decoding ones. Read by libc and libgomp at a process's start, hence no use in setting it later."""

SMDEBUG_ENVIRONMENT: Final = {"SMDEBUG_LOG_LEVEL": "warning"}
"""For the `Environment` of jobs that import smdebug."""


def rule_variable(rule: str) -> str:
    """Name of the environment variable that asks a job for a rule; its value is the rule's parameters, a JSON object.

    A variable a rule, since a processing job's hold 256 characters each (CreateProcessingJob).
    """
    return f"WHIPPET_RULE_{rule}"


class Channel(StrEnum):
    """Names of the jobs' input channels."""

    DATASET = "dataset"
    """The photos, as they lie in the bucket."""
    MANIFEST = "manifest"
    """What CheckDataset wrote: `Artefact.DATASET_SUMMARY` and `Artefact.MANIFEST`."""
    FEATURES = "features"
    """What the features job wrote: `Artefact.FEATURES_INDEX` and the arrays it lists."""
    PREVIOUS_FEATURES = "previous"
    """Features of an earlier run, for the features job: photos it shares with them are not embedded again."""
    WEIGHTS = "weights"
    """Pretrained weights, where the job should not (or cannot) fetch them from the hub."""


class Artefact(StrEnum):
    """File names that one part writes and another reads."""

    DATASET_SUMMARY = "dataset.json"
    """`DatasetSummary`, in the run's manifest folder."""
    MANIFEST = "manifest.jsonl"
    """One `ImageRecord` a line, in key order."""
    FEATURES_INDEX = "features.json"
    """`FeaturesIndex`; lists every other file of the features with its size."""
    MODEL = "model.onnx"
    """Input `image`: uint8, (N, image_size, image_size, 3), RGB. Output `probabilities`: float32, (N, classes)."""
    MODEL_CARD = "model.json"
    """`ModelCard`: labels and preprocessing, beside the model."""
    EVALUATION = "evaluation.json"
    """`Evaluation`, in the job's output data."""
    CONFUSION_MATRIX_CSV = "confusion_matrix.csv"
    CONFUSION_MATRIX_PNG = "confusion_matrix.png"
    HISTORY = "history.csv"
    """epoch, train_loss, validation_loss, validation_accuracy of the best-trial training."""
    HISTORY_PNG = "history.png"
    PER_CLASS_CSV = "per_class.csv"
    PER_CLASS_PNG = "per_class.png"
    RELIABILITY_CSV = "reliability.csv"
    RELIABILITY_PNG = "reliability.png"
    PREDICTIONS = "test_predictions.csv"
    """path, label, predicted, confidence of every test photo, in the order of their paths."""
    HARDEST_MISTAKES = "mistakes"
    """Folder of JPEGs, named by their place in `Evaluation.hardest_mistakes`: 00.jpg, 01.jpg …"""
    TENSORS = "tensors"
    """Folder of what the debugger hook saved, in smdebug's format."""
    HOOK_REPORT = "hook.json"
    """`HookReport`"""
    PROFILE = "profile.json"
    """`Profile`"""
    RULES = "rules.json"
    """`RulesReport`, of the rules' job."""
    DECISION = "decision.json"
    APPROVAL = "approval.json"
    """The question to a person, and the token their answer needs."""
    REPORT = "report.html"
    PROFILE_PAGE = "profile.html"
    """The report's section on the training's profile, alone."""
