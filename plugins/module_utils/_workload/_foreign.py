# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What runs an application that no Deployment runs. Pure functions of plain objects."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._workload import _selectors, _workloads

Object = t.Dict[str, t.Any]


def missing(
    application: str,
    namespace: str,
    services: t.Iterable[Object],
    replica_sets: t.Iterable[Object],
    pods: t.Iterable[Object],
) -> str:
    """That another kind than a Deployment runs an application, as a sentence; empty where none does.

    It is the one that the pods belong to which the application's Service selects, or the one of its name.
    """
    behind = [item["spec"].get("selector") for item in services if item["metadata"]["name"] == application]
    sets = {item["metadata"].get("uid"): item for item in replica_sets}
    for pod in pods:
        controller = _workloads.controller(pod)
        if controller.get("uid") in sets:  # Argo Rollouts has ReplicaSets, too
            controller = _workloads.controller(sets[controller["uid"]]) or controller
        if not controller or controller["kind"] in ("Deployment", "Job"):
            continue
        labels = pod["metadata"].get("labels") or {}
        if controller["name"] == application or any(_selectors.selects(each, labels) for each in behind):
            return (
                f"{application} in namespace {namespace} is run by {controller['kind']} {controller['name']}, and only "
                "Deployments can be changed here; roll it out by its own means, such as kubectl rollout."
            )
    return ""
