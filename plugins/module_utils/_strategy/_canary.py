# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far a canary is and what is left to do. Pure functions of plain objects.

All that has to be remembered is in the cluster: the canary is a second Deployment, and its annotations
say which weight it was given, beside how many copies of stable it began, and which pause is over.
"""

from __future__ import annotations

import math
import re
import typing as t
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _weights
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _images, _reachable, _selectors, _subject
from ansible_collections.convoy.rollout.plugins.module_utils._workload._rollout import progress
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import (
    FAILED,
    REVISION,
    annotations_of,
    failed_with_current,
    owner,
    pod_labels,
    revisions,
    selects,
)

Object = t.Dict[str, t.Any]

WEIGHT = "convoy.rollout/weight"  #: of the canary: the weight in percent that it was last given
HELD = "convoy.rollout/held"  #: of the canary: the weight whose pause is over
BESIDE = "convoy.rollout/stable-replicas"  #: of the canary: how many copies stable had
PREVIOUS = "convoy.rollout/previous-version"  #: of stable: its version before a canary was promoted
CAUSE = "kubernetes.io/change-cause"
HASH = "pod-template-hash"
TRACK = "canary"  #: the value of the canary's label `track`

PAUSE = re.compile(r"^(?=.)(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?$")


@dataclass(frozen=True)
class Seen:
    """What a cluster has of an application."""

    stable: Object
    canary: t.Optional[Object]
    service: Object
    deployments: t.Sequence[Object] = ()  #: all of the namespace
    replica_sets: t.Sequence[Object] = ()
    pods: t.Sequence[Object] = ()
    slices: t.Sequence[Object] = ()  #: the Service's EndpointSlices
    scalers: t.Sequence[Object] = ()  #: the HorizontalPodAutoscalers of the namespace


@dataclass(frozen=True)
class Asked:
    """What a run is asked for."""

    version: str = ""
    steps: t.Sequence[Object] = ()  #: weight in percent and pause, such as 5m
    promote: bool = False
    abort: bool = False
    tolerance: float = 5.0  #: percentage points that a reachable share may be away from a weight
    container: str = ""
    template: t.Optional[Object] = None  #: the new version's pod template, by default stable's with its tag
    rule: _images.Rule = _images.PLAIN  #: how the version that answers comes from the tag


def seconds(pause: t.Any) -> int:
    """A pause such as 90, 30s, 5m or 1h30m in seconds. Raises Failure."""
    found = PAUSE.match(str(pause).strip())
    if not found:
        raise Failure(f"The pause {pause!r} is none; write seconds, or a time such as 30s, 5m or 1h30m.")
    hours, minutes, rest = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + rest


def weights(steps: t.Sequence[Object]) -> list[tuple[Fraction, int]]:
    """The weights (0..1) and pauses (seconds) of steps, which have to go up. Raises Failure."""
    found: list[tuple[Fraction, int]] = []
    for step in steps:
        try:
            weight = _weights.weight_of(step["weight"])
        except ValueError:
            raise Failure(f"The weight of a step is {step['weight']:g}; it must be above 0 and at most 100.") from None
        if found and weight <= found[-1][0]:
            before, after = _weights.percent(found[-1][0]), _weights.percent(weight)
            raise Failure(f"The steps go from {before} to {after}; each must be above the one before it.")
        found.append((weight, seconds(step.get("pause") or 0)))
    return found


def service_of(services: t.Sequence[Object], stable: Object, asked: str) -> Object:
    """The Service whose traffic is shared: the one asked for, else the one that leads to stable. Raises Failure."""
    namespace, name = stable["metadata"].get("namespace", "default"), stable["metadata"]["name"]
    if asked:
        for item in services:
            if item["metadata"]["name"] == asked:
                return item
        raise Failure(f"There is no Service {asked} in namespace {namespace}; create it, or name another.")
    leading = [item for item in services if selects(item["spec"].get("selector"), pod_labels(stable))]
    own = [item for item in leading if item["metadata"]["name"] == name]
    if len(own or leading) == 1:
        return (own or leading)[0]
    if not leading:
        raise Failure(
            f"There is no Service that leads to Deployment {name} in namespace {namespace}, "
            f"so there is no traffic to share; create one that selects its pods."
        )
    names = ", ".join(sorted(item["metadata"]["name"] for item in leading))
    raise Failure(f"Several Services lead to Deployment {name} ({names}); name the one whose traffic is shared.")


def plan(seen: Seen, asked: Asked) -> dict[str, t.Any]:
    """What is found, and what is left to do. Raises Failure where that cannot be done."""
    stable, canary = seen.stable, seen.canary
    name = stable["metadata"]["name"]
    if asked.promote and asked.abort:
        raise Failure("Promote the canary or abort it, not both.")
    wanted = weights(asked.steps)
    if canary is not None:
        _own(seen, canary)
        running = version_of(canary, asked)
        if asked.version and running not in (asked.version, asked.rule.answer(asked.version)):
            raise Failure(
                f"A canary of {name} {running} runs already (Deployment {canary['metadata']['name']}), so "
                f"{asked.version} cannot start; promote the canary or abort it first."
            )
    old = version_of(stable, asked)
    version = version_of(canary, asked) if canary else asked.rule.answer(asked.version)
    phase = "stable" if canary is None else "promoting" if version == old else "canary"
    new = None if canary is None and (version in ("", old) or asked.abort) else _made(seen, asked)
    copies = _copies(seen, asked, phase)
    if new is not None and not asked.abort and not copies:
        raise Failure(f"Deployment {name} has no copies for a canary to stand beside; scale it up first.")
    steps = [] if new is None or asked.abort or phase == "promoting" else _steps(seen, asked, wanted, copies)
    promote = new is not None and not asked.abort and (asked.promote or phase == "promoting")
    if steps or promote:
        _refuse(seen, new, steps, copies, promote)
    if asked.promote and not version and PREVIOUS not in annotations_of(stable):
        raise Failure(f"There is no canary of {name} to promote; start one with a version.")
    ready = endpoints(seen)
    target = _promoted(seen, new) if new is not None else None
    scaler = _scaler(seen)
    return {
        "phase": phase,
        "service": seen.service["metadata"]["name"],
        "affinity": seen.service["spec"].get("sessionAffinity") == "ClientIP",
        "scaler": scaler.name if scaler else "",
        "stable": {
            "deployment": name,
            "version": old,
            "replicas": _replicas(stable),
            "copies": copies,
            "complete": progress(stable) is None,
        },
        "canary": {
            "deployment": f"{name}-canary",
            "exists": canary is not None,
            "version": version if new is not None else "",
            "replicas": _replicas(canary) if canary else 0,
            "complete": canary is not None and progress(canary) is None,
            "weight": _said(_number(canary, WEIGHT)),
        },
        "ready": ready["ready"],
        "settled": ready["settled"],
        "shares": _shares(ready["ready"], old, version),
        "steps": steps,
        "promote": promote,
        "abort": asked.abort and canary is not None,
        "needed": _needed(seen, steps, copies, promote),
        "template": new["spec"]["template"] if new is not None else {},
        "definition": _definition(seen, new, copies),
        "promotion": _promotion(seen, target, copies, version, old) if promote else {},
        "restoration": _restoration(seen, copies, phase, asked) if asked.abort and canary is not None else {},
        "message": _message(seen, phase, version, old, ready["ready"]),
    }


def version_of(deployment: Object, asked: Asked) -> str:
    """The version that a Deployment's pods answer. Raises Failure where no container is known to carry it."""
    template, name = deployment["spec"]["template"], _images.application_of(deployment["metadata"]["name"])
    found = _images.version_of(template, name, asked.container, rule=asked.rule)
    if not found:
        _container(deployment, asked)
    return found


