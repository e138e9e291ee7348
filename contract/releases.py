"""Who served when: a small object in the data bucket for each change of the model in service.

The state machine writes one for a release, and one where a model that failed its smoke test was taken back; `whippet
rollback` writes one, too. The keys alone say in which order models came and went, so that a listing is enough to know
what can be fallen back to. No lifecycle rule deletes them: they are the history of the environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, NotRequired, TypedDict

from contract.evaluation import Interval
from contract.names import RELEASES_PREFIX, job_prefix
from contract.shadow import shadowed_config

__all__ = ["ChangeKind", "Release", "ReleaseChange", "release_lineage", "released_run"]

ChangeKind = Literal["released", "failed", "rolled-back"]
"""A run released its model; a run's model failed its smoke test, or its run was ended before, and was taken back;
somebody called `whippet rollback`."""

_NOBODY: Final = "none"
"""In a key where no model served; a run's name has a hyphen, or 11 characters."""

_KEY: Final = re.compile(
    re.escape(RELEASES_PREFIX) + r"(\d{8}T\d{6}\.\d{6}Z)_(released|failed|rolled-back)_([A-Za-z0-9-]+)_([A-Za-z0-9-]+)"
    r"\.json"
)
_TIME: Final = "%Y%m%dT%H%M%S.%fZ"


class Release(TypedDict):
    """The record of a change: the content of its object. All but `why` is in the key, too, or can be looked up."""

    at: str
    """When the model came into service, ISO 8601 in UTC."""
    kind: ChangeKind
    run: str
    """The run whose model serves from then on; empty where none does."""
    replaced: str
    """The run whose model served until then; empty where none did, or where it slept."""
    by: str
    """ARN of the execution, or of the identity that called `whippet rollback`."""
    why: str
    """What the verdict said, what failed, or the reason that was given."""
    retry_of: NotRequired[str]
    """The run with which a released model's run went on; missing where it began anew."""
    test_accuracy: NotRequired[float]
    """Of a released model, as are the next two."""
    test_images: NotRequired[int]
    test_accuracy_interval: NotRequired[Interval]


@dataclass(frozen=True, order=True)
class ReleaseChange:
    """A change of the model in service, as the key of its record tells it; changes sort by their time."""

    at: datetime
    kind: ChangeKind
    run: str
    """The run whose model serves from then on; empty where none does."""
    replaced: str
    """The run whose model served until then; empty where none did."""

    @property
    def key(self) -> str:
        """The key of the record, which is the same however often it is written."""
        moment = self.at.astimezone(UTC).strftime(_TIME)
        return f"{RELEASES_PREFIX}{moment}_{self.kind}_{self.run or _NOBODY}_{self.replaced or _NOBODY}.json"

    @classmethod
    def of_key(cls, key: str) -> ReleaseChange | None:
        """Return the change that a key tells; None for the key of something else."""
        found = _KEY.fullmatch(key)
        if found is None:
            return None
        kinds: dict[str, ChangeKind] = {"released": "released", "failed": "failed", "rolled-back": "rolled-back"}
        run, replaced = ("" if name == _NOBODY else name for name in found.group(3, 4))
        return cls(datetime.strptime(found[1], _TIME).replace(tzinfo=UTC), kinds[found[2]], run, replaced)


def released_run(config: str, *, prefix: str) -> str:
    """Return the run whose model a configuration serves, or the configuration's own name if no run made it."""
    return shadowed_config(config).removeprefix(job_prefix(prefix, ""))


def release_lineage(changes: Iterable[ReleaseChange]) -> list[str]:
    """Return the runs whose models were released one upon another; the last one serves, the others wait behind it.

    A release goes on top. A model that failed its smoke test, or that was rolled back, is taken off: nothing should
    fall back to it. One that is put back by its name although it had been taken off is on top again.
    """
    lineage: list[str] = []
    for change in sorted(changes):
        # what served before, also where no record says how that came into service
        if change.replaced:
            _put_on_top(lineage, change.replaced)

        if change.kind == "failed" and lineage:
            lineage.pop()
        if change.kind == "released" and change.run in lineage:
            lineage.remove(change.run)
        if change.run:
            _put_on_top(lineage, change.run)
    return lineage


def _put_on_top(lineage: list[str], run: str) -> None:
    """Take off what is above a run; put the run on top where it is not there."""
    if run in lineage:
        del lineage[lineage.index(run) + 1 :]
    else:
        lineage.append(run)
