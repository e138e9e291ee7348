"""The cloud around the local SageMaker: credentials of roles, events, and metrics."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from local.cloud import auth, seam
from local.sagemaker import DebuggerAccess

__all__ = ["MinistackHost"]


class MinistackHost:
    """The `local.sagemaker.Host` of ministack."""

    def __init__(self, *, endpoint_url: str, debugger_access: DebuggerAccess = DebuggerAccess.REFUSED) -> None:
        self.endpoint_url = endpoint_url
        self.debugger_access = debugger_access
        responses = seam.module("core.responses")
        self.account_id: str = responses.get_account_id()
        self.region: str = responses.get_region()
        self._register_session = seam.expect(seam.module("services.sts"), "register_session", "access_key", "session")
        signature = ("namespace", "metric_name", "value", "unit", "dimensions")
        self._record_metric = seam.expect(seam.module("services.cloudwatch"), "record_metric", *signature)
        for table in ("_alarms", "_composite_alarms"):
            seam.expect(seam.module("services.cloudwatch"), table)
        self._put_events = seam.expect(seam.module("services.eventbridge"), "_put_events", "data")

    def credentials(self, role_arn: str, session_name: str) -> dict[str, str]:
        """Open a session of the role, and return it as the environment variables that AWS's clients read.

        Every call with these credentials is checked against the role's policies.
        """
        # a session with keys of its own, under which ministack finds the role
        access_key = f"ASIA{secrets.token_hex(8).upper()}"
        secret_key, token = secrets.token_hex(20), secrets.token_hex(32)
        name, session = auth.role_name(role_arn), session_name[:64]
        self._register_session(
            access_key,
            {
                "Arn": f"arn:aws:sts::{self.account_id}:assumed-role/{name}/{session}",
                "UserId": f"{name}:{session}",
                "SecretAccessKey": secret_key,
                "SessionToken": token,
            },
        )

        return {
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret_key,
            "AWS_SESSION_TOKEN": token,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint_url,
        }

    def denial(self, role_arn: str, *, action: str, resource: str) -> str | None:
        """Return AWS's message if the role's policies do not allow the action on the resource, else None."""
        return auth.role_may(role_arn, action=action, resource=resource, session="SageMaker")

    def publish(self, *, detail_type: str, detail: dict[str, Any], resources: list[str]) -> None:
        """Put an event with the source `aws.sagemaker` on the default bus."""
        entry = {
            "Source": "aws.sagemaker",
            "DetailType": detail_type,
            "Detail": json.dumps(detail, default=str),
            "Resources": resources,
        }
        self._put_events({"Entries": [entry]}, allow_aws_source=True)

    def measure(self, *, namespace: str, metrics: Mapping[str, float], dimensions: Mapping[str, str]) -> None:
        """Put a value of each of these metrics into CloudWatch."""
        for name, value in metrics.items():
            self._record_metric(namespace, name, value, dimensions=dict(dimensions))

    def alarm_states(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return the states of the CloudWatch alarms with these names; one that does not exist is not among them."""
        cloudwatch = seam.module("services.cloudwatch")
        found = {name: cloudwatch._alarms.get(name) or cloudwatch._composite_alarms.get(name) for name in names}
        return {name: str(alarm["StateValue"]) for name, alarm in found.items() if alarm}
