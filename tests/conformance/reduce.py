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
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = ("lab", "faults", "core", "crd", "policy", "pods")
#: What admission webhooks answered: to which path, and what.
WEBHOOKS = ("policy.webhook",)
#: What users met while pods ended: a file each, kept whole.
ENDINGS = ("termination_more", "termination_more_quiet", "termination_quiet")
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
    for part, keep in parts.items():
        lines = [keep(json.loads(line)) for line in (source / f"{part}.jsonl").read_text().splitlines()]
        text = "".join(json.dumps(line, separators=(",", ":"), sort_keys=True) + "\n" for line in lines)
        (_HERE / f"{part}.jsonl.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


if __name__ == "__main__":
    _HERE.mkdir(exist_ok=True)
    for each in sys.argv[2:] or (*NAMES, *WEBHOOKS, *ENDINGS):
        write(Path(sys.argv[1]), each)
