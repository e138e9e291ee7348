"""Whatever was saved, every rule gets a status and a reason, and never waits."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import smdebug

import contract
from tests.training.debugger.rules.conftest import Recorder
from training.debugger.rules import archive
from training.debugger.rules.archive import ArchiveError, extract
from training.debugger.rules.base import TensorRule
from training.debugger.rules.evaluation import TENSOR_RULES, evaluate
from training.debugger.rules.finished_trial import FinishedTrial
from training.evaluate_rules import asked_for, main
from training.profiler.rules.profiler_report import profiler_result

ROOT = Path(__file__).parents[4]


def hook_report(**values: Any) -> contract.HookReport:
    report = {"steps": 0, "first_step": 0, "tensors": 0, "bytes": 0, "seconds": 0.0, "failures": [], "failed": 0}
    return {**report, **values}  # type: ignore[typeddict-item]


def test_a_folder_without_tensors_passes_nothing(tmp_path: Path) -> None:
    results = evaluate(tmp_path, {name: {} for name in TENSOR_RULES}, mode="features", evaluator="own")
    assert {result["rule"]: result["status"] for result in results} == {
        name: "NotApplicable" if name in ("DeadRelu", "SaturatedActivation", "PoorWeightInitialization") else "Error"
        for name in TENSOR_RULES
    }
    assert "the training saved no tensors" in results[0]["detail"]


def test_the_hooks_own_words_are_the_reason(tmp_path: Path) -> None:
    hook = hook_report(failed=3, failures=["no space left on device"])
    (result,) = evaluate(tmp_path, {"Overfit": {}}, mode="features", evaluator="own", hook=hook)
    assert "no space left on device" in result["detail"]


def test_what_should_have_been_saved_and_was_not_is_an_error(recorder: Recorder) -> None:
    recorder.losses(1.0, 0.5)
    result = recorder.result("VanishingGradient")
    assert result["status"] == "Error"
    assert "gradients (collection gradients)" in result["detail"]


def test_activations_that_the_hook_failed_to_save_are_an_error(recorder: Recorder) -> None:
    recorder.losses(1.0, 0.5)
    hook = hook_report(failed=1, failures=["relu_output: out of memory"])
    (result,) = evaluate(recorder.folder, {"DeadRelu": {}}, mode="finetune", evaluator="own", hook=hook)
    assert result["status"] == "Error"
    assert "out of memory" in result["detail"]


def test_the_beginning_of_an_interrupted_training_is_lost_and_said_to_be(recorder: Recorder) -> None:
    """SageMaker keeps a spot training's checkpoints over its attempts, not its output."""
    for step in (300, 301, 302):
        recorder.training(step, losses={"loss": 0.5}, gradients={"gradient/w": [0.0, 1.0]})
    rules: dict[str, dict[str, Any]] = {
        "PoorWeightInitialization": {},
        "VanishingGradient": {},
        "AllZero": {"collection_names": "weights"},
    }
    hook = hook_report(steps=3, first_step=300, note="the training went on at step 300")
    results = evaluate(recorder.folder, rules, mode="finetune", evaluator="own", hook=hook)
    assert [result["status"] for result in results] == ["NotApplicable", "NoIssuesFound", "Error"]
    assert "the tensors begin at step 300" in results[0]["detail"]
    assert "went on at step 300" in results[2]["detail"]
    whole = hook_report(steps=3)
    assert evaluate(recorder.folder, rules, mode="finetune", evaluator="own", hook=whole)[0]["status"] == "Error"
    failed = hook_report(steps=3, first_step=300, failed=1, failures=["no space left on device"])
    (result,) = evaluate(
        recorder.folder, {"PoorWeightInitialization": {}}, mode="finetune", evaluator="own", hook=failed
    )
    assert (result["status"], "no space left" in result["detail"]) == ("Error", True)


def test_one_rules_failure_leaves_the_others_alone(recorder: Recorder) -> None:
    recorder.training(labels={"labels": [0, 5]}, predictions={"predictions": [0, 5]}, losses={"loss": 1.0})
    results = evaluate(
        recorder.folder, {"Confusion": {"category_no": 2}, "ExplodingTensor": {}}, mode="features", evaluator="own"
    )
    assert [result["status"] for result in results] == ["Error", "NoIssuesFound"]
    assert "IndexError" in results[0]["detail"]


def test_damaged_tensors_are_an_error_with_a_reason(recorder: Recorder) -> None:
    recorder.losses(1.0)
    (index,) = recorder.folder.glob("index/**/*.json")
    index.write_text("{", encoding="utf-8")
    assert "cannot be read" in recorder.result("ExplodingTensor")["detail"]


def test_tensors_whose_file_is_gone_are_not_waited_for(recorder: Recorder) -> None:
    recorder.losses(1.0, 0.5)
    for file in recorder.folder.glob("events/**/*.tfevents"):
        file.unlink()
    start = time.monotonic()
    result = recorder.result("LossNotDecreasing")
    assert result["status"] == "Error"
    assert "is gone" in result["detail"]
    assert time.monotonic() - start < 2


