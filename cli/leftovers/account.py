"""What is left outside of SageMaker: parts of a stack that was let go, logs, things that stacks share, and the data."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from cli import CliError
from cli.deployment import BOOTSTRAP_STACK
from cli.leftovers.leftover import Bill, Leftover, OwnNames, names
from infra.names import Names
from infra.settings.security import KEY_PENDING_DAYS

if TYPE_CHECKING:
    from cli.target import Target

__all__ = ["data_and_its_key", "parts_of_stack", "shared_by_account", "written_logs"]

_JOB_LOGS: Final = tuple(f"/aws/sagemaker/{kind}Jobs" for kind in ("Training", "Processing", "Transform"))
"""SageMaker's log groups, which all jobs of the account share."""

_STEP_FUNCTIONS_RULES: Final = "StepFunctionsGetEventsForSageMaker"


@dataclass(frozen=True)
class _Part:
    """A kind of thing that CloudFormation deletes with the stack, unless a person told it to let it go."""

    kind: str
    service: str
    listing: tuple[str, str, str]
    """The list operation, the member of its answer with the list, and the member of an item with the name."""
    delete: str
    parameter: str
    identifier: str = ""
    """The member of an item that `delete` takes, if it is not the name."""
    options: tuple[tuple[str, bool], ...] = ()
    bill: Bill = "nothing"


_PARTS: Final = (
    _Part(
        "state machine",
        "stepfunctions",
        ("list_state_machines", "stateMachines", "name"),
        "delete_state_machine",
        "stateMachineArn",
        "stateMachineArn",
    ),
    _Part("API", "apigateway", ("get_rest_apis", "items", "name"), "delete_rest_api", "restApiId", "id"),
    _Part("function", "lambda", ("list_functions", "Functions", "FunctionName"), "delete_function", "FunctionName"),
    _Part(
        "repository",
        "ecr",
        ("describe_repositories", "repositories", "repositoryName"),
        "delete_repository",
        "repositoryName",
        options=(("force", True),),
        bill="storage",
    ),
)


def parts_of_stack(target: Target) -> Iterator[Leftover]:
    """Yield what the stack held, where CloudFormation was told to let it go or a person has made it anew."""
    own = OwnNames.of(target)
    for part in _PARTS:
        client = target.client(part.service)
        operation, member, name_member = part.listing
        for page in client.get_paginator(operation).paginate():
            for item in page[member]:
                name = item[name_member]
                if own.is_own(name):
                    given: dict[str, Any] = {part.parameter: item[part.identifier or name_member], **dict(part.options)}
                    remove = partial(getattr(client, part.delete), **given)
                    yield Leftover(kind=part.kind, name=name, bill=part.bill, remove=remove)

    sns = target.client("sns")
    for arn in names(sns, "list_topics", "Topics", "TopicArn"):
        if own.is_of_stack(arn.rpartition(":")[2]):
            yield Leftover(kind="topic", name=arn, bill="nothing", remove=partial(sns.delete_topic, TopicArn=arn))
    events = target.client("events")
    for name in names(events, "list_rules", "Rules", "Name"):
        if own.is_own(name):
            yield Leftover(kind="rule", name=name, bill="nothing", remove=partial(_delete_rule, events, name))
    ssm = target.client("ssm")
    for name in names(ssm, "describe_parameters", "Parameters", "Name"):
        if name.startswith(f"/{own.prefix}/"):
            remove = partial(ssm.delete_parameter, Name=name)
            yield Leftover(kind="parameter", name=name, bill="nothing", remove=remove)
    yield from _roles(target, own)


def _roles(target: Target, own: OwnNames) -> Iterator[Leftover]:
    """Yield the roles. They are the same in all Regions, where the environment may stand elsewhere."""
    iam, apigateway = target.client("iam"), target.client("apigateway")
    log_role = apigateway.get_account().get("cloudwatchRoleArn", "").rpartition("/")[2]
    others = sorted(name for name in names(apigateway, "get_rest_apis", "items", "name") if not own.is_own(name))
    for name in names(iam, "list_roles", "Roles", "RoleName"):
        if not own.is_of_stack(name):
            continue
        why = ""
        remove: Callable[[], None] | None = partial(_delete_role, iam, name)
        if name == log_role:
            # the account's setting for all APIs of the Region
            remove = partial(_delete_log_role, iam, apigateway, name)
            why = f"API Gateway writes the logs of other APIs with it: {', '.join(others[:3])}." if others else ""
        else:
            regions = _regions_of_role(iam, name)
            if regions and apigateway.meta.region_name not in regions:
                continue
            if not regions:
                why = "No policy of it says in which Region its stack stood: delete it in the IAM console if in none."
        yield Leftover(kind="role", name=name, bill="nothing", remove=None if why else remove, why=why)


def _regions_of_role(iam: Any, name: str) -> set[str]:
    """Return the Regions that a role's own policies name."""
    found: set[str] = set()
    for policy in _policies_of(iam, name):
        document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        found |= set(re.findall(r"arn:[a-z-]+:[a-z0-9-]+:([a-z]{2}(?:-[a-z]+)+-[0-9]):", json.dumps(document)))
    return found


