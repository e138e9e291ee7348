"""Check that this machine can run a CreateHyperParameterTuningJob request."""

from __future__ import annotations

from local.sagemaker.context import Context
from local.sagemaker.early_checks import check_input_data
from local.sagemaker.errors import SageMakerError, validation
from local.sagemaker.jobs.job_run import MAX_RUNNING
from local.sagemaker.jobs.training_request import check_training_request
from local.sagemaker.store import Record
from local.sagemaker.tuning.search_space import check_ranges
from local.sagemaker.tuning.warm_start import check_warm_start

__all__ = ["check_tuning_request"]


def check_tuning_request(context: Context, parameters: Record) -> None:
    """Check a request of CreateHyperParameterTuningJob.

    Raises:
        SageMakerError: ValidationException that says what is wrong or not supported, or ResourceLimitExceeded.
    """
    config = parameters["HyperParameterTuningJobConfig"]
    definition = parameters.get("TrainingJobDefinition")
    for name in ("TrainingJobDefinitions", "Autotune"):
        if parameters.get(name):
            raise validation(f"The local SageMaker does not support {name}; leave it out.")
    if config.get("TuningJobCompletionCriteria"):
        raise validation("The local SageMaker does not support TuningJobCompletionCriteria; leave it out.")
    if definition is None:
        raise validation("You must specify TrainingJobDefinition.")
    if config["Strategy"] == "Hyperband":
        raise validation("The local SageMaker does not support Hyperband; give Strategy Bayesian, Random or Grid.")

    # what is searched
    objective = config.get("HyperParameterTuningJobObjective")
    if objective is None:
        raise validation("You must specify HyperParameterTuningJobObjective.")
    ranges = config.get("ParameterRanges", {})
    check_ranges(ranges, config["Strategy"])

    # how many trials
    limits = config["ResourceLimits"]
    if limits["MaxParallelTrainingJobs"] > MAX_RUNNING:
        raise SageMakerError(
            "ResourceLimitExceeded", f"The local SageMaker runs at most {MAX_RUNNING} trials of a tuning job at a time."
        )
    if config["Strategy"] != "Grid":
        if "MaxNumberOfTrainingJobs" not in limits:
            raise validation("You must specify ResourceLimits.MaxNumberOfTrainingJobs.")
        if limits["MaxParallelTrainingJobs"] > limits["MaxNumberOfTrainingJobs"]:
            raise validation("MaxParallelTrainingJobs must not be greater than MaxNumberOfTrainingJobs.")

    # what a trial runs
    definitions = definition["AlgorithmSpecification"].get("MetricDefinitions", [])
    if objective["MetricName"] not in [entry["Name"] for entry in definitions]:
        raise validation(
            f"The objective metric '{objective['MetricName']}' is not among the MetricDefinitions of the training job."
        )
    static = definition.get("StaticHyperParameters", {})
    ranged = {entry["Name"] for entries in ranges.values() for entry in entries}
    if ranged & set(static):
        raise validation(f"Hyperparameters both static and with a range: {', '.join(sorted(ranged & set(static)))}")
    check_training_request(context, definition)
    if parameters.get("WarmStartConfig"):
        check_warm_start(context.store, parameters)
    check_input_data(context, definition.get("InputDataConfig", []), definition["RoleArn"])
