# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What each strategy asks of the API server: the rights that its user needs, and no more.

Reading what an API server offers (/version, /api, /apis) is everybody's by default and is not listed.
"""

from __future__ import annotations

import typing as t


class Right(t.NamedTuple):
    """Verbs on one resource, as an RBAC rule has them."""

    group: str  #: the API group, "" for the core group
    resource: str  #: with its subresource, such as pods/log
    verbs: tuple[str, ...]
    cluster: bool = False  #: in all namespaces, so that a ClusterRole has to grant it


_WATCHED = (  # what module rollout reads until the outcome is known, and what it says of a failure
    Right("apps", "replicasets", ("list", "watch")),
    Right("", "pods", ("list", "watch")),
    Right("", "pods/log", ("get",)),
    Right("", "events", ("list",)),
)
_CHANGED = (Right("apps", "deployments", ("get", "list", "watch", "patch")), *_WATCHED)
_CREATED = Right("apps", "deployments", ("create",))
_ROOM = (  # what module capacity reads
    Right("", "nodes", ("list",), cluster=True),
    Right("", "pods", ("list",), cluster=True),
    Right("", "resourcequotas", ("list",)),
    Right("", "limitranges", ("list",)),
)
_ASKED = (  # what module version_distribution needs; the proxy where a Service has no address of its own
    Right("", "services", ("get",)),
    Right("", "services/proxy", ("get",)),
)
_SHARES = (  # and where it judges shares: hints of routing by topology, ready endpoints
    *_ASKED,
    Right("discovery.k8s.io", "endpointslices", ("list",)),
)
_SUBJECT = (  # what tells which Deployment has the traffic, and who else decides about it
    Right("", "services", ("list",)),
    Right("discovery.k8s.io", "endpointslices", ("list",)),
    Right("autoscaling", "horizontalpodautoscalers", ("list",)),
    Right("", "resourcequotas", ("list",)),
    Right("", "limitranges", ("list",)),
    Right("policy", "poddisruptionbudgets", ("list",)),
)
_POINTING = (  # what has to go with the traffic from one Deployment to another
    Right("autoscaling", "horizontalpodautoscalers", ("get", "patch")),
    Right("networking.k8s.io", "networkpolicies", ("list",)),
    Right("networking.k8s.io", "ingresses", ("list",)),
    Right("gateway.networking.k8s.io", "httproutes", ("list",)),
    Right("autoscaling.k8s.io", "verticalpodautoscalers", ("list",)),
    Right("keda.sh", "scaledobjects", ("list",)),
    Right("monitoring.coreos.com", "podmonitors", ("list",)),
    Right("monitoring.coreos.com", "servicemonitors", ("list",)),
)
_OTHER_WORKLOADS = (
    Right("apps", "statefulsets", ("get", "list", "watch", "patch")),
    Right("apps", "daemonsets", ("get", "list", "watch", "patch")),
    Right("apps", "controllerrevisions", ("list", "watch")),
)

_CANARY = (
    *_CHANGED,
    _CREATED,
    Right("apps", "deployments", ("delete",)),
    *_ROOM,
    *_SHARES,
    Right("", "services", ("list",)),
    Right("autoscaling", "horizontalpodautoscalers", ("list",)),
)
_BLUEGREEN = (
    *_CHANGED,
    _CREATED,
    Right("apps", "deployments", ("delete",)),
    *_ROOM,
    *_ASKED,
    *_SUBJECT,
    Right("", "services", ("create", "patch", "delete")),
    *_POINTING,
)
#: What a router takes of a canary besides: its own Service.
_ROUTED = Right("", "services", ("create", "patch", "delete"))
#: The objects of routers, by the name that a strategy has with them. To list them is to find them. Whoever may change
#: one has power over all of its users' traffic.
_ROUTERS = {
    "route": Right("gateway.networking.k8s.io", "httproutes", ("list", "get", "patch")),
    "ingress": Right("networking.k8s.io", "ingresses", ("list", "get", "create", "patch", "delete")),
    "istio": Right("networking.istio.io", "virtualservices", ("list", "get", "patch")),
    "traefik": Right("traefik.io", "traefikservices", ("list", "get", "patch")),
    "openshift": Right("route.openshift.io", "routes", ("list", "get", "patch")),
}

#: The rights by strategy. roles/cluster checks them, docs/rbac.yaml grants them.
RIGHTS: dict[str, tuple[Right, ...]] = {
    "app_deploy": (
        *_CHANGED,
        _CREATED,
        *(Right("", kind, ("get", "create", "patch")) for kind in ("configmaps", "secrets", "services")),
        Right("", "services", ("list",)),
        Right("autoscaling", "horizontalpodautoscalers", ("list",)),
        *_ROOM,
        *_ASKED,
    ),
    "scale": (*_CHANGED, *_ROOM, *_ASKED, *_SUBJECT),
    "rolling_update": (*_CHANGED, *_OTHER_WORKLOADS, *_ROOM, *_SHARES, Right("", "services", ("list",))),
    "canary": _CANARY,
    **{f"canary_{name}": (*_CANARY, _ROUTED, right) for name, right in _ROUTERS.items()},
    "bluegreen": _BLUEGREEN,
    **{f"bluegreen_{name}": (*_BLUEGREEN, right) for name, right in _ROUTERS.items()},
    "verify": (*_SHARES, Right("", "pods", ("list",))),
    "lock": (Right("coordination.k8s.io", "leases", ("get", "create", "update", "delete")),),
}


def needed(strategies: t.Iterable[str]) -> list[Right]:
    """The rights of several strategies together, one for each resource. Raises KeyError for an unknown one."""
    found: dict[tuple[str, str, bool], dict[str, None]] = {}
    for strategy in strategies:
        for right in RIGHTS[strategy]:
            found.setdefault((right.group, right.resource, right.cluster), {}).update(dict.fromkeys(right.verbs))
    return [Right(group, resource, tuple(verbs), cluster) for (group, resource, cluster), verbs in found.items()]
