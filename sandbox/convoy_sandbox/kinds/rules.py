"""The rules in CEL that a schema has (`x-kubernetes-validations`), evaluated.

Costs are not estimated, as the API server does before it takes a definition: see `definitions`.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cel

from ..errors import Cause
from .structural import ABSENT, EMBEDDED, INT_OR_STRING, Node, correlated, pattern, property_of

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


def compile_rule(text: str) -> cel.Program:
    """A rule as a program. Raises ValueError for one that is none."""
    return _program(text)


@lru_cache(maxsize=4096)
def _program(text: str) -> cel.Program:
    return cel.compile(text)


@lru_cache(maxsize=4096)
def is_transition(text: str) -> bool:
    """Whether a rule compares with the old value."""
    return "oldSelf" in _program(text).variables()


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
    variables: dict[str, Any] = {"self": _seen(node, value, root=not path)}
    if compares:
        before = None if old is ABSENT else _seen(node, old, root=not path)
        if optional:
            before = cel.OptionalValue.none() if old is ABSENT else cel.OptionalValue.of(before)
        variables["oldSelf"] = before
    field = f"{path}{rule.get('fieldPath', '')}" or "<nil>"
    if not path and rule.get("fieldPath"):
        field = field.removeprefix(".")
    shown = rule.get("message") or rule["rule"].strip()
    outcome = run(rule["rule"], variables)
    if isinstance(outcome, Problem):
        text = f'Invalid value: "{_schema_type(node)}": {outcome} evaluating rule: {shown}'
        return Cause("FieldValueInvalid", text, path or "<nil>")
    if outcome is True:
        return None
    message = rule.get("message") or f"failed rule: {shown}"
    if rule.get("messageExpression"):
        said = run(rule["messageExpression"], variables)
        if isinstance(said, str) and not isinstance(said, Problem) and said.strip() and "\n" not in said:
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


@dataclass(frozen=True)
class Problem:
    """Why an expression has no value."""

    text: str

    def __str__(self) -> str:
        return self.text


def run(text: str, variables: dict[str, Any]) -> Any:
    """The value of an expression, or a Problem."""
    try:
        return _program(text).execute(cel.Context(variables, FUNCTIONS))
    except KeyError as missing:
        return Problem(f"no such key: {missing.args[0]}")
    except (ValueError, TypeError, RuntimeError, ArithmeticError, IndexError) as error:
        return Problem(str(error))


def _seen(node: Node, value: Any, *, root: bool = False) -> Any:
    """A value as rules see it: its known fields by names that CEL can write, times as times."""
    if isinstance(value, dict):
        if node.get("properties") is None and isinstance(node.get("additionalProperties"), dict):
            return {key: _seen(node["additionalProperties"], item) for key, item in value.items()}
        seen = {}
        for key, item in value.items():
            if root and key == "metadata":
                seen[key] = {part: item[part] for part in _SEEN_OF_METADATA if part in item}
                continue
            child = property_of(node, key)
            if child is None and not (node.get(EMBEDDED) or root):
                continue
            seen[escaped(key)] = _seen(child or {}, item)
        return seen
    if isinstance(value, list):
        return [_seen(node.get("items") or {}, item) for item in value]
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


# What Kubernetes adds to CEL (lists, strings and regular expressions; quantities, URLs and addresses are not there).


def _index_of(text: Any, part: Any, start: int = 0) -> int:
    return text.find(part, start) if isinstance(text, str) else text.index(part) if part in text else -1


def _last_index_of(text: Any, part: Any) -> int:
    if isinstance(text, str):
        return text.rfind(part)
    return len(text) - 1 - text[::-1].index(part) if part in text else -1


def _replace(text: str, old: str, new: str, limit: int = -1) -> str:
    return text.replace(old, new, limit)


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    return text.split(separator, limit - 1 if limit > 0 else -1) if separator else list(text)


def _find(text: str, expression: str) -> str:
    found = pattern(expression).search(text)
    return found[0] if found else ""


def _find_all(text: str, expression: str, limit: int = -1) -> list[str]:
    found = [match[0] for match in pattern(expression).finditer(text)]
    return found if limit < 0 else found[:limit]


def _format(text: str, values: list[Any]) -> str:
    return re.sub(r"%[sd]", "{}", text.replace("{", "{{").replace("}", "}}")).format(*values)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "isSorted": lambda items: items == sorted(items),
    "sum": sum,
    "min": min,
    "max": max,
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "charAt": lambda text, at: text[at : at + 1],
    "lowerAscii": str.lower,
    "upperAscii": str.upper,
    "replace": _replace,
    "split": _split,
    "substring": lambda text, start, end=None: text[start:end],
    "trim": str.strip,
    "join": lambda items, separator="": separator.join(items),
    "find": _find,
    "findAll": _find_all,
    "format": _format,
}
