"""Templates of the stack and definitions of its state machine, synthesised once for each set of settings."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.infra.app_process import EVERY_FUNCTION, cdk_context, synth
from tests.infra.template import Template


@pytest.fixture(scope="session", autouse=True)
def _quiet_cdk() -> Iterator[None]:
    """Use the environment's own Node, no validation (one test switches it on) and no account."""
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
    """Give a function: `synthesise(**{"env": "prod"})` is the template of cdk.json with these `-c` overrides.

    It is synthesised once for all processes of the tests.
    """
    import aws_cdk as cdk

    from infra.settings import Settings
    from infra.stack import WhippetStack

    known: dict[str, Template] = {}
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def build(**overrides: str) -> Template:
        context = cdk_context() | overrides
        settings = Settings.from_context(context)
        of_cdk = {name: value for name, value in context.items() if name.startswith("@aws-cdk")}
        key = sha256(json.dumps([settings.model_dump(mode="json"), of_cdk], sort_keys=True).encode()).hexdigest()
        if key in known:
            return known[key]

        # another process may have synthesised it
        made = shared / f"template-{key}.json"
        if not made.exists():
            app = cdk.App(
                # Only the template is looked at: its assets are hashed but not copied.
                context={**of_cdk, "aws:cdk:disable-asset-staging": True},
                outdir=str(tmp_path_factory.mktemp("cdk")),
                analytics_reporting=False,
            )
            stack = WhippetStack(app, settings=settings)
            body = app.synth().get_stack_artifact(stack.artifact_id).template
            part = made.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps(body), encoding="utf-8")
            part.replace(made)
        known[key] = Template(json.loads(made.read_text(encoding="utf-8")))
        return known[key]

    return build


@pytest.fixture(scope="session")
def template(synthesise: Callable[..., Template]) -> Template:
    """The default environment."""
    return synthesise()


@pytest.fixture(scope="session")
def definition(template: Template) -> dict[str, Any]:
    """The state machine of the default environment."""
    return template.definition()


@pytest.fixture(scope="session")
def fine_tuning(synthesise: Callable[..., Template]) -> dict[str, Any]:
    """The state machine with `training.mode=finetune`."""
    return synthesise(**{"training.mode": "finetune"}).definition()


@pytest.fixture(scope="session")
def realtime(synthesise: Callable[..., Template]) -> dict[str, Any]:
    """The state machine with `serving.mode=realtime`."""
    return synthesise(**{"serving.mode": "realtime"}).definition()


@pytest.fixture(scope="session")
def pausing(synthesise: Callable[..., Template]) -> dict[str, Any]:
    """The state machine whose endpoint may sleep, and whose models a person approves."""
    return synthesise(**EVERY_FUNCTION).definition()


@pytest.fixture(scope="session")
def asking(synthesise: Callable[..., Template]) -> dict[str, Any]:
    """The state machine with `release.approval=manual`."""
    return synthesise(**{"release.approval": "manual"}).definition()


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the app as a process wrote, with every Lambda function and with validation."""
    outdir = tmp_path_factory.mktemp("app") / "cdk.out"
    run = synth(outdir, validation=True, overrides=EVERY_FUNCTION)
    assert run.returncode == 0, run.stderr
    return outdir
