# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may change an application: a Lease, as coordination.k8s.io/v1 has them, and what may be done about it.

It is held and renewed as client-go's leader election does it
(https://pkg.go.dev/k8s.io/client-go/tools/leaderelection): every write applies only to the version that was read, and a
Lease has expired when it was *seen* unchanged for its whole duration. Clocks are compared for one thing only, to tell
whether it is worth looking that long: a Lease whose time is still running by this machine's clock is refused at once. A
clock that is wrong costs a refusal or a wait, never two holders.
"""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone

from ansible_collections.convoy.rollout.plugins.module_utils._cluster._api import Object

DURATION = 15  #: seconds that a Lease lasts when it is not renewed
PURPOSE = "convoy.rollout/purpose"  #: the annotation that says what it is held for


class Held(t.NamedTuple):
    """A Lease that somebody holds."""

    holder: str
    since: str  #: RFC 3339
    renewed: str  #: RFC 3339, by the holder's clock
    duration: int  #: seconds
    purpose: str
    version: str  #: the resourceVersion

    def __str__(self) -> str:
        what = f", for {self.purpose}" if self.purpose else ""
        return f"{self.holder} since {self.since[:19].replace('T', ' ')} UTC{what}"

    def seems_alive(self, now: datetime) -> bool:
        """Whether it still lasts by this machine's clock; a time that cannot be read counts as past."""
        try:
            renewed = datetime.fromisoformat(self.renewed.replace("Z", "+00:00"))
            return (now - renewed).total_seconds() < self.duration
        except (TypeError, ValueError):
            return False


def held(lease: Object | None) -> Held | None:
    """Who holds a Lease, None where it is free or not there."""
    spec = (lease or {}).get("spec") or {}
    if lease is None or not spec.get("holderIdentity"):
        return None
    metadata = lease["metadata"]
    return Held(
        holder=str(spec["holderIdentity"]),
        since=str(spec.get("acquireTime") or metadata.get("creationTimestamp") or ""),
        renewed=str(spec.get("renewTime") or ""),
        duration=int(spec.get("leaseDurationSeconds") or DURATION),
        purpose=str((metadata.get("annotations") or {}).get(PURPOSE) or ""),
        version=str(metadata["resourceVersion"]),
    )


class Observer:
    """Tells from what is seen of a Lease, again and again, whether its holder has died."""

    def __init__(self) -> None:
        self._version = ""
        self._since = 0.0
        self.has_changed = False  #: whether it was seen to change, as it does when its holder lives

    def has_expired(self, now: Held, monotonic: float) -> bool:
        """Whether it was seen unchanged for as long as it lasts. `monotonic` are seconds of this machine."""
        if now.version != self._version:
            self.has_changed = bool(self._version)
            self._version, self._since = now.version, monotonic
        return monotonic - self._since >= now.duration


def taken(lease: Object | None, *, name: str, holder: str, purpose: str, now: datetime) -> Object:
    """The Lease as a new holder writes it: to be created where there is none, else to replace the one that was read."""
    metadata = (lease or {}).get("metadata") or {}
    spec = (lease or {}).get("spec") or {}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": name,
            **{key: metadata[key] for key in ("uid", "resourceVersion") if key in metadata},
            "annotations": {**(metadata.get("annotations") or {}), PURPOSE: purpose},
        },
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": DURATION,
            "acquireTime": stamp(now),
            "renewTime": stamp(now),
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (1 if lease else 0),
        },
    }


def renewed(lease: Object, now: datetime) -> Object:
    """The Lease as its holder renews it."""
    return {**lease, "spec": {**lease["spec"], "renewTime": stamp(now)}}


def stamp(when: datetime) -> str:
    """A MicroTime."""
    return when.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
