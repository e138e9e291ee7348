"""The checks of a model before its release. Each gives its reason with the value, the threshold and the setting."""

from __future__ import annotations

from collections.abc import Sequence

from contract import Check, Comparison, Evaluation, Evaluator, Leakage, NearCopies, RuleResult, Thresholds

__all__ = ["check_in_service", "check_leakage", "check_rules"]

_MAX_DETAIL = 300
"""Longest detail of a rule's result in a reason, in characters."""

_EXAMPLES = 3

_HARMLESS = ("NoIssuesFound", "NotApplicable")
"""Statuses of a rule that speak against no model."""


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


def check_leakage(leakage: Leakage, copies: NearCopies | None, thresholds: Thresholds) -> Check:
    """Check that the model was tested on photos that it had not been trained on, nor on near-copies of such."""
    if leakage["remaining"]:
        return Check(
            name="leakage",
            outcome="blocked",
            reason=f"{leakage['remaining']} photos of the test or validation split were also trained on, such as "
            f"{'; '.join(leakage['examples'])}: the accuracy says nothing. Start a new run, whose manifest leaves "
            "copies out.",
        )
    left_out = f"; {leakage['left_out']} copies were left out" if leakage["left_out"] else ""
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
            "little: remove the copies, keep them in one split by groups.csv, or test on photos taken apart.",
        )
    return Check(
        name="leakage",
        outcome="warned",
        reason=f"{found}. The floor of the accuracy is judged on the {copies['others']} others.",
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
