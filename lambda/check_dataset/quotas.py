"""The account's quotas, held against what a run needs before anything of it costs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from shared.console_links import quota_link

import contract

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = ["PATIENCE", "QuotaTooSmall", "check_quotas"]

PATIENCE: Final = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 3, "mode": "standard"})
"""How long a call to Service Quotas may take: the check is a service to the user, and no run waits long for it."""

_LONGEST_SECONDS: Final = 30.0
"""How long the whole list may take. SageMaker has some thousand quotas, which come in pages of 100."""

_USERS: Final = {
    "features": "the features job needs",
    "trials": "the trials need",
    "training": "the training of the best trial needs",
    "rules": "the debugger's rules need",
    "release": "the endpoint needs",
}

logger = Logger(child=True)


class QuotaTooSmall(ValueError):
    """A quota of the account is below what the run needs; the message names both, and where to ask for more."""


def check_quotas(
    service_quotas: Any,
    sagemaker: SageMakerClient,
    *,
    needs: Sequence[contract.QuotaNeed],
    plan: contract.Plan,
    endpoint: str,
) -> None:
    """Check every quota that this run needs.

    Where Service Quotas does not answer, may not be asked or does not know a quota, the run goes on with a warning.
    What other jobs of the account use at this moment is not counted; of the endpoint's quotas, the fleet in service is.

    Raises:
        QuotaTooSmall: a quota is too small.
    """
    fleet = _Fleet(sagemaker, endpoint)
    wanted: dict[str, _Wanted] = {}
    for need in needs:
        if need["phase"] == "features" and plan["features"]["ready"]:
            continue
        # Phases come one after another, so that the largest counts.
        more = _wanted(need, plan, fleet)
        if need["quota"] not in wanted or wanted[need["quota"]].instances < more.instances:
            wanted[need["quota"]] = more

    applied = _applied(service_quotas, set(wanted))
    problems = [
        f'SageMaker\'s quota "{name}" is {quota["Value"]:g}, but {wanted[name].why}: '
        f"ask for {wanted[name].instances} at {quota_link(quota['QuotaArn'])}"
        for name, quota in applied.items()
        if quota["Value"] < wanted[name].instances
    ]
    if problems:
        raise QuotaTooSmall(
            f"{'; '.join(problems)}; or choose other machines in the settings. The run has cost nothing"
        )


@dataclass(frozen=True)
class _Wanted:
    instances: int
    why: str


class _Fleet:
    """The instances of the endpoint that is in service."""

    def __init__(self, sagemaker: SageMakerClient, endpoint: str) -> None:
        self._by_type: list[tuple[str, int]] = []
        try:
            described = sagemaker.describe_endpoint(EndpointName=endpoint)
            config = sagemaker.describe_endpoint_config(EndpointConfigName=described["EndpointConfigName"])
        except (BotoCoreError, ClientError) as error:
            logger.info("no endpoint is counted", extra={"reason": str(error)})
            return
        types = {variant["VariantName"]: variant.get("InstanceType", "") for variant in config["ProductionVariants"]}
        for variant in described.get("ProductionVariants", []):
            self._by_type.append((types.get(variant["VariantName"], ""), variant.get("CurrentInstanceCount", 0)))

    def counted_by(self, quota: str) -> int:
        """Return the instances that count against a quota: of its instance type, or all of them."""
        counted, by_type, _ = quota.partition(" for endpoint usage")
        return sum(count for name, count in self._by_type if not by_type or name == counted)


def _wanted(need: contract.QuotaNeed, plan: contract.Plan, fleet: _Fleet) -> _Wanted:
    number, beside = need["instances"], ""
    if need["phase"] == "trials":
        number *= plan["tuning"]["parallel_trials"]
    elif need["phase"] == "release" and (standing := fleet.counted_by(need["quota"])):
        # UpdateEndpoint starts the new fleet beside the one in service (API reference, "UpdateEndpoint").
        number += standing
        beside = f" beside the {standing} in service"
    return _Wanted(number, f"{_USERS[need['phase']]} {number}{beside} (setting {need['setting']})")


def _applied(service_quotas: Any, names: set[str]) -> dict[str, dict[str, Any]]:
    """Return the applied quotas of these names, as many as Service Quotas tells in time."""
    found: dict[str, dict[str, Any]] = {}
    try:
        for quota in _listed(service_quotas):
            if quota["QuotaName"] in names:
                found[quota["QuotaName"]] = quota
                if len(found) == len(names):
                    break
    except (BotoCoreError, ClientError) as error:
        logger.warning("quotas were not checked, as Service Quotas gave no answer", extra={"reason": str(error)})
    if unknown := sorted(names - set(found)):
        logger.warning("quotas that were not checked", extra={"quotas": unknown})
    return found


def _listed(service_quotas: Any) -> Iterable[dict[str, Any]]:
    deadline = time.monotonic() + _LONGEST_SECONDS
    pages = service_quotas.get_paginator("list_service_quotas").paginate(
        ServiceCode="sagemaker", PaginationConfig={"PageSize": 100}
    )
    for page in pages:
        yield from page["Quotas"]
        if time.monotonic() > deadline:
            return
