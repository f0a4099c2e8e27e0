# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run gave an object, compared with what the object has now. Pure functions of plain objects."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _managers

Object = t.Dict[str, t.Any]

SELECTOR = "spec.selector"
REPLICAS = "spec.replicas"
PAUSED = "spec.paused"

#: The field manager of a HorizontalPodAutoscaler, and the subresource that it writes.
AUTOSCALER = ("kube-controller-manager", "scale")

#: How a tool that puts objects back is kept from it for the time of a rollout.
LEAVE = {
    "Argo CD": "Turn off self-heal in its Argo CD application for the duration of the rollout",
    "Flux": "Suspend its Flux resource for the duration of the rollout (flux suspend)",
}


class ChangedError(Failure):
    """Somebody else changed what this run had given an object, or relies on."""


@dataclass(frozen=True)
class Given:
    """What one object was given, or had and is relied on, by the paths of its fields."""

    kind: str
    name: str
    fields: t.Mapping[str, t.Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def fields_of(item: Object, manifest: Object) -> dict[str, t.Any]:
    """What an object has of what a manifest gives: of a Service its selector, of a Deployment its replicas and images.

    `item` is the object as the API server answered the write, since what it admits may be another image.
    """
    spec = manifest.get("spec") or {}
    if manifest.get("kind") == "Service":
        paths = [SELECTOR] if spec.get("selector") else []
    elif manifest.get("kind") == "Deployment":
        paths = [*([REPLICAS] if spec.get("replicas") is not None else []), *images(manifest)]
    else:
        return {}
    found = {path: _managers.value(item, path) for path in paths}
    return found if manifest["kind"] == "Service" else {**found, PAUSED: bool(_managers.value(item, PAUSED))}


def images(workload: Object) -> dict[str, str]:
    """The images of a workload's containers, by path."""
    pods = workload["spec"].get("template", {}).get("spec") or {}
    return {
        f"spec.template.spec.{kind}[name={item['name']}].image": item["image"]
        for kind in ("initContainers", "containers")
        for item in pods.get(kind) or []
        if item.get("image")
    }


def merged(events: t.Iterable[t.Mapping[str, t.Any]]) -> list[Given]:
    """What objects were given last, from the events of a run in their order; a field given None may be anything."""
    found: dict[tuple[str, str], dict[str, t.Any]] = {}
    for event in events:
        fields = found.setdefault((event["object"], event["name"]), {})
        fields.update(event["fields"])
    kept = {key: {path: value for path, value in fields.items() if value is not None} for key, fields in found.items()}
    return [Given(*key, fields) for key, fields in kept.items() if fields]


def changes(item: Object, given: Given) -> list[str]:
    """Which fields have another value by now, in words: from what to what, and who wrote it."""
    there = {**item, "kind": given.kind}
    told = []
    for path, value in given.fields.items():
        now = _managers.value(item, path)
        if now != value and (now or value) and not (path == REPLICAS and _is_autoscaled(item)):
            told.append(_managers.changed_by(there, path, value, now))
    return told


def _is_autoscaled(item: Object) -> bool:
    """Whether an autoscaler decided on the replicas last, which is what it is there for."""
    writer = next(iter(_managers.writers(item, REPLICAS)), None)
    return writer is not None and (writer.manager, writer.subresource) == AUTOSCALER


def check(item: Object | None, given: Given) -> None:
    """Raise ChangedError where an object is gone, or has not what it was given."""
    if item is None:
        raise ChangedError(
            f"{given} was deleted by somebody else during this run. Find out who did that, and run the playbook again."
        )
    told = changes(item, given)
    if told:
        raise ChangedError(f"{' and '.join(told)} during this run. {remedy(item)}, and run the playbook again.")


def is_put_back(item: Object | None) -> bool:
    """Whether a tool manages an object and restores what it has for it."""
    owner = _managers.owner_of(item) if item else None
    return owner is not None and owner.tool in LEAVE


def remedy(item: Object) -> str:
    """What to do about whoever changes an object besides this run."""
    owner = _managers.owner_of(item)
    return LEAVE.get(owner.tool if owner else "", "Find out who did that")
