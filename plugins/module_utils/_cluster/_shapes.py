# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What objects of the API server are like, as far as this collection reads them. Pure functions of plain data.

An answer is checked against this once, where it comes in, so that what reads it can rely on it: fields that are there
are of their type, and those that every object of a kind has are there. Null counts as missing, and is taken away.
"""

from __future__ import annotations

import re
import typing as t
from datetime import datetime

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure

Check = t.Callable[[t.Any], None]  #: of a value; raises Unfit
Object = t.Dict[str, t.Any]

QUANTITY = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3}|[numkMGTPE]|[KMGTPE]i)?", re.ASCII)
SHARE = re.compile(r"\d{1,9}%?", re.ASCII)
REVISION = "deployment.kubernetes.io/revision"  #: an annotation that is a number
INSTANT = "%Y-%m-%dT%H:%M:%SZ"


class Unfit(Exception):
    """What is not as it is in every object of its kind: where, and what it should be."""

    def __init__(self, wanted: str, missing: bool = False) -> None:
        super().__init__(wanted)
        self.wanted, self.missing = wanted, missing
        self.path: list[str] = []  #: from the object to what is wrong in it

    def below(self, part: str) -> Unfit:
        """The same, seen from one level higher."""
        self.path.insert(0, part)
        return self

    def __str__(self) -> str:
        where = "".join(part if part.startswith("[") else f".{part}" for part in self.path).lstrip(".")
        if self.missing:
            return f"has no {where}"
        return f"has a {where} that is not {self.wanted}" if where else f"is not {self.wanted}"


# -- what a value can be -----------------------------------------------------------------------------------------------


def _is(value: t.Any, kind: type) -> bool:
    """Whether a value is of a type of JSON; what Ansible hands over is of its own classes of these types."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _of(kind: type, wanted: str) -> Check:
    def check(value: t.Any) -> None:
        if not _is(value, kind):
            raise Unfit(wanted)

    return check


text, number, truth = _of(str, "a text"), _of(int, "a whole number"), _of(bool, "true or false")


def quantity(value: t.Any) -> None:
    """A quantity such as 200m or 10Mi; a plain number is one, too."""
    if not _is(value, int) and not (_is(value, str) and QUANTITY.fullmatch(value)):
        raise Unfit("a quantity such as 200m or 10Mi")


def share(value: t.Any) -> None:
    """A number of pods or a share of them."""
    if not (_is(value, int) and value >= 0) and not (_is(value, str) and SHARE.fullmatch(value)):
        raise Unfit("a number or a percentage")


def instant(value: t.Any) -> None:
    """A time."""
    try:
        datetime.strptime(value, INSTANT)
    except (TypeError, ValueError):
        raise Unfit("a time such as 2026-01-31T12:00:00Z") from None


def one_of(*values: str) -> Check:
    """One of some texts."""

    def check(value: t.Any) -> None:
        if value not in values:
            raise Unfit("one of " + ", ".join(values))

    return check


def anything(value: t.Any) -> None:
    """Whatever is there."""


def named(inner: t.Mapping[str, Check], needed: t.Collection[str] = ()) -> Check:
    """An object with these fields; those that are needed are in every such object."""
    known = [(name, name in needed, check) for name, check in inner.items()]

    def check(value: t.Any) -> None:
        if not _is(value, dict):
            raise Unfit("an object")
        for name, required, inside in known:
            found = value.get(name)
            if found is None:
                if required:
                    raise Unfit("there", missing=True).below(name)
                value.pop(name, None)
                continue
            try:
                inside(found)
            except Unfit as unfit:
                raise unfit.below(name) from None

    return check


def mapping(inside: Check) -> Check:
    """An object whose fields have names of their own, and values of one kind."""

    def check(value: t.Any) -> None:
        if not _is(value, dict):
            raise Unfit("an object")
        for name, found in value.items():
            try:
                inside(found)
            except Unfit as unfit:
                raise unfit.below(f"[{name!r}]") from None

    return check


def several(inside: Check, least: int = 0) -> Check:
    """A list of values of one kind."""

    def check(value: t.Any) -> None:
        if not _is(value, list):
            raise Unfit("a list")
        if len(value) < least:
            raise Unfit(f"a list of {least} or more")
        for place, found in enumerate(value):
            try:
                inside(found)
            except Unfit as unfit:
                raise unfit.below(f"[{place}]") from None

    return check


# -- the objects -------------------------------------------------------------------------------------------------------

texts = mapping(text)
quantities = mapping(quantity)


