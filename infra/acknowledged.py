"""Findings of cdk-nag's AwsSolutions rules that stay, each with the reason why."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

__all__ = ["acknowledge_findings"]

_PREFIXED = "The wildcards end a prefix (objects of a run, names of this environment's jobs and models)"

_FINDINGS: dict[str, dict[str, str]] = {
    "": {
        "AwsSolutions-L1": "Python 3.13 is the newest version that the tests of this project run on.",
    },
    "Dataset/Bucket": {
        "AwsSolutions-S1": "A log bucket would outlive the stack and cost more than it tells; CloudTrail data events "
        "record object access where an account wants that.",
    },
    "TrainingRole/Policy": {
        "AwsSolutions-IAM5": f"{_PREFIXED}; the registry's login and PutMetricData know no resources, and the bucket "
        "is this system's own, where a run may name any prefix.",
    },
    "EndpointRole/Policy": {
        "AwsSolutions-IAM5": f"{_PREFIXED}; the registry's login and PutMetricData know no resources.",
    },
    "Functions/CheckDataset/Policy": {"AwsSolutions-IAM5": f"{_PREFIXED}."},
    "Functions/Verdict/Policy": {"AwsSolutions-IAM5": f"{_PREFIXED}."},
    "Functions/SmokeTest/Policy": {"AwsSolutions-IAM5": f"{_PREFIXED}; a run may name any prefix of photos."},
    "Functions/Retire/Policy": {"AwsSolutions-IAM5": f"{_PREFIXED}; SageMaker's List actions know no resources."},
    "Cleanup/Function/Policy": {"AwsSolutions-IAM5": f"{_PREFIXED}; SageMaker's List actions know no resources."},
    "Workflow/StateMachine/Role/DefaultPolicy": {
        "AwsSolutions-IAM5": f"{_PREFIXED}; log delivery and X-Ray know no resources.",
    },
    "Api/Function/Policy": {"AwsSolutions-IAM5": "X-Ray knows no resources."},
    "Api/Rest/CloudWatchRole": {
        "AwsSolutions-IAM4": "The account-wide role by which API Gateway writes logs takes exactly this policy of AWS.",
    },
    "Api/Rest": {
        "AwsSolutions-APIG2": "Bodies are images of any type; the Lambda checks them and answers with problem details.",
        "AwsSolutions-APIG3": "A web ACL costs more than a small API; key, throttle and quota limit every caller.",
        "AwsSolutions-APIG4": "Every method demands an API key of a usage plan.",
        "AwsSolutions-COG4": "Every method demands an API key of a usage plan; there are no users to sign in.",
    },
    "ServingImage/BuildPolicy": {"AwsSolutions-IAM5": "The registry's login knows no resources."},
    "ServingImage/Project": {
        "AwsSolutions-CB4": "The build has no artefacts to encrypt; its image is encrypted by the registry.",
    },
}
"""By the path of a construct in the stack (empty: the stack); it holds for what is below, too."""


def acknowledge_findings(stack: cdk.Stack) -> None:
    """Tell the validation which findings were considered; paths of parts that the settings left out are skipped."""
    for path, rules in _FINDINGS.items():
        construct = _find(stack, path)
        if construct:
            for rule, reason in rules.items():
                cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=rule, reason=reason))


def _find(stack: cdk.Stack, path: str) -> Construct | None:
    construct: Construct | None = stack
    for part in filter(None, path.split("/")):
        found = construct.node.try_find_child(part) if construct else None
        construct = found if isinstance(found, Construct) else None
    return construct
