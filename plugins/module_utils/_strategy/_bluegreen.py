# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which colour takes traffic and what is left to do. Pure functions of plain objects."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _drain, _plan
from ansible_collections.convoy.rollout.plugins.module_utils._workload import (
    _description,
    _images,
    _selectors,
    _subject,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload._rollout import progress
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import pod_labels

Object = t.Dict[str, t.Any]

#: The Service's annotation that says where a rollback goes: the version before the last switch.
PREVIOUS = "convoy.rollout/previous-version"


def plan(service: Object, deployments: t.Sequence[Object], *, version: str, rollback: bool) -> dict[str, t.Any]:
    """What a blue/green rollout of a Service finds, and the phase it has to begin with.

    `deployments` are those of the namespace. Blue is the Deployment of the Service's name, where there
    is one, else NAME-blue; green is NAME-green. Raises Failure where that is not what is found.
    """
    name = service["metadata"]["name"]
    live = service.get("spec", {}).get("selector") or {}
    if not live:
        raise Failure(f"Service {name} has no selector, so no Deployment can take its traffic.")
    named = {item["metadata"]["name"]: item for item in deployments}
    names = _subject.colours(name, named)
    colours = {colour: _colour(name, colour, names[colour], named.get(names[colour])) for colour in names}
    behind = [
        colour for colour, item in names.items() if item in named and _selectors.selects(live, pod_labels(named[item]))
    ]
    # A copy of nothing takes no traffic.
    taking = [colour for colour in behind if colours[colour]["replicas"]] or behind
    if len(taking) != 1:
        seen = " and ".join(f"Deployment {names[colour]}" for colour in taking) or "neither of " + " and ".join(
            names.values()
        )
        raise Failure(
            f"Service {name} must lead to one of two colours, but its selector {_said(live)} picks {seen}; "
            f"name the version that is to take traffic in its selector."
        )
    active = colours[taking[0]]
    preview = colours["green" if taking[0] == "blue" else "blue"]
    if not active["label"]:
        raise Failure(f"The pods of Deployment {active['deployment']} have no label version to select them by.")
    before = (service["metadata"].get("annotations") or {}).get(PREVIOUS, "")
    target = version
    if rollback:
        # Where no colour has the version before the last switch any more, a rollout has taken its place and
        # has not switched: the traffic is where it was.
        target = before if before and before in (active["version"], preview["version"]) else active["version"]
        if target != before and not preview["exists"]:
            raise Failure(f"There is nothing to roll back to: no other version of {name} is here.")
    if target == active["version"] or not target:
        phase = "done"
    elif preview["complete"] and preview["replicas"] and preview["version"] == target == before:
        phase = "switch"
    else:
        phase = "preview"
    kept = {key: value for key, value in live.items() if key not in ("version", "color")}
    preview_label = target if phase == "preview" else preview["label"]
    # Null takes a key away: the selectors are patches, from one colour to the other and back.
    colour = "color" in live or active["labelled"] or preview["labelled"]
    return {
        name: {key: value for key, value in item.items() if key not in ("label", "labelled")}
        | {"selector": kept | ({"color": item["labelled"]} if colour else {}) | {"version": at or None}}
        for name, item, at in (("active", active, active["label"]), ("preview", preview, preview_label))
    } | {
        "uid": service["metadata"].get("uid", ""),
        "pinned": "version" in live,
        "version": target,
        "previous_version": before,
        "phase": phase,
    }


def _colour(application: str, colour: str, name: str, deployment: Object | None) -> dict[str, t.Any]:
    """A colour. Traffic is led by what the label `version` of its pods says, its version is what they answer."""
    if deployment is None:
        return {
            "color": colour,
            "deployment": name,
            "exists": False,
            "version": "",
            "replicas": 0,
            "complete": False,
            "match_labels": {},
            "label": "",
            "labelled": colour,
        }
    spec = deployment["spec"]
    labels = pod_labels(deployment)
    return {
        "color": colour,
        "deployment": name,
        "exists": True,
        "version": _images.version_of(spec["template"], application) or labels.get("version", ""),
        "replicas": spec.get("replicas", 1),
        "complete": progress(deployment) is None,
        "match_labels": spec["selector"].get("matchLabels") or {},
        "label": labels.get("version", ""),
        "labelled": labels.get("color"),
    }


def _said(selector: Object) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))


#: What a blue/green rollout is asked for, as an argument spec.
REQUEST: dict[str, t.Any] = {
    "version": {"type": "raw", "default": ""},
    "rollback": {"type": "bool", "default": False},
    "replicas": {"type": "int", "default": 0},
    "timeout": {"type": "int", "default": 600},
    "preview_samples": {"type": "int", "default": 20},
    "samples": {"type": "int", "default": 100},
    "settle": {"type": "int", "default": 30},
    "previous_delay": {"type": "int", "default": 30},
    "keep_previous": {"type": "bool", "default": True},
    "preview_path": {"type": "str", "default": ""},
}
LEAST = {
    "replicas": 0,
    "timeout": 1,
    "preview_samples": 1,
    "samples": 1,
    "settle": 0,
    "previous_delay": 0,
}


