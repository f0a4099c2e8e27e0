# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables: what `kubectl get` prints, with the columns of the real API server."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence
from typing import Any

from .. import conversion, resources, schema, selectors, times
from ..kinds.custom import every
from ..resources import RESOURCES, Resource
from ..store import Object

Row = list[Any]
Columns = list[tuple[str, str, int]]  # name, type, priority

_NONE = "<none>"
_CONVERTED = "deprecated.daemonset.template.generation"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
#: The column of a definition that has none.
_CREATED: Object = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def human_duration(seconds: float) -> str:
    """An age as kubectl writes it: "59s", "5m10s", "3h", "2d4h"."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 120:
        return f"{max(whole, 0)}s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 10:
        rest = whole % 60
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        rest = minutes % 60
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        rest = hours % 24
        return f"{days}d{rest}h" if rest else f"{days}d"
    if days < 365 * 2:
        return f"{days}d"
    years = days // 365
    rest = days % 365
    return f"{years}y{rest}d" if years < 8 and rest else f"{years}y"


def _since(text: str | None) -> str:
    if not text:
        return "<unknown>"
    when = datetime.datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.UTC)
    return human_duration((times.now() - when).total_seconds())


def _age(obj: Object) -> str:
    return _since(obj["metadata"].get("creationTimestamp"))


def _containers(spec: Object) -> tuple[str, str]:
    containers = spec.get("containers") or []
    return ",".join(c["name"] for c in containers), ",".join(c["image"] for c in containers)


def _deployment(obj: Object) -> Row:
    spec, status = obj["spec"], obj.get("status") or {}
    names, images = _containers(spec["template"]["spec"])
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [
        obj["metadata"]["name"], ready, status.get("updatedReplicas", 0), status.get("availableReplicas", 0),
        _age(obj), names, images, selectors.to_string(spec["selector"]),
    ]  # fmt: skip


def _replica_set(obj: Object) -> Row:
    spec, status = obj["spec"], obj.get("status") or {}
    names, images = _containers(spec["template"]["spec"])
    return [
        obj["metadata"]["name"], spec.get("replicas", 0), status.get("replicas", 0),
        status.get("readyReplicas", 0), _age(obj), names, images, selectors.to_string(spec["selector"]),
    ]  # fmt: skip


def _stateful_set(obj: Object) -> Row:
    spec, status = obj["spec"], obj.get("status") or {}
    names, images = _containers(spec["template"]["spec"])
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [obj["metadata"]["name"], ready, _age(obj), names, images]


def _daemon_set(obj: Object) -> Row:
    spec, status = obj["spec"], obj.get("status") or {}
    names, images = _containers(spec["template"]["spec"])
    counts = (
        "desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable",
    )  # fmt: skip
    nodes = spec["template"]["spec"].get("nodeSelector") or {}
    return [
        obj["metadata"]["name"], *(status.get(count, 0) for count in counts),
        ",".join(f"{key}={value}" for key, value in sorted(nodes.items())) or _NONE,
        _age(obj), names, images, selectors.to_string(spec["selector"]),
    ]  # fmt: skip


def _controller_revision(obj: Object) -> Row:
    owner = next((o for o in obj["metadata"].get("ownerReferences") or () if o.get("controller")), None)
    group = owner["apiVersion"].partition("/")[0] if owner else ""
    who = f"{owner['kind'].lower()}.{group}/{owner['name']}" if owner else _NONE
    return [obj["metadata"]["name"], who, obj["revision"], _age(obj)]


def _sidecars(pod: Object) -> set[str]:
    """The names of the init containers that are kept running."""
    return {c["name"] for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"}


def _initializing(pod: Object) -> str:
    """What the first init container that is not through with its part is doing; "" where all are."""
    sidecars = _sidecars(pod)
    total = len(pod["spec"].get("initContainers") or ())
    for index, container in enumerate((pod.get("status") or {}).get("initContainerStatuses") or ()):
        state = container.get("state") or {}
        if "terminated" in state and state["terminated"].get("exitCode") == 0:
            continue
        if container["name"] in sidecars and container.get("started"):
            continue
        waiting = (state.get("waiting") or {}).get("reason")
        if "terminated" in state:
            return f"Init:{state['terminated'].get('reason') or 'Error'}"
        return f"Init:{waiting}" if waiting and waiting != "PodInitializing" else f"Init:{index}/{total}"
    return ""


def pod_status(pod: Object) -> str:
    """The STATUS column of a pod."""
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    status = pod.get("status") or {}
    reason = str(status.get("reason") or status.get("phase") or "Unknown")
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    initializing = _initializing(pod)
    if initializing:
        return initializing
    running = False
    for container in reversed(status.get("containerStatuses") or ()):
        state = container.get("state") or {}
        if (state.get("waiting") or {}).get("reason"):
            reason = state["waiting"]["reason"]
        elif "terminated" in state:
            reason = state["terminated"].get("reason") or f"ExitCode:{state['terminated'].get('exitCode')}"
        elif container.get("ready") and "running" in state:
            running = True
    if reason == "Completed" and running:
        reason = "Running"
    return reason


def _pod(obj: Object) -> Row:
    status = obj.get("status") or {}
    sidecars = _sidecars(obj)
    init = status.get("initContainerStatuses") or []
    running = [*(c for c in init if c["name"] in sidecars), *(status.get("containerStatuses") or ())]
    ready = sum(1 for c in running if c.get("ready"))
    total = len(sidecars) + len(obj["spec"].get("containers") or ())
    containers = init if _initializing(obj) else running
    restarts = sum(c.get("restartCount", 0) for c in containers)
    finished = [
        c["lastState"]["terminated"].get("finishedAt") for c in containers if "terminated" in (c.get("lastState") or {})
    ]
    text = f"{restarts} ({_since(max(filter(None, finished)))} ago)" if restarts and any(finished) else str(restarts)
    return [
        obj["metadata"]["name"], f"{ready}/{total}", pod_status(obj), text,
        _age(obj), status.get("podIP") or _NONE, obj["spec"].get("nodeName") or _NONE,
        status.get("nominatedNodeName") or _NONE, _gates(obj),
    ]  # fmt: skip


def _gates(pod: Object) -> str:
    """How many of a pod's readiness gates are open."""
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or ()]
    held = {each["type"] for each in (pod.get("status") or {}).get("conditions") or () if each["status"] == "True"}
    return f"{sum(gate in held for gate in gates)}/{len(gates)}" if gates else _NONE


