"""playbooks/cluster.yml: a sandbox, GKE, kind and a cluster that exists, side by side and all with the same end."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import typing as t
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from convoy_sandbox.testing import Sandbox, sandbox
from integration import warm
from integration.gke import PROJECT, Google, Refusal, google
from integration.interpreter import interpreter
from integration.playbooks import begun, ended
from kubernetes import client, config

ZONE = "us-central1-a"
Hosts = dict[str, dict[str, t.Any]]


@dataclass(frozen=True)
class Recap:
    """How a run ended for one cluster."""

    changed: int
    failed: int


@dataclass(frozen=True)
class Run:
    """One run of ansible-playbook, its output in one line."""

    output: str

    @property
    def recap(self) -> dict[str, Recap]:
        """By cluster."""
        lines = re.findall(r"(\S+) : ok=\d+ changed=(\d+) unreachable=\d+ failed=(\d+)", self.output)
        return {name: Recap(int(changed), int(failed)) for name, changed, failed in lines}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The Python of modules."""
    imported = ("google.auth.transport.requests", "google.oauth2.service_account")
    with interpreter(tmp_path_factory.mktemp("python"), *imported) as path:
        yield str(path)


def play(
    folder: Path,
    hosts: Hosts,
    environment: dict[str, str],
    *options: str,
    python: str = sys.executable,
    **extra_vars: t.Any,
) -> Run:
    """Run playbooks/cluster.yml as a user does, on an inventory of these clusters."""
    here = {"ansible_connection": "local", "ansible_python_interpreter": python}
    inventory = folder / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"clusters": {"hosts": hosts, "vars": here}}))
    args = ["playbooks/cluster.yml", f"--inventory={inventory}", "--forks=8", "--extra-vars", json.dumps(extra_vars)]
    done = ended(begun([*args, *options], warm.environment() | environment))
    return Run(" ".join(done.output.split()))


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    """A cluster that is there: the one that exists, and the one that kind and GKE make."""
    with sandbox(name="exists", nodes=2, load_balancer=False) as cluster:
        yield cluster


#: kind's command line as it is documented: its clusters are folders, its kubeconfig is a sandbox's.
KIND = """#!/usr/bin/env python3
import os, pathlib, sys
home, words = pathlib.Path(os.environ["KIND_HOME"]), sys.argv[1:]
options = dict(word[2:].split("=", 1) for word in words if word.startswith("--") and "=" in word)
if "--name" in words:
    options["name"] = words[words.index("--name") + 1]
with (home / "log").open("a") as log:
    log.write(os.environ.get("KIND_EXPERIMENTAL_PROVIDER", "docker") + " " + " ".join(words[:2]) + "\\n")
cluster = home / "clusters" / options.get("name", "kind")
if words[:2] == ["get", "clusters"]:
    names = sorted(path.name for path in (home / "clusters").iterdir())
    print("\\n".join(names) if names else "", end="\\n" if names else "")
    if not names:
        print("No kind clusters found.", file=sys.stderr)
elif words[:2] == ["create", "cluster"]:
    cluster.write_text(sys.stdin.read())
    pathlib.Path(options["kubeconfig"]).write_text((home / "kubeconfig").read_text())
elif words[:2] == ["get", "nodes"]:
    for number in range(cluster.read_text().count('"role"')):
        print(f"{options['name']}-node{number}")
elif words[:2] == ["get", "kubeconfig"]:
    print((home / "kubeconfig").read_text(), end="")
elif words[:2] == ["delete", "cluster"]:
    cluster.unlink()
else:
    sys.exit("unknown command: " + " ".join(words))
"""


@pytest.fixture
def kind(tmp_path: Path, server: Sandbox) -> Callable[[bool], dict[str, str]]:
    """The environment of a machine with kind, and with Docker or Podman or neither."""

    def machine(docker: bool, podman: bool = False) -> dict[str, str]:
        programs = tmp_path / "bin"
        programs.mkdir(exist_ok=True)
        (tmp_path / "clusters").mkdir(exist_ok=True)
        (tmp_path / "kubeconfig").write_text(server.kubeconfig.read_text())
        scripts = {
            "kind": KIND,
            "docker": f"#!/bin/sh\nexit {0 if docker else 1}\n",
            "podman": f"#!/bin/sh\nexit {0 if podman else 1}\n",
        }
        for name, text in scripts.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        return {"PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}", "KIND_HOME": str(tmp_path)}

    return machine


