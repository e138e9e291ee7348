"""The checks of a model before its release. Each gives its reason with the value, the threshold and the setting."""

from __future__ import annotations

from collections.abc import Sequence

from contract import Check, ClassScores, Comparison, Evaluation, Evaluator, Leakage, RuleResult, Thresholds

__all__ = [
    "check_accuracy",
    "check_class_recall",
    "check_coverage",
    "check_in_service",
    "check_known_share",
    "check_leakage",
    "check_rules",
    "worst_class",
]

_MAX_DETAIL = 300
"""Longest detail of a rule's result in a reason, in characters."""

_HARMLESS = ("NoIssuesFound", "NotApplicable")
"""Statuses of a rule that speak against no model."""


def check_accuracy(evaluation: Evaluation, thresholds: Thresholds) -> Check:
    """Check that the test accuracy reaches the floor. One that is not a number does not."""
    accuracy, floor = evaluation["test_accuracy"], thresholds["min_accuracy"]
    if accuracy >= floor:
        return Check(
            name="accuracy",
            outcome="passed",
            reason=f"The test accuracy {accuracy:.4f} reaches the floor {floor:.4f}.",
        )
    return Check(
        name="accuracy",
        outcome="blocked",
        reason=f"The test accuracy {accuracy:.4f} on {evaluation['test_images']} photos is below the floor "
        f"{floor:.4f} (setting release.min_accuracy).",
    )


def worst_class(evaluation: Evaluation) -> ClassScores:
    """Return the class with the lowest recall among those with test photos, the first of several."""
    return min((scores for scores in evaluation["per_class"] if scores["images"]), key=lambda scores: scores["recall"])


def check_class_recall(evaluation: Evaluation, thresholds: Thresholds) -> Check:
    """Check that the recall of every class reaches the floor."""
    worst, floor = worst_class(evaluation), thresholds["min_class_recall"]
    found = f"the recall {worst['recall']:.4f} of class {worst['name']} on {worst['images']} photos"
    if worst["recall"] >= floor:
        return Check(
            name="class_recall",
            outcome="passed",
            reason=f"No class is below the floor {floor:.4f}: the lowest is {found}.",
        )
    return Check(
        name="class_recall",
        outcome="blocked",
        reason=f"A class is hardly recognised: {found} is below the floor {floor:.4f} "
        "(setting release.min_class_recall).",
    )


def check_in_service(evaluation: Evaluation, comparison: Comparison | None, thresholds: Thresholds) -> Check:
    """Check that the model is not worse than the one in service, by more than the tolerance and not by chance."""
    if comparison is None:
        return Check(name="in_service", outcome="skipped", reason="There is no model in service to compare it with.")

    # without photos that both models were tested on, there is nothing to compare
    accuracy, old, run = evaluation["test_accuracy"], comparison["test_accuracy"], comparison["run"]
    if not comparison["comparable"] or old is None or comparison["p_value"] is None:
        numbers = "" if old is None else f" Its test accuracy was {old:.4f}, this one's is {accuracy:.4f}."
        return Check(
            name="in_service",
            outcome="skipped",
            reason=f"It was not compared with the model in service ({run}): {comparison['why']}.{numbers}",
        )

    # worse beyond the tolerance and beyond chance: blocked
    p_value = comparison["p_value"]
    counts = (
        f"of the same test photos {comparison['only_old_right']} are recognised only by the one in service and "
        f"{comparison['only_new_right']} only by this one (McNemar's test, one-sided: p = {p_value:.4g})"
    )
    # Rounded, so that a difference of exactly the tolerance is not lost to binary fractions.
    beyond_tolerance = round(old - accuracy, 9) > thresholds["tolerance"]
    if beyond_tolerance and p_value < thresholds["significance"]:
        return Check(
            name="in_service",
            outcome="blocked",
            reason=f"The test accuracy {accuracy:.4f} is worse than {old:.4f} of the model in service ({run}) by more "
            f"than {thresholds['tolerance']:.4f} (setting release.tolerance), and not by chance (setting "
            f"release.significance={thresholds['significance']:g}): {counts}.",
        )

    # worse beyond the tolerance, but perhaps by chance: a warning
    measured = f"the model in service ({run}, {old:.4f}) by more than {thresholds['tolerance']:.4f}"
    if beyond_tolerance:
        return Check(
            name="in_service",
            outcome="warned",
            reason=f"It is worse than {measured}, but that may be chance: {counts}.",
        )
    return Check(name="in_service", outcome="passed", reason=f"It is not worse than {measured}: {counts}.")


