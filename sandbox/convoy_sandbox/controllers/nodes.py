# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nodes of a sandbox: registered once, their Leases renewed for as long as they are up."""

from __future__ import annotations

import functools
import platform
from collections.abc import Callable

from .. import quantities, resources, schema, times
from ..registry import Registry
from ..settings import Settings
from ..store import Object
from ..times import timestamp
from ..workqueue import Queue

_LEASES = "kube-node-lease"
#: A node counts as dead when its Lease is older; renewed no more often than that needs.
_LEASE_SECONDS, _RENEWAL_SECONDS = 40, 30
_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)

#: The conditions of a node that is well, by their types.
HEALTHY: dict[str, Object] = {
    type_: {"status": status, "reason": reason, "message": message} for type_, status, reason, message in _CONDITIONS
}


class Nodes:
    """Registers the nodes, and renews the Leases by which others know that they live."""

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        allocate_ip: Callable[[], str],
        is_stopped: Callable[[str], bool],
    ) -> None:
        """`is_stopped` says whether a node has no power: it renews nothing then."""
        self._is_stopped = is_stopped
        self._registry = registry
        self._settings = settings
        self._allocate_ip = allocate_ip
        self._queue = Queue("nodes", self._renew)

    def start(self) -> None:
        """Make the Node objects, each with an address of its own, and their Leases."""
        for number in range(1, self._settings.nodes + 1):
            name = f"node{number}"
            self._register(name, self._allocate_ip())
            self._renew(name)

    def close(self) -> None:
        """Stop."""
        self._queue.close()

    def _register(self, name: str, address: str) -> None:
        self._registry.create(
            resources.NODES,
            "",
            {
                "metadata": {
                    "name": name,
                    "labels": {
                        "kubernetes.io/arch": "amd64",
                        "kubernetes.io/hostname": name,
                        "kubernetes.io/os": "linux",
                    },
                }
            },
            manager="kubelet",
        )
        status = _status(name, address, self._settings)
        self._registry.modify(
            resources.NODES, "", name, functools.partial(_set_status, status),
            subresource="status", manager="kubelet",
        )  # fmt: skip

    def _renew(self, name: str) -> None:
        """Renew a node's Lease; a node that was deleted has none any more."""
        store = self._registry.store
        node = store.get(resources.NODES, "", name)
        if node is None:
            return
        if self._is_stopped(name):
            self._queue.add_after(name, _RENEWAL_SECONDS)
            return
        renewed = times.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if store.get(resources.LEASES, _LEASES, name) is None:
            owner = {key: node[key] for key in ("apiVersion", "kind")}
            owner |= {key: node["metadata"][key] for key in ("name", "uid")}
            lease: Object = {
                "metadata": {"name": name, "ownerReferences": [owner]},
                "spec": {"holderIdentity": name, "leaseDurationSeconds": _LEASE_SECONDS, "renewTime": renewed},
            }
            self._registry.create(resources.LEASES, _LEASES, lease, manager="kubelet")
        else:
            self._registry.modify(
                resources.LEASES, _LEASES, name, lambda lease: lease["spec"].update(renewTime=renewed),
                manager="kubelet",
            )  # fmt: skip
        self._queue.add_after(name, _RENEWAL_SECONDS)


def _set_status(status: Object, node: Object) -> None:
    node["status"].update(status)


def _status(name: str, address: str, settings: Settings) -> Object:
    capacity = {
        "cpu": quantities.canonical(settings.node_cpu),
        "ephemeral-storage": "100Gi",
        "memory": quantities.canonical(settings.node_memory),
        "pods": str(settings.node_pods),
    }
    now = timestamp()
    return {
        "capacity": capacity,
        "allocatable": dict(capacity),
        "conditions": [
            {
                "type": type_, "status": status, "lastHeartbeatTime": now, "lastTransitionTime": now,
                "reason": reason, "message": message,
            }
            for type_, status, reason, message in _CONDITIONS
        ],
        "addresses": [
            {"type": "InternalIP", "address": address},
            {"type": "Hostname", "address": name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {
            "architecture": "amd64",
            "bootID": "",
            "containerRuntimeVersion": "convoy-sandbox://1",
            "kernelVersion": platform.release(),
            "kubeProxyVersion": "",
            "kubeletVersion": f"v{schema.VERSION}",
            "machineID": "",
            "operatingSystem": "linux",
            "osImage": "convoy sandbox",
            "systemUUID": "",
        },
    }  # fmt: skip
