# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Giving a Deployment a new version of its image. Pure functions of plain objects."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _pause
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _images, _selectors
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import (
    CHANGE_CAUSE,
    Object,
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
    if wish.image and re.search(r"[:@][^/]*$", wish.image):
        raise Failure(f"image is {wish.image}; give it without a tag or a digest, version is the tag.")
    for name, said in (("max_surge", wish.max_surge), ("max_unavailable", wish.max_unavailable)):
        if said and not re.fullmatch(r"\d+%?", said):
            raise Failure(f"{name} is {said!r}; give a number of pods as 1, or a share of them as 25%.")
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
    new = _images.with_tag(old.reference, wish.version, wish.image)
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
            f"Deployment {name} has strategy {strategy}, which replaces all pods at once: it takes no surge, "
            f"unavailability or point to pause at; leave them out, or give it strategy RollingUpdate."
        )
    if wish.pause_at:
        _pause.point(wish.pause_at).due(deployment)
    selected = _selectors.unmet(spec["selector"], new_labels(deployment, template_patch(deployment, wish)))
    if selected:
        raise Failure(
            f"Deployment {name} selects its pods by {selected}, which Kubernetes lets nobody change; "
            f"go to another version with bluegreen or with a Deployment of another name."
        )


def services(deployment: Object, wish: Wish, found: t.Iterable[Object]) -> list[str]:
    """The names of the Services that lead to a Deployment. Raises Failure where one would not any more."""
    name = deployment["metadata"]["name"]
    before, after = new_labels(deployment, []), new_labels(deployment, template_patch(deployment, wish))
    names = []
    for item in found:
        selector = item["spec"].get("selector") or {}
        if not _selectors.selects(selector, before):
            continue
        service = item["metadata"]["name"]
        if not _selectors.selects(selector, after):
            raise Failure(
                f"Service {service} leads to version {selector.get('version', before.get('version'))} of {name} only, "
                f"and would lead nowhere after a rolling update; use bluegreen, or take version out of its selector."
            )
        names.append(service)
    return sorted(names, key=lambda service: (service != name, service))


def patch(deployment: Object, wish: Wish) -> list[Object]:
    """The JSON patch that starts the rolling update, and pauses it at once where it is to be held part way."""
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