def check_leakage(leakage: Leakage) -> Check:
    """Check that the model was tested on photos that it had not been trained on."""
    if leakage["remaining"]:
        return Check(
            name="leakage",
            outcome="blocked",
            reason=f"{leakage['remaining']} photos of the test or validation split were also trained on, such as "
            f"{'; '.join(leakage['examples'])}: the accuracy says nothing. Start a new run, whose manifest leaves "
            "copies out.",
        )
    left_out = leakage["left_out"]
    copies = f"; {left_out} copies were left out" if left_out else ""
    return Check(name="leakage", outcome="passed", reason=f"No test or validation photo was also trained on{copies}.")


def check_known_share(evaluation: Evaluation, *, floor: float) -> Check:
    """Check that enough of the test photos, all of which are of known classes, count as known."""
    unknown, setting = evaluation.get("unknown"), "(setting release.min_known_share)"
    if unknown is None:
        reason = f"The training did not measure which test photos the model knows {setting}: start a new run."
        return Check(name="known_share", outcome="blocked", reason=reason)
    share = unknown["known_share"]
    if share >= floor:
        reason = f"The model knows {share:.4f} of the test photos, which reaches the floor {floor:.4f}."
        return Check(name="known_share", outcome="passed", reason=reason)
    return Check(
        name="known_share",
        outcome="blocked",
        reason=f"The model knows only {share:.4f} of the test photos, below the floor {floor:.4f} {setting}: they are "
        "unlike the training photos. Add photos that are like them to the training split.",
    )


def check_coverage(evaluation: Evaluation, *, limit: float) -> Check:
    """Check that sets of labels hold the right one of the test photos about as often as they promise."""
    measured, setting = evaluation.get("coverage"), "(setting release.max_coverage_gap)"
    if not measured:
        reason = f"Too few photos were held out for sets of labels with any promise {setting}: add photos."
        return Check(name="coverage", outcome="blocked", reason=reason)
    worst = max(measured, key=lambda each: each["promised"] - each["realised"])
    found = f"sets that promise to hold the right label of {worst['promised']:.2f} hold that of {worst['realised']:.4f}"
    # Rounded, so that a gap of exactly the limit is not lost to binary fractions.
    if round(worst["promised"] - worst["realised"], 9) <= limit:
        reason = f"No coverage is more than {limit:.4f} below its promise: {found} of the test photos."
        return Check(name="coverage", outcome="passed", reason=reason)
    return Check(
        name="coverage",
        outcome="blocked",
        reason=f"A promise is broken by more than {limit:.4f} {setting}: {found} of the test photos, which are unlike "
        "those that were held out of the training split.",
    )


def check_rules(results: Sequence[RuleResult], thresholds: Thresholds, *, evaluator: Evaluator) -> Check:
    """Check that every blocking rule was evaluated, and that none of them found an issue."""
    if evaluator == "off":
        return Check(
            name="rules", outcome="skipped", reason="No debugger rule was evaluated (setting debugger.mode=off)."
        )

    # a blocking rule that found an issue, or has no result: blocked
    blocking = thresholds["blocking_rules"]
    blocked = [_sentence(r) for r in results if r["rule"] in blocking and r["status"] not in _HARMLESS]
    missing = sorted(set(blocking) - {result["rule"] for result in results})
    blocked += [f"{rule} was not evaluated in this run, so it could not be judged." for rule in missing]
    if blocked:
        return Check(name="rules", outcome="blocked", reason=f"{' '.join(blocked)} (Setting debugger.block.)")

    # an issue of any other rule: a warning
    warnings = [_sentence(result) for result in results if result["status"] not in _HARMLESS]
    if warnings:
        return Check(name="rules", outcome="warned", reason=" ".join(warnings))

    skipped = sum(result["status"] == "NotApplicable" for result in results)
    reason = f"{len(results) - skipped} debugger rules found no issue"
    return Check(
        name="rules", outcome="passed", reason=f"{reason}; {skipped} do not apply." if skipped else f"{reason}."
    )


def _sentence(result: RuleResult) -> str:
    detail = result["detail"].strip()[:_MAX_DETAIL].rstrip(". ") or "it gave no detail"
    if result["status"] == "IssuesFound":
        step = "" if result["step"] is None else f" at step {result['step']}"
        return f"{result['rule']} found an issue{step}: {detail}."
    return f"{result['rule']} could not be judged ({result['status']}): {detail}."
