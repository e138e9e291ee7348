"""The new model compared with the one in service, photo by photo of the same test split."""

from __future__ import annotations

import csv
import io
import math

from contract import Artefact, Comparison, Evaluation

from .model_in_service import ModelInService
from .training_output import UnreadableOutput

__all__ = ["compare", "mcnemar"]


def compare(evaluation: Evaluation, predictions: bytes | None, in_service: ModelInService | None) -> Comparison | None:
    """Compare the predictions of the two models; return None without a model in service.

    Models can be compared where they were tested on the same photos of the same classes; `why` says why they cannot.

    Raises:
        UnreadableOutput: the models could be compared, but this training left no predictions.
    """
    if in_service is None:
        return None

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

    # find out whether the two were tested on the same photos
    if decision is None:
        comparison["why"] = "its run left no decision.json"
    elif decision["classes"] != evaluation["classes"]:
        comparison["why"] = "it was trained on other classes"
    elif decision["test_fingerprint"] != evaluation["test_fingerprint"]:
        comparison["why"] = "it was tested on other photos"
    elif in_service.predictions is None:
        comparison["why"] = f"its run left no {Artefact.PREDICTIONS}"
    elif predictions is None:
        raise UnreadableOutput(
            f"this run left no {Artefact.PREDICTIONS}, so that its model cannot be compared with the one in service "
            f"({in_service.run}); the training code may be another version than the stack: deploy again, and start the "
            "execution again"
        )
    else:
        _pair(comparison, _correct(predictions), _correct(in_service.predictions))
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


def _pair(comparison: Comparison, new: dict[str, tuple[str, bool]], old: dict[str, tuple[str, bool]]) -> None:
    if {path: label for path, (label, _) in new.items()} != {path: label for path, (label, _) in old.items()}:
        comparison["why"] = "the two lists of predictions do not name the same photos"
        return

    only_new = sum(right and not old[path][1] for path, (_, right) in new.items())
    only_old = sum(old[path][1] and not right for path, (_, right) in new.items())
    comparison["comparable"] = True
    comparison["why"] = "same classes, same test photos"
    comparison["only_new_right"], comparison["only_old_right"] = only_new, only_old
    comparison["p_value"] = mcnemar(only_old, only_new)


def _correct(predictions: bytes) -> dict[str, tuple[str, bool]]:
    """Return from `Artefact.PREDICTIONS`, by the photo's path, its class and whether the prediction is correct."""
    rows = csv.DictReader(io.StringIO(predictions.decode()))
    return {row["path"]: (row["label"], row["label"] == row["predicted"]) for row in rows}
