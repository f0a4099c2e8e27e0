# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Claims of storage, and the volumes that they are bound to: those that somebody has made. Nothing makes any."""

from __future__ import annotations

from .. import quantities, resources
from ..registry import Registry
from ..resources import RESOURCES
from ..selectors import labels_of, matches
from ..store import Change, Object, Store
from .runtime import Controller

VOLUMES = RESOURCES["", "v1", "persistentvolumes"]
CLASSES = RESOURCES["storage.k8s.io", "v1", "storageclasses"]
_BOUND = "pv.kubernetes.io/bind-completed"


def fits(volume: Object, claim: Object) -> bool:
    """Whether a volume is what a claim asks for."""
    spec, asked = volume["spec"], claim["spec"]
    reference = spec.get("claimRef")
    meta = claim["metadata"]
    if reference is not None and (
        (reference.get("namespace"), reference.get("name")) != (meta["namespace"], meta["name"])
        or reference.get("uid", meta["uid"]) != meta["uid"]
    ):
        return False
    if asked.get("volumeName"):
        return bool(asked["volumeName"] == volume["metadata"]["name"])
    request = ((asked.get("resources") or {}).get("requests") or {}).get("storage", "0")
    return (
        spec.get("storageClassName", "") == asked.get("storageClassName", "")
        and spec["volumeMode"] == asked["volumeMode"]
        and set(asked.get("accessModes") or ()) <= set(spec.get("accessModes") or ())
        and quantities.parse((spec.get("capacity") or {}).get("storage", "0")) >= quantities.parse(request)
        and matches(asked.get("selector") or {}, labels_of(volume))
    )


class VolumeController(Controller[tuple[str, str]]):
    """Binds claims to volumes, as the controller of a cluster without a provisioner does."""

    def __init__(self, store: Store, registry: Registry) -> None:
        super().__init__(store, registry, "persistentvolume")

    def _changed(self, change: Change) -> None:
        meta = change.object["metadata"]
        if change.resource == resources.PERSISTENTVOLUMECLAIMS:
            self._queue.add((meta["namespace"], meta["name"]))
        elif change.resource == VOLUMES:
            self._queue.add(("", meta["name"]))
            if change.type != "DELETED":
                for claim in self._store.list(resources.PERSISTENTVOLUMECLAIMS):
                    if (claim.get("status") or {}).get("phase") != "Bound":
                        self._queue.add((claim["metadata"]["namespace"], claim["metadata"]["name"]))

    def _reconcile(self, key: tuple[str, str]) -> None:
        namespace, name = key
        if not namespace:
            self._keep(name)
            return
        claim = self._store.get(resources.PERSISTENTVOLUMECLAIMS, namespace, name)
        if claim is None:
            for volume in self._store.list(VOLUMES):
                reference = volume["spec"].get("claimRef") or {}
                if (reference.get("namespace"), reference.get("name")) == key:
                    self._keep(volume["metadata"]["name"])
            return
        if claim["status"].get("phase") == "Bound" or claim["metadata"].get("deletionTimestamp"):
            return
        free = [
            volume for volume in self._store.list(VOLUMES)
            if volume["status"].get("phase") == "Available" and fits(volume, claim)
        ]  # fmt: skip
        if free:
            self._bind(claim, min(free, key=lambda volume: quantities.parse(volume["spec"]["capacity"]["storage"])))

    def _keep(self, name: str) -> None:
        """Say whether a volume is free, bound, or left by a claim that is gone."""
        volume = self._store.get(VOLUMES, "", name)
        if volume is None or volume["metadata"].get("deletionTimestamp"):
            return
        reference = volume["spec"].get("claimRef") or {}
        phase = "Available"
        if reference.get("uid"):
            claim = self._store.get(resources.PERSISTENTVOLUMECLAIMS, reference["namespace"], reference["name"])
            phase = "Bound" if claim is not None and claim["metadata"]["uid"] == reference["uid"] else "Released"
        if volume["status"].get("phase") != phase:
            self._registry.modify(
                VOLUMES, "", name, lambda obj: obj["status"].update(phase=phase),
                subresource="status", manager="kube-controller-manager",
            )  # fmt: skip

    def _bind(self, claim: Object, volume: Object) -> None:
        meta = claim["metadata"]
        reference = {
            "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": meta["namespace"], "name": meta["name"],
            "uid": meta["uid"], "resourceVersion": meta["resourceVersion"],
        }  # fmt: skip
        name, manager = volume["metadata"]["name"], "kube-controller-manager"
        self._registry.modify(VOLUMES, "", name, lambda obj: obj["spec"].update(claimRef=reference), manager=manager)

        def take(obj: Object) -> None:
            obj["spec"]["volumeName"] = name
            obj["metadata"]["annotations"] = {**(obj["metadata"].get("annotations") or {}), _BOUND: "yes"}

        where = (resources.PERSISTENTVOLUMECLAIMS, meta["namespace"], meta["name"])
        self._registry.modify(*where, take, manager=manager)
        spec = volume["spec"]
        status = {"phase": "Bound", "accessModes": spec["accessModes"], "capacity": spec["capacity"]}
        self._registry.modify(*where, lambda obj: obj.update(status=status), subresource="status", manager=manager)


def obstacle(store: Store, pod: Object) -> str:
    """Why the claims of a pod keep it from every node; "" where they do not."""
    meta = pod["metadata"]
    waiting = False
    for volume in pod["spec"].get("volumes") or ():
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if "ephemeral" in volume:
            name = f"{meta['name']}-{volume['name']}"
        if not name:
            continue
        claim = store.get(resources.PERSISTENTVOLUMECLAIMS, meta["namespace"], name)
        if claim is None:
            return f'persistentvolumeclaim "{name}" not found'
        if claim["metadata"].get("deletionTimestamp"):
            return f'persistentvolumeclaim "{name}" is being deleted'
        if claim["status"].get("phase") == "Lost":
            return (
                f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{claim["spec"]["volumeName"]}"'
            )
        waiting = waiting or claim["status"].get("phase") != "Bound"
    return "pod has unbound immediate PersistentVolumeClaims" if waiting else ""
