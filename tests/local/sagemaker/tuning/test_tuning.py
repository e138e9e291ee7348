"""Tuning jobs: what is searched, what is found, what is counted."""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.sagemaker import SageMakerError
from local.sagemaker.tuning.early_stopping import MedianRule
from local.sagemaker.tuning.search import Search
from tests.local.sagemaker.conftest import FakeHost, Jobs, channel, eventually

RANGES = {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "0.1", "MaxValue": "0.9", "ScalingType": "Linear"}]}


def request(
    jobs: Jobs,
    name: str,
    *,
    trials: int = 4,
    parallel: int = 2,
    static: dict[str, str] | None = None,
    config: dict[str, Any] | None = None,
) -> dict[str, Any]:
    definition = jobs.request("unused")
    del definition["TrainingJobName"], definition["HyperParameters"]
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "objective"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": trials, "MaxParallelTrainingJobs": parallel},
            "ParameterRanges": RANGES,
            "RandomSeed": 1,
            **(config or {}),
        },
        "TrainingJobDefinition": {**definition, "StaticHyperParameters": static or {}},
    }


def describe(jobs: Jobs, name: str) -> dict[str, Any]:
    return jobs.sagemaker.call("DescribeHyperParameterTuningJob", {"HyperParameterTuningJobName": name})


def ended(jobs: Jobs, name: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        job = describe(jobs, name)
        return job if job["HyperParameterTuningJobStatus"] in ("Completed", "Failed", "Stopped") else None

    result: dict[str, Any] = eventually(look, seconds=120)
    return result


def trials(jobs: Jobs, name: str, **parameters: Any) -> list[dict[str, Any]]:
    answer = jobs.sagemaker.call(
        "ListTrainingJobsForHyperParameterTuningJob",
        {"HyperParameterTuningJobName": name, "MaxResults": 100, **parameters},
    )
    result: list[dict[str, Any]] = answer["TrainingJobSummaries"]
    return result


def test_the_best_of_the_trials_is_named(jobs: Jobs, host: FakeHost) -> None:
    jobs.sagemaker.call("CreateHyperParameterTuningJob", request(jobs, "tune", trials=5, static={"epochs": "2"}))
    job = ended(jobs, "tune")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    assert job["TrainingJobStatusCounters"] == {
        "Completed": 5, "InProgress": 0, "RetryableError": 0, "NonRetryableError": 0, "Stopped": 0,
    }  # fmt: skip
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 5, "Pending": 0, "Failed": 0}
    ordered = trials(jobs, "tune", SortBy="FinalObjectiveMetricValue", SortOrder="Descending")
    values = [trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for trial in ordered]
    assert values == sorted(values, reverse=True)
    assert job["BestTrainingJob"] == ordered[0]
    assert all(0.1 <= float(trial["TunedHyperParameters"]["x"]) <= 0.9 for trial in ordered)
    best = jobs.describe(ordered[0]["TrainingJobName"])
    assert best["TuningJobArn"] == job["HyperParameterTuningJobArn"]
    assert best["HyperParameters"] == {
        "epochs": "2", "_tuning_objective_metric": "objective", **ordered[0]["TunedHyperParameters"],
    }  # fmt: skip
    names = [trial["TrainingJobName"] for trial in trials(jobs, "tune")]
    assert [name[:9] for name in names] == [f"tune-00{index}-" for index in range(1, 6)]
    assert all(len(name) == 17 for name in names)
    events = [detail for kind, detail, _ in host.events if kind == "SageMaker HyperParameter Tuning Job State Change"]
    assert events[-1]["HyperParameterTuningJobStatus"] == "Completed"


def test_without_a_seed_the_same_search_begins_with_the_same_values(jobs: Jobs) -> None:
    def tried(name: str, **static: str) -> list[str]:
        given = request(jobs, name, trials=2, parallel=1, static=static)
        del given["HyperParameterTuningJobConfig"]["RandomSeed"]
        jobs.sagemaker.call("CreateHyperParameterTuningJob", given)
        ended(jobs, name)
        return [trial["TunedHyperParameters"]["x"] for trial in trials(jobs, name)]

    first = tried("first", seed="0", code="s3://one/place")
    assert tried("again", seed="0", code="s3://another/place") == first
    assert tried("other", seed="1", code="s3://one/place") != first


def test_no_more_trials_run_at_once_than_allowed(jobs: Jobs) -> None:
    given = request(jobs, "three", trials=5, parallel=2, static={"pause": "0.1"})
    jobs.sagemaker.call("CreateHyperParameterTuningJob", given)
    ended(jobs, "three")
    spans = [(trial["CreationTime"], trial["TrainingEndTime"]) for trial in trials(jobs, "three")]
    at_once = [sum(start <= moment < end for start, end in spans) for moment, _ in spans]
    assert max(at_once) == 2


