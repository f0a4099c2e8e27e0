# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an apply makes of objects that others have written too, and of what nobody may change. Pure functions.

A server-side apply takes away only what its own manager had set before. What others set stays beside it: a second
container of another name, a variable, a port.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from ansible_collections.convoy.rollout.plugins.module_utils._workload import _managers

Object = t.Dict[str, t.Any]
OURS = _managers.OURS

#: Kinds of which an object of the same manifest can be made for comparison, as the API server would make it.
COMPARED = ("Deployment", "StatefulSet", "DaemonSet", "Service")
#: Kinds whose contents have no defaults.
OF_DATA = ("ConfigMap", "Secret")
DATA = ("data", "binaryData", "stringData")

#: What is not the description's to decide, or one object's alone.
LEFT_OUT = {
    "spec.replicas",
    "spec.paused",
    "spec.selector",
    "spec.template.metadata",
    "spec.clusterIP",
    "spec.clusterIPs",
    "spec.healthCheckNodePort",
    "spec.ipFamilies",
    "spec.ipFamilyPolicy",
}
#: What a Service has that no other one can have, and no manifest of a second one may name.
ALONE = ("clusterIP", "clusterIPs", "healthCheckNodePort", "loadBalancerIP")

#: By field: what tells the items of a list apart, as the API server merges them; other lists are wholes.
KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
NAMES = {"containers": "container", "initContainers": "init container", "volumes": "volume", "env": "variable"}

Others = t.Literal["keep", "refuse", "take"]


@dataclass(frozen=True)
class Left:
    """What an apply leaves beside what is described."""

    path: str  #: such as spec.template.spec.containers[name=nginx]
    words: str  #: such as container nginx
    item: bool  #: whether it is an item of a list, rather than a field
    writers: tuple[str, ...]  #: the field managers that set it

    @property
    def ours(self) -> bool:
        """Whether only this collection has set it, by a patch of an earlier run."""
        return bool(self.writers) and set(self.writers) == {OURS}

    @property
    def known(self) -> bool:
        """Whether somebody set it: a field without a writer is a default, or a webhook's."""
        return self.item or bool(self.writers)

    def __str__(self) -> str:
        others = [name for name in self.writers if name != OURS]
        return f"{self.words} ({'by ' + ' and '.join(others) if others else 'by somebody'})"


