"""Kubernetes' protobuf bodies: what kubectl's typed clients send, decoded to plain objects.

Only requests are decoded; answers are JSON, which those clients accept as well. The tables give the
field numbers of the messages; source: the `generated.proto` files that Kubernetes publishes with its
API types. A field that a table does not have is refused by name of its message, never dropped.
"""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Iterator
from typing import Any

from .errors import ApiError, bad_request

MAGIC = b"k8s\x00"

_MessageTable = dict[int, tuple[str, str]]

#: Message to field number to (JSON name, type). Types: string, bytes, int, bool, time, quantity,
#: intorstring, fieldsv1, message names; a prefix `[]` repeats, `{}` maps strings to the type.
_MESSAGES: dict[str, _MessageTable] = {
    "ObjectMeta": {
        1: ("name", "string"), 2: ("generateName", "string"), 3: ("namespace", "string"),
        4: ("selfLink", "string"), 5: ("uid", "string"), 6: ("resourceVersion", "string"),
        7: ("generation", "int"), 8: ("creationTimestamp", "time"), 9: ("deletionTimestamp", "time"),
        10: ("deletionGracePeriodSeconds", "int"), 11: ("labels", "{}string"),
        12: ("annotations", "{}string"), 13: ("ownerReferences", "[]OwnerReference"),
        14: ("finalizers", "[]string"), 17: ("managedFields", "[]ManagedFieldsEntry"),
    },
    "OwnerReference": {
        1: ("kind", "string"), 3: ("name", "string"), 4: ("uid", "string"), 5: ("apiVersion", "string"),
        6: ("controller", "bool"), 7: ("blockOwnerDeletion", "bool"),
    },
    "ManagedFieldsEntry": {
        1: ("manager", "string"), 2: ("operation", "string"), 3: ("apiVersion", "string"),
        4: ("time", "time"), 6: ("fieldsType", "string"), 7: ("fieldsV1", "fieldsv1"), 8: ("subresource", "string"),
    },
    "Namespace": {1: ("metadata", "ObjectMeta"), 2: ("spec", "NamespaceSpec"), 3: ("status", "NamespaceStatus")},
    "NamespaceSpec": {1: ("finalizers", "[]string")},
    "NamespaceStatus": {1: ("phase", "string")},
    "Secret": {
        1: ("metadata", "ObjectMeta"), 2: ("data", "{}bytes"), 3: ("type", "string"),
        4: ("stringData", "{}string"), 5: ("immutable", "bool"),
    },
    "ConfigMap": {
        1: ("metadata", "ObjectMeta"), 2: ("data", "{}string"), 3: ("binaryData", "{}bytes"),
        4: ("immutable", "bool"),
    },
    "ServiceAccount": {1: ("metadata", "ObjectMeta"), 4: ("automountServiceAccountToken", "bool")},
    "ResourceQuota": {
        1: ("metadata", "ObjectMeta"), 2: ("spec", "ResourceQuotaSpec"), 3: ("status", "ResourceQuotaStatus"),
    },
    "ResourceQuotaSpec": {1: ("hard", "{}quantity"), 2: ("scopes", "[]string")},
    "ResourceQuotaStatus": {1: ("hard", "{}quantity"), 2: ("used", "{}quantity")},
    "PodDisruptionBudget": {
        1: ("metadata", "ObjectMeta"), 2: ("spec", "PodDisruptionBudgetSpec"),
        3: ("status", "PodDisruptionBudgetStatus"),
    },
    "PodDisruptionBudgetSpec": {
        1: ("minAvailable", "intorstring"), 2: ("selector", "LabelSelector"), 3: ("maxUnavailable", "intorstring"),
        4: ("unhealthyPodEvictionPolicy", "string"),
    },
    "PodDisruptionBudgetStatus": {
        1: ("observedGeneration", "int"), 3: ("disruptionsAllowed", "int"), 4: ("currentHealthy", "int"),
        5: ("desiredHealthy", "int"), 6: ("expectedPods", "int"),
    },
    "LabelSelector": {
        1: ("matchLabels", "{}string"), 2: ("matchExpressions", "[]LabelSelectorRequirement"),
    },
    "LabelSelectorRequirement": {1: ("key", "string"), 2: ("operator", "string"), 3: ("values", "[]string")},
    "Service": {1: ("metadata", "ObjectMeta"), 2: ("spec", "ServiceSpec"), 3: ("status", "ServiceStatus")},
    "ServiceSpec": {
        1: ("ports", "[]ServicePort"), 2: ("selector", "{}string"), 3: ("clusterIP", "string"),
        4: ("type", "string"), 5: ("externalIPs", "[]string"), 7: ("sessionAffinity", "string"),
        8: ("loadBalancerIP", "string"), 9: ("loadBalancerSourceRanges", "[]string"),
        10: ("externalName", "string"), 11: ("externalTrafficPolicy", "string"),
        12: ("healthCheckNodePort", "int"), 13: ("publishNotReadyAddresses", "bool"),
        17: ("ipFamilyPolicy", "string"), 18: ("clusterIPs", "[]string"), 19: ("ipFamilies", "[]string"),
        20: ("allocateLoadBalancerNodePorts", "bool"), 21: ("loadBalancerClass", "string"),
        22: ("internalTrafficPolicy", "string"),
    },
    "ServicePort": {
        1: ("name", "string"), 2: ("protocol", "string"), 3: ("port", "int"), 4: ("targetPort", "intorstring"),
        5: ("nodePort", "int"), 6: ("appProtocol", "string"),
    },
    "ServiceStatus": {1: ("loadBalancer", "LoadBalancerStatus")},
    "LoadBalancerStatus": {},
    "Deployment": {
        1: ("metadata", "ObjectMeta"), 2: ("spec", "DeploymentSpec"), 3: ("status", "DeploymentStatus"),
    },
    "DeploymentSpec": {
        1: ("replicas", "int"), 2: ("selector", "LabelSelector"), 3: ("template", "PodTemplateSpec"),
        4: ("strategy", "DeploymentStrategy"), 5: ("minReadySeconds", "int"), 6: ("revisionHistoryLimit", "int"),
        7: ("paused", "bool"), 9: ("progressDeadlineSeconds", "int"),
    },
    "DeploymentStrategy": {1: ("type", "string"), 2: ("rollingUpdate", "RollingUpdateDeployment")},
    "RollingUpdateDeployment": {1: ("maxUnavailable", "intorstring"), 2: ("maxSurge", "intorstring")},
    "DeploymentStatus": {
        1: ("observedGeneration", "int"), 2: ("replicas", "int"), 3: ("updatedReplicas", "int"),
        4: ("availableReplicas", "int"), 5: ("unavailableReplicas", "int"), 7: ("readyReplicas", "int"),
    },
    "PodTemplateSpec": {1: ("metadata", "ObjectMeta"), 2: ("spec", "PodSpec")},
    "PodSpec": {
        2: ("containers", "[]Container"), 3: ("restartPolicy", "string"),
        4: ("terminationGracePeriodSeconds", "int"), 6: ("dnsPolicy", "string"), 7: ("nodeSelector", "{}string"),
        8: ("serviceAccountName", "string"), 10: ("nodeName", "string"), 11: ("hostNetwork", "bool"),
        12: ("hostPID", "bool"), 13: ("hostIPC", "bool"), 14: ("securityContext", "PodSecurityContext"),
        16: ("hostname", "string"), 17: ("subdomain", "string"), 19: ("schedulerName", "string"),
    },
    "PodSecurityContext": {},
    "Container": {
        1: ("name", "string"), 2: ("image", "string"), 3: ("command", "[]string"), 4: ("args", "[]string"),
        5: ("workingDir", "string"), 6: ("ports", "[]ContainerPort"), 7: ("env", "[]EnvVar"),
        8: ("resources", "ResourceRequirements"), 13: ("terminationMessagePath", "string"),
        14: ("imagePullPolicy", "string"), 16: ("stdin", "bool"), 17: ("stdinOnce", "bool"), 18: ("tty", "bool"),
        20: ("terminationMessagePolicy", "string"),
    },
    "ContainerPort": {
        1: ("name", "string"), 2: ("hostPort", "int"), 3: ("containerPort", "int"), 4: ("protocol", "string"),
        5: ("hostIP", "string"),
    },
    "EnvVar": {1: ("name", "string"), 2: ("value", "string")},
    "ResourceRequirements": {1: ("limits", "{}quantity"), 2: ("requests", "{}quantity")},
    "DeleteOptions": {
        1: ("gracePeriodSeconds", "int"), 2: ("preconditions", "Preconditions"), 3: ("orphanDependents", "bool"),
        4: ("propagationPolicy", "string"), 5: ("dryRun", "[]string"),
    },
    "SelfSubjectReview": {1: ("metadata", "ObjectMeta"), 2: ("status", "SelfSubjectReviewStatus")},
    "SelfSubjectReviewStatus": {1: ("userInfo", "UserInfo")},
    "UserInfo": {1: ("username", "string"), 2: ("uid", "string"), 3: ("groups", "[]string")},
    "SelfSubjectAccessReview": {
        1: ("metadata", "ObjectMeta"), 2: ("spec", "SelfSubjectAccessReviewSpec"),
        3: ("status", "SubjectAccessReviewStatus"),
    },
    "SelfSubjectAccessReviewSpec": {
        1: ("resourceAttributes", "ResourceAttributes"), 2: ("nonResourceAttributes", "NonResourceAttributes"),
    },
    "ResourceAttributes": {
        1: ("namespace", "string"), 2: ("verb", "string"), 3: ("group", "string"), 4: ("version", "string"),
        5: ("resource", "string"), 6: ("subresource", "string"), 7: ("name", "string"),
    },
    "NonResourceAttributes": {1: ("path", "string"), 2: ("verb", "string")},
    "SubjectAccessReviewStatus": {1: ("allowed", "bool"), 2: ("reason", "string")},
    "SelfSubjectRulesReview": {
        1: ("metadata", "ObjectMeta"), 2: ("spec", "SelfSubjectRulesReviewSpec"),
        3: ("status", "SubjectRulesReviewStatus"),
    },
    "SelfSubjectRulesReviewSpec": {1: ("namespace", "string")},
    "SubjectRulesReviewStatus": {3: ("incomplete", "bool"), 4: ("evaluationError", "string")},
    "TokenRequest": {
        1: ("metadata", "ObjectMeta"), 2: ("spec", "TokenRequestSpec"), 3: ("status", "TokenRequestStatus"),
    },
    "TokenRequestSpec": {
        1: ("audiences", "[]string"), 3: ("boundObjectRef", "BoundObjectReference"), 4: ("expirationSeconds", "int"),
    },
    "BoundObjectReference": {
        1: ("kind", "string"), 2: ("apiVersion", "string"), 3: ("name", "string"), 4: ("uid", "string"),
    },
    "TokenRequestStatus": {1: ("token", "string"), 2: ("expirationTimestamp", "time")},
    "Role": {1: ("metadata", "ObjectMeta"), 2: ("rules", "[]PolicyRule")},
    "ClusterRole": {1: ("metadata", "ObjectMeta"), 2: ("rules", "[]PolicyRule")},
    "PolicyRule": {
        1: ("verbs", "[]string"), 2: ("apiGroups", "[]string"), 3: ("resources", "[]string"),
        4: ("resourceNames", "[]string"), 5: ("nonResourceURLs", "[]string"),
    },
    "RoleBinding": {1: ("metadata", "ObjectMeta"), 2: ("subjects", "[]Subject"), 3: ("roleRef", "RoleRef")},
    "ClusterRoleBinding": {1: ("metadata", "ObjectMeta"), 2: ("subjects", "[]Subject"), 3: ("roleRef", "RoleRef")},
    "Subject": {
        1: ("kind", "string"), 2: ("apiGroup", "string"), 3: ("name", "string"), 4: ("namespace", "string"),
    },
    "RoleRef": {1: ("apiGroup", "string"), 2: ("kind", "string"), 3: ("name", "string")},
    "Preconditions": {1: ("uid", "string"), 2: ("resourceVersion", "string")},
}  # fmt: skip


