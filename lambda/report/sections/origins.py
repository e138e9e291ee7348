"""The origins of the model: its photos, its hyperparameters, and the jobs and the code that made it."""

from __future__ import annotations

from typing import Any

import contract

from ..run_context import RunContext
from ..run_files import if_present

__all__ = ["dataset", "provenance"]


def dataset(run: RunContext) -> dict[str, Any]:
    """Return the classes, the number of their photos in each split, and why they are weighted."""
    summary, plan = run.files.dataset, run.data.get("plan")
    # A run of an earlier version knows no weights.
    wanted = plan["hyperparameters"].get("class_weights", "none") if plan else "none"
    return {
        "class_weights": contract.class_weights_reason([entry["train"] for entry in summary["classes"]], wanted=wanted),
        "dataset": summary,
        "totals": {split: sum(entry[split] for entry in summary["classes"]) for split in contract.SPLITS},
        "charts": {"dataset": summary["classes"]},
    }


def provenance(run: RunContext) -> dict[str, Any]:
    """Return the names under which everything can be found again."""
    decision = if_present(lambda: run.files.decision)
    plan, training, package = run.data.get("plan"), run.data.get("training"), run.data.get("package")
    features = plan["features"] if plan else None

    facts = {
        "Run": run.name,
        "Execution": run.execution,
        "Started by": contract.trigger_of(run.execution.rsplit(":", 1)[-1]),
        "Features job": features["job"] if features and not features["ready"] else None,
        "Features": features["uri"] if features else None,
        "Tuning job": plan["tuning"]["job"] if plan else None,
        "Training job": training["job"] if training else None,
        "Rules": run.evaluator,
        "Model": training["model"] if training else decision["model"] if decision else None,
        "Model package": package["arn"] if package else None,
        "Endpoint": run.released_endpoint,
        "Code version": decision["code_version"] if decision else None,
        "Decided at": decision["decided_at"] if decision else None,
        "Data set": decision["dataset_fingerprint"] if decision else None,
        "Test split": decision["test_fingerprint"] if decision else None,
    }
    hyperparameters = decision["hyperparameters"] if decision else plan["hyperparameters"] if plan else {}
    return {"facts": {name: value for name, value in facts.items() if value}, "hyperparameters": hyperparameters}