#: What a table says of pods that have ended, by their phase.
_ENDED = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}


def _row_conditions(resource: Resource, obj: Object) -> Object:
    phase = (obj.get("status") or {}).get("phase", "")
    if resource != resources.PODS or phase not in _ENDED:
        return {}
    return {"conditions": [{"type": "Completed", "status": "True", "reason": phase, "message": _ENDED[phase]}]}


def _service(obj: Object) -> Row:
    spec = obj["spec"]
    ingress = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    addresses = ",".join(entry.get("ip") or entry.get("hostname", "") for entry in ingress)
    external = spec.get("externalName") or addresses or ("<pending>" if spec["type"] == "LoadBalancer" else _NONE)
    ports = [
        f"{p['port']}:{p['nodePort']}/{p['protocol']}" if p.get("nodePort") else f"{p['port']}/{p['protocol']}"
        for p in spec.get("ports") or ()
    ]
    selector = ",".join(f"{k}={v}" for k, v in sorted((spec.get("selector") or {}).items()))
    return [
        obj["metadata"]["name"], spec["type"], spec.get("clusterIP") or _NONE, external, ",".join(ports) or _NONE,
        _age(obj), selector or _NONE,
    ]  # fmt: skip


def _endpoint_slice(obj: Object) -> Row:
    ports = ",".join(str(p.get("port", "*")) for p in obj.get("ports") or ()) or "<unset>"
    addresses = [address for e in obj.get("endpoints") or () for address in e.get("addresses") or ()]
    shown = ",".join(addresses[:3]) or "<unset>"
    if len(addresses) > 3:
        shown += f" + {len(addresses) - 3} more..."
    return [obj["metadata"]["name"], obj.get("addressType"), ports, shown, _age(obj)]


