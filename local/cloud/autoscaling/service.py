"""Application Auto Scaling as a service of ministack, and what it has to do with SageMaker's endpoints."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import botocore.session
import botocore.validate

from local.cloud import seam
from local.cloud.autoscaling.permissions import CONTEXT, Need, needed, needed_for_deletion
from local.cloud.autoscaling.targets import DIMENSION, NAMESPACE, AutoscalingError, Policy, Target, Targets
from local.cloud.autoscaling.tracking import Tracking
from local.cloud.named_resources import Request, name_resources
from local.cloud.registration import add_service
from local.sagemaker import SageMaker, SageMakerError

__all__ = ["Autoscaling", "register"]

_SERVICE: Final = "application-autoscaling"
_TARGET: Final = "AnyScaleFrontendService."

Response = tuple[int, dict[str, str], bytes]
Members = dict[str, Any]


class Autoscaling:
    """The API, and the functions that ministack expects of a service's module."""

    def __init__(self, sagemaker: SageMaker, *, region: str, account_id: str) -> None:
        self.targets = Targets(region=region, account_id=account_id)
        self._tracking = Tracking(self.targets, sagemaker)
        self._sagemaker = sagemaker
        self._model = botocore.session.get_session().get_service_model(_SERVICE)
        self._operations: dict[str, Callable[[Members], Members]] = {
            "RegisterScalableTarget": self._register,
            "DeregisterScalableTarget": self._deregister,
            "DescribeScalableTargets": self._describe_targets,
            "PutScalingPolicy": self._put_policy,
            "DeleteScalingPolicy": self._delete_policy,
            "DescribeScalingPolicies": self._describe_policies,
        }

    # --- the API --------------------------------------------------------------------------------------------------

    def call(self, operation: str, parameters: Members) -> Members:
        """Answer an operation.

        Raises:
            AutoscalingError: the API's error.
        """
        answer = self._operations.get(operation)
        if answer is None:
            raise AutoscalingError(
                "UnknownOperationException",
                f"The local cloud answers {', '.join(self._operations)} of Application Auto Scaling, not {operation}.",
            )
        shape: Any = self._model.operation_model(operation).input_shape
        report = botocore.validate.ParamValidator().validate(parameters, shape)
        if report.has_errors():
            raise AutoscalingError("ValidationException", report.generate_report())
        with self.targets.lock:
            return answer(parameters)

    async def handle_request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, query_params: Mapping[str, list[str]]
    ) -> Response:
        """Answer a signed request, whose own action ministack has authorised."""
        content_type = {"Content-Type": "application/x-amz-json-1.1"}
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        try:
            parameters = json.loads(body or b"{}")
            for need in list(needed(operation, parameters, self.targets))[1:]:
                check(headers, query_params, need)
            answer = await asyncio.to_thread(self.call, operation, parameters)
            return 200, content_type, json.dumps(answer).encode()
        except AutoscalingError as error:
            payload = {"__type": error.code, "message": error.message, "Message": error.message}
            return 400, {**content_type, "x-amzn-ErrorType": error.code}, json.dumps(payload).encode()

    def get_state(self) -> None:
        """Keep nothing across restarts, since endpoints are processes."""

    def load_persisted_state(self, data: Any) -> None:
        """Load nothing; the counterpart of `get_state`."""

    def reset(self) -> None:
        """Reset nothing."""

    # --- SageMaker's side -----------------------------------------------------------------------------------------

    def check_update(self, operation: str, parameters: Any) -> None:
        """Refuse an update that changes the instance type of what scales, or removes it.

        Raises:
            SageMakerError: ValidationException (developer guide, "Update endpoints that use auto scaling").
        """
        targets = self.targets.of_endpoint(str(parameters.get("EndpointName", "")))
        if operation != "UpdateEndpoint" or not targets:
            return
        described = self._sagemaker.call("DescribeEndpoint", {"EndpointName": targets[0].endpoint})
        old, new = (
            self._types(name) for name in (described["EndpointConfigName"], parameters.get("EndpointConfigName"))
        )
        for target in targets:
            if old.get(target.variant) != new.get(target.variant):
                raise SageMakerError(
                    "ValidationException",
                    f"The variant {target.variant} must be deregistered from auto scaling before its instance type is "
                    "changed or it is removed.",
                )

    def needed_for_deletion(self, operation: str, parameters: Any) -> list[Need]:
        """Return what the caller of a SageMaker operation needs, because it would end the scaling of an endpoint."""
        if operation != "DeleteEndpoint":
            return []
        return list(needed_for_deletion(str(parameters.get("EndpointName", "")), self.targets))

    def after(self, operation: str, parameters: Any) -> None:
        """Deregister the variants of an endpoint that is being deleted."""
        if operation == "DeleteEndpoint":
            with self.targets.lock:
                for target in self.targets.of_endpoint(str(parameters["EndpointName"])):
                    self._end(target)

    def _types(self, config: Any) -> dict[str, Any]:
        try:
            answer = self._sagemaker.call("DescribeEndpointConfig", {"EndpointConfigName": config})
        except SageMakerError:
            return {}  # SageMaker itself refuses an update to a configuration that does not exist
        return {each["VariantName"]: each.get("InstanceType") for each in answer["ProductionVariants"]}

    # --- the operations -------------------------------------------------------------------------------------------

    def _register(self, parameters: Members) -> Members:
        target = self.targets.register(parameters)
        try:
            self._tracking.bring_into_range(target)
        except SageMakerError as error:
            raise AutoscalingError("ValidationException", error.message) from None
        self.targets.keep(target)
        return {"ScalableTargetARN": target.arn}

    def _deregister(self, parameters: Members) -> Members:
        self._end(self.targets.find(parameters))
        return {}

    def _end(self, target: Target) -> None:
        for policy in target.policies.values():
            self._tracking.remove_alarms(policy)
        self.targets.forget(target)

    def _describe_targets(self, parameters: Members) -> Members:
        wanted = parameters.get("ResourceIds")
        found = [target for target in self.targets.all() if not wanted or target.resource in wanted]
        return {"ScalableTargets": [_shown_target(target, self.targets.account_id) for target in found]}

    def _put_policy(self, parameters: Members) -> Members:
        target = self.targets.find(parameters)
        policy = self.targets.policy(target, parameters)
        self._tracking.put_alarms(target, policy)
        target.policies[policy.name] = policy
        return {"PolicyARN": policy.arn, "Alarms": self._alarms(policy)}

    def _delete_policy(self, parameters: Members) -> Members:
        target = self.targets.find(parameters)
        policy = target.policies.pop(parameters["PolicyName"], None)
        if policy is None:
            raise AutoscalingError("ObjectNotFoundException", f"No scaling policy {parameters['PolicyName']} found.")
        self._tracking.remove_alarms(policy)
        return {}

    def _describe_policies(self, parameters: Members) -> Members:
        named, resource = parameters.get("PolicyNames"), parameters.get("ResourceId")
        return {
            "ScalingPolicies": [
                {
                    **_identity(target),
                    "PolicyARN": policy.arn,
                    "PolicyName": policy.name,
                    "PolicyType": "TargetTrackingScaling",
                    "TargetTrackingScalingPolicyConfiguration": policy.configuration,
                    "Alarms": self._alarms(policy),
                    "CreationTime": policy.created,
                }
                for target in self.targets.all()
                if resource in (None, target.resource)
                for policy in target.policies.values()
                if not named or policy.name in named
            ]
        }

    def _alarms(self, policy: Policy) -> list[Members]:
        place = f"{self.targets.region}:{self.targets.account_id}"
        return [{"AlarmName": name, "AlarmARN": f"arn:aws:cloudwatch:{place}:alarm:{name}"} for name in policy.alarms]


