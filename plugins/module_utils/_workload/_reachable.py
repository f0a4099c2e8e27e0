# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a cluster says of a Service's traffic without any traffic. Pure functions of plain objects."""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.convoy.rollout.plugins.module_utils._traffic import _target
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _images, _workloads

Object = t.Dict[str, t.Any]

TOPOLOGY = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints")
ELSEWHERE = "expect one version, or judge what is reachable with source=endpoints."
MANY = "ask from many source_addresses, "
NO_POD = "an endpoint without a pod that names its version"
NO_VERSION = "a pod of which no container is known to have its version"


def uneven(service: Object, slices: t.Sequence[Object], entry: bool, clients: bool = False) -> str:
    """Why samples from one place cannot tell the shares of a Service's versions; empty where they can.

    `entry` is whether clients reach this Service itself, rather than another one in front of it, `clients` whether
    the samples are from many of them.
    """
    spec, name = service.get("spec") or {}, service["metadata"]["name"]
    annotations = _workloads.annotations_of(service)
    hinted = any(endpoint.get("hints") for item in slices for endpoint in item.get("endpoints") or [])
    if _target.sticky(service) and not (entry and clients):
        only = "" if entry else ", and all clients come to it by the Service in front of it"
        return (
            f"Service {name} has sessionAffinity ClientIP, which keeps one client with one pod{only}, so samples from "
            f"one place do not show the shares; {MANY if entry else ''}{ELSEWHERE}"
        )
    policy = "externalTrafficPolicy" if entry else "internalTrafficPolicy"
    if spec.get(policy) == "Local":
        return (
            f"Service {name} has {policy} Local, which keeps connections on the node that they come to, so samples "
            f"from one place do not show the shares; {ELSEWHERE}"
        )
    said = next((f"{key}: {annotations[key]}" for key in TOPOLOGY if annotations.get(key, "").lower() == "auto"), "")
    if not said and spec.get("trafficDistribution"):
        said = f"trafficDistribution {spec['trafficDistribution']}"
    if not said and hinted:
        said = "EndpointSlices with hints"
    if said:
        return (
            f"Service {name} is routed by topology ({said}), which prefers endpoints that are near, so samples from "
            f"one place do not show the shares; {ELSEWHERE}"
        )
    return ""


def ready(slices: t.Sequence[Object]) -> list[str]:
    """The ready endpoints of a Service: the names of their pods, or an address where that is of no pod.

    A pod with addresses of both families is in a slice of each, and one that is moved from one slice to another may be
    in both: it is one endpoint.
    """
    names: dict[str, None] = {}
    for item in slices:
        for endpoint in item.get("endpoints") or []:
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                pod = (endpoint.get("targetRef") or {}).get("name")
                names.update(dict.fromkeys([pod] if pod else endpoint.get("addresses") or []))
    return list(names)


def by_endpoints(
    slices: t.Sequence[Object],
    pods: t.Sequence[Object],
    container: str = "",
    rule: _images.Rule = _images.PLAIN,
) -> Counter[str]:
    """How many ready endpoints each version has; one of no known pod is under NO_POD.

    `container` is the one that carries the version, where it was asked for; `rule` is how its tag reads.
    """
    named = {pod["metadata"]["name"]: pod for pod in pods}
    return Counter(
        (_version(named[name], container, rule) if name in named else "") or NO_POD for name in ready(slices)
    )


def by_pods(pods: t.Sequence[Object], container: str = "", rule: _images.Rule = _images.PLAIN) -> Counter[str]:
    """How many ready pods run each version; one whose version cannot be told is under NO_VERSION."""
    return Counter(
        _version(pod, container, rule) or NO_VERSION
        for pod in pods
        if _workloads.is_ready(pod) and not pod["metadata"].get("deletionTimestamp")
    )


class Standing(t.NamedTuple):
    """How a pod stands."""

    version: str  #: empty where none is known
    ending: bool = False  #: whether it was told to end
    ready: bool = True
    restarts: int = 0  #: how often its containers were started again


def standing(pods: t.Sequence[Object], container: str = "", rule: _images.Rule = _images.PLAIN) -> dict[str, Standing]:
    """How each pod stands, by its name."""
    return {
        pod["metadata"]["name"]: Standing(
            _version(pod, container, rule),
            bool(pod["metadata"].get("deletionTimestamp")),
            _workloads.is_ready(pod),
            _workloads.restart_count(pod),
        )
        for pod in pods
    }


def ending(pods: t.Mapping[str, Standing]) -> dict[str, str]:
    """The pods that were told to end and are still there, by name, each with its version, empty where none is known."""
    return {name: pod.version for name, pod in pods.items() if pod.ending}


def failing(pods: t.Mapping[str, Standing], since: t.Mapping[str, Standing], version: str) -> str:
    """Which of the pods of a version, of all pods where it is empty, take requests and fail; empty where none does.

    These are pods that are not ready, and those whose containers were started again `since` then.
    """
    mine = {name: pod for name, pod in sorted(pods.items()) if not pod.ending and version in ("", pod.version)}
    crashed = [name for name, pod in mine.items() if pod.restarts > since.get(name, pod).restarts]
    if crashed:
        return (
            f"A container of {', '.join(crashed)} crashed and was restarted; see why with kubectl logs --previous "
            f"{crashed[0]}."
        )
    unready = [name for name, pod in mine.items() if not pod.ready]
    if unready:
        return f"Not ready: {', '.join(unready)}; see why with kubectl describe pod {unready[0]}."
    return ""


def _version(pod: Object, container: str, rule: _images.Rule) -> str:
    return _images.version_of(pod, _workloads.deployment_of(pod), container, rule=rule)


def judge(
    counts: t.Mapping[str, int],
    expected: t.Mapping[str, float],
    tolerated: t.Callable[[float], float],
    what: str,
    name: str,
) -> tuple[t.Literal["pass", "fail"], str]:
    """Whether counts of `what` (such as "ready endpoints") are shared out as expected. Nothing is estimated.

    `tolerated` is how far a share may be off.
    """
    total = sum(counts.values())
    if not total:
        return "fail", f"{name} has no {what}"
    for version in sorted(set(expected) | set(counts)):
        wanted, seen = expected.get(version, 0.0), counts.get(version, 0)
        room = 0.0 if wanted in (0.0, 1.0) else tolerated(wanted)
        if expected and abs(seen / total - wanted) > room + 1e-9:
            around = f" ± {room * 100:g}" if room else "%"
            return "fail", f"{name} {version} is {seen} of {total} {what}, expected {wanted * 100:g}{around}"
    return "pass", ""
