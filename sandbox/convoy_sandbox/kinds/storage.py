# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""PersistentVolumes and StorageClasses: served only, checked as the API server checks them."""

from __future__ import annotations

from .. import quantities
from ..errors import Cause
from ..store import Object
from .base import Kind, required, unsupported, wrong
from .outside import ACCESS_MODES

_RECLAIM = ["Delete", "Recycle", "Retain"]
#: What of a volume's spec is no source of storage.
_NO_SOURCE = frozenset(
    {
        "accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy",
        "storageClassName", "volumeAttributesClassName", "volumeMode",
    }
)  # fmt: skip


class VolumeKind(Kind):
    """PersistentVolumes."""

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
        spec.setdefault("volumeMode", "Filesystem")
        if "hostPath" in spec:
            spec["hostPath"].setdefault("type", "")
        obj.setdefault("status", {})

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"phase": "Pending"}

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        modes = spec.get("accessModes") or []
        causes = [] if modes else [required("spec.accessModes")]
        causes += [unsupported("spec.accessModes", mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES]
        storage = (spec.get("capacity") or {}).get("storage")
        if storage is None:
            causes.append(required("spec.capacity") if not spec.get("capacity") else required("spec.capacity[storage]"))
        elif quantities.parse(storage) <= 0:
            causes.append(wrong("spec.capacity[storage]", storage, "must be greater than zero"))
        if spec["persistentVolumeReclaimPolicy"] not in _RECLAIM:
            policy = spec["persistentVolumeReclaimPolicy"]
            causes.append(unsupported("spec.persistentVolumeReclaimPolicy", policy, _RECLAIM))
        sources = sorted(set(spec) - _NO_SOURCE)
        if not sources:
            causes.append(required("spec", "must specify a volume type"))
        causes += [
            Cause("FieldValueForbidden", "Forbidden: may not specify more than 1 volume type", f"spec.{key}")
            for key in sources[1:]
        ]
        return causes


class ClassKind(Kind):
    """StorageClasses."""

    def default(self, obj: Object) -> None:
        obj.setdefault("reclaimPolicy", "Delete")
        obj.setdefault("volumeBindingMode", "Immediate")

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        causes = [] if obj.get("provisioner") else [required("provisioner")]
        for key, allowed in (
            ("reclaimPolicy", ["Delete", "Retain"]),
            ("volumeBindingMode", ["Immediate", "WaitForFirstConsumer"]),
        ):
            if obj[key] not in allowed:
                causes.append(unsupported(key, obj[key], allowed))
        if old is not None:
            for key in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
                if obj.get(key) != old.get(key):
                    causes.append(Cause("FieldValueForbidden", f"Forbidden: updates to {key} are forbidden.", key))
        return causes
