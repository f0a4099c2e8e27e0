# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Each Deployment with its ReplicaSet, its pods and where it is reached. Pure functions of plain objects."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._workload import (
    _images,
    _quotas,
    _rollout,
    _selectors,
    _subject,
    _workloads,
)

Object = t.Dict[str, t.Any]


def application(
    deployment: Object, there: _subject.Namespace, container: str = "", rule: _images.Rule = _images.PLAIN
) -> dict[str, t.Any]:
    """What there is of one Deployment, the others' ReplicaSets, pods and Services left out."""
    template, labels = deployment["spec"]["template"], _workloads.pod_labels(deployment)
    newest = _rollout.new_replica_set(deployment, there.replica_sets)
    held = _workloads.pods_of(deployment, _workloads.revisions(deployment, there.replica_sets), there.pods)
    wanted = deployment["spec"].get("replicas", 1)
    leading = [item for item in there.services if _selectors.selects((item.get("spec") or {}).get("selector"), labels)]
    return {
        "deployment": deployment["metadata"]["name"],
        "replica_set": newest["metadata"]["name"] if newest else "",
        "replicas": wanted,
        "ready": f"{deployment.get('status', {}).get('readyReplicas', 0)}/{wanted}",
        "version": _images.version_of(template, deployment["metadata"]["name"], container, rule=rule),
        "images": _workloads.images(template),
        "pods": [pod["name"] for pod in held],
        "services": sorted(item["metadata"]["name"] for item in leading),
        "addresses": [address for item in leading for address in addresses(item)],
    }


def facts(subject: _subject.Subject) -> dict[str, t.Any]:
    """What a task returns of a subject: its fields, without the objects that they were read from."""
    return t.cast("dict[str, t.Any]", _plain(subject)) | {"beside": [item.name for item in subject.beside]}


def _plain(value: t.Any) -> t.Any:
    if isinstance(value, _subject.Link):
        return _fields(value) | {"pinned": value.pinned}
    if isinstance(value, _images.Image):
        return _fields(value) | {"pinned_by": value.pinned_by}
    if isinstance(value, _subject.Drain):
        return _fields(value) | {"cut_off": value.cut_off}
    if isinstance(value, _quotas.Quota):
        return _fields(value) | {"refusal": value.refusal}
    if dataclasses.is_dataclass(value):
        return _fields(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, t.Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _fields(value: t.Any) -> dict[str, t.Any]:
    """The fields of a dataclass; an object of the cluster is left out."""
    return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value) if each.repr}


def addresses(service: Object) -> list[str]:
    """Where a Service is reached, with its ports: outside of the cluster where it can be, else inside."""
    spec = service.get("spec") or {}
    given = (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
    hosts = [item.get("ip") or item.get("hostname") for item in given]
    hosts = [host for host in hosts if host] or [at for at in (spec.get("clusterIP"),) if at and at != "None"]
    return [
        f"{f'[{host}]' if ':' in host else host}:{port['port']}" for host in hosts for port in spec.get("ports") or []
    ]
