# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What action plugin fleet does: it takes the clusters of a play from one state of a fleet's rollout to the next."""

from __future__ import annotations

import contextlib
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _called, _version_distribution
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _bluegreen, _fleet, _plan, _waves
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._fleet import Cluster
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _images, _namespace, _subject

STATES = ("checked", "read", "planned", "changed", "surveyed", "verified", "judged", "restored", "told")

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "state": {"type": "str", "choices": list(STATES), "required": True},
    "strategy": {"type": "str", "default": "bluegreen"},
    "namespace": {"type": "str"},
    "application": {"type": "str"},
    "waves": {"type": "raw", "default": ["1", "25%", "100%"]},
    "on_failure": {"type": "str", "choices": ["stop", "rollback_wave", "rollback_all"], "default": "stop"},
    "soak": {"type": "int", "default": 0},
    "samples": {"type": "int", "default": 100},
    "min_success": {"type": "float", "default": _plan.MIN_SUCCESS},
    "timeout": {"type": "int", "default": 900},
    "skip_unreachable": {"type": "bool", "default": False},
    "entry": _version_distribution.ARGUMENTS["entry"],
    "service": {"type": "str"},
    "container": {"type": "str"},
    "version_of": _images.RULE_OPTION,
    "fleet": {"type": "dict", "default": {}},
    "wave": {"type": "int", "default": 0},
    "failure": {"type": "raw", "default": ""},
}


@dataclass(frozen=True)
class Play:
    """What the action knows of its play."""

    host: str  #: whose task this is
    hosts: t.Sequence[str]
    groups: t.Mapping[str, t.Sequence[str]]
    of: t.Callable[[str, str], t.Any]  #: the variable of a host, None where it has none

    def clusters(self) -> list[Cluster]:
        """The fleet, as far as it is known."""
        return [
            Cluster(
                name,
                start=self.of(name, "__fleet_start") or {},
                result=self.of(name, "fleet_result") or {},
                provider=self.of(name, "cluster_provider"),
                region=self.of(name, "region"),
            )
            for name in self.hosts
        ]

    def outcome(self, since: float) -> t.Mapping[str, t.Any] | None:
        """The outcome of this host's run, None where none has ended since then (seconds since 1970)."""
        found = self.of(self.host, "rollout_result")
        return found if found and found.get("ended_at", 0) >= since else None


Options = t.Mapping[str, t.Any]


def run(options: Options, task: Task, play: Play) -> dict[str, t.Any]:
    """Take the fleet to a state. Raises Failure."""
    return {"changed": False, **WORK[options["state"]](options, task, play)}


def _checked(options: Options, _task: Task, play: Play) -> dict[str, t.Any]:
    """Refuse what cannot work, before a cluster is touched."""
    _waves.waves(play.hosts, options["waves"], play.groups)
    if not options["application"]:
        raise Failure('fleet_application is ""; set the name of the application, with -e application=NAME.')
    _plan.check_least("fleet", options, {"soak": 0, "samples": 1, "timeout": 1})
    if not 0 <= options["min_success"] <= 1:
        raise Failure(f"fleet_min_success is {options['min_success']}; set a share from 0 to 1.")
    return {"ansible_facts": {"fleet_result": {}, "__fleet_start": {}}}


def _read(options: Options, task: Task, _play: Play) -> dict[str, t.Any]:
    """What the cluster has, kept for the way back; that it cannot be read is for the whole fleet to judge."""
    try:
        with contextlib.closing(_api.api(options, task.environ)) as api:
            there = _namespace.read(api, options["namespace"])
        service = (options["entry"] or {}).get("service") or options["service"] or ""
        known = service if any(item["metadata"]["name"] == service for item in there.services) else ""
        rule = _images.rule(options["version_of"])
        subject = _subject.subject(
            there, options["application"], service=known, container=options["container"] or "", rule=rule
        )
        if options["strategy"] == "bluegreen":
            _bluegreen.following(subject, there.services)  # raises Failure where there is no traffic to switch
        start = _fleet.start(subject, options["strategy"])
    except Failure as failure:
        start = {"message": failure.message}
    return {"ansible_facts": {"__fleet_start": start}}


def _planned(options: Options, _task: Task, play: Play) -> dict[str, t.Any]:
    """The waves of those that take part."""
    names = _fleet.check_readable(play.clusters(), str(options["application"]), options["skip_unreachable"])
    plan = _waves.waves(names, options["waves"], play.groups)
    return {
        "ansible_facts": {
            "__fleet": {"plan": plan, "family": _fleet.family(plan), "stopped": 0, "begun": time.time()},
            "fleet_waves_result": [],
        }
    }


