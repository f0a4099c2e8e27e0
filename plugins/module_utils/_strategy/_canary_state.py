# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a cluster has of an application and its canary, and what a run is asked for. Pure functions of plain objects.

All that has to be remembered is in the cluster: the canary is a second Deployment, and its annotations
say which weight it was given, beside how many replicas of stable it began, and which pause is over.
"""

from __future__ import annotations

import contextlib
import json
import typing as t
from dataclasses import dataclass
from fractions import Fraction

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _weights
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._router import Router
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._split import Split
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _images, _subject
from ansible_collections.convoy.rollout.plugins.module_utils._workload._rollout import is_mixed
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import (
    annotations_of,
    pod_labels,
    selects,
)

Object = t.Dict[str, t.Any]

WEIGHT = "convoy.rollout/weight"  #: of the canary: the weight in percent that it was last given
WATCHED = "convoy.rollout/watched"  #: of the canary: the weight whose pause is over
BESIDE = "convoy.rollout/stable-replicas"  #: of the canary: how many replicas stable had
ALONE = "convoy.rollout/requests-before"  #: of the canary: how many requests were made before it, and lost
PREVIOUS = "convoy.rollout/previous-version"  #: of stable: its version before a canary was promoted


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
    router: t.Optional[Router] = None  #: what shares the traffic out by weights; None where the Service does by pods
    route: t.Optional[Object] = None  #: its object
    own: t.Optional[Object] = None  #: the canary's own object beside that, of a router that has its weight there
    behind: t.Optional[Object] = None  #: the canary's own Service, where there is a router and it was created
    canary_slices: t.Sequence[Object] = ()  #: the EndpointSlices of that
    may_not: t.Sequence[str] = ()  #: what this user would have to be allowed to for a router to be found

    @property
    def services(self) -> tuple[str, str]:
        """The names of stable's Service and of the canary's own one."""
        return self.service["metadata"]["name"], named(self.stable["metadata"]["name"])

    def share(self) -> Fraction | None:
        """The canary's share (0..1) by the router's weights; None where its rules do not agree."""
        return self.split().share()

    def split(self) -> Split:
        """How the router shares the traffic out, of who has one."""
        if self.router is None or self.route is None:
            raise Failure("No router is known.")
        return Split(self.router, self.route, self.services, self.own)


@dataclass(frozen=True)
class Asked:
    """What a run is asked for."""

    version: str = ""
    steps: t.Sequence[Object] = ()  #: weight in percent and pause, such as 5m
    promote: bool = False
    abort: bool = False
    tolerance: float = 5.0  #: percentage points that a reachable share may be away from a weight
    container: str = ""
    image: str = ""  #: the repository of the new image, by default the container's own
    template: t.Optional[Object] = None  #: the new version's pod template, by default stable's with its tag
    rule: _images.Rule = _images.PLAIN  #: how the version that answers comes from the tag
    router: t.Optional[Router] = None  #: what shares the traffic out by weights, where it is said
    finds: bool = False  #: whether it is to be found instead
    templated: bool = False  #: the new version's pod template is yet to be made, by a template of the role


def named(application: str) -> str:
    """The name of an application's canary."""
    return f"{application}-canary"


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


def version_of(deployment: Object, asked: Asked) -> str:
    """The version that a Deployment's pods answer. Raises Failure where no container is known to carry it."""
    template, name = deployment["spec"]["template"], _images.application_of(deployment["metadata"]["name"])
    found = _images.version_of(template, name, asked.container, rule=asked.rule)
    if not found:
        _images.container_of(deployment, asked.container)
    return found


def image_of(deployment: Object, asked: Asked) -> str:
    """The image of the container that carries a Deployment's version, empty where none is known to."""
    name = _images.application_of(deployment["metadata"]["name"])
    found = _images.container(deployment["spec"]["template"], name, asked.container)
    return str(found.get("image", "")) if found else ""


def tag_of(deployment: Object, asked: Asked) -> str:
    """What is given as version to have what a Deployment has: its image's tag."""
    image = image_of(deployment, asked)
    return _images.parse(image).version if image else version_of(deployment, asked)


def running(canary: Object, asked: Asked) -> str:
    """The version that a canary is to answer: the one that is asked for, where it was made for that.

    Where somebody gave it another image since, its label still says so, and what answers is seen by its requests.
    """
    wanted = asked.rule.answer(asked.version)
    made_for = asked.version and pod_labels(canary).get("version") in (asked.version, wanted)
    return wanted if made_for else version_of(canary, asked)


def users_get(seen: Seen, asked: Asked) -> str | None:
    """The version that users get: stable's, of which a canary may take a part, unless stable has no replicas.

    None where nobody can tell, as of a stable one that is in the middle of another rollout.
    """
    if seen.canary is None and is_mixed(seen.stable):
        return None
    serving = seen.stable if replicas_of(seen.stable) or seen.canary is None else seen.canary
    try:
        return version_of(serving, asked)
    except Failure:
        return None


def scaler_of(seen: Seen) -> _subject.Autoscaler | None:
    """The autoscaler that owns stable's replicas."""
    return _subject.autoscaler(seen.stable["metadata"]["name"], seen.scalers)


def alone(seen: Seen) -> dict[str, t.Any] | None:
    """The requests that were made, and lost, when stable had all of the traffic; None where it has it now.

    A canary remembers them. Where nothing does, as where one was cut off that is deleted by now, it is nothing that is
    known: what is lost by now may be lost by the canary, or by a backend that has no pods.
    """
    if seen.canary is None and seen.behind is None and seen.own is None:
        return None
    known: dict[str, t.Any] = {}
    with contextlib.suppress(KeyError, TypeError, ValueError):
        noted = json.loads(annotations_of(seen.canary or {"metadata": {}})[ALONE])
        errors = {str(error): int(count) for error, count in dict(noted["errors"]).items()}
        known = {"samples": int(noted["samples"]), "errors": errors}
    return known


def remembered(baseline: t.Mapping[str, t.Any] | None) -> dict[str, str]:
    """The annotation of a canary that is about to be created, by which `alone` knows what was lost before it."""
    known = {key: (baseline or {}).get(key) for key in ("samples", "errors")}
    return {ALONE: json.dumps(known, sort_keys=True)} if all(value is not None for value in known.values()) else {}


def number(item: Object | None, annotation: str) -> Fraction:
    """The hundredth of the number in an annotation, 0 where there is none: it is as if no run had come that far."""
    try:
        return Fraction(annotations_of(item).get(annotation, "0") if item is not None else "0") / 100
    except ValueError:
        return Fraction(0)


def in_percent(weight: Fraction) -> float:
    """A weight (0..1) in percent, whole where it is."""
    percent = weight * 100
    return int(percent) if percent.denominator == 1 else float(percent)


def replicas_of(deployment: Object | None) -> int:
    """How many replicas a Deployment is to have; none of one that is not there."""
    return int(deployment["spec"].get("replicas", 1)) if deployment is not None else 0


def is_shrunk(seen: Seen) -> bool:
    """Whether replicas of the canary are in the place of replicas of stable."""
    return seen.router is None and number(seen.canary, WEIGHT) > _weights.HALF
