"""Canaries and blue/green by an HTTPRoute, killed with kill -9 at each task and write, on a real gateway."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from convoy_sandbox.network import traefik
from convoy_sandbox.resources import Resource
from integration.playbooks import Lab
from integration.routed import ROUTES, make_route, routed
from reliability import kills
from reliability.frame import Case, Result, Section
from reliability.scenarios import ROLLBACK, Play, Scenario

ENTRY = {"service": "hello", "port": 80, "path": "/version"}
#: The application is verified by itself: its route leads to nothing before.
DEPLOY: Play = ("app_deploy", {"application_entry": ENTRY})
STEPS: dict[str, Any] = {"canary_steps": [{"weight": 10}, {"weight": 50, "pause": "1s"}]}


class Routed(Scenario):
    """A canary, or blue/green, by a route."""

    @property
    def group(self) -> str:
        """What it is counted with."""
        return f"{self.strategy} by an HTTPRoute"

    @property
    def deploy(self) -> Play:
        """What its application is deployed with."""
        return DEPLOY


TESTERS: dict[str, Any] = {"weight": 0, "match": {"headers": {"x-canary": "always"}}}
ABORT: Play = ("canary", {"abort": True})
SCENARIOS = {
    "steps": Routed("canary", ("canary", {"version": "2.0.0", "promote": True, **STEPS}), ABORT, undo=ROLLBACK),
    "testers": Routed("canary", ("canary", {"version": "2.0.0", "canary_steps": [TESTERS, {"weight": 50}]}), ABORT),
    "half": Routed("canary", ("canary", {"version": "2.0.0", "canary_weight": 50}), ABORT),
    "colours": Routed("bluegreen", ("bluegreen", {"version": "2.0.0"}), ("bluegreen", {"rollback": True})),
}


GROUPS = {scenario.group for scenario in SCENARIOS.values()}


class Bench(kills.Bench):
    """A sandbox with a gateway, in which the application has a route in each namespace."""

    def lab(self) -> Lab:
        """A namespace with nothing but the route in it."""
        lab = routed(str(self.cluster.kubeconfig), super().lab().namespace, quick=self.quick)
        make_route(lab)
        return lab

    def objects(self, lab: Lab) -> dict[str, list[kills.Object]]:
        """What is in a namespace, by plural, with its routes."""
        store = self.cluster.cluster.store

        def routes() -> list[kills.Object]:
            return copy.deepcopy(store.list(self._kind(), lab.namespace))

        return {**super().objects(lab), "httproutes": self.cluster.call(routes)}

    def _kind(self) -> Resource:
        found = self.cluster.cluster.registry.catalog.find(*ROUTES, "httproutes")
        if found is None:
            raise RuntimeError("The sandbox does not serve HTTPRoutes.")
        return found


@contextlib.contextmanager
def bench(*, quick: bool = False) -> Iterator[Bench]:
    """A sandbox with a gateway to work on. Raises RuntimeError where the gateway is missing."""
    if traefik.program() is None:
        raise RuntimeError(traefik.MISSING)
    with kills.bench(quick=quick, gateway=True) as it:
        yield Bench(it.cluster, it.directory, quick=quick)


def plan() -> dict[str, Any]:
    """Each scenario, and the points at which it can be killed."""
    with bench() as it:
        return kills.planned(it, SCENARIOS)


@contextlib.contextmanager
def worker(plan: Mapping[str, Any]) -> Iterator[Callable[[Case], Result]]:
    """One worker's sandbox."""
    with bench() as it:
        yield lambda case: kills.kill(it, SCENARIOS[case["scenario"]], plan["scenarios"][case["scenario"]], case)


def text(plan: Mapping[str, Any], results: Sequence[Result]) -> str:
    """The section: how many points, and what was not as it should be."""
    return "\n".join([WORDS, *kills.table(plan, results, dict.fromkeys(GROUPS, True))])


WORDS = """\
As above, of a canary whose share an HTTPRoute gives, on a real Traefik: killed as a task starts, in its middle, and
before and after each write, among them those of the route's weights, of stable's Service and of the canary's own. Run
again it has to end where an undisturbed run ends; the way back is `abort=true`, and `rollback.yml` where that says so.
Then the route and the Services have to be as they were before the canary, too. A blue/green run whose switch is the
route's weights is killed likewise; its way back is `rollback=true`, after which the route has to be as it was. All the
while users ask the gateway, and not one request may be lost.
"""

SECTION = Section("Killed anywhere, by a route", plan, worker, text)
