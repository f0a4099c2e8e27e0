# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin canary_info do."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api, _shapes
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _canary_seen
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _canary, _canary_steps
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import Asked
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _router
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _images

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "namespace": {"type": "str"},
    "name": {"type": "str", "required": True},
    "service": {"type": "str"},
    "version": {"type": "str"},
    "steps": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": _canary.REQUEST["steps"]["options"],
    },
    "router": _router.OPTION,
    "weight_tolerance": {"type": "float", "default": 5.0},
    "promote": {"type": "bool", "default": False},
    "abort": {"type": "bool", "default": False},
    "container": {"type": "str"},
    "template": {"type": "dict"},
    "version_of": _images.RULE_OPTION,
}


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Read what an application has in the cluster once, and say what is left to do. Raises Failure."""
    asked = Asked(
        version=options["version"] or "",
        steps=options["steps"],
        promote=options["promote"],
        abort=options["abort"],
        tolerance=options["weight_tolerance"],
        container=options["container"] or "",
        template=options["template"],
        rule=_images.rule(options["version_of"]),
        router=_router.named(options["router"]),
        finds=_router.is_left_out(options["router"]),
    )
    _shapes.check_template(asked.template or {})
    _canary_steps.weights(asked.steps)  # before the cluster is asked
    with contextlib.closing(_api.api(options, task.environ)) as api:
        seen = _canary_seen.read(
            api,
            options["namespace"],
            options["name"],
            options["service"] or "",
            asked.router,
            finds=asked.finds,
            searched=asked.finds,
        )
    return {"changed": False, **_canary.plan(seen, asked)}
