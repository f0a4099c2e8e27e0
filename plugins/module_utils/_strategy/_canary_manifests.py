# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is written of a canary and of stable. Pure functions of plain objects."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import (
    BESIDE,
    HASH,
    PREVIOUS,
    TRACK,
    WEIGHT,
    Asked,
    Object,
    Seen,
    container_of,
    named,
    replicas_of,
    selected_keys,
    version_of,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _images, _workloads
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import annotations_of, pod_labels


@dataclass(frozen=True)
class Change:
    """What a Deployment is given; what is None stays as it is."""

    template: t.Optional[Object] = None
    replicas: t.Optional[int] = None
    annotations: t.Mapping[str, t.Optional[str]] = field(default_factory=dict)

    def patch(self, deployment: Object) -> list[Object]:
        """The JSON patch that makes it, empty where the Deployment has all of it."""
        patch = _workloads.annotated(deployment, self.annotations)
        if self.template is not None and plain(deployment["spec"]["template"]) != self.template:
            patch.append({"op": "replace", "path": "/spec/template", "value": self.template})
        if self.replicas is not None and replicas_of(deployment) != self.replicas:
            patch.append({"op": "add", "path": "/spec/replicas", "value": self.replicas})
        return patch


def made(seen: Seen, asked: Asked) -> Object:
    """The canary as it is, or as it is to be: a Deployment without its replicas and what its annotations remember."""
    stable, version = seen.stable, asked.version
    if seen.canary is not None:
        return seen.canary
    name = stable["metadata"]["name"]
    template = plain(asked.template or stable["spec"]["template"])
    if not asked.template:
        container = container_of(stable, asked.container)
        image = _images.with_tag(container["image"], version)
        template["spec"] = dict(template["spec"], containers=_with_image(template, container["name"], image))
    matched = stable["spec"]["selector"].get("matchLabels") or {}
    own = {key: value for key, value in matched.items() if key not in ("track", "version")} | {"track": TRACK}
    labels = pod_labels(stable) | (template["metadata"].get("labels") or {}) | own | {"version": version}
    template["metadata"] = dict(template["metadata"], labels=labels)
    kept = {
        key: value for key, value in stable["spec"].items() if key in ("minReadySeconds", "progressDeadlineSeconds")
    }
    cause = f"canary {version} beside {version_of(stable, asked.container)}"
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": named(name),
            "labels": (stable["metadata"].get("labels") or {}) | own,
            "annotations": {_workloads.CHANGE_CAUSE: cause},
        },
        "spec": {**kept, "selector": {"matchLabels": own}, "template": template},
    }


def definition(new: Object, step: Object, copies: int) -> Object:
    """The manifest of a canary that is created at a step, beside so many replicas of stable."""
    noted = {**annotations_of(new), **given(step, copies).annotations}
    metadata = dict(new["metadata"], annotations=noted)
    return dict(new, metadata=metadata, spec=dict(new["spec"], replicas=step["canary"]))


def given(step: Object, copies: int) -> Change:
    """What a canary is given at a step. One that exists keeps its template: what was verified is what is promoted."""
    return Change(replicas=step["canary"], annotations={WEIGHT: str(step["weight"]), BESIDE: str(copies)})


def promotion(seen: Seen, new: Object, copies: int, version: str, old: str) -> Change:
    """What has stable run the canary's version; nothing where it does already."""
    template = _promoted(seen, new)
    if plain(seen.stable["spec"]["template"]) == template:
        return Change(replicas=copies)
    cause = {_workloads.CHANGE_CAUSE: f"canary {version} promoted, before it {old}"}
    return Change(template, copies, cause if version == old else {**cause, PREVIOUS: old})


def _promoted(seen: Seen, new: Object) -> Object:
    """Stable's pod template once the canary is promoted: the canary's, with stable's own labels where they tell it."""
    template = plain(new["spec"]["template"])
    before, fixed = pod_labels(seen.stable), selected_keys(seen.stable)
    labels = {key: value for key, value in template["metadata"]["labels"].items() if key not in ("track", "version")}
    if "track" in before:
        labels["track"] = before["track"]
    if "version" in before:
        labels["version"] = before["version"] if "version" in fixed else pod_labels(new)["version"]
    template["metadata"] = dict(template["metadata"], labels=labels)
    return template


def restoration(seen: Seen, copies: int, promoted: bool, container: str) -> Change:
    """What gives stable its replicas back, and where it was `promoted` its version from before. Raises Failure."""
    if not promoted:
        return Change(replicas=copies)
    stable = seen.stable
    name, previous = stable["metadata"]["name"], annotations_of(stable).get(PREVIOUS, "")
    uid, now = stable["metadata"].get("uid"), plain(stable["spec"]["template"])
    owned = [item for item in seen.replica_sets if _workloads.owner(item) == uid]
    owned.sort(key=lambda item: int(annotations_of(item).get(_workloads.REVISION, 0)), reverse=True)
    for item in owned:
        template = plain(item["spec"]["template"])
        before = dict(stable, spec=dict(stable["spec"], template=template))
        if template != now and version_of(before, container) == previous:
            failed = _workloads.failed_with_current(_workloads.revisions(stable, seen.replica_sets))
            noted = {
                PREVIOUS: None,
                _workloads.CHANGE_CAUSE: annotations_of(item).get(_workloads.CHANGE_CAUSE),
                _workloads.FAILED: failed or None,
            }
            return Change(template, copies, noted)
    raise Failure(
        f"Deployment {name} has no ReplicaSet of {previous or 'the version before'} left to go back to; "
        f"give it that version again before the canary is aborted."
    )


def plain(template: Object) -> Object:
    """A pod template without what the API server and controllers add to it."""
    metadata = {key: value for key, value in (template.get("metadata") or {}).items() if key != "creationTimestamp"}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH}
    return dict(template, metadata=dict(metadata, labels=labels))


def _with_image(template: Object, name: str, image: str) -> list[Object]:
    return [dict(item, image=image) if item["name"] == name else item for item in template["spec"]["containers"]]
