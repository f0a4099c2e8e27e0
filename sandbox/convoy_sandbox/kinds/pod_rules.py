# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rarer rules of a pod's spec: where it may run, what it takes from elsewhere, how it is told apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from .. import quantities
from ..errors import Cause
from .base import duplicate, required, unsupported, wrong
from .metadata import expression_causes, key_causes, label_causes, name_causes, port_causes, selector_causes

Spec = dict[str, Any]
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_NOT_NEGATIVE = "must be greater than or equal to 0"
_EFFECTS = ["NoExecute", "NoSchedule", "PreferNoSchedule"]
_SECONDS = 2**31 - 1


def rarer_causes(spec: Spec, field: str) -> list[Cause]:
    """What else is wrong with a pod spec."""
    return [
        *_choices(spec, field),
        *_volumes(spec, field),
        *_containers(spec, field),
        *_identity(spec, field),
        *_tolerations(spec.get("tolerations") or (), f"{field}.tolerations"),
        *label_causes(spec.get("nodeSelector") or {}, f"{field}.nodeSelector"),
        *_affinity(spec.get("affinity") or {}, f"{field}.affinity"),
        *_spread(spec.get("topologySpreadConstraints") or (), f"{field}.topologySpreadConstraints"),
        *_gates(spec, field),
    ]


def _one_of(value: Any, allowed: list[str], field: str) -> Iterator[Cause]:
    if value is not None and value not in allowed:
        yield unsupported(field, value, allowed)


