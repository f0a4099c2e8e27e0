# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin capacity do."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils import _api, _capacity
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "namespace": {"type": "str", "default": "default"},
    "template": {"type": "dict", "required": True},
    "replicas": {"type": "int", "required": True},
    "deployment": {"type": "str"},
}


def run(options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Read nodes, pods and quotas, and say whether the copies fit. Raises Failure."""
    copies = options["replicas"]
    if copies < 0:
        raise Failure(f"replicas is {copies}; it must not be negative.")
    api = _api.api(options)
    namespace = options["namespace"]
    if options["deployment"]:
        try:
            present = api.get(_api.path_of("deployments", namespace, options["deployment"], group="apps"))
            copies = max(0, copies - present.get("status", {}).get("replicas", 0))
        except _api.ApiError as error:
            if error.status != 404:
                raise
    try:
        missing = _capacity.shortage(
            options["template"].get("spec") or {},
            copies,
            api.items(_api.path_of("nodes")),
            api.items(_api.path_of("pods"), fieldSelector="status.phase!=Succeeded,status.phase!=Failed"),
            api.items(_api.path_of("resourcequotas", namespace)),
        )
    except ValueError as error:
        raise Failure(f"The template's resources cannot be read: {error}.") from error
    api.close()
    said = missing or f"{copies} more pods fit"
    return {"changed": False, "fits": missing is None, "copies": copies, "message": said, "msg": said}
