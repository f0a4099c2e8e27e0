# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schema of a custom resource: what is pruned, what is filled in, what is wrong. Pure functions of plain data.

Source of the rules: the Kubernetes documentation of CustomResourceDefinitions (pruning, defaulting, validation
ratcheting); of the words and their order: the recordings.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
import uuid
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from .. import documents
from ..errors import Cause
from ..kinds.base import duplicate, required, unsupported, wrong

Node = dict[str, Any]

#: Stands for an old value where there is none to compare with.
ABSENT: Any = object()
PRESERVE = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"
EMBEDDED = "x-kubernetes-embedded-resource"
#: What an object that has a type of its own in it may have beside the schema's fields.
IDENTITY = ("apiVersion", "kind", "metadata")
#: Kinds of errors that keep the rules from being evaluated.
_BLOCKING = frozenset(
    {"FieldValueTypeInvalid", "FieldValueRequired", "FieldValueNotSupported", "FieldValueTooMany", "FieldValueTooLong"}
)
NOT_CHECKED = Cause(
    "FieldValueInvalid",
    "Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing "
    "errors to complete validation",
    "<nil>",
)


def property_of(node: Node, key: str) -> Node | None:
    """The schema of a field of an object or of a map; None where the schema does not know it."""
    found = (node.get("properties") or {}).get(key)
    if found is not None:
        return found
    extra = node.get("additionalProperties")
    return extra if isinstance(extra, dict) else {} if extra is True else None


def prune(node: Node, value: Any, path: str = "") -> tuple[Any, list[str]]:
    """A value without the fields that its schema does not know, and the paths of those that it had.

    Nulls of fields that must not be null go as well, unless a default takes their place.
    """
    unknown: list[str] = []
    return _pruned(node, value, path, unknown), sorted(unknown)


