# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading what may point at a Deployment, at its pods, or at a Service."""

from __future__ import annotations

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._pointers import Pointers
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _namespace

#: The lists besides Services and HorizontalPodAutoscalers, with their group and version.
LISTS = {
    "scaled_objects": ("scaledobjects", "keda.sh", "v1alpha1"),
    "vertical_autoscalers": ("verticalpodautoscalers", "autoscaling.k8s.io", "v1"),
    "budgets": ("poddisruptionbudgets", "policy", "v1"),
    "policies": ("networkpolicies", "networking.k8s.io", "v1"),
    "ingresses": ("ingresses", "networking.k8s.io", "v1"),
    "pod_monitors": ("podmonitors", "monitoring.coreos.com", "v1"),
    "service_monitors": ("servicemonitors", "monitoring.coreos.com", "v1"),
    "routes": ("httproutes", "gateway.networking.k8s.io", "v1"),
}


def read(api: _api.Api, namespace: str) -> Pointers:
    """What a namespace has of it. Raises ApiError.

    What the cluster does not have is empty; what this user may not read is named as unreadable.
    """
    found: dict[str, list[_api.Object]] = {}
    unreadable = []
    for field, (plural, group, version) in {**LISTS, "autoscalers": ("horizontalpodautoscalers", "", "")}.items():
        try:
            if field == "autoscalers":
                found[field] = _namespace.autoscalers(api, namespace)
            else:
                found[field] = api.items(_api.path_of(plural, namespace, group=group, version=version))
        except _api.ApiError as error:
            if error.status == 403:
                unreadable.append(plural)
            elif error.status != 404:
                raise
    services = api.items(_api.path_of("services", namespace))
    return Pointers(services=services, **found, unreadable=tuple(unreadable))
