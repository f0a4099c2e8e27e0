"""Many sandboxes of different sizes, each with hello at a version of its own, as one inventory."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from convoy_sandbox.network.images import Image
from convoy_sandbox.store import Change
from convoy_sandbox.testing import Sandbox, sandbox
from integration.playbooks import ROOT, Run, description
from kubernetes import client, config

VERSIONS = ("1.0.0", "1.1.0", "1.2.0")
IMAGES = {f"kelseyhightower/hello:{version}": Image("hello") for version in (*VERSIONS[1:], "3.0.0", "4.0.0")}
#: A version that answers with another's number, everywhere and in one cluster only.
BAD = {"kelseyhightower/hello:bad": Image("hello", version="1.0.0")}
BAD_THERE = {"cluster-05": {"kelseyhightower/hello:3.0.0": Image("hello", version="1.0.0")}}
#: What users come in by in these clusters: hello's own Service.
SERVICE = {"type": "LoadBalancer", "ports": [{"name": "http", "port": 80, "targetPort": 80}]}


@dataclass
class Member:
    """One cluster of the fleet."""

    name: str
    sandbox: Sandbox
    closing: contextlib.ExitStack
    version: str
    replicas: int
    apps: client.AppsV1Api = field(init=False)
    core: client.CoreV1Api = field(init=False)

    def __post_init__(self) -> None:
        api = config.new_client_from_config(str(self.sandbox.kubeconfig))
        self.apps, self.core = client.AppsV1Api(api), client.CoreV1Api(api)

    def deploy(self) -> None:
        """Bring hello to this cluster's own version, without what a run before has left."""
        labels = {"app": "hello", "track": "stable"}
        container = description()["hello"]["container"] | {
            "name": "hello",
            "image": f"kelseyhightower/hello:{self.version}",
        }
        self.core.create_namespaced_service(
            "default", {"metadata": {"name": "hello"}, "spec": SERVICE | {"selector": {"app": "hello"}}}
        )
        self.apps.create_namespaced_deployment(
            "default",
            {
                "metadata": {"name": "hello"},
                "spec": {
                    "replicas": self.replicas,
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels | {"version": self.version}},
                        "spec": {"containers": [container]},
                    },
                },
            },
        )

    def lose(self, version: str) -> None:
        """End the cluster as soon as a Deployment gets this version, from within."""

        def changed(change: Change) -> None:
            template = change.object.get("spec", {}).get("template", {})
            if change.object["kind"] == "Deployment" and template["metadata"]["labels"]["version"] == version:
                unsubscribe()
                threading.Thread(target=self.closing.close).start()

        store = self.sandbox.cluster.store
        unsubscribe = self.sandbox.call(lambda: store.subscribe(changed))

    def live(self) -> str:
        """The version that the Service leads to, as its selector or its only Deployment says."""
        selector = self.core.read_namespaced_service("hello", "default").spec.selector
        return str(selector.get("version", self.version))

    def deployments(self) -> set[str]:
        """The names of the Deployments."""
        return {item.metadata.name for item in self.apps.list_namespaced_deployment("default").items}


@dataclass
class Fleet:
    """The clusters and the inventory that names them."""

    members: dict[str, Member]
    inventory: Path

    def play(self, *options: str, **extra_vars: Any) -> Run:
        """Run playbooks/fleet.yml on all of them."""
        env = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_"))}
        env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
        done = subprocess.run(
            ["ansible-playbook", "-i", self.inventory, "playbooks/fleet.yml", "-e", json.dumps(extra_vars), *options],
            cwd=ROOT,
            env=env | {"ANSIBLE_NOCOLOR": "1"},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
        return Run(done.returncode, done.stdout)

    def live(self) -> dict[str, str]:
        """Each cluster's version."""
        return {name: member.live() for name, member in self.members.items()}


def table(run: Run) -> dict[str, dict[str, str]]:
    """The last table of a run, by cluster."""
    lines = [line.strip().removeprefix("- ").strip("'\"") for line in run.output.splitlines()]
    start = next(number for number, line in enumerate(lines) if line.startswith("CLUSTER "))
    heads = lines[start].split()
    rows = {}
    for line in lines[start + 1 :]:
        cells = re.split(r"  +", line)
        if len(cells) != len(heads):
            break
        rows[cells[0]] = dict(zip(heads, cells, strict=True))
    return rows


@contextlib.contextmanager
def fleet(directory: Path, size: int) -> Iterator[Fleet]:
    """So many clusters: of 2 to 5 nodes, with 1 to 3 copies, and three versions in turn."""
    with contextlib.ExitStack() as stack:
        members = {}
        for number in range(size):
            name = f"cluster-{number + 1:02}"
            closing = stack.enter_context(contextlib.ExitStack())
            images = IMAGES | BAD | BAD_THERE.get(name, {})
            made = closing.enter_context(
                sandbox(name=f"{name}-{os.getpid()}", nodes=2 + number % 4, images=images, real_nginx=False)
            )
            members[name] = Member(name, made, closing, VERSIONS[number % 3], 1 + number % 3)
            members[name].deploy()
        hosts = {
            name: {
                "kubeconfig": str(member.sandbox.kubeconfig),
                "cluster_provider": "sandbox",
                "region": "eu" if number % 2 else "us",
            }
            for number, (name, member) in enumerate(members.items())
        }
        hello = {"hello": description()["hello"] | {"service": SERVICE}}
        inventory = directory / "fleet.yml"
        inventory.write_text(
            yaml.safe_dump(
                {
                    "clusters": {
                        "hosts": hosts,
                        "vars": {
                            "ansible_connection": "local",
                            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                            "application": "hello",
                            "applications": hello,
                        },
                    },
                    "canary_region": {"hosts": {"cluster-03": None}},
                }
            )
        )
        yield Fleet(members, inventory)
