"""That version, changelog and documentation are in step."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
VERSION = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
RELEASES = yaml.safe_load((ROOT / "changelogs/changelog.yaml").read_text())["releases"]
PENDING = list((ROOT / "changelogs/fragments").glob("*.y*ml"))
DOCUMENTED = sorted(
    path
    for kind in ("modules", "callback", "filter", "inventory", "lookup")
    for path in (ROOT / "plugins" / kind).iterdir()
    if path.suffix in (".py", ".yml") and path.stem != "__init__"
)


LICENCE = "# SPDX-License-" + "Identifier: GPL-3.0-or-later"  # in parts, as those who look for one would find it here


def documentation(path: Path) -> dict[str, Any]:
    """What ansible-doc shows of a plugin."""
    if path.suffix == ".yml":
        return dict(yaml.safe_load(path.read_text())["DOCUMENTATION"])
    (text,) = (
        node.value
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and [getattr(each, "id", "") for each in node.targets] == ["DOCUMENTATION"]
    )
    return dict(yaml.safe_load(ast.literal_eval(text)))


def numbers(version: str) -> tuple[int, ...]:
    """A version, to be compared."""
    return tuple(map(int, version.split(".")))


@pytest.mark.parametrize("path", DOCUMENTED, ids=lambda path: path.stem)
def test_a_plugin_is_in_the_changelog_of_the_release_that_added_it(path: Path) -> None:
    added = documentation(path)["version_added"]
    assert numbers(added) <= numbers(VERSION)
    if added in RELEASES:
        kinds = RELEASES[added].get("plugins") or {}
        new = [*RELEASES[added].get("modules", ()), *(each for kind in kinds.values() for each in kind)]
        assert path.stem in [each["name"] for each in new]


def test_the_version_is_released_or_has_changes_that_are_yet_to_be() -> None:
    newest = max(RELEASES, key=numbers)
    assert numbers(newest) <= numbers(VERSION)
    assert bool(PENDING) == (newest != VERSION), "a released version is not changed any more: raise that of galaxy.yml"


def test_each_file_that_users_get_says_its_licence() -> None:
    folders = (ROOT / "plugins", ROOT / "sandbox/convoy_sandbox")
    silent = [
        str(path.relative_to(ROOT))
        for folder in folders
        for path in folder.rglob("*.py")
        if LICENCE not in path.read_text()[:300].split("\n")
    ]
    assert silent == []
