# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which colour takes traffic and what is left to do. Pure functions of plain objects."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _drain, _plan
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._unfinished import unfinished_of
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _router
from ansible_collections.convoy.rollout.plugins.module_utils._workload import (
    _description,
    _images,
    _selectors,
    _subject,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload._rollout import is_mixed, progress
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import pod_labels

Object = t.Dict[str, t.Any]

#: The Service's annotation that says where a rollback goes: the version before the last switch. It is there from a
#: switch on, until a rollback to it has been verified.
PREVIOUS = "convoy.rollout/previous-version"


def live(service: Object, plan: t.Mapping[str, t.Any]) -> bool:
    """Whether a Service leads to the active colour of a plan still, pinned to it or not."""
    selector = service["spec"].get("selector") or {}
    known = next(item for item in plan["services"] if item["name"] == service["metadata"]["name"])
    pinned = {key: value for key, value in known["active"].items() if value is not None}
    began = unfinished_of(service)
    return selector in (pinned, known["selector"], began.selector if began else pinned)


def plan(
    service: Object,
    deployments: t.Sequence[Object],
    *,
    version: str,
    rollback: bool,
    application: str = "",
    others: t.Sequence[Object] = (),
    container: str = "",
    rule: _images.Rule = _images.PLAIN,
) -> dict[str, t.Any]:
    """What a blue/green rollout finds, and the phase it has to begin with.

    `service` is the Service that decides which colour has the traffic, `others` are those that go with it.
    `deployments` are those of the namespace. `version` is a tag; a version here is what is answered, which comes from
    the tag by the `rule`, and a tag is what has to be given to get it. Blue is the Deployment of the application's name
    (by default the Service's), where there is one, else NAME-blue; green is NAME-green. Raises Failure where that is
    not what is found.
    """
    served = service["metadata"]["name"]
    name = application or served
    live = service.get("spec", {}).get("selector") or {}
    if not live:
        raise Failure(f"Service {served} has no selector, so no Deployment can take its traffic.")
    named = {item["metadata"]["name"]: item for item in deployments}
    names = _subject.colours(name, named)
    colours = {
        colour: _colour(name, colour, names[colour], named.get(names[colour]), container, rule) for colour in names
    }
    behind = [
        colour for colour, item in names.items() if item in named and _selectors.selects(live, pod_labels(named[item]))
    ]
    # A Deployment without replicas takes no traffic.
    taking = [colour for colour in behind if colours[colour]["replicas"]] or behind
    if len(taking) != 1:
        seen = " and ".join(f"Deployment {names[colour]}" for colour in taking) or "neither of " + " and ".join(
            names.values()
        )
        raise Failure(
            f"Service {served} must lead to one of two colours, but its selector {_said(live)} selects {seen}; put "
            "the version that is to receive traffic into its selector."
        )
    active = colours[taking[0]]
    preview = colours["green" if taking[0] == "blue" else "blue"]
    if not active["label"]:
        raise Failure(
            f"The pods of Deployment {active['deployment']} have no label version to select them by; add it to the "
            "pod template, or deploy it with app_deploy.yml."
        )
    before = (service["metadata"].get("annotations") or {}).get(PREVIOUS, "")
    prepared = [item for item in map(unfinished_of, (service, *others)) if item]
    # Where somebody has given the traffic to what a rollout created, that is no preview any more.
    touched = {name for item in prepared for name in (*item.creates, f"Deployment {item.deployment}")}
    unfinished = bool(prepared) and f"Deployment {active['deployment']}" not in touched
    # A rollback that was cut off before its switch goes on.
    gives_up = unfinished and (not before or all(item.to != before for item in prepared))
    target, tag = rule.answer(version), version
    if rollback:
        target = _rolled_back_to(name, active, preview, before, gives_up)
        tag = next((item["tag"] for item in (active, preview) if item["version"] == target), target)
    if target == active["version"] or not target:
        phase = "done"
    elif preview["complete"] and preview["replicas"] and preview["version"] == target == before:
        phase = "switch"
    else:
        phase = "preview"
    if phase == "preview" and is_mixed(named[active["deployment"]]):
        raise Failure(
            f"Deployment {active['deployment']}, which has the traffic, is in the middle of a rollout to "
            f"{active['version']}, and pods of an earlier version receive part of the traffic or all of it. Nothing "
            "was changed. Let that rollout end first: wait for it, resume it where it is paused, or roll it back "
            f"with kubectl rollout undo deployment/{active['deployment']}; then run the playbook again."
        )
    labels = (active["label"], tag if phase == "preview" else preview["label"])
    selectors = _selectors_of(service, active, preview, labels)
    return {
        key: {name: value for name, value in item.items() if name not in ("label", "labelled")}
        | {"selector": selectors[key]}
        for key, item in (("active", active), ("preview", preview))
    } | {
        "service": served,
        "services": [
            {
                "name": item["metadata"]["name"],
                "selector": item["spec"].get("selector") or {},
                **_selectors_of(item, active, preview, labels),
            }
            for item in (service, *others)
        ],
        "uid": service["metadata"].get("uid", ""),
        "pinned": "version" in live,
        "version": target,
        "tag": tag or active["tag"],
        "previous_version": before,
        "phase": phase,
        "unfinished": unfinished,
        "rolls_back": rollback and target == before,
    }


def _rolled_back_to(name: str, active: Object, preview: Object, before: str, gives_up: bool) -> str:
    """The version that a rollback leads to. Raises Failure where it would change nothing."""
    # Of a rollout that was cut off before its switch, what it prepared is taken back.
    if gives_up:
        return str(active["version"])
    # A rollback that was cut off after its switch is verified.
    if before and before in (active["version"], preview["version"]):
        return before
    stays = f"{name} {active['version']} (Deployment {active['deployment']}) keeps all traffic"
    if not before:
        raise Failure(
            f"There is nothing to roll back to: {name} has not been switched from one colour to the other, or the last "
            f"switch was rolled back already. {stays}; go to another version with -e version=..."
        )
    now = f"now has {preview['version']}" if preview["exists"] else "is gone"
    raise Failure(
        f"There is nothing to roll back to: users got {name} {before} before the last switch, and Deployment "
        f"{preview['deployment']}, which had it, {now}. {stays}; -e version={before} brings {before} up again."
    )


def _selectors_of(
    service: Object, active: Object, preview: Object, labels: tuple[str, str]
) -> dict[str, dict[str, str | None]]:
    """The selectors by which a Service leads to the active colour and to the other one, by these labels `version`.

    None takes a key away: the selectors are patches, from one colour to the other and back.
    """
    live = service.get("spec", {}).get("selector") or {}
    kept = {key: value for key, value in live.items() if key not in _subject.PINS}
    colour = "color" in live or active["labelled"] or preview["labelled"]
    return {
        name: kept | ({"color": item["labelled"]} if colour else {}) | {"version": label or None}
        for name, item, label in (("active", active, labels[0]), ("preview", preview, labels[1]))
    }


def following(subject: _subject.Subject, services: t.Sequence[Object]) -> tuple[Object, list[Object]]:
    """The Service that decides which colour has the traffic, and the others that go with it.

    A Service that is called after a colour or a version that it is pinned to is about that one, and stays. Raises
    Failure where no Service leads to the application, or to a Deployment that is none of its colours.
    """
    live, name = _subject.taking(subject), subject.application
    leading = [link for link in subject.services if live.name in link.leads_to and link.name != f"{name}-preview"]
    if not leading:
        raise Failure(
            f"There is no Service that leads to Deployment {live.name} in namespace {subject.namespace}, so there is "
            f"no traffic to switch; run app_deploy.yml first."
        )
    if not live.color:
        raise Failure(
            f"Service {leading[0].name} leads to Deployment {live.name}, which has the traffic of {name} and is "
            f"neither of its colours ({' and '.join(_colour_names(subject))}); name {live.name} as the application, "
            "or make the Service lead to one of them."
        )
    found = {item["metadata"]["name"]: item for item in services}
    first, *more = leading
    return found[first.name], [found[link.name] for link in more if not is_of_one(link.name, link.selector, name)]


def _colour_names(subject: _subject.Subject) -> list[str]:
    members = [*([subject.live] if subject.live else []), *subject.others]
    return list(_subject.colours(subject.application, [member.name for member in members]).values())


def is_of_one(service: str, selector: t.Mapping[str, str], application: str) -> bool:
    """Whether a Service is about one colour or version, as its name says, and not about what has the traffic."""
    pins = [value for key, value in selector.items() if key in _subject.PINS]
    return service in (f"{application}-blue", f"{application}-green") or any(
        service.endswith((f"-{pin}", "-" + pin.replace(".", "-"))) for pin in pins
    )


def takes_both(service: Object, deployments: t.Sequence[Object], active: str, preview: str) -> Object | None:
    """The preview Deployment where a Service leads to it and to the active one, both of which have replicas."""
    live = service.get("spec", {}).get("selector") or {}
    named = {item["metadata"]["name"]: item for item in deployments}
    pair = [named.get(active), named.get(preview)]
    if any(
        item is None or not item["spec"].get("replicas", 1) or not _selectors.selects(live, pod_labels(item))
        for item in pair
    ):
        return None
    return pair[1]


def _colour(
    application: str, colour: str, name: str, deployment: Object | None, container: str, rule: _images.Rule
) -> dict[str, t.Any]:
    """A colour. Traffic is led by what the label `version` of its pods says, its version is what they answer.

    Raises Failure where several containers may have its version.
    """
    if deployment is None:
        return {
            "color": colour,
            "deployment": name,
            "exists": False,
            "version": "",
            "tag": "",
            "image": "",
            "replicas": 0,
            "complete": False,
            "match_labels": {},
            "label_selector": {},
            "label": "",
            "labelled": colour,
        }
    spec = deployment["spec"]
    labels = pod_labels(deployment)
    version = _images.version_of(spec["template"], application, container, rule=rule)
    carrying = _images.container(spec["template"], application, container)
    if not version:
        _images.container_of(deployment, container)  # raises Failure, which says what to name
    image = _images.parse(carrying["image"]) if carrying else None
    return {
        "color": colour,
        "deployment": name,
        "exists": True,
        "version": version,
        "tag": (image.tag if image else "") or labels.get("version") or version,
        "image": image.reference if image else "",
        "replicas": spec.get("replicas", 1),
        "complete": progress(deployment) is None,
        "match_labels": spec["selector"].get("matchLabels") or {},
        "label_selector": spec["selector"],
        "label": labels.get("version", ""),
        "labelled": labels.get("color"),
    }


def _said(selector: Object) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))


