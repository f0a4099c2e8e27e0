"""The nodes of a sandbox: registered once, always ready."""

from __future__ import annotations

import functools
import platform
from collections.abc import Callable

from .. import quantities, resources, schema
from ..registry import Registry, timestamp
from ..settings import Settings
from ..store import Object

_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


def register(registry: Registry, settings: Settings, allocate_ip: Callable[[], str]) -> None:
    """Make the Node objects, each with an address of its own."""
    for number in range(1, settings.nodes + 1):
        name, address = f"node{number}", allocate_ip()
        registry.create(
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
        status = _status(name, address, settings)
        registry.modify(
            resources.NODES, "", name, functools.partial(_set_status, status),
            subresource="status", manager="kubelet",
        )  # fmt: skip


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
