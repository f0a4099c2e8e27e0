# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods and pod templates: defaults, what admission adds to a pod, validation."""

from __future__ import annotations

import secrets
from typing import Any

from .. import quantities
from ..errors import Cause
from ..store import Object
from .base import Kind, duplicate, required, unsupported, wrong
from .metadata import label_causes, name_causes, port_causes
from .pod_rules import rarer_causes

Spec = dict[str, Any]
_RESOURCE_NAMES = ("cpu", "memory", "ephemeral-storage")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
#: The alphabet of generated name suffixes: no vowels and no digits that look like letters.
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def random_suffix(length: int = 5) -> str:
    """A suffix as `generateName` appends it."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def containers_of(spec: Spec) -> list[Spec]:
    """Init containers and containers."""
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def default_spec(spec: Spec) -> None:
    """The defaults of a pod spec, in a pod or in a template."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    if spec.get("serviceAccountName"):
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
    for container in containers_of(spec):
        _default_container(container)
        for port in container.get("ports") or () if spec.get("hostNetwork") else ():
            port.setdefault("hostPort", port.get("containerPort"))
    for constraint in spec.get("topologySpreadConstraints") or ():
        constraint.setdefault("whenUnsatisfiable", "DoNotSchedule")
    for volume in spec.get("volumes") or ():
        _default_volume(volume)


def _default_container(container: Spec) -> None:
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    if "image" in container:
        _, _, tag = container["image"].rpartition("/")[2].partition(":")
        always = "@" not in container["image"] and tag in ("", "latest")
        container.setdefault("imagePullPolicy", "Always" if always else "IfNotPresent")
    else:
        container.setdefault("imagePullPolicy", "IfNotPresent")
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for name in _PROBES:
        if name in container:
            _default_probe(container[name])
    for hook in (container.get("lifecycle") or {}).values():
        _default_handler(hook)
    for variable in container.get("env") or ():
        source = (variable.get("valueFrom") or {}).get("fieldRef")
        if source is not None:
            source.setdefault("apiVersion", "v1")


def _default_handler(handler: Spec) -> None:
    if "httpGet" in handler:
        handler["httpGet"].setdefault("path", "/")
        handler["httpGet"].setdefault("scheme", "HTTP")
    if "grpc" in handler:
        handler["grpc"].setdefault("service", "")


def _default_probe(probe: Spec) -> None:
    _default_handler(probe)
    for key, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1)):
        probe[key] = probe.get(key) or value
    probe["failureThreshold"] = probe.get("failureThreshold") or 3


def _default_volume(volume: Spec) -> None:
    for source in ("secret", "configMap", "projected", "downwardAPI"):
        if source in volume:
            volume[source].setdefault("defaultMode", 420)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    for part in (volume.get("projected") or {}).get("sources") or ():
        if "serviceAccountToken" in part:
            part["serviceAccountToken"].setdefault("expirationSeconds", 3600)
        for item in (part.get("downwardAPI") or {}).get("items") or ():
            if "fieldRef" in item:
                item["fieldRef"].setdefault("apiVersion", "v1")
    if set(volume) == {"name"}:
        volume["emptyDir"] = {}


def validate_template(template: Object, field: str) -> list[Cause]:
    """What is wrong with a pod template, apart from its match with the selector."""
    meta = template.get("metadata") or {}
    return [
        *label_causes(meta.get("labels") or {}, f"{field}.metadata.labels"),
        *validate_spec(template.get("spec") or {}, f"{field}.spec"),
    ]


def validate_spec(spec: Spec, field: str) -> list[Cause]:
    """What is wrong with a pod spec."""
    causes: list[Cause] = []
    volumes: set[str] = set()
    for index, volume in enumerate(spec.get("volumes") or ()):
        where = f"{field}.volumes[{index}].name"
        if not volume.get("name"):
            causes.append(required(where))
            continue
        causes += name_causes(volume["name"], "label", where)
        if volume["name"] in volumes:
            causes.append(duplicate(where, volume["name"]))
        volumes.add(volume["name"])
    names: set[str] = set()
    if not spec.get("containers"):
        causes.append(required(f"{field}.containers"))
    for key in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(key) or ()):
            causes += _validate_container(container, f"{field}.{key}[{index}]", names, volumes)
    policy = spec.get("restartPolicy")
    if policy not in ("Always", "OnFailure", "Never"):
        causes.append(unsupported(f"{field}.restartPolicy", policy, ["Always", "OnFailure", "Never"]))
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        causes.append(_not_negative(f"{field}.terminationGracePeriodSeconds", spec["terminationGracePeriodSeconds"]))
    return causes + rarer_causes(spec, field)


def _not_negative(field: str, value: int) -> Cause:
    return wrong(field, value, "must be greater than or equal to 0")


