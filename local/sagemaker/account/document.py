"""The account document: what the account refuses, loses, delays and limits, as typed JSON.

docs/local-cloud.md, "Faults, quotas and other accounts", describes it. Everything in it is checked when it is read: a
fault for an operation that no service has would never fire, and a quota that does not exist would never refuse.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from local.sagemaker.account import quota_table
from local.sagemaker.account.operations import SERVICES, matching

__all__ = [
    "AccountDocument",
    "Answering",
    "DocumentError",
    "ErrorAnswer",
    "Fault",
    "Lingering",
    "parse_document",
]

QuotaDefaults = Literal["generous", "aws"]

_MEMBERS: Final = ("faults", "quotas", "quota_defaults", "creating", "stopping", "answering")
JOB_KINDS: Final = ("TrainingJob", "HyperParameterTuningJob", "ProcessingJob", "TransformJob")


class DocumentError(ValueError):
    """The account document is wrong; the message says where, what was expected, and what to do."""


@dataclass(frozen=True)
class ErrorAnswer:
    """An error that a call is answered with instead of being carried out."""

    code: str
    message: str
    status: int


@dataclass(frozen=True)
class Fault:
    """Calls that fail, and how.

    Attributes:
        name: what the fault is called in the log and in the record of fired faults.
        service: name or pattern of services.
        operation: name or pattern of operations.
        after: matching calls that pass before the first that is hit.
        times: calls that are hit; None if all later ones are.
        error: the call is not carried out, and is answered with this.
        lost_answer: the call is carried out, and the caller does not get its answer: its connection breaks
            ("connection"), or it gets status 500 ("internal_failure").
        delay_seconds: seconds that the call waits before anything else happens.
        hits: every service and operation that the patterns match.
    """

    name: str
    service: str
    operation: str
    after: int
    times: int | None
    error: ErrorAnswer | None
    lost_answer: Literal["connection", "internal_failure"] | None
    delay_seconds: float
    hits: frozenset[tuple[str, str]] = field(repr=False)


@dataclass(frozen=True)
class Lingering:
    """Resources that stay in a state for some seconds: endpoints in Creating, jobs in Stopping.

    Attributes:
        kind: Endpoint, TrainingJob, HyperParameterTuningJob, ProcessingJob, TransformJob, or `*`.
        name: name or pattern of the resources.
        seconds: how long they stay.
    """

    kind: str
    name: str
    seconds: float


@dataclass(frozen=True)
class Answering:
    """Models whose container answers late, or with an error.

    Attributes:
        name: name or pattern of the models; the first entry that fits a model decides, so that one that says nothing
            else keeps a model well.
        delay_seconds: seconds of the machine's clock that each answer comes later.
        status: HTTP status of an error that is answered in place of the model; None for the model's own answer.
    """

    name: str
    delay_seconds: float
    status: int | None


@dataclass(frozen=True)
class AccountDocument:
    """The parts of the document; without one, nothing fails and the quotas are generous.

    Attributes:
        faults: in the order of the document; the first that hits a call decides.
        quotas: limits by service code and by name, code or pattern of the quota.
        quota_defaults: "aws" for the numbers of a new account, "generous" for plenty of everything.
        creating: endpoints that stay Creating.
        stopping: jobs that stay Stopping.
        answering: models that answer late, or with an error.
    """

    faults: tuple[Fault, ...] = ()
    quotas: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    quota_defaults: QuotaDefaults = "generous"
    creating: tuple[Lingering, ...] = ()
    stopping: tuple[Lingering, ...] = ()
    answering: tuple[Answering, ...] = ()


def parse_document(text: str) -> AccountDocument:
    """Return the document, checked.

    Raises:
        DocumentError: it is no JSON, a member is unknown or of the wrong type, or a name matches nothing.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DocumentError(f"the account document is not JSON: {error}") from None

    members = _members(value, "the account document", known=_MEMBERS)
    defaults = members.get("quota_defaults", "generous")
    if defaults not in ("generous", "aws"):
        raise DocumentError(f'quota_defaults is {defaults!r}; expected "generous" or "aws"')
    faults = tuple(_fault(entry, f"faults[{index}]") for index, entry in enumerate(_list(members, "faults")))
    names = [fault.name for fault in faults]
    for name in names:
        if names.count(name) > 1:
            raise DocumentError(f"two faults have the name {name!r}; give each a name of its own, to tell them apart")
    return AccountDocument(
        faults=faults,
        quotas=_quotas(members.get("quotas", {})),
        quota_defaults=defaults,
        creating=_lingering(members, "creating", kinds=("Endpoint",)),
        stopping=_lingering(members, "stopping", kinds=JOB_KINDS),
        answering=tuple(
            _answering(entry, f"answering[{index}]") for index, entry in enumerate(_list(members, "answering"))
        ),
    )


