"""A record of every permission that a role used, for the test that holds the roles' policies to it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from local.cloud import seam

__all__ = ["VARIABLE", "apply"]

VARIABLE: Final = "WHIPPET_PERMISSION_LOG"
"""Environment variable of the cloud: a file that gets a line for each permission, the first time that it is used."""


def apply() -> None:
    """Write down what the policies of roles allow, where the variable names a file.

    A line is a JSON list of the role's name, the action and the resource.
    """
    path = os.environ.get(VARIABLE)
    if not path:
        return
    evaluator = seam.module("core.iam_evaluator")
    evaluate = seam.expect(evaluator, "evaluate", "ctx", "policies")
    seen: set[tuple[str, str, str]] = set()
    file = Path(path)

    # every check of a caller's permissions passes here
    def evaluate_and_note(ctx: Any, policies: Any, *limits: Any) -> Any:
        result = evaluate(ctx, policies, *limits)
        if result.decision == "Allow" and ctx.principal_type == "AssumedRole":
            used = (ctx.principal_arn.split("/")[1], ctx.action, ctx.resource_arn)
            if used not in seen:
                seen.add(used)
                with file.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(used) + "\n")
        return result

    evaluator.evaluate = evaluate_and_note
