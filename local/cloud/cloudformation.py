"""CloudFormation: properties of resources that ministack ignores, and resources that it should refuse."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from local.cloud import boundaries, bucket_properties, function_checks, seam
from local.cloud.stepfunctions import definitions

__all__ = ["apply"]

Handler = Callable[..., tuple[str, dict[str, Any]]]


def apply() -> None:
    """Wrap the handlers of the resource types with such properties."""
    provisioners = seam.module("services.cloudformation.provisioners")
    handlers = seam.expect(provisioners, "_RESOURCE_HANDLERS")
    _buckets(_handler(handlers, "AWS::S3::Bucket"))
    _request_validators(
        _handler(handlers, "AWS::ApiGateway::RequestValidator"), _handler(handlers, "AWS::ApiGateway::Method")
    )
    _topics(_handler(handlers, "AWS::SNS::Topic"))
    boundaries.apply(_handler(handlers, "AWS::IAM::Role"))
    function_checks.apply(_handler(handlers, "AWS::Lambda::Function"))
    _state_machines(provisioners, _handler(handlers, "AWS::StepFunctions::StateMachine"))


def _handler(handlers: Mapping[str, dict[str, Any]], resource_type: str) -> dict[str, Any]:
    """Return the handler of a resource type, after checking that it has the functions that are wrapped."""
    handler = handlers.get(resource_type)
    if handler is None or not {"create", "update", "delete"} <= set(handler):
        raise seam.SeamError(f"ministack's CloudFormation handles {resource_type} differently than in {seam.VERSION}")
    return handler


def _buckets(handler: dict[str, Any]) -> None:
    """Set tags, encryption, lifecycle and ownership of an AWS::S3::Bucket, and suspend its versioning."""
    s3 = seam.module("services.s3")
    put_encryption = seam.expect(s3, "_put_bucket_encryption", "name", "body")
    put_lifecycle = seam.expect(s3, "_put_bucket_lifecycle", "name", "body")
    put_ownership = seam.expect(s3, "_put_bucket_ownership_controls", "name", "body")
    setters = (
        (bucket_properties.encryption_body, put_encryption, "_bucket_encryption"),
        (bucket_properties.lifecycle_body, put_lifecycle, "_bucket_lifecycle"),
        (bucket_properties.ownership_body, put_ownership, None),
    )
    for store in ("_bucket_tags", "_bucket_encryption", "_bucket_lifecycle", "_bucket_versioning"):
        seam.expect(s3, store)

    # a property that the template does not have (any more) is removed
    def apply_properties(name: str, properties: Mapping[str, Any]) -> None:
        s3._bucket_tags[name] = {tag["Key"]: tag["Value"] for tag in properties.get("Tags") or []}
        if (properties.get("VersioningConfiguration") or {}).get("Status") == "Suspended":
            s3._bucket_versioning[name] = "Suspended"
        for body_of, put, store in setters:
            body = body_of(name, properties)
            if body is None:
                if store:
                    getattr(s3, store).pop(name, None)
                continue
            status, _, answer = put(name, body)
            if status >= 400:
                raise ValueError(f"AWS::S3::Bucket {name}: {answer!r}")

    create: Handler = handler["create"]
    update: Handler = handler["update"]

    def create_bucket(logical_id: str, properties: dict[str, Any], stack_name: str) -> tuple[str, dict[str, Any]]:
        name, attributes = create(logical_id, properties, stack_name)
        apply_properties(name, properties)
        return name, attributes

    def update_bucket(
        physical_id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str
    ) -> tuple[str, dict[str, Any]]:
        name, attributes = update(physical_id, old, new, stack_name)
        apply_properties(name, new)
        return name, attributes

    handler.update(create=create_bucket, update=update_bucket)


def _topics(handler: dict[str, Any]) -> None:
    """Keep the key of an AWS::SNS::Topic."""
    topics = seam.expect(seam.module("services.sns"), "_topics")
    create: Handler = handler["create"]
    update: Handler = handler["update"]

    # a property that the template does not have (any more) is removed
    def keep_key(arn: str, properties: Mapping[str, Any]) -> None:
        topics[arn]["attributes"]["KmsMasterKeyId"] = properties.get("KmsMasterKeyId", "")

    def create_topic(logical_id: str, properties: dict[str, Any], stack_name: str) -> tuple[str, dict[str, Any]]:
        arn, attributes = create(logical_id, properties, stack_name)
        keep_key(arn, properties)
        return arn, attributes

    def update_topic(
        physical_id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str, *rest: Any
    ) -> tuple[str, dict[str, Any]]:
        arn, attributes = update(physical_id, old, new, stack_name, *rest)
        keep_key(arn, new)
        return arn, attributes

    handler.update(create=create_topic, update=update_topic)


def _request_validators(validator: dict[str, Any], method: dict[str, Any]) -> None:
    """Create the AWS::ApiGateway::RequestValidator, a stub in ministack, and record which one a method has."""
    api = seam.module("services.apigateway_v1")
    create_validator = seam.expect(api, "_create_request_validator", "api_id", "data")
    seam.expect(api, "_resources")

    def create(logical_id: str, properties: dict[str, Any], stack_name: str) -> tuple[str, dict[str, Any]]:
        data = {
            "name": properties.get("Name", logical_id),
            "validateRequestBody": str(properties.get("ValidateRequestBody", False)).lower() == "true",
            "validateRequestParameters": str(properties.get("ValidateRequestParameters", False)).lower() == "true",
        }
        status, _, body = create_validator(properties["RestApiId"], data)
        if status >= 400:
            raise ValueError(f"AWS::ApiGateway::RequestValidator {logical_id}: {body!r}")
        validator_id = str(json.loads(body)["id"])
        return validator_id, {"RequestValidatorId": validator_id}

    # a method records its validator after ministack has created or updated it
    def remember(properties: Mapping[str, Any]) -> None:
        resource = api._resources.get(properties["RestApiId"], {}).get(properties["ResourceId"], {})
        found = resource.get("resourceMethods", {}).get(properties["HttpMethod"])
        if found is not None and properties.get("RequestValidatorId"):
            found["requestValidatorId"] = properties["RequestValidatorId"]

    create_method: Handler = method["create"]
    update_method: Handler = method["update"]

    def create_and_remember(logical_id: str, properties: dict[str, Any], *rest: Any) -> tuple[str, dict[str, Any]]:
        created = create_method(logical_id, properties, *rest)
        remember(properties)
        return created

    def update_and_remember(
        physical_id: str, old: dict[str, Any], new: dict[str, Any], *rest: Any
    ) -> tuple[str, dict[str, Any]]:
        updated = update_method(physical_id, old, new, *rest)
        remember(new)
        return updated

    validator["create"] = create
    method.update(create=create_and_remember, update=update_and_remember)


def _state_machines(provisioners: Any, handler: dict[str, Any]) -> None:
    """Check the definition of an AWS::StepFunctions::StateMachine, whose handler does not call CreateStateMachine."""
    definition_of = seam.expect(provisioners, "_sfn_definition", "props")
    create: Handler = handler["create"]

    def create_state_machine(
        logical_id: str, properties: dict[str, Any], stack_name: str
    ) -> tuple[str, dict[str, Any]]:
        found = definitions.problems(definition_of(properties))
        if found:
            raise ValueError(f"Invalid State Machine Definition: '{', '.join(found)}'")
        return create(logical_id, properties, stack_name)

    handler["create"] = create_state_machine
