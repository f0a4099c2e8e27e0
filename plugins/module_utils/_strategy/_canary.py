# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far a canary is and what is left to do, and how a run of it begins. Pure functions of plain objects."""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import (
    _canary_manifests,
    _canary_refusals,
    _canary_standing,
    _canary_steps,
    _drain,
    _pause,
    _plan,
    _weights,
)
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import (
    PREVIOUS,
    WEIGHT,
    Asked,
    Object,
    Seen,
    image_of,
    in_percent,
    named,
    number,
    replicas_of,
    running,
    scaler_of,
    tag_of,
    version_of,
)
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _gateway_api, _router
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _description, _images
from ansible_collections.convoy.rollout.plugins.module_utils._workload._rollout import progress
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import annotations_of

NAME = re.compile(r"[a-z]([a-z0-9-]{0,54}[a-z0-9])?")

#: What a canary is asked for, as an argument spec.
REQUEST: dict[str, t.Any] = {
    **_plan.FAMILY,
    "version": {"type": "raw", "default": ""},
    "promote": {"type": "bool", "default": False},
    "abort": {"type": "bool", "default": False},
    "steps": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "weight": {"type": "float", "required": True},
            "match": {"type": "dict", "options": {"headers": {"type": "dict", "required": True}}},
            "replicas": {"type": "int"},
            "pause": {"type": "str", "default": "0"},
        },
    },
    "router": _router.OPTION,
    "weight": {"type": "float", "default": 0.0},
    "weight_tolerance": {"type": "float", "default": 5.0},
    "container": {"type": "str", "default": ""},
    "image": {"type": "str", "default": ""},
    "version_of": _images.RULE_OPTION,
    "service": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
    "tolerance": {"type": "float", "default": 0.0},
    "min_success": {"type": "float", "default": _plan.MIN_SUCCESS},
    "samples": {"type": "int", "default": 0},
    "settle": {"type": "int", "default": 10},
}
LEAST = {"family_size": 1, "weight": 0, "weight_tolerance": 0, "tolerance": 0, "timeout": 1, "samples": 0, "settle": 0}

Request = t.Mapping[str, t.Any]


def check(application: t.Any, applications: t.Any, request: Request) -> None:
    """Raise Failure for a request that cannot work, whatever the cluster has."""
    if not isinstance(applications, dict) or not isinstance(application, str) or not NAME.fullmatch(application):
        raise Failure(
            f"canary_application is {json.dumps(application, default=str)}; set it to the name of an application that "
            "is described in canary_applications, a dictionary, or of a Deployment, of at most 56 characters."
        )
    if application in applications:
        problems = _description.problems({application: applications[application]})
        if problems:
            raise Failure(" ".join(problems))
    version, ends = request["version"], request["promote"] or request["abort"]
    if request["promote"] and request["abort"]:
        raise Failure("Set canary_promote (-e promote=true) or canary_abort (-e abort=true), not both.")
    if not (ends and version == "") and not _description.is_version(version):
        raise Failure(
            f"canary_version is {json.dumps(version, default=str)}; set the version of the canary, a label such as "
            '"2.0.0" (in quotes where it is YAML or JSON), with -e version=2.0.0, or end the canary that runs with '
            "-e promote=true or -e abort=true."
        )
    if not request["steps"]:
        raise Failure("canary_steps is empty; set at least one step, such as {weight: 25}.")
    _plan.check_least("canary", request, LEAST)
    _plan.check_share("canary", "min_success", request)
    _canary_steps.weights(steps_of(request))
    _check_replicas(request)
    _check_match(request)
    _images.rule(request["version_of"])
    _images.check_repository("canary_image", request["image"])


def _check_replicas(request: Request) -> None:
    """Raise Failure where steps say replicas that they cannot have, whatever router is found."""
    by_pods = _router.named(request["router"]) is None and not _router.is_left_out(request["router"])
    for step in request["steps"]:
        replicas = step.get("replicas")
        if replicas is None:
            continue
        if by_pods:
            raise Failure(
                f"A step of canary_steps has replicas: {replicas}. Without a router (application_router) the share of "
                f"a canary is its number of replicas among all, so they follow from its weight; remove them."
            )
        if replicas < 1:
            raise Failure(f"A step of canary_steps has replicas: {replicas}; it must be at least 1.")


def _check_match(request: Request) -> None:
    """Raise Failure where steps are for testers by their headers, and that cannot be."""
    router = _router.named(request["router"])
    for step in request["steps"]:
        headers = _canary_steps.headers_of(step)
        if step.get("match") is None:
            continue
        if not headers:
            raise Failure("A step of canary_steps has match without headers; set at least one, or remove match.")
        if _router.is_left_out(request["router"]):
            continue  # it is seen once it is found
        if router is None or router.kind is not _gateway_api.ROUTER:
            raise Failure(
                f"A step of canary_steps has match: headers: {', '.join(headers)}. Only an HTTPRoute can lead "
                f"requests to the canary by their headers, and users come in by {router or 'a Service'}; set "
                "application_router: gateway_api, or remove match."
            )


