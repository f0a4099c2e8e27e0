"""The order of states: what a Deployment and its ReplicaSets went through, and how much of it agrees.

Pure functions over watch events. How many pods become ready between two looks of a controller is a
matter of chance, so counts in between are not compared; what the controllers decided is: the sizes that
they gave each ReplicaSet, and what they said of the rollout, both in order.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

Event = dict[str, Any]  # type, object
Track = list[str]


def tracks(events: Iterable[Event]) -> dict[str, Track]:
    """What happened in order, by what it happened to.

    `DEPLOYMENT sizes of revision N`: the sizes of the ReplicaSet that came Nth; `DEPLOYMENT progress` and
    `DEPLOYMENT availability`: status and reason of those conditions. Equal neighbours are one.
    """
    found: dict[str, Track] = {}
    order: dict[str, list[str]] = {}
    for event in events:
        obj = event["object"]
        if obj["kind"] == "ReplicaSet":
            owners = obj["metadata"].get("ownerReferences")
            if not owners:  # an orphan, until somebody adopts it
                continue
            owner = owners[0]["name"]
            names = order.setdefault(owner, [])
            if obj["metadata"]["name"] not in names:
                names.append(obj["metadata"]["name"])
            number = names.index(obj["metadata"]["name"]) + 1
            _append(found, f"{owner} sizes of ReplicaSet {number}", str(obj["spec"]["replicas"]))
        elif obj["kind"] == "Deployment":
            for condition in obj.get("status", {}).get("conditions") or ():
                state = f"{condition['status']} {condition['reason']}"
                what = {"Progressing": "progress", "Available": "availability"}.get(condition["type"], "failure")
                _append(found, f"{obj['metadata']['name']} {what}", state)
    return found


def _append(found: dict[str, Track], name: str, state: str) -> None:
    track = found.setdefault(name, [])
    if not track or track[-1] != state:
        track.append(state)


def agreement(recorded: Track, ours: Track) -> tuple[int, int]:
    """How many states of a recorded track came in that order, of how many there are in either."""
    matcher = difflib.SequenceMatcher(None, recorded, ours, autojunk=False)
    same = sum(block.size for block in matcher.get_matching_blocks())
    return same, max(len(recorded), len(ours))
