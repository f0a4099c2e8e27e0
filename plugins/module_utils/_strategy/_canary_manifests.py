# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is written of a canary and of stable. Pure functions of plain objects."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import (
    BESIDE,
    PREVIOUS,
    WEIGHT,
    Asked,
    Object,
    Seen,
    named,
    remembered,
    replicas_of,
    version_of,
)
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._split import ROUTER
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _images, _managers, _selectors, _workloads
from ansible_collections.convoy.rollout.plugins.module_utils._workload._subject import TRACK
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import (
    annotations_of,
    bare,
    pod_labels,
)

SEPARATED = "convoy.rollout/separated"  #: of the canary's Service: stable's was given track in its selector for it


@dataclass(frozen=True)
class Change:
    """What a Deployment is given; what is None stays as it is."""

    template: t.Optional[Object] = None
    replicas: t.Optional[int] = None
    annotations: t.Mapping[str, t.Optional[str]] = field(default_factory=dict)

    def patch(self, deployment: Object) -> list[Object]:
        """The JSON patch that makes it, empty where the Deployment has all of it."""
        patch = _workloads.annotated(deployment, self.annotations)
        if self.template is not None and bare(deployment["spec"]["template"]) != self.template:
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
    template = bare(asked.template or stable["spec"]["template"])
    if not asked.template:
        image = _images.container_of(stable, asked.container, asked.image)["image"]
        new = _images.with_tag(image, version, asked.image, variable="canary_image")
        template["spec"] = _with_image(template["spec"], image, new)
    own, selector = _selecting(stable)
    labels = pod_labels(stable) | (template["metadata"].get("labels") or {}) | own
    template["metadata"] = dict(template["metadata"], labels=labels | _version_label(stable, asked))
    kept = {
        key: value for key, value in stable["spec"].items() if key in ("minReadySeconds", "progressDeadlineSeconds")
    }
    cause = f"canary {version} beside {version_of(stable, asked)}"
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": named(name),
            # Pods are found by their own labels; by these another tool would take it for its own, and prune it.
            "labels": _managers.of_nobody(stable["metadata"].get("labels") or {}) | own,
            "annotations": {_workloads.CHANGE_CAUSE: cause},
        },
        "spec": {**kept, "selector": selector, "template": template},
    }


def _selecting(stable: Object) -> tuple[dict[str, str], Object]:
    """The labels that only a canary's pods have together, and its selector: stable's, with track=canary."""
    said = stable["spec"]["selector"]
    matched = said.get("matchLabels") or {}
    own = {key: value for key, value in matched.items() if key not in ("track", "version")} | {"track": TRACK}
    rules = [rule for rule in said.get("matchExpressions") or [] if rule["key"] not in ("track", "version")]
    return own, {"matchLabels": own, **({"matchExpressions": rules} if rules else {})}


def _version_label(stable: Object, asked: Asked) -> dict[str, str]:
    """The label `version` of a canary's pods: the new one, unless stable's says something else than its own version."""
    there = pod_labels(stable).get("version")
    found = _images.container(stable["spec"]["template"], stable["metadata"]["name"], asked.container)
    image = _images.parse(found.get("image", "")) if found else None
    if there and image and not _images.says(there, image, asked.rule):
        return {"version": there}
    if there and image and there != image.version:
        return {"version": asked.rule.answer(asked.version)}
    return {"version": asked.version}


def definition(new: Object, step: Object, whole: int, baseline: t.Mapping[str, t.Any] | None = None) -> Object:
    """The manifest of a canary that is created at a step, beside so many replicas of stable.

    `baseline` is what users got before it.
    """
    noted = {**annotations_of(new), **given(step, whole).annotations, **remembered(baseline)}
    metadata = dict(new["metadata"], annotations=noted)
    return dict(new, metadata=metadata, spec=dict(new["spec"], replicas=step["canary"]))


def given(step: Object, whole: int) -> Change:
    """What a canary is given at a step. One that exists keeps its template: what was verified is what is promoted."""
    router = {ROUTER: step["router"]} if step.get("router") else {}
    return Change(replicas=step["canary"], annotations={WEIGHT: str(step["weight"]), BESIDE: str(whole), **router})


