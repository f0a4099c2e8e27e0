# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What points at the Deployment that loses the traffic, and has to go with it. Pure functions of plain objects."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _selectors

Object = t.Dict[str, t.Any]


@dataclass(frozen=True)
class Pointers:
    """The objects of a namespace that may point at a Deployment, at its pods, or at a Service."""

    services: t.Sequence[Object] = ()
    autoscalers: t.Sequence[Object] = ()  #: HorizontalPodAutoscalers
    scaled_objects: t.Sequence[Object] = ()  #: of KEDA
    vertical_autoscalers: t.Sequence[Object] = ()
    budgets: t.Sequence[Object] = ()  #: PodDisruptionBudgets
    policies: t.Sequence[Object] = ()  #: NetworkPolicies
    ingresses: t.Sequence[Object] = ()
    routes: t.Sequence[Object] = ()  #: HTTPRoutes
    pod_monitors: t.Sequence[Object] = ()  #: of the Prometheus operator
    service_monitors: t.Sequence[Object] = ()
    unreadable: tuple[str, ...] = ()  #: what this user may not read


@dataclass(frozen=True)
class Colour:
    """A Deployment, as what points at it sees it."""

    deployment: str
    labels: t.Mapping[str, str]  #: of its pods


def moving(pointers: Pointers, active: str, preview: str) -> list[str]:
    """The HorizontalPodAutoscalers that go with the traffic from one Deployment to the other.

    Where the other has one of its own, each keeps its own.
    """
    if _aiming(pointers.autoscalers, "scaleTargetRef", preview):
        return []
    return [_name(item) for item in _aiming(pointers.autoscalers, "scaleTargetRef", active) if not _of_keda(item)]


def _of_keda(autoscaler: Object) -> str:
    """The ScaledObject that an autoscaler is made for, which would have it changed back; empty where there is none."""
    for owner in autoscaler["metadata"].get("ownerReferences") or []:
        if owner.get("kind") == "ScaledObject":
            return str(owner.get("name", ""))
    return ""


def check(pointers: Pointers, active: Colour, preview: Colour, leading: t.Collection[str]) -> None:
    """Raise Failure for what would stay with the Deployment that loses the traffic.

    `leading` are the Services that go with the traffic. Services must lead to the other colour's pods, what selects
    pods must select those too or have its like for them, and so must what names a Deployment.
    """
    problems = [
        *_services(pointers, preview, leading),
        *_scalers(pointers, active, preview),
        *_selecting("PodDisruptionBudget", pointers.budgets, "selector", active, preview),
        *_selecting("NetworkPolicy", pointers.policies, "podSelector", active, preview),
        *_selecting("PodMonitor", pointers.pod_monitors, "selector", active, preview),
        *_monitors(pointers, active, preview, leading),
        *_peers(pointers.policies, active, preview),
        *_backends(pointers, active, preview, leading),
    ]
    if problems:
        raise Failure(
            f"{' '.join(problems)} The traffic would leave Deployment {active.deployment}, and these would not "
            "follow. Nothing was changed; run the playbook again after that."
        )


def unjudged(pointers: Pointers, active: str) -> list[str]:
    """What may point at a Deployment and could not be read, in words."""
    if not pointers.unreadable:
        return []
    return [
        f"not checked, as this user may not read them: {', '.join(pointers.unreadable)}; what points at {active} "
        "there stays"
    ]


def _name(item: Object) -> str:
    return str(item["metadata"]["name"])


def _aiming(items: t.Iterable[Object], field: str, deployment: str) -> list[Object]:
    """Those that name a Deployment in a reference of this field."""
    found = []
    for item in items:
        aims = (item.get("spec") or {}).get(field) or {}
        if aims.get("name") == deployment and aims.get("kind", "Deployment") == "Deployment":
            found.append(item)
    return found


def _said(selector: t.Any) -> str:
    """A label selector, or the part of it that says something, in words."""
    matched = (selector or {}).get("matchLabels") or {}
    rules = [f"{rule['key']} {rule['operator']}" for rule in (selector or {}).get("matchExpressions") or []]
    return ",".join([*(f"{key}={value}" for key, value in sorted(matched.items())), *rules])


def _services(pointers: Pointers, preview: Colour, leading: t.Collection[str]) -> list[str]:
    problems = []
    for item in pointers.services:
        selector = (item.get("spec") or {}).get("selector") or {}
        kept = {key: value for key, value in selector.items() if key not in ("version", "color")}
        missing = [f"{key}={value}" for key, value in sorted(kept.items()) if preview.labels.get(key) != value]
        if _name(item) in leading and missing:
            problems.append(
                f"Service {_name(item)} selects {', '.join(missing)}, which the pods of Deployment "
                f"{preview.deployment} will not have: remove that from its selector, or add it to the pods."
            )
    return problems