def test_all_trials_failing_fails_the_job_in_sagemakers_words(jobs: Jobs) -> None:
    jobs.sagemaker.call("CreateHyperParameterTuningJob", request(jobs, "bad", trials=2, static={"action": "fail"}))
    job = ended(jobs, "bad")
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert job["FailureReason"] == (
        "All training jobs failed. Please take a look at the training jobs failures to get more details."
    )
    assert job["TrainingJobStatusCounters"]["NonRetryableError"] == 2
    assert job["ObjectiveStatusCounters"]["Failed"] == 2
    assert "BestTrainingJob" not in job


def test_trials_that_print_no_objective_fail_the_job(jobs: Jobs) -> None:
    jobs.sagemaker.call("CreateHyperParameterTuningJob", request(jobs, "mute", trials=2, static={"epochs": "0"}))
    job = ended(jobs, "mute")
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("No objective metrics found after running 2 training jobs.")


def test_stopping_stops_the_trials_and_starts_no_more(jobs: Jobs) -> None:
    given = request(jobs, "halt", trials=6, parallel=2, static={"action": "wait"})
    jobs.sagemaker.call("CreateHyperParameterTuningJob", given)
    eventually(lambda: [trial for trial in trials(jobs, "halt") if "TrainingStartTime" in trial])
    jobs.sagemaker.call("StopHyperParameterTuningJob", {"HyperParameterTuningJobName": "halt"})
    assert ended(jobs, "halt")["HyperParameterTuningJobStatus"] == "Stopped"
    found = trials(jobs, "halt")
    assert len(found) == 2
    assert {trial["TrainingJobStatus"] for trial in found} == {"Stopped"}


def test_a_grid_walks_through_every_combination_once(jobs: Jobs) -> None:
    ranges = {
        "CategoricalParameterRanges": [
            {"Name": "x", "Values": ["0.1", "0.3"]},
            {"Name": "epochs", "Values": ["1", "2"]},
        ]
    }
    given = request(jobs, "grid", config={"Strategy": "Grid", "ParameterRanges": ranges})
    del given["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    jobs.sagemaker.call("CreateHyperParameterTuningJob", given)
    assert ended(jobs, "grid")["BestTrainingJob"]["TunedHyperParameters"] == {"x": "0.3", "epochs": "2"}
    seen = {tuple(sorted(trial["TunedHyperParameters"].items())) for trial in trials(jobs, "grid")}
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"Strategy": "Hyperband"}, "does not support Hyperband"),
        ({"ParameterRanges": {}}, "at least one"),
        ({"HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "typo"}}, "'typo'"),
        ({"ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 2}}, "must not be greater"),
        ({"TuningJobCompletionCriteria": {"TargetObjectiveMetricValue": 0.5}}, "TuningJobCompletionCriteria"),
        (
            {"ParameterRanges": {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "2", "MaxValue": "1"}]}},
            "must not be above",
        ),
    ],
)
def test_a_request_that_cannot_be_tuned_is_refused(jobs: Jobs, config: dict[str, Any], message: str) -> None:
    with pytest.raises(SageMakerError, match=message) as error:
        jobs.sagemaker.call("CreateHyperParameterTuningJob", request(jobs, "refused", config=config))
    assert error.value.code == "ValidationException"


def test_a_missing_tuning_job_is_not_found(jobs: Jobs) -> None:
    with pytest.raises(SageMakerError) as error:
        describe(jobs, "absent")
    assert error.value.code == "ResourceNotFound"


def search(ranges: dict[str, Any], *, strategy: str = "Bayesian", seed: int | None = 0) -> Search:
    return Search(ranges=ranges, strategy=strategy, maximise=True, seed=seed)


def _walk(found: Search, trials: int) -> list[float]:
    drawn = []
    for _ in range(trials):
        number, values = found.propose()
        drawn.append(float(values["rate"]))
        found.learn(number, -abs(math.log10(drawn[-1]) + 2))
    return drawn


@pytest.mark.parametrize("scaling", ["Logarithmic", "Auto"])
def test_wide_ranges_are_drawn_on_a_log_scale(scaling: str) -> None:
    ranges = {
        "ContinuousParameterRanges": [
            {"Name": "rate", "MinValue": "0.0001", "MaxValue": "1", "ScalingType": scaling},
        ]
    }
    drawn = _walk(search(ranges, strategy="Random"), 200)
    assert all(0.0001 <= value <= 1 for value in drawn)
    assert 60 < sum(value < 0.01 for value in drawn) < 140  # half of them; on a linear scale two


def test_reverse_logarithmic_ranges_crowd_at_their_upper_end() -> None:
    ranges = {
        "ContinuousParameterRanges": [
            {"Name": "rate", "MinValue": "0.1", "MaxValue": "0.999", "ScalingType": "ReverseLogarithmic"},
        ]
    }
    drawn = _walk(search(ranges, strategy="Random"), 100)
    assert all(0.1 <= value <= 0.999 for value in drawn)
    assert sum(value > 0.9 for value in drawn) > 50


