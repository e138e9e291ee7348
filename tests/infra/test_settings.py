"""The settings: what is allowed, what is refused, and in which words."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import annotated_types
import aws_cdk as cdk
import pytest
from aws_cdk import assertions
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import contract
from infra.instances import fine_tuning_rate
from infra.quotas import machines
from infra.settings import Settings, SettingsError
from infra.stack import WhippetStack
from tests.infra.app_process import cdk_context


def settings(**overrides: str) -> Settings:
    return Settings.from_context(cdk_context() | overrides)


def numeric_fields() -> list[tuple[str, FieldInfo]]:
    found = []
    for section, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for name, inner in kind.model_fields.items():
                if inner.annotation in (int, float):
                    found.append((f"{section}.{name}", inner))
    return found


def beyond(field: FieldInfo) -> list[float]:
    """The nearest values outside of a field's limits."""
    step = 1 if field.annotation is int else 1e-9
    outside: list[float] = []
    for limit in field.metadata:
        if isinstance(limit, annotated_types.Ge):
            outside.append(float(str(limit.ge)) - step)
        elif isinstance(limit, annotated_types.Gt):
            outside.append(float(str(limit.gt)))
        elif isinstance(limit, annotated_types.Le):
            outside.append(float(str(limit.le)) + max(step, abs(float(str(limit.le))) * 1e-9 if step < 1 else 0))
    return outside


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("(", r"'\(' is no regular expression \(missing \), .*such as"),
        ("store", "has no group in parentheses"),
        ("(?:store)", "has no group in parentheses"),
        ("(" + "x" * 200 + ")", "has 202 characters, more than 200"),
    ],
)
def test_a_group_pattern_has_to_find_a_group(pattern: str, told: str) -> None:
    with pytest.raises(SettingsError, match=f"dataset.group_pattern.*{told}"):
        settings(**{"dataset.group_pattern": pattern})


def test_a_group_pattern_is_taken_as_it_is() -> None:
    assert settings(**{"dataset.group_pattern": r"^[^/]+/([^_]+)_"}).dataset.group_pattern == r"^[^/]+/([^_]+)_"
    assert settings(**{"dataset.group_pattern": ""}).dataset.group_pattern is None