def _fault(value: Any, where: str) -> Fault:
    known = ("name", "service", "operation", "after", "times", "error", "lost_answer", "delay_seconds")
    members = _members(value, where, known=known, required=("service", "operation"))
    service, operation = _text(members, "service", where), _text(members, "operation", where)
    hits = frozenset(matching(service, operation))
    if not hits:
        raise DocumentError(f"{where}: {_unmatched(service, operation)}")

    error = _error(members["error"], f"{where}.error") if "error" in members else None
    lost = members.get("lost_answer")
    if lost not in (None, "connection", "internal_failure"):
        raise DocumentError(f'{where}.lost_answer is {lost!r}; expected "connection" or "internal_failure"')
    delay = _number(members, "delay_seconds", where, default=0)
    if error is None and lost is None and not delay:
        raise DocumentError(f"{where} does nothing; give it one of error, lost_answer and delay_seconds")
    if error is not None and lost is not None:
        raise DocumentError(
            f"{where} has an error and a lost_answer, but a call with an error is not carried out; give one of them"
        )
    times = _number(members, "times", where, whole=True, least=1) if members.get("times") is not None else None
    return Fault(
        name=_text(members, "name", where) if "name" in members else f"{service}:{operation} ({where})",
        service=service,
        operation=operation,
        after=int(_number(members, "after", where, whole=True, default=0)),
        times=None if times is None else int(times),
        error=error,
        lost_answer=lost,
        delay_seconds=delay,
        hits=hits,
    )


def _unmatched(service: str, operation: str) -> str:
    if any(True for _ in matching(service, "*")):
        return (
            f"no operation of {service} matches {operation!r}; expected a name of its API such as CreateTrainingJob, "
            "or a pattern such as Create*"
        )
    return f"no service matches {service!r}; expected a pattern or one of {', '.join(SERVICES)}"


def _error(value: Any, where: str) -> ErrorAnswer:
    members = _members(value, where, known=("code", "message", "status"), required=("code",))
    code = _text(members, "code", where)
    status = int(_number(members, "status", where, whole=True, default=400))
    if not 400 <= status <= 599:
        raise DocumentError(f"{where}.status is {status}; expected an HTTP status of an error, from 400 to 599")
    message = _text(members, "message", where) if "message" in members else f"{code}: a fault of the account document"
    return ErrorAnswer(code=code, message=message, status=status)


def _quotas(value: Any) -> dict[str, dict[str, int]]:
    quotas: dict[str, dict[str, int]] = {}
    for service, limits in _members(value, "quotas", known=quota_table.SERVICE_CODES).items():
        where = f"quotas.{service}"
        quotas[service] = {}
        for name in _members(limits, where):
            if not quota_table.is_known(service, name):
                raise DocumentError(
                    f"{where}: there is no quota {name!r}; expected a name as in Service Quotas, such as "
                    f"{quota_table.example(service)!r}, its code, or a pattern"
                )
            quotas[service][name] = int(_number(limits, name, where, whole=True))
    return quotas


def _lingering(members: Mapping[str, Any], member: str, *, kinds: tuple[str, ...]) -> tuple[Lingering, ...]:
    found = []
    for index, value in enumerate(_list(members, member)):
        where = f"{member}[{index}]"
        entry = _members(value, where, known=("kind", "name", "seconds"), required=("seconds",))
        kind = entry.get("kind", "*")
        if kind not in (*kinds, "*"):
            raise DocumentError(f"{where}.kind is {kind!r}; expected {', '.join(kinds)} or *")
        name = _text(entry, "name", where) if "name" in entry else "*"
        found.append(Lingering(kind=kind, name=name, seconds=_number(entry, "seconds", where)))
    return tuple(found)


def _answering(value: Any, where: str) -> Answering:
    members = _members(value, where, known=("name", "delay_seconds", "status"), required=("name",))
    status = int(_number(members, "status", where, whole=True)) if "status" in members else None
    if status is not None and not 400 <= status <= 599:
        raise DocumentError(f"{where}.status is {status}; expected an HTTP status of an error, from 400 to 599")
    return Answering(
        name=_text(members, "name", where),
        delay_seconds=_number(members, "delay_seconds", where, default=0),
        status=status,
    )


def _members(
    value: Any, where: str, *, known: tuple[str, ...] | None = None, required: tuple[str, ...] = ()
) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DocumentError(f"{where} is {json.dumps(value)[:80]}; expected a JSON object")
    for name in value:
        if known is not None and name not in known:
            raise DocumentError(f"{where} has an unknown member {name!r}; expected {', '.join(known)}")
    for name in required:
        if name not in value:
            raise DocumentError(f"{where} has no {name}; give it")
    return value


def _list(members: Mapping[str, Any], name: str) -> list[Any]:
    value = members.get(name, [])
    if not isinstance(value, list):
        raise DocumentError(f"{name} is {json.dumps(value)[:80]}; expected a list")
    return value


def _text(members: Mapping[str, Any], name: str, where: str) -> str:
    value = members[name]
    if not isinstance(value, str) or not value:
        raise DocumentError(f"{where}.{name} is {json.dumps(value)[:80]}; expected a text")
    return value


def _number(
    members: Mapping[str, Any],
    name: str,
    where: str,
    *,
    whole: bool = False,
    least: int = 0,
    default: float | None = None,
) -> float:
    value = members.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or value < least:
        kind = "a whole number" if whole else "a number"
        raise DocumentError(f"{where}.{name} is {json.dumps(value)[:80]}; expected {kind} from {least} up")
    return float(value)