def register(sagemaker: SageMaker) -> Autoscaling:
    """Add the service to ministack, with its IAM resources and condition keys, and follow the alarms."""
    responses = seam.module("core.responses")
    service = Autoscaling(sagemaker, region=responses.get_region(), account_id=responses.get_account_id())
    patterns = {"target_prefixes": [_TARGET], "host_patterns": [r"application-autoscaling\."]}
    add_service(_SERVICE, service, patterns=patterns)
    _name_resources(service)
    service._tracking.watch()
    return service


def check(headers: Mapping[str, str], query_params: Mapping[str, list[str]], need: Need) -> None:
    """Check a permission of a request's caller.

    Raises:
        AutoscalingError: AccessDeniedException, with AWS's message.
    """
    evaluator, responses = seam.module("core.iam_evaluator"), seam.module("core.responses")
    access_key = seam.module("core.router").extract_access_key_id(headers, query_params)
    denied = evaluator.enforce(
        access_key,
        need.action,
        need.action.partition(":")[0],
        responses.get_region(),
        resource_arn=need.resource,
        service_context=dict(need.context),
    )
    if denied:
        raise AutoscalingError(
            "AccessDeniedException",
            f"User: {denied.principal_arn} is not authorized to perform: {need.action} on resource: {need.resource} "
            f"because no identity-based policy allows the {need.action} action",
        )


def _name_resources(autoscaling: Autoscaling) -> None:
    """Tell ministack's IAM which target a request is about, and the values of its condition keys."""
    actions = seam.module("core.iam_actions")
    context = seam.expect(actions, "request_tag_context", "service", "iam_action", "body", "params")

    def resource_of(request: Request) -> str:
        try:
            parameters = json.loads(request.body or b"{}")
        except ValueError:
            return "*"  # the service itself refuses an unreadable body
        return next(needed(request.operation, parameters, autoscaling.targets)).resource

    def request_tag_context(service: str, iam_action: str, body: bytes, params: Any) -> dict[str, Any]:
        keys: dict[str, Any] = context(service, iam_action, body, params)
        return {**keys, **CONTEXT} if service == _SERVICE and ":Describe" not in iam_action else keys

    name_resources(_SERVICE, resource_of)
    actions.request_tag_context = request_tag_context


def _identity(target: Target) -> Members:
    return {"ServiceNamespace": NAMESPACE, "ResourceId": target.resource, "ScalableDimension": DIMENSION}


def _shown_target(target: Target, account_id: str) -> Members:
    role = (
        f"arn:aws:iam::{account_id}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
        "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    )
    ways = ("DynamicScalingIn", "DynamicScalingOut", "ScheduledScaling")
    return {
        **_identity(target),
        "MinCapacity": target.minimum,
        "MaxCapacity": target.maximum,
        "RoleARN": role,
        "CreationTime": target.created,
        "ScalableTargetARN": target.arn,
        "SuspendedState": {f"{way}Suspended": False for way in ways},
    }
