"""The callback observed: what a run prints with it, and that -v prints what the default callback does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.convoy.rollout.plugins.callback.observed import lines_of

ROOT = Path(__file__).parents[4]
WIDE = "hello-6c9b7d-4xk2p  " + "kelseyhightower/hello:1.0.0  " * 8
PLAYBOOK = f"""
- name: Show a run
  hosts: one,two
  gather_facts: false
  connection: local
  tasks:
    - name: Change nothing
      ansible.builtin.set_fact: &fact
        seen: "{{{{ 0 }}}}"
    - name: Skip this
      ansible.builtin.set_fact: *fact
      when: false
    - name: Change something
      ansible.builtin.set_fact: *fact
      changed_when: true
    - name: Change some of these
      ansible.builtin.set_fact: *fact
      changed_when: item == "b"
      loop: [a, b]
    - name: Say one thing
      ansible.builtin.debug:
        msg: 3 of 3 pods are ready.
    - name: Say a table
      ansible.builtin.debug:
        msg: [NAME  IMAGE, "{WIDE}end"]
    - name: Show a structure
      ansible.builtin.debug:
        msg: {{pods: 3}}
    - name: Warn
      ansible.builtin.set_fact:
        seen: "{{{{ 1 }}}}"
    - name: Fail
      ansible.builtin.fail:
        msg: There is no Deployment hello.
      when: inventory_hostname == "two"
"""


def run(directory: Path, callback: str, *options: str) -> str:
    """What the playbook above prints."""
    (directory / "play.yml").write_text(PLAYBOOK)
    env = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    env |= {
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_STDOUT_CALLBACK": callback,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_LOCALHOST_WARNING": "0",
    }
    command = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        "-i",
        "one,two,",
        "--forks",
        "1",
        "play.yml",
        *options,
    ]
    done = subprocess.run(command, cwd=directory, env=env, text=True, capture_output=True, timeout=600, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stdout


def test_changes_words_and_failures_are_shown_and_nothing_else(tmp_path: Path) -> None:
    shown = run(tmp_path, "convoy.rollout.observed")
    lines = shown.splitlines()
    for hidden in ("Change nothing", "Skip this", "Say one thing", "Warn", "ok: [", "skipping", "item=a"):
        assert hidden not in shown
    for host in ("one", "two"):
        assert f"changed: [{host}] Change something" in lines
        assert f"changed: [{host}] Change some of these (item=b)" in lines
        assert f"{host}: 3 of 3 pods are ready." in lines
        assert lines[lines.index(f"{host}:") + 1 :][:2] == ["  NAME  IMAGE", f"  {WIDE}end"]
    assert "pods" in shown
    assert lines[1].startswith("PLAY [Show a run] ***")
    assert not [line for line in lines if line.startswith("TASK [")]
    assert lines[lines.index("failed: [two] Fail") + 1] == "  There is no Deployment hello."
    assert shown.count("There is no Deployment hello.") == 1
    assert re.search(r"^one +: ok=7 +changed=2 +unreachable=0 +failed=0 +skipped=2 +rescued=0 +ignored=0", shown, re.M)


def test_with_v_it_is_the_default_callback(tmp_path: Path) -> None:
    assert run(tmp_path, "convoy.rollout.observed", "-v") == run(tmp_path, "ansible.builtin.default", "-v")


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        ("a", ["a"]),
        ("a\nb", ["a", "b"]),
        (["a", "", "b\nc"], ["a", "", "b", "c"]),
        ({"a": 1}, None),
        ([], []),
        (["a", 1], None),
        (None, None),
    ],
)
def test_lines_are_those_of_texts(message: object, lines: list[str] | None) -> None:
    assert lines_of(message) == lines
