"""The report of a run that came to its end, section by section."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

import contract
from tests.fakes.report_files import CLASSES, RUN
from tests.fakes.report_page import LIBRARY, SECTIONS, Parsed
from tests.fakes.report_run import FakeSageMaker, changed, event, files
from tests.fakes.s3 import etag


def test_a_complete_run_fills_every_section(write: Any) -> None:
    page = Parsed(write(files()))
    assert list(page.sections) == SECTIONS
    assert [attributes for _, attributes in page.tags if attributes.get("class") == "missing"] == []
    assert "Accepted, and released on whippet-dev" in page.sections["outcome"]
    assert "Overtraining found an issue at step 460" in page.sections["outcome"]
    assert "int8 served 85.71%" in page.sections["serving"]
    assert "fp32 86.03% 85.41% 13.5 MB 17.9 ms" in page.sections["serving"]
    assert "validation accuracy 0.8571 against 0.8603 in fp32" in page.sections["serving"]
    assert "16 trials on ml.c5.xlarge" in page.sections["tuning"]
    assert "AlgorithmError: the loss is not a number" in page.sections["tuning"]
    assert all(name in page.sections["classes"] for name in CLASSES)
    assert "one-sided exact McNemar" in page.sections["comparison"]
    assert "A smaller machine would do" in page.sections["profile"]
    assert "1,830 photos of 10 classes" in page.sections["dataset"]
    assert "model-package/whippet-dev/7" in page.sections["provenance"]
    assert set(page.charts) == {
        "trials", "curves", "confusion", "calibration", "phases", "steps", "timeline", "dataset", "trend", "answered",
    }  # fmt: skip


@pytest.mark.parametrize(("wanted", "said"), [("auto", True), ("none", False)])
def test_weighted_classes_are_said_with_the_reason(write: Any, wanted: str, said: bool) -> None:
    classes = [{"name": name, "train": count, "validation": 9, "test": 9} for name, count in (("cat", 72), ("dog", 10))]
    objects = changed(files(), "manifest/dataset.json", classes=classes)
    plan = event()["run"]["plan"]
    plan["hyperparameters"] |= {"class_weights": wanted}
    page = Parsed(write(objects, plan=plan))
    assert ("imbalance 7.2:1" in page.sections["dataset"]) == said
    assert ("set class_weights to none" in page.sections["dataset"]) == said


def test_a_run_of_a_version_without_class_weights_still_has_its_data_set(write: Any) -> None:
    plan = event()["run"]["plan"]
    del plan["hyperparameters"]["class_weights"]
    assert "1,830 photos of 10 classes" in Parsed(write(files(), plan=plan)).sections["dataset"]


@pytest.mark.parametrize(
    ("served", "state", "takes"),
    [(False, "Mirror averaging is off", "would take"), (True, "Mirror averaging is on", "takes")],
)
def test_the_page_says_what_mirror_averaging_brings_and_costs(write: Any, served: bool, state: str, takes: str) -> None:
    objects = files()
    mirror = json.loads(objects[f"runs/{RUN}/results/evaluation.json"])["mirror_averaging"]
    objects = changed(objects, "results/evaluation.json", mirror_averaging=mirror | {"served": served})
    serving = Parsed(write(objects)).sections["serving"]
    assert state in serving
    assert f"On 256 validation photos, in fp32, it {takes} the accuracy from 85.94% to 86.72%" in serving
    assert "(standard error of the difference 0.78%)" in serving
    assert "the loss from 0.431 to 0.421 (0.0061), and a photo from 17.9 ms to 35.2 ms" in serving


@pytest.mark.parametrize(
    ("served", "says"),
    [
        (True, "The fine-tuned network is served."),
        (False, "The fine-tuned network is not served: a logistic regression"),
    ],
)
def test_the_page_says_whether_the_fine_tuned_network_is_served(write: Any, served: bool, says: str) -> None:
    comparison = {"served": served, "network_loss": 0.4712, "head_loss": 0.4341, "images": 160}
    serving = Parsed(write(changed(files(), "results/evaluation.json", fine_tuning=comparison))).sections["serving"]
    assert says in serving
    assert (
        "On 160 validation photos, the network has a calibrated loss of 0.471 and the logistic regression of 0.434"
        in serving
    )
    assert "fine-tuned" not in Parsed(write(files())).sections["serving"]


def test_mirror_averaging_is_not_spoken_of_where_mirror_images_mean_something_else(write: Any) -> None:
    objects = changed(files(), "results/evaluation.json", mirror_averaging=None)
    page = Parsed(write(objects))
    assert "Served as" in page.sections["serving"]
    assert "irror" not in page.sections["serving"]


def test_every_file_that_was_left_out_is_named(write: Any) -> None:
    """They were counted only."""
    page = Parsed(write(files()))
    shown = " ".join(page.sections["photos"].split())
    assert "train counts as a class, since it holds its photos itself." in shown
    assert "Left out: 5 files, of which 3 are copies of a photo in another split" in shown
    assert "a/notes <b>.txt it is no photo by its name" in shown
    assert "a/1.heic HEIC is not read; convert it to JPEG" in shown
    assert "train/a/2.jpg it is the same photo as test/a/2.jpg in the test split" in shown
    assert "All are in s3://data/runs/run-7-5c694/manifest/left_out.csv" in shown
    assert "a/7.jpg = b/7.jpg" in shown
    (link,) = [attributes["href"] or "" for tag, attributes in page.tags if tag == "a" and "/s3/" in str(attributes)]
    assert link.endswith("/s3/object/data?region=eu-west-1&prefix=runs/run-7-5c694/manifest/left_out.csv")

    objects = changed(files(), "manifest/dataset.json", stray_files=900)
    assert "The first of them; all are in" in " ".join(Parsed(write(objects)).sections["photos"].split())
    objects = changed(files(), "manifest/dataset.json", stray_files=0, duplicates_across_splits=0, left_out=[])
    assert "No file was left out." in Parsed(write(objects)).sections["photos"]


def test_photos_that_were_changed_under_the_run_are_told(write: Any) -> None:
    def told(*photos: tuple[str, str]) -> str:
        lines = [json.dumps({"path": path, "label": 0, "split": "train", "etag": etag}) for path, etag in photos]
        there = {f"dataset/{path}": body.encode() for path, body in (("a/1.jpg", "one"), ("a/2.jpg", "two"))}
        manifest = {f"runs/{RUN}/manifest/manifest.jsonl": "\n".join(lines).encode()}
        return " ".join(Parsed(write(files() | there | manifest)).sections["photos"].split())

    same = [("a/1.jpg", etag(b"one")), ("a/2.jpg", etag(b"two"))]
    assert "were changed" not in told(*same)
    assert "were changed" not in told(same[0]), "a photo that came later is in no job"
    assert "or since: 1 gone (a/0.jpg); 1 with other content (a/2.jpg). If" in told(
        ("a/0.jpg", "x"), same[0], ("a/2.jpg", "before")
    )
    assert "Left out: 5 files" in " ".join(Parsed(write(files())).sections["photos"].split()), "without a manifest"


def test_every_chart_has_its_data_and_a_text_for_those_who_do_not_see_it(write: Any) -> None:
    page = Parsed(write(files()))
    drawn = [attributes for _, attributes in page.tags if "data-chart" in attributes]
    assert len(drawn) == 14
    assert {attributes["data-source"] for attributes in drawn} == set(page.charts)
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in drawn)
    assert all(attributes["alt"] for tag, attributes in page.tags if tag == "img")
    assert all(attributes.get("scope") for tag, attributes in page.tags if tag == "th")


def test_the_page_needs_nothing_but_itself(write: Any) -> None:
    text = write(files())
    assert LIBRARY in text
    for tag, attributes in Parsed(text).tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        if tag == "a" and (attributes["href"] or "").startswith("https://eu-west-1.console.aws.amazon.com/s3/"):
            continue  # it leads somewhere, but nothing is loaded from there
        for name in ("src", "href", "srcset", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/jpeg;base64,"))
    assert "url(" not in text
    assert "@import" not in text


def test_the_trials_charts_and_importance_leave_out_the_failed_trial(write: Any) -> None:
    page = Parsed(write(files()))
    search = page.charts["trials"]
    assert [trial["number"] for trial in search["trials"]] == [n for n in range(1, 17) if n != 4]
    best = max(search["trials"], key=lambda trial: float(trial["objective"]))
    assert [trial["number"] for trial in search["trials"] if trial["best"]] == [best["number"]]
    rate, batch = search["parameters"]
    assert (rate["name"], rate["scale"], rate["low"], rate["high"]) == ("learning_rate", "log", 0.001, 0.1)
    assert (batch["name"], batch["choices"]) == ("batch_size", ["16", "32", "64", "128", "256", "512"])
    # The fake objective is a parabola through the learning rate's logarithm and hardly depends on the batch size.
    explained = re.search(r"learning rate (\d+)% .*batch size (\d+)%", page.sections["tuning"])
    assert explained
    assert int(explained[1]) > 60 > 40 > int(explained[2])


@pytest.mark.parametrize(
    ("best", "edges"),
    [
        ({"learning_rate": "0.01", "batch_size": "64"}, ""),
        ({"learning_rate": "0.0986", "batch_size": "64"}, "learning rate"),
        ({"learning_rate": "0.0012", "batch_size": "16"}, "learning rate and batch size"),
        ({"learning_rate": "0.05", "batch_size": '"512"'}, "batch size"),
    ],
)
def test_a_best_trial_at_the_edge_of_a_range_is_said(write: Any, best: dict[str, str], edges: str) -> None:
    class AtEdge(FakeSageMaker):
        def _trials(self) -> list[dict[str, Any]]:
            trials = super()._trials()
            objectives = [trial.get("FinalHyperParameterTuningJobObjectiveMetric", {"Value": 0}) for trial in trials]
            highest = max(range(len(trials)), key=lambda number: float(objectives[number]["Value"]))
            trials[highest]["TunedHyperParameters"] = best
            return trials

    said = re.search(
        r"at the edge of the range of ([a-z ]+):", Parsed(write(files(), sagemaker=AtEdge())).sections["tuning"]
    )
    assert (said[1] if said else "") == edges


class OfLosses(FakeSageMaker):
    """A search by the validation loss, 0.5 at best; other trials lie these distances behind, and the fourth failed."""

    def __init__(self, *behind: float) -> None:
        super().__init__(trials=1 + len(behind))
        self._losses = [0.5, *(0.5 + distance for distance in behind)]

    def describe_hyper_parameter_tuning_job(self, **named: Any) -> dict[str, Any]:
        answer = super().describe_hyper_parameter_tuning_job(**named)
        objective = {"MetricName": "validation:loss", "Type": "Minimize"}
        answer["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"] = objective
        answer["BestTrainingJob"] = {"TrainingJobName": self._trials()[0]["TrainingJobName"]}
        return answer

    def _trials(self) -> list[dict[str, Any]]:
        trials = super()._trials()
        for trial, loss in zip(trials, self._losses, strict=True):
            if "FinalHyperParameterTuningJobObjectiveMetric" in trial:
                trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] = loss
        return trials


@pytest.mark.parametrize(
    ("behind", "said"),
    [
        ((0.039, 0.0, 0.0, 0.7), "2 of the 3 others lie within one standard error of the best trial's loss (0.04,"),
        ((0.039, 0.9), "1 of the 2 others lies within one standard error"),
        ((0.041, 0.9), "None of the 2 others lies within one standard error"),
        ((), ""),
    ],
)
def test_the_best_trial_is_judged_with_the_standard_error_of_its_loss(
    write: Any, behind: tuple[float, ...], said: str
) -> None:
    history = b"epoch,train_loss,validation_loss,validation_loss_error,validation_accuracy,kept\n1,1,0.5,0.04,0.9,1"
    objects = files() | {f"runs/{RUN}/results/history.csv": history}
    tuning = Parsed(write(objects, sagemaker=OfLosses(*behind))).sections["tuning"]
    assert said in tuning
    assert ("one standard error" in tuning) == bool(said)
    # an accuracy has no such error, nor does a run whose training left no history
    assert "one standard error" not in Parsed(write(objects)).sections["tuning"]
    del objects[f"runs/{RUN}/results/history.csv"]
    without = Parsed(write(objects, sagemaker=OfLosses(*behind))).sections["tuning"]
    assert "one standard error" not in without
    assert "Bayesian search" in without


def test_the_trials_show_their_backbones_where_these_were_searched(write: Any) -> None:
    backbones = ("resnet18", "resnet50")

    class OfBackbones(FakeSageMaker):
        def describe_hyper_parameter_tuning_job(self, **named: Any) -> dict[str, Any]:
            answer = super().describe_hyper_parameter_tuning_job(**named)
            ranges = contract.parameter_ranges(backbones=backbones)
            answer["HyperParameterTuningJobConfig"]["ParameterRanges"] = ranges
            return answer

        def _trials(self) -> list[dict[str, Any]]:
            trials = super()._trials()
            for number, trial in enumerate(trials):
                trial["TunedHyperParameters"]["backbone"] = f'"{backbones[number % 2]}"'
            return trials

    page = Parsed(write(files(), sagemaker=OfBackbones()))
    table = page.sections["tuning"].split("Trials")[1]
    assert (table.count("resnet18"), table.count("resnet50")) == (8, 8)
    assert "search of learning rate, batch size, backbone over 16 trials" in page.sections["tuning"]
    (backbone,) = (given for given in page.charts["trials"]["parameters"] if given["name"] == "backbone")
    assert (backbone["scale"], backbone["choices"]) == ("choice", ["resnet18", "resnet50"])


def test_a_trial_that_diverged_stands_in_the_table_alone(write: Any) -> None:
    class Diverged(FakeSageMaker):
        def _trials(self) -> list[dict[str, Any]]:
            trials = super()._trials()
            trials[6]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] = float("nan")
            return trials

    page = Parsed(write(files(), sagemaker=Diverged()))
    assert 7 not in [trial["number"] for trial in page.charts["trials"]["trials"]]
    assert "not a number" in page.sections["tuning"].split("Trials")[1]
    assert "With 14 trials" in page.sections["tuning"]


def test_a_rejected_model_is_told_with_the_blocking_rule(write: Any) -> None:
    objects = files()
    key = f"runs/{RUN}/decision.json"
    decision = json.loads(objects[key])
    decision |= {"accepted": False, "approval": "Rejected", "reasons": ["ExplodingTensor: NaN in fc.weight at step 3."]}
    decision["rules"][0] |= {"status": "IssuesFound", "detail": "NaN in fc.weight", "step": 3}
    objects[key] = json.dumps(decision).encode()
    failure = {"Verdict": {"Error": "ModelRejected", "Cause": '{"errorMessage": "ExplodingTensor"}'}}
    page = Parsed(write(objects, failure=failure, smoke_test=None, package=None))
    assert "Rejected: the model was not released" in page.sections["outcome"]
    assert "NaN in fc.weight at step 3" in page.sections["outcome"]
    assert page.sections["rules"].index("ExplodingTensor") < page.sections["rules"].index("Overtraining")
    assert "blocking" in page.sections["rules"].split("Overtraining")[0]
    assert "released no endpoint" in page.sections["cost"]


def test_too_few_test_photos_are_no_rejection(write: Any) -> None:
    objects = files()
    key = f"runs/{RUN}/decision.json"
    decision = json.loads(objects[key])
    decision |= {"accepted": False, "undecided": True, "reasons": ["Too few test photos to tell: 0.83 on 18 photos."]}
    decision["checks"][0]["outcome"] = "undecided"
    objects[key] = json.dumps(decision).encode()
    failure = {"TooFewTestPhotos": {"Error": "TooFewTestPhotos", "Cause": "Too few test photos to tell"}}
    outcome = Parsed(write(objects, failure=failure, smoke_test=None)).sections["outcome"]
    assert "Undecided: too few test photos to tell, so the model was not released" in outcome
    assert "Too few test photos to tell: 0.83 on 18 photos." in outcome
    assert "? undecided" in outcome
    assert "Rejected" not in outcome


def test_a_model_that_a_person_turned_down_is_rejected_for_the_reason_given(write: Any) -> None:
    failure = {"Approval": {"Error": "ModelRejected", "Cause": "too many shirts among the pants"}}
    page = Parsed(write(files(), failure=failure, smoke_test=None))
    assert "Rejected" in page.sections["outcome"]
    assert "Approval: too many shirts among the pants" in page.sections["outcome"]


@pytest.mark.parametrize(
    ("approval", "failure", "says"),
    [
        ({"approved": True}, None, "Accepted, and released on whippet-dev approved by a person"),
        (
            {"Error": "States.Timeout"},
            {"ApprovalTimedOut": {"Error": "ApprovalTimedOut", "Cause": "Nobody answered within 24 hours."}},
            "Rejected: the model was not released a person was asked for approval",
        ),
    ],
)
def test_an_approval_is_told_with_its_answer(write: Any, approval: Any, failure: Any, says: str) -> None:
    objects = changed(files(), "decision.json", approval="PendingManualApproval")
    verdict = Parsed(write(objects, approval=approval, failure=failure)).sections["outcome"]
    assert says in " ".join(verdict.split())
    assert ("Nobody answered" in verdict) is (failure is not None)


def test_the_profile_is_a_page_of_its_own_too(write: Any) -> None:
    page = Parsed(write(files(), page="profile.html"))
    assert list(page.sections) == ["profile"]
    assert set(page.charts) == {"phases", "steps", "timeline"}


def test_the_cost_is_machine_time_times_price(write: Any) -> None:
    page = Parsed(write(files(), sagemaker=FakeSageMaker(trials=1)))
    # Two jobs of 540 s on ml.c5.2xlarge, a trial of 62 or so, 95 s of ml.t3.large.
    assert page.sections["cost"].count("$0.0612") == 2
    assert "$0.0026" in page.sections["cost"]
    assert "$83.95 a month" in page.sections["cost"]


def test_an_endpoint_that_is_paused_may_cost_less_than_a_month(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is deleted and costs nothing" not in Parsed(write(files())).sections["cost"]
    monkeypatch.setenv("PAUSE_AFTER_HOURS", "12")
    cost = Parsed(write(files())).sections["cost"]
    assert "After 12 hours without a request it is deleted and costs nothing until somebody asks again" in cost


def test_a_machine_without_a_known_price_is_named_and_not_counted(write: Any) -> None:
    class Exotic(FakeSageMaker):
        def describe_training_job(self, **names: Any) -> dict[str, Any]:
            resources = {"InstanceType": "ml.q9.huge", "InstanceCount": 2}
            return super().describe_training_job(**names) | {"ResourceConfig": resources}

    cost = Parsed(write(files(), sagemaker=Exotic())).sections["cost"]
    assert "2 \N{MULTIPLICATION SIGN} ml.q9.huge" in cost
    assert "no price known" in cost
    assert "without ml.q9.huge" in cost


def test_rules_that_no_decision_lists_yet_are_read_from_the_jobs(write: Any) -> None:
    objects = files()
    del objects[f"runs/{RUN}/decision.json"]
    found = {"rule": "Overfit", "status": "IssuesFound", "detail": "ratio 0.4", "step": 90, "evaluator": "own"}
    objects[f"runs/{RUN}/rules/rules.json"] = json.dumps({"results": [found], "seconds": 2.0}).encode()
    page = Parsed(write(objects, failure={"Verdict": {"Error": "x", "Cause": "y"}}))
    assert "ratio 0.4" in page.sections["rules"]
    assert "StepOutlier" in page.sections["rules"]


def test_without_a_debugger_the_rules_say_so(write: Any) -> None:
    objects = changed(files(), "decision.json", rules=[], debugger="off")
    assert "the debugger is off" in Parsed(write(objects)).sections["rules"]
