# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin application_info do."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _applications

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "namespace": {"type": "str"},
    "names": {"type": "list", "elements": "str"},
}


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Read the namespace once, and put together what belongs together. Raises Failure."""
    api = _api.api(options, task.environ)
    namespace, names = api.namespace(options), options["names"]
    try:
        deployments = api.items(_api.path_of("deployments", namespace, group="apps"))
        found = {item["metadata"]["name"]: item for item in deployments}
        missing = sorted(set(names or []) - set(found))
        if missing:
            raise Failure(
                f"There is no Deployment {', '.join(missing)} in namespace {namespace}; create it, or name another."
            )
        replica_sets = api.items(_api.path_of("replicasets", namespace, group="apps"))
        pods = api.items(_api.path_of("pods", namespace))
        services = api.items(_api.path_of("services", namespace))
    finally:
        api.close()
    return {
        "changed": False,
        "applications": [
            _applications.application(found[name], replica_sets, pods, services)
            for name in (names if names is not None else sorted(found))
        ],
    }
