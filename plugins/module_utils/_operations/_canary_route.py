# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A canary's share by a router: its own Service, its weight, and taking both away again.

Up: its pods are ready, then its Service is a backend of weight 0, then it gets its weight. Down: weight 0, then its
pods go, then the backend, then the Service. A backend whose pods are not there costs its share of the requests.
"""

from __future__ import annotations

import time
import typing as t
from fractions import Fraction

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._operations._canary_work import Patch, Work
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import (
    _canary_manifests,
    _canary_standing,
    _weights,
)
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import Object, Seen, replicas_of
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _gateway_api, _testers
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _given, _place, _reachable
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import annotations_of

LOOK = 0.2  #: seconds between two looks at what others have to do
REFUSED = 15.0  #: seconds after which a refusal of a gateway stands; before, it may not have heard of a new Service


def prepare(work: Work, seen: Seen, new: Object) -> None:
    """Create the canary's Service, and have stable's pick none of its pods, before there are any. Raises Failure."""
    if seen.behind is None:
        manifest = _canary_manifests.service(seen, new)
        work.create(manifest, f"Service {seen.services[1]} is created for the pods of the canary")
    more = _canary_manifests.separation(seen, new)
    if more:
        said = " and ".join(f"{key}={value}" for key, value in more.items())
        _select(work, seen, {**seen.service["spec"]["selector"], **more}, f"selects {said} too")


def _select(work: Work, seen: Seen, selector: t.Mapping[str, str], said: str) -> None:
    place = Place("Service", work.options["namespace"], seen.services[0])
    work.patched(
        place,
        seen.service,
        lambda service: (
            []
            if service["spec"].get("selector") == selector
            else [{"op": "replace", "path": "/spec/selector", "value": dict(selector)}]
        ),
        lambda service: {_given.SELECTOR: service["spec"]["selector"]},
        f"Service {place.name} {said}",
    )


def weigh(work: Work, weight: Fraction, headers: t.Mapping[str, str]) -> None:
    """Give the canary a share of the traffic, once its pods are ready and every gateway knows them. Raises Failure.

    It gets requests with `headers` besides; of an earlier step's others it gets no more.
    """
    if work.task.check_mode:
        _weighted(work, weight)
        return
    _until(work, lambda seen: _canary_standing.endpoints(seen)["settled"], _canary_standing.unsettled)
    if not _is_backend(work.seen()):
        _weighted(work, Fraction(0))
        _accepted(work)
    _weighted(work, weight)
    _accepted(work)
    if _lead(work, headers):
        _accepted(work)


def leave(work: Work) -> bool:
    """Take the canary its share of the traffic, and say whether the route leads to it at all. Raises Failure."""
    if not _is_backend(work.seen()):
        return False
    _lead(work, {})
    _weighted(work, Fraction(0))
    if not work.task.check_mode:
        _accepted(work, whatever=True)
    return True


def remove(work: Work) -> None:
    """Take away the backend, the Service and what else was made for the canary, whose pods go first. Raises Failure."""
    seen = work.seen()
    if not work.task.check_mode:
        _until(work, lambda now: not _reachable.ready(now.canary_slices), _still_there)
        seen = work.seen()
    router, _route = seen.routed()
    if seen.own is not None:
        work.delete(seen.own, f"{router.kind.KIND} {seen.services[1]} is deleted", router.kind.KIND)
    elif _is_backend(seen):
        before = _canary_manifests.weights_before(seen.behind)
        _routed(
            work,
            seen,
            lambda now: router.kind.without(now, *seen.services, router.rules, before),
            f"leads to Service {seen.services[0]} only",
        )
        if not work.task.check_mode:
            _accepted(work, whatever=True)
    if seen.behind is None:
        return
    selector = dict(seen.service["spec"].get("selector") or {})
    if _canary_manifests.SEPARATED in annotations_of(seen.behind) and selector.pop("track", None) and selector:
        _select(work, seen, selector, "selects what it did before the canary")
    work.delete(seen.behind, f"Service {seen.services[1]} is deleted", "Service")


def _is_backend(seen: Seen) -> bool:
    """Whether the router leads to the canary's Service, with whatever weight."""
    router, weighing = seen.weighing()
    return router.kind.has(weighing, *seen.services, router.rules)


