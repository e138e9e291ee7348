"""Service Quotas: the account's limits, and the defaults of a new account, of the services whose quotas are enforced.

Only reading is played. Limits are changed in the account document, as nobody is here who would grant a request.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from local.cloud import seam
from local.cloud.registration import add_service
from local.sagemaker.account import Account
from local.sagemaker.account.quota_table import SERVICE_CODES, Quota

__all__ = ["ServiceQuotas", "register"]

_SERVICE: Final = "servicequotas"
_TARGET: Final = "ServiceQuotasV20190624."
_NAMES: Final = {"codebuild": "AWS CodeBuild", "lambda": "AWS Lambda", "sagemaker": "Amazon SageMaker"}
_PAGE: Final = 100
"""The most entries of a page, and their number if MaxResults is not given (API reference)."""

Response = tuple[int, dict[str, str], bytes]


class _ApiError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ServiceQuotas:
    """The functions that ministack expects of a service's module."""

    def __init__(self, account: Account, *, region: str, account_id: str) -> None:
        self._quotas = account.quotas
        self._arn = f"arn:aws:servicequotas:{region}:{account_id}:"
        self._operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "ListServices": self._list_services,
            "ListServiceQuotas": lambda p: self._list(p, self._applied),
            "ListAWSDefaultServiceQuotas": lambda p: self._list(p, self._default),
            "GetServiceQuota": lambda p: {"Quota": self._applied(self._find(p))},
            "GetAWSDefaultServiceQuota": lambda p: {"Quota": self._default(self._find(p))},
        }

    async def handle_request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, query_params: Mapping[str, list[str]]
    ) -> Response:
        """Answer a signed and authorised request."""
        content_type = {"Content-Type": "application/x-amz-json-1.1"}
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        try:
            answer = self._operations.get(operation)
            if answer is None:
                supported = ", ".join(self._operations)
                raise _ApiError(
                    "UnknownOperationException",
                    f"The local cloud answers {supported} of Service Quotas, not {operation}.",
                )
            return 200, content_type, json.dumps(answer(json.loads(body or b"{}"))).encode()
        except _ApiError as error:
            payload = {"__type": error.code, "message": str(error), "Message": str(error)}
            return 400, {**content_type, "x-amzn-ErrorType": error.code}, json.dumps(payload).encode()

    def get_state(self) -> None:
        """Keep nothing: the quotas are in the account document."""

    def load_persisted_state(self, data: Any) -> None:
        """Load nothing; the counterpart of `get_state`."""

    def reset(self) -> None:
        """Reset nothing."""

    def _list_services(self, parameters: dict[str, Any]) -> dict[str, Any]:
        services = [{"ServiceCode": code, "ServiceName": _NAMES[code]} for code in SERVICE_CODES]
        return _page("Services", services, parameters)

    def _list(self, parameters: dict[str, Any], shown: Callable[[Quota], dict[str, Any]]) -> dict[str, Any]:
        wanted = parameters.get("QuotaCode")
        found = [quota for quota in self._table(parameters) if wanted in (None, quota.code)]
        return _page("Quotas", [shown(quota) for quota in found], parameters)

    def _table(self, parameters: dict[str, Any]) -> list[Quota]:
        code = parameters.get("ServiceCode")
        if code not in SERVICE_CODES:
            raise _ApiError(
                "NoSuchResourceException", f"The local cloud has quotas of {', '.join(SERVICE_CODES)} only."
            )
        return self._quotas.table(str(code))

    def _find(self, parameters: dict[str, Any]) -> Quota:
        for quota in self._table(parameters):
            if quota.code == parameters.get("QuotaCode"):
                return quota
        raise _ApiError("NoSuchResourceException", "The request failed because the specified quota does not exist.")

    def _applied(self, quota: Quota) -> dict[str, Any]:
        return self._shown(quota, self._quotas.limit(quota.service, quota.name)) | {"QuotaAppliedAtLevel": "ACCOUNT"}

    def _default(self, quota: Quota) -> dict[str, Any]:
        return self._shown(quota, quota.default)

    def _shown(self, quota: Quota, value: int) -> dict[str, Any]:
        return {
            "ServiceCode": quota.service,
            "ServiceName": _NAMES[quota.service],
            "QuotaArn": f"{self._arn}{quota.service}/{quota.code}",
            "QuotaCode": quota.code,
            "QuotaName": quota.name,
            "Value": float(value),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }


def register(account: Account) -> None:
    """Add the service to ministack."""
    responses = seam.module("core.responses")
    service = ServiceQuotas(account, region=responses.get_region(), account_id=responses.get_account_id())
    patterns = {"target_prefixes": [_TARGET], "host_patterns": [r"servicequotas\."]}
    add_service(_SERVICE, service, patterns=patterns)


def _page(member: str, entries: list[dict[str, Any]], parameters: dict[str, Any]) -> dict[str, Any]:
    try:
        start = int(base64.b64decode(parameters.get("NextToken") or "MA=="))
    except ValueError:
        raise _ApiError("InvalidPaginationTokenException", "Invalid input was provided.") from None
    end = start + int(parameters.get("MaxResults") or _PAGE)
    more = {"NextToken": base64.b64encode(str(end).encode()).decode()} if end < len(entries) else {}
    return {member: entries[start:end], **more}
