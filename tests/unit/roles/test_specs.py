"""What the roles have in common is described once."""

from __future__ import annotations

from pathlib import Path

import pytest
import specs
import yaml
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _version_distribution

ENTRY = _version_distribution.ARGUMENTS["entry"]["options"]


@pytest.mark.parametrize("path", specs.specs(), ids=lambda path: path.parts[-3])
def test_an_argument_spec_has_the_shared_options_as_they_are_described_once(path: Path) -> None:
    assert path.read_text() == specs.written(path.read_text(), path.parts[-3]), "make specs"


def test_the_shared_options_get_into_a_spec_and_nothing_else_changes() -> None:
    spec = """\
      canary_namespace: &namespace
        type: int
        description: Old.
      canary_namespaces:
        type: int
      canary_entry:
        type: dict
        description: Its own.
        options:
          service:
            type: int
      canary_last:
        type: int
"""
    text = specs.written(spec, "canary")
    found = yaml.safe_load(text)
    assert found["canary_namespace"]["type"] == "str"
    assert "canary_namespace: &namespace\n" in text
    assert (found["canary_namespaces"], found["canary_last"]) == ({"type": "int"}, {"type": "int"})
    assert found["canary_entry"]["description"] == "Its own."
    assert {name: option["type"] for name, option in found["canary_entry"]["options"].items()} == {
        name: option["type"] for name, option in ENTRY.items()
    }
    assert specs.written(spec, "scale") == spec


@pytest.mark.parametrize("role", sorted(path.name for path in (specs.ROOT / "roles").iterdir() if path.is_dir()))
def test_every_role_has_a_readme_that_names_its_variables(role: str) -> None:
    folder = specs.ROOT / "roles" / role
    readme = (folder / "README.md").read_text()
    options = yaml.safe_load((folder / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    assert readme.startswith(f"# {role}\n")
    assert role == "cluster" or [name for name in options if f"`{name}`" not in readme] == []
