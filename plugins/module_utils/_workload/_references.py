# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The ConfigMaps and Secrets that a pod template cannot run without. Pure functions of plain objects."""

from __future__ import annotations

import typing as t

Object = t.Dict[str, t.Any]


class Reference(t.NamedTuple):
    """A ConfigMap or Secret that has to be there, with some of its keys."""

    kind: str
    name: str
    keys: frozenset[str] = frozenset()

    def missing(self, there: Object | None) -> list[str]:
        """What is missing of it, in words."""
        if there is None:
            return [f"{self.kind} {self.name}"]
        has = {*(there.get("data") or {}), *(there.get("binaryData") or {})}
        return [f"key {key} of {self.kind} {self.name}" for key in sorted(self.keys - has)]


def references(template: Object) -> list[Reference]:
    """What a template's containers and volumes need, by kind and name; what is optional is left out."""
    found: dict[tuple[str, str], set[str]] = {}

    def needs(kind: str, reference: Object | None, keys: t.Iterable[str] = (), field: str = "name") -> None:
        if reference and reference.get(field) and not reference.get("optional"):
            found.setdefault((kind, str(reference[field])), set()).update(keys)

    spec = template.get("spec") or {}
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        for source in container.get("envFrom") or []:
            needs("ConfigMap", source.get("configMapRef"))
            needs("Secret", source.get("secretRef"))
        for variable in container.get("env") or []:
            of = variable.get("valueFrom") or {}
            for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
                reference = of.get(field) or {}
                needs(kind, reference, [str(reference.get("key"))])
    for volume in spec.get("volumes") or []:
        sources = (volume.get("projected") or {}).get("sources") or []
        for source, field in ((volume, "secretName"), *((each, "name") for each in sources)):
            for kind, name, key in (("ConfigMap", "configMap", "name"), ("Secret", "secret", field)):
                reference = source.get(name)
                items = [str(item["key"]) for item in (reference or {}).get("items") or []]
                needs(kind, reference, items, key)
    return [Reference(kind, name, frozenset(keys)) for (kind, name), keys in sorted(found.items())]
