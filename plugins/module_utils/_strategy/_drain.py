# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pods that a change ends, and whether they end without losing requests. Pure functions of plain objects."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _capacity, _images, _selectors, _subject
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import pod_labels

Object = t.Dict[str, t.Any]


class Outage(t.NamedTuple):
    """Why an update leaves users without any pod for a time."""

    pods: str  #: which of them end before a new one is ready, in words
    why: str
    remedy: str


@dataclass(frozen=True)
class Ending:
    """Pods of a Deployment that a change is about to end."""

    deployment: str
    version: str
    pods: int
    drain: _subject.Drain | None
    takes_traffic: bool = True  #: whether requests reach them until they end
    quiet: int = 0  #: the seconds for which the pod that replaces each is ready before it ends, if they are waited for
    outage: Outage | None = None  #: why nobody answers while they are replaced, whatever their drain

    @property
    def lacks(self) -> str:
        """What is wrong with how they end, in words; empty where nothing is."""
        if self.drain is None:
            return "have no drain, so they stop listening as soon as they are told to end"
        if self.drain.cut_off:
            return (
                f"are killed after their grace period of {self.drain.grace} s, before their drain of "
                f"{self.drain.seconds:g} s is over"
            )
        return ""

    @property
    def remedy(self) -> str:
        """How to give them a drain, in words."""
        if self.drain is not None and self.drain.cut_off:
            return f"give the pods of {self.deployment} a terminationGracePeriodSeconds above {self.drain.seconds:g}"
        return (
            f"give {self.deployment} a drain: a preStop hook that sleeps for 5 seconds, which a described application "
            "has by itself (drain)"
        )


def ending(deployment: Object, services: t.Iterable[Object], **given: t.Any) -> Ending:
    """How the pods of a Deployment end; `given` are fields of it that are known better, such as how many pods end.

    `services` are those of its namespace: what counts is the container that one of them leads to.
    """
    template, name = deployment["spec"]["template"], str(deployment["metadata"]["name"])
    leading = [
        item
        for item in services
        if _selectors.selects((item.get("spec") or {}).get("selector"), pod_labels(deployment))
    ]
    carrier = _images.container(template, name)
    found = {
        "version": _images.version_of(template, name),
        "pods": int(deployment["spec"].get("replicas", 1)),
        "drain": _subject.drain(
            template, _subject.target_port(leading[0] if leading else None), carrier["name"] if carrier else ""
        ),
    }
    return Ending(name, **{**found, **given})


def warning(endings: t.Iterable[Ending]) -> str:
    """What a person is told before pods are ended that may lose requests; empty where none may."""
    ending = [each for each in endings if each.pods]
    outages = [
        f"Deployment {each.deployment} ends {each.outage.pods} before a new one is ready ({each.outage.why}), so users "
        f"get no answer meanwhile. To prevent that, {each.outage.remedy}."
        for each in ending
        if each.outage
    ]
    lacking = [each for each in ending if each.lacks and not each.outage]
    return " ".join([*outages, *([_lacking(lacking)] if lacking else [])])


def _lacking(lacking: t.Sequence[Ending]) -> str:
    """What a person is told of pods without a drain that works."""
    first = lacking[0]
    pods = " and ".join(f"Deployment {each.deployment}" for each in lacking)
    if not any(each.takes_traffic for each in lacking):
        return (
            f"The pods of {pods} {first.lacks}. New requests no longer reach them, but connections that are kept open "
            f"to them may be cut off; {first.remedy}."
        )
    return (
        f"The pods of {pods} {first.lacks}, while some requests are still sent to them: users may lose these. "
        f"{_waited(first)}To prevent that, {first.remedy}; or change the version with bluegreen, which sends users "
        "elsewhere before it ends a pod."
    )


def _waited(ending: Ending) -> str:
    """That each pod ends in a quiet moment, as a sentence before another one; empty where it does not."""
    if not ending.quiet:
        return ""
    return (
        f"Each pod of Deployment {ending.deployment} therefore ends only when a new one has been ready for "
        f"{ending.quiet} seconds, which is in time for the proxies of nodes, but not for load balancers that follow "
        "more slowly. "
    )


def outage(deployment: Object, max_surge: str = "", max_unavailable: str = "") -> Outage | None:
    """Why an update of a Deployment leaves users without any pod for a time; None where it does not.

    `max_surge` and `max_unavailable` are those that it is about to be given, where it is.
    """
    spec, name = deployment["spec"], deployment["metadata"]["name"]
    replicas, strategy = spec.get("replicas", 1), spec.get("strategy") or {}
    given = {"maxSurge": max_surge, "maxUnavailable": max_unavailable}
    rolling = {**(strategy.get("rollingUpdate") or {}), **{key: said for key, said in given.items() if said}}
    _surge, fewer = _capacity.moves({"spec": {**spec, "strategy": {**strategy, "rollingUpdate": rolling}}})
    if not replicas or fewer < replicas:
        return None
    recreated = strategy.get("type") == "Recreate"
    instead = "the strategy RollingUpdate" if recreated else "maxUnavailable 0 and maxSurge 1"
    return Outage(
        "its only pod" if replicas == 1 else f"all of its {replicas} pods",
        "strategy Recreate" if recreated else f"maxUnavailable {rolling.get('maxUnavailable', '25%')}",
        f"give Deployment {name} {instead}, or change the version with bluegreen",
    )


def refuse(endings: t.Iterable[Ending], role: str) -> None:
    """Raise Failure where a drain is required and pods would be ended that have none."""
    for each in endings:
        if each.pods and each.lacks:
            raise Failure(
                f"{role}_require_drain is set, and the pods of Deployment {each.deployment} {each.lacks}: "
                f"{each.remedy}, and run the playbook again."
            )


def noted(ending: Ending) -> dict[str, t.Any]:
    """What a run notes of pods that it ends, for its outcome."""
    lacks, remedy = ending.lacks, ending.remedy if ending.lacks else ""
    if ending.outage:
        lacks, remedy = f"all end before a new one is ready ({ending.outage.why})", ending.outage.remedy
    return {
        "deployment": ending.deployment,
        "version": ending.version,
        "pods": ending.pods,
        "seconds": ending.drain.seconds if ending.drain else 0,
        "lacks": lacks,
        "remedy": remedy,
    }
