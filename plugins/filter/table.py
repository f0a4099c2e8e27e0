# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: table
short_description: A list of dictionaries as the lines of a table
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Makes one line of headings and one line for each dictionary, with the columns aligned, as C(kubectl get)
    prints them.
options:
  _input:
    description: The dictionaries.
    type: list
    elements: dict
    required: true
  columns:
    description: The keys to show, in this order. By default all keys, in the order in which they first appear.
    type: list
    elements: str
  headings:
    description:
      - What stands above the columns, as many as there are columns.
      - By default the keys in capitals, with C(-) in the place of C(_).
    type: list
    elements: str
notes:
  - A value that is missing, empty or null is shown as C(-), a list as its items with commas, and a line break
    in a value as a space.
"""

EXAMPLES = r"""
---
- name: Show which pods there are
  ansible.builtin.debug:
    msg: "{{ pods | convoy.rollout.table(columns=['name', 'ready', 'image']) }}"
  vars:
    pods:
      - {name: hello-6c9b7d-4xk2p, ready: 1/1, image: "kelseyhightower/hello:1.0.0"}
      - {name: auth-7f9d5c-x2x7b, ready: 0/1, image: "kelseyhightower/auth:1.0.0"}

# NAME                READY  IMAGE
# hello-6c9b7d-4xk2p  1/1    kelseyhightower/hello:1.0.0
# auth-7f9d5c-x2x7b   0/1    kelseyhightower/auth:1.0.0
"""

RETURN = r"""
_value:
  description: The lines, without blanks at their ends.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.convoy.rollout.plugins.plugin_utils._bytecode import Finder  # noqa: F401  # for the next one
from ansible.errors import AnsibleFilterError
from ansible_collections.convoy.rollout.plugins.module_utils._run import _table


def table(
    rows: t.Sequence[t.Mapping[str, t.Any]],
    columns: t.Sequence[str] | None = None,
    headings: t.Sequence[str] | None = None,
) -> list[str]:
    """The lines of a table. Raises AnsibleFilterError for what is no table."""
    if isinstance(rows, (str, t.Mapping)) or not all(isinstance(row, t.Mapping) for row in rows):
        raise AnsibleFilterError("convoy.rollout.table shows a list of dictionaries, and was given something else.")
    try:
        return _table.table(rows, columns, headings)
    except ValueError as error:
        raise AnsibleFilterError(f"convoy.rollout.table has {error}.") from error


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """By name."""
        return {"table": table}
