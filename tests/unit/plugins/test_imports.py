"""Every plugin is imported where there is nothing but Python and Ansible, without a word and without a warning.

What else a plugin needs is asked for when it is used. `ansible-test sanity --test import` wants the same, for 20 times
the time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
COLLECTION = "ansible_collections.convoy.rollout"
#: What is there where a module runs: on a target, Ansible copies what it imports of these.
FOR_MODULES = ("ansible._vendor", "ansible.module_utils", "ansible.release", f"{COLLECTION}.plugins.module_utils")
#: What is there where any other plugin runs: on the controller, Ansible and what it needs itself.
FOR_OTHERS = ("ansible", "jinja2", "markupsafe", "yaml", "_yaml", COLLECTION)

PROGRAM = """
import importlib, importlib.abc, json, sys
allowed, names, folder = json.loads(sys.argv[1])
sys.path.insert(0, folder)

class Bare(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.stdlib_module_names:
            return None
        if any(f"{name}.".startswith(f"{good}.") for good in allowed):
            return None
        if any(f"{good}.".startswith(f"{name}.") for good in (*allowed, *names)):
            return None
        raise ModuleNotFoundError(f"No module named {name!r} where this plugin runs")

sys.meta_path.insert(0, Bare())
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def plugins(*folders: str) -> list[str]:
    """The names of all Python modules below these folders of plugins."""
    return [
        ".".join([COLLECTION, *path.relative_to(ROOT).with_suffix("").parts])
        for folder in folders
        for path in sorted((ROOT / "plugins" / folder).rglob("*.py"))
        if path.stem != "__init__"
    ]


OTHERS = sorted(path.name for path in (ROOT / "plugins").iterdir() if not path.name.startswith(("module", "_")))


def imported(allowed: tuple[str, ...], names: list[str]) -> subprocess.CompletedProcess[str]:
    """A Python that imports these, where nothing else is than what is allowed."""
    given = json.dumps([allowed, names, str(ROOT / ".collections")])
    return subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM, given], text=True, capture_output=True)


@pytest.mark.parametrize(
    ("allowed", "folders"),
    [(FOR_MODULES, ["modules", "module_utils"]), (FOR_OTHERS, OTHERS)],
    ids=["modules", "others"],
)
def test_nothing_else_is_needed(allowed: tuple[str, ...], folders: list[str]) -> None:
    names = plugins(*folders)
    done = imported(allowed, names)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{len(names)}\n", "")


def test_what_needs_more_is_noticed() -> None:
    (action, *_more) = plugins("action")
    done = imported(FOR_MODULES, [action])
    assert done.returncode == 1
    assert "where this plugin runs" in done.stderr
