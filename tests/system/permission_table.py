"""Each permission of a stack's roles beside the calls that a whole run made: which were needed, and in which phase."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

__all__ = ["Granted", "PermissionLog", "explanation", "granted", "lost_calls", "table", "unneeded", "unproved"]

ELSEWHERE: Mapping[tuple[str, str], str] = {
    # what AWS's services ask for, and the local cloud does not
    ("*", "kms:*"): "S3, SNS and SageMaker ask KMS: tests/infra/test_encryption.py",
    ("*", "ec2:*"): "SageMaker joins the VPC: tests/infra/test_protected_payloads.py",
    ("*", "ecr:*"): "SageMaker pulls the image: tests/infra/test_every_role.py",
    ("*", "logs:*"): "the services write their logs: tests/infra/test_every_role.py",
    ("*", "cloudwatch:PutMetricData"): "SageMaker writes its metrics: tests/infra/test_every_role.py",
    ("*", "xray:*"): "Lambda and Step Functions write traces: tests/infra/test_every_role.py",
    ("ServingImageBuildRole", "*"): "the build is CodeBuild's own: tests/infra/test_every_role.py",
    ("WorkflowStateMachineRole", "events:*"): "Step Functions makes its rules: tests/infra/test_role.py",
    ("WorkflowStateMachineRole", "sagemaker:ListTags"): "Step Functions' optimised calls: tests/infra/test_role.py",
    ("TrainingRole", "s3:GetBucketLocation"): "the toolkit may ask for it: tests/infra/test_every_role.py",
    ("TrainingRole", "s3:AbortMultipartUpload"): "of an upload that fails: tests/infra/test_every_role.py",
    ("EndpointRole", "s3:ListBucket"): "of AWS's list for a model: tests/infra/test_every_role.py",
    ("BatchRole", "s3:ListBucket"): "of AWS's list for a model: tests/infra/test_every_role.py",
    ("WorkflowStateMachineRole", "s3:*"): "the registry looks at it: tests/infra/test_implied_permissions.py",
    # what another run than this one does
    ("FunctionsVerdict", "s3:ListBucket"): "a missing file is not refused: tests/infra/test_every_role.py",
    ("BatchRole", "s3:GetObject *dataset/*"): "a batch of the data set's photos: tests/infra/test_batch_role.py",
    ("TrainingRole", "s3:DeleteObject"): "a checkpoint is replaced: tests/local/sagemaker/jobs/test_training.py",
    ("WorkflowStateMachineRole", "sagemaker:DeleteEndpoint"): "a broken endpoint: tests/infra/test_release_states.py",
    ("WorkflowStateMachineRole", "sagemaker:UpdateEndpoint"): "the next release: tests/system/test_whole_run.py",
    ("WorkflowStateMachineRole", "sagemaker:UpdateModelPackage"): "a failed smoke test: tests/infra/test_role.py",
    ("TrainingRole", "s3:PutObject *debug/*"): "SageMaker Debugger's tensors: tests/system/test_debugger_ways.py",
    ("ServingImageBuilder", "codebuild:*"): "a build that takes its time: tests/lambda/test_build_image.py",
    ("WorkflowStateMachineRole", "sagemaker:DescribeEndpointConfig"): "a served one: tests/infra/test_role.py",
    ("CleanupFunction", "sagemaker:Stop*"): "a destroy during a run: tests/system/test_whole_run.py",
    ("CleanupFunction", "states:StopExecution"): "a destroy during a run: tests/system/test_whole_run.py",
    ("FunctionsRetire", "sagemaker:Delete*"): "the releases after the next: tests/system/test_whole_run.py",
    ("FunctionsCheckDataset", "sagemaker:DescribeEndpointConfig"): "the next run: tests/system/test_whole_run.py",
    ("ApiFunction", "s3:PutObject"): "feedback: tests/system/test_feedback.py",
    ("TidyUpFunction", "*"): "a run that is stopped: tests/system/test_ended_runs.py, tests/infra/test_every_role.py",
    ("FunctionsReleaseLock", "states:DescribeExecution"): "a held lock: tests/system/test_ended_runs.py",
    ("FunctionsCheckDataset", "sagemaker:Describe*"): "a run that is tried again: tests/system/test_ended_runs.py",
    # automatic scaling
    ("WorkflowStateMachineRole", "application-autoscaling:*"): "an update: tests/infra/test_scaling_states.py",
    ("*", "cloudwatch:DeleteAlarms"): "an endpoint that scales: tests/local/cloud/test_autoscaling.py",
    # what a check does that finds something, and a run after it
    ("DriftFunction", "events:PutEvents"): "drift that is found: tests/local/cloud/test_drift.py",
    ("FunctionsReport", "s3:GetObject *drift/latest.json"): "a run after a check: tests/lambda/test_report_drift.py",
    # what an update with alarms does
    ("FunctionsExplainRollout", "cloudwatch:*"): "a model taken back: tests/system/soak/test_guarded_rollout.py",
    ("WorkflowStateMachineRole", "cloudwatch:DescribeAlarms"): "an update: tests/system/soak/test_guarded_rollout.py",
    ("WorkflowStateMachineRole", "lambda:InvokeFunction *ExplainRollout*"): "a model taken back: the same",
    ("FunctionsLookAtAlarms", "cloudwatch:*"): "an update: tests/system/soak/test_guarded_rollout.py",
    ("WorkflowStateMachineRole", "lambda:InvokeFunction *LookAtAlarms*"): "an update: the same",
    ("MonitoringAlarmMessages", "sns:Publish"): "an alarm: tests/system/soak/test_guarded_rollout.py",
}
"""Permissions by role, action and, where it follows, resource, that this run does not need: who does, and its test."""


@dataclass(frozen=True, order=True)
class Granted:
    """An action that a role may use on what a pattern names."""

    role: str
    action: str
    resource: str

    def allows(self, call: tuple[str, str, str]) -> bool:
        """Whether this permission covers a call, which is a role, an action and a resource."""
        role, action, resource = call
        return (
            self.role == role
            and self.action.lower() == action.lower()
            and (self.resource == "*" or fnmatch.fnmatchcase(resource, self.resource))
        )


@dataclass
class PermissionLog:
    """The calls that the local cloud has noted, by the phase in which each was made first."""

    file: Path
    phases: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def end(self, phase: str) -> None:
        """Give what came since the last phase the name of this one."""
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else []
        for line in lines:
            role, action, resource = json.loads(line)
            self.phases.setdefault((role, action, resource), phase)


def granted(iam: Any, *, prefix: str) -> list[Granted]:
    """What the inline policies of the roles with this prefix allow."""
    found: list[Granted] = []
    for page in iam.get_paginator("list_roles").paginate():
        for name in (role["RoleName"] for role in page["Roles"] if role["RoleName"].startswith(prefix)):
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
                document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
                found += _of_document(name, json.loads(unquote(document)) if isinstance(document, str) else document)
    return sorted(set(found))


def _of_document(role: str, document: Mapping[str, Any]) -> Iterator[Granted]:
    for statement in document["Statement"]:
        if statement["Effect"] == "Allow":
            for action in _listed(statement["Action"]):
                for resource in _listed(statement["Resource"]):
                    yield Granted(role, action, resource)


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def lost_calls(
    permission: Granted, others: Sequence[Granted], calls: Iterable[tuple[str, str, str]]
) -> list[tuple[str, str, str]]:
    """The calls that would be refused if this permission were taken away and all others stayed."""
    mine = [call for call in calls if permission.allows(call)]
    return [call for call in mine if not any(other != permission and other.allows(call) for other in others)]


def explanation(permission: Granted, *, stack: str = "Whippet-dev") -> str | None:
    """Return who needs a permission that the run did not need; None if nobody is known to."""
    return next((reason for row, reason in ELSEWHERE.items() if _is_of_row(permission, row, stack=stack)), None)


def _is_of_row(permission: Granted, row: tuple[str, str], *, stack: str) -> bool:
    name, action = row
    pattern = action if " " in action else f"{action} *"
    asked = f"{permission.action} {permission.resource}"
    role = permission.role.removeprefix(f"{stack}-")
    return fnmatch.fnmatchcase(role, f"{name}*") and fnmatch.fnmatchcase(asked, pattern)


def unproved(
    permissions: Sequence[Granted], log: PermissionLog, *, test: str, stack: str = "Whippet-dev"
) -> list[tuple[str, str]]:
    """Return the rows of `ELSEWHERE` that name a test of whose calls none would be refused without them.

    Args:
        permissions: What the roles may do in that test's account.
        log: The calls that they made there.
        test: The test's path, as the rows name it.
        stack: The stack's name.
    """
    rows = [row for row, reason in ELSEWHERE.items() if test in reason]
    return [
        row
        for row in rows
        if not any(
            lost_calls(permission, permissions, log.phases)
            for permission in permissions
            if _is_of_row(permission, row, stack=stack)
        )
    ]


def unneeded(permissions: Sequence[Granted], log: PermissionLog, *, role: str) -> list[Granted]:
    """Return the permissions of a role, by its name's beginning, that no call needs and no row explains."""
    idle = [item for item in permissions if not lost_calls(item, permissions, log.phases)]
    return [item for item in idle if item.role.startswith(role) and explanation(item) is None]


def table(permissions: Sequence[Granted], log: PermissionLog, *, stack: str) -> str:
    """Return a line for each permission: role, action, the phases whose calls would be refused without it, resource."""
    rows = []
    for permission in permissions:
        lost = lost_calls(permission, permissions, log.phases)
        phases = ", ".join(sorted({log.phases[call] for call in lost})) or "-"
        role = permission.role.removeprefix(f"{stack}-")
        rows.append(f"{role[:34]:34} {permission.action:44} {phases:30} {permission.resource}")
    return "\n".join(rows)
