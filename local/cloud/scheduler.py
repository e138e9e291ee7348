"""EventBridge Scheduler: time zones, context attributes, and the role by which a schedule invokes its target.

ministack compares every schedule with UTC, hands a target's input on as it is, and asks no role.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from local import clock
from local.cloud import auth, seam

__all__ = ["apply"]

_SERVICE: Final = "scheduler.amazonaws.com"


def apply() -> None:
    """Replace what looks for schedules that are due, and let CloudFormation keep a schedule's time zone.

    Raises:
        SeamError: ministack is not the expected one.
    """
    scheduler, bridge = seam.module("services.scheduler"), seam.module("services.eventbridge")
    for name in ("_schedules", "_schedule_last_fired", "_tick_schedules", "logger"):
        seam.expect(scheduler, name)
    seam.expect(scheduler, "_at_time_epoch", "expr")
    seam.expect(scheduler, "_to_epoch", "value")
    seam.expect(bridge, "_parse_rate_seconds", "expr")
    seam.expect(bridge, "_parse_cron_fields", "expr")
    seam.expect(bridge, "_cron_next_fire", "fields", "after_dt")
    seam.expect(bridge, "_dispatch_to_lambda", "arn", "payload")
    scheduler._tick_schedules = _Ticker(scheduler, bridge).tick

    handlers = seam.expect(seam.module("services.cloudformation.provisioners"), "_RESOURCE_HANDLERS")
    _keep_time_zone(scheduler, handlers["AWS::Scheduler::Schedule"])


def _keep_time_zone(scheduler: Any, handler: dict[str, Any]) -> None:
    """Store the properties that ministack's handlers of AWS::Scheduler::Schedule leave out."""
    create, update = handler["create"], handler["update"]

    def store(name: str, properties: Mapping[str, Any]) -> None:
        schedule = scheduler._schedules[f"{properties.get('GroupName', 'default')}/{name}"]
        schedule["ScheduleExpressionTimezone"] = properties.get("ScheduleExpressionTimezone", "UTC")
        schedule["KmsKeyArn"] = properties.get("KmsKeyArn")

    def create_schedule(logical_id: str, properties: dict[str, Any], *rest: Any) -> Any:
        made = create(logical_id, properties, *rest)
        store(made[0], properties)
        return made

    def update_schedule(physical_id: str, old: dict[str, Any], new: dict[str, Any], *rest: Any) -> Any:
        made = update(physical_id, old, new, *rest)
        store(made[0], new)
        return made

    handler.update(create=create_schedule, update=update_schedule)


class _Ticker:
    """Invokes the targets of schedules that are due."""

    def __init__(self, scheduler: Any, bridge: Any) -> None:
        self._scheduler = scheduler
        self._bridge = bridge

    def tick(self) -> None:
        """Look at every schedule of every account and region."""
        now, fired = clock.time(), self._scheduler._schedule_last_fired
        for key, schedule in list(self._scheduler._schedules._data.items()):
            begins, ends = (self._scheduler._to_epoch(schedule.get(name)) for name in ("StartDate", "EndDate"))
            if schedule.get("State") != "ENABLED" or (begins is not None and now < begins):
                continue
            is_over = ends is not None and now > ends
            due = None if is_over else self._due(schedule, since=fired.get(key), now=now)
            if due is not None:
                fired[key] = due
                self._fire(key, schedule, due)
                is_over = self._scheduler._at_time_epoch(schedule["ScheduleExpression"]) is not None
            if is_over and schedule.get("ActionAfterCompletion") == "DELETE":
                self._scheduler._schedules._data.pop(key, None)
                fired.pop(key, None)

    def _due(self, schedule: Mapping[str, Any], *, since: float | None, now: float) -> float | None:
        """Return the time that a schedule has come to since it last did; None where it has not."""
        text = schedule["ScheduleExpression"]
        zone = ZoneInfo(schedule.get("ScheduleExpressionTimezone") or "UTC")
        if at := re.fullmatch(r"\s*at\((.+)\)\s*", text):
            once = datetime.fromisoformat(at[1].strip()).replace(tzinfo=zone).timestamp()
            return once if since is None and now >= once else None
        last = float(schedule["CreationDate"]) if since is None else since
        seconds = self._bridge._parse_rate_seconds(text)
        if seconds is not None:
            return last + seconds * ((now - last) // seconds) if now - last >= seconds else None
        fields = self._bridge._parse_cron_fields(text)
        if fields is None:
            return None
        # of times that have passed at once, on a fast clock, the last one counts
        found: float | None = None
        moment = datetime.fromtimestamp(last, zone)
        while (following := self._bridge._cron_next_fire(fields, moment)) is not None and following.timestamp() <= now:
            found = following.timestamp()
            moment = following
        return found

    def _fire(self, key: tuple[str, str, str], schedule: Mapping[str, Any], due: float) -> None:
        """Invoke the target of a schedule, in its account and region; what is refused is logged, as AWS counts it."""
        responses = seam.module("core.responses")
        before = responses.get_account_id(), responses.get_region()
        responses.set_request_account_id(key[0])
        responses.set_request_region(key[1])
        try:
            self._invoke(schedule, due)
        except Exception:
            self._scheduler.logger.exception("Scheduler: %s", schedule["Arn"])
        finally:
            responses.set_request_account_id(before[0])
            responses.set_request_region(before[1])

    def _invoke(self, schedule: Mapping[str, Any], due: float) -> None:
        target = schedule["Target"]
        moment = datetime.fromtimestamp(due, UTC)
        attributes = {
            "schedule-arn": schedule["Arn"],
            "scheduled-time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "execution-id": f"{hash((schedule['Arn'], due)) & 0xFFFFFFFFFFFFFFFF:016x}",
            "attempt-number": "1",
        }
        given = target.get("Input", "{}")
        for name, value in attributes.items():
            given = given.replace(f"<aws.scheduler.{name}>", value)

        # targets of other kinds are ministack's
        if ":lambda:" not in target["Arn"]:
            event = {
                "EventId": attributes["execution-id"],
                "Source": "aws.scheduler",
                "DetailType": "Scheduled Event",
                "Detail": "{}",
                "Time": due,
                "Resources": [schedule["Arn"]],
                "Account": schedule["Arn"].split(":")[4],
                "Region": schedule["Arn"].split(":")[3],
            }
            self._bridge._invoke_target({**target, "Input": given}, event, schedule)
            return

        role = target["RoleArn"]
        refusal = None if auth.role_trusts(role, _SERVICE) else f"{_SERVICE} may not assume {role}"
        refusal = refusal or auth.role_may(
            role, action="lambda:InvokeFunction", resource=target["Arn"], session="scheduler"
        )
        if refusal is not None:
            self._scheduler.logger.error("Scheduler: %s is not invoked: %s", target["Arn"], refusal)
            return
        self._bridge._dispatch_to_lambda(target["Arn"], given)