def test_bayesian_search_learns_and_a_seed_repeats_it() -> None:
    ranges = {
        "ContinuousParameterRanges": [
            {"Name": "rate", "MinValue": "0.00001", "MaxValue": "1", "ScalingType": "Logarithmic"},
        ],
        "IntegerParameterRanges": [{"Name": "size", "MinValue": "1", "MaxValue": "8"}],
    }

    def mean_distance(strategy: str) -> float:
        """Of the last trials to the best rate, in decades."""
        runs = [_walk(search(ranges, strategy=strategy, seed=seed), 40)[20:] for seed in range(5)]
        return statistics.fmean(abs(math.log10(value) + 2) for run in runs for value in run)

    assert mean_distance("Bayesian") < 0.6 * mean_distance("Random")
    assert _walk(search(ranges), 10) == _walk(search(ranges), 10)


def test_batch_sizes_are_searched_in_their_order() -> None:
    """Knowing 16 and 64 says something of 32: one hot column each would have to try all of them."""
    sizes = [str(2**power) for power in range(4, 10)]
    ranges = {"CategoricalParameterRanges": [{"Name": "size", "Values": list(reversed(sizes))}]}
    for seed in range(5):
        found, tried = search(ranges, seed=seed), []
        for _ in range(12):
            number, values = found.propose()
            tried.append(values["size"])
            found.learn(number, -abs(math.log2(int(values["size"])) - 7))
        assert tried[4:].count("128") >= 4


def test_names_without_an_order_can_be_searched() -> None:
    ranges = {"CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b", "c"]}]}
    found, tried = search(ranges), []
    for _ in range(12):
        number, values = found.propose()
        tried.append(values["kind"])
        found.learn(number, float(values["kind"] == "b"))
    assert tried[6:].count("b") >= 4


def test_trials_that_run_at_once_are_not_the_same(jobs: Jobs) -> None:
    found = search(RANGES)
    for _ in range(4):
        number, values = found.propose()
        found.learn(number, -abs(float(values["x"]) - 0.5))
    at_once = [float(found.propose()[1]["x"]) for _ in range(4)]
    assert len({round(value, 3) for value in at_once}) == 4


def test_failed_trials_are_kept_away_from() -> None:
    found = search(RANGES)
    tried = []
    for _ in range(20):
        number, values = found.propose()
        tried.append(float(values["x"]))
        found.learn(number, None if tried[-1] > 0.5 else tried[-1])
    assert sum(value > 0.55 for value in tried[10:]) <= 2
    assert max(value for value in tried if value <= 0.5) > 0.4


def test_what_identical_jobs_found_spares_the_blind_trials() -> None:
    earlier = [({"x": f"{x / 10}"}, -abs(x / 10 - 0.7)) for x in range(1, 10)]
    found = search(RANGES)
    found.recall([*earlier, ({"x": "7"}, 1.0), ({}, 1.0)], same=True)
    assert abs(float(found.propose()[1]["x"]) - 0.7) < 0.1


def test_what_other_jobs_found_is_tried_first_and_not_taken_for_own() -> None:
    found = search(RANGES)
    found.recall([({"x": "0.2"}, 50.0), ({"x": "0.8"}, 100.0)], same=False)
    assert [float(found.propose()[1]["x"]) for _ in range(2)] == pytest.approx([0.8, 0.2])
    found.learn(0, 0.1)
    found.learn(1, 0.3)
    for _ in range(8):
        number, values = found.propose()
        found.learn(number, 0.5 - abs(float(values["x"]) - 0.3))
    assert abs(float(found.propose()[1]["x"]) - 0.3) < 0.1


def parents(kind: str, *names: str) -> dict[str, Any]:
    return {
        "WarmStartConfig": {
            "WarmStartType": kind,
            "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": name} for name in names],
        }
    }


