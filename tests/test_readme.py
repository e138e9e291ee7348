"""The README, and the table of the settings, say what is true."""

from __future__ import annotations

import json
import re

from cli.settings import markdown
from cli.target import ROOT
from infra.quotas import needs
from infra.settings import Settings

README = (ROOT / "README.md").read_text()
SETTINGS_PAGE = (ROOT / "docs/settings.md").read_text()


def test_the_settings_table_is_the_settings() -> None:
    table = re.search(r"<!-- settings.*?-->\n(.*?)\n<!-- end", SETTINGS_PAGE, re.S)
    assert table is not None
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    assert table[1] == markdown(Settings.from_context({"environments": context["environments"]}))


def test_the_quotas_of_the_readme_are_those_of_the_settings() -> None:
    """A-03."""
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    found = {
        env: [(need.service, need.quota, need.need) for need in needs(Settings.from_context(context | {"env": env}))]
        for env in ("dev", "prod")
    }
    rows = re.findall(r"^\| (\w+): `([^`]+)` \| (\d+) \| (\d+) \|", README, re.M)
    for env, column in (("dev", 2), ("prod", 3)):
        told = [(row[0].lower(), row[1], int(row[column])) for row in rows if int(row[column])]
        assert sorted(told) == sorted(found[env])


def test_every_place_the_readme_names_is_there() -> None:
    places = re.findall(r"^\| (`[^|]+`) \|", README.split("## Where things are")[1], re.M)
    names = [name for cell in places for name in re.findall(r"`([^`]+)`", cell)]
    assert len(names) > 8
    assert [name for name in names if not (ROOT / name).exists()] == []
