"""The message about a run that was ended from outside, or that could not tell of its own failure."""

from __future__ import annotations

from shared.console_links import execution_link
from shared.plain_cause import plain_cause
from shared.run_advice import advice_on, how_to_go_on

import contract

__all__ = ["message_of"]

_NOTHING = "nothing was left to do: a job that it waited for was stopped with it, and the endpoint is as it was"

_ENDED = {"ABORTED": "was stopped", "TIMED_OUT": "ran out of time", "FAILED": "failed"}

_ADVICE = {
    "ABORTED": "Nothing of it runs on. Start an execution with {} for a new run.",
    "TIMED_OUT": "The execution took longer than all of its states may take together, which should not happen: look at "
    "the execution in the console for the state that went on.",
}


def message_of(tidied: contract.TidiedRun) -> tuple[str, str]:
    """Return the subject and the text of the message."""
    ended, status = _ENDED[tidied["status"]], tidied["status"]
    where = f" in {tidied['state']}" if tidied["state"] else ""
    headline = f"run {tidied['run']} {ended}{where}"
    error = tidied["error"] or {"ABORTED": "stopped", "TIMED_OUT": "States.Timeout"}.get(status, "States.TaskFailed")
    done = [f"- {each}" for each in tidied["done"]] or [f"- {_NOTHING}"]
    lines = [
        f"{headline[0].upper()}{headline[1:]}.",
        "",
        f"Reason ({error}): {plain_cause(tidied['cause'])}",
        "",
        "What was tidied up:",
        *done,
        "",
        _ADVICE.get(status) or advice_on(error),
        *how_to_go_on(tidied["run"]),
        "",
        f"Execution: {execution_link(tidied['execution'])}",
    ]
    return f"whippet: {headline}", "\n".join(lines)
