"""The permissions of what ends the runs' jobs: the clean-up at destroy, and the tidy-up after a stopped run."""

from __future__ import annotations

from typing import Final, Literal

from infra.names import Names
from infra.permissions import NO_RESOURCES, RUN_NAMES, Permission

__all__ = ["stop_jobs"]

JobKind = Literal["Training", "HyperParameterTuning", "Processing", "Transform"]

_RESOURCES: Final[dict[JobKind, str]] = {
    "Training": "training-job",
    "HyperParameterTuning": "hyper-parameter-tuning-job",
    "Processing": "processing-job",
    "Transform": "transform-job",
}


def stop_jobs(names: Names, *kinds: JobKind) -> list[Permission]:
    """Return the permissions to find and to stop the runs' jobs of these kinds."""
    return [
        # Listing has no resources in IAM; the Lambda takes only what carries the environment's prefix.
        Permission(actions=[f"sagemaker:List{kind}Jobs" for kind in kinds], resources=["*"], reason=NO_RESOURCES),
        Permission(
            actions=[f"sagemaker:Stop{kind}Job" for kind in kinds],
            resources=names.of_runs(*(_RESOURCES[kind] for kind in kinds)),
            reason=RUN_NAMES,
        ),
    ]
