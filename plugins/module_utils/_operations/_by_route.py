# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Moving the traffic from one colour to the other by a router's weights.

There: the preview Service has the other colour's ready pods, it is a backend of weight 0, then it has all of the
weight. Once that is verified the users' Service leads to these pods as well, and the route to that alone again.
"""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import replace
from fractions import Fraction

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import (
    _bluegreen_pointing,
    _router_found,
    _routing,
)
from ansible_collections.convoy.rollout.plugins.module_utils._operations._planning import Begin
from ansible_collections.convoy.rollout.plugins.module_utils._operations._writes import Object, Writes
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _bluegreen_route, _unfinished
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._bluegreen_route import Leading
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._plan import Plan
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _router, _split
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._router import Router
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._split import ROUTER, WEIGHTS, Split
from ansible_collections.convoy.rollout.plugins.module_utils._workload import (
    _given,
    _namespace,
    _place,
    _reachable,
    _selectors,
    _workloads,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import annotations_of

SHARES = (Fraction(0), Fraction(1))  #: that the other colour is given

Found = t.Mapping[str, t.Any]
Results = t.List[t.Dict[str, t.Any]]


class Way(t.NamedTuple):
    """How a run switches, as the cluster has it when it begins."""

    split: Split | None = None  #: None is by the selectors of Services
    stand: _bluegreen_route.Stand = "home"
    behind: Object | None = None  #: the preview Service
    hints: tuple[str, ...] = ()  #: why no router switches where one might be found, in words

    def resumed(self, found: Found) -> Found:
        """What blue/green found, as the router's object has it. Raises Failure."""
        return _bluegreen_route.resumed(found, self.stand, self.behind, self.split) if self.split else found

    def begun(self, plan: Plan, found: Found, begin: Begin) -> Plan:
        """The plan of the run."""
        if self.split is None:
            return plan
        return _bluegreen_route.begun(plan, found, self.stand, self.split, begin.request["preview_headers"])


def way(
    api: _api.Api, begin: Begin, found: Found, services: t.Sequence[Object], deployments: t.Sequence[Object]
) -> Way:
    """How a run switches. Raises Failure where that cannot be."""
    named = {item["metadata"]["name"]: item for item in services}
    leading = [item["name"] for item in found["services"]]
    preview = f"{begin.application}-preview"
    behind = _led_to(api, begin.namespace, named.get(preview))
    began = [each for each in (_unfinished.unfinished_of(named[name]) for name in leading) if each]
    router, searched = _bluegreen_route.router(begin.request["router"], behind, began)
    if found["phase"] == "done" and not _bluegreen_route.noted(behind):
        return Way()
    may_not: tuple[str, ...] = ()
    if searched and _router.comes_by(begin.application, begin.entry):
        router, may_not = _router_found.router(api, begin.namespace, leading[0], preview)
    if router is None:
        return Way(hints=(_bluegreen_route.by_selector(may_not, leading[0]),) if may_not else ())
    _router.check_entry(router, begin.application, begin.entry)
    split = _led(api, begin.namespace, router, leading, preview)
    if searched and _bluegreen_route.led_by_others(split, behind):
        return Way(hints=(_bluegreen_route.by_selector_beside(split),))
    if found["phase"] != "done":
        split.check(SHARES, begun=split.has())
    return _stood(split, behind, found, deployments)


def standing(
    api: _api.Api,
    namespace: str,
    option: Found,
    service: Object,
    found: Found,
    deployments: t.Sequence[Object],
) -> Way:
    """Where a rollout that was cut off left its router, if there was one. Raises Failure."""
    name = service["metadata"]["name"]
    preview = f"{name}-preview"
    behind = _led_to(api, namespace, _place.there(api, Place("Service", namespace, preview)))
    router, _searched = _bluegreen_route.router(option or {}, behind, ())
    if router is None or not _bluegreen_route.noted(behind):
        return Way()
    return _stood(_led(api, namespace, router, [name], preview), behind, found, deployments)


def _stood(split: Split, behind: Object | None, found: Found, deployments: t.Sequence[Object]) -> Way:
    active = next(item for item in deployments if item["metadata"]["name"] == found["active"]["deployment"])
    return Way(split, _bluegreen_route.stand(split, behind, active), behind)


def _led_to(api: _api.Api, namespace: str, behind: Object | None) -> Object | None:
    """The preview Service, None where the router that it remembers is gone, so that nothing can lead to it."""
    had = _bluegreen_route.noted(behind)
    router = _router.noted(had)
    if not had or (router and _place.there(api, Place(router.kind.KIND, namespace, router.name))):
        return behind
    return None


def _led(api: _api.Api, namespace: str, router: Router, leading: t.Sequence[str], preview: str) -> Split:
    """How a router shares the traffic of the one of these Services that it leads to, else of the first of them."""
    split = _router_found.split(api, namespace, router, (leading[0], preview))
    one = next((name for name in leading if router.kind.leads(split.route, name)), leading[0])
    return replace(split, services=(one, preview))


