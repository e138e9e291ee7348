"""What a destroy leaves in an account, and the list of it in README."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from cli.target import ROOT

__all__ = ["stated", "unstated", "unstated_after_runs"]

STATED = {
    r"log group /aws/sagemaker/(Training|Processing|Transform)Jobs": "the streams of the jobs in the log groups",
    r"log stream whippet-dev-\S+": "the streams of the jobs in the log groups",
    r"key Encrypts what whippet-dev stores": "a key that `security.kms_key=create` made",
    r"role Whippet-dev-ApiRestCloudWatchRole\S+": "API Gateway's account-wide log role",
    r"rule StepFunctionsGetEventsForSageMaker\w+": "the EventBridge rules",
    r"(training|tuning|processing) job whippet-dev-\S+": "the records of jobs",
    r"(bucket|role|repository) cdk-hnb659fds-\S+": "the assets of the deployments",
    r"(stack CDKToolkit|parameter /cdk-bootstrap/\S+)": "the assets of the deployments",
}
"""What may stay, as `left` names it, and the words of README's table for it. These tests do not keep the photos."""

LOCAL_ONLY = {
    r"log group /aws/codebuild/\S+": "ministack knows no LogsConfig of a project, which names the stack's own group",
}
"""What the local account alone keeps, with the reason."""

LISTS: dict[str, tuple[str, str, str, str]] = {
    "bucket": ("s3", "list_buckets", "Buckets", "Name"),
    "log group": ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    "role": ("iam", "list_roles", "Roles", "RoleName"),
    "user": ("iam", "list_users", "Users", "UserName"),
    "rule": ("events", "list_rules", "Rules", "Name"),
    "parameter": ("ssm", "describe_parameters", "Parameters", "Name"),
    "function": ("lambda", "list_functions", "Functions", "FunctionName"),
    "state machine": ("stepfunctions", "list_state_machines", "stateMachines", "name"),
    "topic": ("sns", "list_topics", "Topics", "TopicArn"),
    "API": ("apigateway", "get_rest_apis", "items", "name"),
    "API key": ("apigateway", "get_api_keys", "items", "name"),
    "usage plan": ("apigateway", "get_usage_plans", "items", "name"),
    "repository": ("ecr", "describe_repositories", "repositories", "repositoryName"),
    "endpoint": ("sagemaker", "list_endpoints", "Endpoints", "EndpointName"),
    "endpoint configuration": ("sagemaker", "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"),
    "model": ("sagemaker", "list_models", "Models", "ModelName"),
    "model package group": (
        "sagemaker",
        "list_model_package_groups",
        "ModelPackageGroupSummaryList",
        "ModelPackageGroupName",
    ),
    "training job": ("sagemaker", "list_training_jobs", "TrainingJobSummaries", "TrainingJobName"),
    "processing job": ("sagemaker", "list_processing_jobs", "ProcessingJobSummaries", "ProcessingJobName"),
    "tuning job": (
        "sagemaker",
        "list_hyper_parameter_tuning_jobs",
        "HyperParameterTuningJobSummaries",
        "HyperParameterTuningJobName",
    ),
}
"""Kinds of things that a stack or a run makes: the service, its call, the answer's member, and where the name is."""


def left(client: Callable[[str], Any]) -> Iterator[str]:
    """Name everything that is in the account, as `role NAME`."""
    for kind, (service, call, member, name) in LISTS.items():
        for page in client(service).get_paginator(call).paginate():
            yield from (f"{kind} {item[name]}" for item in page[member])
    yield from (f"project {name}" for name in client("codebuild").list_projects()["projects"])
    kms = client("kms")
    for page in kms.get_paginator("list_keys").paginate():
        described = [kms.describe_key(KeyId=item["KeyId"])["KeyMetadata"] for item in page["Keys"]]
        yield from (f"key {key['Description']}" for key in described if key["KeyState"] == "Enabled")
    stacks = client("cloudformation").list_stacks()["StackSummaries"]
    yield from (f"stack {stack['StackName']}" for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE")
    logs = client("logs")
    for group in logs.describe_log_groups(logGroupNamePrefix="/aws/sagemaker/")["logGroups"]:
        for page in logs.get_paginator("describe_log_streams").paginate(logGroupName=group["logGroupName"]):
            yield from (f"log stream {stream['logStreamName']}" for stream in page["logStreams"])


def unstated(client: Callable[[str], Any]) -> list[str]:
    """Return what is in the account and not in README's list."""
    known = (*STATED, *LOCAL_ONLY)
    return [item for item in left(client) if not any(re.fullmatch(pattern, item) for pattern in known)]


def stated() -> list[str]:
    """Return what README says that stays."""
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("| what stays |")[2].partition("\n\n")[0]
    return [row.split("|")[1].strip() for row in table.splitlines()[2:]]


def unstated_after_runs(client: Callable[[str], Any]) -> list[str]:
    """Return the same where a destroy met a function at work that starts by itself.

    A tidy-up that a run's end started, and the look of every quarter of an hour whether the endpoint is asked, may end
    after their log groups were deleted. ministack's Lambda then makes the group anew; AWS's asks the function's role,
    which has no logs:CreateLogGroup (infra/python_function.py).
    """
    late = re.compile(r"log group /aws/cloudformation/Whippet-dev/(TidyUp|Pause)FunctionLogs\w+")
    return [item for item in unstated(client) if not late.fullmatch(item)]
