"""Templates of the stack, synthesised in this process once per set of settings."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.infra.template import Template

ROOT = Path(__file__).resolve().parents[2]


def cdk_context() -> dict[str, Any]:
    context: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text())["context"]
    return context


@pytest.fixture(scope="session", autouse=True)
def _quiet_cdk() -> Iterator[None]:
    """The environment's own Node, no validation (one test has it on), and no account anywhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("CDK_VALIDATION", "false")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield


@pytest.fixture(scope="session", autouse=True)
def _code_copied_once() -> Iterator[None]:
    """Copy the files of each Lambda function once for all synthesised stacks; each stack gets hard links to them."""
    from infra import python_function

    stage, copies = python_function.stage_function, Path(tempfile.mkdtemp())

    def stage_links(name: str, target: Path, *, packages: Sequence[str] = (), files: Sequence[str] = ()) -> None:
        copy = copies / "-".join((name, *packages, *files)).replace("/", "-")
        if not copy.exists():
            stage(name, copy, packages=packages, files=files)
        shutil.copytree(copy, target, copy_function=os.link, dirs_exist_ok=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(python_function, "stage_function", stage_links)
        yield

    shutil.rmtree(copies)


@pytest.fixture(scope="session")
def synthesise(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Template]:
    """`synthesise(**{"env": "prod"})`: the template of cdk.json with these `-c` overrides."""
    import aws_cdk as cdk

    from infra.settings import Settings
    from infra.stack import WhippetStack

    known: dict[str, Template] = {}

    def build(**overrides: str) -> Template:
        key = json.dumps(overrides, sort_keys=True)
        if key not in known:
            context = cdk_context() | overrides
            settings = Settings.from_context(context)
            app = cdk.App(
                # Only the template is looked at: its assets are hashed but not copied.
                context={name: value for name, value in context.items() if name.startswith("@aws-cdk")}
                | {"aws:cdk:disable-asset-staging": True},
                outdir=str(tmp_path_factory.mktemp("cdk")),
                analytics_reporting=False,
            )
            stack = WhippetStack(app, settings=settings)
            assembly = app.synth()
            known[key] = Template(assembly.get_stack_artifact(stack.artifact_id).template)
        return known[key]

    return build


@pytest.fixture(scope="session")
def template(synthesise: Callable[..., Template]) -> Template:
    """The default environment."""
    return synthesise()
