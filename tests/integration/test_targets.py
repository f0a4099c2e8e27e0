"""Modules that run on a target of their own, with the oldest Python that a target may have."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from integration.playbooks import PATIENCE, ROOT, Lab, flattened

CONNECTIONS = Path(__file__).with_name("connections")
HELLO = {"name": "hello"}
FRONTEND = {"name": "frontend", "port": "https", "application_service": "hello", "target_validate_certs": False}
#: What each module is asked, and what its refusal says, nothing where it is not refused.
ASKED: dict[str, tuple[dict[str, Any], str]] = {
    "app_deploy": ({"deployments": ["hello"]}, ""),
    "application_info": ({}, ""),
    "apply": ({"definition": {"kind": "ConfigMap"}}, "works on the machine of ansible-playbook"),
    "bluegreen": ({"state": "switched", **HELLO}, "Set run to what"),
    "bluegreen_info": (HELLO, ""),
    "canary": ({"state": "stepped"}, "missing required arguments: run"),
    "canary_info": (HELLO, ""),
    "capacity": ({"replicas": 1, "template": {"spec": {"containers": [{"name": "hello"}]}}}, ""),
    "cluster_info": ({"strategies": ["bluegreen"]}, ""),
    "cluster_plan": ({"request": {"provider": "existing", "name": "shop", "kubeconfig": "there"}}, ""),
    "explain": ({"field": "deployment.spec.replicas"}, ""),
    "fleet": ({"state": "planned", "waves": ["all"], "on_failure": "stop"}, "cannot be read: sandbox"),
    "gke_kubeconfig": ({"path": "there"}, "missing required arguments: ca, endpoint, name"),
    "lock": (HELLO, ""),
    "rolling_update": ({**HELLO, "version": "1.0.0"}, ""),
    "rollout": ({**HELLO, "state": "complete"}, ""),
    "run": (
        {"strategy": "scale", "application": "hello", "request": {"replicas": "3"}},
        "belongs to the process of ansible-playbook",
    ),
    "scale": ({**HELLO, "replicas": 3}, ""),
    "self_signed": ({"certificates": [{"name": "certs", "common_name": "hello.test"}]}, ""),
    "version_distribution": ({**FRONTEND, "expected": {"1.0.0": 1}}, ""),
}
NO_CLUSTER = frozenset(["cluster_plan", "fleet", "gke_kubeconfig", "self_signed"])
NO_NAMESPACE = frozenset(["explain"])


@functools.cache
def oldest() -> str:
    """A Python 3.9 of this machine, as RHEL 9 has it; empty where there is none."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for candidate in ("python3.9", *map(str, sorted(versions.glob("3.9.*/bin/python3")))):
        found = shutil.which(candidate)
        if found and subprocess.run([found, "--version"], capture_output=True).returncode == 0:
            return found
    return ""


def test_every_module_is_asked() -> None:
    assert sorted(ASKED) == sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))


@pytest.mark.skipif(not oldest(), reason="there is no Python 3.9 on this machine")
def test_every_module_runs_on_a_target_with_python_3_9(bad_lab: Lab, tmp_path: Path) -> None:
    # As a dictionary: a target without PyYAML cannot read a file.
    kubeconfig = {"kubeconfig": flattened(bad_lab.kubeconfig)}
    namespace = {"namespace": bad_lab.namespace}
    tasks = [
        {
            f"convoy.rollout.{name}": options
            | ({} if name in NO_CLUSTER else kubeconfig)
            | ({} if name in NO_CLUSTER | NO_NAMESPACE else namespace),
            "ignore_errors": True,
            "register": f"told_{name}",
        }
        for name, (options, _refusal) in ASKED.items()
    ]
    told = {name: f"{{{{ told_{name} | combine({{'invocation': 0}}) }}}}" for name in ASKED}
    kept = tmp_path / "told.json"
    last = {"ansible.builtin.copy": {"content": told, "dest": str(kept)}}
    (tmp_path / "play.yml").write_text(
        json.dumps([{"hosts": "clusters", "gather_facts": False, "tasks": [*tasks, last]}])
    )
    lab = Lab(bad_lab.kubeconfig, bad_lab.namespace, {"ANSIBLE_CONNECTION_PLUGINS": str(CONNECTIONS)})
    there = {"ansible_connection": "elsewhere", "ansible_python_interpreter": oldest()}
    with lab.start(tmp_path / "play.yml", **there) as started:
        output, _ = started.communicate(timeout=PATIENCE)
    assert started.returncode == 0, output
    ends = {name: one["msg"] if one["failed"] else "" for name, one in json.loads(kept.read_text()).items()}
    wrong = {
        name: ends[name]
        for name, (_options, refusal) in ASKED.items()
        if bool(refusal) != bool(ends[name]) or refusal not in ends[name]
    }
    assert not wrong, output