def second(manifest: Object) -> Object:
    """The manifest of a second object like this one, under a name that nobody has, to see what it would be."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key in ("namespace", "labels")}
    name = f"{str(manifest['metadata']['name'])[:50].rstrip('-.')}-convoy-look"
    spec = dict(manifest.get("spec") or {})
    if manifest["kind"] == "Service":
        spec = {key: value for key, value in spec.items() if key not in ALONE}
        spec["ports"] = [
            {key: value for key, value in port.items() if key != "nodePort"} for port in spec.get("ports") or []
        ]
    return {
        "apiVersion": manifest["apiVersion"],
        "kind": manifest["kind"],
        "metadata": {**metadata, "name": name},
        "spec": spec,
    }


def left(live: Object, merged: Object, described: Object) -> list[Left]:
    """What is there beside what is described once that is applied.

    `live` is the object as it is, `merged` as the API server would make it, `described` what it would make of the
    manifest alone: the manifest itself for a kind of data.
    """
    more = (
        _keys_beside(merged, described)
        if merged["kind"] in OF_DATA
        else _beside(merged.get("spec") or {}, described.get("spec") or {}, "spec", "")
    )
    found = []
    for path, words, item in more:
        writers = [writer.manager for writer in _managers.writers(live, path) if not writer.subresource]
        found.append(Left(path, words, item, tuple(dict.fromkeys(writers))))
    return [each for each in found if each.known]


def _keys_beside(there: Object, described: Object) -> t.Iterator[tuple[str, str, bool]]:
    names = {key for part in DATA for key in described.get(part) or {}}
    for part in DATA:
        for key in there.get(part) or {}:
            if key not in names:
                yield f"{part}[{key}]", f"key {key}", True


def _beside(there: t.Any, described: t.Any, path: str, of: str) -> t.Iterator[tuple[str, str, bool]]:
    if path in LEFT_OUT or there == described:
        return
    if isinstance(there, dict) and isinstance(described, dict):
        for key, value in there.items():
            inner = f"{path}.{key}"
            if inner in LEFT_OUT or key == "nodePort":  # a second Service is given other ones
                continue
            if key in described:
                yield from _beside(value, described[key], inner, of)
            elif _empty(value):
                continue
            elif isinstance(value, list) and _keys(key, value):
                yield from _beside(value, [], inner, of)
            else:
                yield inner, f"{inner}{of}", False
        return
    name = path.rpartition(".")[2]
    keys = _keys(name, there) if isinstance(there, list) and isinstance(described, list) else ()
    if not keys:
        yield path, f"{path}{of}", False
        return
    known = {tuple(str(item.get(key)) for key in keys): item for item in described}
    for item in there:
        named = tuple(str(item.get(key)) for key in keys)
        inner = f"{path}[{keys[0]}={named[0]}]"
        words = f"{NAMES.get(name, 'port' if name == 'ports' else name)} {named[0]}"
        if named not in known:
            yield inner, words + of, True
        else:
            yield from _beside(item, known[named], inner, f" of {words}{of}")


def _keys(name: str, items: t.Sequence[t.Any]) -> tuple[str, ...]:
    if name == "ports":
        first = items[0] if items else {}
        return ("containerPort", "protocol") if "containerPort" in first else ("port", "protocol")
    return KEYS.get(name, ())


def _empty(value: t.Any) -> bool:
    return value is None or value in ({}, [], "", False)


#: What helps besides, where role app_deploy applies.
CHOICE = (
    "run the playbook again with -e app_deploy_others=take, which removes them, or with keep instead of take, which "
    "leaves them"
)


def refusal(name: str, found: t.Sequence[Left], choice: str = CHOICE) -> str:
    """That an object has what an apply would leave beside ours, and the ways out."""
    listed = ", ".join(map(str, found[:5])) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    return (
        f"{name} has fields that are not described and that would stay beside those that are: {listed}. Nothing was "
        f"applied. Describe them, remove them, or {choice}."
    )


def adopted(live: Object, manifest: Object, api_version: str, managers: t.Container[str] | None) -> list[Object] | None:
    """The metadata.managedFields by which our next apply removes what is not in the manifest; None to leave them.

    What these managers set (None is everybody) becomes what our own apply had set before. Whoever scales or pauses the
    object keeps doing so.
    """
    entries = live["metadata"].get("managedFields") or []
    kept, taken = [], {}  # type: ignore[var-annotated]
    ours: Object | None = None
    for entry in entries:
        mine = entry.get("manager") == OURS and not entry.get("subresource")
        if mine and entry.get("operation") == "Apply":
            ours = entry
            continue
        fields = entry.get("fieldsV1") or {}
        if entry.get("subresource") or not (managers is None or entry.get("manager") in managers):
            kept.append(entry)
            continue
        rest = {}
        for key, value in fields.items():
            if key in ("f:spec", *(f"f:{part}" for part in DATA)):
                taken = _joined(taken, {key: value})
            else:
                rest[key] = value
        if rest:
            kept.append(dict(entry, fieldsV1=rest))
    spec = manifest.get("spec") or {}
    for field in ("replicas", "paused", "selector", *ALONE):
        if field not in spec and isinstance(taken.get("f:spec"), dict):
            taken["f:spec"].pop(f"f:{field}", None)
    if not any(taken.values()):
        return None
    made = ours or {"manager": OURS, "operation": "Apply", "fieldsType": "FieldsV1"}
    fields = _joined(made.get("fieldsV1") or {}, taken)
    return [{**made, "apiVersion": api_version, "fieldsV1": fields}, *kept]


def _joined(one: Object, other: Object) -> Object:
    """The fields of two sets together, as fieldsV1 has them."""
    found = json.loads(json.dumps(one))
    for key, value in other.items():
        found[key] = _joined(found.get(key) or {}, value) if isinstance(value, dict) else value
    return t.cast(Object, found)


# -- what nobody may change --------------------------------------------------------------------------------------------

NEW_NAME = "it is marked immutable: give the new contents another name, and delete {name} when nothing uses it any more"
ANEW = "delete {name} and run the playbook again, which changes its addresses and leaves users without it for a moment"

#: By kind and by words of the API server: what helps where it refuses a change, the first that fits.
WAYS_OUT: tuple[tuple[str, str, str], ...] = (
    (
        "Deployment",
        "spec.selector",
        "leave selector and the labels that it names as they are, or deploy it under another name and delete {name} "
        "once that has the traffic",
    ),
    (
        "Deployment",
        "spec.strategy.rollingUpdate",
        "its strategy keeps the fields of the one before: with kubectl edit deployment/{bare} set type Recreate "
        "and remove rollingUpdate, and run the playbook again",
    ),
    (
        "StatefulSet",
        "",
        "kubectl delete statefulset {bare} --cascade=orphan keeps its pods and volumes: do that, and run the playbook "
        "again",
    ),
    ("DaemonSet", "spec.selector", "leave selector as it is, or deploy it under another name and then delete {name}"),
    ("Job", "", "give the changed Job another name, or delete {name} first: a Job runs as it was created"),
    ("ConfigMap", "", NEW_NAME),
    ("Secret", "type", "delete {name} and run the playbook again, or give the new one another name"),
    ("Secret", "", NEW_NAME),
    (
        "Service",
        "port is already allocated",
        "leave nodePort out to get a free one, or name one that no Service has",
    ),
    ("Service", "ip is already allocated", "leave clusterIP out to get a free address"),
    ("Service", "clusterip", "leave clusterIP out to keep the address that it has, or " + ANEW),
    ("Service", "", "leave it as it is, or " + ANEW),
    (
        "PersistentVolumeClaim",
        "less than",
        "a claim can only grow: request at least what it has, or create another claim",
    ),
    (
        "PersistentVolumeClaim",
        "",
        "only its requested size may grow: create a claim of another name, and copy the data to it",
    ),
    ("StorageClass", "", "give the changed class another name: volumes keep the class that they were created with"),
    ("PriorityClass", "", "give the changed class another name"),
    ("RoleBinding", "roleref", "delete {name} and run the playbook again"),
    ("ClusterRoleBinding", "roleref", "delete {name} and run the playbook again"),
)
IMMUTABLE = (
    "immutable",
    "may not change once set",
    "may not be changed",
    "updates to parameters are forbidden",
    "updates to provisioner are forbidden",
    "updates to statefulset spec",
    "cannot change roleref",
    "may not be unset",
    "may not be specified when strategy",
    "is already allocated",
    "can not be less than",
)


def way_out(kind: str, name: str, message: str) -> str:
    """What helps where the API server refuses to change what nobody may change; empty where that is not the reason."""
    said = message.lower()
    if not any(words in said for words in IMMUTABLE):
        return ""
    for known, field, help_ in WAYS_OUT:
        if known == kind and field.lower() in said:
            return help_.format(name=f"{kind} {name}", bare=name)
    return (
        f"that cannot be changed in {kind} {name}: leave it as it is, or delete {kind} {name} and run the playbook "
        "again"
    )