def steps_of(request: Request) -> list[Object]:
    """The steps that are asked for: one weight in the place of them, where it is given."""
    return [{"weight": request["weight"]}] if request["weight"] else list(request["steps"])


def asked(request: Request, *, described: bool) -> Asked:
    """What is asked for; the template of an application that is `described` is yet to be made."""
    return Asked(
        version=request["version"],
        steps=steps_of(request),
        promote=request["promote"],
        abort=request["abort"],
        tolerance=min(request["weight_tolerance"], 100.0),
        container=request["container"],
        image=request["image"],
        rule=_images.rule(request["version_of"]),
        router=_router.named(request["router"]),
        finds=_router.is_left_out(request["router"]),
        templated=described,
    )


def plan(seen: Seen, asked: Asked) -> dict[str, t.Any]:
    """What is found, and what is left to do. Raises Failure where that cannot be done."""
    stable, canary = seen.stable, seen.canary
    name = stable["metadata"]["name"]
    if asked.promote and asked.abort:
        raise Failure("Promote the canary or abort it, not both.")
    wanted = _canary_steps.weights(asked.steps)
    _canary_refusals.check_router(seen)
    if canary is not None:
        _canary_refusals.check_own(seen, canary)
        has = running(canary, asked)
        if asked.version and not asked.abort and has != asked.rule.answer(asked.version):
            raise Failure(
                f"A canary of {name} {has} is already running (Deployment {canary['metadata']['name']}), so "
                f"{asked.version} cannot start; promote the canary (-e promote=true) or abort it (-e abort=true) first."
            )
    old = version_of(stable, asked)
    version = running(canary, asked) if canary else asked.rule.answer(asked.version)
    phase = "stable" if canary is None else "promoting" if version == old else "canary"
    there = canary is not None or (version not in ("", old) and not asked.abort)
    whole = _canary_steps.without_canary(seen, asked, phase)
    if there and not asked.abort and not whole:
        raise Failure(f"Deployment {name} has no replicas for a canary to run beside; scale it up first.")
    advances = there and not asked.abort and phase != "promoting"
    if advances:
        found = {"steps": asked.steps, "router": _router.option(seen.router)}
        _check_replicas(found)
        _check_match(found)
    steps = _canary_steps.remaining(seen, asked, wanted, whole) if advances else []
    promote = there and not asked.abort and (asked.promote or phase == "promoting")
    template_is_due = asked.templated and canary is None and asked.template is None
    new = _canary_manifests.made(seen, asked) if there and not template_is_due else None
    if steps or promote:
        _canary_refusals.check(seen, steps, whole, promote)
        if new is not None:
            _canary_refusals.check_pods(seen, new)
    if asked.promote and not version and PREVIOUS not in annotations_of(stable):
        raise Failure(f"There is no canary of {name} to promote; start one with -e version=...")
    ready = _canary_standing.endpoints(seen)
    scaler = scaler_of(seen)
    return {
        "phase": phase,
        "service": seen.service["metadata"]["name"],
        "affinity": seen.service["spec"].get("sessionAffinity") == "ClientIP" and seen.router is None,
        "router": str(seen.router) if seen.router else "",
        "may_not": list(seen.may_not),
        "leftovers": canary is None and (seen.behind is not None or seen.own is not None),
        "scaler": scaler.name if scaler else "",
        "stable": {
            "deployment": name,
            "version": old,
            "tag": tag_of(stable, asked),
            "image": image_of(stable, asked),
            "replicas": replicas_of(stable),
            "whole": whole,
            "complete": progress(stable) is None,
        },
        "canary": {
            "deployment": named(name),
            "exists": canary is not None,
            "version": version if there else "",
            "tag": (tag_of(canary, asked) if canary else asked.version) if there else "",
            "replicas": replicas_of(canary),
            "complete": canary is not None and progress(canary) is None,
            "weight": in_percent(number(canary, WEIGHT)),
        },
        "ready": ready["ready"],
        "settled": ready["settled"],
        "shares": _canary_standing.shares_of(seen, old, version),
        "steps": steps,
        "promote": promote,
        "abort": asked.abort and (canary is not None or seen.behind is not None or seen.own is not None),
        "needed": _canary_steps.needed(seen, steps, whole, promote),
        "template": new["spec"]["template"] if new is not None else {},
        "message": _message(seen, phase, version, old, ready["ready"]),
    }


def _message(seen: Seen, phase: str, version: str, old: str, ready: t.Mapping[str, int]) -> str:
    name = seen.stable["metadata"]["name"]
    if seen.canary is None:
        return f"{name} {old} runs without a canary, {ready['stable']} pods are ready."
    if phase == "promoting":
        return f"{name} {version} is being promoted: stable has it, and its canary is still there."
    weight = _weights.percent(number(seen.canary, WEIGHT))
    return (
        f"canary {version} beside {name} {old}, weight {weight}: {ready['canary']} of {sum(ready.values())} "
        f"ready pods are the canary's."
    )


