"""The rules' job: evaluates the rules on what a finished training saved, and writes a status for each.

    python -m training.evaluate_rules --mode MODE --evaluator own --archive output.tar.gz --output FOLDER
    python -m training.evaluate_rules --mode MODE --evaluator managed --tensors FOLDER --profile FILE --output FOLDER

The environment variables of `contract.rule_variable` name the rules and their parameters. The program exits with 0 when
every rule got a status, whatever the status, and with 2 when a rule or a parameter is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import contract
from training.debugger.rules.archive import ArchiveError, extract
from training.debugger.rules.evaluation import TENSOR_RULES, evaluate
from training.profiler.rules.profiler_report import profiler_result

__all__ = ["asked_for", "main"]


def asked_for(environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the rules that environment variables ask for, with their parameters, in the order of `contract.RULES`.

    Raises:
        contract.ContractError: there is no such rule, its parameters are no JSON object, or one of them is wrong.
    """
    prefix = contract.rule_variable("")
    given = {name.removeprefix(prefix): text for name, text in environment.items() if name.startswith(prefix)}
    rules = {}
    for name, text in given.items():
        if name not in contract.RULES:
            raise contract.ContractError(f"there is no debugger rule {name!r}; known are {', '.join(contract.RULES)}")
        try:
            parameters = json.loads(text or "{}")
        except ValueError:
            parameters = None
        if not isinstance(parameters, dict):
            raise contract.ContractError(f"{prefix}{name} holds {text!r}; give the rule's parameters as a JSON object")
        rules[name] = contract.checked_parameters(name, parameters)
    return {name: rules[name] for name in contract.RULES if name in rules}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status."""
    options = _parser().parse_args(arguments)
    start = time.monotonic()
    try:
        rules = asked_for(os.environ)
    except contract.ContractError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2

    # evaluate the rules on a folder, or on what an archive holds
    if options.archive is None:
        results = _evaluate_folder(
            rules, options.tensors, profile=options.profile, mode=options.mode, evaluator=options.evaluator
        )
    else:
        results = _evaluate_archive(rules, options.archive, mode=options.mode, evaluator=options.evaluator)

    for result in results:
        at = "" if result["step"] is None else f" at step {result['step']}"
        print(f"{result['rule']}: {result['status']}{at}: {result['detail']}", flush=True)

    report = contract.RulesReport(results=results, seconds=round(time.monotonic() - start, 3))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / contract.Artefact.RULES).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"{len(results)} rules in {report['seconds']:.1f} s", flush=True)
    return 0


def _evaluate_archive(
    rules: dict[str, dict[str, Any]], archive: Path, *, mode: str, evaluator: contract.Evaluator
) -> list[contract.RuleResult]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            extract(archive, Path(folder))
        except ArchiveError as error:
            return [
                contract.RuleResult(rule=rule, status="Error", detail=str(error), step=None, evaluator=evaluator)
                for rule in rules
            ]
        return _evaluate_folder(
            rules,
            Path(folder) / contract.Artefact.TENSORS,
            profile=Path(folder) / contract.Artefact.PROFILE,
            mode=mode,
            evaluator=evaluator,
        )


def _evaluate_folder(
    rules: dict[str, dict[str, Any]], tensors: Path, *, profile: Path | None, mode: str, evaluator: contract.Evaluator
) -> list[contract.RuleResult]:
    debug = {name: parameters for name, parameters in rules.items() if name in TENSOR_RULES}
    ended = {
        result["rule"]: result
        for result in evaluate(tensors, debug, mode=mode, evaluator=evaluator, hook=_hook_report(tensors))
    }
    profiled: contract.Profile | None = _read(profile)
    return [ended[name] if name in ended else profiler_result(name, profiled, evaluator=evaluator) for name in rules]


def _hook_report(tensors: Path) -> contract.HookReport | None:
    """Read the hook's report in the folder of tensors, or beside it."""
    report: contract.HookReport | None = _read(tensors / contract.Artefact.HOOK_REPORT)
    return report or _read(tensors.parent / contract.Artefact.HOOK_REPORT)


def _read(path: Path | None) -> Any:
    """Read a JSON file; None where there is none or it was cut off, as when the training's disk was full."""
    if path is None or not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        print(f"{path.name} cannot be read and counts as missing: {error}", flush=True)
        return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Evaluate the debugger's rules on a finished training.")
    tensors = parser.add_mutually_exclusive_group(required=True)
    tensors.add_argument("--archive", type=Path, help="the training job's output.tar.gz")
    tensors.add_argument("--tensors", type=Path, help="folder the debugger hook saved to")
    parser.add_argument("--profile", type=Path, help="the training job's profile.json, beside --tensors")
    parser.add_argument("--output", type=Path, required=True, help="folder for rules.json")
    parser.add_argument(
        "--evaluator", choices=("managed", "own"), required=True, help="who is named as the evaluator in the results"
    )
    parser.add_argument("--mode", choices=contract.MODES, required=True, help="the training's mode")
    return parser


if __name__ == "__main__":
    sys.exit(main())