def _scalers(pointers: Pointers, active: Colour, preview: Colour) -> list[str]:
    """What scales a Deployment by its name and cannot be taken along, as others own it."""
    kinds = (
        ("ScaledObject", "scaleTargetRef", pointers.scaled_objects),
        ("VerticalPodAutoscaler", "targetRef", pointers.vertical_autoscalers),
    )
    problems = []
    if not _aiming(pointers.autoscalers, "scaleTargetRef", preview.deployment) and not pointers.scaled_objects:
        problems += [
            f"HorizontalPodAutoscaler {_name(item)} of ScaledObject {_of_keda(item)} is for Deployment "
            f"{active.deployment} alone: create a ScaledObject for Deployment {preview.deployment} as well, or remove "
            "it."
            for item in _aiming(pointers.autoscalers, "scaleTargetRef", active.deployment)
            if _of_keda(item)
        ]
    for kind, field, items in kinds:
        if _aiming(items, field, preview.deployment):
            continue
        problems += [
            f"{kind} {_name(item)} is for Deployment {active.deployment} alone: create one for Deployment "
            f"{preview.deployment} as well, or remove it."
            for item in _aiming(items, field, active.deployment)
        ]
    return problems


def _picks(item: Object, field: str, colour: Colour) -> bool:
    return _selectors.matches((item.get("spec") or {}).get(field), colour.labels)


def _selecting(kind: str, items: t.Sequence[Object], field: str, active: Colour, preview: Colour) -> t.Iterator[str]:
    """Those that select the pods of one colour and have no like for those of the other."""
    if any(_picks(item, field, preview) and not _picks(item, field, active) for item in items):
        return
    for item in items:
        if _picks(item, field, active) and not _picks(item, field, preview):
            yield (
                f"{kind} {_name(item)} selects {_said(item['spec'][field])}, which the pods of Deployment "
                f"{preview.deployment} will not have: make it select both colours, or create one for that Deployment "
                "as well."
            )


def _peers(policies: t.Iterable[Object], active: Colour, preview: Colour) -> t.Iterator[str]:
    """Policies that let the pods of one colour in or out, and not those of the other."""
    for item in policies:
        spec = item.get("spec") or {}
        peers = [
            peer["podSelector"]
            for rules, side in (("ingress", "from"), ("egress", "to"))
            for rule in spec.get(rules) or []
            for peer in rule.get(side) or []
            if peer.get("podSelector") is not None
        ]
        let = [peer for peer in peers if _selectors.matches(peer, active.labels)]
        if let and not any(_selectors.matches(peer, preview.labels) for peer in peers):
            yield (
                f"NetworkPolicy {_name(item)} lets pods with {_said(let[0])} through, which those of Deployment "
                f"{preview.deployment} will not have: make it let both colours through."
            )


def _leads(service: Object, colour: Colour) -> bool:
    return _selectors.selects((service.get("spec") or {}).get("selector"), colour.labels)


def _staying(pointers: Pointers, active: Colour, preview: Colour, leading: t.Collection[str]) -> t.Iterator[Object]:
    """The Services that lead to one colour and stay there."""
    for item in pointers.services:
        if _name(item) not in leading and _leads(item, active) and not _leads(item, preview):
            yield item


def _monitors(pointers: Pointers, active: Colour, preview: Colour, leading: t.Collection[str]) -> t.Iterator[str]:
    """ServiceMonitors by which the one colour is watched and the other would not be."""
    watching = [
        item
        for item in pointers.services
        if _name(item) in leading or (_leads(item, preview) and not _name(item).endswith("-preview"))
    ]

    def watches(monitor: Object, service: Object) -> bool:
        return _selectors.matches((monitor.get("spec") or {}).get("selector"), service["metadata"].get("labels") or {})

    if any(watches(monitor, service) for monitor in pointers.service_monitors for service in watching):
        return
    for service in _staying(pointers, active, preview, leading):
        for monitor in pointers.service_monitors:
            if watches(monitor, service):
                yield (
                    f"ServiceMonitor {_name(monitor)} watches Service {_name(service)}, which is about Deployment "
                    f"{active.deployment} alone, so nothing would monitor Deployment {preview.deployment}: make it "
                    f"select a Service that follows the traffic, such as {next(iter(leading), '')}, or create one for "
                    "that."
                )


def _backends(pointers: Pointers, active: Colour, preview: Colour, leading: t.Collection[str]) -> t.Iterator[str]:
    """Ingresses and routes to a Service that leads to one colour and stays there."""
    staying = {_name(item) for item in _staying(pointers, active, preview, leading)}
    for kind, items, named in (
        ("Ingress", pointers.ingresses, _ingress_services),
        ("HTTPRoute", pointers.routes, _route_services),
    ):
        for item in items:
            for service in sorted(set(named(item)) & staying):
                yield (
                    f"{kind} {_name(item)} sends users to Service {service}, which is about Deployment "
                    f"{active.deployment} alone: make it name a Service that follows the traffic, such as "
                    f"{next(iter(leading), '')}."
                )


def _ingress_services(ingress: Object) -> list[str]:
    spec = ingress.get("spec") or {}
    backends = [spec.get("defaultBackend") or {}]
    for rule in spec.get("rules") or []:
        backends += [path.get("backend") or {} for path in (rule.get("http") or {}).get("paths") or []]
    return [str((backend.get("service") or {}).get("name", "")) for backend in backends]


def _route_services(route: Object) -> list[str]:
    return [
        str(reference.get("name", ""))
        for rule in (route.get("spec") or {}).get("rules") or []
        for reference in rule.get("backendRefs") or []
        if reference.get("kind", "Service") == "Service"
    ]
