# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pausing a Deployment, at once or at a share of its new pods. Pure functions of plain objects.

Kubernetes has no point to pause at, and a rollout that is only watched runs past one: it goes on in the
moment in which a pod becomes available. So the rollout is braked while it goes there. A new pod that is
ready takes traffic as ever but does not count as available (`minReadySeconds` is a year), and so the
controller stops by itself at maxSurge + maxUnavailable new pods. Each step then allows as many pods more to
be missing as new ones are ready, until the wanted number is there. What the brake changes is remembered in
an annotation and given back with the pause.

A rollout whose pods have no drain is braked as well, so that each old pod ends in a quiet moment (`spaced`).
"""

from __future__ import annotations

import json
import math
import re
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import (
    Object,
    annotated,
    annotations_of,
)

#: The Deployment's annotation that says that it was paused by us, and at which share of its new pods.
PAUSED_AT = "convoy.rollout/paused-at"
#: The Deployment's annotation that keeps what the brake changed.
BEFORE_PAUSE = "convoy.rollout/before-pause"

#: Seconds for which a new pod is ready before an old one ends that has no drain. A proxy writes its rules at most once
#: a second: by then it has long written that the new pod is there, so that it takes the old one out before that stops
#: listening.
QUIET = 3
#: In how many steps a rollout replaces its pods at most where each of them waits for a quiet moment.
STEPS = 10

YEAR = 365 * 24 * 3600  #: seconds
#: What the brake changes, by its path below spec.
BRAKE = {
    "minReadySeconds": ("minReadySeconds",),
    "progressDeadlineSeconds": ("progressDeadlineSeconds",),
    "maxSurge": ("strategy", "rollingUpdate", "maxSurge"),
    "maxUnavailable": ("strategy", "rollingUpdate", "maxUnavailable"),
}


class Point(t.NamedTuple):
    """Where a rollout is paused: a share (0..1) of the wanted pods, and its text."""

    share: float
    said: str

    def due(self, deployment: Object) -> int:
        """How many pods are new at this point, at least 1; old pods go as soon as all are. Raises Failure."""
        wanted = deployment["spec"].get("replicas", 1)
        if wanted < 2:
            name = deployment["metadata"]["name"]
            raise Failure(
                f"Deployment {name} cannot be paused at {self.said}: it has {wanted} replicas, so there is nothing "
                f"between old and new; scale it to 2 or more first."
            )
        return min(wanted - 1, max(1, math.ceil(self.share * wanted - 1e-9)))


def point(said: str) -> Point:
    """The point that a text such as 50% means. Raises Failure."""
    matched = re.fullmatch(r"(\d+(?:\.\d+)?)%", said.strip())
    share = float(matched[1]) / 100 if matched else 0.0
    if not 0 < share < 1:
        raise Failure(
            f"A rollout cannot be paused at {said}; set a share of its pods between 0% and 100%, such as 50%."
        )
    return Point(share, said.strip())


def is_ours(deployment: Object) -> bool:
    """Whether a Deployment was paused part way by us, or is on its way there."""
    return PAUSED_AT in annotations_of(deployment) and bool(deployment["spec"].get("paused") or _before(deployment))


def _is_on(deployment: Object, own: t.Mapping[str, t.Any]) -> bool:
    """Whether what is remembered as a Deployment's `own` settings is still changed by us.

    `kubectl rollout undo` gives a Deployment all annotations of the earlier ReplicaSet, old ones of ours among them:
    what they say was given back long ago, and its owner may have changed it since.
    """
    spec = deployment["spec"]
    if spec.get("paused"):
        return True
    if "minReadySeconds" not in own:  # a pause that somebody else has ended, which left a smaller surge
        return "maxSurge" in own and _is_smaller(deployment, own["maxSurge"])
    ready = spec.get("minReadySeconds") or 0
    slowed = ready == max(QUIET, own["minReadySeconds"] or 0) and not _get(deployment, BRAKE["maxUnavailable"])
    return ready == YEAR or slowed


def limits(replicas: int, max_surge: t.Any, max_unavailable: t.Any) -> tuple[int, int]:
    """maxSurge and maxUnavailable in pods, as the Deployment controller counts them. Raises ValueError."""
    surge, unavailable = _scaled(max_surge, replicas, math.ceil), _scaled(max_unavailable, replicas, math.floor)
    return surge, min(replicas, unavailable or (0 if surge else 1))


def _scaled(said: t.Any, replicas: int, rounded: t.Callable[[float], int]) -> int:
    text = str(said or 0)
    if text.endswith("%"):
        return rounded(int(text[:-1]) * replicas / 100)
    return int(text)


def paused(deployment: Object, at: str = "") -> list[Object]:
    """The JSON patch that pauses a Deployment and takes the brake off; `at` marks the pause as ours."""
    before = _before(deployment)
    # A paused Deployment is filled up to its maxSurge: a smaller one stays until it is resumed.
    kept = {key: value for key, value in before.items() if key == "maxSurge" and _is_smaller(deployment, value)}
    patch = _set(deployment, {key: value for key, value in before.items() if key not in kept})
    noted: dict[str, str | None] = {BEFORE_PAUSE: json.dumps(kept) if kept else None}
    if at:
        noted[PAUSED_AT] = at
    if not deployment["spec"].get("paused"):
        patch.append({"op": "add", "path": "/spec/paused", "value": True})
    return annotated(deployment, noted) + patch


def resumed(deployment: Object) -> list[Object]:
    """The JSON patch that resumes a Deployment, with its own settings."""
    patch = annotated(deployment, {PAUSED_AT: None, BEFORE_PAUSE: None}) + _set(deployment, _before(deployment))
    if deployment["spec"].get("paused"):
        patch.append({"op": "remove", "path": "/spec/paused"})
    return patch


def braked(deployment: Object, at: Point) -> list[Object]:
    """The JSON patch that pauses a Deployment with the brake on, so that its new pods stop being available."""
    own = {key: _get(deployment, path) for key, path in BRAKE.items()}
    own.update(_before(deployment))
    brake = {"minReadySeconds": YEAR, "progressDeadlineSeconds": YEAR + 1}
    patch = annotated(deployment, {PAUSED_AT: at.said, BEFORE_PAUSE: json.dumps(own)}) + _set(deployment, brake)
    if not deployment["spec"].get("paused"):
        patch.append({"op": "add", "path": "/spec/paused", "value": True})
    return patch


def spaced(deployment: Object) -> list[Object]:
    """The JSON patch that has new pods come first, and old ones end when the new ones were ready for a while.

    Empty where its owner wants no more pods than replicas at any time, or it is paused.
    """
    own = {key: _get(deployment, path) for key, path in BRAKE.items()}
    own.update(_before(deployment))
    wanted = deployment["spec"].get("replicas", 1)
    surge, _unavailable = limits(wanted, own["maxSurge"], own["maxUnavailable"])
    quiet = max(QUIET, own["minReadySeconds"] or 0)
    # Kubernetes wants the deadline to be the longer one.
    if not surge or deployment["spec"].get("paused") or (own["progressDeadlineSeconds"] or 600) <= quiet:
        return []
    values = {"minReadySeconds": quiet, "maxSurge": math.ceil(wanted / STEPS), "maxUnavailable": 0}
    return annotated(deployment, {BEFORE_PAUSE: json.dumps(own)}) + _set(deployment, values)


def released(deployment: Object) -> list[Object]:
    """The JSON patch that restores the settings of a Deployment that `spaced` has changed."""
    if is_ours(deployment):
        return []
    return annotated(deployment, {BEFORE_PAUSE: None}) + _set(deployment, _before(deployment))


def towards(deployment: Object, at: Point, ready: int) -> list[Object]:
    """The JSON patch that lets a braked Deployment go on to a point; `ready` new pods take traffic."""
    wanted, due = deployment["spec"].get("replicas", 1), at.due(deployment)
    own = _before(deployment)
    surge, unavailable = limits(wanted, own.get("maxSurge", 0), own.get("maxUnavailable", 0))
    surge = min(surge, due)
    patch = _set(deployment, {"maxSurge": surge, "maxUnavailable": min(due - surge, unavailable + ready)})
    if deployment["spec"].get("paused"):
        patch.append({"op": "remove", "path": "/spec/paused"})
    return patch


def _before(deployment: Object) -> dict[str, t.Any]:
    """What the brake changed, by name, empty where it is off."""
    try:
        kept = json.loads(annotations_of(deployment).get(BEFORE_PAUSE, "{}"))
        limits(1, kept.get("maxSurge") or 0, kept.get("maxUnavailable") or 0)
        own = {key: value for key, value in kept.items() if key in BRAKE}
        return own if _is_on(deployment, own) else {}
    except (ValueError, AttributeError):
        raise Failure(
            f"The annotation {BEFORE_PAUSE} of Deployment {deployment['metadata']['name']} is not what was written "
            "there; remove it and check that minReadySeconds and strategy are as they should be."
        ) from None


def _is_smaller(deployment: Object, own: t.Any) -> bool:
    """Whether a Deployment has a smaller maxSurge than its own."""
    wanted = deployment["spec"].get("replicas", 1)
    return _scaled(_get(deployment, BRAKE["maxSurge"]), wanted, math.ceil) < _scaled(own, wanted, math.ceil)


def _get(deployment: Object, path: t.Sequence[str]) -> t.Any:
    found = deployment["spec"]
    for key in path:
        found = (found or {}).get(key)
    return found


def _set(deployment: Object, values: t.Mapping[str, t.Any]) -> list[Object]:
    """The JSON patch that gives fields below spec a value; None takes one away."""
    patch = []
    for key, value in values.items():
        path, there = "/".join(("/spec", *BRAKE[key])), _get(deployment, BRAKE[key])
        if value is None and there is not None:
            patch.append({"op": "remove", "path": path})
        elif value != there:
            patch.append({"op": "add", "path": path, "value": value})
    return patch
