"""Photos to fine-tune on."""

from __future__ import annotations

import pytest

from tests.training.conftest import Workspace


@pytest.fixture
def photos(workspace: Workspace) -> Workspace:
    workspace.fill(each=20)
    workspace.write_weights()
    return workspace