def _container(deployment: Object, asked: Asked) -> Object:
    """The container that carries the version. Raises Failure."""
    return _images.container_of(deployment, asked.container)


def endpoints(seen: Seen) -> dict[str, t.Any]:
    """How many ready endpoints of the Service are whose, and whether they are all that are wanted and no more."""
    pods = {pod["metadata"]["name"]: pod for pod in seen.pods}
    ready: Counter[str] = Counter()
    for name in _reachable.ready(seen.slices):
        labels = (pods[name]["metadata"].get("labels") or {}) if name in pods else None
        ready["gone" if labels is None else "canary" if labels.get("track") == TRACK else "stable"] += 1
    wanted = Counter({"stable": _replicas(seen.stable), "canary": _replicas(seen.canary) if seen.canary else 0})
    return {"ready": {"stable": ready["stable"], "canary": ready["canary"]}, "settled": +ready == +wanted}


def _shares(ready: t.Mapping[str, int], old: str, version: str) -> dict[str, float]:
    """The share (0..1) of the traffic that each version is to get from these ready endpoints."""
    total = sum(ready.values())
    counts = Counter({old: ready["stable"]}) + Counter({version: ready["canary"]})
    return {each: count / total for each, count in counts.items()}


def _steps(seen: Seen, asked: Asked, wanted: t.Sequence[tuple[Fraction, int]], copies: int) -> list[dict[str, t.Any]]:
    """The steps that are left, from the weight that the canary has on. Raises Failure."""
    reached, held = _number(seen.canary, WEIGHT), _number(seen.canary, HELD)
    left = [(weight, pause) for weight, pause in wanted if weight >= reached]
    if not left and reached and asked.promote:
        left = [(reached, 0)]
    if not left and wanted:
        has, last = _weights.percent(reached), _weights.percent(wanted[-1][0])
        raise Failure(
            f"The canary of {seen.stable['metadata']['name']} has {has} already, so it cannot go down to {last}; "
            f"go on with a weight of at least {has}, promote it or abort it."
        )
    steps = []
    for weight, pause in left:
        split = _weights.nearest(weight, copies)
        if abs(split.share - weight) * 100 > Fraction(str(asked.tolerance)):
            raise Failure(
                f"{_weights.missed(weight, split, copies)}. Scale {seen.stable['metadata']['name']}, ask for "
                f"{_weights.percent(split.share)}, or accept it by a tolerance of "
                f"{math.ceil(abs(split.share - weight) * 100)}."
            )
        steps.append(
            {
                "weight": _said(weight),
                "pause": 0 if weight == held else pause,
                "canary": split.canary,
                "stable": split.stable,
                "share": float(split.share),
                "message": f"asked {_weights.percent(weight)}: {split}",
            }
        )
    return steps