def _node(obj: Object) -> Row:
    status = obj.get("status") or {}
    ready = next((c["status"] for c in status.get("conditions") or () if c["type"] == "Ready"), "")
    text = {"": "Unknown", "True": "Ready"}.get(ready, "NotReady")
    if obj["spec"].get("unschedulable"):
        text += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    roles = sorted(k[len(prefix) :] for k in selectors.labels_of(obj) if k.startswith(prefix))
    info = status.get("nodeInfo") or {}
    internal = [a["address"] for a in status.get("addresses") or () if a["type"] == "InternalIP"]
    return [
        obj["metadata"]["name"], text, ",".join(roles) or _NONE, _age(obj), info.get("kubeletVersion", ""),
        internal[0] if internal else _NONE, _NONE, info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>", info.get("containerRuntimeVersion") or "<unknown>",
    ]  # fmt: skip


def _event(obj: Object) -> Row:
    involved = obj.get("involvedObject") or {}
    source = obj.get("source") or {}
    last = obj.get("lastTimestamp") or obj.get("eventTime")
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    who = source.get("component") or obj.get("reportingComponent", "")
    return [
        _since(last), obj.get("type", ""), obj.get("reason", ""),
        f"{involved.get('kind', '').lower()}/{involved.get('name', '')}", involved.get("fieldPath", ""),
        ", ".join(filter(None, (who, source.get("host")))), obj.get("message", "").strip(), _since(first),
        obj.get("count", 1), obj["metadata"]["name"],
    ]  # fmt: skip


def _quota(obj: Object) -> Row:
    status = obj.get("status") or {}
    hard = status.get("hard") or obj["spec"].get("hard") or {}
    used = status.get("used") or {}
    parts: dict[bool, list[str]] = {True: [], False: []}
    for name in sorted(hard):
        parts[name.startswith("limits")].append(f"{name}: {used.get(name, '0')}/{hard[name]}")
    return [obj["metadata"]["name"], ", ".join(parts[False]), ", ".join(parts[True]), _age(obj)]


def _budget(obj: Object) -> Row:
    spec, status = obj["spec"], obj.get("status") or {}
    return [
        obj["metadata"]["name"], str(spec.get("minAvailable", "N/A")), str(spec.get("maxUnavailable", "N/A")),
        status.get("disruptionsAllowed", 0), _age(obj),
    ]  # fmt: skip


def _autoscaler(obj: Object) -> Row:
    spec, status = obj["spec"], obj.get("status") or {}
    targets = []
    for metric in spec.get("metrics") or ():
        source = metric.get("resource") or {}
        target = source.get("target") or {}
        share = target.get("averageUtilization")
        wanted = f"{share}%" if share is not None else target.get("averageValue", "<auto>")
        targets.append(f"{source.get('name', metric['type'])}: <unknown>/{wanted}")
    reference = spec["scaleTargetRef"]
    return [
        obj["metadata"]["name"], f"{reference['kind']}/{reference['name']}", ", ".join(targets) or _NONE,
        str(spec.get("minReplicas", "<unset>")), spec["maxReplicas"], status.get("currentReplicas", 0), _age(obj),
    ]  # fmt: skip


def _binding(obj: Object) -> Row:
    role = obj["roleRef"]
    names: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in obj.get("subjects") or ():
        place = f"{subject['namespace']}/" if subject["kind"] == "ServiceAccount" else ""
        names[subject["kind"]].append(place + subject["name"])
    listed = (", ".join(found) for found in names.values())
    return [obj["metadata"]["name"], f"{role['kind']}/{role['name']}", _age(obj), *listed]


