# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading what a cluster has of an application and its canary."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _canary_state
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import Seen, named
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _namespace


def read(api: _api.Api, namespace: str, name: str, service: str = "") -> Seen:
    """What there is of an application, by the Service whose traffic is shared. Raises Failure."""
    deployments = api.items(_api.path_of("deployments", namespace, group="apps"))
    found = {item["metadata"]["name"]: item for item in deployments}
    if name not in found:
        raise Failure(_missing(api, namespace, name, found))
    stable = found[name]
    leading = _canary_state.service_of(api.items(_api.path_of("services", namespace)), stable, service)
    selected = ",".join(f"{key}={value}" for key, value in (leading["spec"].get("selector") or {}).items())
    of_service = f"kubernetes.io/service-name={leading['metadata']['name']}"
    return Seen(
        stable=stable,
        canary=found.get(named(name)),
        service=leading,
        deployments=deployments,
        replica_sets=api.items(_api.path_of("replicasets", namespace, group="apps")),
        pods=api.items(_api.path_of("pods", namespace), labelSelector=selected),
        slices=api.items(_api.path_of("endpointslices", namespace, group="discovery.k8s.io"), labelSelector=of_service),
        scalers=_namespace.autoscalers(api, namespace),
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
    return f"There is no Deployment {name} in namespace {namespace} for a canary to stand beside; deploy it first."