@pytest.fixture
def cloud(tmp_path: Path, server: Sandbox) -> Iterator[Google]:
    """Google with no clusters; those that are made are the sandbox."""
    certificates = server.cluster.certificates
    endpoint = server.cluster.server.removeprefix("https://")
    folder = tmp_path / "google"
    folder.mkdir()
    with google(folder, endpoint, certificates.ca, certificates.token) as standin:
        yield standin


def gke(cloud: Google, folder: Path, name: str = "lab", **more: t.Any) -> dict[str, t.Any]:
    """The lab's cluster."""
    return {
        "kubeconfig": str(folder / name / "kubeconfig"),
        "cluster_provider": "gke",
        "cluster_name": name,
        "cluster_gke_project": PROJECT,
        "cluster_gke_location": ZONE,
        "cluster_gke_auth_kind": "serviceaccount",
        "cluster_gke_service_account_file": str(cloud.account),
        "cluster_gke_kubeconfig_auth": "token",
        **more,
    }


def test_clusters_of_every_kind_are_made_once_and_removed(
    tmp_path: Path, server: Sandbox, kind: t.Any, cloud: Google, python: str
) -> None:
    environment = cloud.environment | kind(docker=False, podman=True)
    kinds, boxes = tmp_path / "shop.kubeconfig", tmp_path / "boxes/shop/kubeconfig"
    hosts: Hosts = {
        "box": {
            "cluster_provider": "sandbox",
            "kubeconfig": str(boxes),
            "cluster_nodes": 3,
            "cluster_sandbox_node_cpu": "2",
        },
        "kind": {"cluster_provider": "kind", "kubeconfig": str(kinds), "cluster_name": "shop", "cluster_nodes": 3},
        "gke": gke(cloud, tmp_path),
    }
    exists = {"exists": {"kubeconfig": str(server.kubeconfig)}}
    try:
        would = play(tmp_path, hosts, environment, "--check")
        assert would.recap == {"box": Recap(1, 0), "kind": Recap(1, 0), "gke": Recap(1, 0)}, would.output
        assert "Sandbox shop would be started." in would.output
        assert "kind cluster shop would be created." in would.output
        assert "Node pool convoy would be created with 5 nodes of n1-standard-1." in would.output
        assert (boxes.exists(), list((tmp_path / "clusters").iterdir()), cloud.created) == (False, [], [])

        first = play(tmp_path, hosts | exists, environment, "-vvvv", "--diff", python=python)
        ends = {name: (recap.changed > 0, recap.failed) for name, recap in first.recap.items()}
        assert ends == {"box": (True, 0), "kind": (True, 0), "gke": (True, 0), "exists": (False, 0)}, first.output
        for said in (
            "shop/kubeconfig, context shop",
            f"context gke_{PROJECT}_{ZONE}_lab",
            "Kubernetes v1.36.2, 3 of 3 nodes ready with 6 cpu and 11520Mi memory",
            "lab (gke): Kubernetes v1.36.2, 2 of 2 nodes ready",
            "shop (kind): Kubernetes v1.36.2, 2 of 2 nodes ready",
            "exists (existing): Kubernetes v1.36.2, 2 of 2 nodes ready",
        ):
            assert said in first.output
        assert [secret for secret in cloud.secrets if secret in first.output] == []
        assert "client-key-data" not in first.output
        kubeconfig = Path(hosts["gke"]["kubeconfig"])
        assert cloud.token in kubeconfig.read_text()
        assert {stat.S_IMODE(path.stat().st_mode) for path in (boxes, kinds, kubeconfig)} == {0o600}

        nodes = yaml.safe_load((tmp_path / "clusters/shop").read_text())["nodes"]
        assert [node["role"] for node in nodes] == ["control-plane", "worker", "worker"]
        assert set(re.findall(r"^\S+", (tmp_path / "log").read_text(), re.MULTILINE)) == {"podman"}
        pool = cloud.created[-1]
        assert (pool["initialNodeCount"], pool["config"]["machineType"]) == (5, "n1-standard-1")
        assert pool["config"]["oauthScopes"] == [
            "https://www.googleapis.com/auth/projecthosting",
            "https://www.googleapis.com/auth/devstorage.read_write",
        ]
        assert [item["name"] for item in cloud.clusters["lab"]["nodePools"]] == ["convoy"]

        bigger = {f"bigger-{name}": host | {"cluster_nodes": 7} for name, host in hosts.items()}
        bigger["wider-box"] = hosts["box"] | {"cluster_sandbox_node_memory": "4Gi"}
        again = play(tmp_path, hosts | bigger, environment, python=python)
        ends = {name: (recap.changed, recap.failed) for name, recap in again.recap.items()}
        assert ends == dict.fromkeys(hosts, (0, 0)) | dict.fromkeys(bigger, (0, 1)), again.output
        size = "Sandbox shop runs with 3 nodes of 2 cpu and 3.75Gi memory, not"
        assert (
            f"{size} 7 nodes of 2 cpu and 3.75Gi memory; remove it first with -e cluster_state=absent" in again.output
        )
        assert f"{size} 3 nodes of 2 cpu and 4Gi memory" in again.output
        assert "kind cluster shop has 3 nodes, not 7" in again.output
        assert "Node pool convoy was created with 5 nodes of n1-standard-1, not 7 of n1-standard-1" in again.output
    finally:
        gone = play(tmp_path, hosts, environment, cluster_state="absent", python=python)
    ends = {name: (recap.changed > 0, recap.failed) for name, recap in gone.recap.items()}
    assert ends == dict.fromkeys(hosts, (True, 0)), gone.output
    assert (boxes.exists(), list((tmp_path / "clusters").iterdir()), cloud.clusters) == (False, [], {})
    assert not kubeconfig.exists()


