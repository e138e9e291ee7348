"""The zips of the Lambda functions: each holds all it needs, and no more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from tests.infra.app_process import ROOT, files_of


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


IMPORTS_ALONE = """
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


def test_every_lambda_imports_from_its_zip_alone(functions: dict[str, Path]) -> None:
    """In a clean interpreter with nothing but the zip and what Lambda itself has: boto3."""
    site_packages = str(Path(boto3.__file__).parents[1])
    assert set(functions) == {path.parent.name for path in (ROOT / "lambda").glob("*/handler.py")}
    for module, folder in functions.items():
        run = subprocess.run(
            [sys.executable, "-I", "-B", "-c", IMPORTS_ALONE, str(folder), module, site_packages],
            env={
                "AWS_DEFAULT_REGION": "eu-west-1",
                "ENDPOINT_NAME": "e",
                "SERVING_MODE": "realtime",
                "API_AUTH": "api_key",
                "CORS_ORIGINS": "",
                "UPLOADS_BUCKET": "",
                "FEEDBACK_DAYS": "0",
                "SLEEP_RECORD": "",
                "ENVIRONMENT": "dev",
                "PATH": os.environ["PATH"],
            },
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
    """Most of Powertools is for functions behind an API, of which there is one."""
    for module, folder in functions.items():
        names = files_of(folder)
        assert not any("__pycache__" in name or name.endswith(".pyc") for name in names), module
        limit = {"classify": 6_000_000, "report": 3_500_000}.get(module, 1_500_000)
        assert sum(path.stat().st_size for path in names.values()) < limit, module
