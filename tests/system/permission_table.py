"""Each permission of a stack's roles beside the calls that a whole run made: which were needed, and in which phase.

What the whole run does not need has a row in one of three tables: `BY_CALLS` is proved by calls of another test,
`BY_CODE` by a unit test of the way on which the call is, and `BY_AWS` holds what AWS's services alone ask for (KMS for
disks and grants, VPCs, image pulls, logs, metrics and traces that a service writes, Step Functions' own
rules, the registry's look at a model): the local cloud does not ask for it, and no call here can prove it.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.infra.function_calls import ROOT
from tests.infra.test_every_role import fits

__all__ = [
    "BY_AWS",
    "BY_CALLS",
    "BY_CODE",
    "ELSEWHERE",
    "Granted",
    "PermissionLog",
    "explanation",
    "granted",
    "lost_calls",
    "superfluous",
    "table",
    "unneeded",
    "unproved",
]

Rows = Mapping[tuple[str, str], str]
"""Permissions by role, action and, where it follows, resource, each with who needs it."""

BY_CALLS: Mapping[str, Rows] = {
    "tests/system/test_whole_run.py": {
        ("WorkflowStateMachineRole", "sagemaker:UpdateEndpoint"): "the next release",
        ("WorkflowStateMachineRole", "sagemaker:DescribeEndpointConfig"): "the next release",
    },
    "tests/system/test_ended_runs.py": {
        ("TidyUpFunction", "s3:*"): "a run that is stopped",
        ("TidyUpFunction", "sns:Publish"): "a run that is stopped",
        ("TidyUpFunction", "states:*"): "a run that is stopped",
        ("TidyUpFunction", "sagemaker:List*"): "a run that is stopped",
        ("TidyUpFunction", "sagemaker:DeleteEndpoint*"): "a run that is stopped in its release",
        ("TidyUpFunction", "sagemaker:DeleteModel"): "a run that is stopped in its release",
        ("TidyUpFunction", "sagemaker:DescribeEndpoint"): "a run that is stopped in its release",
        ("TidyUpFunction", "sagemaker:UpdateModelPackage"): "a run that is stopped in its release",
        ("TidyUpFunction", "sagemaker:UpdateEndpoint *:endpoint/*"): "a run that is stopped in its release",
        ("FunctionsReleaseLock", "states:DescribeExecution"): "a held lock",
        ("FunctionsCheckDataset", "sagemaker:DescribeTrainingJob"): "a run that is tried again",
        ("FunctionsCheckDataset", "sagemaker:DescribeHyperParameterTuningJob"): "a run that is tried again",
        ("FunctionsRetire", "sagemaker:Delete*"): "an older release",
    },
    "tests/system/test_debugger_ways.py": {
        ("TrainingRole", "s3:PutObject *debug/*"): "SageMaker Debugger's tensors",
    },
    "tests/system/test_feedback.py": {("ApiFunction", "s3:PutObject *feedback/*"): "feedback"},
    "tests/local/cloud/test_drift.py": {("DriftFunction", "events:PutEvents"): "drift that is found"},
    "tests/local/cloud/test_autoscaling.py": {
        ("WorkflowStateMachineRole", "application-autoscaling:DeregisterScalableTarget"): "other instances",
        ("TidyUpFunction", "application-autoscaling:RegisterScalableTarget"): "a run that ended the scaling is stopped",
        ("TidyUpFunction", "application-autoscaling:PutScalingPolicy"): "a run that ended the scaling is stopped",
        ("TidyUpFunction", "cloudwatch:*"): "a run that ended the scaling is stopped",
        ("TidyUpFunction", "iam:CreateServiceLinkedRole"): "a run that ended the scaling is stopped",
        (
            "TidyUpFunction",
            "sagemaker:UpdateEndpointWeightsAndCapacities",
        ): "a run that ended the scaling is stopped",
    },
    "tests/system/soak/test_guarded_rollout.py": {
        ("FunctionsExplainRollout", "cloudwatch:*"): "a model taken back",
        ("WorkflowStateMachineRole", "cloudwatch:DescribeAlarms *:alarm:whippet-dev-*"): "an update",
        ("WorkflowStateMachineRole", "lambda:InvokeFunction *ExplainRollout*"): "a model taken back",
        ("FunctionsLookAtAlarms", "cloudwatch:*"): "an update",
        ("WorkflowStateMachineRole", "lambda:InvokeFunction *LookAtAlarms*"): "an update",
        ("MonitoringAlarmMessages", "sns:Publish"): "an alarm",
    },
    "tests/system/soak/test_destroyed.py": {
        ("CleanupFunction", "sagemaker:StopTrainingJob"): "a destroy during a run",
        ("CleanupFunction", "states:StopExecution"): "a destroy during a run",
    },
}
"""Proved by calls: the test named asserts with `unproved` that the local cloud would refuse it one without each."""

BY_CODE: Mapping[str, Rows] = {
    "tests/infra/test_batch_role.py": {("BatchRole", "s3:GetObject *dataset/*"): "a batch of the data set's photos"},
    "tests/lambda/test_build_image.py": {
        ("ServingImageBuilder", "codebuild:BatchGetBuilds"): "a build that takes its time",
        ("ServingImageBuilder", "codebuild:StopBuild"): "a build that takes too long",
    },
    "tests/lambda/test_cleanup.py": {
        ("CleanupFunction", "sagemaker:Stop*"): "a job of another kind goes on",
    },
    "tests/lambda/test_tidy_up.py": {
        ("TidyUpFunction", "sagemaker:Stop*"): "a job that Step Functions has not stopped",
        ("TidyUpFunction", "sagemaker:CreateEndpoint"): "a real-time endpoint that was being replaced",
    },
}
"""A call on a way that no whole run takes: the unit test named goes that way, against a stub that asks no IAM."""

BY_AWS: Mapping[str, Rows] = {
    "tests/infra/test_encryption.py": {
        ("*", "kms:CreateGrant"): "SageMaker encrypts disks and the endpoint",
        ("*", "kms:DescribeKey"): "SageMaker looks at the key",
        ("*", "kms:Encrypt"): "SageMaker encrypts results",
        ("MonitoringAlarmMessages", "kms:*"): "SNS asks for the topic's key, of an alarm in an account with a key",
        ("TidyUpFunction", "kms:*"): "S3 and SNS ask, of a run that is stopped in an account with a key",
    },
    "tests/infra/test_protected_payloads.py": {("*", "ec2:*"): "SageMaker joins the VPC"},
    "tests/infra/test_every_role.py": {
        ("*", "ecr:*"): "SageMaker pulls the image",
        ("*", "logs:*"): "the services write their logs",
        ("*", "cloudwatch:PutMetricData"): "SageMaker writes its metrics",
        ("*", "xray:*"): "Lambda and Step Functions write traces",
        ("ServingImageBuildRole", "*"): "the build is CodeBuild's own",
        ("TrainingRole", "s3:GetBucketLocation"): "the toolkit may ask for it",
        ("TrainingRole", "s3:AbortMultipartUpload"): "of an upload that fails",
        ("EndpointRole", "s3:ListBucket"): "of AWS's list for a model",
        ("BatchRole", "s3:ListBucket"): "of AWS's list for a model",
        ("FunctionsVerdict", "s3:ListBucket"): "without it S3 says of a missing file that it is refused",
        ("TidyUpFunction", "sagemaker:AddTags"): "CreateEndpoint with tags asks for it",
        ("TidyUpFunction", "sagemaker:UpdateEndpoint *:endpoint-config/*"): "the call asks for it on both",
    },
    "tests/infra/test_role.py": {
        ("WorkflowStateMachineRole", "events:*"): "Step Functions makes its rules",
        ("WorkflowStateMachineRole", "sagemaker:ListTags"): "Step Functions' optimised calls",
        ("WorkflowStateMachineRole", "kms:Decrypt"): "the registry looks at the model",
        ("TidyUpFunction", "sagemaker:DescribeEndpointConfig"): "Application Auto Scaling looks at the instances",
    },
    "tests/infra/test_implied_permissions.py": {
        ("WorkflowStateMachineRole", "s3:*"): "the registry looks at the model"
    },
}
"""What AWS's services ask for and the local cloud does not, so that AWS alone can prove it.