def _copies(seen: Seen, asked: Asked, phase: str) -> int:
    """How many copies stable has when no canary takes its place. Raises Failure where somebody scaled it meanwhile."""
    now = _replicas(seen.stable)
    weight, beside = _number(seen.canary, WEIGHT), int(_number(seen.canary, BESIDE) * 100)
    if weight <= _weights.HALF or (now and _scaler(seen)):
        return now  # stable is whole; whoever scaled it changed what the weights mean
    if asked.abort or phase == "promoting":
        return max(beside, now)
    least = _weights.nearest(weight, beside).stable
    if not least <= now <= beside:
        name = seen.stable["metadata"]["name"]
        raise Failure(
            f"Deployment {name} has {now} copies, but beside its canary it should have {least}: somebody scaled it "
            f"meanwhile; scale it to {least}, or abort the canary."
        )
    return beside


def _refuse(seen: Seen, new: Object | None, steps: t.Sequence[Object], copies: int, promote: bool) -> None:
    """Raise Failure where a canary would not get its share, or stable would lose its own."""
    stable, service = seen.stable, seen.service
    name, behind = stable["metadata"]["name"], service["metadata"]["name"]
    selector = service["spec"].get("selector") or {}
    if not selector:
        raise Failure(f"Service {behind} has no selector, so no Deployment can take its traffic.")
    if not selects(selector, pod_labels(stable)):
        raise Failure(f"Service {behind} does not lead to Deployment {name}; name the Service that does.")
    if "version" in selector:
        raise Failure(
            f"Service {behind} is pinned to version {selector['version']}, as by a blue/green rollout, so a canary "
            f"would get no traffic; take version out of its selector first."
        )
    if pod_labels(stable).get("track") == TRACK:
        raise Failure(f"The pods of Deployment {name} have the label track=canary themselves; it is no stable one.")
    labels = pod_labels(new) if new is not None else {}
    if not selects(selector, labels):
        missing = ", ".join(f"{key}={value}" for key, value in selector.items() if labels.get(key) != value)
        raise Failure(
            f"Service {behind} selects {missing}, which a canary's pods do not have, so it would get no traffic; "
            f"take that out of the Service's selector."
        )
    for other in seen.deployments:
        if other["metadata"]["name"] in (name, f"{name}-canary") or not _replicas(other):
            continue
        if selects(selector, pod_labels(other)):
            raise Failure(
                f"Deployment {other['metadata']['name']} is behind Service {behind} too, so a canary's share could "
                f"not be told; scale it to 0 first."
            )
    if stable["spec"].get("paused"):
        raise Failure(f"Deployment {name} is paused; resume it first: kubectl rollout resume deployment/{name}.")
    if seen.canary is None and progress(stable) is not None:
        raise Failure(f"The rollout of Deployment {name} is not complete ({progress(stable)}); wait for it first.")
    scaler = _scaler(seen)
    if scaler:
        said = f"HorizontalPodAutoscaler {scaler.name} owns the copies of Deployment {name}"
        # An autoscaler counts by the Deployment's selector alone, other than ReplicaSets, which have a hash besides.
        if _selectors.matches(stable["spec"]["selector"], labels):
            raise Failure(
                f"{said}, whose selector also picks a canary's pods, so it would count them as its own; give the "
                f"Deployment a selector with a label such as track=stable, or remove the autoscaler for the canary."
            )
        if any(step["stable"] != copies for step in steps):
            raise Failure(f"{said}, so a canary can take 50% at most; ask for less, or promote it.")
    last = steps[-1]["canary"] if steps else copies
    if promote and (stable["spec"].get("strategy") or {}).get("type") == "Recreate" and last < copies:
        raise Failure(
            f"Deployment {name} has the strategy Recreate, which ends all of its copies before new ones start: "
            f"bring the canary to at least 50% before it is promoted."
        )


