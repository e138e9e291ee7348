"""The app as a process: same bytes twice, with validation, with wrong settings; and its template under the linters."""

from __future__ import annotations

import filecmp
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.infra.conftest import ROOT, cdk_context

EVERY_FUNCTION = {"release.approval": "manual"}
"""The setting with which the stack holds every Lambda function there is."""


def synth(
    outdir: Path, *, validation: bool = False, overrides: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`python app.py` with nothing of an account in its environment."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(outdir.parent),
        "CDK_OUTDIR": str(outdir),
        "CDK_CONTEXT_JSON": json.dumps(cdk_context() | dict(overrides or {})),
        "CDK_VALIDATION": "true" if validation else "false",
    }
    return subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    outdir = tmp_path_factory.mktemp("app") / "cdk.out"
    run = synth(outdir, validation=True, overrides=EVERY_FUNCTION)
    assert run.returncode == 0, run.stderr
    return outdir


def files_of(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


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
        {"dataset.keep_at_destroy": "false", "debugger.mode": "own", **EVERY_FUNCTION},
        {"dataset.bucket": "photos-of-ours", "debugger.mode": "managed"},
    ],
    ids=["default", "bucket not kept, own rules, asked", "existing bucket, managed rules"],
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


@pytest.fixture(scope="module")
def functions(assembly: Path) -> dict[str, Path]:
    """Folder of each Lambda's zip, by its module."""
    body = json.loads((assembly / "Whippet-dev.template.json").read_text())
    assets = json.loads((assembly / "Whippet-dev.assets.json").read_text())["files"]
    found = {}
    for item in body["Resources"].values():
        if item["Type"] == "AWS::Lambda::Function":
            key = item["Properties"]["Code"]["S3Key"].removesuffix(".zip")
            module = item["Properties"]["Handler"].split(".")[0]
            found[module] = assembly / assets[key]["source"]["path"]
    return found


def test_every_lambda_imports_from_its_zip_alone(functions: dict[str, Path]) -> None:
    """In a clean interpreter with nothing but the zip and what Lambda itself has: boto3."""
    script = """
import importlib, sys, types
zip_folder, module, boto3_folder = sys.argv[1:]
class OnlyBoto3:
    allowed = {"boto3", "botocore", "s3transfer", "dateutil", "urllib3", "six", "jmespath"}
    def find_spec(self, name, path=None, target=None):
        if path is None and name.split(".")[0] in self.allowed:
            import importlib.machinery
            return importlib.machinery.PathFinder.find_spec(name, [boto3_folder])
sys.path.insert(0, zip_folder)
sys.meta_path.append(OnlyBoto3())
sys.path[:] = [entry for entry in sys.path if not entry.endswith("site-packages")]
handler = importlib.import_module(f"{module}.handler").handler
import aws_lambda_powertools, contract
assert aws_lambda_powertools.__file__.startswith(zip_folder), aws_lambda_powertools.__file__
assert contract.__file__.startswith(zip_folder)
assert callable(handler)
"""
    import boto3

    site_packages = str(Path(boto3.__file__).parents[1])
    assert set(functions) == {
        "ask_approval", "build_image", "check_dataset", "classify", "cleanup", "notify", "report", "retire",
        "smoke_test", "verdict",
    }  # fmt: skip
    for module, folder in functions.items():
        run = subprocess.run(
            [sys.executable, "-I", "-B", "-c", script, str(folder), module, site_packages],
            env={"AWS_DEFAULT_REGION": "eu-west-1", "ENDPOINT_NAME": "e", "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, (module, run.stderr)


def test_the_reports_zip_brings_what_it_draws_with(functions: dict[str, Path]) -> None:
    names = files_of(functions["report"])
    assert {
        "report/templates/page.html.jinja",
        "report/templates/charts.js",
        "report/echarts.min.js",
        "jinja2/__init__.py",
        "markupsafe/_native.py",
    } <= set(names)
    assert not [name for name in names if name.endswith(".so")], "compiled for this machine, not for Lambda's"
    assert "jinja2/__init__.py" not in files_of(functions["verdict"])


def test_zips_stay_small_and_carry_no_caches(functions: dict[str, Path]) -> None:
    for module, folder in functions.items():
        names = files_of(folder)
        assert not any("__pycache__" in name or name.endswith(".pyc") for name in names), module
        assert sum(path.stat().st_size for path in names.values()) < 6_000_000, module
