"""CEL expressions, evaluated by the library `common-expression-language`, which is loaded with the first of them."""

from __future__ import annotations

import re
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
        raise ExpressionError(f"compilation failed: {text.strip()}") from None


def check(expression: str) -> None:
    """Raises ExpressionError where an expression cannot be read."""
    _program(expression)


def evaluate(expression: str, variables: dict[str, Any]) -> Any:
    """The value of an expression. Raises ExpressionError."""
    import cel

    context = cel.Context(variables)
    for name, function in _FUNCTIONS.items():
        context.add_function(name, function)
    try:
        return _program(expression).execute(context)
    except KeyError as error:
        raise ExpressionError(f"no such key: {error.args[0]}") from None
    except (ValueError, TypeError, RuntimeError, ArithmeticError, IndexError) as error:
        raise ExpressionError(str(error)) from None


#: What Kubernetes adds to the language, as far as it needs no types of its own.
_FUNCTIONS: dict[str, Any] = {
    "split": lambda text, separator: text.split(separator),
    "join": lambda parts, separator="": separator.join(parts),
    "replace": lambda text, old, new: text.replace(old, new),
    "lowerAscii": lambda text: text.lower(),
    "upperAscii": lambda text: text.upper(),
    "trim": lambda text: text.strip(),
    "indexOf": lambda whole, part: whole.find(part) if isinstance(whole, str) else whole.index(part),
    "substring": lambda text, start, end=None: text[start:end],
    "find": lambda text, pattern: (re.search(pattern, text) or [""])[0],
    "sum": lambda numbers: sum(numbers),
    "isSorted": lambda values: list(values) == sorted(values),
}