def check(application: t.Any, applications: t.Any, request: t.Mapping[str, t.Any]) -> None:
    """Raise Failure for a request that cannot work, whatever the cluster has."""
    names = [
        name
        for name, described in (applications.items() if isinstance(applications, dict) else [])
        if isinstance(described, dict) and "service" in described
    ]
    if not isinstance(application, str) or application not in names:
        raise Failure(
            f"bluegreen_application is {json.dumps(application, default=str)}, which must be one of the applications "
            f"described for this cluster that have a service: {', '.join(map(str, names))}."
        )
    problems = _description.problems({application: applications[application]})
    if problems:
        raise Failure(" ".join(problems))
    version = request["version"]
    if request["rollback"] and version != "":
        raise Failure("Give bluegreen_version (-e version=...) or bluegreen_rollback (-e rollback=true), not both.")
    if not request["rollback"] and not _description.is_version(version):
        raise Failure(
            f"bluegreen_version is {json.dumps(version, default=str)}; give the version to go to, a label such as "
            '"2.0.0" (in quotes where it is YAML or JSON), with -e version=2.0.0, or go back with -e rollback=true.'
        )
    _plan.check_least("bluegreen", request, LEAST)


def begin(
    found: t.Mapping[str, t.Any],
    application: str,
    described: t.Mapping[str, t.Any],
    request: t.Mapping[str, t.Any],
    entry: t.Mapping[str, t.Any],
    endings: t.Sequence[_drain.Ending] = (),
) -> _plan.Plan:
    """The plan of a run, from what `plan` found; `described` is the application's description, `endings` what ends."""
    active, preview, target = found["active"], found["preview"], found["version"]
    done = found["phase"] == "done"
    now, old = (active, preview) if done else (preview, active)
    name = f"{application} {target} ({now['color']}, Deployment {now['deployment']})"
    copies = request["replicas"] or max(described.get("replicas", 1), active["replicas"])
    hints = []
    if old.get("exists") and old["version"]:
        kept = f"{application} {old['version']} ({old['color']}, Deployment {old['deployment']})"
        replicas = old["replicas"] if request["keep_previous"] else 0
        hints = [f"kept for the way back: {kept}, {replicas} replicas; -e version={old['version']}"]
    return _plan.Plan(
        before=active["version"],
        target=target,
        changes=not done,
        headline=f"takes all traffic: {name}",
        would=f"would take all traffic: {name}",
        way_back=f"-e version={active['version']}" if not done else "",
        hints=hints,
        endings=endings,
        service=application,
        facts={
            **found,
            "replicas": copies,
            "manifests": _manifests(application, described, preview, target, copies),
            "preview_entry": _preview_entry(application, entry, request["preview_path"]),
            "old": old,
            # Going back leaves the way back as it is, so that a rollback that is run again changes nothing.
            "way_back": target if target == found["previous_version"] else active["version"],
        },
    )


def endings(found: t.Mapping[str, t.Any], deployments: t.Iterable[Object], service: Object) -> list[_drain.Ending]:
    """The pods that end where the old colour is not kept. They take no new requests by then."""
    old = found["preview"] if found["phase"] == "done" else found["active"]
    named = {item["metadata"]["name"]: item for item in deployments}
    if not old["exists"] or not old["replicas"]:
        return []
    return [_drain.ending(named[old["deployment"]], [service], version=old["version"], takes_traffic=False)]


def _manifests(
    application: str, described: t.Mapping[str, t.Any], preview: Object, target: str, copies: int
) -> dict[str, t.Any]:
    """What the templates make the other colour of: the application as described, under the colour's name.

    A Deployment that exists keeps its selector, which Kubernetes does not let anyone change.
    """
    color = {} if preview["deployment"] == application else {"color": preview["color"]}
    labels = {"app": application, **described.get("labels", {}), **color}
    deployment = {
        **described,
        "version": target,
        "replicas": copies,
        "labels": {**labels, **preview["match_labels"]},
        **({"selector": preview["match_labels"]} if preview["exists"] else {}),
    }
    service = f"{application}-preview"
    return {
        "deployments": {preview["deployment"]: deployment},
        "services": {service: {"labels": {"app": application}, "service": {"ports": described["service"]["ports"]}}},
        "selectors": {service: {**labels, "version": target}},
    }


def _preview_entry(application: str, entry: t.Mapping[str, t.Any], path: str) -> dict[str, t.Any]:
    """How the preview is asked: as the application's own Service is. Where users come in by another one in front of it,
    only what is said of the answers holds for the preview, too."""
    direct = not entry.get("url") and entry.get("service", application) == application
    kept = ("max_p99", "version_from", *(("port", "scheme", "path") if direct else ()))
    asked = {key: value for key, value in entry.items() if key in kept and value is not None}
    return {**asked, "service": f"{application}-preview", **({"path": path} if path else {})}
