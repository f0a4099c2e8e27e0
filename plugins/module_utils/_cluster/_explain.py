# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an OpenAPI v3 document says about a field, in the form of `kubectl explain`. Pure functions of plain data."""

from __future__ import annotations

import difflib
import textwrap
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure

Object = t.Dict[str, t.Any]

WIDTH = 76  #: characters of a description's line, without its indentation
FEW = 4  #: how many of the values that a field can have are shown in a list of fields


def resource(names: t.Sequence[Object], asked: str) -> Object | None:
    """The resource of an APIResourceList that is meant by a plural, singular, short name or kind in any case."""
    for item in names:
        if "/" in item["name"]:
            continue  # a subresource
        known = {item["name"], item.get("singularName") or "", item["kind"].lower(), *(item.get("shortNames") or [])}
        if asked.lower() in known:
            return item
    return None


def schema_of(document: Object, group: str, version: str, kind: str) -> Object:
    """The schema of a kind. Raises Failure where the document has none."""
    wanted = {"group": group, "version": version, "kind": kind}
    for schema in (document.get("components") or {}).get("schemas", {}).values():
        if wanted in (schema.get("x-kubernetes-group-version-kind") or []):
            return t.cast(Object, schema)
    raise Failure(
        f"The API server describes no fields of {kind} in its OpenAPI document of {group or 'core'}/{version}."
    )


def explain(document: Object, kind: Object, path: t.Sequence[str], recursive: bool) -> dict[str, t.Any]:
    """What is known of the field at `path` of a kind; of the kind itself where `path` is empty.

    `kind` has group, version and kind. Raises Failure for a field that is not there.
    """
    root = schema_of(document, kind["group"], kind["version"], kind["kind"])
    schema = _field(document, root, path)
    if schema is None:
        raise Failure(_unknown(document, root, kind["kind"], path))
    head = [f"GROUP:      {kind['group']}"] if kind["group"] else []
    head += [f"KIND:       {kind['kind']}", f"VERSION:    {kind['version']}", ""]
    enum = [_value(item) for item in schema.get("enum") or []] if path else []
    if path:
        head += [f"FIELD: {path[-1]} <{_type(document, schema)}>", *(["ENUM:"] if enum else [""])]
        head += [f"    {item}" for item in enum] + [""]
    description = _description(document, schema)
    text = [*head, "DESCRIPTION:", *_wrapped(description or "<empty>", 4, WIDTH)]
    text += [""] if description else []
    text += _external_docs(_resolved(document, schema), 0)
    listed = _field_list(document, schema, recursive, 1, frozenset())
    text += ["FIELDS:", *listed] if listed else []
    return {
        **kind,
        "field": ".".join(path),
        "type": _type(document, schema) if path else kind["kind"],
        "description": description.strip(),
        "enum": enum,
        "fields": [
            {
                "name": name,
                "type": _type(document, field),
                "required": required,
                "description": field.get("description", ""),
            }
            for name, field, required in _fields(document, schema, frozenset())
        ],
        "lines": "\n".join(line.rstrip() for line in text).rstrip("\n").split("\n"),
    }


def _resolved(document: Object, schema: Object) -> Object:
    """What a reference leads to, the schema itself where it is none."""
    head, _slash, name = schema.get("$ref", "").rpartition("/")
    if head != "#/components/schemas":
        return schema
    found = document.get("components", {}).get("schemas", {}).get(name)
    return schema if found is None else t.cast(Object, found)


def _parts(resolved: Object) -> list[Object]:
    """The schemas in which a schema's fields are, beside its own: of its items, of a map's values, all of allOf."""
    values = resolved.get("additionalProperties")
    inner = [resolved.get("items"), values if isinstance(values, dict) else None]
    return [part for part in (*(resolved.get("allOf") or []), *inner) if part]


def _field(
    document: Object, schema: Object, path: t.Sequence[str], seen: frozenset[str] = frozenset()
) -> Object | None:
    """The schema at a path, None where there is none."""
    reference = schema.get("$ref") or ""
    if not path:
        return schema
    if reference in seen:
        return None
    resolved = _resolved(document, schema)
    properties = resolved.get("properties") or {}
    if path[0] in properties:
        return _field(document, properties[path[0]], path[1:])
    seen = seen | {reference} if reference else seen
    for part in _parts(resolved):
        found = _field(document, part, path, seen)
        if found is not None:
            return found
    return None


