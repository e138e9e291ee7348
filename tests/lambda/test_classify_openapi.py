"""GET /openapi.json: the document says what the contract and the routes are."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from typing import Any, get_type_hints

import pytest
from classify import handler as classify
from classify.json_schema import schema_of
from classify.openapi import document

import contract
from infra.api import FEEDBACK_ROUTE, ROUTES
from tests.fakes.api import FakeEndpoint, call, event


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return document("api_key", feedback=True)


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_it_is_served_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    request = event(None, None, method="GET", path="/openapi.json")
    status, body, headers = call(monkeypatch, FakeEndpoint(), request)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert body == json.loads(json.dumps(document("api_key", feedback=False)))
    assert body["openapi"] == "3.1.0"


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    for reference in set(references(described)):
        place: Any = described
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert place, reference


def test_it_has_the_routes_of_the_function_and_of_api_gateway(described: dict[str, Any]) -> None:
    paths = {path.strip("/"): next(iter(methods)).upper() for path, methods in described["paths"].items()}
    assert paths == ROUTES | FEEDBACK_ROUTE
    routes = [*classify.app._static_routes, *classify.app._dynamic_routes]
    of_the_function = {route.path.strip("/"): route.method for route in routes}
    assert of_the_function.items() <= paths.items() | {("", "GET")}
    assert paths.items() <= of_the_function.items()


@pytest.mark.parametrize(
    "name",
    ["Answer", "ServedModel", "ProblemDetails", "BatchItem", "Upload", "Health", "FeedbackReceipt", "FeedbackRequest"],
)
def test_a_schema_has_the_fields_of_the_contract(described: dict[str, Any], name: str) -> None:
    declared = get_type_hints(getattr(contract, name), include_extras=True)
    schema = described["components"]["schemas"][name]
    assert schema["properties"].keys() == declared.keys()
    optional = {field for field, hint in declared.items() if "NotRequired" in str(hint)}
    assert set(schema.get("required", [])) == declared.keys() - optional


def test_fields_and_parameters_are_described_in_the_contracts_words(described: dict[str, Any]) -> None:
    answer = described["components"]["schemas"]["Answer"]
    assert "None where the endpoint is set to name no class" in answer["properties"]["label"]["description"]
    assert answer["properties"]["label"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    parameters = described["paths"]["/classify"]["post"]["parameters"]
    assert [parameter["name"] for parameter in parameters] == list(contract.ClassificationParameters.__annotations__)
    assert all(parameter["description"] for parameter in parameters)


def test_every_status_that_the_function_gives_is_declared(described: dict[str, Any]) -> None:
    """Those of the modules' own problems; the endpoint's are 400, 413, 415 and 422."""
    modules = [module for name, module in sys.modules.items() if name.startswith("classify.")]
    given = {
        status for module in modules for status in re.findall(r"Problem[(,]\s*([1-5]\d\d)\b", inspect.getsource(module))
    }
    assert {"400", "404", "413", "415", "502", "503", "504"} <= given
    declared = described["paths"]["/classify"]["post"]["responses"].keys()
    assert given | {"422", "429", "403"} <= declared


def test_feedback_is_described_where_it_is_taken(described: dict[str, Any]) -> None:
    without = document("api_key", feedback=False)
    assert "/feedback" not in without["paths"]
    assert not [name for name in without["components"]["schemas"] if name.startswith("Feedback")]

    operation = described["paths"]["/feedback"]["post"]
    assert {"201", "400", "404", "413", "415", "503"} <= operation["responses"].keys()
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    fields = contract.FeedbackRequest.__annotations__.keys() - {"inputs", "s3"}
    assert form["properties"].keys() == fields | {"image"}
    schema = described["components"]["schemas"]["FeedbackRequest"]
    assert schema["properties"]["consent"]["enum"] == [True]
    assert schema["additionalProperties"] is False
    assert schema["oneOf"] == [{"required": ["inputs"]}, {"required": ["s3"]}]


@pytest.mark.parametrize(("auth", "security"), [("api_key", [{"api_key": []}]), ("iam", [{"iam": []}]), ("none", [])])
def test_it_says_who_may_call(auth: Any, security: list[Any]) -> None:
    described = document(auth, feedback=False)
    assert described["security"] == security
    assert described["components"].get("securitySchemes", {}).keys() == {name for each in security for name in each}


def test_a_type_without_a_schema_is_told() -> None:
    with pytest.raises(TypeError, match="add it to json_schema"):
        schema_of(set[int], {})
