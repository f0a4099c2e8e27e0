"""What the benchmarks count and how they show it. Pure functions: they start nothing and read no files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

#: What a figure is, what it was, what it is now, what it should be.
Row = tuple[str, str, str, str]

_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_RECAP = re.compile(r"^\S+ +: ok=(\d+)", re.MULTILINE)


def jinja_characters(texts: Iterable[str]) -> int:
    """How many characters of these files are Jinja: its expressions and statements, braces included."""
    return sum(len(found) for text in texts for found in _JINJA.findall(text))


def tasks_of(output: str) -> int:
    """How many tasks of a run did their work on its one host: the recap's `ok`, which leaves skipped ones out."""
    (ok,) = _RECAP.findall(output)
    return int(ok)


def table(rows: Sequence[Row]) -> str:
    """Figures in columns, names to the left."""
    lines = [("", "before", "now", "target"), *rows]
    first, *others = (max(map(len, column)) for column in zip(*lines, strict=True))
    return "\n".join(
        "  ".join([name.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, others, strict=True))]).rstrip()
        for name, *cells in lines
    )
