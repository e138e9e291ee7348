"""Each profiler rule fires where its page says, stays quiet else, and says so where it cannot tell."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

import contract
from tests.training.profile_fixtures import measurements, sampled, timed
from training.profiler.measurements import Measurements
from training.profiler.rules.evaluation import PROFILER_RULES, evaluate, requested
from training.profiler.system_sampler import Samples


def result_of(rule: str, seen: Measurements, **parameters: Any) -> contract.RuleResult:
    (result,) = evaluate({rule: json.dumps(parameters)}, seen)
    assert result["rule"] == rule
    assert result["evaluator"] == "own"
    assert result["detail"]
    return result


def with_gpu(samples: int = 1200, **values: Any) -> Measurements:
    usual = {"cpu": 60, "memory": 30, "io_wait": 0, "gpu": 95, "gpu_memory": 85}
    return measurements(gpus=1, samples=sampled(samples, **(usual | values)))


HEALTHY_WITHOUT_GPU = {
    "BatchSize": "NotApplicable",
    "CPUBottleneck": "NotApplicable",
    "Dataloader": "NoIssuesFound",
    "GPUMemoryIncrease": "NotApplicable",
    "IOBottleneck": "NotApplicable",
    "LoadBalancing": "NotApplicable",
    "LowGPUUtilization": "NotApplicable",
    "MaxInitializationTime": "NoIssuesFound",
    "OverallSystemUsage": "NoIssuesFound",
    "StepOutlier": "NoIssuesFound",
    "ProfilerReport": "NoIssuesFound",
}


def test_rules_and_parameters_are_those_of_the_contract() -> None:
    declared = {name for name, rule in contract.RULES.items() if rule.kind == "profiler"}
    assert set(PROFILER_RULES) | {"ProfilerReport"} == declared
    for name, rule in PROFILER_RULES.items():
        accepted = set(inspect.signature(rule.__init__).parameters) - {"self"}
        assert accepted == set(contract.RULES[name].parameters), name
        assert "List of Debugger built-in profiler rules" in inspect.getdoc(rule).__str__()


def test_a_healthy_training_on_a_cpu_instance() -> None:
    results = evaluate(dict.fromkeys(HEALTHY_WITHOUT_GPU, "{}"), measurements())
    assert {result["rule"]: result["status"] for result in results} == HEALTHY_WITHOUT_GPU
    for result in results:
        if result["status"] == "NotApplicable":
            assert "no GPU" in result["detail"] or "one host" in result["detail"]


def test_a_healthy_training_on_a_gpu_instance() -> None:
    results = evaluate(dict.fromkeys(HEALTHY_WITHOUT_GPU, "{}"), with_gpu())
    assert {result["rule"] for result in results if result["status"] == "NoIssuesFound"} == set(HEALTHY_WITHOUT_GPU) - {
        "LoadBalancing"
    }


@pytest.mark.parametrize(
    "rule", ["BatchSize", "CPUBottleneck", "IOBottleneck", "GPUMemoryIncrease", "LowGPUUtilization"]
)
def test_a_short_training_is_not_judged_but_said_to_be_short(rule: str) -> None:
    result = result_of(rule, with_gpu(samples=20))
    assert result["status"] == "NotApplicable"
    assert "training too short: 20 samples, the rule wants 1000" in result["detail"]
    assert result_of(rule, with_gpu(samples=20), patience=10)["status"] == "NoIssuesFound"


@pytest.mark.parametrize(
    "rule", ["BatchSize", "CPUBottleneck", "IOBottleneck", "GPUMemoryIncrease", "LowGPUUtilization"]
)
def test_gpus_that_could_not_be_watched_are_not_taken_for_idle(rule: str) -> None:
    samples = Samples(sampled(cpu=50).times, sampled(cpu=50).values, ["GPUs were not sampled: no library"])
    result = result_of(rule, measurements(gpus=1, samples=samples))
    assert result["status"] == "NotApplicable"
    assert "no library" in result["detail"]


def test_small_batches_leave_everything_idle() -> None:
    result = result_of("BatchSize", with_gpu(gpu=30, gpu_memory=20, cpu=40))
    assert result["status"] == "IssuesFound"
    assert "batches of 64" in result["detail"]


@pytest.mark.parametrize("busy", [{"gpu": 90}, {"gpu_memory": 90}, {"cpu": 90}])
def test_one_thing_at_work_is_enough_for_the_batch_size(busy: dict[str, Any]) -> None:
    values: dict[str, Any] = {"gpu": 30, "gpu_memory": 20, "cpu": 40}
    assert result_of("BatchSize", with_gpu(**(values | busy)))["status"] == "NoIssuesFound"


@pytest.mark.parametrize(("rule", "resource"), [("CPUBottleneck", "cpu"), ("IOBottleneck", "io_wait")])
def test_a_gpu_that_waits_for_something_at_its_limit(rule: str, resource: str) -> None:
    mostly = [95.0] * 700 + [5.0] * 500
    held_up: dict[str, Any] = {"gpu": [2.0] * 700 + [97.0] * 500, resource: mostly}
    fires = result_of(rule, with_gpu(**held_up))
    assert fires["status"] == "IssuesFound"
    assert "58 %" in fires["detail"]
    assert result_of(rule, with_gpu(**held_up), threshold=60)["status"] == "NoIssuesFound"
    # One of them is always at fault, but never both at once.
    assert result_of(rule, with_gpu(**(held_up | {"gpu": mostly})))["status"] == "NoIssuesFound"


def test_a_system_that_does_not_count_io_wait() -> None:
    seen = measurements(gpus=1, samples=sampled(cpu=50, gpu=5, gpu_memory=50))
    assert result_of("IOBottleneck", seen)["status"] == "NotApplicable"


def test_an_idle_gpu_and_a_fluctuating_one() -> None:
    assert result_of("LowGPUUtilization", with_gpu())["status"] == "NoIssuesFound"
    idle = result_of("LowGPUUtilization", with_gpu(gpu=40))
    assert (idle["status"], "too little" in idle["detail"]) == ("IssuesFound", True)
    fluctuating = result_of("LowGPUUtilization", with_gpu(gpu=[0, 95, 95, 95] * 300))
    assert (fluctuating["status"], "fluctuates" in fluctuating["detail"]) == ("IssuesFound", True)


def test_the_beginning_is_not_held_against_a_gpu() -> None:
    starting = [0.0] * 500 + [95.0] * 700
    assert result_of("LowGPUUtilization", with_gpu(gpu=starting))["status"] == "NoIssuesFound"


def test_a_gpu_that_idles_for_a_while_is_seen_when_the_rule_scans() -> None:
    pause = [95.0] * 1200 + [3.0] * 620 + [95.0] * 1200
    assert result_of("LowGPUUtilization", with_gpu(samples=3020, gpu=pause))["status"] == "IssuesFound"


def test_each_gpu_is_judged_by_itself() -> None:
    seen = measurements(gpus=2, samples=sampled(cpu=60, gpu=70, gpu0=95, gpu1=45, gpu_memory=50))
    result = result_of("LowGPUUtilization", seen)
    assert result["status"] == "IssuesFound"
    assert "gpu1" in result["detail"]


def test_memory_that_jumps_and_memory_that_creeps() -> None:
    jumps = [40.0] * 1100 + [50.0] * 100
    assert result_of("GPUMemoryIncrease", with_gpu(gpu_memory=jumps))["status"] == "IssuesFound"
    assert result_of("GPUMemoryIncrease", with_gpu(gpu_memory=jumps), increase=20)["status"] == "NoIssuesFound"
    creeps = [40 + number / 100 for number in range(1200)]
    assert result_of("GPUMemoryIncrease", with_gpu(gpu_memory=creeps))["status"] == "NoIssuesFound"
    at_the_start = [10.0] * 100 + [80.0] * 1100
    assert result_of("GPUMemoryIncrease", with_gpu(gpu_memory=at_the_start))["status"] == "NoIssuesFound"


def test_gpus_with_unequal_work() -> None:
    seen = measurements(
        gpus=2,
        samples=sampled(gpu=60, gpu0=95, gpu1=25, gpu_memory=50),
        workloads={"host 0 gpu0": [95.0] * 1200, "host 0 gpu1": [25.0] * 1200},
    )
    result = result_of("LoadBalancing", seen)
    assert result["status"] == "IssuesFound"
    assert "1.00 apart" in result["detail"]


def test_hosts_without_gpus_are_balanced_by_their_cores() -> None:
    alike = measurements(hosts=2, workloads={"host 0 cpu": [91.0] * 1200, "host 1 cpu": [94.0] * 1200})
    assert result_of("LoadBalancing", alike)["status"] == "NoIssuesFound"
    unlike = measurements(hosts=2, workloads={"host 0 cpu": [91.0] * 1200, "host 1 cpu": [34.0] * 1200})
    assert result_of("LoadBalancing", unlike)["status"] == "IssuesFound"
    short = measurements(hosts=2, workloads={"host 0 cpu": [91.0] * 50, "host 1 cpu": [34.0] * 50})
    assert "too short: 50 samples" in result_of("LoadBalancing", short)["detail"]
    alone = measurements(hosts=2, workloads={"host 0 cpu": [91.0] * 1200})
    assert result_of("LoadBalancing", alone)["status"] == "NotApplicable"


def test_a_late_first_step() -> None:
    late = result_of("MaxInitializationTime", measurements(initialization_seconds=21 * 60))
    assert late["status"] == "IssuesFound"
    assert "21.0 minutes" in late["detail"]
    assert result_of("MaxInitializationTime", measurements(initialization_seconds=21 * 60), threshold=30)["status"] == (
        "NoIssuesFound"
    )


def test_outlying_steps_are_counted_and_the_worst_is_named() -> None:
    steps: list[dict[contract.Phase, float]] = [{"data": 0.01, "forward": 0.2} for _ in range(1000)]
    for number in range(100, 112):
        steps[number] = {"data": 3.0, "forward": 0.2}
    steps[105] = {"data": 4.0, "forward": 0.2}
    result = result_of("StepOutlier", measurements(steps=timed(steps)))
    assert (result["status"], result["step"]) == ("IssuesFound", 105)
    assert "12 of 1000 steps" in result["detail"]
    assert "in data" in result["detail"]
    quiet = result_of("StepOutlier", measurements(steps=timed(steps)), n_outliers=12)
    assert (quiet["status"], quiet["step"]) == ("NoIssuesFound", None)
    assert result_of("StepOutlier", measurements(steps=timed(steps)), mode="EVAL")["status"] == "NotApplicable"
    assert result_of("StepOutlier", measurements(steps=timed(steps[:10])))["status"] == "NotApplicable"


STARVED = timed([{"data": 0.9, "forward": 0.05, "backward": 0.05}] * 50)


def test_a_starved_training_with_few_workers() -> None:
    result = result_of("Dataloader", measurements(steps=STARVED))
    assert result["status"] == "IssuesFound"
    assert "90% of the steps' time" in result["detail"]
    assert "below min_threshold 70 %" in result["detail"]


def test_a_starved_training_with_a_worker_a_core() -> None:
    result = result_of("Dataloader", measurements(steps=STARVED, decoding_threads=8))
    assert result["status"] == "IssuesFound"
    assert "min_threshold" not in result["detail"]


def test_few_workers_that_nothing_waits_for_are_fine() -> None:
    assert "25 %" in result_of("Dataloader", measurements())["detail"]


def test_too_many_workers() -> None:
    assert result_of("Dataloader", measurements(decoding_threads=17))["status"] == "IssuesFound"
    assert result_of("Dataloader", measurements(decoding_threads=16))["status"] == "NoIssuesFound"


def test_features_that_come_too_slowly() -> None:
    slow = measurements(mode="features", decoding_threads=0, steps=STARVED)
    assert result_of("Dataloader", slow)["status"] == "IssuesFound"
    in_a_moment = timed([{"data": 0.0009, "forward": 0.0001}] * 50)
    assert result_of("Dataloader", measurements(mode="features", decoding_threads=0, steps=in_a_moment))["status"] == (
        "NoIssuesFound"
    )


def test_usage_is_told_and_never_an_issue() -> None:
    result = result_of("OverallSystemUsage", measurements(samples=sampled(cpu=0, memory=99, io_wait=99)))
    assert result["status"] == "NoIssuesFound"
    assert "memory p5 99 %" in result["detail"]
    nothing = result_of("OverallSystemUsage", measurements(samples=Samples(failures=["no psutil here"])))
    assert (nothing["status"], "no psutil here" in nothing["detail"]) == ("NotApplicable", True)


def test_the_report_stands_for_all_rules_asked_for_or_not() -> None:
    result = result_of("ProfilerReport", measurements(steps=STARVED))
    assert result["status"] == "IssuesFound"
    assert "Dataloader" in result["detail"]
    asked = evaluate({"MaxInitializationTime": '{"threshold": 0}', "ProfilerReport": "{}"}, measurements())
    assert [entry["status"] for entry in asked] == ["IssuesFound", "IssuesFound"]


def test_a_training_without_a_step_judges_nothing() -> None:
    for name in ("Dataloader", "MaxInitializationTime", "StepOutlier"):
        assert result_of(name, measurements(steps=timed([])))["status"] == "NotApplicable"


@pytest.mark.parametrize("parameters", ['{"patience": "many"}', '{"patients": 1}', "[1]", "not JSON"])
def test_wrong_parameters_are_an_error_of_the_rule_alone(parameters: str) -> None:
    wrong, right = evaluate({"LowGPUUtilization": parameters, "Dataloader": "{}"}, with_gpu())
    assert wrong["status"] == "Error"
    assert right["status"] == "NoIssuesFound"


def test_rules_are_asked_for_by_environment_variables() -> None:
    environment = {
        contract.rule_variable("StepOutlier"): '{"stddev": 5}',
        contract.rule_variable("Dataloader"): "{}",
        contract.rule_variable("VanishingGradient"): "{}",  # the rules' job's business
        "PATH": "/bin",
    }
    assert requested(environment) == {"Dataloader": "{}", "StepOutlier": '{"stddev": 5}'}
    assert evaluate(requested({}), measurements()) == []
