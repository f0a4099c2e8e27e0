"""convoy.rollout.apply as a task of a user's own playbook."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import yaml
from integration.playbooks import PATIENCE, Lab

APPLY = "convoy.rollout.apply"
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "token"},
    "stringData": {"token": "planted-token", "same": "planted-same"},
}


def words(text: str) -> dict[str, Any]:
    """A ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}, "data": {"greeting": text}}


def played(lab: Lab, folder: Path, *tasks: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """What each task registers, and all that was printed at -vvvv with --diff."""
    play, kept = folder / "play.yml", folder / "results.json"
    names = [f"result_{number}" for number in range(len(tasks))]
    written = {"content": f"{{{{ [{', '.join(names)}] | to_json }}}}", "dest": str(kept), "mode": "0600"}
    keep = {"name": "Keep the results", "ansible.builtin.copy": written, "check_mode": False, "no_log": True}
    where = {"kubeconfig": "{{ kubeconfig }}", "namespace": lab.namespace}
    document = {
        "name": "Applied",
        "hosts": "clusters",
        "gather_facts": False,
        "module_defaults": {APPLY: where},
        "tasks": [
            *({"name": name, "register": name, **task} for name, task in zip(names, tasks, strict=True)),
            keep,
        ],
    }
    play.write_text(yaml.safe_dump([document], sort_keys=False))
    with lab.start(play, "-vvvv", "--diff") as started:
        output, _ = started.communicate(timeout=PATIENCE)
    assert started.returncode == 0, output
    return json.loads(kept.read_text()), output


def test_several_documents_one_object_again_and_what_is_refused(empty: Lab, tmp_path: Path) -> None:
    several = "\n---\n".join(json.dumps(item) for item in (SECRET, words("hello")))
    changed = {**SECRET, "stringData": {"token": "planted-other", "same": "planted-same"}}
    elsewhere = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{empty.namespace}-new"}}
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "Web"}, "spec": {"ports": [{"port": 80}]}}
    results, output = played(
        empty,
        tmp_path,
        {APPLY: {"definition": several}},
        {APPLY: {"definition": several}},
        {APPLY: {"definition": words("good morning")}},
        {APPLY: {"definition": [changed]}},
        {APPLY: {"definition": [elsewhere, SECRET], "namespace": f"{empty.namespace}-new"}, "check_mode": True},
        {APPLY: {"definition": words("hello"), "namespace": f"{empty.namespace}-new"}, "ignore_errors": True},
        {APPLY: {"definition": wrong}, "ignore_errors": True},
        {APPLY: {"definition": {**SECRET, "data": {"token": "planted-token?"}}}, "ignore_errors": True},
        {APPLY: {"definition": words("unseen-words")}, "no_log": True},
    )
    first, again, one, secret, untried, missing, refused, quoted, silent = results
    assert (first["changed"], first["changes"]) == (True, ["Secret token", "ConfigMap words"])
    assert (again["changed"], again["message"]) == (False, "nothing to apply: each object is as described")
    assert one["message"] == "applied: ConfigMap words"
    assert one["diff"][0]["after"] == {"data": {"greeting": "good morning"}}
    assert secret["diff"][0]["before"]["data"] == {"token": "*** (before)"}
    assert secret["diff"][0]["after"]["data"] == {"token": "*** (after)"}
    assert untried["message"] == (
        f"would be applied once namespace {empty.namespace}-new exists: Namespace {empty.namespace}-new, Secret token"
    )
    assert missing["msg"].startswith(f"There is no namespace {empty.namespace}-new; create it")
    assert "Web" in refused["msg"]
    assert "its reason is not shown" in quoted["msg"]
    assert silent["changed"]
    assert empty.core.read_namespaced_config_map("words", empty.namespace).data == {"greeting": "unseen-words"}
    managers = {
        entry.manager
        for item in empty.objects().values()
        if item.metadata.name in ("token", "words")
        for entry in item.metadata.managed_fields
    }
    assert managers == {"convoy.rollout"}
    values = [value for item in (SECRET, changed) for value in item["stringData"].values()]
    for value in [*values, *(base64.b64encode(value.encode()).decode() for value in values), "unseen-words"]:
        assert value not in output, value