def _job(obj: Object) -> Row:
    spec, status = obj["spec"], obj.get("status") or {}
    names, images = _containers(spec["template"]["spec"])
    done, wanted = status.get("succeeded", 0), spec.get("completions")
    parallel = spec.get("parallelism", 0)
    completions = f"{done}/{wanted}" if wanted is not None else f"{done}/1{f' of {parallel}' if parallel > 1 else ''}"
    held = {each["type"] for each in status.get("conditions") or () if each["status"] == "True"}
    states = ("Complete", "Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet")
    state = next((each for each in states[:3] if each in held), "Running")
    if obj["metadata"].get("deletionTimestamp"):
        state = "Terminating"
    duration = ""
    if status.get("startTime"):
        end = status.get("completionTime")
        duration = human_duration(_seconds(status["startTime"], end)) if end else _since(status["startTime"])
    return [
        obj["metadata"]["name"], state, completions, duration, _age(obj), names, images,
        selectors.to_string(spec.get("selector") or {}) or _NONE,
    ]  # fmt: skip


def _seconds(start: str, end: str) -> float:
    began, ended = (datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (start, end))
    return (ended - began).total_seconds()


def _cron_job(obj: Object) -> Row:
    spec, status = obj["spec"], obj.get("status") or {}
    job = spec["jobTemplate"]["spec"]
    names, images = _containers(job["template"]["spec"])
    last = _since(status["lastScheduleTime"]) if status.get("lastScheduleTime") else _NONE
    return [
        obj["metadata"]["name"], spec["schedule"], spec.get("timeZone") or _NONE, str(spec.get("suspend", False)),
        len(status.get("active") or ()), last, _age(obj), names, images,
        selectors.to_string(job.get("selector") or {}) or _NONE,
    ]  # fmt: skip


def _replication_controller(obj: Object) -> Row:
    spec, status = obj["spec"], obj.get("status") or {}
    names, images = _containers(spec["template"]["spec"])
    return [
        obj["metadata"]["name"], spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0),
        _age(obj), names, images, ",".join(f"{k}={v}" for k, v in sorted((spec.get("selector") or {}).items())),
    ]  # fmt: skip


_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_UNSET = "<unset>"


def _modes(listed: Sequence[str] | None) -> str:
    return ",".join(_MODES.get(mode, mode) for mode in listed or ())


def _claim(obj: Object) -> Row:
    spec, status = obj["spec"], obj.get("status") or {}
    phase = "Terminating" if obj["metadata"].get("deletionTimestamp") else status.get("phase", "")
    bound = bool(spec.get("volumeName"))
    return [
        obj["metadata"]["name"], phase, spec.get("volumeName", ""),
        (status.get("capacity") or {}).get("storage", "") if bound else "",
        _modes(status.get("accessModes")) if bound else "", spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName", _UNSET), _age(obj), spec.get("volumeMode", _UNSET),
    ]  # fmt: skip


def _volume(obj: Object) -> Row:
    spec, status = obj["spec"], obj.get("status") or {}
    phase = "Terminating" if obj["metadata"].get("deletionTimestamp") else status.get("phase", "")
    reference = spec.get("claimRef")
    claim = f"{reference['namespace']}/{reference['name']}" if reference else ""
    return [
        obj["metadata"]["name"], (spec.get("capacity") or {}).get("storage", ""), _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""), phase, claim, spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName", _UNSET), status.get("reason", ""), _age(obj),
        spec.get("volumeMode", _UNSET),
    ]  # fmt: skip


def _ingress(obj: Object) -> Row:
    spec = obj["spec"]
    hosts = [rule["host"] for rule in spec.get("rules") or () if rule.get("host")]
    shown = hosts[:3] + ([f"+ {len(hosts) - 3} more..."] if len(hosts) > 3 else [])
    balancer = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [
        obj["metadata"]["name"], spec.get("ingressClassName") or _NONE, ",".join(shown) or "*",
        ",".join(each.get("ip") or each.get("hostname", "") for each in balancer),
        "80, 443" if spec.get("tls") else "80", _age(obj),
    ]  # fmt: skip


