"""Facts about an instance type that follow from its name, and what it cannot be used for.

Sources: "Amazon EC2 instance types" for processors, GPUs and local storage; the CUDA architectures that PyTorch 2.13 is
built for, compute capability 7.5 to 12.0.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "fine_tuning_rate",
    "gpus",
    "has_local_storage",
    "local_storage_gb",
    "virtual_cpus",
    "why_not_for_endpoints",
    "why_not_for_jobs",
]

_CPU_FAMILIES: Final = frozenset((
    "t2", "t3",
    "m4", "m5", "m5d", "m6i", "m7i", "m7i-flex", "m8i", "m8i-flex",
    "c4", "c5", "c5d", "c5n", "c6i", "c6in", "c7i", "c7i-flex", "c8i", "c8i-flex",
    "r5", "r5d", "r6i", "r7i", "r8i", "r8i-flex",
))  # fmt: skip
"""Families of x86 processors without an accelerator."""

_GPU_TYPES: Final = {
    # GPUs and GB of local storage
    "g4dn.xlarge": (1, 125), "g4dn.2xlarge": (1, 225), "g4dn.4xlarge": (1, 225), "g4dn.8xlarge": (1, 900),
    "g4dn.12xlarge": (4, 900), "g4dn.16xlarge": (1, 900),
    "g5.xlarge": (1, 250), "g5.2xlarge": (1, 450), "g5.4xlarge": (1, 600), "g5.8xlarge": (1, 900),
    "g5.12xlarge": (4, 3800), "g5.16xlarge": (1, 1900), "g5.24xlarge": (4, 3800), "g5.48xlarge": (8, 7600),
    "g6.xlarge": (1, 250), "g6.2xlarge": (1, 450), "g6.4xlarge": (1, 600), "g6.8xlarge": (1, 900),
    "g6.12xlarge": (4, 3760), "g6.16xlarge": (1, 1880), "g6.24xlarge": (4, 3760), "g6.48xlarge": (8, 7520),
    "g6e.xlarge": (1, 250), "g6e.2xlarge": (1, 450), "g6e.4xlarge": (1, 600), "g6e.8xlarge": (1, 900),
    "g6e.12xlarge": (4, 3800), "g6e.16xlarge": (1, 1900), "g6e.24xlarge": (4, 3800), "g6e.48xlarge": (8, 7600),
    "g7.2xlarge": (1, 600), "g7.4xlarge": (1, 600), "g7.8xlarge": (1, 950), "g7.12xlarge": (2, 1900),
    "g7.24xlarge": (4, 3800), "g7.48xlarge": (8, 7600),
    "g7e.2xlarge": (1, 1900), "g7e.4xlarge": (1, 1900), "g7e.8xlarge": (1, 1900), "g7e.12xlarge": (2, 3800),
    "g7e.24xlarge": (4, 7600), "g7e.48xlarge": (8, 15200),
    "p4d.24xlarge": (8, 8000), "p4de.24xlarge": (8, 8000),
    "p5.4xlarge": (1, 3840), "p5.48xlarge": (8, 30720), "p5e.48xlarge": (8, 30720), "p5en.48xlarge": (8, 30720),
    "p6-b200.48xlarge": (8, 30720), "p6-b300.48xlarge": (8, 30720),
}  # fmt: skip
"""Every GPU instance type that jobs may have. A type without its number of GPUs could not be given its processes."""

_CPU_STORAGE_GB: Final = {
    "r5d.large": 75, "r5d.xlarge": 150, "r5d.2xlarge": 300, "r5d.4xlarge": 600, "r5d.8xlarge": 1200,
    "r5d.12xlarge": 1800, "r5d.16xlarge": 2400, "r5d.24xlarge": 3600,
}  # fmt: skip
"""Local storage of the types without a GPU that SageMaker offers for training."""

_RATE_OF_AN_XLARGE: Final = 5.0
"""Photos a second of 4 virtual CPUs."""

_OLD_GPUS: Final = frozenset(("p2", "p3", "p3dn"))
_NEURON: Final = ("trn", "inf")
_ARM: Final = ("t4g", "m6g", "m7g", "m8g", "c6g", "c7g", "c8g", "r6g", "r7g", "r8g", "x2g", "g5g", "p6e")
"""How the names of Arm families begin: Graviton processors, and Grace beside the GPUs of p6e-gb200."""


def gpus(instance_type: str) -> int:
    """Return the number of GPUs of a type that jobs may have; 0 for one without GPUs."""
    return _GPU_TYPES.get(instance_type.removeprefix("ml."), (0, 0))[0]


def fine_tuning_rate(instance_type: str) -> float | None:
    """Return how many photos a second a fine-tuning of a ResNet50 trains on CPUs, at 224 pixels; None for a GPU.

    An estimate: 10 photos a second on the 8 virtual CPUs of ml.c5.2xlarge, which compute in float32, and as many more
    as another size of a family has more of them.
    """
    if gpus(instance_type):
        return None
    return _RATE_OF_AN_XLARGE * virtual_cpus(instance_type) / 4


def virtual_cpus(instance_type: str) -> float:
    """Return the virtual CPUs of an instance type: four for an xlarge of most families, two for a large."""
    size = instance_type.rpartition(".")[2]
    factor = size.removesuffix("xlarge")
    return 4 * ({"medium": 0.5, "large": 0.5}.get(size) or float(factor or 1))


def local_storage_gb(instance_type: str) -> int | None:
    """Return the GB of local storage, which takes the place of the volume that a job asks for; None without any.

    SageMaker gives no EBS volume to a type with NVMe storage (API reference, "ResourceConfig": VolumeSizeInGB).
    """
    name = instance_type.removeprefix("ml.")
    return _GPU_TYPES[name][1] if name in _GPU_TYPES else _CPU_STORAGE_GB.get(name)


def has_local_storage(instance_type: str) -> bool:
    """Return whether a type has NVMe storage, which its own hardware encrypts: SageMaker refuses a KMS key for it.

    Sources: API reference, "ResourceConfig": VolumeKmsKeyId, and "CreateEndpointConfig": KmsKeyId. AWS writes local
    storage as a `d` behind a family's generation (m5d, c5d, g4dn); the newer GPU types have it without saying so.
    """
    name, family = _name_and_family(instance_type)
    return name in _GPU_TYPES or re.fullmatch(r"[a-z]+\d+[a-z]*d[a-z]*(-flex)?", family) is not None


def why_not_for_jobs(instance_type: str) -> str | None:
    """Return why jobs cannot run on an instance type, and what to choose instead; None where they can."""
    name, family = _name_and_family(instance_type)
    if family in _CPU_FAMILIES or name in _GPU_TYPES:
        return None
    instead = "choose a type with x86 processors such as ml.c5.2xlarge, or with a GPU such as ml.g5.xlarge"
    if family in _OLD_GPUS:
        return f"PyTorch 2.13 has no kernels for GPUs as old as those of {family}; {instead}"
    if family.startswith(_ARM):
        return f"it has Arm processors, and the image of the jobs is for x86; {instead}"
    if family.startswith(_NEURON):
        return f"the jobs cannot use AWS's own chips and would leave them idle; {instead}"
    return _unknown(instead)


def why_not_for_endpoints(instance_type: str) -> str | None:
    """Return why the endpoint cannot run on an instance type, and what to choose instead; None where it can."""
    _, family = _name_and_family(instance_type)
    if family in _CPU_FAMILIES:
        return None
    instead = "choose a type with x86 processors such as ml.m5.large or ml.c6i.large"
    if family.startswith(_ARM):
        return f"it has Arm processors, and the serving image is built for x86; {instead}"
    if family.startswith(("g", "p", "dl", *_NEURON)):
        return f"the serving image computes on processors, so that an accelerator would idle; {instead}"
    return _unknown(instead)


def _name_and_family(instance_type: str) -> tuple[str, str]:
    name = instance_type.removeprefix("ml.")
    return name, name.split(".")[0]


def _unknown(instead: str) -> str:
    return f"it is not in the table of known types; {instead}, or add it to infra/instances.py if it has x86 processors"