def written_logs(target: Target) -> Iterator[Leftover]:
    """Yield the logs of the environment, and the streams of its jobs in the groups that all jobs share."""
    logs, own = target.client("logs"), OwnNames.of(target)
    groups = list(names(logs, "describe_log_groups", "logGroups", "logGroupName"))
    for name in groups:
        last = name.rpartition("/")[2]
        if own.is_own(last) or own.is_of_stack(name):
            remove = partial(logs.delete_log_group, logGroupName=name)
            yield Leftover(kind="log group", name=name, bill="storage", remove=remove)
    for group in groups:
        if group not in _JOB_LOGS:
            continue
        streams = names(
            logs,
            "describe_log_streams",
            "logStreams",
            "logStreamName",
            logGroupName=group,
            logStreamNamePrefix=f"{own.prefix}-",
        )
        for stream in streams:
            if own.is_of_run(stream):
                remove = partial(logs.delete_log_stream, logGroupName=group, logStreamName=stream)
                yield Leftover(kind="log stream", name=f"{group}:{stream}", bill="storage", remove=remove)


def shared_by_account(target: Target) -> Iterator[Leftover]:
    """Yield what AWS and the CDK made for this and other stacks."""
    machines = list(names(target.client("stepfunctions"), "list_state_machines", "stateMachines", "name"))
    own = OwnNames.of(target)
    others = sorted(name for name in machines if not own.is_own(name))
    events = target.client("events")
    for name in names(events, "list_rules", "Rules", "Name", NamePrefix=_STEP_FUNCTIONS_RULES):
        why = f"Step Functions hears by it of the jobs of other state machines: {', '.join(others[:3])}."
        remove: Callable[[], None] | None = None if others else partial(_delete_rule, events, name)
        yield Leftover(kind="rule", name=name, bill="nothing", remove=remove, why=why if others else "")
    if _stands(target, BOOTSTRAP_STACK):
        yield Leftover(
            kind="stack",
            name=BOOTSTRAP_STACK,
            bill="storage",
            remove=None,
            why="The CDK keeps the assets of all its stacks there: `cdk gc --unstable=gc` deletes those that no stack "
            "uses.",
        )


def data_and_its_key(target: Target) -> Iterator[Leftover]:
    """Yield the buckets that stacks of the environment made and kept, and then the keys that they are encrypted with.

    What the settings name, a bucket or a key, is none of them.
    """
    s3, own = target.client("s3"), OwnNames.of(target)
    for name in names(s3, "list_buckets", "Buckets", "Name"):
        if not own.is_data_bucket(name) or name == target.settings.dataset.bucket:
            continue
        # buckets of all Regions are listed
        if (s3.get_bucket_location(Bucket=name)["LocationConstraint"] or "us-east-1") == s3.meta.region_name:
            yield Leftover(
                kind="bucket",
                name=name,
                bill="storage",
                remove=partial(_delete_bucket, s3, name),
                why="It holds the photos, the models and the results of the runs.",
                is_data=True,
            )

    kms = target.client("kms")
    for key in names(kms, "list_keys", "Keys", "KeyId"):
        described = kms.describe_key(KeyId=key)["KeyMetadata"]
        is_own = described.get("Description") == Names(own.prefix).key_description
        if is_own and described["KeyState"] == "Enabled" and described["Arn"] != target.settings.security.kms_key:
            yield Leftover(
                kind="KMS key",
                name=key,
                bill="1 dollar a month",
                remove=partial(kms.schedule_key_deletion, KeyId=key, PendingWindowInDays=KEY_PENDING_DAYS),
                why="Photos that stay are encrypted with it. "
                f"A deletion can be taken back for {KEY_PENDING_DAYS} days.",
                is_data=True,
            )


def _stands(target: Target, stack: str) -> bool:
    try:
        target.client("cloudformation").describe_stacks(StackName=stack)
    except ClientError as error:
        if "does not exist" in str(error):
            return False
        raise
    return True


def _delete_rule(events: Any, name: str) -> None:
    """Delete a rule with its targets. A service's own rule is deleted only by force."""
    targets = list(names(events, "list_targets_by_rule", "Targets", "Id", Rule=name))
    if targets:
        events.remove_targets(Rule=name, Ids=targets, Force=True)
    events.delete_rule(Name=name, Force=True)


def _delete_role(iam: Any, name: str) -> None:
    """Delete a role with its policies, without which IAM refuses."""
    for arn in list(names(iam, "list_attached_role_policies", "AttachedPolicies", "PolicyArn", RoleName=name)):
        iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    for policy in _policies_of(iam, name):
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)


def _policies_of(iam: Any, name: str) -> list[str]:
    """Return the names of a role's own policies."""
    pages = iam.get_paginator("list_role_policies").paginate(RoleName=name)
    return [policy for page in pages for policy in page["PolicyNames"]]


def _delete_log_role(iam: Any, apigateway: Any, name: str) -> None:
    apigateway.update_account(patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": ""}])
    _delete_role(iam, name)


def _delete_bucket(s3: Any, name: str) -> None:
    """Empty a bucket, with all versions and unfinished uploads, and delete it."""
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=name):
        for upload in page.get("Uploads", []):
            s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        objects = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
        if not objects:
            continue
        errors = s3.delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True}).get("Errors", [])
        if errors:
            raise CliError(f"S3 refused to delete {errors[0].get('Key')} in {name}: {errors[0].get('Message')}")
    s3.delete_bucket(Bucket=name)
