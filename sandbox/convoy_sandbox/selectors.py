# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Label and field selectors: which objects a list, a watch or a controller means."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .resources import Resource
    from .store import Object


_SET = re.compile(r"^(\S+)\s+(in|notin)\s*\(([^)]*)\)$")
_EQUAL = re.compile(r"^(\S+?)\s*(==|=|!=)\s*(\S*)$")
_KEY = re.compile(r"^(!?)\s*([A-Za-z0-9./_-]+)$")

#: Fields beyond metadata.name and metadata.namespace that a list can be selected by.
_FIELDS: dict[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
        "spec.hostNetwork", "status.phase", "status.podIP", "status.nominatedNodeName",
    ),
    "events": (
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath",
        "reason", "reportingComponent", "source", "type",
    ),
    "secrets": ("type",),
    "namespaces": ("status.phase",),
    "nodes": ("spec.unschedulable",),
    "replicasets": ("status.replicas",),
    "services": ("spec.clusterIP", "spec.type"),
}  # fmt: skip


#: What fields that are not stored while they are false stand for.
_UNSET = {"hostNetwork": False, "unschedulable": False}


def labels_of(obj: Object) -> dict[str, str]:
    """An object's labels; {} where it has none."""
    found: dict[str, str] = obj["metadata"].get("labels") or {}
    return found


def label_selector(text: str) -> Callable[[Object], bool]:
    """A predicate for a selector string as `kubectl get -l` takes it. Raises ApiError 400."""
    terms = [_term(part.strip(), text) for part in _split(text) if part.strip()]
    return lambda obj: all(term(labels_of(obj)) for term in terms)


def _split(text: str) -> list[str]:
    """The parts between commas that stand outside parentheses."""
    return re.split(r",(?![^(]*\))", text)


def _term(part: str, text: str) -> Callable[[Mapping[str, str]], bool]:
    if match := _SET.match(part):
        key, operator, inside = match.groups()
        values = frozenset(value.strip() for value in inside.split(","))
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := _EQUAL.match(part):
        key, operator, value = match.groups()
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if match := _KEY.match(part):
        negated, key = match.groups()
        return (lambda labels: key not in labels) if negated else (lambda labels: key in labels)
    raise bad_request(f"unable to parse requirement: {part!r} in selector {text!r}")


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether labels fit a LabelSelector object; an empty selector fits all, None fits nothing."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expression(term, labels) for term in selector.get("matchExpressions") or ())


def _expression(term: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator, values = term["key"], term["operator"], term.get("values") or ()
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    return (key in labels) == (operator == "Exists")


def to_string(selector: Mapping[str, Any]) -> str:
    """A LabelSelector object as the string that `status.selector` of a Scale and tables show."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for term in selector.get("matchExpressions") or ():
        values = ",".join(sorted(term.get("values") or ()))
        parts.append(
            {
                "In": f"{term['key']} in ({values})",
                "NotIn": f"{term['key']} notin ({values})",
                "Exists": term["key"],
                "DoesNotExist": f"!{term['key']}",
            }[term["operator"]]
        )
    return ",".join(parts)


def field_selector(resource: Resource, text: str) -> Callable[[Object], bool]:
    """A predicate for a field selector string. Raises ApiError 400 for a field that cannot be asked for."""
    terms: list[tuple[tuple[str, ...], bool, str]] = []
    for part in filter(None, text.split(",")):
        match = _EQUAL.match(part)
        if match is None:
            raise bad_request(f"invalid selector: {text!r}; can't understand {part!r}")
        name, operator, value = match.groups()
        if resource.custom is not None:
            if name not in ("metadata.name", "metadata.namespace", *resource.custom.selectable):
                raise bad_request(f"field label not supported: {name}")
        elif name not in ("metadata.name", "metadata.namespace", *_FIELDS.get(resource.plural, ())):
            if resource.plural in _FIELDS:
                raise bad_request(f"field label not supported: {name}")
            raise bad_request(f'"{name}" is not a known field selector: only "metadata.name", "metadata.namespace"')
        terms.append((tuple(name.split(".")), operator != "!=", value))
    return lambda obj: all((_at(obj, path) == value) == wanted for path, wanted, value in terms)


def _at(obj: Any, path: tuple[str, ...]) -> str:
    if path == ("source",):
        path = ("source", "component")
    for key in path:
        obj = obj.get(key, _UNSET.get(key, "")) if isinstance(obj, dict) else ""
    if isinstance(obj, bool):
        return str(obj).lower()
    return str(obj)
