"""`whippet wake`: bring back the model whose endpoint was deleted because nobody asked (serving.pause_after_hours)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

import contract
from cli import CliError
from cli.ceiling import claim_of, hold, keep_ceiling
from cli.endpoint import describe_endpoint, poll_seconds, sleeping_model
from cli.scaling import scale_again
from infra.outputs import StackOutput

if TYPE_CHECKING:
    from rich.console import Console

    from cli.target import Target

__all__ = ["plan_wake", "wake"]


def wake(target: Target, *, wait: bool, console: Console) -> None:
    """Create the endpoint again, and wait until it serves.

    Raises:
        CliError: no model sleeps, it cannot be woken, or its endpoint failed to start.
    """
    described = describe_endpoint(target)
    status = described["EndpointStatus"] if described else None
    if described is not None and status in ("Failed", "Deleting"):
        _clear(target, described, console=console)
        status = None

    # there is an endpoint
    if contract.has_model(status):
        if status != "Creating":
            console.print(f"no model sleeps: the endpoint is {status}", highlight=False)
            return
        console.print("the endpoint is being started already", highlight=False)
    else:
        _create(target, console=console)

    if wait:
        _follow(target, console=console)
    else:
        console.print(
            f"the model is awake in about {contract.WAKING_MINUTES} minutes; `whippet status` says when",
            highlight=False,
            soft_wrap=True,
        )


def plan_wake(target: Target, *, console: Console) -> None:
    """Say whether a model sleeps, and what it would cost awake; nothing is done."""
    described = describe_endpoint(target)
    status = described["EndpointStatus"] if described else None
    sleeping = None if contract.has_model(status) else sleeping_model(target)
    if sleeping is None:
        said = (
            f"no model sleeps: the endpoint is {status}" if described else "no model sleeps, and there is no endpoint"
        )
    else:
        config = target.client("sagemaker").describe_endpoint_config(EndpointConfigName=sleeping.config)
        said = (
            f"`whippet wake` creates the endpoint with {sleeping.config}, in about {contract.WAKING_MINUTES} minutes: "
            f"{_price(config['ProductionVariants'][0])}, until it sleeps again"
        )
    console.print(said, highlight=False, soft_wrap=True)
    if sleeping is not None and target.settings.budget.ceiling is not None:
        held = hold(target, claim_of("wake", "planned"), only_look=True)
        console.print(held.refusal or "budget.ceiling lets it start", highlight=False, soft_wrap=True)
    console.print("--plan: nothing was done")


def _clear(target: Target, described: dict[str, Any], *, console: Console) -> None:
    """Wait until an endpoint is gone; one that has failed is deleted first, if a model sleeps behind it.

    Raises:
        CliError: the endpoint has failed, and no model sleeps.
    """
    if described["EndpointStatus"] == "Failed":
        reason = described.get("FailureReason", "SageMaker gives no reason")
        if sleeping_model(target) is None:
            raise CliError(f"the endpoint has failed and no model sleeps: start a run, which releases one ({reason})")
        console.print(f"the endpoint has failed, and is deleted first: {reason}", highlight=False, soft_wrap=True)
        _delete(target)
    with console.status("waiting until the endpoint is deleted …"):
        while describe_endpoint(target) is not None:
            time.sleep(poll_seconds(target))


def _delete(target: Target) -> None:
    try:
        target.client("sagemaker").delete_endpoint(EndpointName=target.output(StackOutput.ENDPOINT_NAME))
    except ClientError as error:
        # the pause function was quicker
        if not any(text in str(error) for text in ("Could not find", "in-progress")):
            raise


def _create(target: Target, *, console: Console) -> None:
    sleeping = sleeping_model(target)
    if sleeping is None:
        if StackOutput.SLEEP_RECORD in target.outputs:
            raise CliError(
                f"no model sleeps {target.place}: none has been released yet; release one with `whippet run`"
            )
        raise CliError(
            f"no model sleeps {target.place}: endpoints are paused only with the setting serving.pause_after_hours; "
            "`whippet status` shows the endpoint, `whippet run` releases a model"
        )

    sagemaker, name = target.client("sagemaker"), target.output(StackOutput.ENDPOINT_NAME)
    try:
        config = sagemaker.describe_endpoint_config(EndpointConfigName=sleeping.config)
        usd = contract.config_usd_an_hour(config, most=_most(target)) or 0.0
        keep_ceiling(target, claim_of("wake", f"wake-{sleeping.config}", fleet_usd_an_hour=usd))
        sagemaker.create_endpoint(
            **contract.wake_request(endpoint=name, config=sleeping.config, env=target.settings.env)
        )
    except ClientError as error:
        if "Could not find" in str(error):
            raise CliError(
                f"the model {sleeping.config} that slept was deleted: release one with `whippet run`"
            ) from None
        # a request was quicker
        if "Cannot create already existing" not in str(error):
            raise
        console.print("a request has woken the model already", highlight=False)
        return
    console.print(
        f"the model {sleeping.config} wakes: {_price(config['ProductionVariants'][0])}, until it sleeps again",
        highlight=False,
        soft_wrap=True,
    )


def _most(target: Target) -> int:
    """Return the most instances that the endpoint scales to once it is awake; 0 where it does not."""
    return target.settings.most_instances if target.settings.scales else 0


def _price(variant: dict[str, Any]) -> str:
    """Return what the endpoint costs from now on, in words."""
    fleet = contract.Fleet(instance_type=variant["InstanceType"], instances=variant["InitialInstanceCount"])
    machines, usd = contract.machines_in_words(**fleet), contract.fleet_usd_an_hour(fleet)
    if usd is None:
        return f"it runs on {machines}"
    return f"it costs about {usd:.2f} dollars an hour ({machines}, {contract.PRICES_NOTE})"


def _follow(target: Target, *, console: Console) -> None:
    """Wait until the endpoint serves.

    Raises:
        CliError: it has failed, or was deleted.
    """
    began = time.monotonic()
    with console.status("the endpoint starts …") as line:
        while True:
            described = describe_endpoint(target)
            if described is None:
                raise CliError("the endpoint was deleted while it started; `whippet wake` starts it again")
            status, seconds = described["EndpointStatus"], time.monotonic() - began
            if status == "Failed":
                raise CliError(
                    f"the endpoint failed to start: {described.get('FailureReason', 'SageMaker gives no reason')}. The "
                    "model sleeps on; `whippet wake` tries again"
                )
            if status not in ("Creating", "Deleting"):
                break
            line.update(f"the endpoint starts, which takes about {contract.WAKING_MINUTES} minutes … {seconds:.0f} s")
            time.sleep(poll_seconds(target))
    console.print(f"the model serves after {seconds:.0f} s", highlight=False)
    if scaling := scale_again(target):
        console.print(scaling, highlight=False)
