"""Every role of the template: it may do what it does, nothing else, and in a way that IAM knows.

What a role does is read from the code: a function's calls, the build's commands. What AWS's services do with the roles
of jobs, endpoint and API is taken from AWS's own lists. The state machine's calls are in test_role.py. What IAM knows
is in the service authorization reference, which policy_sentry ships.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from policy_sentry.querying.actions import get_action_data

from tests.infra.app_process import EVERY_FUNCTION
from tests.infra.function_calls import FUNCTIONS, ROOT, actions_of
from tests.infra.template import Template, listed

EVERYTHING = {
    **EVERY_FUNCTION,
    "tuning.warm_start": "true",
    "dataset.keep_at_destroy": "false",
    "api.feedback": "true",
    "budget.ceiling": "1000",
}
"""Settings with which every function is there and uses all of its calls."""

LAMBDA_LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
"""AWSLambdaBasicExecutionRole without logs:CreateLogGroup: the stack makes each function's group."""

LAMBDA_TRACING = {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}
"""AWSXRayDaemonWriteAccess without the sampling rules, which API Gateway asks for before it calls the function."""

OF_A_MODEL = {
    *(
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetAuthorizationToken",
        "ecr:GetDownloadUrlForLayer",
    ),
    *("logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
    *("cloudwatch:PutMetricData", "s3:GetObject", "s3:ListBucket"),
}
"""CreateModel API: Execution Role Permissions; those of a training and of a processing job are the same and more."""

OF_SERVICES = {
    # "Use checkpoints": what a script deletes there is deleted in S3
    "TrainingRole": OF_A_MODEL | {"s3:DeleteObject", "s3:PutObject"},
    # "Capture data from real-time endpoint": SageMaker writes captured answers
    "EndpointRole": OF_A_MODEL | {"s3:PutObject"},
    # and what a transform job writes
    "BatchRole": OF_A_MODEL | {"s3:PutObject"},
    # "Set up the execution role" (EventBridge Scheduler)
    "TriggersSchedule": {"lambda:InvokeFunction"},
    # "Create a CodeBuild service role": its source in S3 and its log
    "ServingImageBuildRole": {
        "logs:CreateLogGroup",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "s3:GetBucketAcl",
        "s3:GetBucketLocation",
        "s3:GetObject",
        "s3:GetObjectVersion",
    },
}
"""What AWS's services do with a role, by the beginning of its logical id."""

COMMANDS = {
    r"aws ecr get-login-password": {"ecr:GetAuthorizationToken"},
    r"aws ecr-public get-login-password": {"ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"},
    r"aws ecr describe-images": {"ecr:DescribeImages"},
    # "Required IAM permissions for pushing an image"
    r"docker push": {
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CompleteLayerUpload",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
    },
}
"""What the commands of the build's script need."""

NOT_GRANTED = {
    ("EndpointRole", "logs:CreateLogGroup"): "the stack makes the group, and a late line must not bring it back (A-19)",
    ("ServingImageBuildRole", "logs:CreateLogGroup"): "the stack makes the group",
}
"""Actions of AWS's lists that a role does not get, with the reason."""

_ENDED = {"application-autoscaling:DeregisterScalableTarget", "cloudwatch:DeleteAlarms"}
_BEGUN = {
    *("application-autoscaling:RegisterScalableTarget", "application-autoscaling:PutScalingPolicy"),
    *("sagemaker:DescribeEndpointConfig", "sagemaker:UpdateEndpointWeightsAndCapacities"),
    *("cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms", "iam:CreateServiceLinkedRole"),
}
"""What automatic scaling needs, apart from a look at the endpoint, which these functions take themselves."""

NOT_CALLED = {
    ("TrainingRole", "s3:AbortMultipartUpload"): "an upload of a large model that fails is taken back",
    ("TrainingRole", "s3:GetBucketLocation"): "of AmazonSageMakerFullAccess; the toolkit's S3 transfer may ask for it",
    ("ApiFunction", "sagemaker:AddTags"): "CreateEndpoint with tags asks for it",
    ("TidyUpFunction", "sagemaker:AddTags"): "CreateEndpoint with tags asks for it",
    **{
        (role, action): "contract/scaling.py calls it, or AWS asks it of who does (infra/scaling.py)"
        for role, actions in {
            "CleanupFunction": _ENDED,
            "PauseFunction": {*_ENDED, *_BEGUN, "application-autoscaling:DescribeScalableTargets"},
            "TidyUpFunction": _BEGUN | {"cloudwatch:DeleteAlarms"},
            "FunctionsCheckDataset": {"application-autoscaling:DescribeScalableTargets"},
        }.items()
        for action in actions
    },
    ("FunctionsVerdict", "s3:ListBucket"): "without it S3 answers 403 for a file that a run did not write, not 404",
    **{
        ("FunctionsCheckDataset", f"sagemaker:{verb}{kind}Job{'s' if verb == 'List' else ''}"): (
            "contract/recorded_jobs.py calls it for each kind of job"
        )
        for verb in ("List", "Describe")
        for kind in ("Training", "Processing", "Transform")
        if (verb, kind) != ("Describe", "Training")  # a run that is tried again calls it by its name
    },
}
"""Actions that a role gets though no call in the code and no list names them, with the reason."""

ON_EVERYTHING = {
    "sagemaker:ListModelPackages": "the reference names model packages, yet the call lists a group's, which may be none"
}
"""Actions that IAM could restrict to resources and that are allowed on all, with the reason."""

NOT_DEPENDED_ON = {
    "application-autoscaling:RegisterScalableTarget": "it tags only where the request has tags, and none has",
    "servicequotas:ListServiceQuotas": "of older services it asks themselves; SageMaker's quotas are its own",
}
"""Actions whose dependent actions are not needed, with the reason."""

CODE_OF = {
    "ServingImageBuilder": "build_image",
    "ApiFunction": "classify",
    "CleanupFunction": "cleanup",
    "PauseFunction": "pause",
    "DriftFunction": "check_drift",
    "TidyUpFunction": "tidy_up",
    "TriggersFunction": "start_run",
    "MonitoringAlarmMessagesFunction": "tell_alarm",
    "MonitoringDashboardModel": "model_widget",
}
"""The function's folder, by the beginning of its role's logical id; those of the run are called as their folders."""


def code_of(role: str) -> str | None:
    """The folder below lambda/ that runs with a role, if one does."""
    for start, folder in CODE_OF.items():
        if role.startswith(f"{start}Role"):
            return folder
    match = re.match(r"Functions(\w+)Role", role)
    return re.sub(r"(?<!^)(?=[A-Z])", "_", match[1]).lower() if match else None


def used(role: str, template: Template) -> set[str]:
    """Actions that code, commands and AWS's lists ask for, of a role by its logical id."""
    function = code_of(role)
    if function:
        traced = template.function(function).get("TracingConfig", {}).get("Mode") == "Active"
        return actions_of(function) | LAMBDA_LOGS | (LAMBDA_TRACING if traced else set())
    found = {action for start, actions in OF_SERVICES.items() if role.startswith(start) for action in actions}
    if role.startswith("ServingImageBuildRole"):
        script = (ROOT / "inference" / "build_image.sh").read_text()
        found |= {action for command, actions in COMMANDS.items() if re.search(command, script) for action in actions}
    return found


def granted(role: str, template: Template) -> set[str]:
    """Actions that the policies of a role allow."""
    policies = template.of_type("AWS::IAM::Policy").items()
    of_role = {name for name, policy in policies if {"Ref": role} in policy["Properties"]["Roles"]}
    found = [statement["Action"] for name, statement in template.statements() if name in of_role]
    return {action for actions in found for action in listed(actions)}


def exceptions(table: dict[tuple[str, str], str], role: str) -> set[str]:
    return {action for start, action in table if role.startswith(start)}


def judged(template: Template) -> list[str]:
    """Roles whose use is known: all but the state machine's, which has a test of its own, and API Gateway's."""
    roles = template.of_type("AWS::IAM::Role")
    known = [role for role in roles if code_of(role) or any(role.startswith(start) for start in OF_SERVICES)]
    others = {role for role in roles if role not in known}
    assert {re.sub(r"[0-9A-F]{8}$", "", role) for role in others} == {
        "WorkflowStateMachineRole",
        "ApiRestCloudWatchRole",
    }
    return known


@pytest.fixture(scope="module")
def everything(synthesise: Callable[..., Template]) -> Template:
    return synthesise(**EVERYTHING)


def test_every_call_is_allowed(everything: Template) -> None:
    missing = {
        role: lacking
        for role in judged(everything)
        if (lacking := used(role, everything) - granted(role, everything) - exceptions(NOT_GRANTED, role))
    }
    assert not missing


def test_what_nobody_uses_is_not_allowed(everything: Template, template: Template) -> None:
    unused = {
        role: idle
        for chosen in (everything, template)
        for role in judged(chosen)
        if (idle := granted(role, chosen) - used(role, chosen) - exceptions(NOT_CALLED, role))
    }
    assert not unused


def test_every_function_of_the_repository_is_judged(everything: Template) -> None:
    folders = {file.parent.name for file in FUNCTIONS.glob("*/handler.py")}
    assert {code_of(role) for role in judged(everything)} - {None} == folders


def test_api_gateways_role_has_the_policy_that_aws_made_for_it(everything: Template) -> None:
    (role,) = [item for name, item in everything.of_type("AWS::IAM::Role").items() if name.startswith("ApiRest")]
    (policy,) = everything.value(role["Properties"]["ManagedPolicyArns"])
    assert policy == "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"


def test_api_gateway_may_call_the_function_of_every_method(everything: Template) -> None:
    allowed = {
        everything.value(item["Properties"]["SourceArn"]).split("/", 2)[2]
        for item in everything.of_type("AWS::Lambda::Permission").values()
        if item["Properties"]["Principal"] == "apigateway.amazonaws.com"
        and item["Properties"]["Action"] == "lambda:InvokeFunction"
    }
    assert {"POST/classify", "GET/health"} <= allowed


@pytest.mark.parametrize("table", [NOT_GRANTED, NOT_CALLED], ids=["not granted", "not called"])
def test_an_exception_that_is_none_any_more_has_to_go(everything: Template, table: dict[tuple[str, str], str]) -> None:
    for start, action in table:
        (role,) = [role for role in judged(everything) if role.startswith(f"{start.removesuffix('Role')}Role")]
        in_use, allowed = action in used(role, everything), action in granted(role, everything)
        assert (in_use, allowed) == ((True, False) if table is NOT_GRANTED else (False, True)), (start, action)


Entry = dict[str, Any]


@cache
def entries(action: str) -> list[Entry]:
    """What the reference says of an action, once for each type of resource that it is authorised on."""
    service, _, name = action.partition(":")
    found: list[Entry] = (get_action_data(service, name) or {}).get(service, [])
    return found


@cache
def overlap(one: str, other: str) -> bool:
    """Whether a text can match both patterns, in which `*` is any text and `?` one without slash or colon."""
    if not one or not other:
        return set(one + other) <= {"*", "?"}
    if one[0] == "*":
        return overlap(one[1:], other) or overlap(one, other[1:])
    if one[0] == "?":
        return overlap(one[1:], other) or (other[0] not in "/:" and overlap(one, other[1:]))
    if other[0] in "*?":
        return overlap(other, one)
    return one[0] == other[0] and overlap(one[1:], other[1:])


def fits(resource: str, action: str) -> bool:
    """Whether an action is authorised on what a resource of a policy names."""
    formats = {entry["resource_arn_format"] for entry in entries(action)}
    if resource == "*":
        return formats == {"*"} or action in ON_EVERYTHING
    patterns = [re.sub(r"\$\{(Partition|Region|Account|BucketName)\}", "?", form) for form in formats - {"*"}]
    patterns = [re.sub(r"\$\{\w+\}", "*", pattern) for pattern in patterns]
    return any(overlap(pattern, resource) for pattern in patterns)


def statements(template: Template) -> Iterator[tuple[str, list[str], list[str], dict[str, Any]]]:
    for name, statement in template.statements():
        yield name, listed(statement["Action"]), listed(statement["Resource"]), statement.get("Condition", {})


def test_the_reference_knows_every_action(everything: Template) -> None:
    assert {action for _, actions, _, _ in statements(everything) for action in actions if not entries(action)} == set()


def test_every_action_is_allowed_on_resources_that_it_is_authorised_on(everything: Template) -> None:
    for name, actions, resources, _ in statements(everything):
        for action in actions:
            assert any(fits(resource, action) for resource in resources), (name, action, resources)
        for resource in resources:
            assert any(fits(resource, action) for action in actions), (name, actions, resource)
            assert resource != "*" or all(fits(resource, action) for action in actions), (name, actions)


def test_every_condition_is_one_that_the_action_knows(everything: Template) -> None:
    for name, actions, _, conditions in statements(everything):
        for key in (key for operator in conditions.values() for key in operator):
            for action in actions:
                assert any(key in entry["condition_keys"] for entry in entries(action)), (name, action, key)


def test_the_actions_that_an_action_depends_on_are_allowed_too(everything: Template) -> None:
    for role in everything.of_type("AWS::IAM::Role"):
        actions = granted(role, everything)
        dependent = {
            more
            for action in actions - NOT_DEPENDED_ON.keys()
            for entry in entries(action)
            for more in entry["dependent_actions"]
        }
        assert dependent - {""} <= actions, role


def test_an_exception_of_the_reference_that_is_none_any_more_has_to_go(everything: Template) -> None:
    allowed = {action for _, actions, _, _ in statements(everything) for action in actions}
    for action in ON_EVERYTHING:
        assert action in allowed
        assert {entry["resource_arn_format"] for entry in entries(action)} != {"*"}
    for action in NOT_DEPENDED_ON:
        assert action in allowed
        assert not {more for entry in entries(action) for more in entry["dependent_actions"]} <= {"", *allowed}


@pytest.mark.parametrize(
    ("resource", "action", "expected"),
    [
        ("arn:aws:s3:::data-bucket/runs/*", "s3:GetObject", True),
        ("arn:aws:s3:::data-bucket", "s3:GetObject", False),
        ("arn:aws:s3:::data-bucket", "s3:ListBucket", True),
        ("arn:aws:s3:::data-bucket/*", "s3:ListBucket", False),
        ("arn:aws:sagemaker:eu-west-1:1:model/whippet-dev-*", "sagemaker:DeleteModel", True),
        ("arn:aws:sagemaker:eu-west-1:1:endpoint/whippet-dev", "sagemaker:DeleteModel", False),
        ("*", "sagemaker:ListModels", True),
        ("*", "sagemaker:DeleteModel", False),
    ],
)
def test_the_judge_of_resources_can_say_no(resource: str, action: str, expected: bool) -> None:
    assert fits(resource, action) is expected
