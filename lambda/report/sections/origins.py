"""Where the model comes from: its photos, its hyperparameters, the jobs and the code that made it."""

from __future__ import annotations

from typing import Any

import contract

from ..run_context import RunContext
from ..run_files import Missing

__all__ = ["dataset", "provenance"]


def dataset(run: RunContext) -> dict[str, Any]:
    """The classes and their photos in each split."""
    summary = run.files.dataset
    return {
        "dataset": summary,
        "totals": {split: sum(entry[split] for entry in summary["classes"]) for split in contract.SPLITS},
        "charts": {"dataset": summary["classes"]},
    }


def provenance(run: RunContext) -> dict[str, Any]:
    """Names under which everything can be found again."""
    decision = _decision(run)
    facts = {
        "Run": run.name,
        "Execution": run.execution,
        "Features job": _unless(run.at("plan", "features", "ready"), run.at("plan", "features", "job")),
        "Features": run.at("plan", "features", "uri"),
        "Tuning job": run.at("plan", "tuning", "job"),
        "Training job": run.at("training", "job"),
        "Rules": run.at("debugger", "way"),
        "Model": run.at("training", "model") or (decision["model"] if decision else None),
        "Model package": run.at("package", "arn"),
        "Endpoint": run.at("smoke_test", "endpoint"),
        "Code version": decision["code_version"] if decision else None,
        "Decided at": decision["decided_at"] if decision else None,
        "Data set": decision["dataset_fingerprint"] if decision else None,
        "Test split": decision["test_fingerprint"] if decision else None,
    }
    hyperparameters = decision["hyperparameters"] if decision else run.at("plan", "hyperparameters") or {}
    return {"facts": {name: value for name, value in facts.items() if value}, "hyperparameters": hyperparameters}


def _decision(run: RunContext) -> contract.Decision | None:
    try:
        return run.files.decision
    except Missing:
        return None


def _unless(condition: object, value: Any) -> Any:
    return None if condition else value
