"""What the benchmarks count and how they show it. Nothing is started here, and only `roles_jinja` reads files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

#: What a figure is, what it was, what it is now, what it should be.
Row = tuple[str, str, str, str]

_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
#: What the roles hold at most: Jinja picks values there, and decides and composes nothing.
MOST_JINJA = 15_000

_RECAP = re.compile(r"^\S+ +: ok=(\d+)", re.MULTILINE)


def jinja_characters(texts: Iterable[str]) -> int:
    """How many characters of these files are Jinja: its expressions and statements, braces included."""
    return sum(len(found) for text in texts for found in _JINJA.findall(text))


def roles_jinja(roles: Path) -> int:
    """Characters of Jinja in the YAML of the roles in a folder, argument specs and templates of manifests apart."""
    return jinja_characters(path.read_text() for path in roles.rglob("*.yml") if path.name != "argument_specs.yml")


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