@pytest.mark.parametrize(("name", "field"), numeric_fields(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_number_has_two_limits_and_is_refused_beyond_them(name: str, field: FieldInfo) -> None:
    outside = beyond(field)
    assert len(outside) == 2, f"{name} lacks a limit"
    for value in outside:
        text = str(int(value)) if field.annotation is int else repr(value)
        with pytest.raises(SettingsError) as refused:
            settings(**{name: text})
        assert f"{name}='{text}'" in str(refused.value)
        assert "-c NAME=VALUE" in str(refused.value)


def test_defaults_are_the_contracts() -> None:
    default = settings()
    contracts = contract.Hyperparameters()
    tuned = {"learning_rate", "batch_size"}
    for name, value in dataclasses.asdict(contracts).items():
        if name not in tuned:
            chosen = getattr(default.training, name)
            assert chosen == value or (chosen is None and value == ""), name
    assert default.tuning.batch_sizes == contract.BATCH_SIZES
    assert default.prefix == "whippet-dev"
    assert default.stack_name == "Whippet-dev"


def test_overrides_from_the_command_line_are_converted() -> None:
    chosen = settings(
        **{
            "training.epochs": "3",
            "training.flip": "false",
            "tuning.batch_sizes": "16,32",
            "dataset.bucket": "",
            "notifications.email": "a@example.org",
        }
    )
    assert (chosen.training.epochs, chosen.training.flip) == (3, False)
    assert chosen.tuning.batch_sizes == (16, 32)
    assert chosen.dataset.bucket is None
    assert settings(**{"tuning.batch_sizes": "64"}).tuning.batch_sizes == (64,)
    assert settings().tuning.backbones == settings(**{"tuning.backbones": ""}).tuning.backbones == ()
    assert settings(**{"tuning.backbones": "resnet18, resnet50"}).tuning.backbones == ("resnet18", "resnet50")


def test_prod_differs_from_dev_and_takes_overrides_too() -> None:
    prod = settings(env="prod", **{"release.min_accuracy": "0.9"})
    assert prod.prefix == "whippet-prod"
    assert prod.release.min_accuracy == 0.9
    assert prod.release.instance_count > settings().release.instance_count


def test_the_longest_environment_still_fits_into_a_tuning_jobs_name() -> None:
    context: dict[str, Any] = cdk_context() | {"env": "abcdefgh"}
    context["environments"] = {"abcdefgh": {}}
    name = contract.tuning_job_name(Settings.from_context(context).prefix, "x" * 13)
    assert len(name) <= 32


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            {"training.average_mirrored": "true", "training.flip": "false"},
            "average_mirrored=true contradicts flip=false",
        ),
        ({"env": "test"}, "env='test' is not an environment of cdk.json, which has dev, prod"),
        (
            {"trainig.epochs": "3"},
            "unknown setting -c trainig.epochs=3; did you mean tuning.epochs or training.epochs or"
            " training.warmup_epochs? `whippet settings` lists them all",
        ),
        ({"epochs": "3"}, "unknown setting -c epochs=3; did you mean tuning.epochs or training.epochs?"),
        ({"feedback.enabled": "true"}, "did you mean api.feedback?"),
        ({"zzz": "3"}, "unknown setting -c zzz=3; `whippet settings` lists them all"),
        ({"training.epoch": "3"}, "training.epoch: there is no such setting; did you mean training.epochs"),
        ({"api.zzz": "3"}, "api.zzz: there is no such setting; api has auth, cors_origins, rate, "),
        ({"dataset.prefix": "debug/photos/"}, "dataset.prefix=debug/photos/ lies where the runs keep their own files"),
        ({"dataset.prefix": "feedback/"}, "dataset.prefix=feedback/ lies where the runs keep their own files"),
        (
            {"api.feedback": "true", "dataset.bucket": "photos-of-ours"},
            "api.feedback=true would keep callers' photos in dataset.bucket=photos-of-ours, where nothing deletes",
        ),
        ({"training.weights": "checkpoints/a.pth"}, "training.weights=checkpoints/a.pth lies where the runs keep"),
        ({"training.epochs": "many"}, "training.epochs='many'"),
        ({"training.instance_type": "c5.xlarge"}, "training.instance_type='c5.xlarge'"),
        ({"tuning.learning_rate_min": "0.5"}, "must be below learning_rate_max=0.1"),
        ({"tuning.parallel_trials": "9"}, "parallel_trials=9 must not exceed trials=8"),
        ({"training.ema": "0.99"}, "ema=0.99 has no effect with mode=features; set mode=finetune"),
        ({"training.instance_count": "2"}, "instance_count=2 has no effect with mode=features"),
        ({"training.mode": "finetune", "tuning.warm_start": "true"}, "warm_start=true has no effect with"),
        ({"training.mode": "all"}, "training.mode='all'"),
        ({"training.unfreeze_from": "layer 4"}, "training.unfreeze_from='layer 4'"),
        (
            {"training.mode": "finetune", "training.instance_type": "ml.g5.12xlarge", "tuning.batch_sizes": "30,32"},
            "training.instance_count=1 makes 4 processes, which cannot share a batch of 30 evenly",
        ),
        (
            {"tuning.backbones": "resnet50,resnet18,resnet34", "tuning.trials": "2"},
            "2 trials are fewer than the 3 backbones of tuning.backbones, some of which would never be tried; raise",
        ),
        ({"tuning.backbones": "resnet50,resnet50"}, "tuning.backbones names resnet50 twice"),
        ({"tuning.backbones": "resnet50,Res Net"}, "backbone='Res Net' is not a model's name"),
        (
            {"tuning.backbones": ",".join(f"a{number:060}" for number in range(9)), "tuning.trials": "9"},
            "tuning.backbones has names of more than 512 characters together",
        ),
        (
            {"tuning.backbones": "resnet50,resnet18", "training.weights": "weights/resnet50.pth"},
            "training.weights=weights/resnet50.pth holds the weights of one backbone, and the search chooses among res",
        ),
        (
            {"tuning.backbones": "resnet50,resnet18", "training.mode": "finetune", "training.unfreeze_from": "layer4"},
            "unfreeze_from=layer4 names a stage of one network, and the search chooses among several",
        ),
        ({"tuning.strategy": "Grid"}, "tuning.strategy='Grid'"),
        ({"tuning.batch_sizes": "16,0"}, "tuning.batch_sizes"),
        ({"dataset.prefix": "no-slash"}, "dataset.prefix='no-slash'"),
        ({"dataset.bucket": "Bad_Name"}, "dataset.bucket='Bad_Name'"),
        ({"debugger.mode": "on"}, "debugger.mode='on'"),
        (
            {"debugger.rules": "Overfit,Overfitting"},
            "there is no debugger rule 'Overfitting'; known are ExplodingTensor, LossNotDecreasing",
        ),
        ({"debugger.rules": "Overfit,Overfit"}, "Overfit is named twice"),
        ({"debugger.rules": "+Confusion,-Confusion"}, "Confusion is named twice"),
        ({"debugger.rules": "++Confusion"}, "there is no debugger rule '+Confusion'"),
        (
            {"debugger.rules": "Overfit,+Confusion"},
            "Overfit has no sign, unlike the other rules",
        ),
        ({"debugger.rules": "-Overfit"}, "debugger.block names Overfit, which is not evaluated"),
        ({"debugger.block": "+DeadRelu"}, "debugger.block names DeadRelu, which is not evaluated"),
        (
            {"debugger.parameters": "Overfit.patient=2"},
            "rule Overfit has no parameter 'patient'; it has tensor_regex (default None), start_step (default 0), pat",
        ),
        ({"debugger.parameters": "Overfit.patience=some"}, "patience='some' of rule Overfit is wrong; give a whole"),
        (
            {"debugger.parameters": "GPUMemoryIncrease.window=0"},
            "parameter window='0' of rule GPUMemoryIncrease is wrong; give a whole number, 1 or more, such as 10",
        ),
        ({"debugger.parameters": "Overfit=2"}, "'Overfit=2' is not RULE.PARAMETER=VALUE, such as Overfit.patience=2"),
        ({"debugger.parameters": "DeadRelu.threshold_layer=60"}, "debugger.parameters names DeadRelu, which is not"),
        (
            {"debugger.parameters": f"Overfit.tensor_regex={'x' * 256}"},
            "characters as JSON, more than the 256 that reach a job",
        ),
        (
            {"debugger.rules": "ExplodingTensor,Overfit"},
            "debugger.block names LossNotDecreasing, PoorWeightInitialization, VanishingGradient, which is not evalu",
        ),
        (
            {"debugger.block": "DeadRelu"},
            "debugger.block names DeadRelu, which is not evaluated; evaluated are Ex",
        ),
        ({"debugger.block": "Dead"}, "there is no debugger rule 'Dead'"),
        ({"release.approval": "never"}, "release.approval='never'"),
        ({"notifications.email": "nobody"}, "notifications.email='nobody'"),
        (
            {"serving.mode": "serverless", "serving.pause_after_hours": "12"},
            "serving.pause_after_hours=12 has no effect with serving.mode=serverless: a serverless endpoint sleeps by "
            "itself",
        ),
        (
            {"serving.mode": "serverless", "scaling.max_instances": "4"},
            "scaling.max_instances=4 has no effect with serving.mode=serverless, where SageMaker scales by itself",
        ),
        (
            {"serving.mode": "realtime", "release.instance_count": "3", "scaling.max_instances": "2"},
            "scaling.max_instances=2 is below release.instance_count=3, the fewest instances; raise",
        ),
        (
            {"serving.mode": "realtime", "scaling.max_instances": "3", "budget.ceiling": "100"},
            "below what the endpoint alone costs in a month, 256.68 dollars for 3 of ml.m5.large",
        ),
        ({"serving.mode": "realtime", "serving.pause_after_hours": "0"}, "serving.pause_after_hours='0'"),
        ({"serving.mode": "realtime", "serving.pause_after_hours": "721"}, "serving.pause_after_hours='721'"),
    ],
)
def test_wrong_settings_are_refused_in_words(overrides: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        settings(**overrides)
    assert words in str(refused.value)


def warnings(overrides: dict[str, str], outdir: Path) -> str:
    """What the synthesis of a stack with these settings warns of."""
    app = cdk.App(context={"aws:cdk:disable-asset-staging": True}, outdir=str(outdir), analytics_reporting=False)
    stack = WhippetStack(app, settings=settings(**overrides))
    found = assertions.Annotations.from_stack(stack).find_warning("*", assertions.Match.any_value())
    return "\n".join(str(warning.entry.data) for warning in found)


def test_a_question_that_nobody_gets_is_told_at_synthesis(tmp_path: Path) -> None:
    """A-69: somebody may still look for it, so that it is no error."""
    asked = {"release.approval": "manual"}
    for overrides, told in ((asked, True), (asked | {"notifications.email": "a@example.org"}, False), ({}, False)):
        assert ("asks nobody" in warnings(overrides, tmp_path / str(len(overrides)))) == told


def test_an_open_api_that_anybody_may_wake_is_told_at_synthesis(tmp_path: Path) -> None:
    pausing = {"serving.mode": "realtime", "serving.pause_after_hours": "12"}
    for auth, told in (("none", True), ("api_key", False)):
        assert ("wake the endpoint" in warnings(pausing | {"api.auth": auth}, tmp_path / auth)) == told


def test_fine_tuning_without_a_gpu_is_told_at_synthesis_with_the_photos_that_its_time_is_enough_for(
    tmp_path: Path,
) -> None:
    """A-46: 10 photos a second on ml.c5.2xlarge; a trial of 5 epochs has 60 minutes, the training of 20 has 240."""
    tuned = {"training.mode": "finetune"}
    assert "about 10 photos a second" in (said := warnings(tuned, tmp_path / "cpu"))
    assert "more than 7200 training photos" in said
    assert "training.instance_type" in said
    assert "has no GPU" not in warnings(tuned | {"training.instance_type": "ml.g5.xlarge"}, tmp_path / "gpu")
    assert warnings({}, tmp_path / "features") == ""


def test_feedback_that_nobody_bounds_is_warned_of(tmp_path: Path) -> None:
    feedback = {"api.feedback": "true"}
    assert warnings(feedback, tmp_path / "key") == ""
    assert "store photos in your bucket" in warnings(feedback | {"api.auth": "none"}, tmp_path / "none")
    assert "store photos" not in warnings({"api.auth": "none"}, tmp_path / "off")


def test_an_open_api_whose_callers_wake_machines_is_remarked_on(tmp_path: Path) -> None:
    pausing = {"serving.mode": "realtime", "serving.pause_after_hours": "3"}
    assert "wake the endpoint" in warnings(pausing | {"api.auth": "none"}, tmp_path / "none")
    assert "wake the endpoint" not in warnings(pausing, tmp_path / "key")


@pytest.mark.parametrize(
    ("instance_type", "rate"),
    [("ml.m5.large", 2.5), ("ml.m5.xlarge", 5), ("ml.c5.18xlarge", 90), ("ml.g5.xlarge", None)],
)
def test_a_machines_rate_grows_with_its_processors(instance_type: str, rate: float | None) -> None:
    assert fine_tuning_rate(instance_type) == rate


def test_defaults_are_those_of_the_mode_and_what_is_set_stays() -> None:
    names = ("label_smoothing", "ema", "mixup")
    for overrides, expected in (
        ({}, (0.0, 0.0, 0.0)),
        ({"training.mode": "finetune"}, (0.1, 0.9998, 0.2)),
        ({"training.mode": "finetune", "training.ema": "0", "training.label_smoothing": "0.05"}, (0.05, 0.0, 0.2)),
        ({"training.mode": "finetune", "training.ema": ""}, (0.1, 0.9998, 0.2)),
    ):
        training = settings(**overrides).training
        assert tuple(getattr(training, name) for name in names) == expected


def test_fewer_trials_than_run_at_once_by_default_are_no_mistake() -> None:
    assert settings(**{"tuning.trials": "1"}).tuning.trials == 1
    four = {"tuning.trials": "2", "tuning.parallel_trials": "4"}
    with pytest.raises(SettingsError, match="parallel_trials=4 must not exceed trials=2"):
        settings(**four)


def test_every_wrong_setting_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        settings(**{"training.epochs": "0", "api.rate": "0"})
    assert "training.epochs" in str(refused.value)
    assert "api.rate" in str(refused.value)


def test_a_section_that_is_no_object_is_refused() -> None:
    with pytest.raises(SettingsError, match="training"):
        Settings.from_context({"environments": {"dev": {"training": 3}}})


@pytest.mark.parametrize("key", ["@aws-cdk/core:x", "@aws-cdk-containers/x:y", "aws:cdk:enable-path-metadata"])
def test_cdks_own_context_is_passed_over(key: str) -> None:
    assert settings(**{key: "true"}) == settings()


def test_parameters_of_rules_are_read_from_cdk_json_and_from_the_command_line() -> None:
    text = settings(
        **{"debugger.parameters": "Overfit.patience=2,Overtraining.delta=0.5,ExplodingTensor.only_nan=true"}
    )
    expected = {"Overfit": {"patience": 2}, "Overtraining": {"delta": 0.5}, "ExplodingTensor": {"only_nan": True}}
    assert text.debugger.parameters == expected
    context = {"environments": {"dev": {"debugger": {"parameters": expected}}}}
    assert Settings.from_context(context).debugger.parameters == expected
    with pytest.raises(SettingsError, match="is no mapping of parameters"):
        Settings.from_context({"environments": {"dev": {"debugger": {"parameters": {"Overfit": 2}}}}})


def test_only_parameters_that_differ_from_sagemakers_defaults_are_passed_on() -> None:
    chosen = settings(**{"debugger.parameters": "Overfit.patience=3,Overfit.start_step=0"}).debugger
    ours = contract.DEFAULT_PARAMETERS["features"].get("Overfit", {})
    assert chosen.parameters_of("Overfit", "features") == {
        name: value
        for name, value in {**ours, "patience": 3, "start_step": 0}.items()
        if value != contract.RULES["Overfit"].defaults[name]
    }


def test_without_rules_those_of_the_mode_are_evaluated() -> None:
    chosen = settings().debugger
    for mode in contract.MODES:
        debug, profiler = chosen.evaluated(mode, "tensor"), chosen.evaluated(mode, "profiler")
        assert debug + profiler == contract.DEFAULT_RULES[mode]
        assert "Overfit" in debug
        assert "CPUBottleneck" in profiler
    one = settings(**{"debugger.rules": "Overfit", "debugger.block": ""}).debugger
    assert (one.evaluated("finetune"), one.block) == (("Overfit",), ())


def test_signs_change_the_default_rules_and_leave_the_others() -> None:
    chosen = settings(**{"debugger.rules": "+Confusion,-Overtraining"}).debugger
    for mode in contract.MODES:
        assert set(chosen.evaluated(mode)) == {*contract.DEFAULT_RULES[mode], "Confusion"} - {"Overtraining"}
    one = settings(**{"debugger.rules": "-StepOutlier"}).debugger
    expected = tuple(rule for rule in contract.DEFAULT_RULES["finetune"] if rule != "StepOutlier")
    assert one.evaluated("finetune") == expected
    assert (
        settings(**{"debugger.rules": "+Overfit"}).debugger.evaluated("features") == contract.DEFAULT_RULES["features"]
    )
    in_cdk_json = {"environments": {"dev": {"debugger": {"rules": ["+Confusion", "-Overtraining"]}}}}
    assert Settings.from_context(in_cdk_json).debugger.rules == chosen.rules


def test_signs_change_which_rules_block() -> None:
    chosen = settings(**{"debugger.rules": "-Overfit", "debugger.block": "-Overfit,+AllZero"}).debugger
    expected = {*contract.BLOCKING_RULES, "AllZero"} - {"Overfit"}
    assert (set(chosen.block), len(chosen.block)) == (expected, len(expected))


def test_a_rule_that_sagemaker_does_not_know_blocks_only_where_this_project_evaluates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rule = contract.Rule(
        name="LossPlateau", kind="tensor", fires_when="the loss is flat", evaluators=("own",), on_in=()
    )
    monkeypatch.setitem(contract.RULES, "LossPlateau", rule)
    chosen = {"debugger.rules": "+LossPlateau", "debugger.block": "+LossPlateau"}
    for mode in ("auto", "managed"):
        assert (
            settings(**{"debugger.rules": "+LossPlateau", "debugger.mode": mode}).debugger.evaluator("features") == mode
        )
        with pytest.raises(SettingsError, match="LossPlateau, which SageMaker Debugger cannot evaluate, and with"):
            settings(**chosen, **{"debugger.mode": mode})
    own = settings(**chosen, **{"debugger.mode": "own"}).debugger
    assert "LossPlateau" in own.block
    assert "LossPlateau" in own.tensor_rules("features")
    # where SageMaker has nothing to evaluate, this project is the evaluator whatever the mode
    alone = settings(**{"debugger.rules": "LossPlateau", "debugger.block": "LossPlateau"}).debugger
    assert alone.evaluator("features") == "own"


def test_what_blocks_is_of_no_effect_without_a_debugger() -> None:
    off = settings(**{"debugger.mode": "off", "debugger.rules": "Overfit"}).debugger
    assert off.block == contract.BLOCKING_RULES


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"release.max_error_share": "0.1"},
            "release.max_error_share=0.1 is no less than the first step of release.canary_percent=10",
        ),
        (
            {"release.rollout": "linear", "release.linear_percent": "20", "release.max_error_share": "0.3"},
            "release.linear_percent=20: if the new model failed every request, 20 % of all would fail",
        ),
        (
            {"release.rollout": "linear", "release.linear_percent": "10", "release.bake_minutes": "30"},
            "after each of the 10 steps of release.linear_percent=10 makes 300 minutes, and at most 240 are possible",
        ),
        ({"serving.mode": "serverless"}, "release.rollout cannot be set with serving.mode=serverless"),
    ],
)
def test_a_rollout_that_cannot_be_guarded_is_refused(given: dict[str, str], told: str) -> None:
    chosen = {"serving.mode": "realtime", "release.rollout": "canary", **given}
    with pytest.raises(SettingsError, match=told):
        settings(**chosen)


