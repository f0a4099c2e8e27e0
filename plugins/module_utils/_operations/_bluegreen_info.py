# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin bluegreen_info do."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _by_route
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _bluegreen
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _router
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _images

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "namespace": {"type": "str"},
    "name": {"type": "str", "required": True},
    "version": {"type": "str"},
    "rollback": {"type": "bool", "default": False},
    "container": {"type": "str"},
    "version_of": _images.RULE_OPTION,
    "router": _router.OPTION,
}


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Read the Service, its preview and the Deployments, and say what they make of the rollout. Raises Failure."""
    rule = _images.rule(options["version_of"])
    api = _api.api(options, task.environ)
    namespace, name = options["namespace"], options["name"]
    try:
        service = api.get(_api.path_of("services", namespace, name))
    except _api.ApiError as error:
        if error.status == 404:
            raise Failure(f"There is no Service {name} in namespace {namespace}; run app_deploy.yml first.") from error
        raise
    deployments = api.items(_api.path_of("deployments", namespace, group="apps"))
    plan: t.Mapping[str, t.Any] = _bluegreen.plan(
        service,
        deployments,
        version=options["version"] or "",
        rollback=options["rollback"],
        container=options["container"] or "",
        rule=rule,
    )
    way = _by_route.standing(api, namespace, options["router"], service, plan, deployments)
    api.close()
    name = str(way.split.router) if way.split else ""
    return {"changed": False, **way.resumed(plan), "router": name, "stand": way.stand}