def _lead(work: Work, headers: t.Mapping[str, str]) -> bool:
    """Have requests with these headers, and no others, be led to the canary whatever its weight is, and say whether
    that changed the route. Raises Failure."""
    seen = work.seen()
    router, route = seen.routed()
    if router.kind is not _gateway_api.ROUTER:
        return False

    def patch(now: Object) -> list[Object]:
        return _testers.led(now, *seen.services, router.rules, headers)

    if not patch(route):
        return False
    whose = f"requests with {_testers.said(headers)}" if headers else "no requests by their headers any more"
    _routed(work, seen, patch, f"leads {whose} to Service {seen.services[1]}")
    return True


def _weighted(work: Work, weight: Fraction) -> None:
    """Give the canary's Service a weight, and make it a backend where it is none. Raises Failure."""
    seen = work.seen()
    router, weighing = seen.weighing()
    said = f"gives Service {seen.services[1]} {_weights.percent(weight)} of the traffic"
    if weighing:
        _routed(work, seen, lambda now: _weighing(seen, now, weight), said)
    else:
        work.create(_canary_manifests.own(seen, weight), f"{router.kind.KIND} {seen.services[1]} is created and {said}")


def _weighing(seen: Seen, now: Object, weight: Fraction) -> list[Object]:
    router, _route = seen.routed()
    patch = router.kind.weighted(now, *seen.services, router.rules, weight)
    if router.kind.OWN and now["spec"].get("rules") != seen.own_rules():
        patch.append({"op": "replace", "path": "/spec/rules", "value": seen.own_rules()})
    return patch


def _routed(work: Work, seen: Seen, patch: Patch, said: str) -> None:
    """Change what has the weights, which are to stay from then on as they were given. Raises Failure."""
    router, weighing = seen.weighing()
    name = seen.services[1] if router.kind.OWN else router.name
    work.patched(
        Place(router.kind.KIND, work.options["namespace"], name),
        weighing,
        patch,
        lambda now: {
            **router.kind.given(now, *seen.services, router.rules),
            **(_testers.given(now, seen.services[1]) if router.kind is _gateway_api.ROUTER else {}),
        },
        f"{router.kind.KIND} {name} {said}",
    )


def _accepted(work: Work, *, whatever: bool = False) -> None:
    """Wait until every gateway of the route has accepted it as it is. Raises Failure.

    With `whatever`, a gateway may also find something wrong with it: a canary is taken away all the same, which may be
    what helps, and what users get is seen by their requests.
    """
    router = work.asked.router
    if router is None:
        return
    place = Place(router.kind.KIND, work.options["namespace"], router.name)
    begun = time.monotonic()
    refused: float | None = None
    while True:
        answer = router.kind.answer(_place.found(work.api, place))
        if answer.said in ("yes", "not told") or (whatever and answer.said == "no"):
            return
        now = time.monotonic()
        refused = (refused or now) if answer.said == "no" else None
        if (refused and now - refused > REFUSED) or now - begun > work.request["timeout"]:
            raise Failure(
                f"{router} is not accepted by all of its gateways after {now - begun:.0f} s: {answer.why}. See its "
                f"status and what its gateways log."
            )
        work.run.check_given()
        time.sleep(LOOK)


def _until(work: Work, reached: t.Callable[[Seen], bool], why: t.Callable[[Seen], str]) -> None:
    """Wait for what others have to do. Raises Failure with `why` it has not come."""
    begun = time.monotonic()
    while not reached(seen := work.seen()):
        if time.monotonic() - begun > work.request["timeout"]:
            raise Failure(f"{why(seen)} after {work.request['timeout']} s; see what keeps its pods.")
        work.run.check_given()
        time.sleep(LOOK)


def _still_there(seen: Seen) -> str:
    pods = len(_reachable.ready(seen.canary_slices))
    return f"Service {seen.services[1]} still leads to {pods} of {replicas_of(seen.canary) or pods} pods of the canary"