def test_all_at_once_has_no_first_step_that_hides_an_error() -> None:
    chosen = {"serving.mode": "realtime", "release.rollout": "all_at_once", "release.max_error_share": "0.9"}
    assert settings(**chosen).release.bakes == 1


@pytest.mark.parametrize(("most", "scales"), [("", False), ("2", False), ("3", True)])
def test_an_endpoint_scales_where_it_may_have_more_instances_than_the_fewest(most: str, scales: bool) -> None:
    chosen = settings(**{"serving.mode": "realtime", "release.instance_count": "2", "scaling.max_instances": most})
    assert chosen.scales is scales
    assert chosen.most_instances == max(2, int(most or 0))
    fleet_quota = [need for need in machines(chosen)["quotas"] if need["phase"] == "release"]
    assert {(need["instances"], need["setting"]) for need in fleet_quota} == {
        (3, "scaling.max_instances") if scales else (2, "release.instance_count")
    }


def test_runs_that_wait_for_drift_which_nothing_looks_for_are_told(tmp_path: Path) -> None:
    waiting = {"triggers.drift": "true"}
    checked = waiting | {"serving.mode": "realtime", "monitoring.capture_percent": "10"}
    assert "nothing checks for drift" in warnings(waiting, tmp_path / "unchecked")
    assert "nothing checks for drift" in warnings(checked | {"monitoring.drift_hours": ""}, tmp_path / "captured")
    assert "nothing checks" not in warnings(checked, tmp_path / "checked")