def _forbidden(field: str, why: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {why}", field)


def _choices(spec: Spec, field: str) -> Iterator[Cause]:
    policy = spec.get("dnsPolicy")
    yield from _one_of(policy, ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"], f"{field}.dnsPolicy")
    if policy == "None" and not (spec.get("dnsConfig") or {}).get("nameservers"):
        message = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        yield required(f"{field}.dnsConfig.nameservers", message)
    yield from _one_of(spec.get("preemptionPolicy"), ["PreemptLowerPriority", "Never"], f"{field}.preemptionPolicy")
    system = (spec.get("os") or {}).get("name")
    yield from _one_of(system, ["linux", "windows"], f"{field}.os.name")
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 0 < deadline <= _SECONDS:
        message = f"must be between 1 and {_SECONDS}, inclusive"
        yield wrong(f"{field}.activeDeadlineSeconds", deadline, message)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        yield wrong(f"{field}.shareProcessNamespace", True, "ShareProcessNamespace and HostPID cannot both be enabled")
    for index, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if not secret.get("name"):
            yield required(f"{field}.imagePullSecrets[{index}].name")
    if spec.get("ephemeralContainers"):
        yield _forbidden(f"{field}.ephemeralContainers", "cannot be set on create")


def _identity(spec: Spec, field: str) -> Iterator[Cause]:
    for key in ("hostname", "subdomain"):
        if spec.get(key):
            yield from name_causes(spec[key], "label", f"{field}.{key}")
    if spec.get("serviceAccountName"):
        yield from name_causes(spec["serviceAccountName"], "subdomain", f"{field}.serviceAccountName")
    if spec.get("nodeName"):
        yield from name_causes(spec["nodeName"], "subdomain", f"{field}.nodeName")
    security = spec.get("securityContext") or {}
    for key in ("runAsUser", "runAsGroup", "fsGroup"):
        yield from _user(security.get(key), f"{field}.securityContext.{key}")


def _user(value: Any, field: str) -> Iterator[Cause]:
    if value is not None and not 0 <= value <= _SECONDS:
        yield wrong(field, value, f"must be between 0 and {_SECONDS}, inclusive")


# -- volumes -------------------------------------------------------------------------------------


def _volumes(spec: Spec, field: str) -> Iterator[Cause]:
    for index, volume in enumerate(spec.get("volumes") or ()):
        where = f"{field}.volumes[{index}]"
        sources = [key for key in volume if key != "name"]
        for extra in sources[1:]:
            yield _forbidden(f"{where}.{extra}", "may not specify more than 1 volume type")
        if sources:
            yield from _source(sources[0], volume[sources[0]] or {}, f"{where}.{sources[0]}")


def _source(kind: str, source: Spec, where: str) -> Iterator[Cause]:
    if kind == "hostPath":
        if not source.get("path"):
            yield required(f"{where}.path")
        yield from _no_parents(source.get("path", ""), f"{where}.path")
    names = {"secret": "secretName", "configMap": "name", "persistentVolumeClaim": "claimName"}
    if kind in names and not source.get(names[kind]):
        yield required(f"{where}.{names[kind]}")
    if kind in ("secret", "configMap", "projected", "downwardAPI"):
        mode = source.get("defaultMode")
        if mode is not None and not 0 <= mode <= 0o777:
            message = "must be a number between 0 and 0777 (octal), both inclusive"
            yield wrong(f"{where}.defaultMode", mode, message)
    if kind in ("secret", "configMap"):
        yield from _items(source.get("items") or (), f"{where}.items")
    if kind == "emptyDir" and source.get("sizeLimit") is not None and quantities.parse(source["sizeLimit"]) < 0:
        yield _forbidden(f"{where}.sizeLimit", "SizeLimit field must be a valid resource quantity")


def _items(items: Iterable[Spec], where: str) -> Iterator[Cause]:
    for index, item in enumerate(items):
        for key in ("key", "path"):
            if not item.get(key):
                yield required(f"{where}[{index}].{key}")
        yield from _relative(item.get("path", ""), f"{where}[{index}].path")


def _relative(path: str, field: str) -> Iterator[Cause]:
    if path.startswith("/"):
        yield wrong(field, path, "must be a relative path")
    yield from _no_parents(path, field)


def _no_parents(path: str, field: str) -> Iterator[Cause]:
    if ".." in path.split("/"):
        yield wrong(field, path, "must not contain '..'")


# -- containers ----------------------------------------------------------------------------------


def _containers(spec: Spec, field: str) -> Iterator[Cause]:
    host_ports: set[tuple[str, str, int]] = set()
    for key in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(key) or ()):
            where = f"{field}.{key}[{index}]"
            if key == "initContainers":
                yield from _init(container, where)
            yield from _environment(container, where)
            yield from _container(container, where)
            yield from _host_ports(container, where, host_ports, hosted=bool(spec.get("hostNetwork")))
            yield from _sleeps(container, where, spec.get("terminationGracePeriodSeconds"))


def _init(container: Spec, where: str) -> Iterator[Cause]:
    policy = container.get("restartPolicy")
    yield from _one_of(policy, ["Always", "Never", "OnFailure"], f"{where}.restartPolicy")
    if policy == "Always":
        return
    if policy == "OnFailure":
        yield unsupported(f"{where}.restartPolicy", policy, ["Always"])
    for part in (*_PROBES, "lifecycle"):
        if part in container:
            yield _forbidden(f"{where}.{part}", "may not be set for init containers without restartPolicy=Always")


_FIELD_PATHS = re.compile(
    r"metadata\.(name|namespace|uid|labels\['[^']+'\]|annotations\['[^']+'\])|spec\.(nodeName|serviceAccountName)|"
    r"status\.(hostIP|hostIPs|podIP|podIPs)"
)
_FIELDS = [
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
]  # fmt: skip
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def _environment(container: Spec, where: str) -> Iterator[Cause]:
    for index, variable in enumerate(container.get("env") or ()):
        at = f"{where}.env[{index}]"
        name = variable.get("name", "")
        if name and not re.fullmatch(r"[ -<>-~]+", name):
            message = "a valid environment variable name must consist only of printable ASCII characters other than '='"
            yield wrong(f"{at}.name", name, message)
        source = variable.get("valueFrom")
        if source is None:
            continue
        given = [key for key in _SOURCES if source.get(key) is not None]
        if not given:
            yield wrong(f"{at}.valueFrom", "", "must specify one of: `fieldRef`, `resourceFieldRef`, "
                        "`configMapKeyRef`, `secretKeyRef` or `fileKeyRef`")  # fmt: skip
        elif variable.get("value"):
            yield wrong(f"{at}.valueFrom", "", "may not be specified when `value` is not empty")
        if len(given) > 1:
            yield wrong(f"{at}.valueFrom", "", "may not have more than one field specified at a time")
        path = (source.get("fieldRef") or {}).get("fieldPath")
        if "fieldRef" in given and not path:
            yield required(f"{at}.valueFrom.fieldRef.fieldPath")
        elif path and not _FIELD_PATHS.fullmatch(path):
            if re.match(r"(metadata|spec|status)\.", path) and path not in ("metadata.labels", "metadata.annotations"):
                text = f"error converting fieldPath: field label not supported: {path}"
                yield wrong(f"{at}.valueFrom.fieldRef.fieldPath", path, text)
            else:
                yield unsupported(f"{at}.valueFrom.fieldRef.fieldPath", path, _FIELDS)
        for kind in ("configMapKeyRef", "secretKeyRef"):
            if kind in given:
                for key in ("name", "key"):
                    if not source[kind].get(key):
                        yield required(f"{at}.valueFrom.{kind}.{key}")
    for index, group in enumerate(container.get("envFrom") or ()):
        at = f"{where}.envFrom[{index}]"
        given = [key for key in ("configMapRef", "secretRef") if group.get(key) is not None]
        if not given:
            yield wrong(at, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(given) > 1:
            yield wrong(at, "", "may not have more than one field specified at a time")
        for kind in given:
            if not group[kind].get("name"):
                yield required(f"{at}.{kind}.name")


def _container(container: Spec, where: str) -> Iterator[Cause]:
    yield from _one_of(
        container.get("terminationMessagePolicy"), ["FallbackToLogsOnError", "File"],
        f"{where}.terminationMessagePolicy",
    )  # fmt: skip
    security = container.get("securityContext") or {}
    for key in ("runAsUser", "runAsGroup"):
        yield from _user(security.get(key), f"{where}.securityContext.{key}")
    if security.get("privileged") and security.get("allowPrivilegeEscalation") is False:
        message = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        yield wrong(f"{where}.securityContext", security, message)
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        yield from _relative(mount.get("subPath", ""), f"{where}.volumeMounts[{index}].subPath")
    for index, policy in enumerate(container.get("resizePolicy") or ()):
        at = f"{where}.resizePolicy[{index}]"
        yield from _one_of(policy.get("resourceName"), ["cpu", "memory"], f"{at}.resourceName")
        yield from _one_of(policy.get("restartPolicy"), ["NotRequired", "RestartContainer"], f"{at}.restartPolicy")
    resources = container.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for name, value in requests.items():
        if "/" in name and name not in limits:
            yield required(f"{where}.resources.limits", "Limit must be set for non overcommitable resources")
        elif "/" in name and quantities.parse(value) != quantities.parse(limits[name]):
            yield wrong(f"{where}.resources.requests", value, f"must be equal to {name} limit of {limits[name]}")
    named = {*limits, *requests}
    if any(name.startswith("hugepages-") for name in named) and not named & {"cpu", "memory"}:
        yield _forbidden(f"{where}.resources", "HugePages require cpu or memory")


def _host_ports(container: Spec, where: str, taken: set[tuple[str, str, int]], *, hosted: bool) -> Iterator[Cause]:
    for index, port in enumerate(container.get("ports") or ()):
        number = port.get("hostPort")
        if not number:
            continue
        at = f"{where}.ports[{index}]"
        yield from port_causes(number, f"{at}.hostPort")
        key = (port.get("hostIP", ""), port.get("protocol", "TCP"), number)
        if hosted and number != port.get("containerPort"):
            yield wrong(
                f"{at}.containerPort", port.get("containerPort"), "must match `hostPort` when `hostNetwork` is true"
            )
        elif key in taken:
            yield duplicate(f"{at}.hostPort", f"{key[1]}/{key[0]}/{number}")
        taken.add(key)


def _sleeps(container: Spec, where: str, grace: int | None) -> Iterator[Cause]:
    for hook, handler in (container.get("lifecycle") or {}).items():
        sleep = handler.get("sleep") if isinstance(handler, dict) else None
        if sleep is not None and grace is not None and not 0 <= sleep.get("seconds", 0) <= grace:
            message = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
            yield wrong(f"{where}.lifecycle.{hook}.sleep", sleep.get("seconds", 0), message)


# -- where it may run ----------------------------------------------------------------------------


def _tolerations(tolerations: Iterable[Spec], field: str) -> Iterator[Cause]:
    for index, term in enumerate(tolerations):
        where = f"{field}[{index}]"
        operator, key = term.get("operator") or "Equal", term.get("key", "")
        if key:
            yield from key_causes(key, f"{where}.key")
        elif operator != "Exists":
            message = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            yield wrong(f"{where}.operator", term.get("operator", ""), message)
        if term.get("tolerationSeconds") is not None and term.get("effect") != "NoExecute":
            message = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            yield wrong(f"{where}.effect", term.get("effect", ""), message)
        if operator == "Exists" and term.get("value"):
            message = "value must be empty when `operator` is 'Exists'"
            yield wrong(f"{where}.operator", term, message)
        elif operator not in ("Equal", "Exists"):
            yield unsupported(f"{where}.operator", operator, ["Equal", "Exists"])
        if term.get("effect"):
            yield from _one_of(term["effect"], _EFFECTS, f"{where}.effect")


def _affinity(affinity: Spec, field: str) -> Iterator[Cause]:
    node = affinity.get("nodeAffinity") or {}
    required_ = node.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required_ is not None:
        where = f"{field}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        if not required_.get("nodeSelectorTerms"):
            yield required(where, "must have at least one node selector term")
        for index, term in enumerate(required_.get("nodeSelectorTerms") or ()):
            yield from _node_term(term, f"{where}[{index}]")
    for index, preference in enumerate(node.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
        where = f"{field}.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
        yield from _weight(preference.get("weight", 0), f"{where}.weight")
        yield from _node_term(preference.get("preference") or {}, f"{where}.preference")
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(kind) or {}
        key = "requiredDuringSchedulingIgnoredDuringExecution"
        for index, term in enumerate(terms.get(key) or ()):
            yield from _pod_term(term, f"{field}.{kind}.{key}[{index}]")
        key = "preferredDuringSchedulingIgnoredDuringExecution"
        for index, weighted in enumerate(terms.get(key) or ()):
            where = f"{field}.{kind}.{key}[{index}]"
            yield from _weight(weighted.get("weight", 0), f"{where}.weight")
            yield from _pod_term(weighted.get("podAffinityTerm") or {}, f"{where}.podAffinityTerm")


def _weight(weight: int, field: str) -> Iterator[Cause]:
    if not 0 < weight <= 100:
        yield wrong(field, weight, "must be in the range 1-100")


def _node_term(term: Spec, where: str) -> Iterator[Cause]:
    for index, expression in enumerate(term.get("matchExpressions") or ()):
        at = f"{where}.matchExpressions[{index}]"
        if expression.get("operator") in ("Gt", "Lt"):
            if len(expression.get("values") or ()) != 1:
                yield required(f"{at}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
            yield from key_causes(expression.get("key", ""), f"{at}.key")
        else:
            yield from expression_causes(expression, at)
    for index, expression in enumerate(term.get("matchFields") or ()):
        at = f"{where}.matchFields[{index}]"
        if expression.get("key") != "metadata.name":
            yield wrong(f"{at}.key", expression.get("key", ""), "not a valid field selector key")
        if expression.get("operator") not in ("In", "NotIn"):
            yield wrong(f"{at}.operator", expression.get("operator", ""), "not a valid selector operator")


def _pod_term(term: Spec, where: str) -> Iterator[Cause]:
    yield from selector_causes(term.get("labelSelector") or {}, f"{where}.labelSelector")
    yield from selector_causes(term.get("namespaceSelector") or {}, f"{where}.namespaceSelector")
    if not term.get("topologyKey"):
        yield required(f"{where}.topologyKey", "can not be empty")
    else:
        yield from key_causes(term["topologyKey"], f"{where}.topologyKey")


def _spread(constraints: Iterable[Spec], field: str) -> Iterator[Cause]:
    seen: set[tuple[str, str]] = set()
    for index, constraint in enumerate(constraints):
        where = f"{field}[{index}]"
        if constraint.get("maxSkew", 0) <= 0:
            yield wrong(f"{where}.maxSkew", constraint.get("maxSkew", 0), "must be greater than zero")
        key, when = constraint.get("topologyKey", ""), constraint.get("whenUnsatisfiable", "")
        if not key:
            yield required(f"{where}.topologyKey", "can not be empty")
        else:
            yield from key_causes(key, f"{where}.topologyKey")
        yield from _one_of(when, ["DoNotSchedule", "ScheduleAnyway"], f"{where}.whenUnsatisfiable")
        if (key, when) in seen:
            yield duplicate(f"{where}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {when}}}")
        seen.add((key, when))
        domains = constraint.get("minDomains")
        if domains is not None and domains <= 0:
            yield wrong(f"{where}.minDomains", domains, "must be greater than zero")
        elif domains is not None and when != "DoNotSchedule":
            message = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}"
            yield wrong(f"{where}.minDomains", domains, message)
        yield from selector_causes(constraint.get("labelSelector") or {}, f"{where}.labelSelector")
        for name in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            yield from _one_of(constraint.get(name), ["Honor", "Ignore"], f"{where}.{name}")


def _gates(spec: Spec, field: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        where = f"{field}.schedulingGates[{index}]"
        yield from key_causes(gate.get("name", ""), f"{where}.name")
        if gate.get("name") in seen:
            yield duplicate(where, gate["name"])
        seen.add(gate.get("name", ""))
    if seen and spec.get("nodeName"):
        yield _forbidden(f"{field}.nodeName", "cannot be set until all schedulingGates have been cleared")
    for index, ready in enumerate(spec.get("readinessGates") or ()):
        yield from key_causes(ready.get("conditionType", ""), f"{field}.readinessGates[{index}].conditionType")
