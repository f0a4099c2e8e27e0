# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading what a namespace has, in one go."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._workload._subject import Namespace


def read(api: _api.Api, name: str) -> Namespace:
    """What a namespace has. Raises ApiError.

    What this user may not read besides the workloads and Services, or the cluster does not have, is named as
    unreadable.
    """
    try:
        scalers: list[_api.Object] | None = autoscalers(api, name)
    except _api.ApiError as error:
        if error.status != 403:
            raise
        scalers = None
    found = {
        "endpointslices": optional(api, "endpointslices", name, "discovery.k8s.io"),
        "horizontalpodautoscalers": scalers,
        "resourcequotas": optional(api, "resourcequotas", name),
        "limitranges": optional(api, "limitranges", name),
        "poddisruptionbudgets": optional(api, "poddisruptionbudgets", name, "policy"),
    }
    return replace(
        workloads(api, name),
        endpoint_slices=found["endpointslices"] or (),
        autoscalers=found["horizontalpodautoscalers"] or (),
        quotas=found["resourcequotas"] or (),
        limit_ranges=found["limitranges"] or (),
        disruption_budgets=found["poddisruptionbudgets"] or (),
        unreadable=tuple(plural for plural, items in found.items() if items is None),
    )


def workloads(api: _api.Api, name: str) -> Namespace:
    """The Deployments, ReplicaSets, pods and Services of a namespace alone. Raises ApiError."""
    return Namespace(
        name=name,
        deployments=api.items(_api.path_of("deployments", name, group="apps")),
        replica_sets=api.items(_api.path_of("replicasets", name, group="apps")),
        pods=api.items(_api.path_of("pods", name)),
        services=api.items(_api.path_of("services", name)),
    )


def optional(api: _api.Api, plural: str, namespace: str | None, group: str = "") -> list[_api.Object] | None:
    """The objects of a list, None where this user may not read it or the cluster does not have it. Raises ApiError."""
    try:
        return api.items(_api.path_of(plural, namespace, group=group))
    except _api.ApiError as error:
        if error.status in (403, 404):
            return None
        raise


def slices(api: _api.Api, namespace: str, service: str) -> list[_api.Object]:
    """The EndpointSlices of a Service. Raises ApiError."""
    path = _api.path_of("endpointslices", namespace, group="discovery.k8s.io")
    return api.items(path, labelSelector=f"kubernetes.io/service-name={service}")


def autoscalers(api: _api.Api, namespace: str) -> list[_api.Object]:
    """The HorizontalPodAutoscalers of a namespace, whichever version they were made as. Raises ApiError.

    A cluster lists each of them in both versions; one that is too old for v2 has v1 only, and one without autoscaling
    neither.
    """
    for version in ("v2", "v1"):
        try:
            return api.items(_api.path_of("horizontalpodautoscalers", namespace, group="autoscaling", version=version))
        except _api.ApiError as error:
            if error.status != 404:
                raise
    return []