def _pruned(node: Node, value: Any, path: str, unknown: list[str]) -> Any:
    if isinstance(value, list):
        element = node.get("items") or {}
        keep = node if node.get(PRESERVE) and not element else element
        return [_pruned(keep, item, f"{path}[{index}]", unknown) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    kept: dict[str, Any] = {}
    for key, item in value.items():
        inner = f"{path}.{key}" if path else key
        child = property_of(node, key)
        if child is None:
            if node.get(PRESERVE) or (node.get(EMBEDDED) and key in IDENTITY):
                kept[key] = item
            else:
                unknown.append(inner)
        elif item is not None or child.get("nullable") or "default" in child or not child:
            kept[key] = _pruned(child, item, inner, unknown)
    return kept


def default(node: Node, value: Any) -> Any:
    """A value with the defaults of its schema filled in, also in parents that have defaults themselves."""
    if isinstance(value, list):
        element = node.get("items") or {}
        return [default(element, item) for item in value]
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for key, child in (node.get("properties") or {}).items():
        if "default" in child and filled.get(key) is None and (key not in filled or not child.get("nullable")):
            filled[key] = documents.copied(child["default"])
    return {key: default(property_of(node, key) or {}, item) for key, item in filled.items()}


def correlated(node: Node, old: Any) -> Callable[[int | str, Any], Any]:
    """How the old value of a part is found: by name in objects, by its keys in lists of type map, else not at all."""
    if isinstance(old, dict):
        return lambda key, _item: old.get(key, ABSENT)
    keys = node.get("x-kubernetes-list-map-keys")
    if isinstance(old, list) and keys:
        by_key = {_identity(item, keys): item for item in old if isinstance(item, dict)}
        return lambda _index, item: by_key.get(_identity(item, keys), ABSENT) if isinstance(item, dict) else ABSENT
    return lambda _key, _item: ABSENT


def _identity(item: dict[str, Any], keys: list[str]) -> str:
    return repr([item.get(key) for key in keys])


def validate(node: Node, value: Any, old: Any = ABSENT, *, path: str = "", prefix: str = "") -> list[Cause]:
    """What is wrong with a value, without the rules in CEL; what is unchanged since `old` is not looked at.

    `prefix` stands before the field of each cause, and not in its words, as for the status by itself.
    """
    causes = [
        Cause(cause.reason, cause.message, cause.field if cause.field == "<nil>" else prefix + cause.field)
        for cause in _validated(node, value, old, path)
    ]
    return causes + list(_duplicates(node, value, old, prefix + path))


def blocks_rules(causes: list[Cause]) -> bool:
    """Whether errors keep the rules from being evaluated."""
    return any(cause.reason in _BLOCKING for cause in causes)


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    for kind, name in ((bool, "boolean"), (str, "string"), (int, "integer"), (float, "number"), (list, "array")):
        if isinstance(value, kind):
            return name
    return "object"


def _type_error(path: str, wanted: str, given: str) -> Cause:
    return Cause(
        "FieldValueTypeInvalid", f'Invalid value: "{given}": {path} in body must be of type {wanted}: "{given}"', path
    )


def _fits(wanted: str, value: Any) -> bool:
    given = _type_of(value)
    if wanted == "integer" and isinstance(value, float):
        return value.is_integer()
    return given == wanted or (wanted == "number" and given == "integer")


def _validated(node: Node, value: Any, old: Any, path: str) -> Iterator[Cause]:
    if old is not ABSENT and value == old:
        return
    if value is None and node.get("nullable"):
        return
    wanted = ("integer", "string") if node.get(INT_OR_STRING) else (node["type"],) if "type" in node else ()
    if wanted and not any(_fits(each, value) for each in wanted):
        if wanted == ("integer",) and isinstance(value, float) and node.get("format"):
            yield _type_error(path, node["format"], "float64")
            yield _unformatted(node, path)
        else:
            yield _type_error(path, ",".join(wanted), _type_of(value))
    yield from _combined(node, value, path)
    if isinstance(value, str):
        yield from _wrong_string(node, value, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _wrong_number(node, value, path)
    elif isinstance(value, list):
        yield from _wrong_list(node, value, old, path)
    choices = node.get("enum")
    if choices is not None and value not in choices:
        yield unsupported(path, value, choices)
    if isinstance(value, dict):
        yield from _wrong_object(node, value, old, path)


def _combined(node: Node, value: Any, path: str) -> Iterator[Cause]:
    def said(text: str) -> Cause:
        return Cause("FieldValueInvalid", f'Invalid value: "": "{path}" must {text}', "<nil>")

    for branch in node.get("allOf") or ():
        yield from _validated(branch, value, ABSENT, path)
    results = [list(_validated(branch, value, ABSENT, path)) for branch in node.get("anyOf") or ()]
    if results and all(results):
        yield said("validate at least one schema (anyOf)")
        yield from min(results, key=len)
    results = [list(_validated(branch, value, ABSENT, path)) for branch in node.get("oneOf") or ()]
    good = sum(not result for result in results)
    if results and good != 1:
        found = f"Found {good} valid alternatives" if good else "Found none valid"
        yield said(f"validate one and only one schema (oneOf). {found}")
        if not good:
            yield from min(results, key=len)
    if "not" in node and not list(_validated(node["not"], value, ABSENT, path)):
        yield said("not validate the schema (not)")


def _wrong_string(node: Node, value: str, path: str) -> Iterator[Cause]:
    if len(value) > node.get("maxLength", len(value)):
        yield Cause("FieldValueTooLong", f"Too long: may not be more than {node['maxLength']} bytes", path)
        return
    if len(value) < node.get("minLength", 0):
        yield wrong(path, value, f"{path} in body should be at least {node['minLength']} chars long")
    if "pattern" in node and not pattern(node["pattern"]).search(value):
        yield wrong(path, value, f"{path} in body should match '{node['pattern']}'")
    form = node.get("format", "")
    if form in _FORMATS and not _is_formatted(form, value):
        yield _type_error(path, form, value)


@lru_cache(maxsize=1024)
def pattern(text: str) -> re.Pattern[str]:
    """A pattern of Go as one of Python: where `$` is the end, and not the line before it."""
    return re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", text))


def _datetime(value: str) -> object:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", value):
        raise ValueError(value)
    return datetime.datetime.fromisoformat(value.upper().replace("Z", "+00:00"))


#: The formats that are looked at; all others say nothing.
_FORMATS: dict[str, Callable[[str], object]] = {
    "date-time": _datetime,
    "date": datetime.date.fromisoformat,
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "cidr": lambda value: ipaddress.ip_network(value, strict=False),
    "uuid": uuid.UUID,
}


def _is_formatted(form: str, value: str) -> bool:
    try:
        _FORMATS[form](value)
    except ValueError:
        return False
    return True


def _unformatted(node: Node, path: str) -> Cause:
    text = f"Checked value must be of type {node.get('type', 'integer')} with format {node['format']} in {path}"
    return Cause("FieldValueInvalid", f'Invalid value: "": {text}', "<nil>")


def _wrong_number(node: Node, value: float, path: str) -> Iterator[Cause]:
    bits = {"int32": 32, "int64": 64}.get(node.get("format", ""))
    if bits and float(value).is_integer() and not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        yield _unformatted(node, path)
    if node.get("multipleOf") and not float(value / node["multipleOf"]).is_integer():
        yield wrong(path, value, f"{path} in body should be a multiple of {node['multipleOf']}")
    if "maximum" in node:
        over, equal = value > node["maximum"], value == node["maximum"]
        if over or (equal and node.get("exclusiveMaximum")):
            words = "less than" if node.get("exclusiveMaximum") else "less than or equal to"
            yield wrong(path, value, f"{path} in body should be {words} {node['maximum']}")
    if "minimum" in node:
        under, equal = value < node["minimum"], value == node["minimum"]
        if under or (equal and node.get("exclusiveMinimum")):
            words = "greater than" if node.get("exclusiveMinimum") else "greater than or equal to"
            yield wrong(path, value, f"{path} in body should be {words} {node['minimum']}")


def _too_many(path: str, count: int, most: int) -> Cause:
    return Cause("FieldValueTooMany", f"Too many: {count}: must have at most {most} items", path)


def _wrong_list(node: Node, value: list[Any], old: Any, path: str) -> Iterator[Cause]:
    element, before = node.get("items") or {}, correlated(node, old)
    for index, item in enumerate(value):
        yield from _validated(element, item, before(index, item), f"{path}[{index}]")
    if len(value) < node.get("minItems", 0):
        yield wrong(path, len(value), f"{path} in body should have at least {node['minItems']} items")
    if len(value) > node.get("maxItems", len(value)):
        yield _too_many(path, len(value), node["maxItems"])


def _wrong_object(node: Node, value: dict[str, Any], old: Any, path: str) -> Iterator[Cause]:
    if len(value) > node.get("maxProperties", len(value)):
        yield _too_many(path, len(value), node["maxProperties"])
    if len(value) < node.get("minProperties", 0):
        yield wrong(path, len(value), f"{path} in body should have at least {node['minProperties']} properties")
    before = correlated(node, old)
    for key in sorted(value):
        child = property_of(node, key)
        if child:
            yield from _validated(child, value[key], before(key, value[key]), f"{path}.{key}" if path else key)
    for key in sorted(node.get("required") or ()):
        if key not in value:
            yield required(f"{path}.{key}" if path else key)


def _duplicates(node: Node, value: Any, old: Any, path: str) -> Iterator[Cause]:
    """What stands twice in lists that are sets or maps."""
    if old is not ABSENT and value == old:
        return
    before = correlated(node, old)
    if isinstance(value, dict):
        for key in sorted(value):
            child = property_of(node, key)
            if child:
                inner = f"{path}.{key}" if path else key
                yield from _duplicates(child, value[key], before(key, value[key]), inner)
    elif isinstance(value, list):
        keys = node.get("x-kubernetes-list-map-keys")
        seen: list[Any] = []
        for index, item in enumerate(value):
            identity = item
            if keys and isinstance(item, dict):
                identity = {key: item[key] for key in keys if key in item}
            elif node.get("x-kubernetes-list-type") != "set":
                identity = ABSENT
            if identity is not ABSENT and identity in seen:
                yield duplicate(f"{path}[{index}]", identity)
            seen.append(identity)
        for index, item in enumerate(value):
            yield from _duplicates(node.get("items") or {}, item, before(index, item), f"{path}[{index}]")
