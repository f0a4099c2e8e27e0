# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which colour takes traffic and what is left to do. Pure functions of plain objects."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _images, _selectors, _subject
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
