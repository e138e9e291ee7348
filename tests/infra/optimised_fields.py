"""Request fields that public state machines use with Step Functions' optimised SageMaker integrations.

Step Functions refuses a definition with a field that its integration does not know ("is not supported by Step
Functions"), which rolls the whole deploy back. Its developer guide listed the supported parameters until about 2022 and
no longer does, so this list is of fields that others have used. A field stands below the source that shows it:

- DATA_SCIENCE_SDK: github.com/aws/aws-step-functions-data-science-sdk-python, whose integration tests AWS runs against
  an account (tests/integ/test_sagemaker_steps.py), and the requests in its unit tests (tests/unit).
- CDK: the tasks SageMakerCreateTrainingJob, …Model, …EndpointConfig and …Endpoint of aws-cdk, with its
  integration tests (integ.create-training-job, integ.call-sagemaker); `Environment` came with aws-cdk#18976, a
  container's with the task itself (ContainerDefinitionOptions.environmentVariables).
- PUBLIC: definitions in public repositories: spot training with `Environment` on a GPU, and createProcessingJob with
  `Environment` and with a limit of its time.

`UNSHOWN` holds what no public definition was found to use or to be refused; docs/decisions/optimised-calls.md argues
each.
"""

from __future__ import annotations

from typing import Final

_CHANNEL: Final = (
    "ChannelName",
    "InputMode",
    "DataSource.S3DataSource.S3DataType",
    "DataSource.S3DataSource.S3DataDistributionType",
    "DataSource.S3DataSource.S3Uri",
)
_RESOURCES: Final = ("InstanceType", "InstanceCount", "VolumeSizeInGB")
_RULE: Final = ("RuleConfigurationName", "RuleEvaluatorImage", "RuleParameters")


def _below(member: str, names: tuple[str, ...]) -> set[str]:
    return {f"{member}.{name}" for name in names}


_JOB: Final = {
    "AlgorithmSpecification.TrainingImage",
    "AlgorithmSpecification.TrainingInputMode",
    "AlgorithmSpecification.MetricDefinitions.Name",
    "AlgorithmSpecification.MetricDefinitions.Regex",
    *_below("InputDataConfig", _CHANNEL),
    "OutputDataConfig.S3OutputPath",
    *_below("ResourceConfig", _RESOURCES),
    "StoppingCondition.MaxRuntimeInSeconds",
    "RoleArn",
}

SHOWN: Final[dict[str, set[str]]] = {
    "createTrainingJob": {
        # DATA_SCIENCE_SDK and CDK
        *_JOB,
        "TrainingJobName",
        "HyperParameters",
        "Tags.Key",
        "Tags.Value",
        "CheckpointConfig.S3Uri",
        "CheckpointConfig.LocalPath",
        "StoppingCondition.MaxWaitTimeInSeconds",
        "DebugHookConfig.S3OutputPath",
        "DebugHookConfig.CollectionConfigurations.CollectionName",
        *_below("DebugRuleConfigurations", _RULE),
        # CDK and PUBLIC
        "Environment",
        "EnableManagedSpotTraining",
    },
    "createHyperParameterTuningJob": {
        # DATA_SCIENCE_SDK
        *_below("TrainingJobDefinition", tuple(_JOB)),
        "HyperParameterTuningJobName",
        "HyperParameterTuningJobConfig.Strategy",
        "HyperParameterTuningJobConfig.HyperParameterTuningJobObjective.Type",
        "HyperParameterTuningJobConfig.HyperParameterTuningJobObjective.MetricName",
        "HyperParameterTuningJobConfig.ResourceLimits.MaxNumberOfTrainingJobs",
        "HyperParameterTuningJobConfig.ResourceLimits.MaxParallelTrainingJobs",
        "HyperParameterTuningJobConfig.ParameterRanges",
        "HyperParameterTuningJobConfig.TrainingJobEarlyStoppingType",
        "TrainingJobDefinition.StaticHyperParameters",
        "Tags.Key",
        "Tags.Value",
    },
    "createProcessingJob": {
        # DATA_SCIENCE_SDK
        "ProcessingJobName",
        "AppSpecification.ImageUri",
        "AppSpecification.ContainerEntrypoint",
        "AppSpecification.ContainerArguments",
        *_below(
            "ProcessingInputs.S3Input", ("S3Uri", "LocalPath", "S3DataType", "S3InputMode", "S3DataDistributionType")
        ),
        "ProcessingInputs.InputName",
        "ProcessingOutputConfig.Outputs.OutputName",
        *_below("ProcessingOutputConfig.Outputs.S3Output", ("S3Uri", "LocalPath", "S3UploadMode")),
        *_below("ProcessingResources.ClusterConfig", _RESOURCES),
        "RoleArn",
        "Tags.Key",
        "Tags.Value",
        # PUBLIC
        "Environment",
        "StoppingCondition.MaxRuntimeInSeconds",
    },
    "createModel": {
        # DATA_SCIENCE_SDK and CDK
        "ModelName",
        "PrimaryContainer.Image",
        "PrimaryContainer.ModelDataUrl",
        "PrimaryContainer.Environment",
        "ExecutionRoleArn",
        "EnableNetworkIsolation",
        "Tags.Key",
        "Tags.Value",
    },
    "createEndpoint": {"EndpointName", "EndpointConfigName", "Tags.Key", "Tags.Value"},
}
"""By call: paths of members, without the positions in lists. What is below a path is the caller's own, as in a map."""

UNSHOWN: Final[dict[str, set[str]]] = {
    "createTrainingJob": {
        "OutputDataConfig.CompressionType",
        "ProfilerConfig",
        "ProfilerRuleConfigurations",
        "DebugHookConfig.LocalPath",
        "DebugHookConfig.CollectionConfigurations.CollectionParameters",
    },
    "createHyperParameterTuningJob": {
        "HyperParameterTuningJobConfig.ResourceLimits.MaxRuntimeInSeconds",
        "TrainingJobDefinition.Environment",
        "TrainingJobDefinition.CheckpointConfig",
        "TrainingJobDefinition.EnableManagedSpotTraining",
        "TrainingJobDefinition.StoppingCondition.MaxWaitTimeInSeconds",
        "WarmStartConfig",
    },
}
"""The same, of fields that are used although nobody was found to have shown them."""
