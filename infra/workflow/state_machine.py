"""The run: its phases in order, as one state machine."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.python_function import LOG_RETENTION
from infra.workflow.approval import approval_phase, approve_model, reject_model
from infra.workflow.dataset import dataset_phase
from infra.workflow.debugger import choose_evaluator
from infra.workflow.features import features_phase
from infra.workflow.lock import give_lock_back, lock_function
from infra.workflow.outcome import outcome_phase
from infra.workflow.payloads import RunParts
from infra.workflow.record import record_function, record_task
from infra.workflow.release import release_phase
from infra.workflow.retire import retire_phase
from infra.workflow.scaling import scaling_phase
from infra.workflow.smoke_test import roll_back_phase, smoke_test_phase
from infra.workflow.task import FailureRoute, RunScope
from infra.workflow.time_limit import longest_run
from infra.workflow.training import training_phase
from infra.workflow.tuning import tuning_phase
from infra.workflow.turn import turn_phase
from infra.workflow.verdict import verdict_function, verdict_phase

__all__ = ["Workflow"]


class Workflow(Construct):
    """The state machine with its log and role; the states' Lambda functions are made below `functions`."""

    def __init__(self, scope: Construct, construct_id: str, *, parts: RunParts, functions: Construct) -> None:
        super().__init__(scope, construct_id)
        names = parts.names
        states = RunScope(
            self,
            "States",
            names=names,
            environment={"BUCKET": parts.dataset.bucket.bucket_name, "NAME_PREFIX": names.prefix},
            functions=functions,
            protection=parts.protection,
        )
        start = _phases(states, parts)
        log_group = logs.LogGroup(
            self,
            "Logs",
            # Step Functions shortens its log policy by this prefix ("Logging to CloudWatch Logs").
            log_group_name=f"/aws/vendedlogs/states/{names.prefix}",
            retention=LOG_RETENTION,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        self.state_machine = sfn.StateMachine(
            self,
            "StateMachine",
            state_machine_name=names.prefix,
            definition_body=sfn.DefinitionBody.from_chainable(start),
            comment="From photos to a released model. Start it with {}, or with overrides of the settings.",
            # Without the data: that of AskApproval holds the token with which anybody could answer.
            logs=sfn.LogOptions(destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=False),
            timeout=longest_run(parts),
            tracing_enabled=True,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        states.role.grant(self.state_machine)


def _phases(states: RunScope, parts: RunParts) -> sfn.Pass:
    """Return the first state. A phase takes the state that follows it, so the last phase is made first."""
    settings = parts.settings

    # every run ends here, however it went
    lock = lock_function(states, parts)
    outcome = give_lock_back(states, function=lock, following=outcome_phase(states, parts=parts))
    endings = scaling_phase(states, parts=parts, following=outcome)
    failure = FailureRoute(endings.failed)

    # is the model good enough? then put it into service
    retire = retire_phase(states, parts=parts, following=endings.released)
    recorder = record_function(states, parts)
    roll_back = roll_back_phase(states, parts=parts, recorder=recorder, failure=failure)
    smoke_test = smoke_test_phase(states, parts=parts, roll_back=roll_back, following=retire)
    record = record_task(
        states,
        "RecordRelease",
        function=recorder,
        kind="released",
        config="$.plan.name",
        replaced="$.before.config",
        why="$.verdict.cause",
        following=smoke_test,
    )
    reject = reject_model(states, failure=failure)
    following: sfn.State = release_phase(
        states, parts=parts, ending=failure, reject=reject, roll_back=roll_back, following=record
    )

    # one run after another, each judged beside what then serves
    judge = verdict_function(states, parts)
    asks = settings.release.approval == "manual"
    if asks:
        following = approve_model(states, failure=FailureRoute(reject), following=following)
    following = turn_phase(states, parts=parts, judge=judge, lock=lock, reject=reject, following=following)
    if asks:
        following = approval_phase(states, parts=parts, failure=failure, reject=reject, following=following)
    verdict = verdict_phase(states, parts=parts, function=judge, failure=failure, following=following)

    # from photos to a model; fine-tuning begins with a head on the features, too
    train = training_phase(states, parts=parts, failure=failure, following=verdict)
    tune = tuning_phase(states, parts=parts, failure=failure, following=train)
    features = features_phase(states, parts=parts, failure=failure, following=tune)
    evaluator = choose_evaluator(states, parts=parts, following=features)
    return dataset_phase(states, parts=parts, failure=failure, following=evaluator)
