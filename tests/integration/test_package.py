"""The collection as it is built and installed from what was built."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from integration.playbooks import ROOT

PROGRAMS = Path(sys.executable).parent


def ran(program: str, *arguments: str | Path, cwd: Path, **environment: str) -> str:
    """What a program of Ansible prints. Raises CalledProcessError."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    done = subprocess.run(
        [PROGRAMS / program, *arguments], cwd=cwd, env=kept | environment, text=True, capture_output=True, check=True
    )
    return done.stdout


def test_what_is_built_can_be_installed_with_its_inventories(tmp_path: Path) -> None:
    ran("ansible-galaxy", "collection", "build", "--output-path", tmp_path, cwd=ROOT)
    (built,) = tmp_path.glob("convoy-rollout-*.tar.gz")
    ran("ansible-galaxy", "collection", "install", built, "--no-deps", "--collections-path", tmp_path, cwd=tmp_path)
    installed = tmp_path / "ansible_collections/convoy/rollout"
    assert not {"tests", "sandbox", ".git", ".venv"} & {path.name for path in installed.iterdir()}
    for inventory in ("gke", "hybrid", "kind", "sandbox"):
        listed = ran("ansible-inventory", "-i", installed / "inventories" / inventory, "--list", cwd=tmp_path)
        for own in json.loads(listed)["_meta"]["hostvars"].values():
            assert own["application"] in own["applications"]
    play = ("ansible-playbook", "convoy.rollout.fleet", "-i", installed / "inventories/hybrid", "--list-tasks")
    assert "and plan the waves" in ran(*play, cwd=tmp_path, ANSIBLE_COLLECTIONS_PATH=str(tmp_path))
