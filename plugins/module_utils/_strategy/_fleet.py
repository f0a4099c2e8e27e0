# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a fleet's clusters came to, alone and together, and the table of them. Pure functions.

A cluster is a host of the inventory. What is known of each is `start`, which was read before anything changed, and
`result`, what became of it since.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _statistics
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _subject

Object = t.Dict[str, t.Any]

COLUMNS = (
    "cluster",
    "provider",
    "region",
    "before",
    "after",
    "wave",
    "verdict",
    "requests",
    "lost",
    "seconds",
)
#: Verdicts with which a wave goes on: where a cluster's own requests do not tell, those of the whole wave have to.
GOOD = frozenset(["pass", "inconclusive", "unverified", "check mode"])
UNREACHED = "it was lost"


@dataclass(frozen=True)
class Cluster:
    """One cluster of the fleet."""

    name: str
    start: Object  #: what `start` returns, or message, why it cannot be read
    result: Object  #: of this fleet's run: wave, verdict, after, samples, lost, seen, seconds, message
    provider: t.Any = None
    region: t.Any = None

    @property
    def unread(self) -> bool:
        """Whether nothing is known of it."""
        return "known" not in self.start


def start(subject: _subject.Subject, strategy: str) -> Object:
    """What a cluster has before anything is changed: `known`, the version that answers or with scale the number of
    replicas, and how to have it again. Raises Failure where it is unclear what has the traffic."""
    # What has no Service can be updated all the same.
    live = subject.live or (subject.member(subject.application) if strategy == "rolling_update" else None)
    live = live or _subject.taking(subject)
    service = subject.services[0] if subject.services else None
    image = live.image
    return {
        "known": live.replicas if strategy == "scale" else live.version or (image.reference if image else ""),
        "tag": (image.tag if image else "") or live.label or live.version,
        "revision": live.state.revision,
        "service": service.name if service else "",
        "uid": service.uid if service and strategy == "bluegreen" else live.uid,
    }


def check_readable(clusters: t.Sequence[Cluster], application: str, skip: bool) -> list[str]:
    """The names of the clusters that take part. Raises Failure where one cannot be read, or two are the same one."""
    unread = [cluster for cluster in clusters if cluster.unread]
    if unread and not skip:
        reasons = "; ".join(
            f"{cluster.name} ({cluster.start.get('message') or 'it cannot be reached'})" for cluster in unread
        )
        raise Failure(
            f"Nothing was changed, as these clusters cannot be read: {reasons}. Fix them, leave them out with "
            "--limit, or go on without them with -e fleet_skip_unreachable=true."
        )
    same: dict[str, list[str]] = {}
    for cluster in clusters:
        if cluster.start.get("uid"):
            same.setdefault(cluster.start["uid"], []).append(cluster.name)
    # A wave of one of them would be a wave of all.
    twins = "; ".join(" and ".join(names) for names in same.values() if len(names) > 1)
    if twins:
        raise Failure(
            f"Nothing was changed, as several hosts lead to the same {application}: {twins}. Give each its own "
            "kubeconfig and context, or leave out all but one of them with --limit."
        )
    return [cluster.name for cluster in clusters if not cluster.unread]


def changed(start: Object, outcome: t.Mapping[str, t.Any] | None, wave: int, seconds: float, why: str) -> Object:
    """What became of a cluster's change: what its run's outcome says, else `why` it has none."""
    if outcome is None:
        return {
            "wave": wave,
            "verdict": "fail",
            "after": None,
            "samples": 0,
            "lost": 0,
            "seconds": round(seconds),
            "message": why or UNREACHED,
        }
    check_mode = outcome["ending"] == "check mode"
    return {
        "wave": wave,
        "verdict": "check mode" if check_mode else outcome["verdict"],
        "verified_by": outcome.get("verified_by", "versions"),
        "before": start.get("known"),
        "after": outcome["target"] if check_mode else outcome["after"],
        "samples": outcome["samples"],
        "lost": outcome["lost"],
        "seconds": round(seconds),
        "message": outcome["message"],
    }


def verified(result: Object, seen: t.Mapping[str, t.Any]) -> Object:
    """A cluster's result after its traffic was looked at once more, for itself and with those of its wave."""
    errors = seen.get("errors") or {}
    verdict = seen.get("verdict", "fail")
    if verdict == "inconclusive" and not errors and result.get("verdict") == "pass":
        verdict = "pass"  # as its own run found; the few requests since say nothing else
    return {
        **result,
        "verdict": verdict,
        "samples": result["samples"] + seen.get("samples", 0),
        "lost": result["lost"] + sum(errors.values()),
        "message": seen.get("message") or seen.get("msg") or "",
        "seen": {"counts": seen.get("counts") or {}, "errors": errors},
    }