def test_an_unknown_rule_or_parameter_is_refused(recorder: Recorder) -> None:
    with pytest.raises(contract.ContractError, match="no tensor rule"):
        recorder.result("StepOutlier")
    with pytest.raises(contract.ContractError, match="it has tensor_regex"):
        recorder.result("Overfit", patients=3)


def test_a_thousand_steps_take_seconds(recorder: Recorder) -> None:
    for step in range(1000):
        saved: dict[str, Any] = {"losses": {"loss": 1000.0 / (step + 1)}}
        if step % 10 == 0:
            saved |= {"weights": {"w": [1.0 * step] * 4096}, "gradients": {"gradient/w": [1.0] * 4096}}
        recorder.training(**saved)
    start = time.monotonic()
    evaluate(recorder.folder, {name: {} for name in TENSOR_RULES}, mode="features", evaluator="own")
    assert time.monotonic() - start < len(TENSOR_RULES)


def test_rules_are_asked_for_by_variables() -> None:
    asked = asked_for({"WHIPPET_RULE_Overfit": '{"patience": 3}', "WHIPPET_RULE_ExplodingTensor": "{}", "HOME": "/"})
    assert asked == {"ExplodingTensor": {}, "Overfit": {"patience": 3}}
    with pytest.raises(contract.ContractError, match="no debugger rule 'Overfitting'"):
        asked_for({"WHIPPET_RULE_Overfitting": "{}"})
    with pytest.raises(contract.ContractError, match="as a JSON object"):
        asked_for({"WHIPPET_RULE_Overfit": "patience=3"})


def packed(folder: Path, recorder: Recorder, **others: dict[str, Any]) -> Path:
    path = folder / "output.tar.gz"
    with tarfile.open(path, "w:gz") as output:
        output.add(recorder.folder, arcname="tensors")
        for name, content in others.items():
            data = json.dumps(content).encode()
            member = tarfile.TarInfo(f"{name}.json")
            member.size = len(data)
            output.addfile(member, io.BytesIO(data))
    return path


def report(folder: Path) -> list[contract.RuleResult]:
    content: contract.RulesReport = json.loads((folder / "rules.json").read_text(encoding="utf-8"))
    return content["results"]


