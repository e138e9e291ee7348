"""Findings of cdk-nag's AwsSolutions rules that stay, each with the reason why."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

import contract
from infra.dataset import Dataset
from infra.names import Names

__all__ = ["acknowledge_findings"]

_NO_RESOURCES = "These actions know no resources in IAM (registry login, PutMetricData, List…, log delivery, X-Ray)."
_OF_RUNS = (
    "The name begins with the environment's prefix; what follows is the run, not known when the stack is deployed."
)
_OBJECTS = "A run's objects lie below this prefix of the data bucket."
_PHOTOS = "The photos lie below this prefix; in a bucket of our own a run may name any."
_STREAMS = "SageMaker names the streams of its log groups itself."
_MODELS = {"endpoint-config": _OF_RUNS, "model": _OF_RUNS}
_JOBS = {"training-job": _OF_RUNS, "hyper-parameter-tuning-job": _OF_RUNS, "processing-job": _OF_RUNS}
_VERSIONS = "A model package's number is not known when the stack is deployed."

_WILDCARDS: dict[str, dict[str, str]] = {
    "TrainingRole/Policy": {
        "*": _NO_RESOURCES,
        "photos": _PHOTOS,
        "runs": _OBJECTS,
        "features": _OBJECTS,
        "job streams": _STREAMS,
        "processing streams": _STREAMS,
    },
    "EndpointRole/Policy": {"*": _NO_RESOURCES, "runs": _OBJECTS, "endpoint streams": _STREAMS},
    "Functions/CheckDataset/Policy": {
        "*": _NO_RESOURCES,
        "runs": _OBJECTS,
        "features": _OBJECTS,
        "hyper-parameter-tuning-job": _OF_RUNS,
    },
    "Functions/Verdict/Policy": {"runs": _OBJECTS, "training-job": _OF_RUNS},
    "Functions/AskApproval/Policy": {"approvals": _OBJECTS},
    "Functions/Report/Policy": {
        "runs": _OBJECTS,
        "reports": _OBJECTS,
        "profiles": _OBJECTS,
        **_JOBS,
        "endpoint-config": _OF_RUNS,
    },
    "Functions/SmokeTest/Policy": {"runs": _OBJECTS, "photos": _PHOTOS},
    "Functions/Retire/Policy": {"*": _NO_RESOURCES, **_MODELS},
    "Cleanup/Function/Policy": {
        "*": _NO_RESOURCES,
        "photos": "Every object of the bucket is deleted when the setting keep_at_destroy is off.",
        "executions": "Every running execution is stopped.",
        "packages": _VERSIONS,
        **_MODELS,
        **_JOBS,
    },
    "Workflow/StateMachine/Role/DefaultPolicy": {
        "*": _NO_RESOURCES,
        "packages": _VERSIONS,
        **_MODELS,
        **_JOBS,
    },
    "Api/Function/Policy": {"*": _NO_RESOURCES},
    "ServingImage/BuildPolicy": {"*": _NO_RESOURCES},
}
"""AwsSolutions-IAM5, by the path of the policy and the kind of resource."""

_FINDINGS: dict[str, dict[str, str]] = {
    "": {"AwsSolutions-L1": "Python 3.13 is the newest version that the tests of this project run on."},
    "Dataset/Bucket": {
        "AwsSolutions-S1": "A log bucket would outlive the stack and cost more than it tells; CloudTrail data events "
        "record object access where an account wants that.",
    },
    "Api/Rest/CloudWatchRole": {
        "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
        "AmazonAPIGatewayPushToCloudWatchLogs]": "API Gateway's account-wide log role takes exactly this policy.",
    },
    "Api/Rest": {
        "AwsSolutions-APIG2": "Bodies are images of any type; the Lambda checks them and answers with problem details.",
        "AwsSolutions-APIG3": "A web ACL costs more than a small API; key, throttle and quota limit every caller.",
        "AwsSolutions-APIG4": "Every method demands an API key of a usage plan.",
        "AwsSolutions-COG4": "Every method demands an API key of a usage plan; there are no users to sign in.",
    },
    "ServingImage/Project": {
        "AwsSolutions-CB4": "The build has no artefacts to encrypt; its image is encrypted by the registry.",
    },
}
"""The other rules, by the path of a construct (empty: the stack); they hold for what is below, too."""


def acknowledge_findings(stack: cdk.Stack, *, names: Names, dataset: Dataset) -> None:
    """Tell the validation which findings were considered; parts that the settings left out are passed over."""
    resources = _wildcard_resources(stack, names, dataset)
    for path, reasons in _WILDCARDS.items():
        rules = {f"AwsSolutions-IAM5[Resource::{resources[kind]}]": reason for kind, reason in reasons.items()}
        _acknowledge(stack, path, rules)
    for path, rules in _FINDINGS.items():
        _acknowledge(stack, path, rules)


def _wildcard_resources(stack: cdk.Stack, names: Names, dataset: Dataset) -> dict[str, str]:
    """How cdk-nag writes the resources with a wildcard."""
    default = dataset.bucket.node.default_child
    own = isinstance(default, cdk.CfnElement)
    bucket = f"<{stack.get_logical_id(default)}.Arn>" if isinstance(default, cdk.CfnElement) else None
    bucket = bucket or f"arn:<AWS::Partition>:s3:::{dataset.bucket.bucket_name}"
    here = "<AWS::Region>:<AWS::AccountId>"
    logs = f"arn:<AWS::Partition>:logs:{here}:log-group:"
    return {
        "*": "*",
        "photos": f"{bucket}/{'' if own else dataset.prefix}*",
        "runs": f"{bucket}/runs/*",
        "features": f"{bucket}/features/*",
        "job streams": f"{logs}/aws/sagemaker/TrainingJobs:log-stream:*",
        "processing streams": f"{logs}/aws/sagemaker/ProcessingJobs:log-stream:*",
        **{
            kind: f"{bucket}/runs/*/{file}"
            for kind, file in {
                "approvals": contract.Artefact.APPROVAL,
                "reports": contract.Artefact.REPORT,
                "profiles": contract.Artefact.PROFILE_PAGE,
            }.items()
        },
        "packages": f"arn:<AWS::Partition>:sagemaker:{here}:model-package/{names.model_package_group}/*",
        "endpoint streams": f"{logs}{names.endpoint_log_group}:log-stream:*",
        "executions": f"arn:<AWS::Partition>:states:{here}:execution:{names.prefix}:*",
        **{kind: f"arn:<AWS::Partition>:sagemaker:{here}:{kind}/{names.prefix}-*" for kind in (*_JOBS, *_MODELS)},
    }


def _acknowledge(stack: cdk.Stack, path: str, rules: dict[str, str]) -> None:
    construct: Construct | None = stack
    for part in filter(None, path.split("/")):
        child = construct.node.try_find_child(part) if construct else None
        construct = child if isinstance(child, Construct) else None
    if construct:
        findings = [cdk.Acknowledgment(id=rule, reason=reason) for rule, reason in rules.items()]
        cdk.Validations.of(construct).acknowledge(*findings)