class ByRoute:
    """One task's work on the traffic of two colours by a router."""

    def __init__(self, api: _api.Api, options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> None:
        """`options` have the plan of the run, which was begun by a router."""
        self.api, self.options, self.task, self.run = api, options, task, run
        self.plan: t.Mapping[str, t.Any] = options["plan"]
        self.users, self.preview = self.plan["route"]["services"]
        self._router = t.cast(Router, _router.named(self.plan["route"]["router"]))
        self._writes = Writes(api, options, task, run)
        self._others: Results = []  #: of what was pointed somewhere
        self._routing = _routing.Routing(self._writes, self.split, {"app": options["name"]}, options["timeout"])

    def split(self) -> Split:
        """How the router shares the traffic out by now. Raises Failure."""
        return _router_found.split(self.api, self.options["namespace"], self._router, (self.users, self.preview))

    @property
    def results(self) -> Results:
        """What the task returns of what it changed, one after the other."""
        written = [{"changed": True, "diff": diff, "message": ""} for diff in self._writes.diffs]
        return [*self._others, *written]

    def beside(self, headers: t.Mapping[str, str]) -> None:
        """Have the other colour, which is complete, be a backend, by its preview Service. Raises Failure.

        It has no weight yet, but for what a run that was cut off gave it; requests with `headers` get it.
        """
        self._aimed()
        if self.task.check_mode:
            return
        self.leads(self.preview, self.plan["preview"]["deployment"])
        self._routing.join()
        if self._routing.lead(headers):
            self._routing.accepted()

    def switch(self) -> None:
        """Give the other colour all of the weight, in one patch. Raises Failure."""
        self._routing.weigh(Fraction(1))
        if not self.task.check_mode:
            self._routing.accepted()

    def home(self, deployment: str, look: t.Callable[[], object] = lambda: None) -> None:
        """Have the route lead to the users' Service alone, once that leads to a Deployment. Raises Failure.

        `look` sees that users get nothing of the other Service any longer, before that is no backend.
        """
        split = self.split()
        if split.has():
            moves = split.share() != 0
            if moves and not self.task.check_mode:
                self.leads(self.users, deployment)
            self._routing.leave()
            if moves and not self.task.check_mode:
                look()
            self._routing.remove(_split.weights_before(self._behind()))
        elif _bluegreen_route.noted(self._behind()):
            self._routing.lead({})  # what is left where somebody else took the backend out
        behind = self._behind()
        if behind is not None and _bluegreen_route.noted(behind):
            said = f"Service {self.preview} is no longer a backend of {self._router}"
            self._pointed(None, said, {ROUTER: None, WEIGHTS: None})

    def leads(self, service: str, deployment: str) -> None:
        """Wait until a Service leads to the ready pods of a Deployment and to nothing else. Raises Failure."""
        _routing.until(
            self._writes,
            lambda: self._leading(service, deployment),
            Leading.there,
            Leading.why,
            self.options["timeout"],
        )

    def _leading(self, service: str, deployment: str) -> Leading:
        namespace = self.options["namespace"]
        slices = _namespace.slices(self.api, namespace, service)
        pods = self.api.items(_api.path_of("pods", namespace))
        own = [
            pod["metadata"]["name"]
            for pod in pods
            if _workloads.deployment_of(pod) == deployment
            and _workloads.is_ready(pod)
            and not pod["metadata"].get("deletionTimestamp")
        ]
        return Leading(service, deployment, _reachable.ready(slices), own)

    def _behind(self) -> Object | None:
        """The preview Service."""
        return self._writes.there(Place("Service", self.options["namespace"], self.preview))

    def _aimed(self) -> None:
        """Have the preview Service lead to the other colour, and remember the router. Raises Failure."""
        behind = self._behind()
        plan, namespace = self.plan, self.options["namespace"]
        selector = _bluegreen_pointing.without_nulls(plan["preview"]["selector"])
        split = self.split()
        if behind is None:
            users = _place.found(self.api, Place("Service", namespace, self.users))
            made = split.service(users, selector, {"app": self.options["name"]})
            self._writes.create(
                made, f"Service {self.preview} is created for Deployment {plan['preview']['deployment']}"
            )
            if not self.task.check_mode:
                self.run.gave(Place("Service", namespace, self.preview), {_given.SELECTOR: selector})
            return
        colour = _place.found(self.api, Place("Deployment", namespace, plan["preview"]["deployment"]))
        other = _place.found(self.api, Place("Deployment", namespace, plan["active"]["deployment"]))
        there = behind["spec"].get("selector") or {}
        leads = _selectors.selects(there, _workloads.pod_labels(colour))
        aimed = leads and not _selectors.selects(there, _workloads.pod_labels(other))

        def noted(service: Object) -> dict[str, str | None]:
            return {} if annotations_of(service).get(ROUTER) == str(self._router) else {**split.noted()}

        said = f"Service {self.preview} leads to Deployment {plan['preview']['deployment']}, for {self._router}"
        self._pointed(None if aimed else selector, said, noted)

    def _pointed(self, selector: t.Mapping[str, str] | None, message: str, noted: _bluegreen_pointing.Noted) -> None:
        self._others.append(
            _bluegreen_pointing.pointed(self.options, self.task, self.run, self.preview, selector, message, noted)
        )


@contextlib.contextmanager
def by_route(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> t.Iterator[ByRoute]:
    """One task's work by the router of its run's plan."""
    with contextlib.closing(_api.api(options, task.environ)) as api:
        yield ByRoute(api, options, task, run)