def _own(seen: Seen, canary: Object) -> None:
    """Raise Failure where a Deployment of the canary's name is something else."""
    selector = seen.service["spec"].get("selector") or {}
    kept = {key: value for key, value in selector.items() if key not in ("version", "color")}
    if pod_labels(canary).get("track") != TRACK or not selects(kept, pod_labels(canary)):
        name, service = canary["metadata"]["name"], seen.service["metadata"]["name"]
        raise Failure(
            f"Deployment {name} is not a canary of {seen.stable['metadata']['name']}: its pods need the label "
            f"track=canary and must be behind Service {service}; rename or delete it."
        )


def _made(seen: Seen, asked: Asked) -> Object:
    """The canary as it is, or as it is to be."""
    stable = seen.stable
    if seen.canary is not None:
        return seen.canary
    name, version = stable["metadata"]["name"], asked.version
    template = _plain(asked.template or stable["spec"]["template"])
    if not asked.template:
        container = _container(stable, asked)
        image = _images.with_tag(container["image"], version)
        template["spec"] = _with_image(template["spec"], container["image"], image)
    own, selector = _selecting(stable)
    labels = pod_labels(stable) | (template["metadata"].get("labels") or {}) | own
    template["metadata"] = dict(template["metadata"], labels=labels | _version_label(stable, asked))
    kept = {
        key: value for key, value in stable["spec"].items() if key in ("minReadySeconds", "progressDeadlineSeconds")
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": f"{name}-canary",
            "labels": (stable["metadata"].get("labels") or {}) | own,
            "annotations": {CAUSE: f"canary {version} beside {version_of(stable, asked)}"},
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


def _definition(seen: Seen, new: Object | None, copies: int) -> Object:
    """What is written of the canary at every step, beside its copies and its weight.

    A canary that exists keeps its template: what was verified is what is promoted.
    """
    if new is None:
        return {}
    name = f"{seen.stable['metadata']['name']}-canary"
    head: Object = {"apiVersion": "apps/v1", "kind": "Deployment"}
    body: Object = {"metadata": {"name": name}, "spec": {}} if seen.canary is not None else new
    annotations = dict(body["metadata"].get("annotations") or {}, **{BESIDE: str(copies)})
    return {**head, "metadata": dict(body["metadata"], annotations=annotations), "spec": body["spec"]}


def _promoted(seen: Seen, new: Object) -> Object:
    """Stable's pod template once the canary is promoted: the canary's, with stable's own labels where they tell it."""
    template = _plain(new["spec"]["template"])
    before, fixed = pod_labels(seen.stable), _selectors.keys(seen.stable["spec"]["selector"])
    labels = {key: value for key, value in template["metadata"]["labels"].items() if key not in ("track", "version")}
    if "track" in before:
        labels["track"] = before["track"]
    if "version" in before:
        labels["version"] = before["version"] if "version" in fixed else pod_labels(new)["version"]
    template["metadata"] = dict(template["metadata"], labels=labels)
    return template


def _promotion(seen: Seen, target: Object | None, copies: int, version: str, old: str) -> Object:
    """The merge patch that has stable run the canary's version, empty where it does already."""
    spec: Object = {}
    change = merge_patch(_plain(seen.stable["spec"]["template"]), target)
    if change:
        spec["template"] = change
    if _replicas(seen.stable) != copies:
        spec["replicas"] = copies
    if not change:
        return {"spec": spec} if spec else {}
    cause = f"canary {version} promoted, before it {old}"
    annotations = {CAUSE: cause} if version == old else {CAUSE: cause, PREVIOUS: old}
    return {"metadata": {"annotations": annotations}, "spec": spec}


def _restoration(seen: Seen, copies: int, phase: str, asked: Asked) -> Object:
    """The merge patch that gives stable its copies, and its version from before a promotion, back."""
    stable = seen.stable
    patch: Object = {}
    if _replicas(stable) != copies:
        patch["spec"] = {"replicas": copies}
    if phase != "promoting":
        return patch
    name, previous = stable["metadata"]["name"], annotations_of(stable).get(PREVIOUS, "")
    owned = [item for item in seen.replica_sets if owner(item) == stable["metadata"].get("uid")]
    owned.sort(key=lambda item: int(annotations_of(item).get(REVISION, 0)), reverse=True)
    for item in owned:
        template = _plain(item["spec"]["template"])
        change = merge_patch(_plain(stable["spec"]["template"]), template)
        if change and version_of(dict(stable, spec=dict(stable["spec"], template=template)), asked) == previous:
            cause = annotations_of(item).get(CAUSE)
            failed = failed_with_current(revisions(stable, seen.replica_sets))
            patch["metadata"] = {"annotations": {PREVIOUS: None, CAUSE: cause, FAILED: failed or None}}
            patch.setdefault("spec", {})["template"] = change
            return patch
    raise Failure(
        f"Deployment {name} has no ReplicaSet of {previous or 'the version before'} left to go back to; "
        f"give it that version again before the canary is aborted."
    )


def _needed(seen: Seen, steps: t.Sequence[Object], copies: int, promote: bool) -> int:
    """How many more pods there are to be at most at one time."""
    at_most = max([step["canary"] for step in steps], default=_replicas(seen.canary) if seen.canary else 0)
    ready = endpoints(seen)["ready"]
    if not promote:
        return max(0, at_most - ready["canary"])
    return max(0, at_most + copies + _surge(seen.stable, copies) - sum(ready.values()))


def _surge(deployment: Object, copies: int) -> int:
    """How many pods a rolling update may have beyond the copies."""
    strategy = deployment["spec"].get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0
    surge = str((strategy.get("rollingUpdate") or {}).get("maxSurge", "25%"))
    return math.ceil(copies * int(surge[:-1]) / 100) if surge.endswith("%") else int(surge)


def merge_patch(before: t.Any, after: t.Any) -> t.Any:
    """The JSON merge patch (RFC 7396) that makes `after` of `before`, both objects; empty where they are alike."""
    patch: Object = {key: None for key in before if key not in after}
    for key, value in after.items():
        if isinstance(value, dict) and isinstance(before.get(key), dict):
            inner = merge_patch(before[key], value)
            if inner:
                patch[key] = inner
        elif key not in before or before[key] != value:
            patch[key] = value
    return patch


def _message(seen: Seen, phase: str, version: str, old: str, ready: t.Mapping[str, int]) -> str:
    name = seen.stable["metadata"]["name"]
    if seen.canary is None:
        return f"{name} {old} runs without a canary, {ready['stable']} pods are ready."
    if phase == "promoting":
        return f"{name} {version} is being promoted: stable has it, and its canary is still there."
    weight = _weights.percent(_number(seen.canary, WEIGHT))
    return (
        f"canary {version} beside {name} {old}, asked {weight}: {ready['canary']} of {sum(ready.values())} "
        f"ready pods are the canary's."
    )


def _with_image(pod_spec: Object, old: str, new: str) -> Object:
    """A pod's specification in which every container that has an image has another one."""
    changed = dict(pod_spec)
    for kind in ("containers", "initContainers"):
        if pod_spec.get(kind):
            changed[kind] = [dict(item, image=new) if item["image"] == old else item for item in pod_spec[kind]]
    return changed


def _plain(template: Object) -> Object:
    """A pod template without what the API server and controllers add to it."""
    metadata = {key: value for key, value in (template.get("metadata") or {}).items() if key != "creationTimestamp"}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH}
    return dict(template, metadata=dict(metadata, labels=labels))


def _scaler(seen: Seen) -> _subject.Autoscaler | None:
    """The autoscaler that owns stable's copies."""
    return _subject.autoscaler(seen.stable["metadata"]["name"], seen.scalers)


def _number(item: Object | None, annotation: str) -> Fraction:
    """The hundredth of the number in an annotation, 0 where there is none: it is as if no run had come that far."""
    try:
        return Fraction(annotations_of(item).get(annotation, "0") if item is not None else "0") / 100
    except ValueError:
        return Fraction(0)


def _said(weight: Fraction) -> float:
    """A weight (0..1) in percent, whole where it is."""
    number = weight * 100
    return int(number) if number.denominator == 1 else float(number)


def _replicas(deployment: Object) -> int:
    return int(deployment["spec"].get("replicas", 1))
