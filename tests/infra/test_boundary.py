"""A permission boundary and a bootstrap of its own, as organisations ask for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.infra.app_process import EVERY_FUNCTION
from tests.infra.template import Template

BOUNDARY = {"@aws-cdk/core:permissionsBoundary": {"name": "developer-boundary"}}
QUALIFIER = {"@aws-cdk/core:bootstrapQualifier": "team7"}


def test_every_role_gets_the_boundary_those_of_custom_resources_too(synthesise: Callable[..., Template]) -> None:
    context: dict[str, Any] = {**BOUNDARY, **EVERY_FUNCTION, "security.kms_key": "create"}
    template = synthesise(**context)
    roles = template.of_type("AWS::IAM::Role")
    assert any(name.startswith("Cleanup") for name in roles), "a custom resource's"
    assert any(name.startswith("ServingImageBuilder") for name in roles), "a custom resource's"
    assert any(name.startswith("ApiRestCloudWatchRole") for name in roles), "one that the CDK makes itself"
    boundaries = {name: template.value(role["Properties"].get("PermissionsBoundary")) for name, role in roles.items()}
    assert set(boundaries.values()) == {"arn:aws:iam::123456789012:policy/developer-boundary"}, boundaries
    assert not template.of_type("AWS::IAM::User")


def test_without_the_context_no_role_has_a_boundary(template: Template) -> None:
    roles = template.of_type("AWS::IAM::Role").values()
    assert not any("PermissionsBoundary" in role["Properties"] for role in roles)


@pytest.mark.parametrize("part", ["policies", "definition", "functions"])
def test_nothing_of_another_bootstrap_is_named_with_a_qualifier(synthesise: Callable[..., Template], part: str) -> None:
    template = synthesise(**QUALIFIER)
    texts = {
        "policies": json.dumps(template.of_type("AWS::IAM::Policy")),
        "definition": json.dumps(template.definition()),
        "functions": json.dumps(template.of_type("AWS::Lambda::Function")),
    }
    assert "hnb659fds" not in texts[part]
    assert "cdk-team7-assets" in texts[part]
    assert template.body["Rules"]["CheckBootstrapVersion"]
    assert "/cdk-bootstrap/team7/version" in json.dumps(template.body["Parameters"])
