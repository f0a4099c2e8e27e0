"""What a cluster may have of hello and its canary."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary import plan
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import (
    BESIDE,
    PREVIOUS,
    WEIGHT,
    Asked,
    Seen,
)

Object = dict[str, t.Any]
STEPS = [{"weight": 25.0, "pause": "5m"}, {"weight": 50.0, "pause": "0"}]
WIDE = [*STEPS, {"weight": 75.0, "pause": "0"}, {"weight": 100.0, "pause": "0"}]


def deployment(
    name: str = "hello",
    version: str = "1.0.0",
    replicas: int = 3,
    *,
    labels: Object | None = None,
    selector: Object | None = None,
    annotations: Object | None = None,
    **spec: t.Any,
) -> Object:
    """A Deployment of hello whose rollout is complete."""
    labels = {"app": "hello", "track": "stable", "version": version} if labels is None else labels
    counted = {"replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas}
    return {
        "metadata": {"name": name, "uid": name, "namespace": "default", "generation": 1, "annotations": annotations},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": selector or {k: v for k, v in labels.items() if k != "version"}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "hello", "image": f"kelseyhightower/hello:{version}"}]},
            },
            **spec,
        },
        "status": {"observedGeneration": 1, **counted},
    }


PROMOTED = deployment(version="2.0.0", annotations={PREVIOUS: "1.0.0"})


def canary(version: str = "2.0.0", replicas: int = 1, weight: str = "25", **annotations: str) -> Object:
    """Its canary, begun beside three copies."""
    return deployment(
        "hello-canary",
        version,
        replicas,
        labels={"app": "hello", "track": "canary", "version": version},
        annotations={WEIGHT: weight, BESIDE: "3", **annotations},
    )


def service(**selector: str) -> Object:
    """The Service hello."""
    return {"metadata": {"name": "hello"}, "spec": {"selector": selector or {"app": "hello"}}}


def seen(stable: Object | None = None, beside: Object | None = None, **more: t.Any) -> Seen:
    """What a cluster has."""
    stable = stable or deployment()
    more.setdefault("service", service())
    more.setdefault("deployments", [stable, *([beside] if beside else [])])
    return Seen(stable=stable, canary=beside, **more)


def planned(state: Seen, **asked: t.Any) -> Object:
    """The plan for a state."""
    return plan(state, Asked(**asked))


def weights(found: Object) -> list[float]:
    """The weights that are left."""
    return [step["weight"] for step in found["steps"]]


def scaler(name: str = "hello") -> Object:
    """An autoscaler of a Deployment."""
    return {"metadata": {"name": "auto"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": name}}}


def ends(**tracks: bool) -> tuple[list[Object], list[Object]]:
    """Pods by name, and an EndpointSlice with those of them that have an endpoint, ready or not."""
    pods = [
        {"metadata": {"name": name, "labels": {"track": "canary" if name.startswith("c") else "stable"}}}
        for name in tracks
    ]
    endpoints = [
        {"targetRef": {"kind": "Pod", "name": name}, "conditions": {"ready": ready}} for name, ready in tracks.items()
    ]
    return pods, [{"endpoints": endpoints}]
