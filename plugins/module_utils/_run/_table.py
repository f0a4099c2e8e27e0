# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A list of dictionaries as the lines of a table. Pure functions."""

from __future__ import annotations

import typing as t


def table(
    rows: t.Sequence[t.Mapping[str, t.Any]],
    columns: t.Sequence[str] | None = None,
    headings: t.Sequence[str] | None = None,
) -> list[str]:
    """The lines of a table. Raises ValueError where columns and headings do not fit."""
    keys = list(columns) if columns is not None else list(dict.fromkeys(key for row in rows for key in row))
    titles = list(headings) if headings is not None else [str(key).upper().replace("_", "-") for key in keys]
    if len(titles) != len(keys):
        raise ValueError(f"{len(keys)} columns and {len(titles)} headings")
    lines = [titles, *([_said(row.get(key)) for key in keys] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(keys))]
    return ["  ".join(cell.ljust(widths[at]) for at, cell in enumerate(line)).rstrip() for line in lines]


def _said(value: t.Any) -> str:
    """A value as one cell."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        value = ", ".join(_said(item) for item in value)
    elif isinstance(value, t.Mapping):
        value = ",".join(f"{key}={_said(item)}" for key, item in value.items())
    return " ".join(str(value).split()) or "-" if value is not None else "-"
