# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A canary's share by a router: its own Service, its weight, and taking both away again.

Up: its pods are ready, then its Service is a backend of weight 0, then it gets its weight. Down: weight 0, then its
pods go, then the backend, then the Service.
"""

from __future__ import annotations

import typing as t
from fractions import Fraction

from ansible_collections.convoy.rollout.plugins.module_utils._operations import _routing
from ansible_collections.convoy.rollout.plugins.module_utils._operations._canary_work import Work
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _canary_manifests, _canary_standing
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import Object, Seen, replicas_of
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _split
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _given, _reachable
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place
from ansible_collections.convoy.rollout.plugins.module_utils._workload._subject import TRACK
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import annotations_of


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
    routing = _routing_of(work)
    if work.task.check_mode:
        routing.weigh(weight)
        return
    _until(work, lambda seen: _canary_standing.endpoints(seen)["settled"], _canary_standing.unsettled)
    routing.give(weight, headers)


def leave(work: Work) -> bool:
    """Take the canary its share of the traffic, and say whether the route leads to it at all. Raises Failure."""
    return _routing_of(work).leave()


def remove(work: Work) -> None:
    """Take away the backend, the Service and what else was made for the canary, whose pods go first. Raises Failure."""
    if not work.task.check_mode:
        _until(work, lambda now: not _reachable.ready(now.canary_slices), _still_there)
    seen = work.seen()
    _routing_of(work).remove(_split.weights_before(seen.behind))
    if seen.behind is None:
        return
    selector = dict(seen.service["spec"].get("selector") or {})
    if _canary_manifests.SEPARATED in annotations_of(seen.behind) and selector.pop("track", None) and selector:
        _select(work, seen, selector, "selects what it did before the canary")
    work.delete(seen.behind, f"Service {seen.services[1]} is deleted", "Service")


def _routing_of(work: Work) -> _routing.Routing:
    return _routing.Routing(work, lambda: work.seen().split(), {"track": TRACK}, work.request["timeout"])


def _until(work: Work, reached: t.Callable[[Seen], bool], why: t.Callable[[Seen], str]) -> None:
    _routing.until(work, work.seen, reached, why, work.request["timeout"])


def _still_there(seen: Seen) -> str:
    pods = len(_reachable.ready(seen.canary_slices))
    return f"Service {seen.services[1]} still leads to {pods} of {replicas_of(seen.canary) or pods} pods of the canary"
