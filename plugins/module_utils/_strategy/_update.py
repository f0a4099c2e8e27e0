# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Giving a Deployment a new version of its image, or an earlier revision. Pure functions of plain objects."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from dataclasses import asdict, dataclass

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _pause, _plan
from ansible_collections.convoy.rollout.plugins.module_utils._workload import (
    _description,
    _managers,
    _reachable,
    _rollout,
    _workloads,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import (
    CHANGE_CAUSE,
    VERSION_LABELS,
    Object,
    Revision,
    annotated,
    main_container,
    pod_labels,
    split_image,
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


def check(wish: Wish) -> None:
    """Raise Failure for a wish that no Deployment can have."""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", wish.version):
        raise Failure(f"version is {wish.version!r}; it must be an image's tag and a label, such as 2.0.0.")
    if wish.image and re.search(r"[:@][^/]*$", wish.image):
        raise Failure(f"image is {wish.image}; give it without a tag or a digest, version is the tag.")
    for name, said in (("max_surge", wish.max_surge), ("max_unavailable", wish.max_unavailable)):
        if said and not re.fullmatch(r"\d+%?", said):
            raise Failure(f"{name} is {said!r}; give a number of pods as 1, or a share of them as 25%.")
    if wish.pause_at:
        _pause.point(wish.pause_at)


def container(deployment: Object, named: str, repository: str = "") -> Object:
    """The container whose version is meant: the named one, the main one, or the one of an image. Raises Failure."""
    name, template = deployment["metadata"]["name"], deployment["spec"]["template"]
    found = _containers(template)
    if named:
        for _path, item in found:
            if item["name"] == named:
                return item
    else:
        of_image = [item for _path, item in found if split_image(item["image"])[0] == repository]
        only = main_container(template, name) or (of_image[0] if len(of_image) == 1 else None)
        if only:
            return only
    names = ", ".join(item["name"] for _path, item in found)
    said = f"has no container {named}" if named else "has several containers"
    raise Failure(f"Deployment {name} {said}; name the one whose version is meant, one of: {names}.")


def _containers(template: Object) -> list[tuple[str, Object]]:
    return [
        (f"/spec/template/spec/{kind}/{number}", item)
        for kind in ("containers", "initContainers")
        for number, item in enumerate(template["spec"].get(kind) or [])
    ]


def template_patch(deployment: Object, wish: Wish) -> list[Object]:
    """The JSON patch of the pod template: the image, of every container that has the same, and the labels."""
    template = deployment["spec"]["template"]
    old = container(deployment, wish.container, wish.image)["image"]
    repository, tag = split_image(old)
    new = f"{wish.image or repository}:{wish.version}"
    patch = [
        {"op": "replace", "path": f"{path}/image", "value": new}
        for path, item in _containers(template)
        if item["image"] == old != new
    ]
    labels = (template.get("metadata") or {}).get("labels") or {}
    for label in VERSION_LABELS:
        # A chart's version label may be another one than the image's.
        if label in labels and labels[label] != wish.version and (label == "version" or labels[label] == tag):
            path = "/spec/template/metadata/labels/" + label.replace("/", "~1")
            patch.append({"op": "replace", "path": path, "value": wish.version})
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
            f"Deployment {name} has strategy {strategy}, which replaces all pods at once: it takes no surge, "
            f"unavailability or point to pause at; leave them out, or give it strategy RollingUpdate."
        )
    if wish.pause_at:
        _pause.point(wish.pause_at).due(deployment)
    selected = spec["selector"].get("matchLabels") or {}
    labels = new_labels(deployment, template_patch(deployment, wish))
    for label, value in selected.items():
        if labels.get(label) != value:
            raise Failure(
                f"Deployment {name} selects its pods by {label}={value}, which Kubernetes lets nobody change; "
                f"go to another version with bluegreen or with a Deployment of another name."
            )


def services(deployment: Object, wish: Wish, found: t.Iterable[Object]) -> list[str]:
    """The names of the Services that lead to a Deployment. Raises Failure where one would not any more."""
    name = deployment["metadata"]["name"]
    before, after = new_labels(deployment, []), new_labels(deployment, template_patch(deployment, wish))
    names = []
    for item in found:
        selector = item["spec"].get("selector") or {}
        if not selector or not selector.items() <= before.items():
            continue
        service = item["metadata"]["name"]
        if not selector.items() <= after.items():
            raise Failure(
                f"Service {service} leads to version {selector.get('version', before.get('version'))} of {name} only, "
                f"and would lead nowhere after a rolling update; use bluegreen, or take version out of its selector."
            )
        names.append(service)
    return sorted(names, key=lambda service: (service != name, service))


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


# -- what a run is asked for, and what it finds ------------------------------------------------------------------------

TEXTS = ("image", "container", "max_surge", "max_unavailable", "change_cause", "pause_at")

#: What a rolling update is asked for, as an argument spec.
REQUEST: dict[str, t.Any] = {
    "version": {"type": "raw", "default": ""},
    **{name: {"type": "str", "default": ""} for name in TEXTS},
    "resume": {"type": "str", "choices": ["auto", "next_run", "never"], "default": "auto"},
    "timeout": {"type": "int", "default": 600},
    "settle": {"type": "int", "default": 30},
}
#: What a rollback is asked for.
ROLLBACK_REQUEST: dict[str, t.Any] = {
    "revision": {"type": "int", "default": 0},
    "container": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
    "settle": {"type": "int", "default": 30},
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

    def running(self, container: str) -> list[str]:
        """The versions that its ready pods have."""
        return sorted(set(versions(self, container)))


def check_request(application: t.Any, applications: t.Any, request: t.Mapping[str, t.Any]) -> None:
    """Raise Failure for a request of a rolling update that cannot work, whatever the cluster has."""
    check_named(application, applications)
    version = request["version"]
    if not _description.is_version(version):
        raise Failure(
            f"rolling_update_version is {json.dumps(version, default=str)}; give the version to go to, a tag such as "
            '"2.0.0" (in quotes where it is YAML or JSON), with -e version=2.0.0.'
        )
    _plan.check_least("rolling_update", request, {"timeout": 1, "settle": 0})
    check(wish_of(request, application, applications))


def check_rollback(application: t.Any, applications: t.Any, request: t.Mapping[str, t.Any]) -> None:
    """Raise Failure for a request of a rollback that cannot work, whatever the cluster has."""
    check_named(application, applications)
    _plan.check_least("rolling_update", request, {"revision": 0, "timeout": 1, "settle": 0})


def check_named(application: t.Any, applications: t.Any) -> None:
    """Raise Failure where no Deployment is named, or the descriptions cannot be read."""
    if not isinstance(application, str) or not application:
        raise Failure(
            f"rolling_update_application is {json.dumps(application, default=str)}; give the name of the Deployment, "
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
    texts = {name: request[name] for name in TEXTS}
    return Wish(request["version"], **{**texts, "image": texts["image"] or described})


def version(template: Object, name: str, container: str) -> str:
    """The version of a template or a pod: its label, else the tag of the container that is rolled out."""
    labels = (template.get("metadata") or {}).get("labels") or {}
    if container and not any(labels.get(label) for label in VERSION_LABELS):
        for item in _all_containers(template):
            if item["name"] == container:
                return split_image(item.get("image", ""))[1]
    return _workloads.version_of(template, name)


def _all_containers(template: Object) -> list[Object]:
    spec = template.get("spec") or {}
    return [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]


def image_in(template: Object, container: str) -> str:
    """The image of a container of a template or a pod, empty where it has no such container."""
    return next((item.get("image", "") for item in _all_containers(template) if item["name"] == container), "")


def versions(found: Found, container: str) -> list[str]:
    """The version of each ready pod that is there to stay."""
    own = {revision.uid for revision in found.revisions}
    return [
        version(pod, found.name, container)
        for pod in found.pods
        if _workloads.owner(pod) in own and _workloads.is_ready(pod) and "deletionTimestamp" not in pod["metadata"]
    ]


def fingerprint(template: Object) -> str:
    """What tells one pod template from another; a template itself may hold what is not to be shown."""
    return hashlib.sha256(json.dumps(_workloads.bare(template), sort_keys=True).encode()).hexdigest()


def phase(deployment: Object, *, leaves: bool) -> str:
    """Where a run begins: update, going, paused or done; `leaves` says whether the template is another one."""
    if leaves:
        return "update"
    if _pause.is_ours(deployment) and deployment["spec"].get("paused"):
        return "paused"
    return "done" if _rollout.progress(deployment) is None else "going"


def way_back(found: Found, *, leaves: bool, asked: Revision | None = None) -> Revision | None:
    """The revision that served last, to go back to where the change fails; None where there is none.

    Its number says nothing of that: versions that never became complete may have come after it. It is the current one
    where that is complete and about to be left, else the one whose pods still serve, else the newest that is not known
    to have failed, which is a guess. It is never the one that is `asked` for.
    """
    known = found.revisions
    current = _workloads.current(known)
    if leaves and current and _rollout.progress(found.deployment) is None:
        return current
    others = [item for item in known if item.number and not item.current and (not asked or item.uid != asked.uid)]
    serving = _workloads.last_complete(others)
    guessed = [item for item in reversed(others) if not item.failed]
    return serving or next(iter(guessed), None)


def begin(found: Found, wish: Wish, request: t.Mapping[str, t.Any], image: str) -> _plan.Plan:
    """The plan of a rolling update; `image` is what the container has after the change."""
    name, deployment = found.name, found.deployment
    carrier = str(container(deployment, wish.container, wish.image)["name"])
    leaves = bool(template_patch(deployment, wish))
    begins = phase(deployment, leaves=leaves)
    back = way_back(found, leaves=leaves)
    paused_at = _workloads.annotations_of(deployment).get(_pause.PAUSED_AT, "")
    second = begins == "paused" and request["resume"] == "next_run" and paused_at == wish.pause_at
    pauses = bool(wish.pause_at) and begins != "done" and not second
    target = f"{wish.version} ({image})"
    return _planned(
        found,
        carrier,
        begins,
        back,
        services=services(deployment, wish, found.services),
        target=wish.version,
        headline=f"{name} {wish.version} runs in all {deployment['spec'].get('replicas', 1)} pods.",
        would=f"Deployment {name} {'has' if begins == 'done' else 'would go to'} version {target}.",
        facts={
            "kind": "update",
            "wish": asdict(wish),
            "image": image,
            "pause_at": wish.pause_at,
            "pauses": pauses,
            "stays": pauses and request["resume"] != "auto",
            "resume": request["resume"],
        },
    )


def begin_rollback(found: Found, request: t.Mapping[str, t.Any], namespace: str) -> _plan.Plan:
    """The plan of a rollback. Raises Failure where there is nothing to go back to."""
    name, deployment, known = found.name, found.deployment, found.revisions
    to = _workloads.earlier(known, request["revision"], f"Deployment {name} in namespace {namespace}")
    begins = phase(deployment, leaves=not to.current)
    back = way_back(found, leaves=not to.current, asked=to)
    carrier = request["container"] or _changed_container(deployment["spec"]["template"], to.template, name)
    images = ", ".join(_workloads.images(to.template))
    target = version(to.template, name, carrier)
    where = f"revision {to.number} ({images})"
    leading = [
        item["metadata"]["name"]
        for item in found.services
        if _workloads.selects((item.get("spec") or {}).get("selector"), _labels(to.template))
    ]
    return _planned(
        found,
        carrier,
        begins,
        back,
        services=sorted(leading, key=lambda service: (service != name, service)),
        target=target,
        headline=f"Deployment {name} {'already has' if begins == 'done' else 'goes back to'} {where}.",
        would=f"Deployment {name} {'already has' if begins == 'done' else 'would go back to'} {where}.",
        facts={
            "kind": "rollback",
            "revision": to.number,
            "image": image_in(to.template, carrier),
            "pauses": False,
            "stays": False,
            "history": _workloads.history(known),
        },
    )


def _planned(
    found: Found,
    carrier: str,
    begins: str,
    back: Revision | None,
    *,
    services: t.Sequence[str],
    target: str,
    headline: str,
    would: str,
    facts: t.Mapping[str, t.Any],
) -> _plan.Plan:
    """What the plans of both have in common; `carrier` is the container whose version is meant."""
    known = found.revisions
    newest = _workloads.current(known) if _rollout.progress(found.deployment) is None else None
    serving = newest or _workloads.last_complete(known) or back
    leading = [item for item in found.services if item["metadata"]["name"] in services]
    uneven = [_reachable.uneven(item, [], entry=entry) for item in leading for entry in (True, False)]
    running = found.running(carrier)
    to = {"revision": back.number, "version": version(back.template, found.name, carrier)} if back else {}
    return _plan.Plan(
        before=version(serving.template, found.name, carrier) if serving else None,
        target=target,
        changes=begins != "done",
        headline=headline,
        would=would,
        way_back=f"rollback.yml -e revision={back.number}" if back and begins != "done" else "",
        service=next(iter(services), ""),
        running=running,
        needs_entry=bool(running),
        facts={
            "phase": begins,
            "container": carrier,
            "template": fingerprint(found.deployment["spec"]["template"]),
            "services": list(services),
            "uneven": next(filter(None, uneven), ""),
            "way_back": to,
            **facts,
        },
    )


def _labels(template: Object) -> dict[str, str]:
    return (template.get("metadata") or {}).get("labels") or {}


def _changed_container(one: Object, other: Object, name: str) -> str:
    """The container whose version is another one in two templates: the main one, unless only another one differs."""
    main = main_container(other, name)
    images = {item["name"]: item.get("image", "") for item in _all_containers(other)}
    differing = [each for each, image in images.items() if image_in(one, each) != image]
    if main is not None and (main["name"] in differing or len(differing) != 1):
        return str(main["name"])
    if differing:
        return str(differing[0])
    return str(_all_containers(other)[0]["name"])


def changed_by_others(deployment: Object, plan: t.Mapping[str, t.Any]) -> str:
    """That a Deployment is not what this run made of it, in words, empty where it is: the field, and who wrote it."""
    template, carrier = deployment["spec"]["template"], plan["container"]
    kind = "containers"
    if carrier in [item["name"] for item in (template["spec"].get("initContainers") or [])]:
        kind = "initContainers"
    there = image_in(template, carrier)
    if there == plan["image"]:
        return ""
    path = f"spec.template.spec.{kind}[name={carrier}].image"
    return _managers.changed_by(deployment, path, plan["image"], there or None)
