# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""CustomResourceDefinitions: their names are accepted, their resources served, and their objects deleted with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .. import resources
from ..errors import ApiError
from ..kinds import definitions
from ..kinds.definitions import set_condition
from ..registry import Registry
from ..store import Change, Object, Store
from .runtime import Controller

#: How long the objects of a definition take to go, at least.
_CLEANING_SECONDS = 0.5


class DefinitionController(Controller[str]):
    """Establishes definitions, as the API server's own controllers do, and cleans up behind those that go."""

    def __init__(self, store: Store, registry: Registry) -> None:
        super().__init__(store, registry, "definitions")
        self._clean_at: dict[str, float] = {}  # when the objects of a definition that goes are deleted

    def _changed(self, change: Change) -> None:
        if change.resource == resources.CUSTOMRESOURCEDEFINITIONS:
            self._queue.add(change.object["metadata"]["name"])
        elif change.resource.custom is not None and change.type == "DELETED":
            # One thing less that its definition waits for, if it goes.
            self._queue.add_after(change.resource.custom.definition, _CLEANING_SECONDS)

    def _reconcile(self, name: str) -> None:
        definition = self._store.get(resources.CUSTOMRESOURCEDEFINITIONS, "", name)
        if definition is None:
            self._registry.catalog.withdraw(name)
            return
        if definition["metadata"].get("deletionTimestamp"):
            self._clean_up(name, definition)
            return
        change = self._next_step(definition)
        if change is not None:
            self._registry.modify(
                resources.CUSTOMRESOURCEDEFINITIONS, "", name, change, subresource="status", manager="kube-apiserver"
            )
        elif definitions.is_established(definition):
            self._registry.catalog.serve(name, definitions.served(definition))

    def _next_step(self, definition: Object) -> Callable[[Object], None] | None:
        """What is to be said of a definition next, one thing a write; None where all is said."""
        spec, seen = definition["spec"], {}
        for item in definition["status"].get("conditions") or ():
            seen[item["type"]] = item["status"]
        approval = (definition["metadata"].get("annotations") or {}).get(definitions.APPROVED)
        if definitions.is_protected(spec["group"]) and "KubernetesAPIApprovalPolicyConformant" not in seen:
            return lambda obj: set_condition(
                obj["status"], "KubernetesAPIApprovalPolicyConformant", "True", "ApprovedAnnotation",
                f"approved in {approval}",
            )  # fmt: skip
        if "NamesAccepted" not in seen or seen["NamesAccepted"] == "False":
            taken = self._taken(definition)
            if taken is None:
                return _accept
            return (lambda obj: _refuse(obj, *taken)) if "NamesAccepted" not in seen else None
        if seen.get("Established") == "False":
            return lambda obj: set_condition(
                obj["status"], "Established", "True", "InitialNamesAccepted", "the initial names have been accepted"
            )
        return None

    def _taken(self, definition: Object) -> tuple[str, str] | None:
        """The reason and the words for a name that another definition of the group has."""
        names = definition["spec"]["names"]
        for other in self._store.list(resources.CUSTOMRESOURCEDEFINITIONS):
            accepted = (other.get("status") or {}).get("acceptedNames") or {}
            if other["metadata"]["name"] == definition["metadata"]["name"]:
                continue
            if other["spec"]["group"] != definition["spec"]["group"]:
                continue
            for key, reason in (
                ("listKind", "ListKindConflict"),
                ("kind", "KindConflict"),
                ("singular", "SingularConflict"),
            ):
                if names.get(key) and names[key] == accepted.get(key):
                    return reason, f'"{names[key]}" is already in use'
            for short in names.get("shortNames") or ():
                if short in (accepted.get("shortNames") or ()):
                    return "ShortNamesConflict", f'"{short}" is already in use'
        return None

    def _clean_up(self, name: str, definition: Object) -> None:
        """Delete what a definition that goes has brought; it goes when nothing is left."""
        conditions = {item["type"]: item["reason"] for item in definition["status"].get("conditions") or ()}
        if conditions.get("Terminating") == "InstanceDeletionPending":
            self._registry.modify(
                resources.CUSTOMRESOURCEDEFINITIONS, "", name,
                lambda obj: set_condition(
                    obj["status"], "Terminating", "True", "InstanceDeletionInProgress",
                    "CustomResource deletion is in progress",
                ),
                subresource="status", manager="kube-apiserver",
            )  # fmt: skip
            self._clean_at[name] = asyncio.get_running_loop().time() + _CLEANING_SECONDS
            self._queue.add_after(name, _CLEANING_SECONDS)
            return
        if asyncio.get_running_loop().time() < self._clean_at.pop(name, 0.0) - 0.01:
            return  # this is the change that has just been made; the time comes
        left = False
        for resource in self._registry.catalog.of(name)[:1]:  # all versions have the same objects
            for obj in self._store.list(resource):
                meta = obj["metadata"]
                if not meta.get("deletionTimestamp"):
                    try:
                        _, gone = self._registry.delete(resource, meta.get("namespace", ""), meta["name"])
                    except ApiError:
                        gone = False
                    left = left or not gone
                else:
                    left = True
        if not left:
            self._registry.catalog.withdraw(name)
            self._registry.modify(resources.CUSTOMRESOURCEDEFINITIONS, "", name, _release, manager="kube-apiserver")


def _accept(obj: Object) -> None:
    status = obj["status"]
    status["acceptedNames"] = dict(obj["spec"]["names"])
    set_condition(status, "NamesAccepted", "True", "NoConflicts", "no conflicts found")
    set_condition(status, "Established", "False", "Installing", "the initial names have been accepted")


def _refuse(obj: Object, reason: str, message: str) -> None:
    status = obj["status"]
    status["acceptedNames"] = {"plural": obj["spec"]["names"]["plural"], "kind": ""}
    set_condition(status, "NamesAccepted", "False", reason, message)
    set_condition(status, "Established", "False", "NotAccepted", "not all names are accepted")


def _release(obj: Object) -> None:
    meta = obj["metadata"]
    meta["finalizers"] = [item for item in meta.get("finalizers") or () if item != definitions.FINALIZER]