def service(seen: Seen, new: Object) -> Object:
    """The manifest of the Service that a router leads the canary's share to: the ports of stable's, the canary's pods.

    Its annotations remember what is to be as before once it goes.
    """
    made = seen.split().service(seen.service, new["spec"]["selector"]["matchLabels"], {"track": TRACK})
    if separation(seen, new):
        made["metadata"]["annotations"][SEPARATED] = "true"
    return made


def separation(seen: Seen, new: Object) -> dict[str, str]:
    """What stable's Service has to select besides, so that it picks none of the canary's pods; often nothing.

    Raises Failure where the labels of stable's pods do not allow it.
    """
    selector = seen.service["spec"].get("selector") or {}
    if not _selectors.selects(selector, pod_labels(new)):
        return {}
    track = pod_labels(seen.stable).get("track")
    if track and track != TRACK:
        return {"track": track}
    name = seen.stable["metadata"]["name"]
    picked = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    raise Failure(
        f"Service {seen.services[0]} selects {picked}, which the canary's pods have too, so it would give them a "
        f"part of stable's share; give the pods of Deployment {name} a label track=stable, which the Service can "
        "select, and run the playbook again."
    )


def promotion(seen: Seen, new: Object, whole: int, version: str, old: str) -> Change:
    """What has stable run the canary's version; nothing where it does already."""
    template = _promoted(seen, new)
    if bare(seen.stable["spec"]["template"]) == template:
        return Change(replicas=whole)
    cause = {_workloads.CHANGE_CAUSE: f"canary {version} promoted, before it {old}"}
    return Change(template, whole, cause if version == old else {**cause, PREVIOUS: old})


def _promoted(seen: Seen, new: Object) -> Object:
    """Stable's pod template once the canary is promoted: the canary's, with stable's own labels where they tell it."""
    template = bare(new["spec"]["template"])
    before, fixed = pod_labels(seen.stable), _selectors.keys(seen.stable["spec"]["selector"])
    labels = {key: value for key, value in template["metadata"]["labels"].items() if key not in ("track", "version")}
    if "track" in before:
        labels["track"] = before["track"]
    if "version" in before:
        labels["version"] = before["version"] if "version" in fixed else pod_labels(new)["version"]
    template["metadata"] = dict(template["metadata"], labels=labels)
    return template


def restoration(seen: Seen, whole: int, promoted: bool, asked: Asked) -> Change:
    """What restores stable's replicas, and where it was `promoted` its version from before. Raises Failure."""
    if not promoted:
        return Change(replicas=whole)
    stable = seen.stable
    name, previous = stable["metadata"]["name"], annotations_of(stable).get(PREVIOUS, "")
    uid, now = stable["metadata"].get("uid"), bare(stable["spec"]["template"])
    owned = [item for item in seen.replica_sets if _workloads.owner(item) == uid]
    owned.sort(key=lambda item: int(annotations_of(item).get(_workloads.REVISION, 0)), reverse=True)
    for item in owned:
        template = bare(item["spec"]["template"])
        before = dict(stable, spec=dict(stable["spec"], template=template))
        if template != now and version_of(before, asked) == previous:
            failed = _workloads.failed_with_current(_workloads.revisions(stable, seen.replica_sets))
            noted = {
                PREVIOUS: None,
                _workloads.CHANGE_CAUSE: annotations_of(item).get(_workloads.CHANGE_CAUSE),
                _workloads.FAILED: failed or None,
            }
            return Change(template, whole, noted)
    raise Failure(
        f"Deployment {name} has no ReplicaSet of {previous or 'the version before'} left to go back to; update it to "
        "that version before the canary is aborted."
    )


def _with_image(pod_spec: Object, old: str, new: str) -> Object:
    """A pod's specification in which every container that has an image has another one."""
    changed = dict(pod_spec)
    for kind in ("containers", "initContainers"):
        if pod_spec.get(kind):
            changed[kind] = [dict(item, image=new) if item["image"] == old else item for item in pod_spec[kind]]
    return changed
