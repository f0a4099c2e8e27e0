"""The nodes of a sandbox: registered once, always ready."""

from __future__ import annotations

import platform

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


def register(registry: Registry, settings: Settings) -> None:
    """Make the Node objects."""
    for number in range(1, settings.nodes + 1):
        name = f"node{number}"
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
        registry.modify(
            resources.NODES, "", name, lambda obj: obj["status"].update(_status(obj, settings)),
            subresource="status", manager="kubelet",
        )  # fmt: skip


def _status(node: Object, settings: Settings) -> Object:
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
            {"type": "InternalIP", "address": "127.0.0.1"},
            {"type": "Hostname", "address": node["metadata"]["name"]},
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
