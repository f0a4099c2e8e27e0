# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading what a cluster has of an application and its canary."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _router_found
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _canary_state
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import Seen, named
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _router
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._router import Router
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._split import ROUTER
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _foreign, _namespace
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import annotations_of


def read(
    api: _api.Api,
    namespace: str,
    name: str,
    service: str = "",
    router: Router | None = None,
    *,
    finds: bool = False,
    searched: bool = False,
) -> Seen:
    """What there is of an application, by the Service whose traffic is shared, and by its router. Raises Failure.

    With `finds` the router is the one that a canary has by now; where there is no canary it is `searched` for.
    """
    deployments = api.items(_api.path_of("deployments", namespace, group="apps"))
    found = {item["metadata"]["name"]: item for item in deployments}
    if name not in found:
        raise Failure(_missing(api, namespace, name, found))
    stable = found[name]
    services = api.items(_api.path_of("services", namespace))
    behind = next((item for item in services if item["metadata"]["name"] == named(name)), None)
    noted = annotations_of(found.get(named(name)) or behind or {"metadata": {}}).get(ROUTER, "")
    may_not: tuple[str, ...] = ()
    if finds and noted:
        router = _router.noted(noted)
    elif searched and named(name) not in found:
        leading = _canary_state.service_of(services, stable, service)["metadata"]["name"]
        router, may_not = _router_found.router(api, namespace, leading, named(name))
    if router:  # the canary's own one is none of stable's
        services = [item for item in services if item["metadata"]["name"] != named(name)]
    else:
        behind = None
    leading = _canary_state.service_of(services, stable, service)
    split = _router_found.split(api, namespace, router, (leading["metadata"]["name"], named(name))) if router else None
    selector = leading["spec"].get("selector") or {}
    # A Service that is kept from the canary's pods selects a track, too.
    shared = {key: value for key, value in selector.items() if router is None or key != "track"}
    selected = ",".join(f"{key}={value}" for key, value in shared.items())
    return Seen(
        stable=stable,
        canary=found.get(named(name)),
        service=leading,
        deployments=deployments,
        replica_sets=api.items(_api.path_of("replicasets", namespace, group="apps")),
        pods=api.items(_api.path_of("pods", namespace), labelSelector=selected),
        slices=_namespace.slices(api, namespace, leading["metadata"]["name"]),
        scalers=_namespace.autoscalers(api, namespace),
        router=router,
        route=split.route if split else None,
        own=split.own if split else None,
        behind=behind,
        canary_slices=_namespace.slices(api, namespace, named(name)) if behind else (),
        may_not=may_not,
    )


def _missing(api: _api.Api, namespace: str, name: str, found: t.Mapping[str, t.Any]) -> str:
    """Why there is no stable Deployment, and what helps."""
    try:
        api.get(_api.path_of("namespaces", None, namespace))
    except _api.ApiError as error:
        if error.status == 404:
            return f"There is no namespace {namespace}; create it and deploy {name} there first."
        if error.status != 403:  # who may not see namespaces is told of the Deployment
            raise
    if named(name) in found:
        return (
            f"There is no stable Deployment {name} in namespace {namespace} beside its canary {named(name)}; "
            f"deploy {name} first."
        )
    foreign = ""
    with contextlib.suppress(_api.ApiError):  # who may not list these is told of the Deployment
        there = _namespace.workloads(api, namespace)
        foreign = _foreign.missing(name, namespace, there.services, there.replica_sets, there.pods)
    return foreign or (
        f"There is no Deployment {name} in namespace {namespace} for a canary to run beside; deploy it first."
    )
