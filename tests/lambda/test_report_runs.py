"""The report beside other runs: the trend, the photos that got better or worse, and files of earlier versions."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from contract import run_id, triggered_name
from tests.fakes.report_files import EARLIER, EXECUTION, RUN, START
from tests.fakes.report_page import Parsed
from tests.fakes.report_run import FakeStepFunctions, changed, files
from tests.fakes.s3 import client_error


def test_the_trend_shows_the_runs_that_came_to_a_decision_and_marks_other_photos(write: Any) -> None:
    page = Parsed(write(files()))
    shown = page.charts["trend"]
    earlier = [run_id(name, started=START - timedelta(days=days + 2)) for days, name in enumerate(EARLIER)]
    assert [entry["run"] for entry in shown] == [*reversed(earlier), RUN], "the oldest first, without the failed one"
    assert [entry["same_photos"] for entry in shown] == [False, True, True, True]
    assert [entry["accepted"] for entry in shown] == [True, False, True, True]
    assert [entry["this"] for entry in shown] == [False, False, False, True]
    assert shown[-1]["interval"] == {"low": 0.79, "high": 0.87, "level": 0.95}
    assert "370 others" in page.sections["trend"]
    assert page.sections["trend"].count("rejected") == 1


def test_no_more_than_the_last_runs_are_read(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("report.sections.trend.RUNS_SHOWN", 2)
    assert len(Parsed(write(files())).charts["trend"]) == 2


def test_a_first_run_and_a_list_that_is_refused_are_said(write: Any) -> None:
    class First(FakeStepFunctions):
        def list_executions(self, **named: Any) -> dict[str, Any]:
            return {"executions": super().list_executions(**named)["executions"][:1]}

    class Refusing(FakeStepFunctions):
        def list_executions(self, **_: Any) -> dict[str, Any]:
            raise client_error("AccessDeniedException", "not authorised")

    assert "no earlier run" in Parsed(write(files(), stepfunctions=First())).sections["trend"]
    assert "not authorised" in Parsed(write(files(), stepfunctions=Refusing())).sections["trend"]


def test_photos_that_got_better_or_worse_are_shown_with_both_answers(write: Any) -> None:
    page = Parsed(write(files()))
    shown = " ".join(page.sections["comparison"].split())
    assert "Got better dress before taken for hat test/gained-0.jpg" in shown
    assert "Got worse dress now taken for hat test/dress/00000.jpg" in shown
    assert "no picture" not in shown, "those of the gained photos come from the other run, which got them wrong"
    assert "On the 370 photos that both were tested on" in shown


def test_files_of_an_earlier_version_still_make_every_section(write: Any) -> None:
    """They lack the members that came with honest numbers and the data doctor."""
    objects = files()
    key = f"runs/{RUN}/results/evaluation.json"
    evaluation = json.loads(objects[key])
    for name in ("near_copies", "by_group", "unknown", "coverage", "validation_images"):
        del evaluation[name]
    for scores in evaluation["per_class"]:
        del scores["recall_interval"]
    objects[key] = json.dumps(evaluation).encode()

    key = f"runs/{RUN}/decision.json"
    decision = json.loads(objects[key])
    del decision["undecided"]
    for name in ("images", "old_accuracy", "new_accuracy", "gained", "lost"):
        del decision["in_service"][name]
    objects[key] = json.dumps(decision).encode()

    key = f"runs/{RUN}/manifest/dataset.json"
    summary = json.loads(objects[key])
    for name in ("left_out", "in_two_classes", "remarks"):
        del summary[name]
    objects[key] = json.dumps(summary).encode()
    for name in ("check.json", "thumbnails.json", "test_predictions.csv"):
        del objects[f"runs/{RUN}/results/{name}"]

    page = Parsed(write(objects))
    assert "could not be made" not in page.text
    assert "lacks" not in page.text
    assert "Test accuracy" in page.sections["outcome"]
    assert "Recall" in page.sections["classes"]
    assert "test/dress/00000.jpg" in page.sections["mistakes"], "the hardest mistakes are in the evaluation"
    assert "1,830 photos" in page.sections["dataset"]
    assert "Photos only it gets right 11 6" in page.sections["comparison"]
    assert "did not measure" in page.sections["unknown"]


def test_what_the_model_does_not_know_is_shown_beside_what_it_promised(write: Any) -> None:
    page = Parsed(write(files()))
    shown = " ".join(page.sections["unknown"].split())
    assert "94.0% count as known; the threshold is set for 95.0%" in shown
    assert "Of those 88.0% are classified correctly, of the others 41.0%" in shown
    assert "90% 91.2% 1.2" in shown
    assert "95% 94.7% 1.7" in shown
    assert "1.6 unknown" in shown
    assert page.charts["answered"]["curve"][0]["answered"] == 0.1

    objects = changed(files(), "results/evaluation.json", unknown=None)
    only_sets = Parsed(write(objects))
    assert "answered" not in only_sets.charts
    assert "95% 94.7% 1.7" in only_sets.sections["unknown"]


def test_the_recall_of_each_class_is_drawn_with_its_interval(write: Any) -> None:
    page = Parsed(write(files()))
    ranges = [attributes for _, attributes in page.tags if attributes.get("class") == "range"]
    assert len(ranges) == 10
    assert all(attributes["title"].endswith("to 100%") for attributes in ranges if attributes["title"])


def test_a_run_that_no_person_started_says_what_did(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Started by" not in Parsed(write(files())).sections["provenance"]
    name = triggered_name("drift", "an event")
    monkeypatch.setattr("tests.fakes.report_run.EXECUTION", f"{EXECUTION.rpartition(':')[0]}:{name}")
    assert "Started by drift" in " ".join(Parsed(write(files())).sections["provenance"].split())
