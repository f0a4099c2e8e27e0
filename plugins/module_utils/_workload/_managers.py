# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who else looks after an object, and who wrote which of its fields last. Pure functions of plain objects."""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass

Object = t.Dict[str, t.Any]

OURS = "convoy.rollout"  #: our own field manager


@dataclass(frozen=True)
class Owner:
    """A tool or controller that manages an object and restores what it has for it."""

    tool: str  #: Argo CD, Flux, Helm, Kustomize, or the kind of the object that owns it
    name: str = ""  #: what it is called there: the application, the release
    evidence: str = ""  #: the label, annotation or field manager that tells

    def __str__(self) -> str:
        return f"{self.tool} ({self.name})" if self.name else self.tool


@dataclass(frozen=True)
class Writer:
    """Who wrote a field, as metadata.managedFields has it."""

    manager: str
    operation: str = ""
    time: str = ""
    subresource: str = ""


#: By tool: the labels and annotations that only it gives, the first one that is there first.
MARKS: dict[str, tuple[str, ...]] = {
    "Argo CD": ("argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance"),
    "Flux": ("helm.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/name"),
    "Helm": ("meta.helm.sh/release-name",),
    "Kustomize": ("config.kubernetes.io/origin", "config.k8s.io/owning-inventory"),
}
#: By tool: its field managers.
MANAGERS: dict[str, tuple[str, ...]] = {
    "Argo CD": ("argocd-controller", "argocd-application-controller"),
    "Flux": ("helm-controller", "kustomize-controller"),
    "Helm": ("helm", "Helm"),
    "Kustomize": (),
}


