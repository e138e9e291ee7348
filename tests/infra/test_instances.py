"""Instance types: each that SageMaker's API knows is either usable for what it is set to, or refused in words."""

from __future__ import annotations

import re

import pytest
from botocore.model import StringShape
from botocore.session import get_session

from infra.instances import gpus, local_storage_gb
from infra.settings import Settings, SettingsError
from tests.infra.app_process import cdk_context

_SAGEMAKER = get_session().get_service_model("sagemaker")
_CANNOT_TRAIN = {"p2", "p3", "p3dn", "p6e-gb200", "trn1", "trn1n", "trn2"}
"""Families whose GPUs PyTorch 2.13 has no kernels for, whose processors are Arm, or whose chips PyTorch cannot use."""


def known(shape: str) -> list[str]:
    """The names of an enumeration of SageMaker's API, as botocore has it."""
    found = _SAGEMAKER.shape_for(shape)
    assert isinstance(found, StringShape)
    return list(found.enum)


def family(instance_type: str) -> str:
    return instance_type.split(".")[1]


def is_arm(instance_type: str) -> bool:
    """EC2's naming convention: `g` among the letters after the generation stands for Graviton; GB200 has Grace."""
    return bool(re.match(r"[a-z]+\d+[a-z]*g", family(instance_type))) or "gb200" in instance_type


def refusal(setting: str, instance_type: str) -> str | None:
    try:
        Settings.from_context(cdk_context() | {setting: instance_type, "tuning.batch_sizes": "64"})
    except SettingsError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("setting", "shape"),
    [
        ("training.instance_type", "TrainingInstanceType"),
        ("tuning.instance_type", "TrainingInstanceType"),
        ("debugger.instance_type", "ProcessingInstanceType"),
    ],
)
def test_jobs_take_every_type_but_those_that_the_image_cannot_use(setting: str, shape: str) -> None:
    for name in known(shape):
        refused = refusal(setting, name)
        assert bool(refused) == (family(name) in _CANNOT_TRAIN), name
        if refused:
            assert f"{setting}: {name} cannot be used: " in refused
            assert "; choose a type with x86 processors" in refused


def test_the_endpoint_takes_every_type_with_x86_processors_alone() -> None:
    for name in known("ProductionVariantInstanceType"):
        refused = refusal("release.instance_type", name)
        accelerated = family(name).startswith(("g", "p", "inf", "trn", "dl"))
        assert bool(refused) == (accelerated or is_arm(name)), name
        assert is_arm(name) == ("Arm" in (refused or "")), name


def test_the_gpus_of_every_type_that_can_train_are_known() -> None:
    """A type of a GPU family that counted as a CPU type would get the image without CUDA (A-33)."""
    for name in known("TrainingInstanceType"):
        accelerated = family(name).startswith(("g", "p"))
        if family(name) not in _CANNOT_TRAIN:
            assert (gpus(name) > 0) == accelerated, name
            assert (local_storage_gb(name) is not None) == (accelerated or family(name) == "r5d"), name
    assert [gpus(f"ml.g7.{size}xlarge") for size in (8, 12, 24, 48)] == [1, 2, 4, 8]
    assert (local_storage_gb("ml.g5.xlarge"), local_storage_gb("ml.m5.large")) == (250, None)


@pytest.mark.parametrize("setting", ["training.instance_type", "release.instance_type"])
def test_a_type_of_an_unknown_family_is_refused_with_the_place_to_add_it(setting: str) -> None:
    assert "add it to infra/instances.py" in (refusal(setting, "ml.z99.large") or "")
