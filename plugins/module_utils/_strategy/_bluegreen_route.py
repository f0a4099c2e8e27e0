# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Blue/green by a router: where its object stands between two colours, and what that makes of a rollout.

The router leads to the users' Service, and for the time of a rollout to the preview Service, which has the other
colour. The switch is its two weights. The users' Service follows once that is verified, and then the router leads to it
alone again: at rest all is as it is by selectors. Pure functions of plain objects.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _weights
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._plan import Plan
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._unfinished import Unfinished
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _router
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._router import Router
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._split import ROUTER, Split
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _selectors
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import annotations_of, pod_labels

Object = t.Dict[str, t.Any]

#: Where a router's object stands: it leads to the users' Service alone; also to the other colour, with the weight 0; to
#: the other colour alone, as the switch was made; or to the preview Service when both lead to one colour.
Stand = t.Literal["home", "beside", "switched", "same"]


def noted(behind: Object | None) -> str:
    """The router that may lead to the preview Service, as that remembers it, in words; empty where none does."""
    return annotations_of(behind).get(ROUTER, "") if behind is not None else ""


def router(
    option: t.Mapping[str, t.Any], behind: Object | None, began: t.Sequence[Unfinished]
) -> tuple[Router | None, bool]:
    """The router by which a rollout goes on or begins, and whether it is yet to be found.

    None is the selectors of Services. Raises Failure where the preview Service is behind another one than is asked for.
    """
    left_out, asked, had = _router.is_left_out(option), _router.named(option), noted(behind)
    if had and left_out:
        return _router.noted(had), False
    if had and str(asked or "") != had:
        raise Failure(
            f"A rollout that moves the traffic between the colours was cut off; it did so by {had}, and not by "
            f"{asked or 'the selector of a Service'}; set the application_router that it was started with, to finish "
            "it or to go back."
        )
    if not left_out:
        return asked, False
    if began:
        return _router.noted(began[0].router), False
    return None, True


def led_by_others(split: Split, behind: Object | None) -> bool:
    """Whether the router leads to the preview Service and no rollout made it do so, as for a preview of one's own."""
    ours = noted(behind) and (split.own is None or noted(split.own))
    return (split.has() or split.has_alone()) and not ours


def stand(split: Split, behind: Object | None, active: Object) -> Stand:
    """Where the router's object stands, beside the Deployment that has the users' Service. Raises Failure."""
    one, other = split.services
    if led_by_others(split, behind):
        what = f"{split.router.kind.KIND} {split.name}"
        raise Failure(
            f"{what} already leads to Service {other}, and no rollout of this collection made it do so. Remove that "
            f"from it, because a switch gives the two Services {one} and {other} their weights; then run the playbook "
            "again."
        )
    if not split.has():
        return "home"
    if behind is not None and _selectors.selects(behind["spec"].get("selector") or {}, pod_labels(active)):
        return "same"
    share = split.share()
    if share not in (0, 1):
        gives = "different shares by its rules" if share is None else _weights.percent(share)
        raise Failure(
            f"{split.router} gives Service {other} {gives} of the traffic, while a switch gives it none or all: "
            f"somebody else changed it. Set that weight to 0 or to all of it, and run the playbook again."
        )
    return "switched" if share else "beside"


def resumed(found: t.Mapping[str, t.Any], where: Stand, behind: Object | None, split: Split) -> dict[str, t.Any]:
    """What `plan` of blue/green found, as the router's object has it. Raises Failure.

    Where the switch was made already, the other colour is not touched any more: it goes on, or it goes back.
    """
    left = where != "home" or bool(noted(behind))
    more = {"unfinished": found["unfinished"] or left}
    if where != "switched" or found["phase"] == "done":
        return {**found, **more}
    active, preview = found["active"], found["preview"]
    if found["version"] != preview["version"]:
        raise Failure(
            f"{split.router} gives Deployment {preview['deployment']} {preview['version']} all of the traffic already, "
            f"by a rollout that was cut off before it was verified, so {found['version']} cannot take its place; "
            f"finish it with -e version={preview['tag']}, or go back with -e version={active['tag']}."
        )
    return {**found, **more, "phase": "switch"}


def begun(plan: Plan, found: t.Mapping[str, t.Any], where: Stand, split: Split, headers: t.Mapping[str, str]) -> Plan:
    """The plan of a run by a router; requests with `headers` get the other colour before it has the traffic."""
    facts = {
        **plan.facts,
        "route": {
            "name": str(split.router),
            "router": _router.option(split.router),
            "services": list(split.services),
            "headers": dict(headers) if split.tells_headers else {},
            "stand": where,
        },
    }
    serving = found["preview"] if where == "switched" else found["active"]
    serves = bool(serving["replicas"] and serving["complete"])
    hints = [*plan.hints, *(_words(split, headers) if found["phase"] != "done" else [])]
    return replace(
        plan,
        before=serving["version"],
        serves=serves,
        running=[serving["version"]] if serves else [],
        alone={} if found["version"] == serving["version"] else None,
        hints=hints,
        facts=facts,
    )


def _words(split: Split, headers: t.Mapping[str, str]) -> list[str]:
    """What a person may want to know of it."""
    said = f"switched by the weights of {split.router}; Service {split.services[0]} follows once that is verified"
    if split.tells_headers or not headers:
        return [said]
    return [f"{said}; verified before by Service {split.services[1]}, as only an HTTPRoute leads requests by headers"]


def by_selector(may_not: t.Sequence[str], service: str) -> str:
    """That nobody looked for what could switch by weights, or may have it do so, in words."""
    return (
        f"switched by the selector of Service {service}, since you may not {' and '.join(may_not)} in this namespace; "
        f"with the right to do so, what leads to the Service could switch by weights; set application_router to "
        f"{{pods: true}} if the selector is what you want"
    )


def by_selector_beside(split: Split) -> str:
    """That a router which was found has a use for the preview Service already, in words."""
    one, other = split.services
    return (
        f"switched by the selector of Service {one}, since {split.router} already leads to Service {other} by a "
        f"rule of its own; set application_router to {{pods: true}} if the selector is what you want"
    )


def keeps(plan: t.Mapping[str, t.Any]) -> bool:
    """Whether what the router's object has beside the users' Service is that of the version that is brought up."""
    return bool(plan["route"]["stand"] == "beside" and plan["preview"]["version"] == plan["version"])


class Leading(t.NamedTuple):
    """Where a Service leads, and where it is to."""

    service: str
    deployment: str
    endpoints: t.Collection[str]  #: the pods of its ready endpoints
    ready: t.Collection[str]  #: the ready pods of the Deployment

    def there(self) -> bool:
        """Whether it leads to all ready pods of the Deployment, and to nothing else."""
        return bool(self.ready) and set(self.endpoints) == set(self.ready)

    def why(self) -> str:
        """What it has in the place of that, in words."""
        ours = set(self.endpoints) & set(self.ready)
        others = len(set(self.endpoints) - ours)
        return (
            f"Service {self.service} leads to {len(ours)} of the {len(self.ready)} ready pods of Deployment "
            f"{self.deployment}" + (f" and to {others} others" if others else "")
        )
