"""The calls of AWS that a Lambda function's code makes, read from the code itself, and what IAM asks for them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import ServiceModel
from policy_sentry.querying.actions import get_action_data
from policy_sentry.querying.all import get_all_actions

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ROOT / "lambda"

_NO_CALLS = {"exceptions", "meta"}
_PROPERTY = ["cached_property"]

_SEVERAL_ACTIONS = {
    "s3:HeadObject": {"s3:GetObject"},
    "s3:DeleteObjects": {"s3:DeleteObject", "s3:DeleteObjectVersion"},
}
"""Calls that the authorization reference names nowhere ("Required permissions for Amazon S3 API operations")."""

_PREFIXES = {"monitoring": "cloudwatch"}
"""The prefix of a service's actions, where requests are signed for another name."""

_SIGNED = {"generate_presigned_post": {"s3:PutObject"}}
"""Methods that call nothing, and sign what their client may do for another ("POST Policy", S3 API reference)."""


def actions_of(function: str) -> set[str]:
    """IAM actions of all calls in the code of `lambda/<function>` and in what it imports from `lambda/shared`."""
    trees = [_parsed(file) for file in sorted((FUNCTIONS / function).rglob("*.py"))]
    clients = _clients(trees)
    found = {action for tree in trees for action in _actions(tree, clients)}

    # of the shared modules only the functions that are used
    shared, done = {imported for tree in trees for imported in _imported(tree)}, set[tuple[str, str]]()
    while shared - done:
        module, name = (shared - done).pop()
        done.add((module, name))
        tree = _parsed(FUNCTIONS / "shared" / f"{module}.py")
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
                found |= set(_actions(node, _clients([tree])))
                used = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
                shared |= {(module, other) for other in used if _defines(tree, other)}
                shared |= {(source, other) for source, other in _imported(tree) if other in used}
    return found


@cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _defines(tree: ast.Module, name: str) -> bool:
    return any(isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name for node in tree.body)


def _imported(tree: ast.Module) -> set[tuple[str, str]]:
    """Modules of `lambda/shared` and what is imported from them."""
    return {
        (str(node.module).removeprefix("shared."), alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        and (FUNCTIONS / "shared" / f"{str(node.module).removeprefix('shared.')}.py").is_file()
        for alias in node.names
    }


def _actions(part: ast.AST, clients: dict[str, str]) -> Iterator[str]:
    """Actions of the client methods that a part of a module names, called there or handed on."""
    known = {method for service in set(clients.values()) for method in _operations(service)}
    paginated = {
        id(call.func): ast.literal_eval(call.args[0])
        for call in ast.walk(part)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "get_paginator"
    }
    for node in (node for node in ast.walk(part) if isinstance(node, ast.Attribute)):
        method = paginated.get(id(node), node.attr)
        service = clients.get(_name(node.value))
        # constants hold no clients, but patterns, whose search is none of SageMaker's
        assert service or method not in known or _name(node.value).isupper(), (
            f"whose client is that? {ast.unparse(node)}"
        )
        if service and method in _SIGNED:
            yield from _SIGNED[method]
        elif service and method not in _NO_CALLS:
            yield from _actions_of_method(service, method)


def _clients(trees: list[ast.Module]) -> dict[str, str]:
    """Names of variables, attributes and parameters that hold a client in these modules, and the client's service."""
    found: dict[str, str] = {}
    nodes = [node for tree in trees for node in ast.walk(tree)]
    stubs = {
        alias.name: str(node.module).removeprefix("mypy_boto3_").replace("_", "-")
        for node in nodes
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("mypy_boto3_")
        for alias in node.names
    }

    def hold(name: str, service: str) -> None:
        assert found.setdefault(name, service) == service, f"{name} is a client of {found[name]} and of {service}"

    # parameters, fields and properties that are declared as clients, and new clients
    for node in nodes:
        declared = node.annotation if isinstance(node, ast.arg | ast.AnnAssign) else None
        if isinstance(node, ast.FunctionDef) and [ast.unparse(each) for each in node.decorator_list] == _PROPERTY:
            declared = node.returns
        if isinstance(declared, ast.Name) and declared.id.endswith("Client") and declared.id in stubs:
            hold(_name(node), stubs[declared.id])
        if isinstance(node, ast.Assign | ast.AnnAssign) and _is_new_client(node.value):
            assert isinstance(node.value, ast.Call)
            hold(_name(node), ast.literal_eval(node.value.args[0]))

    # other names of the same clients
    for node in nodes:
        if isinstance(node, ast.Assign) and _name(node.value) in found:
            hold(_name(node), found[_name(node.value)])
    return found


def _is_new_client(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "boto3.client"


def _name(node: ast.AST) -> str:
    """The last part of what an expression, a parameter or an assignment names."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.FunctionDef(name=name):
            return name
        case ast.Assign(targets=[target]) | ast.AnnAssign(target=target):
            return _name(target)
    return ""


def _actions_of_method(service: str, method: str) -> set[str]:
    """IAM actions of a client's method, such as `list_object_versions` of `s3`."""
    operations, model = _operations(service), _model(service)
    assert method in operations, f"{service} has no call {method}"
    prefix = _PREFIXES.get(model.signing_name, model.signing_name)
    action = f"{prefix}:{operations[method]}"
    if get_action_data(prefix, operations[method]):
        return {action}
    return _SEVERAL_ACTIONS.get(action) or _documented_by(prefix, operations[method])


def _documented_by(prefix: str, operation: str) -> set[str]:
    """Actions whose documentation is the page of this call, as that of s3:ListBucket is ListObjectsV2's."""
    found: set[str] = set()
    for action in get_all_actions():
        service, _, name = action.partition(":")
        if service == prefix:
            entries = (get_action_data(service, name) or {}).get(service, [])
            found |= {action for entry in entries if entry["api_documentation_link"].endswith(f"/API_{operation}.html")}
    assert found, f"{prefix}:{operation} is no action, and no action's documentation names it; add it to the table"
    return found


@cache
def _model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


@cache
def _operations(service: str) -> dict[str, str]:
    """Calls of a service by the name of the client's method."""
    return {xform_name(operation): operation for operation in _model(service).operation_names}
