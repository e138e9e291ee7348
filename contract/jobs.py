"""Entry points, environment variables and input channels of the jobs, and the files that jobs and Lambdas leave."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = [
    "JOB_ENVIRONMENT",
    "MODEL_ARCHIVE",
    "SMDEBUG_ENVIRONMENT",
    "Artefact",
    "Channel",
    "EntryPoint",
    "JobVariable",
    "channel_folder",
    "pip_variables",
    "rule_variable",
]


class EntryPoint(StrEnum):
    """The value of `sagemaker_program` for each kind of job: a path from the root of the source bundle."""

    FEATURES = "training/features.py"
    TRIAL = "training/trial.py"
    TRAIN = "training/train.py"
    RULES = "training/evaluate_rules.py"


class JobVariable(StrEnum):
    """Environment variables of the jobs: what a job has to know that is not a hyperparameter."""

    RUN = "WHIPPET_RUN"
    """`run_id` of the run that the job belongs to."""
    WEIGHTS = "WHIPPET_WEIGHTS"
    """Name of the file in `Channel.WEIGHTS`, whose S3 prefix may bring others: `a.pth` brings `a.pth.old` too."""
    FEATURES_KEY = "WHIPPET_FEATURES_KEY"
    """`features_key` of the features that the job computes."""
    BACKBONES = "WHIPPET_BACKBONES"
    """For the features job, where the search chooses among backbones: their names, between commas. The features of each
    then lie in a folder of their own (`backbone_folder`)."""
    SAVE_INTERVAL = "WHIPPET_SAVE_INTERVAL"
    """Every how many steps the debugger hook saves more than the loss. Without the variable there is no hook."""


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
    """Return the name of the variable that asks a job to evaluate a rule; its value is a JSON object of parameters.

    Each rule has a variable of its own, since a value has at most 256 characters (CreateProcessingJob).
    """
    return f"WHIPPET_RULE_{rule}"


MODEL_ARCHIVE: Final = "model.tar.gz"
"""What SageMaker names the archive of a job's model folder."""


class Channel(StrEnum):
    """Input channels of the jobs."""

    DATASET = "dataset"
    """The photos as they are in the bucket."""
    MANIFEST = "manifest"
    """`Artefact.DATASET_SUMMARY` and `Artefact.MANIFEST`, which CheckDataset wrote."""
    FEATURES = "features"
    """`Artefact.FEATURES_INDEX` and the arrays it lists, which the features job wrote."""
    PREVIOUS_FEATURES = "previous"
    """Features of an earlier run, for the features job: it computes only those of photos that are not among them."""
    IN_SERVICE = "in_service"
    """The archive of the model in service (`MODEL_ARCHIVE`), for the training, which runs it on its own test photos.
    Without a model in service the channel holds `Artefact.DATASET_SUMMARY`, since an empty one would fail the job."""
    WEIGHTS = "weights"
    """Pretrained weights, where the setting training.weights names a file; else the job downloads them."""
    WHEELS = "wheels"
    """Packages that pip installs, where the setting training.wheels names their prefix; else it downloads them."""
    CODE = "code"
    """The job's code, where it runs without a network (security.isolate_training); else the toolkit downloads it."""


def channel_folder(channel: Channel) -> str:
    """Return the folder in a job's container that holds the files of a channel (SageMaker's documented paths)."""
    return f"/opt/ml/input/data/{channel.value}"


def pip_variables() -> dict[str, str]:
    """Return the variables for the `Environment` of jobs that let pip install from `Channel.WHEELS` alone."""
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": channel_folder(Channel.WHEELS)}


class Artefact(StrEnum):
    """Names of the files that one part of the system writes and another reads, by who writes them."""

    # --- written by the features job

    FEATURES_INDEX = "features.json"
    """`FeaturesIndex`, which lists every other file of the features with its size."""

    # --- written by the training job

    MODEL = "model.onnx"
    """Input `image`: uint8 (N, image_size, image_size, 3), RGB. Output `probabilities`: float32 (N, classes).
    Output `evidence`, where the network has it: float32 (N, rows, columns), each place's part of the likeliest class's
    logit minus the mean of all logits."""
    MODEL_CARD = "model.json"
    """`ModelCard`, beside the model: its labels and its preprocessing."""
    EVALUATION = "evaluation.json"
    """`Evaluation`"""
    CONFUSION_MATRIX_CSV = "confusion_matrix.csv"
    CONFUSION_MATRIX_PNG = "confusion_matrix.png"
    HISTORY = "history.csv"
    """A row an epoch: epoch, train_loss, validation_loss, validation_loss_error (its standard error),
    validation_accuracy, and kept: 1 for the epoch that was kept, 0 for the others."""
    HISTORY_PNG = "history.png"
    PER_CLASS_CSV = "per_class.csv"
    PER_CLASS_PNG = "per_class.png"
    RELIABILITY_CSV = "reliability.csv"
    RELIABILITY_PNG = "reliability.png"
    PREDICTIONS = "test_predictions.csv"
    """A row a test photo, in the order of their paths: path, label, predicted, confidence, distance."""
    IN_SERVICE = "in_service.json"
    """`InServiceTest`, where there was a model in service when the run began."""
    IN_SERVICE_PREDICTIONS = "in_service_predictions.csv"
    """What the model in service says of the same test photos, in the columns of `PREDICTIONS`, without distances."""
    TENSORS = "tensors"
    """Folder of the tensors that the debugger hook saved, in smdebug's format."""
    HOOK_REPORT = "hook.json"
    """`HookReport`"""
    PROFILE = "profile.json"
    """`Profile`"""
    CHECK = "check.json"
    """`DatasetCheck`, which `whippet check` writes, too."""
    HEAT_MAPS = "heat_maps.json"
    """Small JPEGs in base64 by path, as `THUMBNAILS`: `Evaluation.hardest_mistakes` as the network saw them, with what
    spoke for the wrong label over them; empty for a model without evidence."""
    THUMBNAILS = "thumbnails.json"
    """Small JPEGs in base64 by the photo's path: of the photos that a report or the page of `whippet check` shows."""

    # --- written by the rules' processing job

    RULES = "rules.json"
    """`RulesReport`"""

    # --- written by the Lambdas

    DATASET_SUMMARY = "dataset.json"
    """`DatasetSummary`, in the run's manifest folder."""
    MANIFEST = "manifest.jsonl"
    """An `ImageRecord` a line, in the order of their keys, in the run's manifest folder."""
    LEFT_OUT = "left_out.csv"
    """Files below the data set's prefix that are in no manifest, in the run's manifest folder: path, reason."""
    DECISION = "decision.json"
    """`Decision`"""
    APPROVAL = "approval.json"
    """The question whether a model may be released, and the task token that its answer needs."""
    REPORT = "report.html"
    PROFILE_PAGE = "profile.html"
    """The report's section on the training's profile, as a page of its own."""
    TIDIED = "tidied.json"
    """`TidiedRun`, of a run that was stopped or timed out."""
