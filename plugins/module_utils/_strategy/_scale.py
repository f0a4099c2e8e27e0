# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How many replicas a number, a step or a share comes to, and what is to be done about it. Pure functions."""

from __future__ import annotations

import json
import math
import re
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _drain, _plan
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _managers, _rollout, _subject

Object = t.Dict[str, t.Any]

NUMBER = re.compile(r"([+-]?)(\d+)(%?)")

#: What is requested of a scaling, as an argument spec.
REQUEST: dict[str, t.Any] = {
    "replicas": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
    "samples": {"type": "int", "default": 500},
    "min_success": {"type": "float", "default": _plan.MIN_SUCCESS},
    "settle": {"type": "int", "default": 30},
}
LEAST = {"timeout": 1, "samples": 1, "settle": 0}


def check(application: t.Any, request: t.Mapping[str, t.Any]) -> None:
    """Raise Failure for a request that cannot work, whatever the cluster has."""
    if not isinstance(application, str) or not application:
        raise Failure(
            f"scale_application is {json.dumps(application, default=str)}; set the name of the Deployment to scale, "
            "with -e application=NAME."
        )
    if not request["replicas"]:
        raise Failure(f"Set the number of replicas or a step for {application}, with -e replicas=5 or -e replicas=+2.")
    _read(request["replicas"])
    _plan.check_least("scale", request, LEAST)
    _plan.check_share("scale", "min_success", request)


def _read(requested: str) -> tuple[str, int, bool]:
    """The sign, the number, and whether it is a share. Raises Failure."""
    matched = NUMBER.fullmatch(requested.strip())
    if not matched:
        raise Failure(
            f"replicas is {requested!r}; set a number such as 5, a step such as +2 or -1, or a share such as 50% or "
            "+50%."
        )
    return matched[1], int(matched[2]), bool(matched[3])


def target(name: str, there: int, requested: str) -> int:
    """How many replicas are requested of a Deployment that has `there`. Raises Failure.

    `requested` is a number (5), a step (+2, -1), a share of what there is (50%) or a step by a share (+50%, -25%).
    Shares are rounded up.
    """
    sign, number, percent = _read(requested)
    if percent:
        share = {"": number, "+": 100 + number, "-": 100 - number}[sign]
        replicas = math.ceil(there * share / 100)
    else:
        replicas = {"": number, "+": there + number, "-": there - number}[sign]
    if replicas < 0:
        raise Failure(
            f"Deployment {name} has {there} replicas; {requested} would make that {replicas}, which is negative.",
            {"before": there},
        )
    return replicas


def check_paused(deployment: Object) -> None:
    """Raise Failure for a Deployment that is paused in the middle of a rollout: which pods it would get is open."""
    if deployment["spec"].get("paused") and _rollout.progress(deployment):
        name = deployment["metadata"]["name"]
        raise Failure(
            f"Deployment {name} is paused in the middle of a rollout; resume it first, with kubectl rollout resume "
            f"deployment/{name}, and scale it then.",
            {"before": replicas_of(deployment)},
        )


def replicas_of(workload: Object) -> int:
    """How many replicas are requested of a workload."""
    return t.cast(int, workload["spec"].get("replicas", 1))


def check_unchanged(workload: Object, place: str, expected: int, *also: int) -> None:
    """Raise Failure where the replicas that are requested of a workload are not the `expected` ones.

    `place` is the workload in words; the numbers in `also` are fine, too.
    """
    now = replicas_of(workload)
    if now in (expected, *also):
        return
    manager = _managers.last_writer(workload, "spec.replicas")
    who = f" (field manager {manager} wrote spec.replicas)" if manager else ""
    raise Failure(
        f"{place} was scaled from {expected} to {now} replicas by somebody else during this run{who}; find out who "
        "did that, and run the playbook again.",
        {"manager": manager},
    )


def left_alone(name: str, owner: _subject.Autoscaler, there: int) -> str:
    """Why a number is left to an autoscaler, and how to change it all the same."""
    return (
        f"Deployment {name} keeps its {there} replicas: HorizontalPodAutoscaler {owner.name} sets them, from "
        f"{owner.min_replicas} to {owner.max_replicas}; change its minReplicas and maxReplicas, or delete it."
    )


def begin(subject: _subject.Subject, request: t.Mapping[str, t.Any]) -> _plan.Plan:
    """The plan of a run. Raises Failure."""
    live = _subject.check_named(subject, "scaling", colours=True)
    check_paused(live.deployment)
    name, before, owner = live.name, live.replicas, live.autoscaler
    # Users of blue/green name the application; what is scaled is the colour that serves it.
    which = name if name == subject.application else f"{name}, which has the traffic of {subject.application},"
    requested = target(name, before, request["replicas"])
    scales = owner is None and requested != before
    headline = would = f"Deployment {which} already has {before} replicas."
    if owner:
        requested, headline, would = before, left_alone(name, owner, before), left_alone(name, owner, before)
    elif scales:
        headline = f"Deployment {which} was scaled from {before} to {requested} replicas."
        would = f"Deployment {which} would be scaled from {before} to {requested} replicas."
    elif not before and request["replicas"].strip("0"):
        headline = would = (
            f"Deployment {name} has 0 replicas, and {request['replicas']} of that is 0 as well; set a number, such as "
            "-e replicas=1."
        )
    service = next((link.name for link in subject.services if name in link.leads_to), "")
    return _plan.Plan(
        before=before,
        target=requested,
        changes=scales,
        headline=headline,
        would=would,
        way_back=f"-e replicas={before}" if scales else "",
        endings=[_drain.Ending(name, live.version, before - requested, subject.drain)] if requested < before else (),
        service=service,
        subject=f"Deployment {name}",
        serves=live.ready > 0,
        countable=True,
        facts={
            "deployment": name,
            "decides": owner is None,  # whether it is this run that decides on the number
        },
    )


def ready(pods: t.Iterable[t.Mapping[str, t.Any]], requested: int) -> str:
    """How many of the replicas are ready, in words."""
    return f"{sum(bool(pod['ready']) for pod in pods)} of {requested} pods are ready"
