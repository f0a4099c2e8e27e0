"""Figures and tables of Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def percent(value: float, digits: int = 2) -> str:
    """A share as a percentage."""
    return f"{value * 100:.{digits}f}%"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown, its numbers to the right."""
    lines = [header, ["---:"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def short(share: float) -> str:
    """A share as people write it."""
    return f"{share * 100:g}%"
