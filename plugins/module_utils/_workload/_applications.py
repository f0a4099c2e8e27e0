# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Each Deployment with its ReplicaSet, its pods and where it is reached. Pure functions of plain objects."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._workload import _rollout, _workloads

Object = t.Dict[str, t.Any]


def application(
    deployment: Object, replica_sets: t.Sequence[Object], pods: t.Sequence[Object], services: t.Sequence[Object]
) -> dict[str, t.Any]:
    """What there is of one Deployment, the others' ReplicaSets, pods and Services left out."""
    template, labels = deployment["spec"]["template"], _workloads.pod_labels(deployment)
    newest = _rollout.new_replica_set(deployment, replica_sets)
    held = _workloads.pods_of(deployment, _workloads.revisions(deployment, replica_sets), pods)
    wanted = deployment["spec"].get("replicas", 1)
    leading = [item for item in services if _workloads.selects((item.get("spec") or {}).get("selector"), labels)]
    return {
        "deployment": deployment["metadata"]["name"],
        "replica_set": newest["metadata"]["name"] if newest else "",
        "replicas": wanted,
        "ready": f"{deployment.get('status', {}).get('readyReplicas', 0)}/{wanted}",
        "version": _workloads.version_of(template, deployment["metadata"]["name"]),
        "images": _workloads.images(template),
        "pods": [pod["name"] for pod in held],
        "services": sorted(item["metadata"]["name"] for item in leading),
        "addresses": [address for item in leading for address in addresses(item)],
    }


def addresses(service: Object) -> list[str]:
    """Where a Service is reached, with its ports: outside of the cluster where it can be, else inside."""
    spec = service.get("spec") or {}
    given = (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
    hosts = [item.get("ip") or item.get("hostname") for item in given]
    hosts = [host for host in hosts if host] or [at for at in (spec.get("clusterIP"),) if at and at != "None"]
    return [
        f"{f'[{host}]' if ':' in host else host}:{port['port']}" for host in hosts for port in spec.get("ports") or []
    ]
