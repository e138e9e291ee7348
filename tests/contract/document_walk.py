"""Follows every JSONPath of a state machine through the types of the run's document.

What a state writes has to be what the document's type says, and what a state reads has to be in the type and written on
some way that leads there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple, get_type_hints

from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape, StructureShape

from contract import RunDocument, RunResult
from tests.contract.document_types import EACH, Path, Types, branches, fits, in_shape, is_value_of, type_of

_SERVICES = {"sagemaker": "sagemaker", "applicationautoscaling": "application-autoscaling"}
"""Names of botocore's models, by the names of Step Functions' integrations."""
_CONTEXT = {
    "$$.Execution.Id",
    "$$.Execution.Name",
    "$$.Execution.StartTime",
    "$$.State.EnteredTime",
    "$$.State.Name",
    "$$.StateMachine.Id",
    "$$.StateMachine.Name",
    "$$.Task.Token",
}
"""Paths of the context object that are texts ("Accessing execution data from the Context object")."""

_INTRINSICS: dict[str, type] = {"Format": str, "JsonToString": str, "MathAdd": int}
_CALL = re.compile(r"States\.(\w+)\((.*)\)", re.DOTALL)
_ARGUMENT = re.compile(r"'(?:[^'\\]|\\.)*'|[^,\s][^,]*")
_PATH = re.compile(r"\$(\.\w+|\[(\*|\d+)\])*")
_READING_MEMBERS = ("InputPath", "OutputPath", "ItemsPath", "SecondsPath", "TimestampPath", "ErrorPath", "CausePath")
"""Members of a state that hold one path."""

_COMPARED = {"Boolean": bool, "Numeric": int, "String": str}


class Edge(NamedTuple):
    """A way from one state to another, and what is written on it; `target` is None where nothing is."""

    following: str
    target: Path | None
    leaves: frozenset[Path]


class DocumentWalk:
    """The walk; `problems` lists everything that is wrong.

    Args:
        definition: The state machine's definition.
        handler_of: Returns the handler of a Lambda function by its ARN.
        types: The types of the document.
    """

    def __init__(
        self, definition: Mapping[str, Any], *, handler_of: Callable[[str], Callable[..., Any]], types: Types
    ) -> None:
        self.states: Mapping[str, Any] = definition["States"]
        self.start: str = definition["StartAt"]
        self.types, self.handler_of = types, handler_of
        self.problems: list[str] = []
        self.seen: set[str] = set()
        """Every path and every intrinsic function that was looked at."""
        self.written: dict[str, set[Path]] = {}
        """By state: the paths that some state before it wrote."""
        self.begun: dict[str, set[Path]] = {}
        """By state: those and everything that they lie in."""

        # what each state writes decides on what the states behind it may read
        edges = {name: list(self._edges(name, state)) for name, state in self.states.items()}
        self._follow(edges)
        for name, state in self.states.items():
            self._read_all(name, state)

        # nothing that looks like a path may have been passed over
        for name, state in self.states.items():
            for text in _texts(state):
                if re.search(r"(^|[(,]\s*)\$", text) and text not in self.seen:
                    self._problem(name, f"{text} was passed over by this walk")

    def _problem(self, state: str, text: str) -> None:
        self.problems.append(f"{state}: {text}")

    # --- what is written ------------------------------------------------------------------------------------------

    def _edges(self, name: str, state: Mapping[str, Any]) -> Iterator[Edge]:
        kind = state["Type"]
        if kind == "Pass":
            yield self._pass(name, state)
        elif kind == "Task":
            yield self._task(name, state)
            for catcher in state.get("Catch", []):
                yield self._catch(name, catcher)
        elif kind == "Choice":
            following = [rule["Next"] for rule in state["Choices"]] + [state.get("Default")]
            yield from (Edge(item, None, frozenset()) for item in following if item)
        elif kind == "Wait":
            yield Edge(state["Next"], None, frozenset())
        elif kind not in ("Succeed", "Fail"):
            self._problem(name, f"this walk does not know the type {kind}")

    def _pass(self, name: str, state: Mapping[str, Any]) -> Edge:
        if "Parameters" not in state:
            self._problem(name, "a Pass without Parameters is unknown to this walk")
            return Edge(state["Next"], None, frozenset())
        target = self._target(name, state.get("ResultPath", "$"))
        return Edge(state["Next"], target, self._place(name, target, self._parsed(name, state["Parameters"])))

    def _task(self, name: str, state: Mapping[str, Any]) -> Edge:
        path = state.get("ResultPath", "$")
        if path is None:
            return Edge(state["Next"], None, frozenset())
        target = self._target(name, path)
        expected = self._expected(name, target)
        resource: str = state["Resource"]

        # a Lambda's answer: the type that its handler returns
        if ":function:" in resource:
            given = _hints(self.handler_of(resource))["return"]
            if given not in expected:
                self._problem(name, f"{resource} returns {given}, but {path} is {expected}")
            return Edge(state["Next"], target, self._below(target, self.types.leaves(given)))
        if resource.endswith(".waitForTaskToken"):
            leaves = {leaf for item in expected for leaf in self.types.leaves(item)}
            return Edge(state["Next"], target, self._below(target, leaves))

        # an API's answer: what is selected from it, or those parts of it that the type has
        shape = _output(resource)
        if "ResultSelector" in state:
            selected = {key: self._selected(name, key, text, shape) for key, text in state["ResultSelector"].items()}
            given_parts = {key.removesuffix(".$"): value for key, value in selected.items()}
            return Edge(state["Next"], target, self._place(name, target, given_parts))
        for item in expected:
            for problem in self.types.misfits(item, shape):
                self._problem(name, f"{path}: {problem}")
        leaves = {leaf for item in expected for leaf in self.types.leaves(item)}
        return Edge(state["Next"], target, self._below(target, leaves))

    def _catch(self, name: str, catcher: Mapping[str, Any]) -> Edge:
        target = self._target(name, catcher.get("ResultPath", "$"))
        return Edge(catcher["Next"], target, self._place(name, target, {"Error": [str], "Cause": [str]}))

    def _target(self, name: str, path: str) -> Path:
        self.seen.add(path)
        parts = self._parts(name, path)
        if parts[:1] == ("failure",) and (len(parts) != 2 or parts[1] not in self.states):
            self._problem(name, f"{path} does not name a state that failed")
        return parts

    def _expected(self, name: str, target: Path) -> list[Any]:
        """The types that may stand at a path; the whole document is begun by the first state, and ends as a result."""
        if not target:
            return [RunDocument if name == self.start else RunResult]
        found = self.types.resolve(RunDocument, target)
        if not found:
            self._problem(name, f"the document has no $.{'.'.join(target)} to write to")
        return found

    def _place(self, name: str, target: Path, given: Mapping[str, Any]) -> frozenset[Path]:
        """Hold what is written against the types at its place, and return its paths."""
        for kind in self._expected(name, target):
            fields = self.types.fields(kind) if hasattr(kind, "__required_keys__") else {}
            if not (given.keys() <= fields.keys() and self.types.required(kind) <= given.keys()):
                continue
            self.types.use(kind, set(given))
            for key, value in given.items():
                if not _stands_for(value, fields[key]):
                    self._problem(name, f"{key} at $.{'.'.join(target)} is {value}, not {fields[key]}")
            break
        else:
            self._problem(name, f"nothing at $.{'.'.join(target)} has the members {sorted(given)}")
        return self._below(target, {(key, *rest) for key, value in given.items() for rest in self._leaves(value)})

    def _leaves(self, value: Any) -> set[Path]:
        if isinstance(value, dict) and value:
            return {(key, *rest) for key, item in value.items() for rest in self._leaves(item)}
        return {leaf for hint in value for leaf in self.types.leaves(hint)} if isinstance(value, list) else {()}

    def _below(self, target: Path, leaves: set[Path]) -> frozenset[Path]:
        return frozenset((*target, *leaf) for leaf in leaves)

    def _selected(self, name: str, key: str, text: Any, shape: Shape) -> list[Any]:
        if not key.endswith(".$"):
            return [type(text)]
        self.seen.add(text)
        call = _CALL.fullmatch(text)
        found: list[Any] = []
        for path in [text] if call is None else _paths(call[2]):
            inner = in_shape(shape, self._parts(name, path))
            if inner is None:
                self._problem(name, f"the answer has no {path}")
            else:
                found.append(type_of(inner))
        return found if call is None else [self._intrinsic(name, call[1])]

    # --- which way it goes ----------------------------------------------------------------------------------------

    def _follow(self, edges: Mapping[str, list[Edge]]) -> None:
        self.written = {self.start: set()}
        order = _in_order(self.start, edges)
        changed = {self.start}
        while changed:
            for name in order:
                if name not in changed:
                    continue
                changed.discard(name)
                for edge in edges[name]:
                    before = self.written[name]
                    if edge.target is not None:
                        end = len(edge.target)
                        before = {path for path in before if path[:end] != edge.target} | edge.leaves
                    known = self.written.get(edge.following)
                    if known is None or not before <= known:
                        self.written[edge.following] = (known or set()) | before
                        changed.add(edge.following)
        self.begun = {name: set[Path]().union(*map(_above, paths)) for name, paths in self.written.items()}

    # --- what is read ---------------------------------------------------------------------------------------------

    def _read_all(self, name: str, state: Mapping[str, Any]) -> None:
        for member in (
            "InputPath",
            "OutputPath",
            "ItemsPath",
            "SecondsPath",
            "TimestampPath",
            "ErrorPath",
            "CausePath",
        ):
            if member in state:
                self._read(name, state[member])
        if state["Type"] == "Pass":
            for text in _references(state.get("Parameters", {})):
                self._read(name, text)
        elif state["Type"] == "Task":
            self._read_payload(name, state)
        elif state["Type"] == "Choice":
            for rule in state["Choices"]:
                self._read_rule(name, rule)

    def _read_payload(self, name: str, state: Mapping[str, Any]) -> None:
        resource, payload = state["Resource"], state["Parameters"]
        if resource.endswith(".waitForTaskToken"):
            resource, payload = payload["FunctionName"], payload["Payload"]
        if ":function:" not in resource:
            self._send(name, payload, _input(resource))
            return
        event = _hints(self.handler_of(resource))["event"]
        self._hand_over(name, payload, event)

    def _hand_over(self, name: str, payload: Mapping[str, Any], event: Any) -> None:
        """Hold a Lambda's payload against the type of its event."""
        fields = self.types.fields(event)
        self.types.use(event, set(fields))
        names = {key.removesuffix(".$") for key in payload}
        if names != fields.keys():
            self._problem(name, f"the payload has {sorted(names)}, but the function takes {sorted(fields)}")
        for key, value in payload.items():
            expected = fields.get(key.removesuffix(".$"), object)
            if key.endswith(".$"):
                given = self._read(name, value)
                if not _stands_for(given, expected):
                    self._problem(name, f"{key} is {given}, but the function takes {expected}")
            elif isinstance(value, dict) and hasattr(expected, "__required_keys__"):
                self._hand_over(name, value, expected)
            elif not is_value_of(value, expected):
                self._problem(name, f"{key} is {value!r}, but the function takes {expected}")

    def _send(self, name: str, payload: Any, shape: Shape | None) -> None:
        """Hold the paths in an API's payload against the API's own types."""
        if isinstance(payload, list):
            for item in payload:
                self._send(name, item, in_shape(shape, (EACH,)) if shape else None)
        if not isinstance(payload, dict):
            return
        for key, value in payload.items():
            member = in_shape(shape, (key.removesuffix(".$"),)) if shape else None
            if not key.endswith(".$"):
                self._send(name, value, member)
                continue
            if member is None:
                self._problem(name, f"the API does not take {key}")
                self._read(name, value)
                continue
            for given in self._read(name, value):
                for problem in self.types.misfits(given, member):
                    self._problem(name, f"{key}: {problem}")

    def _read_rule(self, name: str, rule: Mapping[str, Any]) -> None:
        for part in (*rule.get("And", []), *rule.get("Or", []), *([rule["Not"]] if "Not" in rule else [])):
            self._read_rule(name, part)
        if "Variable" not in rule:
            return
        given = self._read(name, rule["Variable"])
        for comparison, value in rule.items():
            found = [kind for start, kind in _COMPARED.items() if comparison.startswith(start)]
            if not found:
                continue
            others = self._read(name, value) if comparison.endswith("Path") else []
            for hint in (*given, *others):
                if not fits(hint, found[0]):
                    self._problem(name, f"{comparison} of {rule['Variable']}, which is {hint}")

    def _parsed(self, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The members of a Pass's Parameters: the types of those with a path, the others as they are."""
        return {
            key.removesuffix(".$"): self._types_of(name, value) if key.endswith(".$") else value
            for key, value in parameters.items()
        }

    def _read(self, name: str, text: str) -> list[Any]:
        """The types of what is read; it has to be written on some way to the state."""
        self.seen.add(text)
        call = _CALL.fullmatch(text)
        for path in [text] if call is None else _paths(call[2]):
            parts = self._parts(name, path)
            if path.startswith("$$") or (not parts and name == self.start):
                continue
            if parts not in self.begun.get(name, set()):
                self._problem(name, f"no state before it writes {path}")
            if not self.types.resolve(RunDocument, parts):
                self._problem(name, f"the document's type has no {path}")
        return self._types_of(name, text)

    def _types_of(self, name: str, text: str) -> list[Any]:
        if call := _CALL.fullmatch(text):
            return [self._intrinsic(name, call[1])]
        if text.startswith("$$"):
            return [str]
        if text == "$" and name == self.start:
            return [object]  # the execution's input
        return self.types.resolve(RunDocument, self._parts(name, text))

    def _intrinsic(self, name: str, function: str) -> Any:
        if function not in _INTRINSICS:
            self._problem(name, f"this walk does not know States.{function}")
        return _INTRINSICS.get(function, object)

    def _parts(self, name: str, path: str) -> Path:
        if path.startswith("$$"):
            if path not in _CONTEXT:
                self._problem(name, f"the context object has no {path}")
            return ()
        if not _PATH.fullmatch(path):
            self._problem(name, f"{path} is not understood by this walk")
        return tuple(EACH if part[0] == "[" else part[1:] for part in re.findall(r"\.\w+|\[(?:\*|\d+)\]", path))


@cache
def _hints(handler: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(handler, include_extras=True)


@cache
def _above(path: Path) -> frozenset[Path]:
    """The path and all that it lies in."""
    return frozenset(path[:end] for end in range(len(path) + 1))


def _in_order(start: str, edges: Mapping[str, list[Edge]]) -> list[str]:
    """The states, each behind all that lead to it but by a way back: the fewest passes of a walk."""
    ended: dict[str, None] = {}
    begun: set[str] = set()

    def visit(name: str) -> None:
        begun.add(name)
        for edge in edges[name]:
            if edge.following not in begun:
                visit(edge.following)
        ended[name] = None

    visit(start)
    return [*reversed(ended)]


def _stands_for(value: Any, hint: Any) -> bool:
    """Whether types (a list), or else a literal of the definition, may stand where a type is expected."""
    if isinstance(value, list):
        return bool(value) and all(any(fits(item, branch) for branch in (hint, *branches(hint))) for item in value)
    return is_value_of(value, hint)


def _operation(resource: str) -> str:
    call = resource.rsplit(":", 1)[1]
    return call[0].upper() + call[1:]


@cache
def _service(name: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(_SERVICES[name], "service-2"), name)


def _model(resource: str) -> ServiceModel:
    return _service(resource.split(":")[-2])


def _input(resource: str) -> Shape | None:
    return _model(resource).operation_model(_operation(resource).removesuffix(".sync")).input_shape


def _output(resource: str) -> Shape:
    """The answer's shape; of a job that was waited for (`.sync`) it is the job's description."""
    name = _operation(resource)
    if name.endswith(".sync"):
        name = name.removesuffix(".sync").replace("Create", "Describe")
    shape = _model(resource).operation_model(name).output_shape
    assert isinstance(shape, StructureShape)
    return shape


def _paths(arguments: str) -> list[str]:
    """The paths among the arguments of an intrinsic function."""
    return [argument.strip() for argument in _ARGUMENT.findall(arguments) if argument.startswith("$")]


def _references(parameters: Any) -> Iterator[str]:
    """The values of keys that end in `.$`."""
    if isinstance(parameters, list):
        for item in parameters:
            yield from _references(item)
    elif isinstance(parameters, dict):
        for key, value in parameters.items():
            if key.endswith(".$"):
                yield value
            else:
                yield from _references(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(item)
