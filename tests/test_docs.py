"""The documents point at what is there: every relative link, every heading a link names, every path of the project."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from check_dataset.overrides import KNOWN

from cli.target import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
FOLDERS = (
    "benchmarks",
    "cli",
    "contract",
    "docs",
    "inference",
    "infra",
    "lambda",
    "local",
    "locks",
    "tests",
    "training",
)
"""Where a path in backticks begins if it is one of this repository; others are keys of the bucket, or a container's."""

_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
_CODE = re.compile(r"`([^`\n]+)`")
_PLACEHOLDER = re.compile(r"[<>…{}$ ]")
_PAGE_IDS = [page.relative_to(ROOT).as_posix() for page in PAGES]


def prose(page: Path) -> str:
    """The page without its fenced blocks and comments."""
    return re.sub(r"^```.*?^```|<!--.*?-->", "", page.read_text(), flags=re.S | re.M)


def links(page: Path) -> Iterator[str]:
    for found in _LINK.finditer(prose(page)):
        target = found[1] or found[2]
        if not target.startswith(("https://", "http://", "mailto:")):
            yield target


def anchors(page: Path) -> set[str]:
    """Ids of the page's headings, made as GitHub makes them: lower case, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ +(.+?) *$", prose(page), re.M)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def is_there(path: str) -> bool:
    if "*" in path:
        return any(ROOT.glob(path))
    return (ROOT / path).exists()


def broken_links(page: Path) -> list[str]:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def missing_paths(page: Path) -> list[str]:
    paths = (code for code in _CODE.findall(prose(page)) if code.split("/")[0] in FOLDERS and "/" in code)
    return [path for path in paths if not _PLACEHOLDER.search(path) and not is_there(path)]


@pytest.mark.parametrize("page", PAGES, ids=_PAGE_IDS)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("page", PAGES, ids=_PAGE_IDS)
def test_every_path_of_the_project_is_there(page: Path) -> None:
    assert missing_paths(page) == []


def test_the_index_lists_every_page() -> None:
    index = ROOT / "docs/index.md"
    listed = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    decisions = ROOT / "docs/decisions/README.md"
    listed |= {(decisions.parent / link.partition("#")[0]).resolve() for link in links(decisions)}
    pages = set((ROOT / "docs").rglob("*.md")) - {index}
    assert sorted(page.relative_to(ROOT).as_posix() for page in pages - listed) == []


def test_the_keys_of_a_runs_input_are_those_that_are_known() -> None:
    section = (ROOT / "docs/settings.md").read_text().split("## One run")[1].split("##")[0]
    keys = {key for row in re.findall(r"^\| (`[^|]+) \|", section, re.M) for key in re.findall(r"`(\w+)`", row)}
    assert keys | {"retry_of"} == set(KNOWN)


def test_a_broken_link_a_missing_heading_and_a_missing_path_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One heading\n[a](gone.md) [b](#one-heading) [c](#another) `training/gone.py` `training/train.py`\n"
        "`runs/<run>/report.html` `training/<name>.py`\n```\n[d](code.md)\n```\n"
    )
    assert broken_links(page) == ["gone.md", "#another"]
    assert missing_paths(page) == ["training/gone.py"]
