"""The state machine's role: it may make exactly the calls of its states, on what carries the environment's prefix."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aws_cdk import aws_stepfunctions as sfn

from infra.acknowledged import acknowledge, acknowledge_wildcards
from infra.encryption import Encryption
from infra.names import Names
from infra.permissions import MODEL_VERSIONS, NO_RESOURCES, RUN_NAMES, Permission

__all__ = ["RunRole"]

_CALL: Final = re.compile(r"(create|update|describe|delete|stop)([A-Z]\w+?)(\.sync)?")
"""A SageMaker action as Step Functions writes it: what it does, to which kind of resource, and whether it waits."""

_JOB_EVENTS: Final = {
    "TrainingJob": "Training",
    "HyperParameterTuningJob": "Tuning",
    "ProcessingJob": "Processing",
}
"""The EventBridge rule that tells Step Functions of a finished job, by the kind of job."""


class RunRole:
    """Collects what the states' calls need as the states are made, and grants it to the state machine's role."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._functions: dict[str, None] = {}
        self._passed_roles: dict[str, None] = {}
        self._permissions: list[Permission] = []

    def may_invoke(self, function_arn: str) -> None:
        """Register the invocation of a Lambda function."""
        self._functions[function_arn] = None

    def may_call(self, call: str, payload: Mapping[str, Any], *, implied: Sequence[Permission] = ()) -> None:
        """Register a SageMaker call, such as `createTrainingJob.sync`, with its request.

        Args:
            call: The action as Step Functions writes it.
            payload: The request.
            implied: What the call needs of its caller besides its own action.

        Raises:
            ValueError: the permissions for the call are not known.
        """
        # what is called, on which resources
        match = _CALL.fullmatch(call)
        if match is None or (match[3] and match[2] not in _JOB_EVENTS):
            raise ValueError(f"the permissions for {call} are not known; add them to {__name__}")
        verb, kind, waits = match[1].capitalize(), match[2], match[3] is not None
        resources = self._resources(kind)
        actions = [f"sagemaker:{verb}{kind}"]

        # Step Functions follows a job that it waits for, and stops it when the execution is stopped.
        if waits:
            actions += [f"sagemaker:Describe{kind}", f"sagemaker:Stop{kind}"]
            self._allow(
                ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
                [self._names.step_functions_rule(_JOB_EVENTS[kind])],
            )

        # A request that hands on tags or roles needs permissions for these too.
        if "Tags" in payload:
            self._allow(["sagemaker:AddTags", "sagemaker:ListTags"], resources)
        self._passed_roles |= dict.fromkeys(_roles_in(payload))
        self._allow(actions, [*resources, *self._further_resources(verb, kind)])
        for permission in implied:
            self._add(permission)

    def may(self, permission: Permission) -> None:
        """Register what a call to another service than SageMaker needs."""
        self._add(permission)

    def grant(self, state_machine: sfn.StateMachine) -> None:
        """Grant everything that was registered to the state machine's role."""
        passed = Permission(
            actions=["iam:PassRole"],
            resources=list(self._passed_roles),
            conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        )
        invocations = Permission(actions=["lambda:InvokeFunction"], resources=list(self._functions))
        permissions = [invocations, *self._permissions, passed]
        permissions += Encryption.implied(state_machine, permissions)
        for permission in permissions:
            state_machine.add_to_role_policy(permission.statement())

        acknowledge_wildcards(state_machine.role, permissions)
        # CDK adds the actions for logging and tracing.
        acknowledge(state_machine.role, {"AwsSolutions-IAM5[Resource::*]": NO_RESOURCES})

    def _allow(self, actions: list[str], resources: list[str]) -> None:
        versions = self._names.model_package_arns in resources
        self._add(Permission(actions=actions, resources=resources, reason=MODEL_VERSIONS if versions else RUN_NAMES))

    def _add(self, permission: Permission) -> None:
        if permission not in self._permissions:
            self._permissions.append(permission)

    def _resources(self, kind: str) -> list[str]:
        if kind == "Endpoint":
            return [self._names.endpoint_arn]
        if kind == "ModelPackage":
            return [self._names.model_package_arns]
        return self._names.of_runs(re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind).lower())

    def _further_resources(self, verb: str, kind: str) -> list[str]:
        """Return the resources that a call is authorised on besides its own (Service Authorization Reference)."""
        if verb in ("Create", "Update") and kind == "Endpoint":
            return self._names.of_runs("endpoint-config")
        if verb == "Create" and kind == "ModelPackage":
            return [self._names.model_package_group_arn]
        return []


def _roles_in(payload: Any) -> list[str]:
    """Return every role that a request hands to SageMaker."""
    if isinstance(payload, Mapping):
        return [
            role
            for name, value in payload.items()
            for role in ([value] if name in ("RoleArn", "ExecutionRoleArn") else _roles_in(value))
        ]
    if isinstance(payload, list):
        return [role for value in payload for role in _roles_in(value)]
    return []