def _fields(document: Object, schema: Object, seen: frozenset[str]) -> list[tuple[str, Object, bool]]:
    """Name, schema and whether it is required, of each field."""
    reference = schema.get("$ref") or ""
    if reference in seen:
        return []
    seen = seen | {reference} if reference else seen
    resolved = _resolved(document, schema)
    required = resolved.get("required") or []
    found = [(name, field, name in required) for name, field in sorted((resolved.get("properties") or {}).items())]
    for part in _parts(resolved):
        found += _fields(document, part, seen)
    return found


def _field_list(document: Object, schema: Object, short: bool, level: int, seen: frozenset[str]) -> list[str]:
    """The fields as lines; `short`: without descriptions, with the fields of fields."""
    reference = schema.get("$ref") or ""
    if reference in seen:
        return []  # a schema that contains itself
    seen = seen | {reference} if reference else seen
    resolved = _resolved(document, schema)
    indent, lines = "  " * level, []
    for name, field in sorted((resolved.get("properties") or {}).items()):
        required = " -required-" if name in (resolved.get("required") or []) else ""
        lines.append(f"{indent}{name}\t<{_type(document, field)}>{required}")
        enum = [_value(item) for item in field.get("enum") or []]
        if enum:
            lines.append(f"{indent}enum: {', '.join(enum[:FEW])}{', ....' if len(enum) > FEW else ''}")
        if short:
            lines += _field_list(document, field, short, level + 1, seen)
        else:
            said = field.get("description") or "<no description>"
            lines += _wrapped(said, len(indent) + 2, WIDTH + 2 - len(indent))
            lines += _external_docs(field, len(indent) + 2)
            lines.append("")
    for part in _parts(resolved):
        lines += _field_list(document, part, short, level, seen)
    return lines


def _type(document: Object, schema: Object) -> str:
    """A type as people say it: string, Object, []Container, map[string]string."""
    values, alternatives = schema.get("additionalProperties"), schema.get("allOf") or []
    if schema.get("items"):
        return "[]" + _type(document, schema["items"])
    if values and isinstance(values, dict):
        return "map[string]" + _type(document, values)
    if len(alternatives) == 1 and not schema.get("properties"):
        return _type(document, alternatives[0])
    if schema.get("$ref"):
        kind = _resolved(document, schema).get("type", "object")
        return str(schema["$ref"].rpartition("/")[2].rpartition(".")[2] if kind == "object" else kind)
    return "Object" if schema.get("type", "object") == "object" else str(schema["type"])


def _value(value: t.Any) -> str:
    return str(value) if value != "" else '""'


def _description(document: Object, schema: Object) -> str:
    """What a schema says of itself, then what its parts say, each on lines of its own."""
    resolved = _resolved(document, schema)
    said = f"{resolved['description']}\n" if resolved.get("description") else ""
    return said + "".join(_description(document, part) for part in _parts(resolved))


def _external_docs(schema: Object, indent: int) -> list[str]:
    docs = schema.get("externalDocs")
    if not docs:
        return []
    lines = ["", " " * indent + "EXTERNAL DOCS:"]
    lines += _wrapped(docs["description"], indent + 4, WIDTH - indent) if docs.get("description") else []
    return [*lines, *([" " * (indent + 4) + f"URL: {docs['url']}"] if docs.get("url") else [])]


def _wrapped(text: str, indent: int, width: int) -> list[str]:
    lines = []
    for line in text.rstrip("\n").split("\n"):
        broken = textwrap.wrap(
            line, width, expand_tabs=False, replace_whitespace=False, break_long_words=False, break_on_hyphens=False
        )
        lines += [" " * indent + part for part in broken or [""]]
    return lines


def _unknown(document: Object, root: Object, kind: str, path: t.Sequence[str]) -> str:
    """Which field of a path is not there, and what is there that is like it."""
    known = 0
    while known < len(path) and _field(document, root, path[: known + 1]) is not None:
        known += 1
    holder = t.cast(Object, _field(document, root, path[:known]))
    where, missing = ".".join([kind, *path[:known]]), path[known]
    names = [name for name, _schema, _required in _fields(document, holder, frozenset())]
    if not names:
        return f"{where} is of type {_type(document, holder)} and has no fields, so not {missing!r} either."
    return f"{where} has no field {missing!r}; {near(missing, names)}."


def near(asked: str, names: t.Sequence[str]) -> str:
    """The names that are like one that was asked for; all of them where none is."""
    folded = {name.lower(): name for name in names}
    found = [folded[name] for name in difflib.get_close_matches(asked.lower(), list(folded), 4, 0.6)]
    found = found or [name for low, name in folded.items() if asked.lower() in low]
    return f"similar names: {', '.join(found)}" if found else f"there are {', '.join(sorted(names))}"
