# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What admission makes of a new pod: its ServiceAccount, its priority and its runtime class."""

from __future__ import annotations

from .. import errors, resources
from ..errors import ApiError
from ..kinds.pods import mount_token
from ..store import Object, Store

_SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


def _refused(pod: Object, why: str) -> ApiError:
    return errors.forbidden(resources.PODS, pod["metadata"]["name"], why)


def service_account(store: Store, pod: Object) -> None:
    """Give a pod its account, with the account's pull secrets and token. Raises ApiError 403 where there is none."""
    spec, namespace = pod["spec"], pod["metadata"]["namespace"]
    name = spec.setdefault("serviceAccountName", "default")
    spec["serviceAccount"] = name
    account = store.get(resources.SERVICEACCOUNTS, namespace, name)
    if account is None:
        # Each namespace has "default" a moment after it was made: the API server waits for that one.
        if name != "default":
            why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
            raise _refused(pod, why)
        account = {}
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(secret) for secret in account["imagePullSecrets"]]
    if spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True)):
        mount_token(spec)


def priority(store: Store, pod: Object) -> None:
    """Give a pod the number of its priority class. Raises ApiError 403 where there is no such class."""
    spec = pod["spec"]
    classes = store.list(resources.PRIORITYCLASSES)
    name = spec.get("priorityClassName")
    if not name:
        found = next((each for each in classes if each.get("globalDefault")), None)
        if found is not None:
            spec["priorityClassName"] = found["metadata"]["name"]
    else:
        found = next((each for each in classes if each["metadata"]["name"] == name), None)
        if found is None:
            raise _refused(pod, f"no PriorityClass with name {name} was found")
    value = found["value"] if found else 0
    if spec.get("priority") not in (None, value):
        raise _refused(
            pod,
            f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; priority "
            f"admission controller computed {value} from the given PriorityClass name",
        )
    spec["priority"] = value
    spec.setdefault("preemptionPolicy", (found or {}).get("preemptionPolicy", "PreemptLowerPriority"))


def runtime_class(store: Store, pod: Object) -> None:
    """Take over what a pod's runtime class adds. Raises ApiError 403 where there is no such class."""
    spec = pod["spec"]
    name = spec.get("runtimeClassName")
    if not name:
        if spec.get("overhead"):
            raise _refused(pod, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
        return
    found = store.get(resources.RUNTIMECLASSES, "", name)
    if found is None:
        raise _refused(pod, f'pod rejected: RuntimeClass "{name}" not found')
    if found.get("overhead"):
        spec["overhead"] = dict(found["overhead"].get("podFixed") or {})
    scheduling = found.get("scheduling") or {}
    if scheduling.get("nodeSelector"):
        spec["nodeSelector"] = {**(spec.get("nodeSelector") or {}), **scheduling["nodeSelector"]}
    if scheduling.get("tolerations"):
        spec["tolerations"] = [*(spec.get("tolerations") or ()), *scheduling["tolerations"]]


def system_priority_classes() -> list[Object]:
    """The classes that every cluster has."""
    texts = {
        "system-cluster-critical": "Used for system critical pods that must run in the cluster, but can be moved to "
        "another node if necessary.",
        "system-node-critical": "Used for system critical pods that must not be moved from their current node.",
    }
    return [
        {"metadata": {"name": name}, "value": value, "description": texts[name]}
        for name, value in _SYSTEM_PRIORITIES.items()
    ]