The test named holds the role to AWS's documents, schemas or permission lists.
"""

ELSEWHERE: Rows = {
    row: f"{why}: {test}"
    for group in (BY_CALLS, BY_CODE, BY_AWS)
    for test, rows in group.items()
    for row, why in rows.items()
}
"""Permissions that the run of tests/system/test_serious_account.py does not need: who does, and its test."""


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
    """Return what the inline policies of the roles with this prefix allow.

    A statement of several actions and resources also pairs what IAM never asks together; these pairs are left out.
    """
    found: list[Granted] = []
    for page in iam.get_paginator("list_roles").paginate():
        for name in (role["RoleName"] for role in page["Roles"] if role["RoleName"].startswith(prefix)):
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
                document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
                found += _of_document(name, json.loads(unquote(document)) if isinstance(document, str) else document)
    return sorted({permission for permission in found if fits(permission.resource, permission.action)})


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
) -> list[tuple[str, str] | Granted]:
    """Return what `BY_CALLS` says of a test and its calls do not show.

    These are rows that no permission has, and permissions of a row without which no call would be refused, unless a row
    of another test is about them, too.

    Args:
        permissions: What the roles may do in that test's account.
        log: The calls that they made there.
        test: The test's file, which `BY_CALLS` names.
        stack: The stack's name.
    """
    rows = BY_CALLS[Path(test).resolve().relative_to(ROOT).as_posix()]
    others = [row for row in ELSEWHERE if row not in rows]
    idle = [item for item in permissions if not lost_calls(item, permissions, log.phases)]
    return [
        *(row for row in rows if not any(_is_of_row(item, row, stack=stack) for item in permissions)),
        *(
            item
            for item in idle
            if any(_is_of_row(item, row, stack=stack) for row in rows)
            and not any(_is_of_row(item, row, stack=stack) for row in others)
        ),
    ]


def unneeded(permissions: Sequence[Granted], log: PermissionLog, *, role: str = "") -> list[Granted]:
    """Return the permissions of the roles whose names begin so that no call needs and no row explains."""
    idle = [item for item in permissions if not lost_calls(item, permissions, log.phases)]
    return [item for item in idle if item.role.startswith(role) and explanation(item) is None]


def superfluous(
    permissions: Sequence[Granted], log: PermissionLog, *, stack: str = "Whippet-dev"
) -> list[tuple[str, str]]:
    """Return the rows of `ELSEWHERE` that explain no permission, since each one is needed or not there."""
    idle = [item for item in permissions if not lost_calls(item, permissions, log.phases)]
    return [row for row in ELSEWHERE if not any(_is_of_row(item, row, stack=stack) for item in idle)]


def table(permissions: Sequence[Granted], log: PermissionLog, *, stack: str) -> str:
    """Return a line for each permission: role, action, the phases whose calls would be refused without it, resource."""
    rows = []
    for permission in permissions:
        lost = lost_calls(permission, permissions, log.phases)
        phases = ", ".join(sorted({log.phases[call] for call in lost})) or "-"
        role = permission.role.removeprefix(f"{stack}-")
        rows.append(f"{role[:34]:34} {permission.action:44} {phases:30} {permission.resource}")
    return "\n".join(rows)
