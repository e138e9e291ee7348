"""checkov, a judge of templates that nobody here wrote: what it finds has a reason here, or is mended."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.infra.app_process import EVERY_FUNCTION, ROOT, synth

CHECKOV = ROOT / ".envs" / "checkov" / "bin" / "checkov"

KEY = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
SETTINGS = {**EVERY_FUNCTION, "security.kms_key": KEY, "api.feedback": "true"}

ACCEPTED = {
    "CKV_AWS_18": "a log bucket would outlive the stack; CloudTrail's data events record access where it is wanted",
    "CKV_AWS_59": "GET / is the page, the same for everyone, which tells nothing of the model and is throttled",
    "CKV_AWS_107": "it means ecr:GetAuthorizationToken, the login to a registry, which has no resources in IAM",
    "CKV_AWS_115": "a new account has 10 concurrent executions, none of which can be reserved; the API is throttled",
    "CKV_AWS_116": "a state or CloudFormation waits for each function's answer; the schedule comes back soon",
    "CKV_AWS_117": "the functions call AWS's APIs alone, which they would need endpoints for (docs/security.md)",
    "CKV_AWS_120": "two photos are never the same request, and a cache costs by the hour",
}
"""Findings that stay, with the reason. A check that finds nothing any more has to go."""

pytestmark = pytest.mark.skipif(
    not CHECKOV.exists(), reason="checkov has an environment of its own, which `make conformance` makes"
)


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What checkov finds in the template, by check."""
    outdir = tmp_path_factory.mktemp("checkov") / "cdk.out"
    made = synth(outdir, overrides=SETTINGS)
    assert made.returncode == 0, made.stderr
    return findings(outdir / "Whippet-dev.template.json")


def findings(template: Path) -> dict[str, list[str]]:
    """Resources by the check that fails on them."""
    command = [
        str(CHECKOV),
        "--file",
        str(template),
        "--framework",
        "cloudformation",
        "--skip-download",
        "--output",
        "json",
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    answer: dict[str, Any] = json.loads(run.stdout)
    assert answer["summary"]["parsing_errors"] == 0
    assert answer["summary"]["passed"] + answer["summary"]["failed"] > 0, "it has looked at nothing"
    found: dict[str, list[str]] = {}
    for item in answer["results"]["failed_checks"]:
        found.setdefault(item["check_id"], []).append(f"{item['check_name']}: {item['resource']}")
    return found


def test_checkov_finds_nothing_but_what_is_accepted(failed: dict[str, list[str]]) -> None:
    assert {check: resources for check, resources in failed.items() if check not in ACCEPTED} == {}


def test_a_finding_that_is_none_any_more_is_not_accepted(failed: dict[str, list[str]]) -> None:
    assert ACCEPTED.keys() - failed.keys() == set()


def test_the_judge_can_say_no(tmp_path: Path) -> None:
    bucket = {"Resources": {"Photos": {"Type": "AWS::S3::Bucket"}}}
    (tmp_path / "open.json").write_text(json.dumps(bucket))
    assert "CKV_AWS_53" in findings(tmp_path / "open.json"), "public access is not blocked"
