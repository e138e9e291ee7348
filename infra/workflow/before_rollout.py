"""Phase 6, before the update of a real-time endpoint: no alarm may be on, and the model may have to be a shadow first.

RememberEndpoint → LookAtAlarms ⇄ WaitForAlarms
    ├ one stays on → AlarmIsOn → RejectModel → …failed
    └ none is → the shadow (`infra.workflow.shadow`) → UpdateEndpoint
"""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_stepfunctions as sfn

from infra.endpoint_alarms import alarm_names
from infra.permissions import Permission
from infra.workflow.endpoint import poll
from infra.workflow.payloads import RunParts
from infra.workflow.shadow import shadow_phase
from infra.workflow.task import ANY_ERROR, FailureRoute, RunScope, lambda_task

__all__ = ["before_rollout", "nothing_to_shadow"]

_ALARM_PATIENCE: Final = cdk.Duration.minutes(10)
"""How long an alarm may be on before the rollout: one bad minute shall not cost a release."""


def before_rollout(
    scope: RunScope, parts: RunParts, *, reject: sfn.State, again: sfn.CustomState, following: sfn.State
) -> sfn.IChainable:
    """Look at the alarms, and let the model be a shadow → `following`; return the first state.

    `again` looks at the endpoint anew, after a shadow. `reject` takes a model that is not rolled out.
    """
    shadow = shadow_phase(scope, parts, reject=reject, again=again, following=following)
    if not alarm_names(parts.settings, parts.names):
        return shadow
    return _look_at_alarms(scope, parts, reject=reject, following=shadow)


def nothing_to_shadow(scope: RunScope, parts: RunParts, *, following: sfn.CustomState) -> sfn.IChainable:
    """Return the state that says that a first release has nothing to shadow → `following`."""
    if parts.settings.release.shadow_minutes is None:
        return following
    said = "It was no shadow before: there was no model in service whose requests it could have got a copy of."
    state = sfn.Pass(
        scope, "NothingToShadow", parameters={"config": "", "model": "", "said": said}, result_path="$.shadow"
    )
    state.next(following)
    return state


def _look_at_alarms(
    scope: RunScope, parts: RunParts, *, reject: sfn.State, following: sfn.IChainable
) -> sfn.CustomState:
    """LookAtAlarms → `following` where none is on, also where they could not be asked; return LookAtAlarms.

    SageMaker asks them itself, so that a refusal only takes the early answer away.
    """
    names = alarm_names(parts.settings, parts.names)
    function = scope.function(
        "LookAtAlarms",
        name="look_at_alarms",
        description="Says whether an alarm is on that would take any new model back",
        environment={"ALARMS": ",".join(names)},
        permissions=[
            Permission(actions=["cloudwatch:DescribeAlarms"], resources=[parts.names.alarm_arn(name) for name in names])
        ],
        timeout=cdk.Duration.minutes(5),
    )
    look = lambda_task(scope, function, payload={}, result_path="$.alarms")
    look.add_catch(following, errors=ANY_ERROR, result_path="$.alarms")

    stays_on = FailureRoute(reject).fail(scope, "AlarmIsOn", error="AlarmIsOn", cause="$.alarms.said")
    wait = poll(scope, "Alarms", member="alarms", look=look, too_long=stays_on, patience=_ALARM_PATIENCE)
    quiet = sfn.Choice(scope, "AlarmsQuiet?", comment="An alarm that is on already would take any model back.")
    quiet.when(sfn.Condition.boolean_equals("$.alarms.on", True), wait).otherwise(following)
    look.next(quiet)
    return look