def decode(data: bytes) -> dict[str, Any]:
    """A body that starts with `MAGIC` as an object. Raises ApiError 400 or 415."""
    try:
        if not data.startswith(MAGIC):
            raise ValueError("it does not start as a Kubernetes protobuf message")
        kind = api_version = ""
        raw = b""
        for number, value in _fields(data[len(MAGIC) :]):  # runtime.Unknown
            if number == 1:
                meta = dict(_fields(_bytes(value)))
                api_version, kind = (_bytes(meta.get(n, b"")).decode() for n in (1, 2))
            elif number == 2:
                raw = _bytes(value)
        if kind not in _MESSAGES:
            raise ApiError(
                415,
                "UnsupportedMediaType",
                f"the sandbox does not read a {kind or 'body'} in protobuf; send application/json",
            )
        return {"kind": kind, "apiVersion": api_version, **_message(kind, raw)}
    except (ValueError, IndexError, KeyError, OverflowError, OSError) as error:
        raise bad_request(f"error decoding protobuf: {error}") from None


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: number, and a varint or the bytes of a length-delimited value."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire == 2:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError("unexpected end of the message")
            yield number, data[at : at + length]
            at += length
        else:
            raise ValueError(f"wire type {wire} is not used by Kubernetes")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if not byte & 0x80:
            return value, at
        shift += 7


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number stands where a text was expected")
    return value