def _annotations(value: t.Any) -> None:
    texts(value)
    if not value.get(REVISION, "0").isdecimal():
        raise Unfit("a number").below(f"[{REVISION!r}]")


_meta: dict[str, Check] = {
    "name": text,
    "namespace": text,
    "uid": text,
    "resourceVersion": text,
    "generation": number,
    "labels": texts,
    "annotations": _annotations,
    "ownerReferences": several(named({"uid": text, "controller": truth, "kind": text, "name": text})),
    "creationTimestamp": instant,
    "deletionTimestamp": text,
}
metadata = named(_meta, {"name"})
identity = named({"metadata": named({"uid": text, "resourceVersion": text}, {"uid", "resourceVersion"})}, {"metadata"})
version = named({"metadata": named({"resourceVersion": text}, {"resourceVersion"})}, {"metadata"})

conditions = several(named({"type": text, "status": text, "reason": text, "message": text}, {"type", "status"}))
resources = named({"limits": quantities, "requests": quantities})
_hook = named(
    {
        "exec": named({"command": several(text)}),
        "sleep": named({"seconds": number}),
        "httpGet": named({}),
        "tcpSocket": named({}),
    }
)
_container: dict[str, Check] = {
    "name": text,
    "image": text,
    "resources": resources,
    "restartPolicy": text,
    "ports": several(
        named({"name": text, "containerPort": number, "hostPort": number, "hostIP": text, "protocol": text})
    ),
    "lifecycle": named({"preStop": _hook}),
}
container = named(_container, {"name", "image"})
_operators = one_of("In", "NotIn", "Exists", "DoesNotExist")
selector = named(
    {
        "matchLabels": texts,
        "matchExpressions": several(
            named({"key": text, "operator": _operators, "values": several(text)}, {"key", "operator"})
        ),
    }
)
_rule = named({"key": text, "operator": text, "values": several(text)}, {"key", "operator"})
_term = named({"matchExpressions": several(_rule), "matchFields": several(_rule)})
_pods = {
    "topologyKey": text,
    "labelSelector": selector,
    "namespaces": several(text),
    "namespaceSelector": selector,
    "matchLabelKeys": several(text),
    "mismatchLabelKeys": several(text),
}
_of_pods = named({"requiredDuringSchedulingIgnoredDuringExecution": several(named(_pods, {"topologyKey"}))})
affinity = named(
    {
        "nodeAffinity": named(
            {"requiredDuringSchedulingIgnoredDuringExecution": named({"nodeSelectorTerms": several(_term)})}
        ),
        "podAffinity": _of_pods,
        "podAntiAffinity": _of_pods,
    }
)
_spread = named(
    {
        "maxSkew": number,
        "minDomains": number,
        "topologyKey": text,
        "whenUnsatisfiable": text,
        "labelSelector": selector,
        "matchLabelKeys": several(text),
        "nodeAffinityPolicy": text,
        "nodeTaintsPolicy": text,
    },
    {"maxSkew", "topologyKey"},
)
_pod: dict[str, Check] = {
    "containers": several(container, 1),
    "initContainers": several(container),
    "nodeName": text,
    "nodeSelector": texts,
    "affinity": affinity,
    "tolerations": several(named({"key": text, "operator": text, "value": text, "effect": text})),
    "overhead": quantities,
    "resources": resources,
    "activeDeadlineSeconds": number,
    "terminationGracePeriodSeconds": number,
    "priorityClassName": text,
    "runtimeClassName": text,
    "schedulerName": text,
    "hostNetwork": truth,
    "topologySpreadConstraints": several(_spread),
    "volumes": several(named({"name": text}, {"name"})),
}
pod_spec = named(_pod, {"containers"})
_own_metadata = named({"labels": texts, "annotations": texts})
template = named({"metadata": _own_metadata, "spec": pod_spec}, {"spec"})

#: A pod template as a user gives it, of which the API server says itself what is missing.
_asked_for = named({"limits": mapping(anything), "requests": mapping(anything)})
_given_container = named({**_container, "resources": _asked_for})
given_template = named(
    {
        "metadata": _own_metadata,
        "spec": named(
            {
                **_pod,
                "containers": several(_given_container),
                "initContainers": several(_given_container),
                "resources": _asked_for,
                "overhead": mapping(anything),
            }
        ),
    }
)

_rolling = named({"maxSurge": share, "maxUnavailable": share, "partition": number})
_workload_spec: dict[str, Check] = {
    "replicas": number,
    "paused": truth,
    "minReadySeconds": number,
    "progressDeadlineSeconds": number,
    "revisionHistoryLimit": number,
    "selector": selector,
    "template": template,
    "strategy": named({"type": text, "rollingUpdate": _rolling}),
    "updateStrategy": named({"type": text, "rollingUpdate": _rolling}),
}


