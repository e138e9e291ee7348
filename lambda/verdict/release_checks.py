"""The checks of a model before its release. Each gives its reason with the value, the threshold and the setting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final

from contract import Check, Comparison, Evaluation, Evaluator, Leakage, NearCopies, RuleResult, Thresholds, counted

__all__ = ["check_coverage", "check_in_service", "check_known_share", "check_leakage", "check_rules"]

_MAX_DETAIL = 300
"""Longest detail of a rule's result in a reason, in characters."""

_VISIBLE_LOSS: Final = 0.1
"""Accuracy that must not be lost unseen: where so much may be lost, the photos are too few to tell. Ten points are what
a spoilt training costs; a larger tolerance counts instead. Two models that answer alike need 15 photos for it, two that
differ on a fifth of them need 60."""

_EXAMPLES = 3

_HARMLESS = ("NoIssuesFound", "NotApplicable")
"""Statuses of a rule that speak against no model."""


def check_in_service(comparison: Comparison | None, thresholds: Thresholds) -> Check:
    """Check that the model is not worse than the one in service, by more than the tolerance and not by chance.

    Both accuracies are those on the same photos.
    """
    if comparison is None:
        return Check(name="in_service", outcome="skipped", reason="There is no model in service to compare it with.")

    # without photos that speak for or against both models, nobody knows
    run, old, new = comparison["run"], comparison["old_accuracy"], comparison["new_accuracy"]
    losses, wins, p_value = comparison["only_old_right"], comparison["only_new_right"], comparison["p_value"]
    if old is None or new is None or losses is None or wins is None or p_value is None or not comparison["images"]:
        return Check(
            name="in_service",
            outcome="warned",
            reason=f"It was not compared with the model in service ({run}): {comparison['why']}. It may be worse; to "
            "decide such cases yourself, set release.approval=manual.",
        )

    # worse beyond the tolerance and beyond chance: blocked
    counts = (
        f"of the same test photos {losses} are recognised only by the one in service and {wins} only by this one "
        f"(McNemar's test, one-sided: p = {p_value:.4g}). {_capitalised(comparison['why'])}"
    )
    # Rounded, so that a difference of exactly the tolerance is not lost to binary fractions.
    beyond_tolerance = round(old - new, 9) > thresholds["tolerance"]
    if beyond_tolerance and p_value < thresholds["significance"]:
        return Check(
            name="in_service",
            outcome="blocked",
            reason=f"The accuracy {new:.4f} on {counted(comparison['images'], 'photo')} is worse than {old:.4f} "
            f"of the model in service ({run}) by more than {thresholds['tolerance']:.4f} (setting release.tolerance), "
            f"and not by chance (setting release.significance={thresholds['significance']:g}): {counts}.",
        )

    # worse beyond the tolerance, but perhaps by chance, or too few photos to see a loss: a warning
    measured = f"the model in service ({run}, {old:.4f}) by more than {thresholds['tolerance']:.4f}"
    if beyond_tolerance:
        return Check(
            name="in_service",
            outcome="warned",
            reason=f"It is worse ({new:.4f}) than {measured}, but that may be chance: {counts}.",
        )
    loss = _largest_loss(losses, wins, images=comparison["images"], significance=thresholds["significance"])
    if loss > max(_VISIBLE_LOSS, thresholds["tolerance"]):
        return Check(
            name="in_service",
            outcome="warned",
            reason=f"Too few photos tell whether it is worse than {measured}: it may be so by {loss:.2f} (setting "
            f"release.significance={thresholds['significance']:g}). Test on more photos. "
            f"{_capitalised(counts)}.",
        )
    return Check(name="in_service", outcome="passed", reason=f"It ({new:.4f}) is not worse than {measured}: {counts}.")


def _largest_loss(losses: int, wins: int, *, images: int, significance: float) -> float:
    """Return the upper limit of the accuracy that the model may have lost, one-sided.

    It is the interval of Agresti and Min (2005, "Simple improved confidence intervals for comparing matched
    proportions"): half a photo is added to each of the four kinds, so that it holds for a handful of photos, too.
    """
    total = images + 2
    lost = (losses - wins) / total
    variance = ((losses + wins + 1) / total - lost**2) / total
    # A significance of 1 asks for no certainty at all.
    return lost + NormalDist().inv_cdf(1 - min(significance, 0.5)) * math.sqrt(variance)


def _capitalised(clause: str) -> str:
    return clause[:1].upper() + clause[1:]


def check_leakage(leakage: Leakage, copies: NearCopies | None, thresholds: Thresholds) -> Check:
    """Check that the model was tested on photos that it had not been trained on, nor on near-copies of such."""
    if leakage["remaining"]:
        return Check(
            name="leakage",
            outcome="blocked",
            reason=f"Also trained on: {counted(leakage['remaining'], 'photo')} of the test or validation split, such "
            f"as {'; '.join(leakage['examples'])}: the accuracy says nothing. Start a new run, whose manifest leaves "
            "copies out.",
        )

    # no near-copies, or nobody looked
    left_out = f"; left out: {counted(leakage['left_out'], 'copy', 'copies')}" if leakage["left_out"] else ""
    same = f"No file of the test or validation split was also trained on{left_out}"
    if copies is None:
        reason = f"{same}. Near-copies (resaved, resized, cropped) were not looked for."
        return Check(name="leakage", outcome="passed", reason=reason)
    if not copies["images"]:
        reason = (
            f"{same}, and no test photo is a near-copy (resaved, resized, cropped) of a training or validation photo."
        )
        return Check(name="leakage", outcome="passed", reason=reason)

    # the accuracy is judged by the others; but where there are many, the others are hardly independent either
    share, most = copies["images"] / (copies["images"] + copies["others"]), thresholds["max_near_copies"]
    examples = "; ".join(f"{copy['path']} of {copy['trained']}" for copy in copies["examples"][:_EXAMPLES])
    found = (
        f"{copies['images']} of {copies['images'] + copies['others']} test photos are near-copies (resaved, resized, "
        f"cropped, or taken a moment later) of photos that the model learnt from, such as {examples}"
    )
    if share > most:
        return Check(
            name="leakage",
            outcome="blocked",
            reason=f"{found}. That is more than {most:.0%} (setting release.max_near_copies), so that the test says "
            "little: remove the copies, of which `whippet check` has a list, keep them in one split by groups.csv, or "
            "test on photos taken apart.",
        )
    return Check(
        name="leakage",
        outcome="warned",
        reason=f"{found}. The floor of the accuracy is judged on the {copies['others']} others.",
    )


def check_known_share(evaluation: Evaluation, *, floor: float) -> Check:
    """Check that enough of the test photos, all of which are of known classes, count as known."""
    unknown, setting = evaluation["unknown"], "(setting release.min_known_share)"
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
    measured, setting = evaluation["coverage"], "(setting release.max_coverage_gap)"
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
