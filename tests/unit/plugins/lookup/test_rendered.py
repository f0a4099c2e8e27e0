"""Templates rendered without a copy of all variables, held against Ansible's own lookup."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.convoy.rollout.plugins.lookup.rendered import _Shared

ROOT = Path(__file__).resolve().parents[4]

#: Below a folder templates: by what they need of a lookup.
TEMPLATES = {
    "plain.j2": "name: {{ name }}\n",
    "of_variable.j2": "{{ described.image }} on {{ inventory_hostname }} of {{ groups.all | length }}",
    "given.j2": "{{ name }} {{ only_given }}",
    "itself.j2": "{{ template_path | basename }}",
    "including.j2": "{% include 'part.j2' %}",
    "part.j2": "part {{ name }}\n\n",
    "trimmed.j2": "{% for each in [1, 2] %}\n- {{ each }}\n{% endfor %}\n",
    "text.j2": "{{ described.text }}",
}
DEFINED = [name for name in TEMPLATES if name != "part.j2"]
VARIABLES = {"name": "hello", "tag": "1.0.0", "described": {"image": "hello:{{ tag }}", "text": "100% {a} \\n"}}


def played(folder: Path, expressions: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A play on this machine that writes what the expressions come to."""
    (folder / "templates").mkdir()
    for name, text in TEMPLATES.items():
        (folder / "templates" / name).write_text(text)
    task = {"ansible.builtin.debug": {"msg": {name: f"{{{{ {text} }}}}" for name, text in expressions.items()}}}
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": VARIABLES, "tasks": [task]}
    (folder / "play.yml").write_text(json.dumps([play]))
    env = dict(os.environ, ANSIBLE_STDOUT_CALLBACK="ansible.builtin.default", ANSIBLE_CALLBACK_RESULT_FORMAT="json")
    ansible = str(Path(sys.executable).with_name("ansible-playbook"))
    return subprocess.run(
        [ansible, "-i", "localhost,", str(folder / "play.yml")],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_they_say_what_ansibles_own_lookup_has_them_say(tmp_path: Path) -> None:
    asked = f"*{DEFINED}, template_vars={{'only_given': name, 'name': 'given'}}"
    done = played(
        tmp_path,
        {
            "ours": f"query('convoy.rollout.rendered', {asked})",
            "own": f"query('ansible.builtin.template', {asked})",
            "one": "lookup('convoy.rollout.rendered', 'plain.j2')",
        },
    )

    assert not done.returncode, done.stdout + done.stderr
    said = json.loads("{" + done.stdout.partition("=> {")[2].rpartition("}\n\nPLAY RECAP")[0] + "}")["msg"]
    assert said["ours"] == said["own"]
    assert said["ours"][:4] == ["name: given\n", "hello:1.0.0 on localhost of 1", "given hello", "itself.j2"]
    assert said["one"] == "name: hello\n"


@pytest.mark.parametrize("asked", ["'given.j2'", "'nowhere.j2'"])
def test_what_cannot_be_rendered_fails_the_task(tmp_path: Path, asked: str) -> None:
    done = played(tmp_path, {"ours": f"query('convoy.rollout.rendered', {asked})"})

    assert done.returncode == 2
    assert ("only_given" if "given" in asked else "nowhere.j2") in done.stdout + done.stderr


def test_the_values_of_variables_are_not_copied() -> None:
    shared = _Shared(groups={"all": ["one"]})

    copied = copy.deepcopy(shared)

    assert copied["groups"] is shared["groups"]
    copied["more"] = 1
    assert "more" not in shared