def _endpoints(obj: Object) -> Row:
    listed = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or ()
        for port in subset.get("ports") or ()
        for address in subset.get("addresses") or ()
    ]
    more = f" + {len(listed) - 3} more..." if len(listed) > 3 else ""
    return [obj["metadata"]["name"], ",".join(listed[:3]) + more or _NONE, _age(obj)]


def _storage_class(obj: Object) -> Row:
    default = (obj["metadata"].get("annotations") or {}).get("storageclass.kubernetes.io/is-default-class") == "true"
    return [
        obj["metadata"]["name"] + (" (default)" if default else ""), obj.get("provisioner", ""), obj["reclaimPolicy"],
        obj["volumeBindingMode"], str(obj.get("allowVolumeExpansion", False)).lower(), _age(obj),
    ]  # fmt: skip


_NAME = ("Name", "string", 0)
_AGE = ("Age", "string", 0)
_WIDE: Columns = [("Containers", "string", 1), ("Images", "string", 1), ("Selector", "string", 1)]

_SUBJECTS: Columns = [("Users", "string", 1), ("Groups", "string", 1), ("ServiceAccounts", "string", 1)]

_TABLES: dict[Resource, tuple[Columns, Callable[[Object], Row]]] = {
    resources.DEPLOYMENTS: (
        [_NAME, *((n, "string", 0) for n in ("Ready", "Up-to-date", "Available", "Age")), *_WIDE],
        _deployment,
    ),
    resources.REPLICASETS: (
        [_NAME, *((n, "integer", 0) for n in ("Desired", "Current", "Ready")), _AGE, *_WIDE],
        _replica_set,
    ),
    resources.STATEFULSETS: ([_NAME, ("Ready", "string", 0), _AGE, *_WIDE[:2]], _stateful_set),
    resources.DAEMONSETS: (
        [
            _NAME, *((n, "integer", 0) for n in ("Desired", "Current", "Ready", "Up-to-date", "Available")),
            ("Node Selector", "string", 0), _AGE, *_WIDE,
        ],
        _daemon_set,
    ),
    resources.CONTROLLERREVISIONS: (
        [_NAME, ("Controller", "string", 0), ("Revision", "string", 0), _AGE],
        _controller_revision,
    ),
    resources.PODS: (
        [
            _NAME, *((n, "string", 0) for n in ("Ready", "Status", "Restarts", "Age")),
            *((n, "string", 1) for n in ("IP", "Node", "Nominated Node", "Readiness Gates")),
        ],
        _pod,
    ),
    resources.SERVICES: (
        [
            _NAME, *((n, "string", 0) for n in ("Type", "Cluster-IP", "External-IP", "Port(s)", "Age")),
            ("Selector", "string", 1),
        ],
        _service,
    ),
    resources.ENDPOINTSLICES: (
        [_NAME, *((n, "string", 0) for n in ("AddressType", "Ports", "Endpoints", "Age"))],
        _endpoint_slice,
    ),
    resources.NODES: (
        [
            _NAME, *((n, "string", 0) for n in ("Status", "Roles", "Age", "Version")),
            *((n, "string", 1) for n in ("Internal-IP", "External-IP", "OS-Image", "Kernel-Version")),
            ("Container-Runtime", "string", 1),
        ],
        _node,
    ),
    resources.NAMESPACES: (
        [_NAME, ("Status", "string", 0), _AGE],
        lambda obj: [obj["metadata"]["name"], (obj.get("status") or {}).get("phase", ""), _age(obj)],
    ),
    resources.EVENTS: (
        [
            ("Last Seen", "string", 0), ("Type", "string", 0), ("Reason", "string", 0), ("Object", "string", 0),
            ("Subobject", "string", 1), ("Source", "string", 1), ("Message", "string", 0),
            ("First Seen", "string", 1), ("Count", "string", 1), ("Name", "string", 1),
        ],
        _event,
    ),
    resources.CONFIGMAPS: (
        [_NAME, ("Data", "string", 0), _AGE],
        lambda obj: [
            obj["metadata"]["name"], len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), _age(obj),
        ],
    ),
    resources.SECRETS: (
        [_NAME, ("Type", "string", 0), ("Data", "string", 0), _AGE],
        lambda obj: [obj["metadata"]["name"], obj.get("type"), len(obj.get("data") or ()), _age(obj)],
    ),
    resources.SERVICEACCOUNTS: (
        [_NAME, ("Secrets", "string", 0), _AGE],
        lambda obj: [obj["metadata"]["name"], str(len(obj.get("secrets") or ())), _age(obj)],
    ),
    resources.LEASES: (
        [_NAME, ("Holder", "string", 0), _AGE],
        lambda obj: [obj["metadata"]["name"], (obj.get("spec") or {}).get("holderIdentity", ""), _age(obj)],
    ),
    **dict.fromkeys(
        (resources.ROLEBINDINGS, resources.CLUSTERROLEBINDINGS),
        ([_NAME, ("Role", "string", 0), _AGE, *_SUBJECTS], _binding),
    ),
    resources.HORIZONTALPODAUTOSCALERS: (
        [
            _NAME, ("Reference", "string", 0), ("Targets", "string", 0), ("MinPods", "string", 0),
            ("MaxPods", "string", 0), ("Replicas", "string", 0), _AGE,
        ],
        _autoscaler,
    ),
    resources.JOBS: (
        [_NAME, *((n, "string", 0) for n in ("Status", "Completions", "Duration", "Age")), *_WIDE],
        _job,
    ),
    resources.CRONJOBS: (
        [
            _NAME, *((n, "string", 0) for n in ("Schedule", "Timezone")),
            ("Suspend", "boolean", 0), ("Active", "integer", 0),
            ("Last Schedule", "string", 0), _AGE, *_WIDE,
        ],
        _cron_job,
    ),
    RESOURCES["", "v1", "replicationcontrollers"]: (
        [_NAME, *((n, "integer", 0) for n in ("Desired", "Current", "Ready")), _AGE, *_WIDE],
        _replication_controller,
    ),
    resources.PERSISTENTVOLUMECLAIMS: (
        [
            _NAME,
            *(
                (n, "string", 0) for n in
                ("Status", "Volume", "Capacity", "Access Modes", "StorageClass", "VolumeAttributesClass", "Age")
            ),
            ("VolumeMode", "string", 1),
        ],
        _claim,
    ),
    RESOURCES["", "v1", "persistentvolumes"]: (
        [
            _NAME,
            *(
                (n, "string", 0) for n in (
                    "Capacity", "Access Modes", "Reclaim Policy", "Status", "Claim", "StorageClass",
                    "VolumeAttributesClass", "Reason", "Age",
                )
            ),
            ("VolumeMode", "string", 1),
        ],
        _volume,
    ),
    RESOURCES["storage.k8s.io", "v1", "storageclasses"]: (
        [
            _NAME,
            *((n, "string", 0) for n in ("Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion")),
            _AGE,
        ],
        _storage_class,
    ),
    RESOURCES["networking.k8s.io", "v1", "ingresses"]: (
        [_NAME, *((n, "string", 0) for n in ("Class", "Hosts", "Address", "Ports", "Age"))],
        _ingress,
    ),
    RESOURCES["networking.k8s.io", "v1", "networkpolicies"]: (
        [_NAME, ("Pod-Selector", "string", 0), _AGE],
        lambda obj: [
            obj["metadata"]["name"], selectors.to_string(obj["spec"].get("podSelector") or {}) or _NONE, _age(obj),
        ],
    ),
    resources.ENDPOINTS: ([_NAME, ("Endpoints", "string", 0), _AGE], _endpoints),
    resources.RESOURCEQUOTAS: ([_NAME, ("Request", "string", 0), ("Limit", "string", 0), _AGE], _quota),
    resources.PODDISRUPTIONBUDGETS: (
        [
            _NAME, ("Min Available", "string", 0), ("Max Unavailable", "string", 0),
            ("Allowed Disruptions", "integer", 0), _AGE,
        ],
        _budget,
    ),
}  # fmt: skip


