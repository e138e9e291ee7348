"""What becomes of an execution that does not succeed: its event, and the function of a rule that takes it."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from tests.local.cloud.conftest import Account, allow, until

PROGRAM = """
import json, boto3

def handler(event, context):
    s3 = boto3.client("s3")
    attempts = s3.list_objects_v2(Bucket="{bucket}", Prefix="{name}/").get("KeyCount", 0)
    s3.put_object(Bucket="{bucket}", Key=f"{name}/{{attempts}}.json", Body=json.dumps(event).encode())
    if attempts < {failures}:
        raise RuntimeError("not yet")
"""


class Rule:
    """A rule for the ends of a state machine's executions, and a function that keeps the events."""

    def __init__(self, account: Account, bucket: str, name: str, *, failures: int) -> None:
        self.account, self.bucket, self.name = account, bucket, name
        states = {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}
        self.role = account.role(f"{name}-states", "states.amazonaws.com")
        self.machine = account.state_machine(name, self.role, states)
        role = account.role(f"{name}-function", "lambda.amazonaws.com", allow("s3:*", "*"))
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as opened:
            opened.writestr("index.py", PROGRAM.format(bucket=bucket, name=name, failures=failures))
        self.functions = account.client("lambda")
        function = self.functions.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Handler="index.handler",
            Role=role,
            Code={"ZipFile": archive.getvalue()},
            Timeout=60,
        )["FunctionArn"]
        pattern = {
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {"stateMachineArn": [self.machine], "status": ["ABORTED", "FAILED", "TIMED_OUT"]},
        }
        events = account.client("events")
        rule = events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
        events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": function}])
        self.functions.add_permission(
            FunctionName=name,
            StatementId="rule",
            Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com",
            SourceArn=rule,
        )

    def events(self, count: int) -> list[dict[str, Any]]:
        """The events of the function's invocations, once there are so many."""
        s3 = self.account.client("s3")
        listed = until(
            lambda: s3.list_objects_v2(Bucket=self.bucket, Prefix=f"{self.name}/"),
            lambda found: found["KeyCount"] >= count,
        )
        keys = [item["Key"] for item in listed["Contents"]]
        return [json.loads(s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()) for key in keys]


@pytest.mark.parametrize("end", ["ABORTED", "TIMED_OUT"])
def test_an_execution_that_is_ended_from_outside_is_told(
    account: Account, front_door: dict[str, str], name: str, end: str
) -> None:
    rule = Rule(account, front_door["Bucket"], name, failures=0)
    states = account.client("stepfunctions")
    if end == "TIMED_OUT":
        definition = json.loads(states.describe_state_machine(stateMachineArn=rule.machine)["definition"])
        definition["TimeoutSeconds"] = 1
        states.update_state_machine(stateMachineArn=rule.machine, definition=json.dumps(definition))
    execution = account.start(rule.machine)
    if end == "ABORTED":
        states.stop_execution(executionArn=execution, error="Why", cause="somebody stopped it")
    (event,) = rule.events(1)
    described = states.describe_execution(executionArn=execution)
    assert (event["source"], event["detail-type"]) == ("aws.states", "Step Functions Execution Status Change")
    detail = event["detail"]
    assert (detail["executionArn"], detail["status"]) == (execution, end)
    assert detail["name"] == execution.rpartition(":")[2]
    assert detail["startDate"] == round(described["startDate"].timestamp() * 1000)
    assert detail["stopDate"] == round(described["stopDate"].timestamp() * 1000)


def test_a_function_that_fails_is_invoked_twice_more(account: Account, front_door: dict[str, str], name: str) -> None:
    rule = Rule(account, front_door["Bucket"], name, failures=2)
    account.client("stepfunctions").stop_execution(executionArn=account.start(rule.machine))
    first, second, third = rule.events(3)
    assert first == second == third
