# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What share of a Service's ready endpoints a canary has, compared with the requested weight. Pure functions."""

from __future__ import annotations

import typing as t
from collections import Counter
from fractions import Fraction

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _weights
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import (
    Object,
    Seen,
    named,
    replicas_of,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _managers, _reachable
from ansible_collections.convoy.rollout.plugins.module_utils._workload._subject import TRACK

Counts = t.Mapping[str, int]


def endpoints(seen: Seen) -> dict[str, t.Any]:
    """How many ready endpoints of the Service are whose, whether they are all that are wanted and no more, and whether
    stable has them alone."""
    pods = {pod["metadata"]["name"]: pod for pod in seen.pods}
    ready: Counter[str] = Counter()
    for name in [*_reachable.ready(seen.slices), *_reachable.ready(seen.canary_slices)]:
        labels = (pods[name]["metadata"].get("labels") or {}) if name in pods else None
        ready["gone" if labels is None else "canary" if labels.get("track") == TRACK else "stable"] += 1
    wanted = Counter({"stable": replicas_of(seen.stable), "canary": replicas_of(seen.canary)})
    return {
        "ready": {"stable": ready["stable"], "canary": ready["canary"]},
        "settled": +ready == +wanted and not _mixed(seen, pods),
        "alone": set(+ready) == {"stable"},
    }


def _mixed(seen: Seen, pods: t.Mapping[str, Object]) -> bool:
    """Whether stable's Service leads to pods of a canary that has its share of a router."""
    if seen.router is None:
        return False
    behind = [pods[name] for name in _reachable.ready(seen.slices) if name in pods]
    return any((pod["metadata"].get("labels") or {}).get("track") == TRACK for pod in behind)


def shares(ready: Counts, old: str, version: str) -> dict[str, float]:
    """The share (0..1) of the traffic that each version is to get from these ready endpoints."""
    total = sum(ready.values())
    counts = Counter({old: ready["stable"]}) + Counter({version: ready["canary"]})
    return {each: count / total for each, count in counts.items()}


def shares_of(seen: Seen, old: str, version: str) -> dict[str, float]:
    """The share (0..1) of the traffic that each version is to get: by the router's weights, else by ready endpoints."""
    if seen.router is None:
        return shares(endpoints(seen)["ready"], old, version)
    canary = float(seen.share() or 0)
    counts = {old: 0.0, version: 0.0}
    counts[old] += 1 - canary
    counts[version] += canary
    return {each: share for each, share in counts.items() if share}


def check_weight(seen: Seen, step: Object, tolerance: float) -> None:
    """Raise Failure where replicas that somebody changed are not within the tolerance of the weight asked for.

    A router's weights have to be those that were given, and there have to be replicas for them: gateways answer 503
    for the share of a Service without endpoints.
    """
    application = seen.stable["metadata"]["name"]
    if seen.canary is None:
        raise Failure(
            f"Deployment {named(application)} was deleted by somebody else during this run; run the playbook again."
        )
    weight = _weights.weight_of(step["weight"])
    if seen.router is not None:
        if seen.share() != weight:
            now = seen.share()
            gives = "different shares by its rules" if now is None else _weights.percent(now)
            raise Failure(
                f"{seen.router} gives the canary {gives} instead of {_weights.percent(weight)}: somebody else changed "
                "it during this run; find out who did that, and run the playbook again."
            )
        for item, track, part in ((seen.canary, "canary", weight), (seen.stable, "stable", 1 - weight)):
            if part and not replicas_of(item):
                raise Failure(
                    f"{_managers.changed_by(item, 'spec.replicas', step[track], 0)} while {seen.router} gives it "
                    f"{_weights.percent(part)} of the traffic, so those requests are lost. Find out who did that, "
                    "scale it back, and run the playbook again."
                )
        return
    has = {"canary": replicas_of(seen.canary), "stable": replicas_of(seen.stable)}
    total = sum(has.values())
    share = Fraction(has["canary"], total) if total else Fraction(0)
    if abs(share - weight) * 100 <= Fraction(str(tolerance)):
        return
    changes = [
        _managers.changed_by(item, "spec.replicas", step[track], has[track])
        for track, item in (("canary", seen.canary), ("stable", seen.stable))
        if has[track] != step[track]
    ]
    ready = endpoints(seen)["ready"]
    raise Failure(
        f"{' and '.join(changes)} while the canary was given {_weights.percent(weight)}: {has['canary']} of {total} "
        f"replicas give it {_weights.percent(share)}, which is not within {tolerance:g} points of that "
        f"({ready['canary']} of {sum(ready.values())} ready endpoints are its own now). Find out who did that and "
        "scale back, or request a weight that these replicas give."
    )


def unsettled(seen: Seen) -> str:
    """Which ready endpoints a Service has in the place of those that it is to have, in words."""
    ready = endpoints(seen)["ready"]
    if seen.router is not None:
        return (
            f"Services {' and '.join(seen.services)} have {ready['stable']} ready endpoints of stable and "
            f"{ready['canary']} of the canary, where {replicas_of(seen.stable)} and {replicas_of(seen.canary)} are "
            "expected"
        )
    return (
        f"Service {seen.service['metadata']['name']} has {ready['stable']} ready endpoints of stable and "
        f"{ready['canary']} of the canary, where {replicas_of(seen.stable)} and {replicas_of(seen.canary)} are expected"
    )
