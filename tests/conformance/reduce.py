"""Makes the recordings that the tests read, in `recordings/`, out of those of a real Kubernetes.

    python -m conformance.reduce FOLDER [NAME ...]

What a replay does not look at is left out: managedFields, all events of a watch but the last, and of the
timelines everything but the Deployments, and the sizes of their ReplicaSets. Descriptions of other people's
schemas (definitions, OpenAPI documents) are never taken over.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("lab", "faults", "core", "crd", "policy", "pods")
#: Those that are replayed at the pace at which they were recorded.
PACED = ("policy", "pods")
#: What admission webhooks answered: to which path, and what.
WEBHOOKS = ("policy.webhook",)
#: What users met while pods ended: a file each, kept whole.
ENDINGS = ("termination_more", "termination_more_quiet", "termination_quiet")
#: What is measured of a pod, and between which moments.
_SPANS = (("start", "placed", "begun"), ("stop", "deleted", "ended"), ("removal", "ended", "gone"))
#: Longer than a kubelet took for anything.
_KUBELET_SECONDS = 20.0
_SOON_SECONDS = 0.5
_HERE = Path(__file__).with_name("recordings")
#: Never part of what is kept, wherever they stand.
_LEFT_OUT = frozenset({"managedFields", "openAPIV3Schema"})


def pruned(value: Any) -> Any:
    """A value without what no replay looks at."""
    if isinstance(value, dict):
        return {key: pruned(item) for key, item in value.items() if key not in _LEFT_OUT}
    return [pruned(item) for item in value] if isinstance(value, list) else value


def undescribed(value: Any, *, schema: bool = False) -> Any:
    """A value whose schemas say nothing about what their fields are for."""
    if isinstance(value, dict):
        return {
            key: undescribed(item, schema=schema or key in ("openAPIV3Schema", "components"))
            for key, item in value.items()
            if not (schema and key == "description" and isinstance(item, str))
        }
    return [undescribed(item, schema=schema) for item in value] if isinstance(value, list) else value


def exchange(line: dict[str, Any]) -> dict[str, Any]:
    """An exchange as it is replayed."""
    kept = {key: value for key, value in line.items() if key not in ("response", "watch", "response_base64")}
    if "response" in line and not line["path"].startswith("/openapi/v3/"):
        kept["response"] = pruned(undescribed(line["response"]))
        if "openAPIV3Schema" in json.dumps(line["response"]):
            kept["response_without"] = sorted({*(line.get("response_without") or ()), "openAPIV3Schema"})
    if "body" in line:
        kept["body"] = undescribed(line["body"])
    if "watch" in line:
        kept["watch"] = [pruned(event) for event in line["watch"][-1:]]
    return kept


def state(line: dict[str, Any]) -> dict[str, Any]:
    """A watch event as the orders of states look at it."""
    obj = line["object"]
    if "resourceVersion" not in obj.get("metadata", {}):
        return {
            "t": line["t"],
            "kind": line["kind"],
            "object": {"kind": line["kind"], "metadata": {"resourceVersion": ""}},
        }
    meta = {
        "name": obj["metadata"]["name"],
        "resourceVersion": obj["metadata"]["resourceVersion"],
        "ownerReferences": [{"name": each["name"]} for each in obj["metadata"].get("ownerReferences") or ()],
    }
    kept: dict[str, Any] = {"kind": line["kind"], "metadata": meta}
    if line["kind"] == "Deployment":
        kept = pruned(obj)
    elif line["kind"] == "ReplicaSet":
        kept["spec"] = {"replicas": obj["spec"]["replicas"]}
    return {"t": line["t"], "kind": line["kind"], "object": kept}


def paces(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """How long the kubelet took for each pod, in the order of their creation, as far as that can be seen.

    `start`: seconds from its node to its first container that is no longer being made; `stop`: from its deletion to
    the status that says that all containers have ended; `removal`: from there to its end. Where pods were not
    recorded, their ReplicaSet says how many there were, were ready, or were on their way out.
    """
    pods = _moments(lines)
    owners = {seen.owner for seen in pods}
    pods += [seen for seen in _counted(lines) if seen.owner not in owners]
    found = []
    for seen in sorted(pods, key=lambda seen: seen.at["created"]):
        took = {key: _between(seen.at, begin, end) for key, begin, end in _SPANS}
        # One that took longer was waiting for something, or somebody.
        known = {key: round(each, 3) for key, each in took.items() if each is not None and each < _KUBELET_SECONDS}
        found.append({"pod": seen.name} | known)
    return found


def _between(at: dict[str, float], begin: str, end: str) -> float | None:
    """Seconds from one moment to another; what had not happened at the last look, did soon after."""
    if begin not in at:
        return None
    if end in at:
        return at[end] - at[begin]
    return at["seen"] - at[begin] + _SOON_SECONDS if end == "ended" else None


@dataclass
class _Pod:
    """When a pod was in which state, in seconds."""

    name: str
    owner: str
    at: dict[str, float] = field(default_factory=dict)


def _moments(lines: Iterable[dict[str, Any]]) -> list[_Pod]:
    """The pods that were recorded."""
    pods: dict[str, _Pod] = {}
    for line in lines:
        if line["kind"] != "Pod":
            continue
        meta, status = line["object"]["metadata"], line["object"].get("status") or {}
        owner = (meta.get("ownerReferences") or [{"uid": ""}])[0]["uid"]
        at = pods.setdefault(meta["uid"], _Pod(base_name(meta), owner)).at
        at.setdefault("created", line["t"])
        at["seen"] = line["t"]
        if any(each["type"] == "PodScheduled" and each["status"] == "True" for each in status.get("conditions") or ()):
            at.setdefault("placed", line["t"])
        containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
        waiting = [(each["state"].get("waiting") or {}).get("reason") for each in containers]
        if any(reason not in ("ContainerCreating", "PodInitializing") for reason in waiting):
            at.setdefault("begun", line["t"])
        if meta.get("deletionTimestamp"):
            at.setdefault("deleted", line["t"])
            if status.get("phase") in ("Succeeded", "Failed"):
                at.setdefault("ended", line["t"])
        if line["type"] == "DELETED":
            at["gone"] = line["t"]
    return list(pods.values())


def _counted(lines: Iterable[dict[str, Any]]) -> list[_Pod]:
    """The pods of ReplicaSets, by what their status counts: the first that there was was the first in each state."""
    pods: dict[str, list[_Pod]] = {}
    containers: dict[str, int] = {}
    for line in lines:
        if line["kind"] != "ReplicaSet":
            continue
        meta, status = line["object"]["metadata"], line["object"].get("status") or {}
        for pod in pods.get(meta["uid"], ()):
            pod.at["seen"] = line["t"]
        if line["type"] == "DELETED":
            continue
        name = meta["name"].removesuffix(f"-{meta['labels']['pod-template-hash']}")
        own = pods.setdefault(meta["uid"], [])
        if line["type"] == "ADDED":
            containers[meta["uid"]] = len(line["object"]["spec"]["template"]["spec"]["containers"])
        ready, going = status.get("readyReplicas", 0), status.get("terminatingReplicas") or 0
        here = sum(1 for pod in own if "deleted" not in pod.at)
        for _ in range(status.get("replicas", 0) - here):
            own.append(_Pod(name, meta["uid"], {"created": line["t"], "placed": line["t"]}))
        left = [pod for pod in own if "deleted" not in pod.at]
        for pod in left[:ready]:
            if "begun" in pod.at:
                continue
            # All of its containers run, which a kubelet starts one after the other.
            pod.at["begun"] = pod.at["placed"] + (line["t"] - pod.at["placed"]) / containers[meta["uid"]]
        for pod in left[status.get("replicas", 0) :]:
            pod.at["deleted"] = line["t"]
        leaving = [pod for pod in own if "deleted" in pod.at and "gone" not in pod.at]
        for pod in leaving[: len(leaving) - going]:
            pod.at["ended"] = pod.at["gone"] = line["t"]
    return [pod for own in pods.values() for pod in own]


def base_name(meta: dict[str, Any]) -> str:
    """A pod's name without what is generated of it."""
    if "generateName" not in meta:
        return str(meta["name"])
    label = next((f"-{meta['labels'][key]}" for key in ("pod-template-hash",) if key in meta.get("labels", {})), "")
    return str(meta["generateName"]).removesuffix("-").removesuffix(label)


def webhook(line: dict[str, Any]) -> dict[str, Any]:
    """What a webhook answered, without the request."""
    return {"path": line["path"].partition("?")[0], "response": line["response"]}


def write(source: Path, name: str) -> None:
    """Write what is kept of one recording, the same bytes each time."""
    parts: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        f"{name}.http": exchange,
        f"{name}.timeline": state,
    }
    if name in WEBHOOKS:
        parts = {name: webhook}
    elif name in ENDINGS:
        parts = {name: dict}
    kept = {part: [keep(line) for line in _lines(source, part)] for part, keep in parts.items()}
    if name in PACED:
        kept[f"{name}.pace"] = paces(_lines(source, f"{name}.timeline"))
    for part, lines in kept.items():
        text = "".join(json.dumps(line, separators=(",", ":"), sort_keys=True) + "\n" for line in lines)
        (_HERE / f"{part}.jsonl.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _lines(source: Path, part: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (source / f"{part}.jsonl").read_text().splitlines()]


if __name__ == "__main__":
    _HERE.mkdir(exist_ok=True)
    for each in sys.argv[2:] or (*NAMES, *WEBHOOKS, *ENDINGS):
        write(Path(sys.argv[1]), each)
