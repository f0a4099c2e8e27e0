# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin rollout do."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils import _api, _rollout
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._mirror import Mirror

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "namespace": {"type": "str", "default": "default"},
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["complete"], "default": "complete"},
    "timeout": {"type": "int", "default": 600},
    "unschedulable_grace": {"type": "int", "default": 5},
}

LOG_LINES = 10

#: What is returned of a Deployment that is not there, as in check mode before it is made.
NOTHING: dict[str, t.Any] = {
    "changed": False,
    "status": "missing",
    "revision": 0,
    "replicas": {},
    "duration": 0.0,
}


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Watch until the rollout is complete. Raises Failure as soon as it cannot be any more, or in the end.

    In check mode it says how far the rollout is, and waits for nothing.
    """
    namespace, name, timeout = options["namespace"], options["name"], options["timeout"]
    if timeout < 1:
        raise Failure(f"timeout is {timeout}; it must be at least 1 second.")
    if options["unschedulable_grace"] < 0:
        raise Failure(f"unschedulable_grace is {options['unschedulable_grace']}; it must not be negative.")
    start = time.monotonic()
    api = _api.api(options)
    try:
        deployment = _deployment(api, namespace, name, task.check_mode)
        if deployment is None:
            return {**NOTHING, "message": f"Check mode: there is no Deployment {name} yet."}
        waits_for = _rollout.progress(deployment)
        if waits_for is None:
            return _result(deployment, start)
        if task.check_mode:
            message = f"Check mode: not waiting for Deployment {name}, of which {waits_for}."
            return dict(_result(deployment, start), status="progressing", message=message)
        return _followed(api, deployment, options, task, start)
    finally:
        api.close()


def _deployment(api: _api.Api, namespace: str, name: str, may_be_missing: bool) -> _api.Object | None:
    try:
        return api.get(_api.path_of("deployments", namespace, name, group="apps"))
    except _api.ApiError as error:
        if error.status != 404:
            raise
        if may_be_missing:
            return None
        raise Failure(f"There is no Deployment {name} in namespace {namespace}.") from error


def _followed(
    api: _api.Api, deployment: _api.Object, options: t.Mapping[str, t.Any], task: Task, start: float
) -> dict[str, t.Any]:
    namespace, name, timeout = options["namespace"], options["name"], options["timeout"]
    chosen = {"labelSelector": _selector(deployment["spec"]["selector"])}
    mirror = Mirror(
        api.access,
        {
            "deployments": (
                _api.path_of("deployments", namespace, group="apps"),
                {"fieldSelector": f"metadata.name={name}"},
            ),
            "replica_sets": (_api.path_of("replicasets", namespace, group="apps"), chosen),
            "pods": (_api.path_of("pods", namespace), chosen),
        },
        timeout,
    )
    replica_sets: list[_api.Object] = []
    pods: list[_api.Object] = []
    told, waits_for = "", _rollout.progress(deployment)
    since: float | None = None  # when a fault that may pass was first seen
    try:
        while time.monotonic() < start + timeout:
            # Nothing may change any more while a fault that may pass lasts.
            until = since + options["unschedulable_grace"] if since is not None else None
            if not mirror.wait(until) and until is None:
                break
            found = list(mirror.objects["deployments"].values())
            if not found:
                raise Failure(f"Deployment {name} was deleted while its rollout was waited for.")
            deployment = found[0]
            replica_sets = list(mirror.objects["replica_sets"].values())
            pods = list(mirror.objects["pods"].values())
            waits_for = _rollout.progress(deployment)
            if waits_for is None:
                return _result(deployment, start)
            if waits_for != told:
                task.tell(f"{name}: {waits_for}")
                told = waits_for
            fault = _rollout.fault(deployment, replica_sets, pods)
            now = time.monotonic()
            since = (since or now) if fault and fault.passing else None
            if fault and (since is None or now >= since + options["unschedulable_grace"]):
                raise _failed(api, deployment, fault, start)
    finally:
        mirror.close()
    late = _rollout.waiting_pod(deployment, replica_sets, pods)
    pod = late["metadata"]["name"] if late else None
    raise _failed(api, deployment, _rollout.Fault("Timeout", f"{waits_for} after {timeout} s", pod=pod), start)


def _selector(selector: _api.Object) -> str:
    """A label selector as a query has it."""
    said = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for rule in selector.get("matchExpressions") or []:
        values = f"({','.join(rule.get('values') or [])})"
        said.append(
            {
                "In": f"{rule['key']} in {values}",
                "NotIn": f"{rule['key']} notin {values}",
                "Exists": rule["key"],
                "DoesNotExist": f"!{rule['key']}",
            }[rule["operator"]]
        )
    return ",".join(said)


def _result(deployment: _api.Object, start: float) -> dict[str, t.Any]:
    name, status = deployment["metadata"]["name"], deployment.get("status", {})
    counted = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    replicas = {
        "wanted": deployment["spec"].get("replicas", 1),
        **{key: status.get(key, 0) for key in counted},
    }
    return {
        "changed": False,
        "status": "complete",
        "revision": int(deployment["metadata"].get("annotations", {}).get(_rollout.REVISION, 0)),
        "replicas": replicas,
        "duration": round(time.monotonic() - start, 3),
        "message": f"Deployment {name} is complete, {replicas['availableReplicas']} pods are available.",
    }


def _failed(api: _api.Api, deployment: _api.Object, fault: _rollout.Fault, start: float) -> Failure:
    namespace = deployment["metadata"]["namespace"]
    log = _last_words(api, namespace, fault)
    said = f"Deployment {deployment['metadata']['name']} did not become complete: {fault}"
    if fault.pod and fault.container is None:
        warning = _last_warning(api, namespace, fault.pod)
        if warning and fault.message not in warning:
            said += f"\nThe last warning about the pod: {warning}"
    if log:
        said += f"\nThe last lines of its log:\n{log}"
    facts = _result(deployment, start)
    facts.update(
        status="failed",
        message=said,
        failure={
            "pod": fault.pod,
            "container": fault.container,
            "reason": fault.reason,
            "message": fault.message,
            "log": log,
        },
    )
    return Failure(said, facts)


def _last_words(api: _api.Api, namespace: str, fault: _rollout.Fault) -> str:
    """The last lines of the log of the container that a fault shows in, empty where there are none."""
    if not fault.pod:
        return ""
    path = _api.path_of("pods", namespace, fault.pod) + "/log"
    query: dict[str, t.Any] = {"tailLines": LOG_LINES}
    if fault.container:
        query["container"] = fault.container
    for previous in ("true", "false") if fault.restarted else ("false",):
        try:
            log = api.request(path, dict(query, previous=previous)).decode(errors="replace").strip()
        except _api.ApiError:
            continue  # a container that never ran has said nothing
        if log:
            return log
    return ""


def _last_warning(api: _api.Api, namespace: str, pod: str) -> str:
    """What a pod's newest Warning says: some reasons, as a volume that is missing, stand nowhere else."""
    of_pod = f"involvedObject.kind=Pod,involvedObject.name={pod},type=Warning"
    try:
        events = api.items(_api.path_of("events", namespace), fieldSelector=of_pod)
    except _api.ApiError:
        return ""
    newest = max(events, key=_when, default=None)
    return f"{newest.get('reason', '')}: {newest.get('message', '')}" if newest else ""


def _when(event: _api.Object) -> str:
    when = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    return str(when or "")
