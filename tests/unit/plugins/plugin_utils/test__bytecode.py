"""How this collection's own modules are imported."""

from __future__ import annotations

import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest
from ansible_collections.convoy.rollout.plugins.plugin_utils._bytecode import WITHIN, Finder
from ansible_collections.convoy.rollout.plugins import module_utils

COLLECTIONS = Path(__file__).resolve().parents[4] / ".collections"
OURS = list(module_utils.__path__)

#: As ansible-playbook does it: its own importer for all that is below ansible_collections, then an action.
PLAYBOOK = """
import sys
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
_AnsibleCollectionFinder(paths=[sys.argv[1]])._install()
from ansible_collections.convoy.rollout.plugins.action import run
for name, module in sorted(sys.modules.items()):
    if name.startswith("ansible_collections.convoy.rollout.plugins.module_utils."):
        print(type(module.__spec__.loader).__name__)
"""


@pytest.mark.parametrize("name", ["_failure", "_operations"])
def test_a_module_of_ours_is_loaded_with_the_bytecode_that_python_keeps(name: str) -> None:
    found = Finder().find_spec(WITHIN + name, OURS)

    assert found is not None
    assert isinstance(found.loader, SourceFileLoader)


@pytest.mark.parametrize(
    "name", [f"{WITHIN}_nothing", "ansible_collections.kubernetes.core.plugins.module_utils._failure", "_failure"]
)
def test_what_is_none_of_ours_is_left_to_others(name: str) -> None:
    assert Finder().find_spec(name, OURS) is None


def test_a_folder_that_is_no_package_is_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()

    assert Finder().find_spec(f"{WITHIN}data", [str(tmp_path)]) is None


def test_an_action_has_all_of_them_loaded_so() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PLAYBOOK, str(COLLECTIONS)], capture_output=True, text=True, check=True
    )

    loaders = done.stdout.split()
    assert len(loaders) > 50
    assert set(loaders) == {"SourceFileLoader"}
