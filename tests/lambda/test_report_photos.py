"""The report's first section: the photos that a person should look at, and what to do about them."""

from __future__ import annotations

import json
from typing import Any

import pytest

import contract
from tests.fakes.report_files import RUN
from tests.fakes.report_page import Parsed
from tests.fakes.report_run import changed, event, files

CHECK = f"runs/{RUN}/results/check.json"


def photos(page: str) -> str:
    return " ".join(Parsed(page).sections["photos"].split())


def test_suspected_photos_come_first_with_pictures_labels_and_what_to_do(write: Any) -> None:
    page = Parsed(write(files()))
    assert list(page.sections)[:2] == ["outcome", "photos"]
    shown = " ".join(page.sections["photos"].split())
    assert "Look at 33 of 1,830 photos" in shown
    assert "whippet check FOLDER --apply LIST" in shown
    assert "Suspected labels: 30" in shown
    assert f"The {contract.REPORTED_FINDINGS['label']} strongest suspicions are shown" in shown
    assert "in dress , looks like hat train/a/flipped-0.jpg (train)" in shown
    assert "train/a/flipped-24.jpg" not in shown
    assert "the same picture as train/a/1.jpg" in shown
    assert "Unreadable: 1" in shown
    assert "train/a/cut.jpg the features job could not read it" in shown
    assert "train/a/moon.jpg" in shown
    assert "The class hat has 9 photos, where the largest has 120." in shown
    assert shown.index("Suspected labels") < shown.index("Copies") < shown.index("Unreadable") < shown.index("Odd ones")


def test_test_photos_that_the_model_has_nearly_seen_are_shown_beside_those_it_has_seen(write: Any) -> None:
    shown = photos(write(files()))
    assert "Test photos that the model has nearly seen: 3" in shown
    assert "On the 367 other test photos the accuracy is 81.0% (77.0% to 85.0%)" in shown
    assert "test/a/copy-1.jpg is like train/a/1.jpg (cosine 0.98)" in shown
    none: dict[str, Any] = {
        "images": 0,
        "others": 370,
        "accuracy_of_others": 0.8,
        "interval_of_others": None,
        "examples": [],
    }
    for found in (None, none):
        assert "nearly seen" not in photos(write(changed(files(), "results/evaluation.json", near_copies=found)))


@pytest.mark.parametrize(
    ("images", "mode", "changes", "why"),
    [
        (250_000, "features", {}, "A training examines at most 100,000 photos, and this data set has 250,000."),
        (1830, "finetune", {}, "The training left no check.json"),
        (1830, "features", {"training": None}, "The run did not come to its training"),
        (1830, "features", {}, "The training left no check.json"),
    ],
)
def test_without_an_examination_the_page_says_why(
    write: Any, images: int, mode: str, changes: dict[str, Any], why: str
) -> None:
    objects = changed(files(), "manifest/dataset.json", images=images)
    del objects[CHECK]
    plan = event()["run"]["plan"]
    plan["hyperparameters"] |= {"mode": mode}
    shown = photos(write(objects, plan=plan, **changes))
    assert f"The photos were not examined. {why}" in shown
    assert "Left out: 5 files" in shown, "what is known without it"


def test_two_copies_are_one_entry(write: Any) -> None:
    """Where their classes differ, each of them is a finding."""
    (copy,) = (finding for finding in json.loads(files()[CHECK])["findings"] if finding["kind"] == "copy")
    turned = copy | {"path": copy["other"], "other": copy["path"], "reason": "the other way round"}
    shown = photos(write(changed(files(), "results/check.json", findings=[copy, turned])))
    assert "Copies: 1" in shown
    assert "the other way round" not in shown

    twice = [[copy["path"], copy["other"]]]
    objects = changed(files(), "results/check.json", findings=[copy, turned])
    shown = photos(write(changed(objects, "manifest/dataset.json", in_two_classes=twice)))
    assert "Copies" not in shown, "they are among the photos in more than one class"
    assert f"{copy['path']} = {copy['other']}" in shown


def test_a_healthy_data_set_is_called_so(write: Any) -> None:
    shown = photos(write(changed(files(), "results/check.json", findings=[])))
    assert "Nothing is suspected of the 1,830 photos" in shown


def test_a_run_that_failed_over_changed_photos_says_so_with_its_verdict(write: Any) -> None:
    line = json.dumps({"path": "a/1.jpg", "label": 0, "split": "train", "etag": "before"}).encode()
    objects = files() | {"dataset/a/1.jpg": b"after", f"runs/{RUN}/manifest/manifest.jsonl": line}
    failure = {"Train": {"Error": "x", "Cause": "the file is not in the dataset channel"}}
    for failed, told in ((failure, True), ({}, False)):
        page = Parsed(write(objects, failure=failed))
        assert ("The photos were changed while the run was going on" in page.sections["outcome"]) == told
        assert "or since: 1 with other content (a/1.jpg). If" in " ".join(page.sections["photos"].split())
    unchanged = Parsed(write(files(), failure=failure))
    assert "were changed" not in unchanged.sections["outcome"]


def test_paths_and_reasons_are_text_wherever_they_stand(write: Any) -> None:
    hostile = "</script><img src=x onerror=alert(1)>\"'{{7*7}}.jpg"
    check = json.loads(files()[CHECK])
    findings = [finding | {"path": hostile, "other": hostile, "reason": hostile} for finding in check["findings"]]
    objects = changed(files(), "results/check.json", findings=findings, remarks=[hostile])
    pair = {"path": hostile, "trained": hostile, "cosine": 1.0}
    copies = {"images": 1, "others": 9, "accuracy_of_others": None, "interval_of_others": None, "examples": [pair]}
    objects = changed(objects, "results/evaluation.json", near_copies=copies)
    left_out = [{"path": hostile, "reason": hostile}]
    objects = changed(objects, "manifest/dataset.json", left_out=left_out, in_two_classes=[[hostile, "b"]])
    page = Parsed(write(objects))
    assert len(page.scripts) == 3
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.sections["photos"].count(hostile) >= 7


def test_a_finding_of_a_kind_or_class_that_is_not_known_takes_only_this_section_with_it(write: Any) -> None:
    check = json.loads(files()[CHECK])
    wrong = check["findings"][0] | {"label": 99}
    page = Parsed(write(changed(files(), "results/check.json", findings=[wrong])))
    assert "This section could not be made (IndexError" in page.sections["photos"]
    newer = check["findings"][0] | {"kind": "upside down"}
    page = Parsed(write(changed(files(), "results/check.json", findings=[newer])))
    assert "could not be made" not in page.sections["photos"]
