"""`make bench`: run the benchmarks, each in the environment it needs, and print their results.

    python -m benchmarks [--quick] [benchmark ...]

The results are written to benchmarks/results.json and docs/benchmarks.md. With --quick, which measures too little to be
quoted, they are only printed. If a benchmark fails, its error is printed, the others go on, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, today
from benchmarks.report import merged, rendered, table

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
DOCUMENT = ROOT / "docs" / "benchmarks.md"

MODULES = {
    "input_pipeline": "training",
    "training_step": "training",
    "profile_cost": "training",
    "tuning": "training",
    "memory_growth": "training",
    "hook_cost": "training",
    "search_trials": "cloud",
    "head": "training",
    "backbones": "training",
    "mirror": "training",
    "most_accurate": "training",
    "finetuning": "training",
    "doctor": "training",
    "explain": "training",
    "run_time": "training",
    "service_comparison": "training",
    "unknown": "training",
    "honest": "training",
    "serving": "training",
    "cold_start": "app",
    "hostile": "inference",
    "overload": "training",
    "idle": "app",
    "bill": "app",
    "cases": "app",
}
"""The benchmarks in the order they run, and the environment that each needs: app is .venv, the others are in .envs."""


class BenchmarkError(RuntimeError):
    """A benchmark ended without results; the message is the end of its output."""


def main() -> int:
    """Run the benchmarks named on the command line, or all of them, and return the exit status."""
    arguments = _parser().parse_args()
    print(f"Measuring on {describe()}")

    # one benchmark after the other: together they would disturb each other
    results: list[dict[str, Any]] = []
    failures: dict[str, str] = {}
    for module in arguments.benchmarks or MODULES:
        print(f"{module} ...", flush=True)
        try:
            results += measure(module, environment=MODULES[module], quick=arguments.quick)
        except BenchmarkError as error:
            failures[module] = str(error)

    print(table(results))
    for module, failure in failures.items():
        print(f"{module} FAILED: {failure}")

    # keep the results of the benchmarks that were not run now
    if not arguments.quick and results:
        before = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
        every = merged(before, results)
        RESULTS.write_text(json.dumps(every, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(rendered(every), encoding="utf-8")
        print(f"Wrote {RESULTS.relative_to(ROOT)} and {DOCUMENT.relative_to(ROOT)}")
    return 1 if failures else 0


def measure(module: str, *, environment: str, quick: bool) -> list[dict[str, Any]]:
    """Run one benchmark in a process of its own and return its results.

    Raises:
        BenchmarkError: the process failed, or its last line is not a list of results.
    """
    python = ROOT / (".venv" if environment == "app" else f".envs/{environment}") / "bin" / "python"
    process = subprocess.run(
        [str(python), "-m", f"benchmarks.{module}", *(["--quick"] if quick else [])],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    *_, last = process.stdout.strip().splitlines() or [""]
    if process.returncode != 0:
        output = (process.stderr.strip() or process.stdout.strip()).splitlines()
        raise BenchmarkError("\n".join(output[-15:]) or f"exit status {process.returncode}")
    try:
        results: list[dict[str, Any]] = json.loads(last)
    except json.JSONDecodeError:
        raise BenchmarkError(f"its last line is not a list of results: {last[:200]!r}") from None
    return [{**result, "machine": describe(), "date": today()} for result in results]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure this project beside its peers.")
    parser.add_argument("benchmarks", nargs="*", choices=[*MODULES, []], metavar="benchmark", help=", ".join(MODULES))
    parser.add_argument("--quick", action="store_true", help="measure little, only to see that the benchmarks run")
    return parser


if __name__ == "__main__":
    sys.exit(main())
