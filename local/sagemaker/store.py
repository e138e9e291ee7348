"""The records of all resources, in memory and behind one lock."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from local import clock
from local.sagemaker.errors import SageMakerError, validation
from local.sagemaker.resources import ENDPOINT, ENDPOINT_CONFIG, MODEL, Kind, already_exists, not_found

__all__ = ["Record", "Store"]

Record = dict[str, Any]
"""The members of a resource as its Describe operation answers them, with timestamps as epoch seconds."""

_LIMITS = {MODEL: 5_000, ENDPOINT_CONFIG: 5_000, ENDPOINT: 500}
_DEFAULT_LIMIT = 20_000
"""Resources of each other kind that may exist."""


class Store:
    """The resources by kind and name, and the tags of each. Every method may be called from any thread.

    No two resources have the same ARN. SageMaker writes most names in lower case there (`Kind.arn`), so names that
    differ only in case are the same to `create`: "The name is case-insensitive in CreateEndpoint" (botocore's service
    model). To find a resource, its case must be matched, as the model says of InvokeEndpoint.
    """

    def __init__(self, *, region: str, account_id: str) -> None:
        self._region = region
        self._account_id = account_id
        self._lock = threading.RLock()
        self._records: dict[tuple[Kind, str], Record] = {}
        self._tags: dict[tuple[Kind, str], dict[str, str]] = {}
        self._keys: dict[str, tuple[Kind, str]] = {}

    def arn(self, kind: Kind, name: str) -> str:
        """Return the ARN of a resource of this name, whether it exists or not."""
        return kind.arn(name, region=self._region, account_id=self._account_id)

    def create(self, kind: Kind, parameters: Record, **members: Any) -> Record:
        """Add a resource with a request's parameters and further members, and return a copy of its record.

        Raises:
            SageMakerError: the name is taken, or there are too many resources of this kind.
        """
        # the record is a copy, and its tags are kept apart
        name = parameters[kind.name_member]
        arn = self.arn(kind, name)
        now = clock.time()
        record = copy.deepcopy({**parameters, **members})
        tags = {tag["Key"]: tag["Value"] for tag in record.pop("Tags", [])}
        record |= {kind.arn_member: arn, "CreationTime": now, "LastModifiedTime": now}

        with self._lock:
            if arn in self._keys:
                raise already_exists(kind, arn)
            limit = _LIMITS.get(kind, _DEFAULT_LIMIT)
            if sum(1 for other, _ in self._records if other is kind) >= limit:
                raise SageMakerError(
                    "ResourceLimitExceeded",
                    f"The limit of {limit} resources of kind {kind.name} is reached; delete some.",
                )
            self._keys[arn] = (kind, name)
            self._records[kind, name] = record
            self._tags[kind, name] = tags
            return copy.deepcopy(record)

    def get(self, kind: Kind, name: str) -> Record:
        """Return a copy of the resource's record.

        Raises:
            SageMakerError: there is no resource of this name.
        """
        with self._lock:
            return copy.deepcopy(self._find(kind, name))

    @contextmanager
    def change(self, kind: Kind, name: str) -> Iterator[Record]:
        """Lock the store and give the record itself, to be changed in the block.

        Raises:
            SageMakerError: there is no resource of this name.
        """
        with self._lock:
            record = self._find(kind, name)
            yield record
            record["LastModifiedTime"] = clock.time()

    def delete(self, kind: Kind, name: str) -> None:
        """Remove the resource and its tags.

        Raises:
            SageMakerError: there is no resource of this name.
        """
        with self._lock:
            record = self._find(kind, name)
            del self._records[kind, name], self._tags[kind, name], self._keys[record[kind.arn_member]]

    def all(self, kind: Kind) -> list[Record]:
        """Return copies of all records of this kind, in order of creation."""
        with self._lock:
            return [copy.deepcopy(record) for (other, _), record in self._records.items() if other is kind]

    def tags(self, arn: str) -> dict[str, str]:
        """Return the tags of a resource.

        Raises:
            SageMakerError: there is no resource of this ARN.
        """
        with self._lock:
            return dict(self._tags_of(arn))

    def add_tags(self, arn: str, tags: dict[str, str]) -> dict[str, str]:
        """Set tags of a resource, and return all of its tags.

        Raises:
            SageMakerError: there is no resource of this ARN, or it would have more than 50 tags (AWS quota).
        """
        with self._lock:
            merged = self._tags_of(arn) | tags
            if len(merged) > 50:
                raise validation(f"{arn} would have {len(merged)} tags; a resource may have 50.")
            self._tags[self._keys[arn]] = merged
            return dict(merged)

    def delete_tags(self, arn: str, keys: list[str]) -> None:
        """Remove tags of a resource. As on AWS, keys that it does not have are ignored."""
        with self._lock:
            tags = self._tags_of(arn)
            for key in keys:
                tags.pop(key, None)

    def _find(self, kind: Kind, name: str) -> Record:
        try:
            return self._records[kind, name]
        except KeyError:
            raise not_found(kind, name, self.arn(kind, name)) from None

    def _tags_of(self, arn: str) -> dict[str, str]:
        try:
            return self._tags[self._keys[arn]]
        except KeyError:
            raise validation(f'Could not find resource "{arn}".') from None