#: What a blue/green rollout is asked for, as an argument spec.
REQUEST: dict[str, t.Any] = {
    **_plan.FAMILY,
    "version": {"type": "raw", "default": ""},
    "rollback": {"type": "bool", "default": False},
    "replicas": {"type": "int", "default": 0},
    "timeout": {"type": "int", "default": 600},
    "preview_samples": {"type": "int", "default": 20},
    "samples": {"type": "int", "default": 500},
    "min_success": {"type": "float", "default": _plan.MIN_SUCCESS},
    "settle": {"type": "int", "default": 30},
    "previous_delay": {"type": "int", "default": 30},
    "keep_previous": {"type": "bool", "default": True},
    "preview_path": {"type": "str", "default": ""},
    "container": {"type": "str", "default": ""},
    "version_of": _images.RULE_OPTION,
    "router": _router.OPTION,
    "preview_headers": {"type": "dict", "default": {}},
}
LEAST = {
    "family_size": 1,
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
        known = (
            f"one of {', '.join(map(str, names))}"
            if names
            else (
                "and none is described for this cluster: describe it in applications, in the inventory, as the README "
                "of role app_deploy shows, or change the version with rolling_update or canary, which need no "
                "description"
            )
        )
        raise Failure(
            f"bluegreen_application is {json.dumps(application, default=str)}; it has to be an application that is "
            f"described with a service, {known}."
        )
    problems = _description.problems({application: applications[application]})
    if problems:
        raise Failure(" ".join(problems))
    version = request["version"]
    if request["rollback"] and version != "":
        raise Failure("Set bluegreen_version (-e version=...) or bluegreen_rollback (-e rollback=true), not both.")
    if not request["rollback"] and not _description.is_version(version):
        raise Failure(
            f"bluegreen_version is {json.dumps(version, default=str)}; set the version to go to, a label such as "
            '"2.0.0" (in quotes where it is YAML or JSON), with -e version=2.0.0, or go back with -e rollback=true.'
        )
    _plan.check_least("bluegreen", request, LEAST)
    _plan.check_share("bluegreen", "min_success", request)
    _images.rule(request["version_of"])
    _router.named(request["router"])
    if any(not isinstance(value, str) or not value for item in request["preview_headers"].items() for value in item):
        raise Failure(
            f"bluegreen_preview_headers is {json.dumps(request['preview_headers'], default=str)}; set names and "
            "values that are strings, such as {x-preview: always}, or {} to try the other colour by a Service."
        )


def begin(
    found: t.Mapping[str, t.Any],
    application: str,
    described: t.Mapping[str, t.Any],
    request: t.Mapping[str, t.Any],
    endings: t.Sequence[_drain.Ending] = (),
) -> _plan.Plan:
    """The plan of a run, from what `plan` found; `described` is the application's description, `endings` what ends."""
    active, preview, target = found["active"], found["preview"], found["version"]
    done = found["phase"] == "done"
    now, old = (active, preview) if done else (preview, active)
    name = f"{application} {target} ({now['color']}, Deployment {now['deployment']})"
    replicas = request["replicas"] or max(described.get("replicas", 1), active["replicas"])
    hints = []
    if old.get("exists") and old["version"]:
        kept = f"{application} {old['version']} ({old['color']}, Deployment {old['deployment']})"
        remaining = old["replicas"] if request["keep_previous"] else 0
        hints = [f"kept for a rollback: {kept}, {remaining} replicas; go back with -e version={old['tag']}"]
    if found["phase"] == "preview" and preview["image"]:
        # The other colour's image is made of the description, whatever it was pinned by.
        new = _images.with_tag(described["image"], found["tag"])
        hints += filter(None, [_images.repinned(_images.parse(preview["image"]), _images.parse(new))])
    return _plan.Plan(
        before=active["version"],
        target=target,
        changes=not done or found["unfinished"],
        headline=f"{name} now receives all traffic",
        would=f"{name} would receive all traffic",
        way_back=f"-e version={active['tag']}" if not done else "",
        hints=hints,
        endings=endings,
        service=found["service"],
        subject=f"Deployment {active['deployment']}",
        serves=bool(active["replicas"] and active["complete"]),
        running=[active["version"]] if active["replicas"] and active["complete"] else [],
        alone={} if done else None,
        facts={
            **found,
            "replicas": replicas,
            "manifests": _manifests(application, described, preview, found["tag"], replicas),
            "preview_service": f"{application}-preview",
            "old": old,
            "route": {},  # by the selectors of the Services
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
    application: str, described: t.Mapping[str, t.Any], preview: Object, tag: str, replicas: int
) -> dict[str, t.Any]:
    """What the templates make the other colour of: the application as described, under the colour's name.

    A Deployment that exists keeps its selector, which Kubernetes does not let anyone change.
    """
    color = {} if preview["deployment"] == application else {"color": preview["color"]}
    labels = {"app": application, **described.get("labels", {}), **color}
    deployment = {
        **described,
        "version": tag,
        "replicas": replicas,
        "labels": {**labels, **preview["match_labels"]},
        **(
            {"selector": preview["match_labels"], "label_selector": preview["label_selector"]}
            if preview["exists"]
            else {}
        ),
    }
    service = f"{application}-preview"
    return {
        "deployments": {preview["deployment"]: deployment},
        "services": {service: {"labels": {"app": application}, "service": {"ports": _ports(described["service"])}}},
        "selectors": {service: {**labels, "version": tag}},
    }


#: What a port of a preview Service has of the application's: a nodePort can be one Service's alone.
PORT_FIELDS = ("name", "port", "targetPort", "protocol", "appProtocol")


def _ports(service: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    return [{key: port[key] for key in PORT_FIELDS if key in port} for port in service["ports"]]


def created(colour_there: bool, service_there: bool) -> dict[str, int]:
    """What a preview creates, by resource, as quotas count it."""
    found = {} if colour_there else {"deployments.apps": 1, "replicasets.apps": 1}
    return found if service_there else {**found, "services": 1}


def template_of(manifests: t.Iterable[Object], deployment: str) -> Object:
    """The pod template that manifests give a Deployment. Raises Failure where they have none."""
    for item in manifests:
        if item["kind"] == "Deployment" and (item.get("metadata") or {}).get("name") == deployment:
            return (item.get("spec") or {}).get("template") or {}
    raise Failure(
        f"The manifests have no Deployment {deployment}, which is the other colour; the template must use the name "
        "that it is rendered with."
    )


def preview_entry(application: str, service: str, entry: t.Mapping[str, t.Any], path: str) -> dict[str, t.Any]:
    """How requests to the preview are made: as to the application's own Service. Where users come in by another one in
    front of it, only what concerns the answers applies to the preview, too."""
    direct = not entry.get("url") and entry.get("service", service) == service
    # An application that answers its own names only does so in the preview, too.
    kept = ["max_p99", "version_from", "headers", "source", "rate_limit"]
    kept += ["port", "scheme", "path", "server_name"] if direct else []
    asked = {key: value for key, value in entry.items() if key in kept and value is not None}
    return {**asked, "service": f"{application}-preview", **({"path": path} if path else {})}