def test_what_cannot_work_is_refused_in_a_sentence(tmp_path: Path, kind: t.Any, python: str) -> None:
    path = str(tmp_path / "a/kubeconfig")
    hosts: Hosts = {
        "kept": {"cluster_provider": "existing", "cluster_state": "absent"},
        "nowhere": {"cluster_provider": "existing", "kubeconfig": "/no/such/file"},
        "lost": {"cluster_provider": "sandbox"},
        "oddly": {"cluster_provider": "sandbox", "kubeconfig": "kubeconfig"},
        "away": {"cluster_provider": "sandbox", "kubeconfig": path, "cluster_sandbox_program": "no-such-program"},
        "bare": {"cluster_provider": "gke", "kubeconfig": path},
        "dry": {"cluster_provider": "kind", "kubeconfig": path},
        "eks": {"cluster_provider": "eks"},
        "empty": {"cluster_provider": "existing", "cluster_nodes": 0},
    }
    run = play(tmp_path, hosts, kind(docker=False), python=python)
    assert run.recap == dict.fromkeys(hosts, Recap(0, 1)), run.output
    for said in (
        "kept was created elsewhere (cluster_provider: existing), so this role does not remove it.",
        "The kubeconfig /no/such/file does not exist",
        "Set cluster_kubeconfig of lost",
        "The kubeconfig of a sandbox is <directory>/<name>/kubeconfig, not kubeconfig.",
        "no-such-program was not found; install it with pip install 'convoy-sandbox",
        "Set cluster_gke_project and cluster_gke_location of bare",
        "kind needs Docker or Podman, and neither is running here",
        "value of cluster_provider must be one of",
        "cluster_nodes is 0; a cluster has at least one node.",
    ):
        assert said in run.output


MADE = {"cluster": {"name": "lab", "initialNodeCount": 1}}
QUOTA = "Insufficient regional quota to satisfy request: resource CPUS: request requires 5.0 and is short 3.0."


