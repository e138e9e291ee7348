"""The new model compared with the one in service, on photos that neither was trained on.

The training job has run the model in service on its own test photos. Where it could not, photos that both runs tested
their models on are paired by their content. docs/verdict.md says which photos count.
"""

from __future__ import annotations

import io
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from shared.first_few import first_few

from contract import Artefact, ComparedPhoto, Comparison, Decision, InServiceTest

from .tested_photos import OldPhotos, Prediction, RunFiles, contents_of, predictions_in
from .unreadable_output import UnreadableOutput

__all__ = ["ModelInService", "compare", "mcnemar"]

_EXAMPLES: Final = 20
"""Most photos that are named among those gained, and among those lost."""


@dataclass(frozen=True)
class ModelInService:
    """The endpoint configuration in service, and its run's decision and files, where they exist."""

    config: str
    decision: Decision | None
    files: RunFiles

    @property
    def run(self) -> str:
        """The run that trained it."""
        return self.files.run


class _NotComparable(Exception):
    """There is nothing to compare; the message is `Comparison.why`."""


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """What the model in service says of photos, by their content."""

    predictions: Mapping[str, Prediction]
    labels: frozenset[str]
    """The classes it knows."""
    on: str
    """Which photos these are, after their number."""
    why_missing: str
    """What keeps a photo out that is not among them."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """A photo with what both models say of it."""

    new: Prediction
    old: Prediction

    @property
    def new_right(self) -> bool:
        return self.new.predicted == self.new.label

    @property
    def old_right(self) -> bool:
        """Whether the model in service gives the label that the photo has now: it may have been corrected since."""
        return self.old.predicted == self.new.label


def compare(files: Mapping[str, bytes], *, own: RunFiles, in_service: ModelInService | None) -> Comparison | None:
    """Compare the two models photo by photo; return None without a model in service.

    Args:
        files: Those of the training's output that the comparison needs, as far as they exist: `Artefact.PREDICTIONS`,
            `Artefact.IN_SERVICE` and `Artefact.IN_SERVICE_PREDICTIONS`.
        own: The new run's own long files.
        in_service: The model in service, and what its run left.

    Raises:
        UnreadableOutput: this training left no predictions.
    """
    if in_service is None:
        return None
    if Artefact.PREDICTIONS not in files:
        raise UnreadableOutput(
            f"this run left no {Artefact.PREDICTIONS}, so that its model cannot be compared with the one in service "
            f"({in_service.run}); the training code may be another version than the stack: deploy again, and start the "
            "execution again"
        )

    # begin with what is known without a comparison
    decision = in_service.decision
    comparison = Comparison(
        config=in_service.config,
        run=in_service.run,
        comparable=False,
        why="",
        test_accuracy=decision["test_accuracy"] if decision else None,
        images=None,
        old_accuracy=None,
        new_accuracy=None,
        gained=[],
        lost=[],
        only_new_right=None,
        only_old_right=None,
        p_value=None,
    )
    try:
        pairs, comparison["why"] = _pairs(files, own, in_service)
    except _NotComparable as reason:
        comparison["why"] = str(reason)
        return comparison

    # on the same photos, those that only one of the two gets right decide
    gained = [pair for pair in pairs if pair.new_right and not pair.old_right]
    lost = [pair for pair in pairs if pair.old_right and not pair.new_right]
    comparison["comparable"] = True
    comparison["images"] = len(pairs)
    comparison["old_accuracy"] = sum(pair.old_right for pair in pairs) / len(pairs)
    comparison["new_accuracy"] = sum(pair.new_right for pair in pairs) / len(pairs)
    comparison["gained"], comparison["lost"] = _examples(gained), _examples(lost)
    comparison["only_new_right"], comparison["only_old_right"] = len(gained), len(lost)
    comparison["p_value"] = mcnemar(len(lost), len(gained))
    return comparison


def mcnemar(only_old_right: int, only_new_right: int) -> float:
    """Return the p-value of McNemar's test, one-sided and exact.

    It is the probability that the old model alone is right on so many photos, or more, if both are equally good: then
    their number is binomial with p = 1/2 among the photos on which exactly one of the two is right (McNemar 1947,
    "Note on the sampling error of the difference between correlated proportions").
    """
    discordant = only_old_right + only_new_right
    log_all = discordant * math.log(2)
    terms = (
        math.exp(math.lgamma(discordant + 1) - math.lgamma(losses + 1) - math.lgamma(discordant - losses + 1) - log_all)
        for losses in range(only_old_right, discordant + 1)
    )
    return min(1.0, math.fsum(terms))


def _pairs(files: Mapping[str, bytes], own: RunFiles, in_service: ModelInService) -> tuple[list[_Pair], str]:
    """Return the photos that count, and in words which they are and which others are left out.

    Raises:
        _NotComparable: there are none.
    """
    # the new test photos, and what the model in service had to do with them
    new = {each.path: each for each in predictions_in(_lines(files[Artefact.PREDICTIONS]))}
    paths = contents_of(new, manifest=own.manifest() or ())
    old_manifest = in_service.files.manifest()
    if old_manifest is None:
        raise _NotComparable(
            f"its run left no {Artefact.MANIFEST}, so that nobody knows which of the test photos it was trained on"
        )
    before = OldPhotos.among(paths, manifest=old_manifest)

    # what it says of them: of all, or of those that it was tested on in its own run
    answers = _answers_now(files, paths, in_service.run)
    if isinstance(answers, str):
        answers = _answers_then(before, in_service, why=answers)

    # leave out what says nothing about which of the two is better
    pairs: list[_Pair] = []
    learnt, missing, unknown = 0, 0, Counter[str]()
    for content, path in paths.items():
        if content in before.learnt:
            learnt += 1
        elif new[path].label not in answers.labels:
            unknown[new[path].label] += 1
        elif content not in answers.predictions:
            missing += 1
        else:
            pairs.append(_Pair(new=new[path], old=answers.predictions[content]))

    left_out = [
        *([f"{learnt} that it was trained on"] if learnt else []),
        *(
            [f"{unknown.total()} of classes that it does not know ({first_few(sorted(unknown))}) and always gets wrong"]
            if unknown
            else []
        ),
        *([f"{missing} {answers.why_missing}"] if missing else []),
        *([f"{len(new) - len(paths)} that are copies of others"] if len(new) > len(paths) else []),
    ]
    if not pairs:
        raise _NotComparable(
            f"none of the {len(new)} test photos of this run tells which of the two is better: {', '.join(left_out)}"
        )
    why = f"of the {len(new)} test photos of this run, the two are compared on the {len(pairs)} {answers.on}"
    return pairs, f"{why}; left out are {', '.join(left_out)}" if left_out else why


def _answers_now(files: Mapping[str, bytes], paths: Mapping[str, str], run: str) -> _Answers | str:
    """Return what the model in service says of the new test photos, or why it was not asked."""
    if Artefact.IN_SERVICE not in files:
        return "it came into service after this run had begun"
    tested: InServiceTest = json.loads(files[Artefact.IN_SERVICE])
    if tested["run"] not in ("", run):
        return f"when this run began, the model of {tested['run']} was in service"
    if tested["why"]:
        return f"it could not be run on them: {tested['why']}"

    content_at = {path: content for content, path in paths.items()}
    rows = predictions_in(_lines(files[Artefact.IN_SERVICE_PREDICTIONS]))
    return _Answers(
        predictions={content_at[row.path]: row for row in rows if row.path in content_at},
        labels=frozenset(tested["labels"]),
        on="on which the model in service was run",
        why_missing="that could not be read as it sees photos",
    )


def _answers_then(before: OldPhotos, in_service: ModelInService, *, why: str) -> _Answers:
    """Return what the model in service said of those photos that it was tested on in its own run.

    Raises:
        _NotComparable: nothing is known of that.
    """
    if in_service.decision is None:
        raise _NotComparable(f"{why}, and its run left no {Artefact.DECISION}")
    lines = in_service.files.predictions()
    if lines is None:
        raise _NotComparable(f"{why}, and its run left no {Artefact.PREDICTIONS}")
    return _Answers(
        predictions={before.tested[row.path]: row for row in predictions_in(lines) if row.path in before.tested},
        labels=frozenset(in_service.decision["classes"]),
        on="on which the model in service was tested in its own run, too",
        why_missing=f"on which it was not tested ({why})",
    )


def _examples(pairs: list[_Pair]) -> list[ComparedPhoto]:
    """Name some photos, those first of which the new model is surest."""
    surest = sorted(pairs, key=lambda pair: (-pair.new.confidence, pair.new.path))[:_EXAMPLES]
    return [
        ComparedPhoto(path=pair.new.path, label=pair.new.label, old=pair.old.predicted, new=pair.new.predicted)
        for pair in surest
    ]


def _lines(table: bytes) -> Iterator[str]:
    return io.TextIOWrapper(io.BytesIO(table), encoding="utf-8", newline="")