def _created(obj: Object) -> Row:
    return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp", "")]


def _described(name: str) -> str:
    """What Kubernetes' own schema says of a field of the metadata."""
    text: str = schema.field(schema.definitions()[_META], name)["description"]
    return text


def _column(name: str, kind: str, description: str, priority: int = 0) -> Object:
    shown = {"name": name, "type": kind, "format": "name" if name == "Name" else ""}
    return {**shown, "description": description, "priority": priority}


def _custom_column(column: Object) -> Object:
    """A printer column as a table describes it."""
    path = column["jsonPath"]
    if column is _CREATED:
        description = _described("creationTimestamp")
    else:
        description = column.get("description") or f"Custom resource definition column (in JSONPath format): {path}"
    return _column(column["name"], column["type"], description, column.get("priority", 0))


def _custom_row(columns: Sequence[Object]) -> Callable[[Object], Row]:
    """The cells of an object of a definition, by its printer columns."""
    return lambda obj: [obj["metadata"]["name"], *(_custom_cell(obj, each) for each in columns)]


def scale(obj: Object) -> Object:
    """A Table of one Scale."""
    columns = [
        _named(), _column("Desired", "integer", "Number of desired replicas"),
        _column("Available", "integer", "Number of actual replicas"),
        _column("Age", "date", _described("creationTimestamp")),
    ]  # fmt: skip
    cells = [obj["metadata"]["name"], obj["spec"].get("replicas", 0), obj["status"]["replicas"], _age(obj)]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]},
        "columnDefinitions": columns,
        "rows": [{"cells": cells, "object": partial(obj)}],
    }


