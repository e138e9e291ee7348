"""The rules by which a model may be released."""

from __future__ import annotations

from typing import TypedDict

from model_in_service import ModelInService

from training.contract import Evaluation

__all__ = ["Decision", "decide"]


class Comparison(TypedDict):
    """The model in service, and whether its accuracy was measured on the same photos."""

    config: str
    run: str
    comparable: bool
    why: str
    test_accuracy: float | None


class Decision(TypedDict):
    """`decision.json`: what was decided, why, and everything it was decided on."""

    run: str
    model: str
    accepted: bool
    reasons: list[str]
    test_accuracy: float
    test_images: int
    validation_accuracy: float
    min_accuracy: float
    tolerance: float
    in_service: Comparison | None
    classes: list[str]
    dataset_fingerprint: str
    test_fingerprint: str
    hyperparameters: dict[str, str]


def decide(
    evaluation: Evaluation,
    *,
    run: str,
    model: str,
    min_accuracy: float,
    tolerance: float,
    in_service: ModelInService | None,
) -> Decision:
    """Accept a model at or above the floor that is not worse than the one in service beyond the tolerance.

    Accuracies are compared only when both were measured on the same photos of the same classes.
    """
    accuracy = evaluation["test_accuracy"]
    comparison = _compare(evaluation, in_service)
    against, in_favour = [], []
    if accuracy >= min_accuracy:
        in_favour.append(f"The test accuracy {accuracy:.4f} reaches the floor {min_accuracy:.4f}.")
    else:  # also when it is not a number
        against.append(
            f"The test accuracy {accuracy:.4f} on {evaluation['test_images']} photos is below the floor "
            f"{min_accuracy:.4f} (setting release.min_accuracy)."
        )
    if comparison and comparison["comparable"] and comparison["test_accuracy"] is not None:
        other = comparison["test_accuracy"]
        # Rounded, so that a difference of exactly the tolerance is not lost to binary fractions.
        if round(other - accuracy, 9) > tolerance:
            against.append(
                f"The test accuracy {accuracy:.4f} is worse than {other:.4f} of the model in service "
                f"({comparison['run']}) by more than {tolerance:.4f} (setting release.tolerance), on the same photos."
            )
        else:
            in_favour.append(f"It is not worse than the model in service ({comparison['run']}, {other:.4f}).")
    elif comparison:
        in_favour.append(f"It was not compared with the model in service ({comparison['run']}): {comparison['why']}.")
    else:
        in_favour.append("There is no model in service to compare it with.")
    return Decision(
        run=run,
        model=model,
        accepted=not against,
        reasons=against or in_favour,
        test_accuracy=accuracy,
        test_images=evaluation["test_images"],
        validation_accuracy=evaluation["validation_accuracy"],
        min_accuracy=min_accuracy,
        tolerance=tolerance,
        in_service=comparison,
        classes=evaluation["classes"],
        dataset_fingerprint=evaluation["dataset_fingerprint"],
        test_fingerprint=evaluation["test_fingerprint"],
        hyperparameters=evaluation["hyperparameters"],
    )


def _compare(evaluation: Evaluation, in_service: ModelInService | None) -> Comparison | None:
    if in_service is None:
        return None
    decision = in_service.decision
    why = ""
    if decision is None:
        why = "its run left no decision.json"
    elif decision["classes"] != evaluation["classes"]:
        why = "it was trained on other classes"
    elif decision["test_fingerprint"] != evaluation["test_fingerprint"]:
        why = "it was tested on other photos"
    return Comparison(
        config=in_service.config,
        run=in_service.run,
        comparable=not why,
        why=why or "same classes, same test photos",
        test_accuracy=decision["test_accuracy"] if decision else None,
    )