def _written(value: t.Any) -> None:
    """What managedFields have of fields: objects in objects."""
    if not _is(value, dict):
        raise Unfit("an object")
    for found in value.values():
        _written(found)


_managers = several(
    named({"manager": text, "operation": text, "time": text, "subresource": text, "fieldsV1": _written})
)
_counts = (
    *("observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas"),
    *("unavailableReplicas", "desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled"),
    *("numberReady", "numberAvailable"),
)
_workload_status = named(
    {
        **dict.fromkeys(_counts, number),
        "conditions": conditions,
        "updateRevision": text,
        "currentRevision": text,
    }
)


def _object(needed: t.Collection[str] = (), /, **inner: Check) -> Check:
    return named({"metadata": metadata, **inner}, {"metadata", *needed})


_written_metadata = named({**_meta, "managedFields": _managers}, {"name"})


def _workload(*needed: str) -> Check:
    inner = {"metadata": _written_metadata, "spec": named(_workload_spec, needed), "status": _workload_status}
    return named(inner, {"metadata", "spec"})


_container_status = several(
    named(
        {
            "name": text,
            "restartCount": number,
            "state": named({"waiting": named({"reason": text, "message": text})}),
            "lastState": named({"terminated": named({"reason": text, "message": text, "exitCode": number})}),
        },
        {"name"},
    )
)
_port = named(
    {"port": number, "name": text, "protocol": text, "appProtocol": text, "nodePort": number, "targetPort": anything},
    {"port"},
)
_ingress = named(
    {"ip": text, "hostname": text, "ports": several(named({"port": number, "protocol": text, "error": text}))}
)
_remembered = named(
    {
        "metadata": _own_metadata,
        "spec": named({"containers": several(named({"name": text, "image": text})), "initContainers": anything}),
    }
)
_scope = named({"scopeName": text, "operator": text, "values": several(text)}, {"scopeName", "operator"})

_LIMITS = ("default", "defaultRequest", "min", "max", "maxLimitRequestRatio")

#: By the plural that a path has: the kind, and what its objects are like.
KINDS: dict[str, tuple[str, Check]] = {
    "deployments": ("Deployment", _workload("selector", "template")),
    "statefulsets": ("StatefulSet", _workload("selector", "template")),
    "daemonsets": ("DaemonSet", _workload("selector", "template")),
    "replicasets": ("ReplicaSet", _workload("template")),
    "controllerrevisions": (
        "ControllerRevision",
        _object(data=named({"spec": named({"template": _remembered})}), revision=number),
    ),
    "pods": (
        "Pod",
        _object(
            ["spec"],
            spec=pod_spec,
            status=named(
                {
                    "phase": text,
                    "conditions": conditions,
                    "containerStatuses": _container_status,
                    "initContainerStatuses": _container_status,
                }
            ),
        ),
    ),
    "services": (
        "Service",
        _object(
            ["spec"],
            metadata=_written_metadata,
            spec=named(
                {
                    "selector": texts,
                    "ports": several(_port),
                    "type": text,
                    "clusterIP": text,
                    "sessionAffinity": text,
                    "externalTrafficPolicy": text,
                    "internalTrafficPolicy": text,
                    "trafficDistribution": text,
                }
            ),
            status=named({"loadBalancer": named({"ingress": several(_ingress)})}),
        ),
    ),
    "endpointslices": (
        "EndpointSlice",
        _object(
            endpoints=several(
                named(
                    {
                        "addresses": several(text),
                        "conditions": named({"ready": truth, "serving": truth, "terminating": truth}),
                        "targetRef": named({"kind": text, "name": text}),
                    }
                )
            )
        ),
    ),
    "nodes": (
        "Node",
        _object(
            spec=named(
                {"unschedulable": truth, "taints": several(named({"key": text, "value": text, "effect": text}))}
            ),
            status=named({"allocatable": quantities, "conditions": conditions}),
        ),
    ),
    "resourcequotas": (
        "ResourceQuota",
        _object(
            spec=named(
                {
                    "hard": quantities,
                    "scopes": several(text),
                    "scopeSelector": named({"matchExpressions": several(_scope)}),
                },
            ),
            status=named({"hard": quantities, "used": quantities}),
        ),
    ),
    "limitranges": (
        "LimitRange",
        _object(
            spec=named(
                {"limits": several(named({"type": text, **dict.fromkeys(_LIMITS, quantities)}))},
            ),
        ),
    ),
    "priorityclasses": ("PriorityClass", _object(globalDefault=truth)),
    "runtimeclasses": (
        "RuntimeClass",
        _object(
            overhead=named({"podFixed": quantities}),
            scheduling=named({"nodeSelector": texts, "tolerations": several(named({"key": text, "effect": text}))}),
        ),
    ),
    "poddisruptionbudgets": (
        "PodDisruptionBudget",
        _object(
            ["spec"],
            spec=named({"selector": selector, "minAvailable": share, "maxUnavailable": share}),
            status=named({"disruptionsAllowed": number}),
        ),
    ),
    "horizontalpodautoscalers": (
        "HorizontalPodAutoscaler",
        _object(
            ["spec"],
            spec=named(
                {
                    "scaleTargetRef": named({"kind": text, "name": text, "apiVersion": text}),
                    "minReplicas": number,
                    "maxReplicas": number,
                },
                {"maxReplicas"},
            ),
        ),
    ),
    "leases": (
        "Lease",
        named(
            {
                "metadata": named(_meta, {"name", "resourceVersion"}),
                "spec": named(
                    {
                        "holderIdentity": text,
                        "acquireTime": text,
                        "renewTime": text,
                        "leaseDurationSeconds": number,
                        "leaseTransitions": number,
                    }
                ),
            },
            {"metadata"},
        ),
    ),
    "events": (
        "Event",
        named(
            {
                "metadata": named(_meta),
                "reason": text,
                "message": text,
                "lastTimestamp": text,
                "eventTime": text,
            },
            {"metadata"},
        ),
    ),
    "selfsubjectaccessreviews": ("SelfSubjectAccessReview", named({"status": named({"allowed": truth})})),
}