def begin(
    found: t.Mapping[str, t.Any],
    before: str | None,
    described: t.Mapping[str, t.Any],
    request: Request,
    endings: t.Sequence[_drain.Ending] = (),
    alone: t.Mapping[str, t.Any] | None = None,
) -> _plan.Plan:
    """The plan of a run, from what `plan` found, the version that users get `before`, and the pods that end.

    `described` is the application's description, empty where there is none; `alone` is what `_canary_state.alone` says.
    """
    stable, canary, steps = found["stable"], found["canary"], found["steps"]
    name, old, new = stable["deployment"], stable["version"], canary["version"]
    advances = bool(steps or found["promote"])
    headline, would, hints = _words(found, request)
    if found["may_not"] and advances:
        hints += [_by_pods(found)]
    templated = bool(described) and advances and not canary["exists"]
    repository = described.get("image") or request["image"]
    if steps and not canary["exists"] and repository and stable["image"]:
        new_image = _images.parse(_images.with_tag(repository, canary["tag"]))
        hints += filter(None, [_images.repinned(_images.parse(stable["image"]), new_image)])
    return _plan.Plan(
        before=before,
        target=new if advances else old,
        changes=advances or found["abort"],
        headline=headline,
        would=would,
        way_back=""
        if not advances
        else f"-e version={stable['tag']} -e promote=true"
        if found["promote"]
        else "-e abort=true",
        hints=hints,
        endings=endings,
        service=found["service"],
        subject=f"Deployment {name}",
        serves=found["ready"]["stable"] > 0,
        running=[old] if found["ready"]["stable"] and not canary["exists"] else [],
        shares=bool(steps),
        needs_answers=bool(steps),
        alone=alone,
        facts={
            **{
                key: found[key]
                for key in (
                    *("phase", "service", "affinity", "router", "leftovers", "stable", "canary"),
                    *("steps", "promote", "abort"),
                )
            },
            "request": dict(request),
            "application": name,
            "advances": advances,
            "ends": found["promote"] or found["abort"],
            "longest": _canary_steps.longest(steps, request),
            "templated": templated,
            "manifests": {"deployments": {name: {**described, "version": request["version"]}}} if templated else {},
        },
    )


def _by_pods(found: t.Mapping[str, t.Any]) -> str:
    """That nobody looked for what could share by weights, or may have it do so, in words."""
    return (
        f"shared by the number of pods, since you may not {' and '.join(found['may_not'])} in this namespace; with "
        f"the right to do so, what leads to Service {found['service']} could share by weights; set application_router "
        f"to {{pods: true}} if pods are what you want"
    )


def endings(seen: Seen, found: t.Mapping[str, t.Any]) -> list[_drain.Ending]:
    """The pods that what is left to do ends: stable's, as far as the canary stands in for them or takes their place,
    and the canary's where it is removed."""
    stable, canary, ends = found["stable"], found["canary"], found["promote"] or found["abort"]
    fewest = min([stable["replicas"], *(step["stable"] for step in found["steps"])])
    replaced = found["promote"] and stable["version"] != canary["version"]
    pods = stable["replicas"] if replaced else stable["replicas"] - fewest
    quiet = _pause.QUIET if replaced and _pause.spaced(seen.stable) else 0
    ending = [_drain.ending(seen.stable, [seen.service], version=stable["version"], pods=pods, quiet=quiet)]
    if seen.canary is not None and ends:
        ending.append(_drain.ending(seen.canary, [seen.service], version=canary["version"]))
    return [each for each in ending if each.pods]


def _words(found: t.Mapping[str, t.Any], request: Request) -> tuple[str, str, list[str]]:
    """What is true of a run that succeeded, the same in check mode, and what a person may want to know beside it."""
    stable, steps = found["stable"], found["steps"]
    name, old, new = stable["deployment"], stable["version"], found["canary"]["version"]
    if found["abort"] and found["leftovers"]:
        said = f"{name} {old} receives all traffic; there is no canary, and what was left of one"
        return f"{said} was removed", f"{said} would be removed", [f"to go back from {old}: rollback.yml"]
    if found["abort"]:
        said = f"{name} {old} now receives all traffic; its canary {new} was removed"
        return said, f"the canary {new} of {name} would be removed", []
    if found["promote"]:
        return (
            f"{name} {new} now receives all traffic: the canary was promoted",
            (f"{name} {new} would be promoted and receive all traffic"),
            [],
        )
    if steps:
        share = f"beside {old}; {steps[-1]['message']}"
        tag = found["canary"]["tag"]
        go_on = f"to go on: -e version={tag} -e canary_weight=...; to end it: -e promote=true, or -e abort=true"
        return (
            f"{name} {new} (canary, Deployment {named(name)}) now receives its share {share}",
            f"{name} {new} (canary, Deployment {named(name)}) would receive its share {share}",
            [go_on],
        )
    hints = [f"nothing to abort; to go back from {old}: rollback.yml"] if request["abort"] else []
    said = f"{name} {old} receives all traffic; there is no canary"
    return said, said, hints
