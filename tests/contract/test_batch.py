"""Names of batches: SageMaker takes them, and none is taken for a run's."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

import contract

BATCH = "0123456789ab"
LONGEST_PREFIX = "whippet-abcdefgh"


def test_sagemaker_takes_the_names() -> None:
    job = contract.batch_job_name(LONGEST_PREFIX, BATCH, 100_000)
    for name in (job, contract.batch_model_name(LONGEST_PREFIX, BATCH)):
        # CreateTransformJob and CreateModel
        assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name)
        assert contract.is_batch_name(name, prefix=LONGEST_PREFIX)


def test_the_payloads_at_once_are_as_many_as_sagemaker_takes() -> None:
    assert contract.BATCH_CONCURRENCY * contract.BATCH_PAYLOAD_MB <= 100


@pytest.mark.parametrize("execution", ["batch", "batch-0123456789ab", "0123456789ab", "batch-1"])
def test_no_run_has_the_name_of_a_batch(execution: str) -> None:
    run = contract.run_id(execution, started=datetime(2026, 11, 29, tzinfo=UTC))
    for name in (contract.job_prefix("whippet-dev", run), contract.training_job_name("whippet-dev", run)):
        assert not contract.is_batch_name(name, prefix="whippet-dev")


def test_a_batchs_files_lie_below_the_prefix_that_s3_empties() -> None:
    keys = (contract.batch_photos_key, contract.batch_answers_key)
    assert all(key(BATCH).startswith(contract.BATCHES_PREFIX) for key in keys)
    assert contract.batch_manifest_key(BATCH, 1).startswith(contract.BATCHES_PREFIX)
    assert contract.BATCHES_PREFIX in contract.OWN_PREFIXES
    assert contract.BATCHES_PREFIX not in contract.JOBS_PREFIXES
