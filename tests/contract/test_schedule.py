"""Schedules: what EventBridge Scheduler takes, and how often it comes in a month."""

from __future__ import annotations

import pytest

from contract import ScheduleError, check_schedule, runs_a_month, trigger_of, triggered_name


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("rate(7 days)", 5),
        ("rate(1 day)", 31),
        ("rate(90 minutes)", 496),
        ("cron(0 3 ? * SUN *)", 5),
        ("cron(0 3 ? * 1,MON-TUE 2026-2030)", 15),
        ("cron(0 3 ? * 2#1 *)", 1),
        ("cron(0 3 ? * 6L *)", 1),
        ("cron(0 0 L * ? *)", 1),
        ("cron(0 0 3W,20 JAN-MAR ? *)", 2),
        ("cron(0/30 9-17 ? * MON-FRI *)", 450),
        ("cron(0 */6 * * ? *)", 124),
        ("cron(0 3 ? * * *)", 31),
    ],
)
def test_a_schedule_comes_so_often_in_the_longest_month(expression: str, times: int) -> None:
    check_schedule(expression)
    assert runs_a_month(expression) == times


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("weekly", "neither rate"),
        ("at(2026-11-29T03:00:00)", "neither rate"),
        ("rate(7 weeks)", "neither rate"),
        ("rate(59 minutes)", "more often than once an hour"),
        ("rate(0 days)", "more often than once an hour"),
        ("cron(0 3 * * *)", "5 fields instead of the six"),
        ("cron(0 3 * * SUN *)", "exactly one of day of month and day of week"),
        ("cron(0 3 ? * ? *)", "exactly one of day of month and day of week"),
        ("cron(60 3 ? * SUN *)", "'60' in .* is no minutes: give 0 to 59"),
        ("cron(0 3 ? * FOO *)", "is no day of week: give 1 to 7 or SUN to SAT"),
        ("cron(0 9-3 ? * * *)", "is no hours"),
        ("cron(0/0 3 ? * * *)", "is no minutes"),
        ("cron(0 3 32W * ? *)", "is no day of month"),
        ("cron(? 3 ? * SUN *)", "is no minutes"),
    ],
)
def test_what_is_no_schedule_is_refused_with_what_is(expression: str, words: str) -> None:
    with pytest.raises(ScheduleError, match=f"{words}.*such as"):
        check_schedule(expression)


def test_an_executions_name_says_what_started_it() -> None:
    name = triggered_name("ready", "an upload")
    assert name == triggered_name("ready", "an upload") != triggered_name("ready", "another")
    assert len(name) <= 80, "Step Functions' longest name"
    assert trigger_of(name) == "ready"
    assert trigger_of(triggered_name("drift", "1")) == "drift"
    for other in ("ready-steady", "7f3c5a52-0d8e-4d6e-9a3c-2b1c5a520d8e", f"{name}x", f"my-{name}"):
        assert trigger_of(other) is None