def _validate_container(container: Spec, field: str, names: set[str], volumes: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    name = container.get("name")
    if not name:
        causes.append(required(f"{field}.name"))
    else:
        causes += name_causes(name, "label", f"{field}.name")
        if name in names:
            causes.append(duplicate(f"{field}.name", name))
        names.add(name)
    image = container.get("image")
    if not image:
        causes.append(required(f"{field}.image"))
    elif image != image.strip():
        causes.append(wrong(f"{field}.image", image, "must not have leading or trailing whitespace"))
    if container.get("imagePullPolicy") not in ("Always", "IfNotPresent", "Never"):
        causes.append(
            unsupported(f"{field}.imagePullPolicy", container["imagePullPolicy"], ["Always", "IfNotPresent", "Never"])
        )
    causes += _validate_ports(container.get("ports") or [], f"{field}.ports")
    for index, variable in enumerate(container.get("env") or ()):
        if not variable.get("name"):
            causes.append(required(f"{field}.env[{index}].name"))
    mounted: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        where = f"{field}.volumeMounts[{index}]"
        if mount.get("name") not in volumes:
            causes.append(Cause("FieldValueNotFound", f'Not found: "{mount.get("name", "")}"', f"{where}.name"))
        if not mount.get("mountPath"):
            causes.append(required(f"{where}.mountPath"))
        elif mount["mountPath"] in mounted:
            causes.append(wrong(f"{where}.mountPath", mount["mountPath"], "must be unique"))
        mounted.add(mount.get("mountPath", ""))
    for probe in _PROBES:
        if probe in container:
            causes += _validate_probe(container[probe], f"{field}.{probe}", readiness=probe == "readinessProbe")
    for hook, handler in (container.get("lifecycle") or {}).items():
        if isinstance(handler, dict):
            causes += _validate_handler(handler, f"{field}.lifecycle.{hook}")
    causes += _validate_resources(container.get("resources") or {}, f"{field}.resources")
    return causes


def _validate_ports(ports: list[Spec], field: str) -> list[Cause]:
    causes: list[Cause] = []
    names: set[str] = set()
    for index, port in enumerate(ports):
        where = f"{field}[{index}]"
        if port.get("name"):
            causes += port_causes(port["name"], f"{where}.name")
            if port["name"] in names:
                causes.append(duplicate(f"{where}.name", port["name"]))
            names.add(port["name"])
        number = port.get("containerPort", 0)
        if not number:
            causes.append(required(f"{where}.containerPort"))
        elif not 0 < number < 65536:
            causes.append(wrong(f"{where}.containerPort", number, "must be between 1 and 65535, inclusive"))
        if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
            causes.append(unsupported(f"{where}.protocol", port.get("protocol"), ["SCTP", "TCP", "UDP"]))
    return causes


def _validate_probe(probe: Spec, field: str, *, readiness: bool) -> list[Cause]:
    causes = [
        _not_negative(f"{field}.{key}", probe[key])
        for key in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
        if probe.get(key, 0) < 0
    ]
    causes = _validate_handler(probe, field) + causes
    if not readiness and probe.get("successThreshold", 1) != 1:
        causes.append(wrong(f"{field}.successThreshold", probe["successThreshold"], "must be 1"))
    return causes


_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")


def _validate_handler(handler: Spec, field: str) -> list[Cause]:
    """What is wrong with what a probe or a lifecycle hook does."""
    given = [key for key in _HANDLERS if key in handler]
    if not given:
        return [required(field, "must specify a handler type")]
    causes = [
        Cause("FieldValueForbidden", "Forbidden: may not specify more than 1 handler type", f"{field}.{key}")
        for key in given[1:]
    ]
    first = given[0]
    body, where = handler[first], f"{field}.{first}"
    if first == "exec" and not body.get("command"):
        causes.append(required(f"{where}.command"))
    if first in ("httpGet", "tcpSocket", "grpc"):
        causes += port_causes(body.get("port", 0), f"{where}.port")
    if first == "httpGet" and body["scheme"] not in ("HTTP", "HTTPS"):
        causes.append(unsupported(f"{where}.scheme", body["scheme"], ["HTTP", "HTTPS"]))
    return causes


def _validate_resources(resources: Spec, field: str) -> list[Cause]:
    causes: list[Cause] = []
    limits = resources.get("limits") or {}
    for key in ("limits", "requests"):
        for name, value in (resources.get(key) or {}).items():
            if "/" not in name and not name.startswith("hugepages-") and name not in _RESOURCE_NAMES:
                where = f"{field}.{key}[{name}]"
                causes.append(wrong(where, name, "must be a standard resource type or fully qualified"))
                causes.append(wrong(where, name, "must be a standard resource for containers"))
            if quantities.parse(value) < 0:
                causes.append(_not_negative(f"{field}.{key}[{name}]", value))
    for name, value in (resources.get("requests") or {}).items():
        if name in limits and quantities.parse(value) > quantities.parse(limits[name]):
            causes.append(
                wrong(f"{field}.requests", value, f"must be less than or equal to {name} limit of {limits[name]}")
            )
    return causes


def qos_class(spec: Spec) -> str:
    """Guaranteed, Burstable or BestEffort, from the requests and limits of all containers."""
    requests = [(c.get("resources") or {}).get("requests") or {} for c in containers_of(spec)]
    limits = [(c.get("resources") or {}).get("limits") or {} for c in containers_of(spec)]
    if not any(requests) and not any(limits):
        return "BestEffort"
    for request, limit in zip(requests, limits, strict=True):
        for name in ("cpu", "memory"):
            if name not in limit or quantities.parse(request.get(name, limit[name])) != quantities.parse(limit[name]):
                return "Burstable"
    return "Guaranteed"


class PodKind(Kind):
    """A pod: a template's defaults, and what admission adds."""

    has_generation = True

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        default_spec(spec)
        spec.setdefault("enableServiceLinks", True)
        for container in containers_of(spec):
            resources = container["resources"]
            if resources.get("limits"):
                requests = resources.setdefault("requests", {})
                for name, value in resources["limits"].items():
                    requests.setdefault(name, value)

    def prepare_create(self, obj: Object) -> None:
        spec = obj["spec"]
        tolerations = spec.setdefault("tolerations", [])
        for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
            if not any(term.get("key") == key and term.get("effect") == "NoExecute" for term in tolerations):
                tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
        obj["status"] = {"phase": "Pending", "qosClass": qos_class(spec)}
        if spec.get("schedulingGates"):
            gated = {
                "type": "PodScheduled", "status": "False", "lastProbeTime": None,
                "lastTransitionTime": obj["metadata"]["creationTimestamp"], "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }  # fmt: skip
            obj["status"]["conditions"] = [gated]

    def default_status(self, obj: Object) -> None:
        for condition in obj["status"].get("conditions") or ():  # Go writes these two out in any case
            condition.setdefault("lastProbeTime", None)
            condition.setdefault("lastTransitionTime", None)

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        causes = validate_spec(obj.get("spec") or {}, "spec")
        if old is not None:
            gates, before = (spec["spec"].get("schedulingGates") or [] for spec in (obj, old))
            if any(gate not in before for gate in gates):
                message = "Forbidden: only deletion is allowed, but found new scheduling gate"
                causes.append(Cause("FieldValueForbidden", message, "spec.schedulingGates"))
        if old is not None and not causes and _fixed(obj["spec"]) != _fixed(old["spec"]):
            causes.append(
                Cause(
                    "FieldValueForbidden",
                    "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
                    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
                    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be "
                    "set to 1 if it was previously negative)",
                    "spec",
                )
            )
        return causes


#: What of a pod's spec has rules of its own for updates, or is the scheduler's to set.
_CHANGEABLE = (
    "tolerations", "activeDeadlineSeconds", "nodeName", "containers", "initContainers", "schedulingGates",
)  # fmt: skip


def _fixed(spec: Spec) -> Spec:
    """What of a pod's spec no update may change; binding to a node is a write of the scheduler."""
    fixed = {key: value for key, value in spec.items() if key not in _CHANGEABLE}
    for key in ("containers", "initContainers"):
        fixed[key] = [{k: v for k, v in item.items() if k != "image"} for item in spec.get(key) or ()]
    return fixed


def mount_token(spec: Spec) -> None:
    """The ServiceAccount admission's token volume, as the recorded cluster projects it."""
    if any(volume["name"].startswith("kube-api-access-") for volume in spec.get("volumes") or ()):
        return
    name = f"kube-api-access-{random_suffix()}"
    spec.setdefault("volumes", []).append(
        {
            "name": name,
            "projected": {
                "sources": [
                    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                    {
                        "configMap": {
                            "name": "kube-root-ca.crt",
                            "items": [{"key": "ca.crt", "path": "ca.crt"}],
                        }
                    },
                    {
                        "downwardAPI": {
                            "items": [
                                {
                                    "path": "namespace",
                                    "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                                }
                            ]
                        }
                    },
                    {
                        "configMap": {
                            "name": "openshift-service-ca.crt",
                            "items": [{"key": "service-ca.crt", "path": "service-ca.crt"}],
                        }
                    },
                ],
                "defaultMode": 420,
            },
        }
    )
    for container in containers_of(spec):
        container.setdefault("volumeMounts", []).append(
            {"name": name, "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
        )
