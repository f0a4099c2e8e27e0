# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin cluster_plan do."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Task
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _clusters

ARGUMENTS: dict[str, t.Any] = {
    "request": {"type": "dict", "required": True, "options": _clusters.REQUEST},
    "seen": {"type": "dict", "default": {}},
    "info": {"type": "dict"},
}


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Decide what is to be done, or put together what the role ends with. Raises Failure."""
    request, info = options["request"], options["info"]
    if info is not None:
        return {
            "changed": False,
            "works": not info["missing"] and info["supported"],
            "lines": _clusters.lines(request, info),
            "ansible_facts": {"cluster_result": _clusters.result(request, info)},
        }
    plan = _clusters.plan(request, options["seen"], check_mode=task.check_mode)
    return {"changed": False, **plan.returned()}
