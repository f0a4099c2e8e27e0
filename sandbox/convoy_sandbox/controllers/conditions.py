# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Conditions in a status: found by type, set with the right times."""

from __future__ import annotations

from ..store import Object
from ..times import timestamp


def find(status: Object, type_: str) -> Object | None:
    """The condition of a type."""
    for condition in status.get("conditions") or ():
        if condition["type"] == type_:
            found: Object = condition
            return found
    return None


def is_true(status: Object, type_: str) -> bool:
    """Whether a condition is there and True."""
    condition = find(status, type_)
    return condition is not None and condition["status"] == "True"


def put(status: Object, type_: str, value: str, reason: str, message: str, *, updated: bool = True) -> None:
    """Set a Deployment's or ReplicaSet's condition: unchanged where status and reason are, else moved to the end.

    The time of the last transition stays where the status does.
    """
    now = timestamp()
    old = find(status, type_)
    if old is not None and (old["status"], old.get("reason")) == (value, reason):
        return
    replace(status, type_, value, reason, message, now, old, updated=updated)


def replace(
    status: Object, type_: str, value: str, reason: str, message: str, now: str, old: Object | None, *, updated: bool
) -> None:
    """Put a condition at the end, in place of the old one of its type."""
    condition: Object = {"type": type_, "status": value}
    if updated:
        condition["lastUpdateTime"] = now
    same = old is not None and old["status"] == value
    condition["lastTransitionTime"] = old["lastTransitionTime"] if same and old else now
    condition |= {"reason": reason, "message": message}
    status["conditions"] = [c for c in status.get("conditions") or () if c["type"] != type_] + [condition]


def disrupt(status: Object, reason: str, message: str) -> None:
    """Say in a pod's status why it is about to be deleted by somebody who is not its owner."""
    condition = {"type": "DisruptionTarget", "status": "True", "lastProbeTime": None, "reason": reason}
    condition |= {"lastTransitionTime": timestamp(), "message": message}
    status["conditions"] = [
        *(each for each in status.get("conditions") or () if each["type"] != "DisruptionTarget"), condition,
    ]  # fmt: skip