def _named() -> Object:
    return _column("Name", "string", _described("name"))


def _custom_cell(obj: Object, column: Object) -> Any:
    found = every(obj, column["jsonPath"])
    if not found or found[0] is None:
        return None
    value, kind = found[0], column["type"]
    if kind == "date":
        return _since(value) if isinstance(value, str) else "<invalid>"
    if kind in ("integer", "number", "boolean"):
        fits = (
            isinstance(value, bool)
            if kind == "boolean"
            else isinstance(value, (int, float)) and not isinstance(value, bool)
        )
        return value if fits else None
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"))


def table(
    resource: Resource, items: list[Object], meta: Object, *, include: str = "Metadata", columns: bool = True
) -> Object:
    """A meta.k8s.io/v1 Table of some objects; `include` is Metadata, Object or None."""
    resource = conversion.stored_as(resource)
    result: Object = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta}
    if resource.custom is not None:
        shown = resource.custom.columns or (_CREATED,)
        row = _custom_row(shown)
        result["columnDefinitions"] = [_named(), *map(_custom_column, shown)]
    else:
        definition, row = _TABLES.get(resource, ([_NAME, ("Created At", "date", 0)], _created))
        result["columnDefinitions"] = [
            {"name": name, "type": type_, "format": "name" if name == "Name" else "", "priority": priority}
            for name, type_, priority in definition
        ]
    if not columns:
        result["columnDefinitions"] = None
    result["rows"] = [{"cells": row(obj), **_row_conditions(resource, obj), **_included(obj, include)} for obj in items]
    return result


def _included(obj: Object, include: str) -> Object:
    if include == "None":
        return {"object": None}
    return {"object": obj if include == "Object" else partial(obj)}


def partial(obj: Object) -> Object:
    """A PartialObjectMetadata."""
    meta = obj["metadata"]
    if _CONVERTED in (meta.get("annotations") or {}):  # it is a field of what the API server works on
        kept = {key: value for key, value in meta["annotations"].items() if key != _CONVERTED}
        meta = {key: value for key, value in meta.items() if key != "annotations"}
        meta |= {"annotations": kept} if kept else {}
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta}