def test_what_google_refuses_and_what_breaks_there_is_said(tmp_path: Path, cloud: Google, python: str) -> None:
    cloud.deny = {
        ("denied", "clusters"): Refusal(403, "PERMISSION_DENIED", "Required container.clusters.create permission"),
        ("taken", "clusters"): Refusal(409, "ALREADY_EXISTS", "Already exists: projects/lab-project/clusters/taken"),
        ("short", "nodePools"): Refusal(403, "PERMISSION_DENIED", QUOTA),
    }
    cloud.breaks = {"broken": "All cluster resources were brought up, but only 0 nodes out of 1 have registered."}
    # A creation that was cut off before the first pool was removed.
    bearer, place = f"Bearer {cloud.token}", f"/v1/projects/{PROJECT}/locations/{ZONE}"
    started = cloud.answer("POST", f"{place}/clusters", MADE, bearer)
    cloud.answer("GET", f"{place}/operations/{started['name']}", {}, bearer)

    hosts = {name: gke(cloud, tmp_path, name) for name in ("denied", "taken", "short", "broken")}
    token = {"cluster_gke_auth_kind": "accesstoken", "cluster_gke_access_token": cloud.token}
    hosts["cut"] = gke(cloud, tmp_path, "lab", **token)
    hosts["expired"] = gke(cloud, tmp_path, "other", **token | {"cluster_gke_access_token": "an-old-token"})
    hosts["default"] = gke(cloud, tmp_path, "default", cluster_gke_auth_kind="application")
    default = {"GOOGLE_APPLICATION_CREDENTIALS": str(cloud.account)}
    run = play(tmp_path, hosts, cloud.environment | default, "-vvvv", python=python)
    failed = {name for name, recap in run.recap.items() if recap.failed}
    assert failed == {"denied", "taken", "short", "broken", "expired"}, run.output
    for said in (
        f"Google refused for cluster denied in {PROJECT}/{ZONE}",
        "Required container.clusters.create permission",
        "Already exists: projects/lab-project/clusters/taken",
        QUOTA,
        "GKE cluster broken is in state ERROR: All cluster resources were brought up",
        f"Google refused for cluster other in {PROJECT}/{ZONE}",
    ):
        assert said in run.output
    assert [item["name"] for item in cloud.clusters["lab"]["nodePools"]] == ["convoy"]
    assert [secret for secret in (*cloud.secrets, "an-old-token") if secret in run.output] == []
    made = {name for name in hosts if Path(hosts[name]["kubeconfig"]).exists()}
    assert made == {"cut", "default"}


def test_rights_that_a_service_account_lacks_are_listed(tmp_path: Path, server: Sandbox) -> None:
    api = config.new_client_from_config(str(server.kubeconfig))
    rbac, core = client.RbacAuthorizationV1Api(api), client.CoreV1Api(api)
    hosts: Hosts = {}
    wide = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    little = [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "watch"]}]
    for name, kind, rules in (("little", "Role", little), ("enough", "ClusterRole", wide)):
        core.create_namespaced_service_account("default", {"metadata": {"name": name}})
        reference = {"kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io"}
        subjects = [{"kind": "ServiceAccount", "name": name, "namespace": "default"}]
        role, binding = (
            {"metadata": {"name": name}, "rules": rules},
            {"metadata": {"name": name}, "roleRef": reference, "subjects": subjects},
        )
        if kind == "Role":
            rbac.create_namespaced_role("default", role)
            rbac.create_namespaced_role_binding("default", binding)
        else:
            rbac.create_cluster_role(role)
            rbac.create_cluster_role_binding(binding)
        hosts[name] = {"kubeconfig": str(server.service_account("default", name)), "cluster_provider": "existing"}
    hosts["looks"] = hosts["little"] | {"cluster_strategies": ["scale"]}
    run = play(tmp_path, hosts, {})
    assert run.recap == {"little": Recap(0, 1), "enough": Recap(0, 0), "looks": Recap(0, 1)}, run.output
    for said in (
        "VERB RESOURCE NAMESPACE",
        "patch deployments.apps default",
        "create services default",
        "update leases.coordination.k8s.io default",
        "list nodes *",
    ):
        assert said in run.output
    for allowed in ("get deployments.apps", "watch deployments.apps"):
        assert allowed not in run.output