#: By what their labels and annotations begin: tools that prune, adopt or judge the objects that have these.
PREFIXES = (
    "addonmanager.kubernetes.io/",
    "applyset.kubernetes.io/",
    "argocd.argoproj.io/",
    "config.k8s.io/",
    "config.kubernetes.io/",
    "deployment.kubernetes.io/",
    "fleet.cattle.io/",
    "helm.toolkit.fluxcd.io/",
    "kapp.k14s.io/",
    "kubectl.kubernetes.io/",
    "kustomize.toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "objectset.rio.cattle.io/",
    "operators.coreos.com/",
    "skaffold.dev/",
    "tanka.dev/",
    "werf.io/",
)
#: Labels that say which release or application an object is of, by which the same tools find what is theirs.
OF_A_RELEASE = ("app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "helm.sh/chart")


def of_nobody(labels: t.Mapping[str, str]) -> dict[str, str]:
    """Labels or annotations of an object for a copy of it, without those by which a tool would take it for its own."""
    return {key: value for key, value in labels.items() if key not in OF_A_RELEASE and not key.startswith(PREFIXES)}


def owner_of(item: Object) -> Owner | None:
    """Who looks after an object besides us, None where nobody does.

    Argo CD and Flux come before Helm and Kustomize, whose marks what they render has too. The label
    app.kubernetes.io/managed-by alone says who rendered an object, not who looks after it.
    """
    metadata = item["metadata"]
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    written = {entry.get("manager", "") for entry in metadata.get("managedFields") or []}
    for tool, known in MARKS.items():
        for mark in known:
            if marks.get(mark):
                # Argo CD's tracking id is APPLICATION:GROUP/KIND:NAMESPACE/NAME.
                return Owner(tool, marks[mark].split(":")[0], mark)
        for manager in MANAGERS[tool]:
            if manager in written:
                return Owner(tool, "", f"field manager {manager}")
    if str(marks.get("app.kubernetes.io/managed-by", "")).lower().startswith("kustomize"):
        return Owner("Kustomize", "", "app.kubernetes.io/managed-by")
    for reference in metadata.get("ownerReferences") or []:
        if reference.get("controller"):
            return Owner(reference.get("kind", ""), reference.get("name", ""), "ownerReferences")
    return None


def applied_by_us(item: Object) -> bool:
    """Whether this collection has applied an object, so that it was described once."""
    return any(
        entry.get("manager") == OURS and entry.get("operation") == "Apply"
        for entry in item["metadata"].get("managedFields") or []
    )


def writers(item: Object, path: str) -> list[Writer]:
    """Who wrote a field, or something in it, the newest first.

    A path is as spec.replicas, spec.template.spec.containers[name=web].image, spec.rules[0].name or
    metadata.annotations[example.com/key].
    """
    steps = [_step(step) for step in _steps(path)]
    found = [
        Writer(
            entry.get("manager", ""),
            entry.get("operation", ""),
            entry.get("time") or "",
            entry.get("subresource", ""),
        )
        for entry in item["metadata"].get("managedFields") or []
        if _has(entry.get("fieldsV1") or {}, steps)
    ]
    return sorted(found, key=lambda writer: writer.time, reverse=True)


def last_writer(item: Object, path: str) -> str:
    """The field manager that wrote a field last, empty where nobody is known to have."""
    return next((writer.manager for writer in writers(item, path)), "")


def value(item: Object, path: str) -> t.Any:
    """What an object has at a path as `writers` takes it, None where it has nothing there."""
    found: t.Any = item
    for step in (_step(step) for step in _steps(path)):
        if isinstance(step, str):
            found = found.get(step[2:]) if isinstance(found, dict) else None
        elif isinstance(step, int):
            if isinstance(found, list):
                found = found[step] if step < len(found) else None
            else:
                found = found.get(str(step)) if isinstance(found, dict) else None
        else:
            items = found if isinstance(found, list) else []
            found = next((each for each in items if _is(each, step)), None)
    return found


def _is(item: Object, keys: Object) -> bool:
    return all(str(item.get(key)) == str(said) for key, said in keys.items())


def changed_by(item: Object, path: str, before: t.Any, after: t.Any) -> str:
    """That somebody changed a field, in words: the field, from what to what, and the field manager."""
    manager = last_writer(item, path)
    who = f" by {manager}" if manager and manager != OURS else " by somebody else"
    name = f"{item.get('kind') or 'Deployment'} {item['metadata']['name']}"
    return f"{path} of {name} was changed from {_shown(before)} to {_shown(after)}{who}"


def _shown(value: t.Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict) and all(not isinstance(item, (dict, list)) for item in value.values()):
        return ",".join(f"{key}={item}" for key, item in sorted(value.items())) or "nothing"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _steps(path: str) -> list[str]:
    return re.findall(r"[^.\[\]]+|\[[^\]]*\]", path)


def _step(said: str) -> str | int | Object:
    """A step of a path as fieldsV1 has it: a field's name, or the keys or the number that pick an item of a list."""
    inner = said[1:-1] if said.startswith("[") else ""
    if inner.isdigit():
        return int(inner)
    key, equals, value = inner.partition("=")
    if inner and equals and "/" not in key:
        return {key: int(value) if value.isdigit() else value}
    return f"f:{inner or said}"


def _has(fields: Object, steps: t.Sequence[str | int | Object]) -> bool:
    """Whether fields, as fieldsV1 has them, have what a path leads to, or all of what it lies in."""
    for step in steps:
        if not fields:  # a whole that is written as one, such as a selector
            return True
        if isinstance(step, str):
            inner = fields.get(step)
        elif isinstance(step, int):
            inner = fields.get(f"i:{step}", fields.get(f"f:{step}"))
        else:
            inner = next((value for key, value in fields.items() if _picks(key, step)), None)
        if inner is None:
            return False
        # A field that has others in it and was itself written besides has itself as ".".
        fields = inner
    return True


def _picks(key: str, wanted: Object) -> bool:
    if not key.startswith("k:"):
        return False
    try:
        said = json.loads(key[2:])
    except ValueError:
        return False
    return all(str(said.get(name)) == str(value) for name, value in wanted.items())
