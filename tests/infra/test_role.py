"""The state machine's role: each Task may do what it does, and the role may do nothing else."""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest

from infra.names import Names
from infra.workflow.role import RunRole
from tests.infra.app_process import EVERY_FUNCTION
from tests.infra.fake_run import every_walk
from tests.infra.template import ACCOUNT, REGION, Template, listed

_SAGEMAKER = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"
_NAMED = {
    "TrainingJobName": "training-job",
    "HyperParameterTuningJobName": "hyper-parameter-tuning-job",
    "ProcessingJobName": "processing-job",
    "ModelName": "model",
    "EndpointName": "endpoint",
    "EndpointConfigName": "endpoint-config",
    "ModelPackageGroupName": "model-package-group",
}
"""The kind of resource that a member of a request names."""

_EVENTS = {"TrainingJob": "Training", "HyperParameterTuningJob": "Tuning", "ProcessingJob": "Processing"}
_WITHOUT_RESOURCES = ("logs:", "xray:")

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"

Needed = set[tuple[str, str]]

CONFIGURATIONS = [
    {},
    {"release.approval": "manual", "tuning.warm_start": "true"},
    {"training.mode": "finetune"},
    {"debugger.mode": "own"},
    {"debugger.mode": "managed"},
    {"debugger.mode": "off"},
    EVERY_FUNCTION,
    {**EVERY_FUNCTION, "security.kms_key": KEY},
]


def needed(resource: str, payload: dict[str, Any], *, repository: str, encrypted: bool) -> Needed:
    """What IAM asks for a rendered task: the action on every resource it names, and what goes with it.

    Source: "IAM policies for calling SageMaker AI with Step Functions", and the Service Authorization Reference.
    """
    if ":function:" in resource:
        return {("lambda:InvokeFunction", resource)}
    if ":applicationautoscaling:" in resource:
        return of_scaling(resource.rsplit(":", 1)[1])
    call = resource.rsplit(":", 1)[1]
    action = call[0].upper() + call[1:].removesuffix(".sync")
    arns = [f"{_SAGEMAKER}:{kind}/{payload[member]}" for member, kind in _NAMED.items() if member in payload]
    if action == "CreateModelPackage":
        arns.append(f"{_SAGEMAKER}:model-package/{payload['ModelPackageGroupName']}/1")
        (container,) = payload["InferenceSpecification"]["Containers"]
        bucket, _, key = container["ModelDataUrl"].removeprefix("s3://").partition("/")
        # tests/infra/test_implied_permissions.py says where these are from.
        looked_at = {("ecr:BatchGetImage", repository), ("ecr:DescribeImages", repository)}
        looked_at |= {("s3:GetObject", f"arn:aws:s3:::{bucket}/{key}"), ("s3:ListBucket", f"arn:aws:s3:::{bucket}")}
    else:
        looked_at = set()
    if action == "UpdateModelPackage":
        arns.append(payload["ModelPackageArn"])
    found = {(f"sagemaker:{action}", arn) for arn in arns} | looked_at
    if call.endswith(".sync"):
        job = action.removeprefix("Create")
        found |= {(f"sagemaker:{verb}{job}", arn) for verb in ("Describe", "Stop") for arn in arns}
        rule = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/StepFunctionsGetEventsForSageMaker{_EVENTS[job]}JobsRule"
        found |= {(f"events:{verb}", rule) for verb in ("PutTargets", "PutRule", "DescribeRule")}
    rollback = payload.get("DeploymentConfig", {}).get("AutoRollbackConfiguration", {})
    alarm = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm"
    found |= {("cloudwatch:DescribeAlarms", f"{alarm}:{entry['AlarmName']}") for entry in rollback.get("Alarms", [])}
    if "Tags" in payload:
        # An endpoint's creation names its configuration, too, which is not tagged with it.
        found |= {(f"sagemaker:{verb}Tags", arns[0]) for verb in ("Add", "List")}
    if encrypted:
        found |= of_kms(action)
    return found | {("iam:PassRole", role) for role in passed_roles(payload)}


