"""Phase 6: the model goes into service, is tried, and gives way to its predecessor when it does not answer.

    CreateModel → CreateEndpointConfig → DescribeEndpoint ─ nothing there ─────────→ CreateEndpoint ─┐
                                          │   ↑                                                      │
                                          │   └ WaitForEndpoint (another run, or a deletion)         │
                                          ├ InService → UpdateEndpoint ──────────────────────────────┤
                                          └ broken → DeleteBrokenEndpoint → WaitForEndpoint          │
    SmokeTest ← the new configuration serves ← DescribeRollout ← WaitForRollout ←────────────────────┘

SageMaker leaves the old configuration in service when an update fails, so `DescribeRollout` compares names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.settings import ReleaseSettings
from infra.workflow.task import FailureRoute, lambda_task, sagemaker_task

__all__ = ["VARIANT", "ReleasePhase"]

VARIANT = "AllTraffic"
POLL = sfn.WaitTime.duration(cdk.Duration.seconds(10))

BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
BROKEN = ("Failed", "OutOfService", "UpdateRollbackFailed")
NOT_THERE = "*Could not find*"
"""How SageMaker words a missing endpoint; the exception itself is only a ValidationException."""

TAKEN = ("*Cannot update in-progress*", "*Cannot create already existing*")
"""How SageMaker refuses what another run has begun between our look at the endpoint and our call."""

THROTTLED = ("*Rate exceeded*", "*Throttling*")

_IN_SERVICE = {"status.$": "$.EndpointStatus", "config.$": "$.EndpointConfigName"}


class ReleasePhase(Construct):
    """The states of a release; `start` is the first, `following` comes after the smoke test."""

    def __init__(
        self,
        scope: Construct,
        *,
        settings: ReleaseSettings,
        endpoint: str,
        image_uri: str,
        role_arn: str,
        tags: Sequence[dict[str, str]],
        smoke_test_arn: str,
        failure: FailureRoute,
        following: sfn.IChainable,
    ) -> None:
        super().__init__(scope, "Release")
        self.states = scope
        """State names are construct ids below this scope."""
        self.endpoint = endpoint
        self.failure = failure
        self.tags = list(tags)
        self.start = self._create_model(image_uri, role_arn)
        config = self._create_config(settings)
        self.start.next(config)
        self.smoke_test = self._smoke_test(smoke_test_arn)
        self.smoke_test.next(following)
        rollout = self._watch_rollout()
        config.next(self._enter_service(rollout))

    # --- making the model ready -----------------------------------------------------------------------------------

    def _create_model(self, image_uri: str, role_arn: str) -> sfn.CustomState:
        state = sagemaker_task(
            self.states,
            "CreateModel",
            call="createModel",
            payload={
                "ModelName.$": "$.plan.name",
                "PrimaryContainer": {"Image": image_uri, "ModelDataUrl.$": "$.training.model"},
                "ExecutionRoleArn": role_arn,
                "Tags": self.tags,
            },
        )
        self.failure.catch(state)
        return state

    def _create_config(self, settings: ReleaseSettings) -> sfn.CustomState:
        state = sagemaker_task(
            self.states,
            "CreateEndpointConfig",
            call="createEndpointConfig",
            payload={
                "EndpointConfigName.$": "$.plan.name",
                "ProductionVariants": [
                    {
                        "VariantName": VARIANT,
                        "ModelName.$": "$.plan.name",
                        "InstanceType": settings.instance_type,
                        "InitialInstanceCount": settings.instance_count,
                        "InitialVariantWeight": 1,
                    }
                ],
                "Tags": self.tags,
            },
        )
        self.failure.catch(state)
        return state

    # --- into service ---------------------------------------------------------------------------------------------

    def _enter_service(self, rollout: sfn.State) -> sfn.CustomState:
        """Look at the endpoint as it is; `$.before` keeps what was in service (`""`: nothing)."""
        describe = self._describe("DescribeEndpoint", result_path="$.before", result_selector=_IN_SERVICE)
        wait = sfn.Wait(self.states, "WaitForEndpoint", time=POLL)
        wait.next(describe)

        nothing_before = sfn.Pass(
            self.states,
            "NothingInService",
            parameters={"status": "NotThere", "config": ""},
            result_path="$.before",
        )
        create = self._call(
            "CreateEndpoint", "createEndpoint", {**self._with_new_config(), "Tags": self.tags}, catch=False
        )
        nothing_before.next(create).next(rollout)
        missing = sfn.Choice(self.states, "EndpointMissing?")
        missing.when(sfn.Condition.string_matches("$.lookup.Cause", NOT_THERE), nothing_before)
        for text in THROTTLED:
            missing.when(sfn.Condition.string_matches("$.lookup.Cause", text), wait)
        missing.otherwise(
            self.failure.fail(self.states, "EndpointNotDescribed", error="$.lookup.Error", cause="$.lookup.Cause")
        )
        describe.add_catch(missing, errors=["States.ALL"], result_path="$.lookup")

        update = self._call("UpdateEndpoint", "updateEndpoint", self._with_new_config(), catch=False)
        update.next(rollout)
        taken = sfn.Choice(
            self.states, "EndpointTaken?", comment="Another run may have been quicker: then its turn is first."
        )
        for text in TAKEN:
            taken.when(sfn.Condition.string_matches("$.lookup.Cause", text), wait)
        taken.otherwise(
            self.failure.fail(self.states, "EndpointRefused", error="$.lookup.Error", cause="$.lookup.Cause")
        )
        for state in (create, update):
            state.add_catch(taken, errors=["States.ALL"], result_path="$.lookup")
        delete = self._call("DeleteBrokenEndpoint", "deleteEndpoint", {"EndpointName": self.endpoint})
        delete.next(wait)
        status = sfn.Choice(self.states, "EndpointStatus?")
        status.when(sfn.Condition.string_equals("$.before.status", "InService"), update)
        status.when(_any_of("$.before.status", BUSY), wait)
        status.otherwise(delete)
        describe.next(status)
        return describe

    def _watch_rollout(self) -> sfn.Wait:
        """Wait until the new configuration serves, or until it is clear that it will not."""
        wait = sfn.Wait(self.states, "WaitForRollout", time=POLL)
        describe = self._describe("DescribeRollout", result_path="$.endpoint", retry=True)
        self.failure.catch(describe)
        wait.next(describe)

        explained = self.failure.fail(
            self.states, "RolloutFailed", error="RolloutFailed", cause="$.endpoint.FailureReason"
        )
        unexplained = self.failure.fail(
            self.states,
            "RolloutLeftOldModel",
            error="RolloutFailed",
            cause="States.Format('The endpoint {} is {} with the configuration {} instead of the new {}: "
            "SageMaker rolled the update back, or another run came in between.', $.endpoint.EndpointName, "
            "$.endpoint.EndpointStatus, $.endpoint.EndpointConfigName, $.plan.name)",
        )
        reason = sfn.Choice(self.states, "RolloutReason?")
        reason.when(sfn.Condition.is_present("$.endpoint.FailureReason"), explained)
        reason.otherwise(unexplained)

        done = sfn.Choice(self.states, "RolloutDone?")
        done.when(_any_of("$.endpoint.EndpointStatus", BUSY), wait)
        done.when(
            sfn.Condition.and_(
                sfn.Condition.string_equals("$.endpoint.EndpointStatus", "InService"),
                sfn.Condition.string_equals_json_path("$.endpoint.EndpointConfigName", "$.plan.name"),
            ),
            self.smoke_test,
        )
        done.otherwise(reason)
        describe.next(done)
        return wait

    # --- trying it, and the way back ------------------------------------------------------------------------------

    def _smoke_test(self, function_arn: str) -> sfn.CustomState:
        state = lambda_task(
            self.states,
            "SmokeTest",
            function_arn=function_arn,
            payload={"run.$": "$.plan.run", "dataset_uri.$": "$.plan.dataset_uri"},
            result_path="$.smoke_test",
            timeout=cdk.Duration.minutes(6),
        )
        state.add_catch(self._roll_back(), errors=["States.ALL"], result_path="$.failure.SmokeTest")
        return state

    def _roll_back(self) -> sfn.CustomState:
        """Only what this run put into service is taken out again: another run may have come in between."""
        describe = self._describe("DescribeBeforeRollback", result_path="$.endpoint", retry=True)
        self.failure.catch(describe)
        remove = self._call("RemoveEndpoint", "deleteEndpoint", {"EndpointName": self.endpoint})
        remove.next(self.failure.handler)
        restore = self._call(
            "RestoreEndpoint",
            "updateEndpoint",
            {"EndpointName": self.endpoint, "EndpointConfigName.$": "$.before.config"},
        )
        wait = sfn.Wait(self.states, "WaitForRollback", time=POLL)
        watch = self._describe("DescribeRollback", result_path="$.endpoint", retry=True)
        self.failure.catch(watch)
        restored = sfn.Choice(self.states, "RolledBack?")
        restored.when(_any_of("$.endpoint.EndpointStatus", BUSY), wait)
        restored.otherwise(self.failure.handler)
        restore.next(wait).next(watch).next(restored)

        ours = sfn.Choice(self.states, "StillOurModel?")
        ours.when(
            sfn.Condition.not_(sfn.Condition.string_equals_json_path("$.endpoint.EndpointConfigName", "$.plan.name")),
            self.failure.handler,
        )
        ours.when(sfn.Condition.string_equals("$.before.config", ""), remove)
        ours.otherwise(restore)
        describe.next(ours)
        return describe

    # --- calls ----------------------------------------------------------------------------------------------------

    def _with_new_config(self) -> dict[str, str]:
        return {"EndpointName": self.endpoint, "EndpointConfigName.$": "$.plan.name"}

    def _call(self, name: str, call: str, payload: Mapping[str, object], *, catch: bool = True) -> sfn.CustomState:
        state = sagemaker_task(self.states, name, call=call, payload=payload)
        if catch:
            self.failure.catch(state)
        return state

    def _describe(
        self, name: str, *, result_path: str, result_selector: dict[str, str] | None = None, retry: bool = False
    ) -> sfn.CustomState:
        return sagemaker_task(
            self.states,
            name,
            call="describeEndpoint",
            payload={"EndpointName": self.endpoint},
            result_path=result_path,
            result_selector=result_selector,
            retry=retry,
        )


def _any_of(path: str, values: Sequence[str]) -> sfn.Condition:
    return sfn.Condition.or_(*(sfn.Condition.string_equals(path, value) for value in values))
