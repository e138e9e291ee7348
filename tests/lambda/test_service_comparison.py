"""The model in service beside a new one: which photos count, and what becomes of the new model."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.response import StreamingBody
from verdict.model_in_service import StoredRun
from verdict.release_checks import check_in_service
from verdict.service_comparison import ModelInService, compare
from verdict.training_output import UnreadableOutput

from contract import Check, Comparison, Thresholds
from tests.fakes.s3 import FakeS3

OLD, NEW = "run-1", "run-2"
CLASSES = ("cat", "dog")
THRESHOLDS: Thresholds = {
    "min_accuracy": 0.7,
    "accuracy_by": "photo",
    "min_class_recall": 0.2,
    "max_near_copies": 0.05,
    "tolerance": 0.01,
    "significance": 0.05,
    "blocking_rules": [],
}


@dataclass(frozen=True)
class Photo:
    """A test photo, and what the two models say of it."""

    content: str
    label: str = "cat"
    new: str = "cat"
    old: str = "cat"
    confidence: float = 0.9

    @property
    def path(self) -> str:
        return f"{self.label}/{self.content}.jpg"


def photos(*, both: int = 0, lost: int = 0, won: int = 0, neither: int = 0, label: str = "cat") -> list[Photo]:
    """Photos by which of the two models are right; their contents tell them apart."""
    kinds = {"both": (both, label, label), "lost": (lost, "?", label), "won": (won, label, "?"),
             "neither": (neither, "?", "?")}  # fmt: skip
    return [
        Photo(f"{label} {kind} {number}", label, new, old)
        for kind, (count, new, old) in kinds.items()
        for number in range(count)
    ]


def compared(
    tested: Sequence[Photo],
    *,
    rerun: Mapping[str, Any] | None = None,
    unreadable: Iterable[str] = (),
    then: Mapping[str, Photo] | None = None,
    learnt: Iterable[str] = (),
    without: Iterable[str] = (),
    etags: Mapping[str, str] | None = None,
) -> Comparison:
    """Compare the two models.

    Args:
        tested: The new run's test photos.
        rerun: What `in_service.json` says otherwise; empty: the training left no such file.
        unreadable: Contents of photos that the model in service could not be run on.
        then: By path, what the model in service was tested on in its own run.
        learnt: Contents that it was trained on.
        without: Names of files that the old run left not.
        etags: The ETag of a content where it says nothing of it.
    """
    # what the new run's training left
    said: dict[str, Any] = {"run": OLD, "labels": list(CLASSES), "why": "", **(rerun or {})}
    then = {photo.path: photo for photo in tested} if then is None else then
    files = {"test_predictions.csv": table((photo.path, photo.label, photo.new, photo.confidence) for photo in tested)}
    if rerun != {}:
        files["in_service.json"] = json.dumps(said).encode()
    if rerun != {} and not said["why"]:
        readable = [photo for photo in tested if photo.content not in unreadable]
        files["in_service_predictions.csv"] = table((photo.path, photo.label, photo.old, 0.5) for photo in readable)

    # what the bucket holds of both runs
    objects = {
        f"runs/{NEW}/manifest/manifest.jsonl": manifest({photo.path: photo.content for photo in tested}, etags=etags),
        f"runs/{OLD}/manifest/manifest.jsonl": manifest(
            {path: photo.content for path, photo in then.items()}, learnt=learnt
        ),
        f"runs/{OLD}/results/test_predictions.csv": table(
            (path, photo.label, photo.old, 0.5) for path, photo in then.items()
        ),
    }
    s3: Any = FakeS3({key: body for key, body in objects.items() if key.removeprefix(f"runs/{OLD}/") not in without})
    decision: Any = None if "decision.json" in without else {"classes": list(CLASSES), "test_accuracy": 0.9}
    found = compare(
        files,
        own=StoredRun(s3, "data", NEW),
        in_service=ModelInService("whippet-dev-run-1", decision, StoredRun(s3, "data", OLD)),
    )
    assert found is not None
    return found


def table(rows: Iterable[tuple[str, str, str, float]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["path", "label", "predicted", "confidence"])
    writer.writerows(rows)
    return text.getvalue().encode()


def manifest(test: Mapping[str, str], *, learnt: Iterable[str] = (), etags: Mapping[str, str] | None = None) -> bytes:
    records: list[dict[str, Any]] = [
        *({"path": f"learnt/{content}.jpg", "label": 0, "split": "train", "etag": content} for content in learnt),
        *({"path": path, "label": 0, "split": "test", "etag": content} for path, content in test.items()),
    ]
    for record in records:
        if record["etag"] in (etags or {}):
            record |= {"etag": (etags or {})[record["etag"]], "content": record["etag"]}
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def judged(comparison: Comparison | None, **thresholds: float) -> Check:
    return check_in_service(comparison, THRESHOLDS | thresholds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("both", "lost", "won", "outcome"),
    [
        (87, 12, 1, "blocked"),  # p = 0.0017
        (1987, 12, 1, "passed"),  # within the tolerance of 0.01, significant or not
        (90, 7, 3, "warned"),  # worse by more than the tolerance, but p = 0.17
        (87, 1, 12, "passed"),
        (15, 0, 0, "passed"),
        (14, 0, 0, "warned"),  # too few to tell
        (20, 2, 2, "warned"),
        (80, 5, 5, "passed"),
    ],
)
def test_a_model_that_is_worse_by_more_than_chance_is_kept_out(both: int, lost: int, won: int, outcome: str) -> None:
    comparison = compared(photos(both=both, lost=lost, won=won))
    images = both + lost + won
    assert (comparison["comparable"], comparison["images"]) == (True, images)
    assert (comparison["only_old_right"], comparison["only_new_right"]) == (lost, won)
    assert comparison["old_accuracy"] == (both + lost) / images
    assert comparison["new_accuracy"] == (both + won) / images
    check = judged(comparison)
    assert check["outcome"] == outcome, check
    assert f"are compared on the {images} on which the model in service was run." in check["reason"]


def test_the_reason_of_a_rejection_names_both_accuracies_on_the_same_photos() -> None:
    reason = judged(compared(photos(both=87, lost=12, won=1)))["reason"]
    assert reason.startswith(
        "The accuracy 0.8800 on 100 photos is worse than 0.9900 of the model in service (run-1) by more than 0.0100 "
    )
    assert "12 are recognised only by the one in service and 1 only by this one" in reason
    assert "p = 0.001709" in reason


def test_too_few_photos_are_told_as_that() -> None:
    reason = judged(compared(photos(both=10)))["reason"]
    assert reason.startswith("Too few photos tell whether it is worse than the model in service (run-1, 1.0000)")
    assert "it may be so by 0.14" in reason
    assert "Test on more photos." in reason
    assert judged(compared(photos(both=10)), significance=1)["outcome"] == "passed", "no certainty is asked for"
    assert judged(compared(photos(both=10)), tolerance=0.2)["outcome"] == "passed", "so much may be lost"


def test_without_a_model_in_service_there_is_nothing_to_compare() -> None:
    s3: Any = FakeS3()
    assert compare({}, own=StoredRun(s3, "data", NEW), in_service=None) is None
    assert judged(None)["outcome"] == "skipped"


def test_a_training_without_predictions_is_not_released_uncompared() -> None:
    s3: Any = FakeS3()
    old = ModelInService("whippet-dev-run-1", None, StoredRun(s3, "data", OLD))
    with pytest.raises(UnreadableOutput, match=r"this run left no test_predictions\.csv"):
        compare({}, own=StoredRun(s3, "data", NEW), in_service=old)


@pytest.mark.parametrize("then", [{}, {"elsewhere/1.jpg": Photo("other")}], ids=["none", "others"])
def test_a_model_run_on_the_new_test_photos_needs_no_test_photos_of_its_own(then: dict[str, Photo]) -> None:
    assert judged(compared(photos(both=80, lost=20), then=then))["outcome"] == "blocked"


def test_photos_that_the_model_in_service_was_trained_on_say_nothing() -> None:
    """It knows them by heart, whether its own run tested others or not."""
    known = photos(lost=20)
    comparison = compared([*photos(both=60), *known], then={}, learnt=[photo.content for photo in known])
    assert (comparison["images"], comparison["only_old_right"]) == (60, 0)
    assert "left out are 20 that it was trained on" in comparison["why"]
    assert judged(comparison)["outcome"] == "passed"


def test_photos_of_classes_that_it_does_not_know_speak_for_neither() -> None:
    """It gets all of them wrong, and may still be the better one on the classes that both know."""
    new = [*photos(won=30, label="owl"), *photos(won=30, label="emu")]
    comparison = compared([*photos(both=80, lost=20), *new])
    assert (comparison["images"], comparison["only_new_right"]) == (100, 0)
    assert "60 of classes that it does not know (emu, owl) and always gets wrong" in comparison["why"]
    assert judged(comparison)["outcome"] == "blocked"


def test_a_removed_class_leaves_the_others_to_be_compared() -> None:
    comparison = compared(photos(both=80, lost=20), rerun={"labels": [*CLASSES, "gone"]})
    assert (comparison["images"], judged(comparison)["outcome"]) == (100, "blocked")


def test_a_corrected_label_counts_as_it_is_now() -> None:
    """The old model had learnt it, and its own run called that right."""
    corrected = [Photo(f"corrected {n}", "dog", new="dog", old="cat") for n in range(20)]
    ways: tuple[dict[str, Any] | None, ...] = (None, {})
    for rerun in ways:
        then = {f"cat/{photo.content}.jpg": Photo(photo.content, "cat", old="cat") for photo in corrected}
        comparison = compared(corrected, rerun=rerun, then=then)
        assert (comparison["old_accuracy"], comparison["new_accuracy"]) == (0, 1)


def test_a_copy_among_the_test_photos_counts_once() -> None:
    twice = [Photo("same", "cat"), Photo("same", "dog", new="dog"), *photos(both=30)]
    comparison = compared(twice)
    assert comparison["images"] == 31
    assert "left out are 1 that are copies of others" in comparison["why"]


def test_a_photo_is_known_by_its_content_and_not_by_its_etag() -> None:
    tested = photos(both=20)
    comparison = compared(tested, learnt=[tested[0].content], then={}, etags={tested[0].content: "uploaded in parts"})
    assert (comparison["images"], "1 that it was trained on" in comparison["why"]) == (19, True)


def test_photos_that_it_could_not_read_are_left_out() -> None:
    tested = photos(both=20)
    comparison = compared(tested, unreadable=[tested[3].content])
    assert "left out are 1 that could not be read as it sees photos" in comparison["why"]


@pytest.mark.parametrize(
    ("rerun", "why"),
    [
        ({}, "it came into service after this run had begun"),
        ({"run": "run-0"}, "when this run began, the model of run-0 was in service"),
        ({"why": "its files are damaged"}, "it could not be run on them: its files are damaged"),
        ({"why": "its card is gone", "run": ""}, "it could not be run on them: its card is gone"),
    ],
)
def test_where_it_was_not_run_the_photos_that_both_were_tested_on_are_paired(rerun: dict[str, Any], why: str) -> None:
    """They are the same photos wherever they lie now. One more photo does not switch the comparison off."""
    tested = photos(both=80, lost=20)
    then = {f"old folder/{photo.content}.jpg": photo for photo in tested}
    comparison = compared([*tested, Photo("added")], rerun=rerun, then=then)
    assert comparison["why"] == (
        "of the 101 test photos of this run, the two are compared on the 100 on which the model in service was tested "
        f"in its own run, too; left out are 1 on which it was not tested ({why})"
    )
    assert judged(comparison)["outcome"] == "blocked"


def test_few_shared_photos_do_not_pass_a_model() -> None:
    tested = photos(both=200)
    comparison = compared(tested, rerun={}, then={photo.path: photo for photo in tested[:10]})
    assert comparison["images"] == 10
    assert judged(comparison)["outcome"] == "warned"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"then": {}}, "none of the 5 test photos of this run tells which of the two is better: 5 on which it was not"),
        ({"without": ["decision.json"]}, "had begun, and its run left no decision.json"),
        ({"without": ["results/test_predictions.csv"]}, "had begun, and its run left no test_predictions.csv"),
        (
            {"without": ["manifest/manifest.jsonl"], "rerun": None},
            "its run left no manifest.jsonl, so that nobody knows which of the test photos it was trained on",
        ),
    ],
)
def test_what_cannot_be_compared_is_a_warning_with_what_to_do(given: dict[str, Any], why: str) -> None:
    comparison = compared(photos(both=5), **{"rerun": {}, **given})
    assert not comparison["comparable"]
    assert comparison["images"] is comparison["p_value"] is comparison["old_accuracy"] is None
    check = judged(comparison)
    assert check["outcome"] == "warned"
    assert why in check["reason"]
    assert "set release.approval=manual" in check["reason"]


def test_a_run_whose_decision_is_gone_is_compared_by_what_its_model_was_run_on() -> None:
    comparison = compared(photos(both=80, lost=20), without=["decision.json"])
    assert (comparison["test_accuracy"], judged(comparison)["outcome"]) == (None, "blocked")


def test_examples_are_twenty_at_most_and_those_first_of_which_the_new_model_is_surest() -> None:
    lost = [Photo(f"lost {n:02}", "cat", new="dog", confidence=n / 100) for n in range(30)]
    won = [Photo('won, with a "comma"\r\nand a line', "dog", new="dog", old="cat")]
    comparison = compared([*lost, *won, *photos(both=2, neither=1)])
    assert comparison["only_old_right"] == 30
    assert [photo["path"] for photo in comparison["lost"]] == [f"cat/lost {n:02}.jpg" for n in range(29, 9, -1)]
    assert comparison["lost"][0] == {"path": "cat/lost 29.jpg", "label": "cat", "old": "cat", "new": "dog"}
    assert comparison["gained"] == [{"path": won[0].path, "label": "dog", "old": "cat", "new": "dog"}]


def test_manifests_and_tables_are_read_in_pieces() -> None:
    """A manifest of 500,000 photos would take a gigabyte as Python's objects."""

    class InPieces(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None, "the whole file is read at once"
            assert 0 < size < 1 << 20, "the whole file is read at once"
            return super().read(size)

    class Bucket:
        def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
            body = manifest({"a.jpg": "a", "b.jpg": "b"})
            return {"Body": StreamingBody(InPieces(body), len(body))}

    s3: Any = Bucket()
    records = StoredRun(s3, "data", OLD).manifest()
    assert records is not None
    assert next(records)["path"] == "a.jpg"
    assert [record["path"] for record in records] == ["b.jpg"]
