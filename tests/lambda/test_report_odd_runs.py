"""Reports of runs that failed, that lack files or a plan, or whose names were made to break the page."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import pytest

from tests.fakes.report_files import CLASSES, JOB, RUN
from tests.fakes.report_page import SECTIONS, Parsed
from tests.fakes.report_run import FakeSageMaker, changed, files
from tests.fakes.s3 import client_error

HOSTILE = "</script><img src=x onerror=alert(1)>\"'{{7*7}}"


def test_a_run_that_failed_at_its_start_has_a_page_that_says_where_and_why(write: Any) -> None:
    class Nothing(FakeSageMaker):
        def _check(self, job: str) -> None:
            self.without = [job]
            super()._check(job)

    failure = {"CheckDataset": {"Error": "BadDataset", "Cause": '{"errorMessage": "there is only one class"}'}}
    page = Parsed(
        write({}, sagemaker=Nothing(), failure=failure, plan=None, training=None, debugger=None, smoke_test=None)
    )
    assert list(page.sections) == SECTIONS
    assert "Failed in CheckDataset" in page.sections["outcome"]
    assert "there is only one class" in page.sections["outcome"]
    assert f"started no job {JOB}" in page.sections["tuning"]
    assert "left no results/evaluation.json" in page.sections["classes"]
    assert "used no machine" in page.sections["cost"]
    assert RUN in page.sections["provenance"]
    assert page.charts == {}


@pytest.mark.parametrize("name", sorted(name.split("/", 2)[2] for name in files() if not name.endswith(".jpg")))
@pytest.mark.parametrize("body", [None, b"", b"{", b"[]", b"{}", b'{"classes": 3, "rules": 7}', b"\xff\xfe", b"a,b\n1"])
def test_a_missing_or_broken_file_takes_no_other_section_with_it(write: Any, name: str, body: bytes | None) -> None:
    objects = files()
    key = f"runs/{RUN}/{name}"
    if body is None:
        del objects[key]
    else:
        objects[key] = body
    page = Parsed(write(objects))
    assert list(page.sections) == SECTIONS
    missing = [attributes for _, attributes in page.tags if attributes.get("class") == "missing"]
    assert len(missing) <= 6  # what evaluation.json alone is good for, and the verdict's figures
    assert "Bayesian search" in page.sections["tuning"]


def test_a_decision_of_another_version_is_named_and_the_verdict_says_what_is_known_without_it(write: Any) -> None:
    page = Parsed(write(files() | {f"runs/{RUN}/decision.json": b'{"accepted": true, "run": "run-7"}'}))
    assert "Ended without a decision" in page.sections["outcome"]
    assert "Test accuracy" in page.sections["outcome"]
    assert "decision.json cannot be read: it lacks approval, checks" in page.sections["comparison"]


def test_an_api_that_refuses_to_answer_is_told_in_the_sections_that_asked_it(write: Any) -> None:
    class Refusing(FakeSageMaker):
        def _check(self, job: str) -> None:
            raise client_error("AccessDeniedException", "not authorised")

    page = Parsed(write(files(), sagemaker=Refusing(), smoke_test=None))
    assert "not authorised" in page.sections["tuning"]
    assert "not authorised" in page.sections["cost"], "a sum without it would be too low"
    assert "Accepted" in page.sections["outcome"]


def test_names_are_text_wherever_they_stand(write: Any) -> None:
    names = [HOSTILE, *CLASSES[1:]]
    objects = changed(files(classes=names), "manifest/dataset.json", prefix=HOSTILE)
    failure = {HOSTILE: {"Error": HOSTILE, "Cause": HOSTILE}}
    text = write(objects, failure=failure, smoke_test={"endpoint": HOSTILE})
    page = Parsed(text)
    assert len(page.scripts) == 3
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    images = [attributes["src"] or "" for tag, attributes in page.tags if tag == "img"]
    assert all(source.startswith("data:image/jpeg;base64,") for source in images)
    assert page.charts["confusion"]["classes"][0] == HOSTILE
    assert HOSTILE in page.sections["classes"]
    assert HOSTILE in page.sections["outcome"]
    assert "49" not in page.sections["classes"].split(HOSTILE)[0]


def test_only_the_pages_own_scripts_may_run(write: Any) -> None:
    page = Parsed(write(files()))
    policy = next(a["content"] or "" for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    allowed = re.search(r"script-src ([^;]*);", policy)
    assert allowed
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in page.scripts[1:]]
    assert allowed[1].split() == [f"'sha256-{digest}'" for digest in digests]
    assert "default-src 'none'" in policy


def test_a_loss_that_is_not_a_number_is_a_gap_in_the_curve(write: Any) -> None:
    header = b"epoch,train_loss,validation_loss,validation_loss_error,validation_accuracy,kept"
    history = header + b"\n1,2.5,2.4,0.1,0.2,1\n2,nan,inf,nan,0.3,0"
    page = Parsed(write(files() | {f"runs/{RUN}/results/history.csv": history}))
    assert page.charts["curves"]["train_loss"] == [2.5, None]
    assert page.charts["curves"]["validation_loss"] == [2.4, None]
    assert "not a number" in page.sections["curves"]
    assert "Kept epoch: 1 of 2" in page.sections["curves"]


def test_two_hundred_classes_make_a_page_of_bearable_size(write: Any) -> None:
    names = [f"class {number}" for number in range(200)]
    text = write(files(classes=names, each=50))
    page = Parsed(text)
    assert len(text) < 700_000  # beside the charting library's 1.1 MB
    assert page.charts["confusion"]["totals"] == [50] * 200
    assert sum(count for _, _, count in page.charts["confusion"]["cells"]) == 10_000
    assert "class 199" in page.sections["classes"]


@pytest.mark.parametrize("picture", ["A" * 70_000, '"><img src=x onerror=alert(1)>', "", 7, None])
def test_what_cannot_be_a_thumbnail_is_left_out(write: Any, picture: object) -> None:
    key = f"runs/{RUN}/results/thumbnails.json"
    pictures = json.loads(files()[key])
    objects = files() | {key: json.dumps(pictures | {"train/a/moon.jpg": picture}).encode()}
    before, after = (len([tag for tag, _ in Parsed(write(o)).tags if tag == "img"]) for o in (files(), objects))
    assert before - after == 1


def test_the_pictures_of_a_page_have_a_bound_together(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("report.pictures.MAX_BYTES", 20_000)
    page = Parsed(write(files()))
    assert 10_000 < sum(len(a["src"] or "") for tag, a in page.tags if tag == "img") < 25_000
    assert "no picture" in page.sections["mistakes"]


def test_a_run_that_never_got_a_plan_is_named_after_its_execution(write: Any) -> None:
    assert f"Run {RUN}" in Parsed(write({}, plan=None, failure={"CheckDataset": {}})).text
