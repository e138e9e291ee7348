"""The app as a process: same bytes twice, with validation, with wrong settings; and its template under the linters."""

from __future__ import annotations

import filecmp
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.infra.app_process import EVERY_FUNCTION, ROOT, cdk_context, files_of, synth


def test_a_second_process_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert synth(tmp_path / name).returncode == 0
    first, second = files_of(tmp_path / "a"), files_of(tmp_path / "b")
    assert set(first) == set(second)
    different = [name for name in first if not filecmp.cmp(first[name], second[name], shallow=False)]
    assert different == []


def test_neither_clock_nor_account_nor_machine_is_in_the_template(assembly: Path) -> None:
    text = (assembly / "Whippet-dev.template.json").read_text()
    assert str(ROOT) not in text
    assert str(assembly) not in text
    assert "20" + "26-" not in text


def test_a_wrong_setting_is_a_message_and_not_a_traceback(tmp_path: Path) -> None:
    run = synth(tmp_path / "cdk.out", overrides={"training.epochs": "0"})
    assert run.returncode == 1
    assert "training.epochs='0'" in run.stderr
    assert "Traceback" not in run.stderr


def test_cfn_lint_has_nothing_to_say(assembly: Path) -> None:
    # W3005 is about dependencies that CDK writes although a reference implies them.
    linter = str(Path(sys.executable).with_name("cfn-lint"))
    command = [linter, "--ignore-checks", "W3005", "--regions", "us-east-1", "--"]
    template = str(assembly / "Whippet-dev.template.json")
    run = subprocess.run([*command, template], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"dataset.keep_at_destroy": "false", "debugger.mode": "own", "api.feedback": "true", **EVERY_FUNCTION},
        {"dataset.bucket": "photos-of-ours", "debugger.mode": "managed", "budget.ceiling": "100"},
        {
            "security.kms_key": "create",
            "security.subnets": "subnet-01234567",
            "security.security_groups": "sg-01234567",
            **EVERY_FUNCTION,
        },
    ],
    ids=[
        "default",
        "bucket not kept, own rules, feedback, asked",
        "existing bucket, managed rules, ceiling",
        "own key, VPC",
    ],
)
def test_cdk_nag_has_nothing_to_say(
    overrides: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synthesise: Callable[..., object]
) -> None:
    import aws_cdk as cdk
    from cdk_nag import AwsSolutionsChecks

    from infra.settings import Settings
    from infra.stack import WhippetStack

    monkeypatch.setenv("CDK_VALIDATION", "true")
    app = cdk.App(outdir=str(tmp_path), analytics_reporting=False)
    WhippetStack(app, settings=Settings.from_context(cdk_context() | overrides))
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()