def test_a_warm_start_goes_on_where_its_parent_ended(jobs: Jobs) -> None:
    jobs.sagemaker.call("CreateHyperParameterTuningJob", request(jobs, "parent", trials=6, parallel=1))
    best = ended(jobs, "parent")["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    child = {**request(jobs, "child", trials=2, parallel=1), **parents("IdenticalDataAndAlgorithm", "parent")}
    jobs.sagemaker.call("CreateHyperParameterTuningJob", child)
    job = ended(jobs, "child")
    assert job["WarmStartConfig"] == child["WarmStartConfig"]
    overall = job["OverallBestTrainingJob"]
    assert overall["TuningJobName"] in ("parent", "child")
    assert overall["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] >= best


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "absent"}, "absent does not exist"),
        ({"data": "s3://elsewhere/photos/"}, "demands the training image and the input data"),
        ({"static": {"epochs": "2"}}, "total number of static and tunable"),
    ],
)
def test_a_parent_of_another_kind_is_refused(jobs: Jobs, change: dict[str, Any], message: str) -> None:
    jobs.sagemaker.call("CreateHyperParameterTuningJob", request(jobs, "first", trials=1, parallel=1))
    ended(jobs, "first")
    given = request(jobs, "second", trials=1, parallel=1, static=change.get("static"))
    given |= parents("IdenticalDataAndAlgorithm", change.get("name", "first"))
    if "data" in change:
        source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": change["data"]}}
        given["TrainingJobDefinition"]["InputDataConfig"] = [{"ChannelName": "photos", "DataSource": source}]
    with pytest.raises(SageMakerError, match=message):
        jobs.sagemaker.call("CreateHyperParameterTuningJob", given)


def test_the_median_rule_spares_the_good_and_stops_the_bad() -> None:
    rule = MedianRule(maximise=True)
    assert not rule.should_stop([0.0, 0.0])  # nothing to compare with
    for level in (0.5, 0.6, 0.7):
        rule.complete([level, level, level])
    assert rule.should_stop([0.1, 0.2])
    assert not rule.should_stop([0.1, 0.65])
    assert not rule.should_stop([0.1, 0.2, 0.3, 0.4])  # further than any trial before


def test_a_trial_as_good_as_the_others_is_spared_whatever_the_rounding() -> None:
    for level in (0.9, 0.7, 0.1):
        rule = MedianRule(maximise=True)
        for _ in range(3):
            rule.complete([level] * 20)
        assert not any(rule.should_stop([level] * epochs) for epochs in range(1, 21))


def test_the_median_rule_minimises_too() -> None:
    rule = MedianRule(maximise=False)
    for level in (0.5, 0.6, 0.7):
        rule.complete([level])
    assert rule.should_stop([0.9])
    assert not rule.should_stop([0.4])


def test_early_stopping_stops_a_hopeless_trial_and_keeps_its_objective(jobs: Jobs) -> None:
    ranges = {"CategoricalParameterRanges": [{"Name": "constant", "Values": ["0.9", "0.1"]}]}
    given = request(
        jobs,
        "early",
        trials=10,
        parallel=1,
        static={"epochs": "20", "pause": "0.02"},
        config={"Strategy": "Random", "TrainingJobEarlyStoppingType": "Auto", "ParameterRanges": ranges},
    )
    jobs.sagemaker.call("CreateHyperParameterTuningJob", given)
    job = ended(jobs, "early")
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    stopped = trials(jobs, "early", StatusEquals="Stopped")
    assert stopped
    assert {trial["TunedHyperParameters"]["constant"] for trial in stopped} == {"0.1"}
    assert job["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == 0.9
    assert job["TrainingJobStatusCounters"]["Stopped"] == len(stopped)
    assert job["ObjectiveStatusCounters"]["Succeeded"] == 10


def test_a_killed_trial_goes_on_from_checkpoints_of_its_own(jobs: Jobs, s3: Any) -> None:
    asked = request(jobs, "kept", trials=2, static={"action": "count", "steps": "2"})
    asked["TrainingJobDefinition"] |= {
        "CheckpointConfig": {"S3Uri": f"s3://{jobs.bucket}/kept/", "LocalPath": "/opt/ml/checkpoints"},
        "RetryStrategy": {"MaximumRetryAttempts": 2},
    }
    jobs.sagemaker.call("CreateHyperParameterTuningJob", asked)
    ended(jobs, "kept")
    names = [trial["TrainingJobName"] for trial in trials(jobs, "kept")]
    found = {entry["Key"] for entry in s3.list_objects_v2(Bucket=jobs.bucket, Prefix="kept/")["Contents"]}
    assert found == {f"kept/{name}/steps.txt" for name in names}
    assert [trial["TrainingJobStatus"] for trial in trials(jobs, "kept")] == ["Completed", "Completed"]


def test_the_service_starts_without_scikit_learn() -> None:
    code = "import sys, local.sagemaker; sys.exit('sklearn' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[4]).returncode == 0


def test_input_without_objects_is_refused_before_a_trial_starts(jobs: Jobs) -> None:
    given = request(jobs, "nothing", trials=1, parallel=1)
    data = channel("photos", f"s3://{jobs.bucket}/nothing/")
    given["TrainingJobDefinition"]["InputDataConfig"] = [data]
    with pytest.raises(SageMakerError, match="No S3 objects found under S3 URL") as error:
        jobs.sagemaker.call("CreateHyperParameterTuningJob", given)
    assert error.value.code == "ValidationException"
    assert jobs.sagemaker.call("ListTrainingJobs", {}) == {"TrainingJobSummaries": []}
