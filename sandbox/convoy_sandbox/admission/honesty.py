# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the sandbox stores and does not act upon: said when it is written, where it could matter to a rollout.

The table in the sandbox's README says the same of whole kinds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import resources
from ..resources import Resource
from ..store import Object

#: Kinds that are served only, by group and plural, and what does not happen.
STORED_ONLY = {
    ("networking.k8s.io", "ingresses"): "no controller serves Ingresses, so nothing listens for them",
    ("networking.k8s.io", "networkpolicies"): "NetworkPolicies block no traffic",
    ("", "persistentvolumes"): "claims are bound to PersistentVolumes, but no storage is behind them",
    ("storage.k8s.io", "storageclasses"): "nothing creates volumes for StorageClasses, so their claims stay Pending",
    ("", "replicationcontrollers"): "nothing acts on ReplicationControllers",
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies"): "MutatingAdmissionPolicies change nothing",
    ("apiregistration.k8s.io", "apiservices"): "no requests are sent to aggregated APIs",
    ("resource.k8s.io", "resourceclaims"): "devices are not allocated",
}
_START = "the sandbox stores this but does not act on it: "


def unheeded(resource: Resource, obj: Object, *, has_class: bool = False) -> Iterator[str]:
    """What will not happen though an object asks for it; `has_class`: an Ingress names a class that is there."""
    whole = STORED_ONLY.get((resource.group, resource.plural))
    if whole and not (resource == resources.INGRESSES and has_class):
        yield _START + whole
    spec: dict[str, Any] = obj.get("spec") or {}
    if resource == resources.JOBS:
        yield from (f"{_START}{key} of Jobs" for key in ("podFailurePolicy", "backoffLimitPerIndex") if key in spec)
        if spec.get("completionMode") == "Indexed":
            yield f"{_START}the indexes of Jobs; their pods are all the same"
    if resource == resources.PRIORITYCLASSES and obj.get("value", 0) > 0:
        yield f"{_START}pods of a higher priority do not preempt others"
