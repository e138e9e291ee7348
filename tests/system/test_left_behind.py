"""README's list of what stays after a destroy, which test_whole_run.py compares with an account."""

from __future__ import annotations

from typing import Any

import pytest

from tests.system import left_behind
from tests.system.left_behind import STATED, stated, unstated


def test_the_list_in_readme_is_the_one_that_is_compared() -> None:
    rows = stated()
    assert rows[0].startswith("the bucket with your photos")
    assert {row for row in rows[1:] if not any(row.startswith(words) for words in STATED.values())} == set()
    assert {words for words in STATED.values() if not any(row.startswith(words) for row in rows)} == set()


def test_what_the_list_does_not_name_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    stays = ["role Whippet-dev-ApiRestCloudWatchRoleC77E86EB-953D", "training job whippet-dev-1-train"]
    forgotten = ["role Whippet-dev-EndpointRole62E42B8D-A9ED", "endpoint whippet-dev", "log group /aws/lambda/x"]

    def account(_: Any) -> list[str]:
        return [*stays, *forgotten, "log group /aws/codebuild/Whippet-dev-ServingImageProjectCBE6762E-C86B"]

    monkeypatch.setattr(left_behind, "left", account)
    assert unstated(lambda _: None) == forgotten
