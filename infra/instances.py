"""Facts about an instance type that follow from its name."""

from __future__ import annotations

from typing import Final

__all__ = ["gpus"]

_SEVERAL: Final = {
    **dict.fromkeys(("g7e.12xlarge",), 2),
    **dict.fromkeys(
        (
            "g4dn.12xlarge", "g5.12xlarge", "g5.24xlarge", "g6.12xlarge", "g6.24xlarge", "g6e.12xlarge",
            "g6e.24xlarge", "g7e.24xlarge", "p3.8xlarge", "p6e-gb200.36xlarge",
        ),
        4,
    ),
    **dict.fromkeys(
        (
            "g4dn.metal", "g5.48xlarge", "g6.48xlarge", "g6e.48xlarge", "g7e.48xlarge", "p2.8xlarge", "p3.16xlarge",
            "p3dn.24xlarge", "p4d.24xlarge", "p4de.24xlarge", "p5.48xlarge", "p5e.48xlarge", "p5en.48xlarge",
            "p6-b200.48xlarge", "p6-b300.48xlarge",
        ),
        8,
    ),
    "p2.16xlarge": 16,
}  # fmt: skip
"""Instance types with more than one GPU (Amazon EC2 Instance Types, "Accelerated computing")."""


def gpus(instance_type: str) -> int:
    """Return the number of GPUs: at least one in families g and p (ml.g5.xlarge, ml.p4d.24xlarge), else none."""
    name = instance_type.removeprefix("ml.")
    return _SEVERAL.get(name, 1) if name.startswith(("g", "p")) else 0