def of_scaling(call: str) -> Needed:
    """What Application Auto Scaling asks for.

    Source: its user guide, "Permissions required for API actions on target services and CloudWatch".
    """
    place = f"{REGION}:{ACCOUNT}"
    target = f"arn:aws:application-autoscaling:{place}:scalable-target/0123abcd"
    alarm = f"arn:aws:cloudwatch:{place}:alarm:TargetTracking-endpoint/whippet-dev/variant/AllTraffic-AlarmHigh-1"
    role = "sagemaker.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    own = {(f"application-autoscaling:{call[0].upper()}{call[1:]}", target)}
    return (
        own
        | {
            "registerScalableTarget": {
                ("sagemaker:DescribeEndpoint", f"{_SAGEMAKER}:endpoint/whippet-dev"),
                ("sagemaker:UpdateEndpointWeightsAndCapacities", f"{_SAGEMAKER}:endpoint/whippet-dev"),
                ("sagemaker:DescribeEndpointConfig", f"{_SAGEMAKER}:endpoint-config/whippet-dev-run-1"),
                ("iam:CreateServiceLinkedRole", f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{role}"),
            },
            "putScalingPolicy": {
                (f"cloudwatch:{action}", alarm) for action in ("PutMetricAlarm", "DescribeAlarms", "DeleteAlarms")
            },
            "deregisterScalableTarget": {("cloudwatch:DeleteAlarms", alarm)},
        }[call]
    )


def of_kms(action: str) -> Needed:
    """What KMS asks the caller for, where a customer's key encrypts bucket and endpoint.

    Source: "Amazon SageMaker AI API Permissions" (CreateEndpoint), CloudFormation's schema of the configuration, and S3
    for the model's data that CreateModelPackage reads. A job's own role has what its disk and results need.
    """
    actions = {
        "CreateEndpoint": {"kms:CreateGrant"},
        "UpdateEndpoint": {"kms:CreateGrant"},
        "CreateEndpointConfig": {"kms:DescribeKey"},
        "CreateModelPackage": {"kms:Decrypt"},
    }
    return {(name, KEY) for name in actions.get(action, set())}


def passed_roles(value: Any) -> set[str]:
    if isinstance(value, list):
        return {role for item in value for role in passed_roles(item)}
    if not isinstance(value, dict):
        return set()
    own = {value[name] for name in ("RoleArn", "ExecutionRoleArn") if name in value}
    return own.union(*(passed_roles(item) for item in value.values()))


def allowed(template: Template) -> Needed:
    """What the role may do, but for logging and tracing, which CDK adds."""
    return {
        (action, resource)
        for name, statement in template.statements()
        if name.startswith("WorkflowStateMachineRole")
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
        if not action.startswith(_WITHOUT_RESOURCES)
    }


def covers(permission: tuple[str, str], wanted: tuple[str, str]) -> bool:
    return permission[0] == wanted[0] and fnmatch.fnmatchcase(wanted[1], permission[1])


@pytest.mark.parametrize("overrides", CONFIGURATIONS, ids=lambda item: ", ".join(item.values()) or "default")
def test_every_task_has_its_permissions_and_every_permission_its_task(
    synthesise: Any, overrides: dict[str, str]
) -> None:
    template = synthesise(**overrides)
    states = template.definition()["States"]
    (image,) = template.of_type("AWS::ECR::Repository")
    repository = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{image}"
    wanted: Needed = set()
    passed = set()
    for walk in every_walk(template.definition(), mode=overrides.get("training.mode", "features")):
        for name, payload in walk.payloads:
            passed.add(name)
            resource = states[name]["Resource"]
            if resource.endswith("lambda:invoke.waitForTaskToken"):
                resource = states[name]["Parameters"]["FunctionName"]
            encrypted = "security.kms_key" in overrides
            wanted |= needed(resource, payload, repository=repository, encrypted=encrypted)

    assert passed == {name for name, state in states.items() if state["Type"] == "Task"}
    permissions = allowed(template)
    assert [item for item in wanted if not any(covers(permission, item) for permission in permissions)] == []
    assert [permission for permission in permissions if not any(covers(permission, item) for item in wanted)] == []


@pytest.mark.parametrize("call", ["listTrainingJobs", "createTransformJob.sync"])
def test_a_call_whose_permissions_are_not_known_is_refused(call: str) -> None:
    with pytest.raises(ValueError, match=f"the permissions for {call} are not known; add them to infra.workflow.role"):
        RunRole(Names("whippet-dev")).may_call(call, {})
