"""The actions: the same answer as the modules', from the controller's own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._api import path_of
from integration.interpreter import interpreter

ROOT = Path(__file__).resolve().parents[4]
Object = dict[str, t.Any]
Make = Callable[..., t.Any]

#: A local connection under another name, so that an action hands over to its module.
ELSEWHERE = '''
from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = """
name: elsewhere
short_description: A connection that is not called local
description: A connection that is not called local.
author: a test
"""


class Connection(Local):
    transport = "elsewhere"
'''

TASKS: list[Object] = [
    {"convoy.rollout.rollout": {"name": "hello"}},
    {"convoy.rollout.rollout": {"name": "other"}},
    {
        "convoy.rollout.version_distribution": {
            "name": "hello",
            "samples": 5,
            "expected": {"2.0.0": 1},
        }
    },
]

#: What differs from run to run, or is Ansible's own.
VOLATILE = ("duration", "latency", "exception", "invocation", "warnings", "deprecations")


def deployment() -> Object:
    """A Deployment that is complete."""
    labels = {"app": "hello", "version": "1.0.0"}
    spec = {"containers": [{"name": "hello", "image": "hello:1.0.0", "resources": {"requests": {"cpu": "200m"}}}]}
    return {
        "metadata": {"name": "hello", "namespace": "default", "uid": "d", "generation": 1},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "hello"}},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
        "status": {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3},
    }


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The Python of the modules that an action hands over to."""
    with interpreter(tmp_path_factory.mktemp("python")) as path:
        yield str(path)


@pytest.fixture
def results(tmp_path: Path, api_server: t.Any, answer: Make, python: str) -> dict[str, list[Object]]:
    """What the tasks return on a host that is reached locally and on one that is not; and what was printed."""
    service = {
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": {"selector": {"app": "hello"}, "ports": [{"port": 80}]},
    }
    for path, body in {
        path_of("deployments", "default", "hello", group="apps"): deployment(),
        path_of("deployments", "default", group="apps"): {"items": [deployment()]},
        path_of("replicasets", "default", group="apps"): {"items": []},
        path_of("pods", "default"): {"items": []},
        path_of("namespaces", name="default"): {},
        path_of("services", "default", "hello"): service,
        path_of("services", "default") + "/hello:80/proxy/version": {"version": "1.0.0"},
    }.items():
        api_server.on(path, answer(body=body))
    (tmp_path / "connections").mkdir()
    (tmp_path / "connections" / "elsewhere.py").write_text(ELSEWHERE)
    hosts = {name: {"ansible_connection": name} for name in ("local", "elsewhere")}
    variables = {"ansible_python_interpreter": python}
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": variables}}))
    tasks = [dict(task, register=f"result_{number}", ignore_errors=True) for number, task in enumerate(TASKS)]
    gathered = "{{ [" + ", ".join(str(task["register"]) for task in tasks) + "] | to_json }}"
    keep = {
        "ansible.builtin.copy": {
            "content": gathered,
            "dest": f"{tmp_path}/{{{{ inventory_hostname }}}}",
            "mode": "0600",
        }
    }
    defaults = {"group/convoy.rollout.all": {"host": api_server.url, "api_key": "geheim"}}
    play = {"hosts": "all", "gather_facts": False, "module_defaults": defaults, "tasks": [*tasks, keep]}
    (tmp_path / "play.json").write_text(json.dumps([play]))
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            "-vvv",
            "-i",
            str(tmp_path / "hosts.json"),
            str(tmp_path / "play.json"),
        ],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
            "ANSIBLE_CONNECTION_PLUGINS": str(tmp_path / "connections"),
        },
        capture_output=True,
        text=True,
        timeout=600,
        cwd=tmp_path,  # no ansible.cfg here
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "geheim" not in done.stdout + done.stderr
    return {
        name: [
            {key: value for key, value in result.items() if key not in VOLATILE}
            for result in json.loads((tmp_path / name).read_text())
        ]
        for name in hosts
    }


def test_actions_and_modules_return_the_same(results: dict[str, list[Object]]) -> None:
    assert results["local"] == results["elsewhere"]
    complete, missing, versions = results["local"]
    assert complete["status"] == "complete"
    assert missing["msg"] == "There is no Deployment other in namespace default; create it, or name another."
    assert (versions["verdict"], versions["failed"], versions["counts"]) == ("fail", True, {"1.0.0": 5})


def test_the_environment_of_play_block_and_task_is_the_modules(
    tmp_path: Path, api_server: t.Any, answer: Make, python: str
) -> None:
    """Each task asks the server that the innermost `environment` names, locally and elsewhere; later ones win."""
    for name in ("process", "play", "block", "task", "option"):
        api_server.on(f"/{name}/version", answer(body={"gitVersion": "v1.36.2"}))
        api_server.on(f"/{name}/api/v1/nodes", answer(body={"items": []}))
    (tmp_path / "connections").mkdir()
    (tmp_path / "connections" / "elsewhere.py").write_text(ELSEWHERE)
    hosts = {name: {"ansible_connection": name} for name in ("local", "elsewhere")}
    variables = {"ansible_python_interpreter": python}
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": variables}}))

    def asked(name: str, **more: t.Any) -> Object:
        return {"convoy.rollout.cluster_info": more.pop("options", {}), "register": name, **more}

    def at(name: str) -> dict[str, str]:
        return {"K8S_AUTH_HOST": f"{{{{ url }}}}/{name}"}

    names = ["play", "block", "task", "option"]
    block = [
        asked("block"),
        asked("task", environment=at("task")),
        asked("option", environment=at("task"), options={"host": f"{api_server.url}/option"}),
    ]
    gathered = "{{ [" + ", ".join(f"{name}.server | default({name}.msg)" for name in names) + "] | to_json }}"
    keep = {
        "ansible.builtin.copy": {
            "content": gathered,
            "dest": f"{tmp_path}/{{{{ inventory_hostname }}}}",
            "mode": "0600",
        }
    }
    plays = [
        {
            "hosts": "all",
            "gather_facts": False,
            "vars": {"url": api_server.url},
            "environment": {**at("play"), "K8S_AUTH_API_KEY": "geheim"},
            "tasks": [asked("play"), {"block": block, "environment": at("block")}, keep],
        }
    ]
    (tmp_path / "play.json").write_text(json.dumps(plays))
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            "-i",
            f"{tmp_path}/hosts.json",
            f"{tmp_path}/play.json",
        ],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
            "ANSIBLE_CONNECTION_PLUGINS": str(tmp_path / "connections"),
            "K8S_AUTH_HOST": f"{api_server.url}/process",
        },
        capture_output=True,
        text=True,
        timeout=600,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for host in hosts:
        assert json.loads((tmp_path / host).read_text()) == [f"{api_server.url}/{name}" for name in names]
    assert {ask.headers["Authorization"] for ask in api_server.asked} == {"Bearer geheim"}
