"""What the state machine's role may do: exactly the calls of its states, on what carries the environment's prefix."""

from __future__ import annotations

from aws_cdk import aws_iam as iam

from contract import MODES
from infra.function_arns import FunctionArns
from infra.names import Names
from infra.workflow.jobs import JobParts

__all__ = ["permissions"]


def permissions(
    names: Names, parts: JobParts, functions: FunctionArns, endpoint_role_arn: str
) -> list[iam.PolicyStatement]:
    """The statements of the role's policy."""
    endpoint_parts = names.of_runs("model", "endpoint-config")
    jobs = names.of_runs("training-job", "hyper-parameter-tuning-job")
    processing = names.of_runs("processing-job") if _own_rules(parts) else []
    return [
        iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=functions.all()),
        iam.PolicyStatement(
            actions=[
                "sagemaker:CreateTrainingJob",
                "sagemaker:DescribeTrainingJob",
                "sagemaker:StopTrainingJob",
                "sagemaker:CreateHyperParameterTuningJob",
                "sagemaker:DescribeHyperParameterTuningJob",
                "sagemaker:StopHyperParameterTuningJob",
            ],
            resources=jobs,
        ),
        *(
            [
                iam.PolicyStatement(
                    actions=[
                        "sagemaker:CreateProcessingJob",
                        "sagemaker:DescribeProcessingJob",
                        "sagemaker:StopProcessingJob",
                    ],
                    resources=processing,
                )
            ]
            if processing
            else []
        ),
        iam.PolicyStatement(
            actions=["sagemaker:AddTags", "sagemaker:ListTags"],
            resources=[*jobs, *processing, *endpoint_parts, names.endpoint_arn],
        ),
        iam.PolicyStatement(
            actions=["sagemaker:CreateModelPackage"],
            resources=[names.model_package_group_arn, names.model_package_arns],
        ),
        *(
            [iam.PolicyStatement(actions=["sagemaker:UpdateModelPackage"], resources=[names.model_package_arns])]
            if functions.ask_approval
            else []
        ),
        iam.PolicyStatement(
            actions=["sagemaker:CreateModel", "sagemaker:CreateEndpointConfig"], resources=endpoint_parts
        ),
        iam.PolicyStatement(
            actions=["sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"],
            resources=[names.endpoint_arn, *names.of_runs("endpoint-config")],
        ),
        iam.PolicyStatement(
            actions=["sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint"], resources=[names.endpoint_arn]
        ),
        iam.PolicyStatement(
            actions=["iam:PassRole"],
            resources=[parts.role_arn, endpoint_role_arn],
            conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
        iam.PolicyStatement(
            actions=["events:PutTargets", "events:PutRule", "events:DescribeRule"],
            resources=names.step_functions_rules("Training", "Tuning", *(["Processing"] if processing else [])),
        ),
    ]


def _own_rules(parts: JobParts) -> bool:
    debugger = parts.settings.debugger
    return any(debugger.tensor_rules(mode) and debugger.evaluator(mode) in ("own", "auto") for mode in MODES)