def restored(start: Object, result: Object, outcome: t.Mapping[str, t.Any] | None, why: str) -> Object:
    """A cluster's result once it was brought back to what it had, or was not."""
    after = outcome["after"] if outcome and not outcome["failed"] else None
    if after is not None and str(after) == str(start["known"]):
        verdict = "rolled back" if result.get("verdict") in ("pass", "unverified") else "fail"
        unproved = {"message": outcome["message"]} if outcome and outcome["verdict"] == "unverified" else {}
        return {**result, "after": start["known"], "verdict": verdict, **unproved}
    if outcome and not why:
        why = outcome["message"] if outcome["failed"] else f"It has {after}, not {start['known']}."
    return {
        **result,
        "after": None,
        "verdict": "fail",
        "message": f"It could not be brought back to {start['known']}. {why or UNREACHED}",
    }


VERIFICATIONS = 3  #: of a cluster: by its own run, by the fleet after it, and with the others of its wave


def family(plan: t.Sequence[Object]) -> int:
    """Over how many verifications a fleet shares its probability of error out."""
    return VERIFICATIONS * max(1, sum(len(wave["clusters"]) for wave in plan))


def pooled(clusters: t.Sequence[Cluster], wave: Object, min_success: float, waves: int) -> Object:
    """The clusters of a wave as one sample.

    The share of each version is exact, so that it is judged cluster by cluster; what is lost here and there may be too
    much only when it is added up. `min_success` is a share (0 to 1); the probability of error is split over `waves`.
    """
    counts: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for cluster in clusters:
        if cluster.name in wave["clusters"]:
            seen = cluster.result.get("seen") or {}
            counts.update(seen.get("counts") or {})
            errors.update(seen.get("errors") or {})
    lost = sum(errors.values())
    samples = sum(counts.values()) + lost
    standard = _statistics.Standard({}, min_success=min_success, family=VERIFICATIONS * waves)
    verdict, why = _statistics.judge(counts, samples, standard, fixed=True)
    reason = why()
    return {
        "wave": wave["number"],
        "name": wave["name"],
        "clusters": len(wave["clusters"]),
        "samples": samples,
        "counts": dict(counts),
        "errors": dict(errors),
        "lost": lost,
        "verdict": verdict,
        "message": _statistics.said(counts, errors) + (f": {reason}" if reason else ""),
    }


def bad(clusters: t.Sequence[Cluster], tried: t.Iterable[str]) -> list[str]:
    """The clusters that were tried and are not good, with those among them that were lost and no longer answer."""
    named = {cluster.name: cluster for cluster in clusters}
    return [name for name in tried if named[name].result.get("verdict") not in GOOD]


def going_back(plan: t.Sequence[Object], stopped: int, on_failure: str) -> list[str]:
    """The clusters that are brought back after wave number `stopped` failed."""
    waves = {"stop": range(0), "rollback_wave": range(stopped, stopped + 1), "rollback_all": range(1, stopped + 1)}
    return [name for wave in plan if wave["number"] in waves[on_failure] for name in wave["clusters"]]


def rows(clusters: t.Sequence[Cluster], plan: t.Sequence[Object], stopped: int) -> list[Object]:
    """The table: one row a cluster, in the order of the waves; those that take no part are last."""
    named = {cluster.name: cluster for cluster in clusters}
    planned = [name for wave in plan for name in wave["clusters"]]
    order = [(wave["number"], name) for wave in plan for name in wave["clusters"]]
    order += [(None, name) for name in named if name not in planned]
    return [_row(named[name], number, stopped) for number, name in order]


def _row(cluster: Cluster, wave: int | None, stopped: int) -> Object:
    result, before = cluster.result, cluster.start.get("known")
    tried = wave is not None and (not stopped or wave <= stopped)
    return {
        "cluster": cluster.name,
        "provider": cluster.provider,
        "region": cluster.region,
        "before": before,
        "after": result.get("after") if result else None if tried else before,
        "wave": wave,
        "verdict": result.get("verdict") or ("fail" if tried else "skipped"),
        "requests": result.get("samples"),
        "lost": result.get("lost"),
        "seconds": result.get("seconds"),
        "message": result.get("message") or (UNREACHED if tried else ""),
    }


def wave_lines(pools: t.Sequence[Object]) -> list[str]:
    """What each wave's clusters came to together."""
    return [
        f"wave {pool['wave']}, {pool['clusters']} {'cluster' if pool['clusters'] == 1 else 'clusters'} together: "
        f"{pool['verdict']}, {pool['message']}"
        for pool in pools
        if pool["samples"]
    ]


def failure(table: t.Sequence[Object], pools: t.Sequence[Object], plan: t.Sequence[Object], stopped: int) -> str:
    """Why the fleet stopped: what its wave came to together, and the words of each cluster that failed."""
    pool = pools[-1] if pools else None
    words = (
        [f"Its clusters together: {pool['message']}."] if pool and pool["samples"] and pool["verdict"] != "pass" else []
    )
    words += [f"{row['cluster']}: {row['message']}" for row in table if row["verdict"] == "fail"]
    return f"Wave {stopped} of {len(plan)} failed, so no later wave was started. {' '.join(words)}"