def _changed(options: Options, _task: Task, play: Play) -> dict[str, t.Any]:
    """Keep what became of this cluster's change."""
    begun = options["fleet"]["begun"]
    result = _fleet.changed(
        play.of(play.host, "__fleet_start"),
        play.outcome(begun),
        options["wave"],
        time.time() - begun,
        _reason(options["failure"]),
    )
    return {"ansible_facts": {"fleet_result": result}}


def _surveyed(options: Options, _task: Task, play: Play) -> dict[str, t.Any]:
    """See, once for all clusters, whether one that was changed failed: then nothing is watched for the soak."""
    clusters = play.clusters()
    failed = _fleet.bad(clusters, [cluster.name for cluster in clusters if cluster.result])
    return {"ansible_facts": {"__fleet": {**options["fleet"], "failed": failed}}}


def _verified(options: Options, task: Task, play: Play) -> dict[str, t.Any]:
    """Watch this cluster's traffic for the soak, evenly, and keep what was seen."""
    result, soak = play.of(play.host, "fleet_result"), options["soak"]
    by = result.get("verified_by", "nothing")
    if by == "nothing":
        return {}  # what could not be verified then cannot be now; its verdict stays unverified
    start = play.of(play.host, "__fleet_start")
    if by == "pods" and not start["service"]:
        return {}  # its own run has counted them, and nothing else can be looked at
    samples = max(options["samples"], soak * 5)
    asked = _called.options(
        _version_distribution.ARGUMENTS,
        options,
        namespace=options["namespace"],
        name=start["service"] or options["application"],
        container=options["container"],
        version_of=options["version_of"],
        entry=options["entry"] if by in ("versions", "requests") else {**_called.given(options["entry"]), "source": by},
        samples=samples,
        rate_limit=samples / soak if soak else None,
        expected={str(result["after"]): 1} if by != "requests" and options["strategy"] != "scale" else {},
        unversioned=by == "requests",
        min_success=options["min_success"],
        # So that a fleet of good clusters gives no more false alarms than one cluster does.
        family_size=_fleet.family(options["fleet"]["plan"]),
        fail_on="never",
    )
    try:
        seen = _version_distribution.looked(asked, task.environ)
    except Failure as failure:
        seen = {**failure.facts, "verdict": "fail", "message": failure.message}
    return {"ansible_facts": {"fleet_result": _fleet.verified(result, seen)}}


def _judged(options: Options, task: Task, play: Play) -> dict[str, t.Any]:
    """Judge the wave's clusters together, and stop where one of them or all of them failed."""
    fleet, clusters = options["fleet"], play.clusters()
    if fleet["stopped"]:
        return {"ansible_facts": {"__fleet": {**fleet, "begun": time.time()}}}
    wave = fleet["plan"][options["wave"] - 1]
    pool = _fleet.pooled(clusters, wave, options["min_success"], len(fleet["plan"]))
    tried = [name for each in fleet["plan"][: options["wave"]] for name in each["clusters"]]
    together = pool["verdict"] != "fail" or not pool["samples"] or task.check_mode
    failed = not together or bool(_fleet.bad(clusters, tried))
    stopped = options["wave"] if failed else 0
    back = _fleet.going_back(fleet["plan"], stopped, options["on_failure"]) if stopped else []
    return {
        "ansible_facts": {
            "__fleet": {**fleet, "stopped": stopped, "back": back, "begun": time.time()},
            "fleet_waves_result": [*(play.of(play.host, "fleet_waves_result") or []), pool],
        }
    }


def _restored(options: Options, _task: Task, play: Play) -> dict[str, t.Any]:
    """Keep whether this cluster was brought back."""
    result = _fleet.restored(
        play.of(play.host, "__fleet_start"),
        play.of(play.host, "fleet_result") or {},
        play.outcome(options["fleet"]["begun"]),
        _reason(options["failure"]),
    )
    return {"ansible_facts": {"fleet_result": result}}


def _told(options: Options, _task: Task, play: Play) -> dict[str, t.Any]:
    """The table, and why the fleet stopped."""
    fleet, pools = options["fleet"], play.of(play.host, "fleet_waves_result") or []
    rows = _fleet.rows(play.clusters(), fleet["plan"], fleet["stopped"])
    message = _fleet.failure(rows, pools, fleet["plan"], fleet["stopped"]) if fleet["stopped"] else ""
    return {"rows": rows, "columns": list(_fleet.COLUMNS), "lines": _fleet.wave_lines(pools), "message": message}


def _reason(failed: t.Any) -> str:
    """Why a task of the strategy's role failed, out of what Ansible keeps of it."""
    return str(failed.get("msg") or "") if isinstance(failed, dict) else str(failed or "")


WORK: dict[str, t.Callable[[Options, Task, Play], dict[str, t.Any]]] = {
    "checked": _checked,
    "read": _read,
    "planned": _planned,
    "changed": _changed,
    "surveyed": _surveyed,
    "verified": _verified,
    "judged": _judged,
    "restored": _restored,
    "told": _told,
}
