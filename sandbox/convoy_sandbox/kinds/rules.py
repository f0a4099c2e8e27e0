# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules in CEL that a schema has (`x-kubernetes-validations`), evaluated.

Costs are not estimated, as the API server does before it takes a definition: see `definitions`.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from .. import expressions
from ..errors import Cause
from .structural import ABSENT, EMBEDDED, INT_OR_STRING, Node, correlated, property_of

RULES = "x-kubernetes-validations"
#: What a rule at the root sees of the metadata.
_SEEN_OF_METADATA = ("name", "generateName")
_REASONS = {
    "FieldValueForbidden": "Forbidden",
    "FieldValueRequired": "Required value",
    "FieldValueDuplicate": "Duplicate value",
}
_RESERVED = frozenset(
    {
        "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
        "let", "loop", "package", "namespace", "return", "var", "void", "while",
    }
)  # fmt: skip
_PARTS = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}


def check(node: Node, value: Any, old: Any = ABSENT, *, path: str = "") -> list[Cause]:
    """What the rules of a schema find wrong with a value; those of parts that are unchanged since `old` are passed."""
    return list(_checked(node, value, old, path))


@lru_cache(maxsize=4096)
def is_transition(text: str) -> bool:
    """Whether a rule compares with the old value."""
    return "oldSelf" in expressions.names(text)


def _checked(node: Node, value: Any, old: Any, path: str) -> Iterator[Cause]:
    if value is None or (old is not ABSENT and value == old):
        return
    for rule in node.get(RULES) or ():
        cause = _evaluated(node, rule, value, old, path)
        if cause is not None:
            yield cause
    before = correlated(node, old)
    if isinstance(value, dict):
        for key in sorted(value):
            child = property_of(node, key)
            if child:
                yield from _checked(child, value[key], before(key, value[key]), f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _checked(node.get("items") or {}, item, before(index, item), f"{path}[{index}]")


def _evaluated(node: Node, rule: Node, value: Any, old: Any, path: str) -> Cause | None:
    compares = is_transition(rule["rule"])
    optional = rule.get("optionalOldSelf", False)
    if compares and old is ABSENT and not optional:
        return None
    misfits: set[str] = set()
    variables: dict[str, Any] = {"self": _seen(node, value, misfits, root=not path)}
    if compares:
        before = None if old is ABSENT else _seen(node, old, set(), root=not path)
        if optional:
            before = expressions.optional(None if old is ABSENT else before)
        variables["oldSelf"] = before
    field = f"{path}{rule.get('fieldPath', '')}" or "<nil>"
    if not path and rule.get("fieldPath"):
        field = field.removeprefix(".")
    shown = rule.get("message") or rule["rule"].strip()
    try:
        outcome = expressions.evaluate(rule["rule"], variables)
    except expressions.ExpressionError as problem:
        why = str(problem)
        if why.removeprefix("no such key: ") in misfits:
            why = "invalid data, expected int, got float64"
        text = f'Invalid value: "{_schema_type(node)}": {why} evaluating rule: {shown}'
        return Cause("FieldValueInvalid", text, path or "<nil>")
    if outcome is True:
        return None
    message = rule.get("message") or f"failed rule: {shown}"
    if rule.get("messageExpression"):
        with contextlib.suppress(expressions.ExpressionError):
            said = expressions.evaluate(rule["messageExpression"], variables)
            if isinstance(said, str) and said.strip() and "\n" not in said:
                message = said
    reason = rule.get("reason", "FieldValueInvalid")
    return Cause(reason, f"{_head(reason, value)}: {message}", field)


def _head(reason: str, value: Any) -> str:
    if reason in _REASONS:
        return _REASONS[reason]
    # The value of an object or a list is left out.
    if isinstance(value, (dict, list)):
        return "Invalid value"
    return f"Invalid value: {json.dumps(value, ensure_ascii=False)}"


def _schema_type(node: Node) -> str:
    return "" if node.get(INT_OR_STRING) else str(node.get("type", ""))


def _seen(node: Node, value: Any, misfits: set[str], *, root: bool = False) -> Any:
    """A value as rules see it: its known fields by names that CEL can write, times as times.

    The names of integers that were written as 3.0, which no rule can read, are added to `misfits`.
    """
    if isinstance(value, dict):
        if node.get("properties") is None and isinstance(node.get("additionalProperties"), dict):
            return {key: _seen(node["additionalProperties"], item, misfits) for key, item in value.items()}
        seen = {}
        for key, item in value.items():
            if root and key == "metadata":
                seen[key] = {part: item[part] for part in _SEEN_OF_METADATA if part in item}
                continue
            child = property_of(node, key)
            if child is None and not (node.get(EMBEDDED) or root):
                continue
            if isinstance(item, float) and (child or {}).get("type") == "integer":
                misfits.add(escaped(key))
                continue
            seen[escaped(key)] = _seen(child or {}, item, misfits)
        return seen
    if isinstance(value, list):
        return [_seen(node.get("items") or {}, item, misfits) for item in value]
    if isinstance(value, str) and node.get("format") == "date-time":
        return datetime.datetime.fromisoformat(value.upper().replace("Z", "+00:00"))
    if isinstance(value, int) and not isinstance(value, bool) and node.get("type") == "number":
        return float(value)
    return value


def escaped(name: str) -> str:
    """A field's name as CEL writes it: `__dash__` and the like for what an identifier cannot have."""
    if name in _RESERVED:
        return f"__{name}__"
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and "__" not in name:
        return name
    return re.sub(r"__|[./-]", lambda found: _PARTS[found[0]], name)
