# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is to be done for a cluster to be there, or to be gone. Pure functions.

What is there is what the provider's own program or service says of it, as tasks of Ansible register that.
"""

from __future__ import annotations

import json
import os.path
import re
import typing as t
from dataclasses import asdict, dataclass, field

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure

Object = t.Dict[str, t.Any]
Mapping = t.Mapping[str, t.Any]

SANDBOX = "convoy-sandbox>=0.2,<0.3"  #: the releases of the sandbox that this collection works with
PROVIDERS = ("existing", "sandbox", "kind", "gke")
REQUEST: dict[str, t.Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "provider": {"type": "str", "choices": list(PROVIDERS), "required": True},
    "name": {"type": "str", "required": True},
    "kubeconfig": {"type": "str", "default": ""},
    "nodes": {"type": "int", "default": 5},
    "sandbox_program": {"type": "str", "default": "convoy-sandbox"},
    "sandbox_node_cpu": {"type": "str", "default": "1"},
    "sandbox_node_memory": {"type": "str", "default": "3.75Gi"},
    "kind_image": {"type": "str", "default": ""},
    "gke_project": {"type": "str", "default": ""},
    "gke_location": {"type": "str", "default": ""},
    "gke_node_pool": {"type": "str", "default": "convoy"},
    "gke_machine_type": {"type": "str", "default": "n1-standard-1"},
    "gke_auth_kind": {"type": "str", "default": "application"},
    "gke_service_account_file": {"type": "str", "default": ""},
    "gke_access_token": {"type": "str", "default": "", "no_log": True},
}
FIRST_POOL = "default-pool"  #: what Google makes with a cluster


@dataclass(frozen=True)
class Plan:
    """What is to be done. In check mode there is nothing to do, but `changes` say what there would be."""

    there: bool = False  #: whether the cluster is there now
    create: bool = False
    remove: bool = False
    ends_there: bool = False  #: whether it is there once this is done
    changes: t.Sequence[str] = ()  #: what would be done, a sentence each
    facts: Object = field(default_factory=dict)  #: what the provider's tasks pick from

    def returned(self) -> Object:
        """What a task returns of it."""
        return {**asdict(self), "changes": list(self.changes)}


def check(request: Mapping) -> None:
    """Raise Failure, with all that is wrong with a request before anything is read."""
    provider, name, kubeconfig = request["provider"], request["name"], request["kubeconfig"]
    file = request["gke_service_account_file"]
    gke, kind = provider == "gke", request["gke_auth_kind"]
    problems = {
        f"cluster_nodes is {request['nodes']}; a cluster has at least one node.": request["nodes"] < 1,
        f"Set cluster_kubeconfig of {name}: the path that the kubeconfig of the cluster is written to.": (
            provider != "existing" and not kubeconfig
        ),
        f"{name} was created elsewhere (cluster_provider: existing), so this role does not remove it.": (
            provider == "existing" and request["state"] == "absent"
        ),
        f"The kubeconfig of a sandbox is <directory>/<name>/kubeconfig, not {kubeconfig}.": (
            provider == "sandbox" and not re.search(r"/[^/]+/kubeconfig$", kubeconfig)
        ),
        f"Set cluster_gke_project and cluster_gke_location of {name}, a zone such as us-central1-a or a region.": (
            gke and not (request["gke_project"] and request["gke_location"])
        ),
        f"There is no service account file {file}: set cluster_gke_service_account_file.": (
            gke and kind == "serviceaccount" and not os.path.isfile(file)
        ),
        "Set cluster_gke_access_token, or another cluster_gke_auth_kind.": (
            gke and kind == "accesstoken" and not request["gke_access_token"]
        ),
    }
    found = [problem for problem, stands in problems.items() if stands]
    if found:
        raise Failure(" ".join(found))


def plan(request: Mapping, seen: Mapping, *, check_mode: bool) -> Plan:
    """What is to be done, given what the provider says; without that, what is known before. Raises Failure."""
    check(request)
    if request["provider"] == "existing":
        return Plan(there=True, ends_there=True)
    decide = {"sandbox": _sandbox, "kind": _kind, "gke": _gke}[request["provider"]]
    return decide(request, seen, check_mode)


def _planned(request: Mapping, there: bool, facts: Object, words: str, check_mode: bool) -> Plan:
    """A plan where a cluster is created or removed by one command. `words` are, say, started, else stopped."""
    present = request["state"] == "present"
    differs = there != present
    return Plan(
        there=there,
        create=present and differs and not check_mode,
        remove=not present and differs and not check_mode,
        ends_there=present and (there or not check_mode),
        changes=[words] if differs and check_mode else [],
        facts=facts,
    )


def _sandbox(request: Mapping, seen: Mapping, check_mode: bool) -> Plan:
    # Its files are <directory>/<name>/kubeconfig, so the kubeconfig says where it is.
    folder = os.path.dirname(request["kubeconfig"])
    facts = {"directory": os.path.dirname(folder), "name": os.path.basename(folder)}
    status = seen.get("status")
    if status is None:
        return Plan(facts=facts)
    if status.get("rc") != 0:
        program = request["sandbox_program"]
        missing = (
            f"{program} was not found; install it with pip install '{SANDBOX}', or set its path with "
            "cluster_sandbox_program."
        )
        raise Failure(_text(status, "stderr") or missing)
    runs: Object = next(iter(json.loads(_text(status, "stdout") or "[]")), {})
    present = request["state"] == "present"
    if runs and present:
        has = _size(runs["nodes"], runs["node_cpu"], runs["node_memory"])
        asked = _size(request["nodes"], request["sandbox_node_cpu"], request["sandbox_node_memory"])
        if has != asked:
            raise Failure(
                f"Sandbox {facts['name']} runs with {has}, not {asked}; remove it first with -e cluster_state=absent, "
                "or request what it has."
            )
    words = f"Sandbox {facts['name']} would be {'started' if present else 'stopped'}."
    return _planned(request, bool(runs), facts, words, check_mode)


def _size(nodes: t.Any, cpu: t.Any, memory: t.Any) -> str:
    return f"{nodes} nodes of {cpu} cpu and {memory} memory"


def _kind(request: Mapping, seen: Mapping, check_mode: bool) -> Plan:
    # The first node is the control plane, which takes pods only where it is alone.
    node = {"image": request["kind_image"]} if request["kind_image"] else {}
    roles = ["control-plane", *["worker"] * (request["nodes"] - 1)]
    config = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": role, **node} for role in roles],
    }
    facts = {"config": json.dumps(config, indent=2)}
    clusters = seen.get("clusters")
    if clusters is None:
        return Plan(facts=facts)
    if all((seen.get(engine) or {}).get("rc", 1) != 0 for engine in ("docker", "podman")):
        raise Failure(
            "kind needs Docker or Podman, and neither is running here; install or start one, or use "
            "cluster_provider: sandbox."
        )
    if clusters.get("rc") != 0:
        why = _text(clusters, "stderr") or "the program was not found; install it"
        raise Failure(f"kind does not work here: {why}.")
    name, present = request["name"], request["state"] == "present"
    there = name in clusters.get("stdout_lines", [])
    nodes = seen.get("nodes") or {}
    if there and present and "rc" in nodes:
        if nodes["rc"] != 0:
            raise Failure(f"kind did not list the nodes of its cluster {name}: {_text(nodes, 'stderr')}.")
        if len(nodes["stdout_lines"]) != request["nodes"]:
            raise Failure(
                f"kind cluster {name} has {len(nodes['stdout_lines'])} nodes, not {request['nodes']}, and kind cannot "
                "change that: remove it first with -e cluster_state=absent, or set cluster_nodes to that."
            )
    words = f"kind cluster {name} would be {'created' if present else 'deleted'}."
    return _planned(request, there, facts, words, check_mode)


def _gke(request: Mapping, seen: Mapping, check_mode: bool) -> Plan:
    name, pool_name = request["name"], request["gke_node_pool"]
    context = f"gke_{request['gke_project']}_{request['gke_location']}_{name}"
    if seen.get("clusters") is None:
        return Plan(facts={"context": context})
    found = _named(seen["clusters"], name)
    pools = found.get("nodePools") or []
    pool = _named(pools, pool_name)
    # What a creation that was cut off leaves behind.
    leftover = pool_name != FIRST_POOL and bool(_named(pools, FIRST_POOL))
    present, there = request["state"] == "present", bool(found)
    if present:
        _check_gke(request, found, pool)
    do = present and not check_mode
    changes = {
        f"GKE cluster {name} would be created.": present and not there,
        f"GKE cluster {name} would be deleted.": not present and there,
        f"Node pool {pool_name} would be created with {request['nodes']} nodes of {request['gke_machine_type']}.": (
            present and not pool
        ),
        f"Node pool {FIRST_POOL} would be removed.": present and leftover,
    }
    return Plan(
        there=there,
        create=do and not there,
        remove=not present and there and not check_mode,
        ends_there=present and there,
        changes=[words for words, would in changes.items() if would and check_mode],
        facts={
            "context": context,
            "remove_first_pool": do and leftover,
            "create_pool": do and not pool,
            "endpoint": found.get("endpoint", ""),
            "ca": (found.get("masterAuth") or {}).get("clusterCaCertificate", ""),
        },
    )


def _check_gke(request: Mapping, found: Mapping, pool: Mapping) -> None:
    """Raise Failure for a cluster that does not work, or is not as it should be."""
    name, pool_name = request["name"], request["gke_node_pool"]
    why = "Google gives no reason"
    if found.get("status", "RUNNING") != "RUNNING":
        raise Failure(
            f"GKE cluster {name} is in state {found['status']}: {found.get('statusMessage', why)}; remove it with -e "
            "cluster_state=absent and run the playbook again."
        )
    if pool.get("status", "RUNNING") != "RUNNING":
        raise Failure(
            f"Node pool {pool_name} of GKE cluster {name} is in state {pool['status']}: "
            f"{pool.get('statusMessage', why)}; remove it and run the playbook again."
        )
    nodes, machine = request["nodes"], request["gke_machine_type"]
    has = int(pool.get("initialNodeCount", nodes)), (pool.get("config") or {}).get("machineType", machine)
    if has != (nodes, machine):
        raise Failure(
            f"Node pool {pool_name} was created with {has[0]} nodes of {has[1]}, not {nodes} of {machine}, and this "
            "role does not change it; set another cluster_gke_node_pool, or request what it has."
        )


def _named(items: t.Iterable[Object], name: str) -> Object:
    return next((item for item in items if item.get("name") == name), {})


def _text(result: Mapping, stream: str) -> str:
    return str(result.get(stream) or "").strip()


def result(request: Mapping, info: Mapping) -> Object:
    """The role's result, of what cluster_info read."""
    read = ("context", "server_version", "nodes", "ready", "allocatable", "missing", "message")
    given = ("provider", "name", "kubeconfig")
    return {**{name: request[name] for name in given}, **{name: info[name] for name in read}}


def lines(request: Mapping, info: Mapping) -> list[str]:
    """The same in words."""
    context = f", context {info['context']}" if info["context"] else ""
    return [
        f"{request['name']} ({request['provider']}): {info['message']}",
        f"kubeconfig: {request['kubeconfig']}{context}",
    ]