def test_both_forms_of_the_program_say_the_same(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    overfit = {"patience": 2, "ratio_threshold": 0.1}
    for _ in range(2):
        recorder.losses(1.0)
        recorder.validated(2.0)
    monkeypatch.setenv("WHIPPET_RULE_Overfit", json.dumps(overfit))
    monkeypatch.setenv("WHIPPET_RULE_DeadRelu", "{}")
    own = ["--archive", str(packed(tmp_path, recorder)), "--evaluator", "own", "--output", str(tmp_path / "own")]
    assert main(["--mode", "features", *own]) == 0
    managed = ["--tensors", str(recorder.folder), "--evaluator", "managed", "--output", str(tmp_path / "managed")]
    assert main(["--mode", "features", *managed]) == 0
    one, other = report(tmp_path / "own"), report(tmp_path / "managed")
    assert [result["status"] for result in one] == ["IssuesFound", "NotApplicable"]
    assert [{**result, "evaluator": "managed"} for result in one] == other
    assert "Overfit: IssuesFound at step 1: the validation loss 2" in capsys.readouterr().out


class LossPlateau(TensorRule):
    """The loss stayed the same for `patience` steps: a rule of the project's own."""

    inspects = "losses"

    def __init__(self, base_trial: FinishedTrial, *, patience: int):
        super().__init__(base_trial)
        self._patience, self._losses = patience, list[float]()

    def invoke_at_step(self, step: int) -> bool:
        self._losses += self.losses_at(step).values()
        self.checks += 1
        flat = len(self._losses) >= self._patience and len(set(self._losses[-self._patience :])) == 1
        return flat and self.fire("it is flat")


@pytest.mark.parametrize(("evaluator", "status"), [("own", "IssuesFound"), ("managed", "NotApplicable")])
def test_a_rule_of_the_projects_own_needs_an_entry_and_a_class(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluator: str, status: str
) -> None:
    parameters = {"patience": contract.Parameter(type="whole", default=9, low=2)}
    rule = contract.Rule(
        name="LossPlateau", kind="tensor", fires_when="the loss is flat", parameters=parameters, evaluators=("own",)
    )
    monkeypatch.setitem(contract.RULES, rule.name, rule)
    monkeypatch.setitem(TENSOR_RULES, rule.name, LossPlateau)
    monkeypatch.setenv(contract.rule_variable(rule.name), '{"patience": "2"}')
    recorder.losses(1.0, 0.5, 0.5)
    arguments = ["--mode", "features", "--tensors", str(recorder.folder), "--output", str(tmp_path)]
    assert main([*arguments, "--evaluator", evaluator]) == 0
    (result,) = report(tmp_path)
    assert (result["rule"], result["status"], result["evaluator"]) == (rule.name, status, evaluator)
    assert (result["step"] == 2) == (status == "IssuesFound")


@pytest.mark.parametrize("content", [None, b"not an archive", b""])
def test_an_archive_that_cannot_be_used_ends_every_rule_as_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    path = tmp_path / "output.tar.gz"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("WHIPPET_RULE_Overfit", "{}")
    arguments = ["--mode", "features", "--archive", str(path), "--evaluator", "own", "--output", str(tmp_path)]
    assert main(arguments) == 0
    (result,) = report(tmp_path)
    assert result["status"] == "Error"
    assert "output.tar.gz" in result["detail"]


def test_a_report_that_was_cut_off_counts_as_missing(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder.losses(1.0, 0.5)
    for name in (contract.Artefact.HOOK_REPORT, contract.Artefact.PROFILE):
        (tmp_path / name).write_text('{"steps": 2, "fai', encoding="utf-8")
    for rule in ("ExplodingTensor", "StepOutlier"):
        monkeypatch.setenv(contract.rule_variable(rule), "{}")
    arguments = ["--mode", "features", "--evaluator", "managed", "--tensors", str(recorder.folder)]
    arguments += ["--profile", str(tmp_path / contract.Artefact.PROFILE), "--output", str(tmp_path)]
    assert main(arguments) == 0
    assert [result["status"] for result in report(tmp_path)] == ["NoIssuesFound", "Error"]
    said = capsys.readouterr().out
    assert "hook.json cannot be read" in said
    assert "profile.json cannot be read" in said


def test_an_archive_without_tensors_ends_every_rule_as_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "output.tar.gz"
    with tarfile.open(path, "w:gz") as output:
        output.addfile(tarfile.TarInfo("evaluation.json"), io.BytesIO())
    monkeypatch.setenv("WHIPPET_RULE_Overfit", "{}")
    arguments = ["--mode", "finetune", "--archive", str(path), "--evaluator", "own", "--output", str(tmp_path)]
    assert main(arguments) == 0
    assert report(tmp_path)[0]["status"] == "Error"


def test_an_archive_cannot_write_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "output.tar.gz"
    with tarfile.open(path, "w:gz") as output:
        output.addfile(tarfile.TarInfo("tensors/../../escaped"), io.BytesIO())
    with pytest.raises(ArchiveError, match="outside the destination"):
        extract(path, tmp_path / "unpacked")
    assert not (tmp_path / "escaped").exists()


def test_an_archive_may_only_unpack_to_so_much(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.losses(1.0)
    monkeypatch.setattr(archive, "_MOST_BYTES", 100)
    with pytest.raises(ArchiveError, match="save them less often"):
        extract(packed(tmp_path, recorder), tmp_path / "unpacked")


def profile(*results: tuple[str, str]) -> contract.Profile:
    rules = [
        contract.RuleResult(rule=rule, status=status, detail=f"of {rule}", step=None, evaluator="own")  # type: ignore[typeddict-item]
        for rule, status in results
    ]
    return {"rules": rules}  # type: ignore[typeddict-item]


def test_the_profiler_report_stands_for_the_other_profiler_rules() -> None:
    quiet = profile(("StepOutlier", "NoIssuesFound"), ("BatchSize", "NotApplicable"))
    assert profiler_result("ProfilerReport", quiet, evaluator="managed")["status"] == "NoIssuesFound"
    loud = profile(("StepOutlier", "IssuesFound"), ("BatchSize", "NoIssuesFound"))
    found = profiler_result("ProfilerReport", loud, evaluator="managed")
    assert found["status"] == "IssuesFound"
    assert found["detail"] == "1 of the 2 profiler rules that apply here found an issue: StepOutlier"
    assert profiler_result("ProfilerReport", None, evaluator="managed")["status"] == "Error"
    assert profiler_result("StepOutlier", loud, evaluator="managed")["status"] == "IssuesFound"
    assert profiler_result("Dataloader", loud, evaluator="managed")["status"] == "Error"
    # The job was asked for the report alone, and looked at rules that it does not list.
    alone = profile(("ProfilerReport", "IssuesFound"))
    assert profiler_result("ProfilerReport", alone, evaluator="own")["status"] == "IssuesFound"


def test_the_program_runs_from_a_zip_with_smdebug_in_it(recorder: Recorder, tmp_path: Path) -> None:
    recorder.losses(1.0, 0.5)
    bundle = tmp_path / "source.zip"
    with zipfile.ZipFile(bundle, "w") as source:
        for package in (ROOT / "contract", ROOT / "training", Path(smdebug.__file__).parent):
            for file in package.rglob("*.py"):
                source.write(file, file.relative_to(package.parent))
        source.writestr("__main__.py", "from training.evaluate_rules import main\nraise SystemExit(main())\n")
    output = tmp_path / "output"
    arguments = [
        "--mode",
        "features",
        "--archive",
        packed(tmp_path, recorder),
        "--evaluator",
        "own",
        "--output",
        output,
    ]
    done = subprocess.run(
        [sys.executable, str(bundle), *map(str, arguments)],
        cwd=tmp_path,
        env={"WHIPPET_RULE_ExplodingTensor": "{}", **contract.SMDEBUG_ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [result["status"] for result in report(output)] == ["NoIssuesFound"]
