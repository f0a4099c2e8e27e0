# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of a Deployment has served, kept for as long as a run may have to go back to it. Pure functions.

Kubernetes remembers old pod templates in ReplicaSets, as many as `revisionHistoryLimit` says, and cleans up as soon as
a rollout is complete: before anybody has verified it. And it does not remember which of them ever served. So both are
noted at the Deployment, in the patch that gives it another template, and survive whoever made it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._workload import _workloads
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import Object, Revision

SERVED = "convoy.rollout/served"  #: the ReplicaSets that were complete and served, the last one last
#: The revisionHistoryLimit that is given back once the outcome is known, and the one that it was raised to.
LIMIT = "convoy.rollout/history-limit"

DEFAULT_LIMIT = 10  #: revisionHistoryLimit where a Deployment has none
REMEMBERED = 10  #: how many ReplicaSets are noted as having served


def is_noted(deployment: Object) -> bool:
    """Whether a run has noted anything at a Deployment, and maybe was cut off since."""
    return bool({SERVED, LIMIT} & set(_workloads.annotations_of(deployment)))


def limit(deployment: Object) -> int:
    """How many old ReplicaSets Kubernetes keeps, as the Deployment's owner wants it."""
    there = int(deployment["spec"].get("revisionHistoryLimit", DEFAULT_LIMIT))
    own, _to, raised = _workloads.annotations_of(deployment).get(LIMIT, "").partition(",")
    # `kubectl rollout undo` gives a Deployment all annotations of the earlier ReplicaSet, old ones of ours among them.
    return int(own) if own.isdigit() and raised == str(there) else there


def served(deployment: Object, known: t.Sequence[Revision]) -> list[Revision]:
    """The revisions that are there and known to have served, in the order in which they did."""
    by_name = {revision.name: revision for revision in known}
    noted = _workloads.annotations_of(deployment).get(SERVED, "").split(",")
    return [by_name[name] for name in noted if name in by_name]


def before(deployment: Object, known: t.Sequence[Revision]) -> Revision | None:
    """The revision that served before the current one, where that is known: those that failed are none.

    Of a current one that nobody verified, it is the last that is known to have served, unless others came between,
    which somebody else rolled out.
    """
    current, noted = _workloads.current(known), served(deployment, known)
    if current is not None and current in noted:
        noted = noted[: noted.index(current)]
    elif _between(current, noted, known):
        return None
    return next((item for item in reversed(noted) if not item.failed), None)


def is_unverified(deployment: Object, known: t.Sequence[Revision]) -> bool:
    """Whether what a Deployment runs came after what is known to have served, and nobody has verified it.

    A run that was cut off leaves it so, and the next one goes on.
    """
    current = _workloads.current(known)
    return current is not None and current not in served(deployment, known) and before(deployment, known) is not None


def _between(current: Revision | None, noted: t.Sequence[Revision], known: t.Sequence[Revision]) -> bool:
    """Whether others than those that served came after the last that did, besides the current one."""
    newest = max((item.number for item in noted), default=0)
    return any(item.number > newest and item is not current and not item.failed for item in known)


def keeping(deployment: Object, known: t.Sequence[Revision], last: Revision | None) -> list[Object]:
    """The JSON patch that goes with another template: the revision that served `last` is noted, and is not cleaned up.

    Kubernetes cleans up the oldest first, by revision; in older releases, by age.
    """
    if last is None:
        return []
    noted = [item.name for item in served(deployment, known) if item.uid != last.uid]
    names = [*noted, last.name] if last.name else noted
    newer = [
        item for item in known if item.uid != last.uid and (item.number > last.number or item.created > last.created)
    ]
    least, there = len(newer) + 1, int(deployment["spec"].get("revisionHistoryLimit", DEFAULT_LIMIT))
    values: dict[str, str | None] = {SERVED: ",".join(names[-REMEMBERED:]) or None}
    if there >= least:
        return _workloads.annotated(deployment, values)
    raised = {"op": "add", "path": "/spec/revisionHistoryLimit", "value": least}
    return [*_workloads.annotated(deployment, {**values, LIMIT: f"{limit(deployment)},{least}"}), raised]


def settled(deployment: Object, known: t.Sequence[Revision], *, verified: bool) -> list[Object]:
    """The JSON patch that ends a change: as much is kept as its owner wants; where it was `verified`, it has served."""
    annotations, current = _workloads.annotations_of(deployment), _workloads.current(known)
    values: dict[str, str | None] = {}
    if verified and current and current.name:
        noted = [item.name for item in served(deployment, known) if item is not current]
        values[SERVED] = ",".join([*noted, current.name][-REMEMBERED:])
    if LIMIT not in annotations:
        return _workloads.annotated(deployment, values)
    back = {"op": "add", "path": "/spec/revisionHistoryLimit", "value": limit(deployment)}
    patch = _workloads.annotated(deployment, {**values, LIMIT: None})
    there = deployment["spec"].get("revisionHistoryLimit", DEFAULT_LIMIT)
    return [*patch, back] if there != limit(deployment) else patch


def no_way_back(deployment: Object) -> str:
    """That nothing is kept to go back to once a change has been verified, in words; empty where something is."""
    if limit(deployment):
        return ""
    return (
        f"Deployment {deployment['metadata']['name']} has revisionHistoryLimit 0: once the new version is verified, "
        "Kubernetes keeps no revision to roll back to"
    )