def _message(name: str, data: bytes) -> dict[str, Any]:
    table = _MESSAGES[name]
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        if number not in table:
            if value in (0, b""):
                continue
            raise ApiError(
                415,
                "UnsupportedMediaType",
                f"the sandbox does not read field {number} of a {name} in protobuf; send application/json",
            )
        key, type_ = table[number]
        if type_.startswith("[]"):
            found.setdefault(key, []).append(_value(type_[2:], value))
        elif type_.startswith("{}"):
            entry = dict(_fields(_bytes(value)))
            found.setdefault(key, {})[_bytes(entry.get(1, b"")).decode()] = _value(type_[2:], entry.get(2, b""))
        else:
            decoded = _value(type_, value)
            if decoded is not None and decoded != "":  # Go writes empty strings out
                found[key] = decoded
    return found


def _value(type_: str, value: int | bytes) -> Any:
    if type_ == "int":
        if isinstance(value, bytes):
            raise ValueError("a text stands where a number was expected")
        return value - 2**64 if value >= 2**63 else value
    if type_ == "bool":
        return bool(value)
    data = _bytes(value)
    if type_ == "string":
        return data.decode()
    if type_ == "bytes":
        return base64.b64encode(data).decode()
    if type_ == "quantity":
        return _bytes(dict(_fields(data)).get(1, b"")).decode()
    if type_ == "time":
        seconds = dict(_fields(data)).get(1)
        if not isinstance(seconds, int):
            return None
        when = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
        return when.strftime("%Y-%m-%dT%H:%M:%SZ")
    if type_ == "intorstring":
        parts = dict(_fields(data))
        return _bytes(parts.get(3, b"")).decode() if parts.get(1) else parts.get(2, 0)
    if type_ == "fieldsv1":  # JSON within protobuf
        return json.loads(_bytes(dict(_fields(data)).get(1, b"{}")))
    return _message(type_, data)