def _schema(value: t.Any) -> None:
    _a_schema(value)


def _values(value: t.Any) -> None:
    if not _is(value, bool):
        _schema(value)


_a_schema = named(
    {
        "$ref": text,
        "type": text,
        "description": text,
        "properties": mapping(_schema),
        "items": _schema,
        "additionalProperties": _values,
        "allOf": several(_schema),
        "required": several(text),
        "enum": several(anything),
        "externalDocs": named({"description": text, "url": text}),
        "x-kubernetes-group-version-kind": several(anything),
    }
)
_resource = named(
    {"name": text, "kind": text, "singularName": text, "shortNames": several(text), "namespaced": truth},
    {"name", "kind"},
)
_preferred = named({"preferredVersion": named({"groupVersion": text}, {"groupVersion"})}, {"preferredVersion"})

#: By what a path is like: what an answer is called, and what it is like.
DOCUMENTS: list[tuple[re.Pattern[str], str, Check]] = [
    (re.compile(r"/apis"), "APIGroupList", named({"groups": several(_preferred)})),
    (re.compile(r"/api/[^/]+|/apis/[^/]+/[^/]+"), "APIResourceList", named({"resources": several(_resource)})),
    (
        re.compile(r"/openapi/v3"),
        "index of its OpenAPI documents",
        named({"paths": mapping(named({"serverRelativeURL": text}, {"serverRelativeURL"}))}),
    ),
    (
        re.compile(r"/openapi/v3/.*"),
        "OpenAPI document",
        named({"components": named({"schemas": mapping(_schema)})}),
    ),
]


class Place(t.NamedTuple):
    """What a path leads to."""

    kind: str
    check: Check
    single: bool  #: one object, and not a list


def place(path: str) -> Place | None:
    """What is known of the answers at a path, None where nothing is."""
    for pattern, name, check in DOCUMENTS:
        if pattern.fullmatch(path):
            return Place(name, check, True)
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if parts[:1] == ["namespaces"] and len(parts) > 2:
        parts = parts[2:]
    if not parts or len(parts) > 2 or parts[0] not in KINDS:
        return None
    return Place(*KINDS[parts[0]], single=len(parts) == 2)


def check_template(asked: t.Any) -> None:
    """Raise Failure where a pod template that a user gives can be none."""
    try:
        given_template(asked)
    except Unfit as why:
        raise Failure(f"template {why}; give it as a Deployment has it in spec.template.") from None


def name_of(item: t.Any) -> str:
    """An object's name in a message, as far as it has one."""
    found = item.get("metadata") if isinstance(item, dict) else None
    name = found.get("name") if isinstance(found, dict) else None
    return f" {name}" if isinstance(name, str) and name.isprintable() else ""
