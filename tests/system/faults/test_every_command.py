"""Every command that talks to AWS under faults that a tool from outside injects, in AWS's own wire format.

What passes is asked again by the SDK, and the command does what it is there for, once. What stays ends with one error
and status 1, never with a traceback; what was begun by then is told, and the same command again goes on with it. No
cell counts without a fault in microburst's own log.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import botocore.loaders
import botocore.session
import pytest

from cli import target
from cli.target import ROOT
from local import control
from tests.local.cloud.conftest import Account
from tests.system.faults import microburst
from tests.system.faults.matrix import LASTING, LOST, PASSING, Cell, Operation, operations, run_cells, told
from tests.system.faults.microburst import PROGRAM, Microburst
from tests.system.faults.stand import Stand, programs
from tests.system.faults.verbs import CLASSIFY_ONE, ENVIRONMENTS, VERBS

READING = ("List", "Get", "Describe", "Head")
"""What the names of operations begin with that change nothing."""

pytestmark = pytest.mark.skipif(
    not PROGRAM.exists(), reason="microburst has an environment of its own, which `make conformance` makes"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def cloud(folder: Path) -> Iterator[control.Cloud]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHIPPET_ENVIRONMENTS", str(programs(folder / "environments")))
        yield control.start(folder / "cloud")
        control.stop(folder / "cloud")


@pytest.fixture(scope="module")
def stands(cloud: control.Cloud) -> dict[str, Stand]:
    """The environments, by name. That whose stack is gone is seen from another one's."""
    *standing, gone = ENVIRONMENTS
    deployed = {env: Stand.deployed(Account(cloud), env) for env in standing}
    return {**deployed, gone: deployed[standing[0]]}


@pytest.fixture(scope="module")
def proxy(cloud: control.Cloud, folder: Path) -> Iterator[Microburst]:
    """microburst, through which all commands reach the cloud."""
    with microburst.started(cloud.endpoint_url, folder=folder) as proxy, pytest.MonkeyPatch.context() as patch:
        behind = control.Cloud(
            port=proxy.port, pid=cloud.pid, state=cloud.state, access_key=cloud.access_key, secret_key=cloud.secret_key
        )
        patch.setattr(control, "running", lambda _state: behind)
        patch.setenv("COLUMNS", "400")
        context = json.loads((ROOT / "cdk.json").read_text())["context"]
        settings = {env: {"serving": {"mode": "realtime"}} for env in ENVIRONMENTS}
        (folder / "cdk.json").write_text(json.dumps({"context": {**context, "environments": settings}}))
        patch.setattr(target, "ROOT", folder)
        # the commands are forked: what botocore reads of its models is read once
        loader = botocore.loaders.create_loader()
        patch.setattr(botocore.session, "create_loader", lambda _path: loader)
        yield proxy


@pytest.fixture(scope="module")
def calls(stands: dict[str, Stand], proxy: Microburst, folder: Path) -> dict[str, list[Operation]]:
    """The operations of each command, by the words that choose it, without a fault."""
    cells = [Cell(verb) for verb in VERBS]
    run_cells(cells, stands=stands, proxy=proxy, folder=folder / "none", again=False)
    complain(cells)
    return {cell.verb.words: operations(cell) for cell in cells}


def complain(cells: list[Cell]) -> None:
    """Fail with every cell that is not as promised."""
    print(told(cells))
    wrong = [f"{cell}: {'; '.join(cell.problems)}\n{_said(cell)}" for cell in cells if cell.problems]
    assert not wrong, f"{len(wrong)} of {len(cells)}:\n" + "\n".join(wrong)


def _said(cell: Cell) -> str:
    return "" if cell.ended is None else f"    status {cell.ended.status}: {cell.ended.said.strip()[-1000:]}"


def passing(calls: dict[str, list[Operation]], *, every: bool) -> list[Cell]:
    """A cell for each command and fault; or, unless `every` is wanted, two: lost answers, and the others in turn."""
    others = [fault for fault in PASSING if fault != LOST]
    cells = []
    for number, verb in enumerate(VERBS):
        found = calls[verb.words]
        cells.append(Cell(verb, dict.fromkeys(found, LOST)))
        if every:
            cells += [Cell(verb, dict.fromkeys(found, fault)) for fault in others]
        else:
            in_turn = [others[(number + place) % len(others)] for place in range(len(found))]
            cells.append(Cell(verb, dict(zip(found, in_turn, strict=True))))
    return cells


def lasting(calls: dict[str, list[Operation]], *, every: bool) -> list[Cell]:
    """A cell for each command, operation and fault.

    Unless `every` is wanted, an operation that changes nothing is taken of one command, and the faults come in turn.
    """
    cells, names, seen = [], list(LASTING), set[Operation]()
    for verb in VERBS:
        for operation in calls[verb.words]:
            if every:
                cells += [Cell(verb, {operation: fault}) for fault in names]
            elif operation not in seen or not operation.name.startswith(READING):
                cells.append(Cell(verb, {operation: names[len(cells) % len(names)]}))
            seen.add(operation)
    return cells


EVERY = os.environ.get("WHIPPET_EVERY_FAULT") == "true"
"""Whether all cells of the table are wanted, which takes a quarter of an hour."""


def test_what_passes_is_asked_again_and_the_command_does_its_work_once(
    stands: dict[str, Stand], proxy: Microburst, folder: Path, calls: dict[str, list[Operation]]
) -> None:
    cells = passing(calls, every=EVERY)
    run_cells(cells, stands=stands, proxy=proxy, folder=folder / "passing", again=False)
    complain(cells)


def test_what_stays_ends_with_one_error_and_tells_what_was_begun(
    stands: dict[str, Stand], proxy: Microburst, folder: Path, calls: dict[str, list[Operation]]
) -> None:
    cells = lasting(calls, every=EVERY)
    run_cells(cells, stands=stands, proxy=proxy, folder=folder / "lasting", again=True)
    complain(cells)


@pytest.mark.parametrize("fault", ["internal error", "unavailable", "timed out", "dropped"])
def test_an_api_that_does_not_answer_ends_a_classification_with_one_error(
    stands: dict[str, Stand], proxy: Microburst, folder: Path, fault: str
) -> None:
    of_api = {"service": "*", "headers": {"x-api-key": "the-key-of-these-commands"}}
    (rule,) = proxy.add([{**of_api, **PASSING[fault]}])
    cell = Cell(CLASSIFY_ONE)
    run_cells([cell], stands=stands, proxy=proxy, folder=folder / f"api-{fault.replace(' ', '-')}", again=False)
    assert proxy.fired(rule), "the fault met no request"
    proxy.remove([{"headers": of_api["headers"]}])
    assert cell.problems == ["it failed"], cell.problems
    assert cell.ended is not None
    assert cell.ended.err.strip().startswith("error: the API ")
    assert len(cell.ended.err.strip().splitlines()) == 1
