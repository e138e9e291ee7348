"""Models and endpoint configurations: the operations CreateModel and CreateEndpointConfig."""

from __future__ import annotations

from local.sagemaker.context import Context
from local.sagemaker.early_checks import check_model_data
from local.sagemaker.endpoints.capture import check_capture
from local.sagemaker.endpoints.serverless import check_serverless
from local.sagemaker.endpoints.shadow import SHADOWS, check_shadow
from local.sagemaker.errors import validation
from local.sagemaker.host import find_image
from local.sagemaker.registry import package_key
from local.sagemaker.resources import ENDPOINT_CONFIG, MODEL, MODEL_PACKAGE
from local.sagemaker.store import Record

__all__ = ["create_endpoint_config", "create_model"]

_UNSUPPORTED = ("AsyncInferenceConfig", "ExplainerConfig")


def create_model(context: Context, parameters: Record) -> str:
    """Create a model and return its ARN.

    Raises:
        SageMakerError: the request is wrong, the model's data does not exist, the name is taken, or the image cannot
            serve on this machine.
    """
    parameters = _from_registry(context, parameters)

    # one container
    containers = parameters.get("Containers") or []
    if ("PrimaryContainer" in parameters) == bool(containers):
        raise validation("You must specify either PrimaryContainer or Containers.")
    if len(containers) > 1:
        raise validation("The local SageMaker serves one container for each model; give PrimaryContainer.")
    container = parameters.get("PrimaryContainer") or containers[0]

    # that this machine can run
    if "ExecutionRoleArn" not in parameters:
        raise validation("You must specify ExecutionRoleArn.")
    if "Image" not in container:
        raise validation("You must specify the container's Image or ModelPackageName.")
    if container.get("Mode") == "MultiModel":
        raise validation("The local SageMaker has no multi-model containers; give Mode=SingleModel.")
    if "ModelDataUrl" in container and "ModelDataSource" in container:
        raise validation("You must specify either ModelDataUrl or ModelDataSource.")
    if find_image(context.images, container["Image"]).serve is None:
        raise validation(f"The image '{container['Image']}' cannot serve on this machine.")

    check_model_data(context, container, parameters["ExecutionRoleArn"])
    isolation = parameters.get("EnableNetworkIsolation", False)
    record = context.store.create(MODEL, parameters, EnableNetworkIsolation=isolation)
    return str(record["ModelArn"])


def _from_registry(context: Context, parameters: Record) -> Record:
    """Return the request with the model package that it names, if any, replaced by the package's container.

    Raises:
        SageMakerError: the package does not exist, is not approved, or does not have exactly one container.
    """
    container = parameters.get("PrimaryContainer") or {}
    if "ModelPackageName" not in container:
        return parameters
    if "Image" in container or "ModelDataUrl" in container or "ModelDataSource" in container:
        raise validation("You must specify either ModelPackageName, or Image and the model's data.")

    # an approved package with one container
    package = context.store.get(MODEL_PACKAGE, package_key(container["ModelPackageName"]))
    if package.get("ModelApprovalStatus", "Approved") != "Approved":
        raise validation(f"Model package {package['ModelPackageArn']} is not approved.")
    packaged = package.get("InferenceSpecification", {}).get("Containers", [])
    if len(packaged) != 1:
        raise validation(
            "The local SageMaker serves one container for each model; "
            f"{package['ModelPackageArn']} has {len(packaged)}."
        )

    # the request's environment overrides the package's
    given = {name: packaged[0][name] for name in ("Image", "ModelDataUrl", "ModelDataSource") if name in packaged[0]}
    variables = {**packaged[0].get("Environment", {}), **container.get("Environment", {})}
    return {**parameters, "PrimaryContainer": {**container, **given, "Environment": variables}}


def create_endpoint_config(context: Context, parameters: Record) -> str:
    """Create an endpoint configuration and return its ARN.

    Raises:
        SageMakerError: the request is wrong, the name is taken, or a model does not exist.
    """
    for name in _UNSUPPORTED:
        if parameters.get(name):
            raise validation(f"The local SageMaker does not support {name}; leave it out.")

    production, shadows = parameters["ProductionVariants"], parameters.get(SHADOWS) or []
    variants = [*production, *shadows]
    names = [variant["VariantName"] for variant in variants]
    if len(set(names)) != len(names):
        raise validation(f"Variant names must be unique: {', '.join(names)}")

    if "DataCaptureConfig" in parameters:
        check_capture(parameters["DataCaptureConfig"], variants)

    # every variant names a model that exists, and what it runs on
    if shadows:
        check_shadow(production, shadows)
    if any("ServerlessConfig" in variant for variant in variants):
        check_serverless(variants)
    for variant in variants:
        if "ModelName" not in variant:
            raise validation(f"Variant {variant['VariantName']}: you must specify ModelName.")
        if "ServerlessConfig" not in variant and not {"InstanceType", "InitialInstanceCount"} <= variant.keys():
            raise validation(
                f"Variant {variant['VariantName']}: you must specify InstanceType and InitialInstanceCount, or "
                "ServerlessConfig."
            )
        context.store.get(MODEL, variant["ModelName"])
        variant.setdefault("InitialVariantWeight", 1.0)

    record = context.store.create(ENDPOINT_CONFIG, parameters)
    return str(record["EndpointConfigArn"])
