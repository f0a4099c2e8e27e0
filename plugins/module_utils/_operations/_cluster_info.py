# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin cluster_info do."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api, _rights
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Task
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _cluster_facts

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "namespace": {"type": "str"},
    "strategies": {"type": "list", "elements": "str", "choices": list(_rights.RIGHTS), "default": []},
}

ANYTHING = {"group": "*", "resource": "*", "verb": "*"}  #: in all namespaces


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Read version, nodes and rights. Raises Failure where the API server cannot be asked."""
    api = _api.api(options, task.environ)
    try:
        version = str(api.get("/version").get("gitVersion") or "")
        nodes = _nodes(api)
        asked = list(_cluster_facts.asked(_rights.needed(options["strategies"]), options["namespace"]))
        # One question is enough for an administrator.
        missing = [] if not asked or _allowed(api, ANYTHING) else [item for item in asked if not _allowed(api, item)]
    finally:
        api.close()
    capacity = _cluster_facts.capacity(nodes)
    listed = [
        {
            "verb": item["verb"],
            "resource": _cluster_facts.resource(item),
            "namespace": item.get("namespace", "*"),
        }
        for item in missing
    ]
    supported = _cluster_facts.supported(version)
    message = _cluster_facts.message(version, supported, capacity, listed)
    return {
        "changed": False,
        "context": api.access.context,
        "server": api.access.server,
        "server_version": version,
        "supported": supported,
        "nodes": capacity.nodes if capacity else None,
        "ready": capacity.ready if capacity else None,
        "allocatable": capacity.allocatable if capacity else {},
        "missing": listed,
        "message": message,
        "msg": message,
    }


def _nodes(api: _api.Api) -> list[_api.Object] | None:
    try:
        return api.items(_api.path_of("nodes"))
    except _api.ApiError as error:
        if error.status == 403:
            return None
        raise


def _allowed(api: _api.Api, attributes: _api.Object) -> bool:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = api.create(_api.path_of("selfsubjectaccessreviews", group="authorization.k8s.io"), review)
    return bool((answer.get("status") or {}).get("allowed"))
