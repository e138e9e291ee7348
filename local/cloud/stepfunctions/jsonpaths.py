"""Fail an execution if a JSONPath finds nothing, as AWS does; ministack takes null and goes on.

Otherwise a state that drops its input by mistake would pass here and fail on AWS. JSONPaths that AWS understands and
ministack does not, with filters or slices, fail the execution as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from local.cloud import seam

__all__ = ["apply"]

_UNCAUGHT: Final = ("States.Runtime", "States.DataLimitExceeded")
"""Errors that States.ALL and States.TaskFailed do not match (developer guide, "Handling errors in workflows")."""


def apply() -> None:
    """Wrap the functions of ministack's interpreter that follow a path."""
    states = seam.module("services.stepfunctions")
    tokens_of = seam.expect(states, "_parse_jsonpath_tokens", "path")
    error = seam.expect(states, "_ExecutionError", "error", "cause")
    resolve_parameters = seam.expect(states, "_resolve_params_obj", "template", "data", "ctx")
    evaluate_rule = seam.expect(states, "_evaluate_rule", "rule", "data", "ctx")
    input_path = seam.expect(states, "_apply_input_path", "state_def", "data", "ctx")
    output_path = seam.expect(states, "_apply_output_path", "state_def", "data", "ctx")
    matches = seam.expect(states, "_error_matches", "error_equals", "error")

    def found(path: Any, data: Any) -> bool:
        if not isinstance(path, str) or not path.startswith(("$.", "$[")):
            return True
        tokens = tokens_of(path)
        if tokens is None:
            raise error(
                "States.Runtime",
                f"The local cloud cannot follow the JSONPath '{path}': it does not support filters, slices and '..'",
            )
        return _reaches(tokens, data)

    def parameters(template: Any, data: Any, ctx: Any = None) -> Any:
        for field, path in _own_paths(template):
            if not found(path, data):
                raise error(
                    "States.Runtime",
                    f"The JSONPath '{path}' specified for the field '{field}' could not be found in the input "
                    f"'{json.dumps(data)}'",
                )
        return resolve_parameters(template, data, ctx)

    def rule_holds(rule: Any, data: Any, ctx: Any = None) -> Any:
        if "IsPresent" not in rule and not found(rule.get("Variable"), data):
            raise error(
                "States.Runtime",
                f"Invalid path '{rule['Variable']}': The choice state's condition path references an invalid value.",
            )
        return evaluate_rule(rule, data, ctx)

    def filtered_by(field: str, original: Any) -> Any:
        def filtered(state_def: Any, data: Any, ctx: Any = None) -> Any:
            if not found(state_def.get(field), data):
                raise error("States.Runtime", f"Invalid path '{state_def[field]}' specified for the field '{field}'")
            return original(state_def, data, ctx)

        return filtered

    def error_matches(error_equals: list[str], name: str) -> bool:
        return name in error_equals if name in _UNCAUGHT else bool(matches(error_equals, name))

    states._resolve_params_obj = parameters
    states._evaluate_rule = rule_holds
    states._apply_input_path = filtered_by("InputPath", input_path)
    states._apply_output_path = filtered_by("OutputPath", output_path)
    states._error_matches = error_matches


def _own_paths(template: Any) -> Iterator[tuple[str, Any]]:
    """Yield the fields of one object that end in `.$`; ministack resolves the objects in it one by one."""
    if isinstance(template, Mapping):
        yield from ((name, value) for name, value in template.items() if name.endswith(".$"))


def _reaches(tokens: list[tuple[str, Any]], data: Any) -> bool:
    for kind, value in tokens:
        if kind not in ("field", "index"):
            # a wildcard may find nothing
            return True
        try:
            data = data[value]
        except (KeyError, IndexError, TypeError):
            return False
    return True
