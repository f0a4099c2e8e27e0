# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""CEL expressions, evaluated by the library `common-expression-language`, which is loaded with the first of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any


class ExpressionError(Exception):
    """An expression cannot be read, or cannot be evaluated; the text is what the API server says."""


@lru_cache(maxsize=512)
def _program(expression: str) -> Any:
    import cel  # not before it is needed: it takes longer to load than the sandbox to start

    try:
        return cel.compile(expression)
    except ValueError as error:
        _, _, text = str(error).partition(": ")
        raise ExpressionError(f"compilation failed: {_indented(text.strip())}") from None


def _indented(text: str) -> str:
    """The lines that show where a mistake is, as CEL's own compiler sets them."""
    return re.sub(r"^\|", " |", text, flags=re.MULTILINE)


def check(expression: str) -> None:
    """Raises ExpressionError where an expression cannot be read."""
    _program(expression)


def names(expression: str) -> list[str]:
    """The variables of an expression. Raises ExpressionError."""
    found: list[str] = _program(expression).variables()
    return found


def optional(value: Any) -> Any:
    """A value that may be absent, which is None here."""
    import cel

    return cel.OptionalValue.none() if value is None else cel.OptionalValue.of(value)


def evaluate(expression: str, variables: dict[str, Any]) -> Any:
    """The value of an expression. Raises ExpressionError."""
    import cel

    try:
        return _program(expression).execute(cel.Context(variables, _FUNCTIONS))
    except KeyError as error:
        raise ExpressionError(f"no such key: {error.args[0]}") from None
    except (ValueError, TypeError, RuntimeError, ArithmeticError, IndexError) as error:
        raise ExpressionError(str(error)) from None


# What Kubernetes adds to the language: lists, strings and regular expressions, without quantities, URLs and addresses.


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
    found = re.compile(expression).search(text)
    return found[0] if found else ""


def _find_all(text: str, expression: str, limit: int = -1) -> list[str]:
    found = [match[0] for match in re.compile(expression).finditer(text)]
    return found if limit < 0 else found[:limit]


def _format(text: str, values: list[Any]) -> str:
    return re.sub(r"%[sd]", "{}", text.replace("{", "{{").replace("}", "}}")).format(*values)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
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
