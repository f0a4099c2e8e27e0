"""Many sandboxes of different sizes, each with hello at a version of its own, as one inventory."""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from convoy_sandbox.network.images import Image
from convoy_sandbox.store import Change
from convoy_sandbox.testing import Sandbox, sandbox
from integration import warm
from integration.playbooks import PATIENCE, Run, begun, complete, description, ended
from kubernetes import client, config

VERSIONS = ("1.0.0", "1.1.0", "1.2.0")
IMAGES = {f"kelseyhightower/hello:{version}": Image("hello") for version in (*VERSIONS[1:], "3.0.0", "4.0.0")}
#: A version that answers with another's number, everywhere and in one cluster only.
BAD = {"kelseyhightower/hello:bad": Image("hello", version="1.0.0")}
BAD_THERE = {"cluster-02": {"kelseyhightower/hello:3.0.0": Image("hello", version="1.0.0")}}
#: What users come in by in these clusters: hello's own Service.
SERVICE = {"type": "LoadBalancer", "ports": [{"name": "http", "port": 80, "targetPort": 80}]}


def application() -> dict[str, Any]:
    """The lab's hello behind a Service of its own; a probe may wait, as all of these clusters share one core."""
    hello = description()["hello"]
    for probe in ("livenessProbe", "readinessProbe"):
        hello["container"][probe]["timeoutSeconds"] = 60
    return hello | {"service": SERVICE}


def pod_labels(deployment: dict[str, Any]) -> dict[str, str]:
    """The labels that a Deployment gives its pods."""
    labels: dict[str, str] = deployment["spec"]["template"]["metadata"]["labels"]
    return labels


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
    thawed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        api = config.new_client_from_config(str(self.sandbox.kubeconfig))
        self.apps, self.core = client.AppsV1Api(api), client.CoreV1Api(api)

    def deploy(self) -> None:
        """Bring hello to this cluster's own version, without what a run before has left."""
        labels = {"app": "hello", "track": "stable"}
        container = application()["container"] | {"name": "hello", "image": f"kelseyhightower/hello:{self.version}"}
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

    def served(self) -> None:
        """Return when users get answers of hello."""
        complete(self.apps, "default")
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert time.monotonic() < deadline, f"users of {self.name} get no answer"
            time.sleep(0.1)

    def _answers(self) -> bool:
        [ingress] = self.core.read_namespaced_service("hello", "default").status.load_balancer.ingress or [None]
        if ingress and any(port.error for port in ingress.ports or []):
            return True  # who may not listen there asks by the API server, which follows at once
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                f"http://{ingress.ip}/version", timeout=10
            ) as answer:
                return bool(answer.status == 200)
        except (OSError, AttributeError):  # no address yet
            return False

    def when(self, happened: Callable[[dict[str, Any]], bool], then: Callable[[], None]) -> None:
        """Do something within the cluster as soon as an object has become so."""

        def changed(change: Change) -> None:
            if happened(change.object):
                unsubscribe()
                then()

        store = self.sandbox.cluster.store
        unsubscribe = self.sandbox.call(lambda: store.subscribe(changed))

    def lose(self, version: str) -> None:
        """End the cluster as soon as a Deployment gets this version."""

        def end() -> None:
            threading.Thread(target=self.closing.close).start()

        self.when(lambda item: item["kind"] == "Deployment" and pod_labels(item)["version"] == version, end)

    def freeze(self, replicas: int) -> None:
        """Have the cluster take connections and never answer, as soon as a Deployment gets so many replicas."""
        self.when(lambda item: item["kind"] == "Deployment" and item["spec"]["replicas"] == replicas, self._wait)

    def _wait(self) -> None:
        self.thawed.wait()

    def live(self) -> str:
        """The version of the Deployment that the Service leads to."""
        selector = self.core.read_namespaced_service("hello", "default").spec.selector
        found = self.apps.list_namespaced_deployment("default").items
        labels = [item.spec.template.metadata.labels for item in found]
        (version,) = {each["version"] for each in labels if selector.items() <= each.items()}
        return str(version)

    def scaled(self) -> dict[str, int]:
        """How many replicas each Deployment is to have."""
        found = self.apps.list_namespaced_deployment("default").items
        return {item.metadata.name: item.spec.replicas for item in found}

    def written(self) -> list[Any]:
        """What identifies the present wishes of everything in the namespace."""
        services = self.core.list_namespaced_service("default").items
        return [
            *sorted((item.metadata.uid, item.metadata.resource_version) for item in services),
            *sorted(
                (item.metadata.uid, item.metadata.generation)
                for item in self.apps.list_namespaced_deployment("default").items
            ),
        ]

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
        args = ["-i", str(self.inventory), "playbooks/fleet.yml", "-e", json.dumps(extra_vars), *options]
        return ended(begun(args, warm.environment()), timeout=900)

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
def fleet(directory: Path, size: int, first: int = 0) -> Iterator[Fleet]:
    """So many clusters: of 2 to 5 nodes, with 1 to 3 replicas, and three versions in turn.

    `first` is the number of the first one, where they are a part of a larger fleet.
    """
    with contextlib.ExitStack() as stack:
        members: dict[str, Member] = {}
        for number in range(first, first + size):
            name = f"cluster-{number + 1:02}"
            closing = stack.enter_context(contextlib.ExitStack())
            images = IMAGES | BAD | BAD_THERE.get(name, {})
            made = closing.enter_context(sandbox(name=f"{name}-{os.getpid()}", nodes=2 + number % 4, images=images))
            members[name] = Member(name, made, closing, VERSIONS[number % 3], 1 + number % 3)
            stack.callback(members[name].thawed.set)
            members[name].deploy()
        for member in members.values():
            member.served()
        hosts = {
            name: {
                "kubeconfig": str(member.sandbox.kubeconfig),
                "cluster_provider": "sandbox",
                "region": "eu" if number % 2 else "us",
            }
            for number, (name, member) in enumerate(members.items(), first)
        }
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
                            "applications": {"hello": application()},
                        },
                    },
                    "canary_region": {"hosts": {"cluster-03": None}},
                }
            )
        )
        yield Fleet(members, inventory)
