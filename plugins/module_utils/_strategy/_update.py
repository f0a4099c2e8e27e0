# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Giving a Deployment a new version of its image, or an earlier revision. Pure functions of plain objects."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from dataclasses import asdict, dataclass, replace

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _drain, _pause, _plan
from ansible_collections.convoy.rollout.plugins.module_utils._traffic import _target
from ansible_collections.convoy.rollout.plugins.module_utils._workload import (
    _description,
    _history,
    _images,
    _managers,
    _reachable,
    _rollout,
    _selectors,
    _subject,
    _workloads,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import (
    CHANGE_CAUSE,
    Object,
    Revision,
    annotated,
    pod_labels,
)


@dataclass(frozen=True)
class Wish:
    """What a Deployment is to become."""

    version: str
    image: str = ""  #: the repository, by default the container's own
    container: str = ""
    max_surge: str = ""
    max_unavailable: str = ""
    change_cause: str = ""
    pause_at: str = ""
    rule: _images.Rule = _images.PLAIN  #: how the version that answers comes from the tag


def check(wish: Wish) -> None:
    """Raise Failure for a wish that no Deployment can have."""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", wish.version):
        raise Failure(f"version is {wish.version!r}; it must be an image's tag and a label, such as 2.0.0.")
    _images.check_repository("image", wish.image)
    for name, said in (("max_surge", wish.max_surge), ("max_unavailable", wish.max_unavailable)):
        if said and not re.fullmatch(r"\d+%?", said):
            raise Failure(f"{name} is {said!r}; set a number of pods such as 1, or a share of them such as 25%.")
    if wish.pause_at:
        _pause.point(wish.pause_at)


def container(deployment: Object, wish: Wish) -> Object:
    """The container whose version is meant. Raises Failure."""
    return _images.container_of(deployment, wish.container, wish.image)


def _containers(template: Object) -> list[tuple[str, Object]]:
    return [
        (f"/spec/template/spec/{kind}/{number}", item)
        for kind in ("containers", "initContainers")
        for number, item in enumerate(template["spec"].get(kind) or [])
    ]


def template_patch(deployment: Object, wish: Wish) -> list[Object]:
    """The JSON patch of the pod template: the image, of every container that has the same, and the labels that say it.

    An image that has the tag already stays as it is, with the digest that it is pinned by. Raises Failure.
    """
    template = deployment["spec"]["template"]
    old = _images.parse(container(deployment, wish)["image"])
    if old.tag == wish.version and wish.image in ("", old.repository):
        return []
    new = _images.with_tag(old.reference, wish.version, wish.image, variable="rolling_update_image")
    patch = [
        {"op": "replace", "path": f"{path}/image", "value": new}
        for path, item in _containers(template)
        if item["image"] == old.reference != new
    ]
    for label, value in _images.relabelled(_images.labels(template), old, wish.version, wish.rule).items():
        path = "/spec/template/metadata/labels/" + label.replace("/", "~1")
        patch.append({"op": "replace", "path": path, "value": value})
    return patch


def new_labels(deployment: Object, patch: t.Iterable[Object]) -> dict[str, str]:
    """The pods' labels after a patch of the template."""
    labels = dict(pod_labels(deployment))
    for step in patch:
        _before, found, key = step["path"].partition("/metadata/labels/")
        if found:
            labels[key.replace("~1", "/")] = step["value"]
    return labels


def check_deployment(deployment: Object, wish: Wish) -> None:
    """Raise Failure for a Deployment that cannot be given a new version as wished."""
    name, spec = deployment["metadata"]["name"], deployment["spec"]
    if spec.get("paused") and not _pause.is_ours(deployment):
        raise Failure(
            f"Deployment {name} is paused, and not by this role; resume it with kubectl rollout resume "
            f"deployment/{name} first."
        )
    strategy = spec.get("strategy", {}).get("type", "RollingUpdate")
    if strategy != "RollingUpdate" and (wish.max_surge or wish.max_unavailable or wish.pause_at):
        raise Failure(
            f"Deployment {name} has strategy {strategy}, which replaces all pods at once: surge, unavailability and a "
            "point to pause at do not apply to it; leave them out, or give it strategy RollingUpdate."
        )
    if wish.pause_at:
        _pause.point(wish.pause_at).due(deployment)
    selected = _selectors.unmet(spec["selector"], new_labels(deployment, template_patch(deployment, wish)))
    if selected:
        raise Failure(
            f"Deployment {name} selects its pods by {selected}, which is immutable; change the version with "
            "bluegreen, or deploy a Deployment of another name."
        )


def services(deployment: Object, wish: Wish, found: t.Iterable[Object]) -> list[str]:
    """The names of the Services that lead to a Deployment. Raises Failure where one no longer would."""
    name = deployment["metadata"]["name"]
    before, after = new_labels(deployment, []), new_labels(deployment, template_patch(deployment, wish))
    leading = []
    for item in found:
        selector = item["spec"].get("selector") or {}
        if not _selectors.selects(selector, before):
            continue
        service = item["metadata"]["name"]
        if not _selectors.selects(selector, after):
            raise Failure(
                f"Service {service} leads to version {selector.get('version', before.get('version'))} of {name} only, "
                f"and would lead nowhere after a rolling update; use bluegreen, or {_selectors.without_version(item)}."
            )
        leading.append(item)
    return first(leading, name)


def first(services: t.Iterable[Object], name: str) -> list[str]:
    """The names of Services, the one that users of a Deployment most likely come in by first."""

    def key(item: Object) -> tuple[bool, int, str]:
        service = str(item["metadata"]["name"])
        return service != name, _target.suits(item), service

    return [str(item["metadata"]["name"]) for item in sorted(services, key=key)]


def patch(deployment: Object, wish: Wish) -> list[Object]:
    """The JSON patch that starts the rolling update, and pauses it at once where it is to be paused part way."""
    steps = template_patch(deployment, wish)
    if steps:
        steps += annotated(deployment, {CHANGE_CAUSE: wish.change_cause or None})
        if wish.pause_at:
            steps += _pause.paused(deployment, wish.pause_at)
        elif _pause.is_ours(deployment):
            steps += _pause.resumed(deployment)
    if not _pause.is_ours(deployment):
        there = deployment["spec"].get("strategy", {}).get("rollingUpdate") or {}
        for key, said in (("maxSurge", wish.max_surge), ("maxUnavailable", wish.max_unavailable)):
            value: t.Any = int(said) if said.isdigit() else said
            if said and there.get(key) != value:
                steps.append({"op": "add", "path": f"/spec/strategy/rollingUpdate/{key}", "value": value})
    return steps


def no_room(deployment: Object, why: str) -> str:
    """That an update would not come to its end, and what to do."""
    spec = deployment["spec"]
    recreated = (spec.get("strategy") or {}).get("type") == "Recreate"
    help_ = "" if recreated else ", or let old pods go first (maxSurge 0 and maxUnavailable 1)"
    return (
        f"Deployment {deployment['metadata']['name']} was left as it is, as its new pods would not all run: {why}. "
        f"Make room{help_}, and run the playbook again."
    )


def room_hints(unjudged: t.Sequence[str] | None) -> list[str]:
    """What is said where nobody could judge whether there is room; None is where nothing of it could be read."""
    if unjudged is None:
        return ["free room was not checked: this user may not list the nodes and pods of the cluster"]
    return [f"the check for free room leaves out {'; '.join(unjudged)}"] if unjudged else []


# -- what a run is asked for, and what it finds ------------------------------------------------------------------------

TEXTS = ("image", "container", "max_surge", "max_unavailable", "change_cause", "pause_at")

#: What a rolling update is asked for, as an argument spec.
REQUEST: dict[str, t.Any] = {
    **_plan.FAMILY,
    "version": {"type": "raw", "default": ""},
    **{name: {"type": "str", "default": ""} for name in TEXTS},
    "version_of": _images.RULE_OPTION,
    "resume": {"type": "str", "choices": ["auto", "next_run", "never"], "default": "auto"},
    "timeout": {"type": "int", "default": 600},
    "settle": {"type": "int", "default": 30},
    "min_success": {"type": "float", "default": _plan.MIN_SUCCESS},
}
#: What a rollback is asked for.
ROLLBACK_REQUEST: dict[str, t.Any] = {
    **_plan.FAMILY,
    "revision": {"type": "int", "default": 0},
    "container": {"type": "str", "default": ""},
    "version_of": _images.RULE_OPTION,
    "timeout": {"type": "int", "default": 600},
    "settle": {"type": "int", "default": 30},
    "min_success": {"type": "float", "default": _plan.MIN_SUCCESS},
}


class Found(t.NamedTuple):
    """A Deployment and what belongs to it."""

    deployment: Object
    replica_sets: t.Sequence[Object]
    pods: t.Sequence[Object]
    services: t.Sequence[Object]  #: all of the namespace

    @property
    def name(self) -> str:
        """The Deployment's name."""
        return str(self.deployment["metadata"]["name"])

    @property
    def revisions(self) -> list[Revision]:
        """Its revisions, the oldest first."""
        return _workloads.revisions(self.deployment, self.replica_sets)

    @property
    def own_pods(self) -> list[Object]:
        """Its pods that are there to stay."""
        own = {revision.uid for revision in self.revisions}
        return [
            pod
            for pod in self.pods
            if _workloads.owner(pod) in own
            and "deletionTimestamp" not in pod["metadata"]
            and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        ]


@dataclass(frozen=True)
class Carrier:
    """The container that carries the version, and how the version that answers reads from its image."""

    container: str
    rule: _images.Rule = _images.PLAIN

    def version(self, template: Object) -> str:
        """The version of a template or a pod."""
        return _images.version_of(template, "", self.container, rule=self.rule)

    def image(self, template: Object) -> str:
        """The image in a template or a pod, empty where it has no such container."""
        item = _images.container(template, "", self.container)
        return str(item.get("image", "")) if item else ""

    def answering(self, found: Found) -> list[str]:
        """The other containers whose version answers name; none where it is this one's.

        That is the one that carries the version where none is asked for. Init containers answer no requests, and where
        a native sidecar does, it hands on what the others answer.
        """
        template = found.deployment["spec"]["template"]
        main = _images.container(template, found.name)
        proper = [str(item["name"]) for item in _images.containers(template)]
        names = [str(main["name"])] if main else [] if self.container in proper else proper
        return [name for name in names if name != self.container]

    def named(self, found: Found) -> str:
        """What the version is of, in words."""
        return f"container {self.container} of {found.name}" if self.answering(found) else found.name

    def named_by_others(self, found: Found) -> set[str]:
        """The versions in answers that are another container's, or may be: where both have one, nobody can tell."""
        others = [Carrier(name, self.rule) for name in self.answering(found)]
        template = found.deployment["spec"]["template"]
        return {version for other in others for version in (other.version(template), *other.ready(found))}

    def ready(self, found: Found) -> list[str]:
        """The version of each ready pod."""
        return [self.version(pod) for pod in found.own_pods if _workloads.is_ready(pod)]

    def shares(self, found: Found) -> dict[str, float]:
        """The share of the ready pods that each version has, empty where none is ready."""
        ready = self.ready(found)
        return {version: ready.count(version) / len(ready) for version in sorted(set(ready))}


def check_request(application: t.Any, applications: t.Any, request: t.Mapping[str, t.Any]) -> None:
    """Raise Failure for a request of a rolling update that cannot work, whatever the cluster has."""
    _check_named(application, applications)
    version = request["version"]
    if not _description.is_version(version):
        raise Failure(
            f"rolling_update_version is {json.dumps(version, default=str)}; set the version to go to, a tag such as "
            '"2.0.0" (in quotes where it is YAML or JSON), with -e version=2.0.0.'
        )
    _plan.check_least("rolling_update", request, {"family_size": 1, "timeout": 1, "settle": 0})
    _plan.check_share("rolling_update", "min_success", request)
    check(wish_of(request, application, applications))


def check_rollback(application: t.Any, applications: t.Any, request: t.Mapping[str, t.Any]) -> None:
    """Raise Failure for a request of a rollback that cannot work, whatever the cluster has."""
    _check_named(application, applications)
    _plan.check_least("rolling_update", request, {"family_size": 1, "revision": 0, "timeout": 1, "settle": 0})
    _plan.check_share("rolling_update", "min_success", request)
    _images.rule(request["version_of"])


def _check_named(application: t.Any, applications: t.Any) -> None:
    """Raise Failure where no Deployment is named, or its description cannot be read."""
    if not isinstance(application, str) or not application:
        raise Failure(
            f"rolling_update_application is {json.dumps(application, default=str)}; set the name of the Deployment, "
            "with -e application=NAME."
        )
    described = applications.get(application, {}) if isinstance(applications, dict) else None
    if not isinstance(described, dict) or not isinstance(described.get("image", ""), str):
        raise Failure(
            f"rolling_update_applications does not describe {application} as role app_deploy reads it: it has to be a "
            "dictionary of descriptions by name, each with the name of an image."
        )


def wish_of(request: t.Mapping[str, t.Any], application: str, applications: t.Mapping[str, t.Any]) -> Wish:
    """What a Deployment is to become by a request; the described image counts where none is asked for."""
    described = (applications.get(application) or {}).get("image", "")
    texts = {**{name: request[name] for name in TEXTS}, "image": request["image"] or described}
    return Wish(request["version"], **texts, rule=_images.rule(request["version_of"]))


def fingerprint(template: Object) -> str:
    """What tells one pod template from another; a template itself may contain what is not to be shown."""
    return hashlib.sha256(json.dumps(_workloads.bare(template), sort_keys=True).encode()).hexdigest()


def phase(deployment: Object, known: t.Sequence[Revision], *, leaves: bool) -> str:
    """Where a run begins: update, going, paused or done; `leaves` says whether the template is another one."""
    if leaves:
        return "update"
    if _pause.is_ours(deployment) and deployment["spec"].get("paused"):
        return "paused"
    done = _rollout.progress(deployment) is None and not _history.is_unverified(deployment, known)
    return "done" if done else "going"


def is_past_pauses(deployment: Object) -> bool:
    """Whether a rollout is complete, as one that a run which was cut off had resumed: there is nothing to pause."""
    return _rollout.progress(deployment) is None


def begin(found: Found, wish: Wish, resume: str, image: str) -> _plan.Plan:
    """The plan of a rolling update; `image` is what the container has after the change."""
    name, deployment = found.name, found.deployment
    carrier = Carrier(str(container(deployment, wish)["name"]), wish.rule)
    leaves = bool(template_patch(deployment, wish))
    begins = phase(deployment, found.revisions, leaves=leaves)
    paused_at = _workloads.annotations_of(deployment).get(_pause.PAUSED_AT, "")
    second = begins == "paused" and resume == "next_run" and paused_at == wish.pause_at
    pauses = bool(wish.pause_at) and not second and not (begins in ("going", "done") and is_past_pauses(deployment))
    target = wish.rule.answer(wish.version)
    before = _images.parse(container(deployment, wish)["image"])
    plan = _planned(
        found,
        carrier,
        begins,
        _way_back(found, carrier, leaving=leaves),
        leading=services(deployment, wish, found.services),
        target=target,
        headline=f"{carrier.named(found)} {target} runs in all {deployment['spec'].get('replicas', 1)} pods.",
        would=f"Deployment {name} {'has' if begins == 'done' else 'would go to'} version {wish.version} ({image}).",
        facts={
            "kind": "update",
            "wish": asdict(wish),
            "image": image,
            "paused_at": paused_at,
            "pause_at": wish.pause_at,
            "pauses": pauses,
            "stays": pauses and resume != "auto",
            "resume": resume,
        },
    )
    pinned = _images.repinned(before, _images.parse(image))
    return replace(plan, shares=pauses, hints=[pinned] if pinned else plan.hints)


def begin_rollback(found: Found, request: t.Mapping[str, t.Any], namespace: str) -> _plan.Plan:
    """The plan of a rollback. Raises Failure where there is nothing to go back to."""
    name, deployment, known = found.name, found.deployment, found.revisions
    to = _workloads.earlier(
        known, request["revision"], f"Deployment {name} in namespace {namespace}", _history.before(deployment, known)
    )
    begins = phase(deployment, known, leaves=not to.current)
    carrier = Carrier(
        request["container"] or _changed_container(deployment["spec"]["template"], to.template, name),
        _images.rule(request["version_of"]),
    )
    where = f"revision {to.number} ({', '.join(_workloads.images(to.template))})"
    _check_services(found, to)
    # What it goes to is no way back from there.
    others = [item for item in found.replica_sets if item["metadata"].get("uid") != to.uid]
    leading = [
        item
        for item in found.services
        if _selectors.selects((item.get("spec") or {}).get("selector"), _images.labels(to.template))
    ]
    return _planned(
        found,
        carrier,
        begins,
        _way_back(found._replace(replica_sets=others), carrier, leaving=not to.current),
        leading=first(leading, name),
        target=carrier.version(to.template),
        headline=f"Deployment {name} has {where}.",
        would=f"Deployment {name} {'has' if begins == 'done' else 'would go back to'} {where}.",
        facts={
            "kind": "rollback",
            "served_before": {},  # it may be what it goes to
            "revision": to.number,
            "image": carrier.image(to.template),
            "pauses": False,
            "stays": False,
            "history": _workloads.history(known),
        },
    )


def _check_services(found: Found, to: Revision) -> None:
    """Raise Failure where a Service leads to what a Deployment has, and would lead nowhere after a rollback."""
    before, after = pod_labels(found.deployment), _images.labels(to.template)
    for item in found.services:
        selector = (item.get("spec") or {}).get("selector")
        if _selectors.selects(selector, before) and not _selectors.selects(selector, after):
            missing = _selectors.unmet({"matchLabels": selector}, after)
            raise Failure(
                f"Service {item['metadata']['name']} leads to pods of {found.name} with {missing} only, and would lead "
                f"nowhere after a rollback to revision {to.number}; use bluegreen, or remove that from its selector."
            )


def _way_back(found: Found, carrier: Carrier, *, leaving: bool) -> _subject.WayBack | None:
    """The revision that served last, to go back to where the change fails."""
    return _subject.way_back(
        found.deployment, found.replica_sets, container=carrier.container, rule=carrier.rule, leaving=leaving
    )


def _planned(
    found: Found,
    carrier: Carrier,
    begins: str,
    back: _subject.WayBack | None,
    *,
    leading: t.Sequence[str],
    target: str,
    headline: str,
    would: str,
    facts: t.Mapping[str, t.Any],
) -> _plan.Plan:
    """What the plans of both have in common; `leading` are the Services that lead to the Deployment."""
    serving = _way_back(found, carrier, leaving=True)
    earlier = _history.before(found.deployment, found.revisions)
    those = [item for item in found.services if item["metadata"]["name"] in leading]
    uneven = [_reachable.uneven(item, [], entry=entry) for item in those for entry in (True, False)]
    ready = set(carrier.ready(found))
    running = sorted(ready - carrier.named_by_others(found))
    return _plan.Plan(
        before=serving.version if serving else None,
        target=target,
        changes=begins != "done",
        headline=headline,
        would=would,
        way_back=_typed(found, back) if back and begins != "done" else "",
        warnings=_warnings(found, back, target) if begins != "done" else (),
        endings=_endings(found, serving) if begins != "done" else (),
        service=next(iter(leading), ""),
        subject=f"Deployment {found.name}",
        serves=bool(ready),
        running=running,
        alone={} if begins in ("going", "paused") else None,
        named_by_others=sorted(carrier.named_by_others(found)),
        idle="" if found.deployment["spec"].get("replicas", 1) else nothing_runs(found.name),
        facts={
            "deployment": found.name,
            "phase": begins,
            "carrier": asdict(carrier),
            "answering": carrier.answering(found),
            "named": carrier.named(found),
            "template": fingerprint(found.deployment["spec"]["template"]),
            "services": list(leading),
            "uneven": next(filter(None, uneven), ""),
            "way_back": _shown(back),
            # Where what runs now answers nobody, what served before it is what served last.
            "served_before": _shown(_made(earlier, carrier))
            if earlier and back and earlier.uid != back.replica_set
            else {},
            **facts,
        },
    )


def _endings(found: Found, serving: _subject.WayBack | None) -> list[_drain.Ending]:
    """The pods that a rollout ends: those of the revision that serves."""
    if serving is None:
        return []
    deployment = found.deployment
    served = {**deployment, "spec": {**deployment["spec"], "template": serving.template}}
    return [_drain.ending(served, found.services, version=serving.version)]


def _made(revision: Revision, carrier: Carrier) -> dict[str, t.Any]:
    return {"revision": revision.number, "version": carrier.version(revision.template), "replica_set": revision.uid}


def _shown(back: _subject.WayBack | dict[str, t.Any] | None) -> dict[str, t.Any]:
    """A way back as plain data, empty where there is none."""
    if isinstance(back, _subject.WayBack):
        return {"revision": back.revision, "version": back.version, "replica_set": back.replica_set}
    return back or {}


def _typed(found: Found, back: _subject.WayBack) -> str:
    """What to type to go back once the change was verified; a revision that is not kept is gone by then."""
    if _history.no_way_back(found.deployment):
        return f"rolling_update.yml -e version={back.version}" if back.version else ""
    return f"rollback.yml -e revision={back.revision}"


def _warnings(found: Found, back: _subject.WayBack | None, target: str) -> list[str]:
    """What is to be said of the way back before anything is changed."""
    if back is None:
        return [
            f"Deployment {found.name} has no revision that served, so {target} cannot be rolled back if it fails "
            "verification"
        ]
    guessed = (
        []
        if back.certain
        else [
            f"no revision of Deployment {found.name} is known to have served; if {target} fails verification, it is "
            f"rolled back to revision {back.revision} ({back.version}), the newest that is not known to have failed"
        ]
    )
    lost = _history.no_way_back(found.deployment)
    return [*guessed, *([lost] if lost else [])]


def kept(patch: t.Sequence[Object], deployment: Object, known: t.Sequence[Revision], uid: str) -> list[Object]:
    """A patch that gives a Deployment another template, with what keeps the revision to go back to, by its uid."""
    if not any(str(step["path"]).startswith("/spec/template") for step in patch):
        return list(patch)
    last = next((item for item in known if uid and item.uid == uid), None)
    return _workloads.joined(patch, _history.keeping(deployment, known, last))


def nothing_runs(name: str) -> str:
    """Why nothing can be verified of a Deployment that has no pods."""
    return f"Deployment {name} has 0 replicas, so nothing answers"


def _changed_container(one: Object, other: Object, name: str) -> str:
    """The container whose version is another one in two templates: the main one, unless only another one differs."""
    main = _images.container(other, name)
    before = {item["name"]: item.get("image", "") for item in _images.containers(one, every=True)}
    there = _images.containers(other, every=True)
    differing = [item["name"] for item in there if before.get(item["name"]) != item.get("image", "")]
    if len(differing) == 1 and (main is None or main["name"] not in differing):
        return str(differing[0])
    return str((main or there[0])["name"])


def changed_by_others(deployment: Object, plan: t.Mapping[str, t.Any]) -> str:
    """That a Deployment is not what this run made of it, in words, empty where it is: the field, and who wrote it."""
    template, carrier = deployment["spec"]["template"], carrier_of(plan)
    there = carrier.image(template)
    if there == plan["image"]:
        return ""
    main = [item["name"] for item in _images.containers(template)]
    kind = "containers" if carrier.container in main or not there else "initContainers"
    path = f"spec.template.spec.{kind}[name={carrier.container}].image"
    return _managers.changed_by(deployment, path, plan["image"], there or None)


def carrier_of(plan: t.Mapping[str, t.Any]) -> Carrier:
    """The carrier of a plan's facts."""
    said = plan["carrier"]
    return Carrier(said["container"], _images.Rule(**said["rule"]))


def wish_in(plan: t.Mapping[str, t.Any]) -> Wish:
    """The wish of a plan's facts."""
    return Wish(**{**plan["wish"], "rule": _images.Rule(**plan["wish"]["rule"])})
