# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""CustomResourceDefinitions: what is filled in, what is refused, and the resources that one serves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .. import expressions
from ..errors import Cause
from ..resources import Custom, Resource
from ..store import Object
from ..times import timestamp
from . import rules
from .base import Kind, required, wrong

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
APPROVED = "api-approved.kubernetes.io"
_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_AT = "spec.versions[{}].schema.openAPIV3Schema"
#: Text that `string(...)` makes of a number has no bound that the API server's estimate of costs could use.
_UNBOUNDED = re.compile(r"\bstring\(")


class CustomResourceDefinitionKind(Kind):
    """The rules of definitions."""

    has_generation = True
    deletion_counts = False

    def default(self, obj: Object) -> None:
        """The names that follow from others, and no conversion."""
        spec = obj["spec"]
        names = spec.setdefault("names", {})
        if names.get("kind"):
            names.setdefault("singular", names["kind"].lower())
            names.setdefault("listKind", f"{names['kind']}List")
        spec.setdefault("conversion", {"strategy": "None"})

    def prepare_create(self, obj: Object) -> None:
        """Nothing is accepted yet."""
        stored = [version["name"] for version in obj["spec"].get("versions") or () if version.get("storage")]
        obj["status"] = {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored}

    def prepare_delete(self, obj: Object) -> None:
        """Its objects go first."""
        obj["metadata"].setdefault("finalizers", []).append(FINALIZER)
        set_condition(
            obj["status"], "Terminating", "True", "InstanceDeletionPending",
            "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        )  # fmt: skip

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        """Names, versions, schemas and their rules."""
        spec, causes = obj["spec"], []
        names, group = spec.get("names") or {}, spec.get("group", "")
        if obj["metadata"].get("name") != f"{names.get('plural', '')}.{group}":
            causes.append(
                wrong("metadata.name", obj["metadata"].get("name"), 'must be spec.names.plural+"."+spec.group')
            )
        causes += _unapproved(obj, group)
        causes += [required(f"spec.names.{key}") for key in ("plural", "kind") if not names.get(key)]
        if sum(bool(version.get("storage")) for version in spec.get("versions") or ()) != 1:
            causes.append(
                wrong(
                    "spec.versions",
                    spec.get("versions") or [],
                    "must have exactly one version marked as storage version",
                )
            )
        for index, version in enumerate(spec.get("versions") or ()):
            causes += _wrong_version(index, version, only=len(spec["versions"]) == 1)
        if old is not None:
            causes += [
                wrong(f"spec.{key}", spec.get(key), "field is immutable")
                for key in ("scope", "group")
                if spec.get(key) != old["spec"].get(key)
            ]
        return causes


def _unapproved(obj: Object, group: str) -> list[Cause]:
    if not is_protected(group) or (obj["metadata"].get("annotations") or {}).get(APPROVED):
        return []
    text = (
        f'protected groups must have approval annotation "{APPROVED}", see '
        "https://github.com/kubernetes/enhancements/pull/1111"
    )
    return [required(f"metadata.annotations[{APPROVED}]", text)]


def is_protected(group: str) -> bool:
    """Whether a group is Kubernetes' own."""
    return group.endswith((".k8s.io", ".kubernetes.io")) or group in ("k8s.io", "kubernetes.io")


def _wrong_version(index: int, version: Object, *, only: bool) -> Iterator[Cause]:
    path = _AT.format(index)
    node = (version.get("schema") or {}).get("openAPIV3Schema")
    if not isinstance(node, dict):
        yield required(path)
        return
    # One schema is told by the name that it had before there were versions.
    told = "spec.validation.openAPIV3Schema" if only else path
    broken = list(_not_structural(node, told, root=True))
    yield from broken
    if not broken:
        wrong_rules = list(_wrong_rules(node, path))
        yield from wrong_rules
        if any("contributed to" in cause.message for cause in wrong_rules):
            yield Cause(
                "FieldValueForbidden",
                "Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds "
                "budget by factor of more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and "
                "maxLength where arrays, maps, and strings are declared)",
                path,
            )


def _not_structural(node: Any, path: str, *, root: bool = False) -> Iterator[Cause]:
    if not isinstance(node, dict):
        return
    for name, child in sorted((node.get("properties") or {}).items()):
        yield from _not_structural(child, f"{path}.properties[{name}]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from _not_structural(node["additionalProperties"], f"{path}.additionalProperties")
    if node.get("type") == "array" and "items" not in node:
        yield required(f"{path}.items", "must be specified")
    if isinstance(node.get("items"), dict):
        yield from _not_structural(node["items"], f"{path}.items")
    open_ = node.get("x-kubernetes-int-or-string") or node.get("x-kubernetes-preserve-unknown-fields")
    if not node.get("type") and (root or not open_):
        kind = "at the root" if root else "for specified object fields"
        yield required(f"{path}.type", f"must not be empty {kind}")


def _wrong_rules(node: Any, path: str) -> Iterator[Cause]:
    for index, rule in enumerate(node.get(rules.RULES) or ()):
        at = f"{path}.{rules.RULES}[{index}]"
        for key in ("rule", "messageExpression"):
            if not rule.get(key):
                continue
            try:
                expressions.check(rule[key])
            except expressions.ExpressionError as error:
                yield wrong(f"{at}.{key}", rule[key], str(error))
        if _UNBOUNDED.search(rule.get("messageExpression") or ""):
            yield Cause(
                "FieldValueForbidden",
                "Forbidden: estimated messageExpression cost exceeds budget by factor of more than 100x (try "
                "simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and "
                "strings are declared)",
                f"{at}.messageExpression",
            )
            yield Cause(
                "FieldValueForbidden",
                "Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema",
                f"{at}.messageExpression",
            )
    for name, child in sorted((node.get("properties") or {}).items()):
        yield from _wrong_rules(child, f"{path}.properties[{name}]")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from _wrong_rules(node[key], f"{path}.{key}")


def set_condition(status: Object, kind: str, value: str, reason: str, message: str) -> None:
    """Set a condition of a status, in its place or as the last; its time changes with its value only."""
    conditions = status["conditions"] = [dict(item) for item in status.get("conditions") or ()]
    new = {"type": kind, "status": value, "lastTransitionTime": timestamp(), "reason": reason, "message": message}
    for index, old in enumerate(conditions):
        if old["type"] == kind:
            if old["status"] == value:
                new["lastTransitionTime"] = old["lastTransitionTime"]
            conditions[index] = new
            return
    conditions.append(new)


def is_established(obj: Object) -> bool:
    """Whether a definition's resource is served."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)


def served(obj: Object) -> list[Resource]:
    """The resources that a definition serves, one for each version, served or only stored."""
    spec = obj["spec"]
    names = spec["names"]
    stored = next(version["name"] for version in spec["versions"] if version.get("storage"))
    found = []
    for version in spec["versions"]:
        subresources = version.get("subresources") or {}
        shown: list[dict[str, Any]] = []
        own = {"group": spec["group"], "version": version["name"], "kind": names["kind"]}
        verbs = ["get", "patch", "update"]
        if "status" in subresources:
            shown.append({"subresource": "status", "responseKind": own, "verbs": verbs})
        if "scale" in subresources:
            scale = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
            shown.append({"subresource": "scale", "responseKind": scale, "verbs": verbs})
        node = version["schema"]["openAPIV3Schema"]
        if spec.get("preserveUnknownFields"):
            node = {**node, "x-kubernetes-preserve-unknown-fields": True}
        found.append(
            Resource(
                group=spec["group"],
                version=version["name"],
                plural=names["plural"],
                kind=names["kind"],
                namespaced=spec["scope"] == "Namespaced",
                singular=names.get("singular", ""),
                verbs=_VERBS,
                short_names=tuple(names.get("shortNames") or ()),
                categories=tuple(names.get("categories") or ()),
                subresources=tuple(shown),
                custom=Custom(
                    definition=obj["metadata"]["name"],
                    list_kind=names["listKind"],
                    schema=_with_identity(node),
                    columns=tuple(version.get("additionalPrinterColumns") or ()),
                    selectable=tuple(
                        item["jsonPath"].removeprefix(".") for item in version.get("selectableFields") or ()
                    ),
                    scale=subresources.get("scale"),
                    has_status="status" in subresources,
                    served=bool(version.get("served")),
                    storage=bool(version.get("storage")),
                    stored_version=stored,
                    deprecation=_deprecation(spec, version) if version.get("deprecated") else "",
                ),
            )
        )
    return found


def _with_identity(node: dict[str, Any]) -> dict[str, Any]:
    """A schema that knows what every object has, its metadata as Kubernetes describes them."""
    text = {"type": "string"}
    meta = {"$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "type": "object"}
    own = node.get("properties") or {}
    return {**node, "properties": {"apiVersion": text, "kind": text, **own, "metadata": meta}}


def _deprecation(spec: Object, version: Object) -> str:
    return (
        version.get("deprecationWarning") or f"{spec['group']}/{version['name']} {spec['names']['kind']} is deprecated"
    )
