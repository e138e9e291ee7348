"""The account's quotas of CodeBuild and Lambda; those of SageMaker are in local/sagemaker/account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from local.cloud import seam
from local.sagemaker.account import Account

__all__ = ["apply"]

_CONCURRENT_EXECUTIONS: Final = "Concurrent executions"
_SYSTEMS: Final = {"LINUX_CONTAINER": "Linux", "ARM_CONTAINER": "ARM"}
_SIZES: Final = {"SMALL": "Small", "MEDIUM": "Medium", "LARGE": "Large", "XLARGE": "XLarge", "2XLARGE": "2XLarge"}


def apply(account: Account) -> None:
    """Wrap the functions of ministack that start builds and invocations."""
    _limit_builds(account)
    _limit_invocations(account)


def _limit_builds(account: Account) -> None:
    codebuild = seam.module("services.codebuild")
    start = seam.expect(codebuild, "_start_build", "data")
    error_response = seam.expect(codebuild, "error_response_json", "code", "message", "status")
    for table in ("_projects", "_builds"):
        seam.expect(codebuild, table)

    def start_build(data: dict[str, Any]) -> Any:
        quota = _builds_quota(codebuild._projects.get(data.get("projectName", "")) or {})
        if quota and account.quotas.is_strict("codebuild", quota):
            limit = account.quotas.limit("codebuild", quota)
            running = [
                build
                for build in codebuild._builds.values()
                if build["buildStatus"] == "IN_PROGRESS" and _builds_quota(build) == quota
            ]
            if len(running) >= limit:
                message = f"Cannot have more than {limit} builds in queue for the account"
                return error_response("AccountLimitExceededException", message, 400)
        return start(data)

    codebuild._start_build = start_build


def _builds_quota(project: Mapping[str, Any]) -> str | None:
    """Return the name of the quota of a project's or build's environment; None if the table has none for it."""
    environment = project.get("environment") or {}
    system = _SYSTEMS.get(environment.get("type", ""))
    size = _SIZES.get(environment.get("computeType", "").removeprefix("BUILD_GENERAL1_"))
    return f"Concurrently running builds for {system}/{size} environment" if system and size else None


def _limit_invocations(account: Account) -> None:
    service = seam.module("services.lambda_svc")
    acquire = seam.expect(service, "_acquire_execution_slot", "func", "config")
    own_cap = seam.expect(service, "_ACCOUNT_CONCURRENCY_CAP")

    def acquire_execution_slot(func: dict[str, Any], config: dict[str, Any]) -> tuple[str | None, str | None]:
        # without a choice, ministack's own cap holds: what the memory of this machine allows
        service._ACCOUNT_CONCURRENCY_CAP = own_cap
        if account.quotas.is_strict("lambda", _CONCURRENT_EXECUTIONS):
            limit = account.quotas.limit("lambda", _CONCURRENT_EXECUTIONS)
            if limit == 0:
                # 0 means unlimited to ministack
                return None, "account"
            service._ACCOUNT_CONCURRENCY_CAP = limit
        found: tuple[str | None, str | None] = acquire(func, config)
        return found

    service._acquire_execution_slot = acquire_execution_slot
