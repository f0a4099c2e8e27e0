# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Moving traffic between two Services by a router's weights, each change taken over by every gateway.

Up: the other Service has ready pods, then it is a backend of weight 0, then it gets its weight. Down: weight 0, and
  once nothing leads to it, it is removed as a backend. A backend whose pods are not there costs its share of the
  requests.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass
from fractions import Fraction

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._operations._writes import Patch, Writes
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _weights
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _testers
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._split import Split
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _place
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place

LOOK = 0.2  #: seconds between two looks at what others have to do
REFUSED = 15.0  #: seconds after which a refusal of a gateway stands; before, it may not have heard of a new Service


@dataclass(frozen=True)
class Routing:
    """A router between two Services, as one task changes it."""

    writes: Writes
    split: t.Callable[[], Split]  #: as the cluster has it by now
    labels: t.Mapping[str, str]  #: of what is created for the other beside the route
    timeout: float  #: seconds that the gateways may take for a change

    def give(self, share: Fraction, headers: t.Mapping[str, str]) -> None:
        """Give the other Service, whose pods are ready, a share (0..1) of the traffic. Raises Failure.

        It gets requests with `headers` besides, and with no others.
        """
        self.join()
        self.weigh(share)
        self.accepted()
        if self.lead(headers):
            self.accepted()

    def join(self) -> None:
        """Have the other Service be a backend, of weight 0 where it is none. Raises Failure."""
        if not self.split().has():
            self.weigh(Fraction(0))
            self.accepted()

    def leave(self) -> bool:
        """Take the other its share of the traffic, and say whether the route leads to it at all. Raises Failure."""
        if not self.split().has():
            return False
        self.lead({})
        self.weigh(Fraction(0))
        if not self.writes.task.check_mode:
            self.accepted(whatever=True)
        return True

    def remove(self, before: t.Sequence[int]) -> None:
        """Have the route lead to the first Service only, with its weights from `before`. Raises Failure."""
        split = self.split()
        if split.own is not None:
            kind = split.router.kind.KIND
            self.writes.delete(split.own, f"{kind} {split.name} is deleted", kind)
        elif split.has():
            self._patched(split, lambda now: split.without(now, before), f"leads to Service {split.services[0]} only")
            if not self.writes.task.check_mode:
                self.accepted(whatever=True)

    def weigh(self, share: Fraction) -> None:
        """Give the other Service a share (0..1), and make it a backend where it is none. Raises Failure."""
        split = self.split()
        said = f"gives Service {split.services[1]} {_weights.percent(share)} of the traffic"
        if split.weighing:
            self._patched(split, lambda now: split.weighted(now, share), said)
        else:
            made = split.made(share, self.labels)
            self.writes.create(made, f"{split.router.kind.KIND} {split.name} is created and {said}")

    def lead(self, headers: t.Mapping[str, str]) -> bool:
        """Have requests with these headers, and no others, be led to the other Service whatever its weight is, and say
        whether that changed the route. Raises Failure."""
        split = self.split()
        if not split.led(split.route, headers):
            return False
        whose = f"requests with {_testers.said(headers)}" if headers else "no requests by their headers any more"
        self._patched(split, lambda now: split.led(now, headers), f"leads {whose} to Service {split.services[1]}")
        return True

    def accepted(self, *, whatever: bool = False) -> None:
        """Wait until every gateway of the route has accepted it as it is. Raises Failure.

        With `whatever`, a gateway may also find something wrong with it: what is taken away may be what it finds wrong,
        and what users get is seen by their requests.
        """
        router = self.split().router
        place = Place(router.kind.KIND, self.writes.options["namespace"], router.name)
        begun = time.monotonic()
        refused: float | None = None
        while True:
            answer = router.kind.answer(_place.found(self.writes.api, place))
            if answer.said in ("yes", "not told") or (whatever and answer.said == "no"):
                return
            now = time.monotonic()
            refused = (refused or now) if answer.said == "no" else None
            if (refused and now - refused > REFUSED) or now - begun > self.timeout:
                raise Failure(
                    f"{router} is not accepted by all of its gateways after {now - begun:.0f} s: {answer.why}. Check "
                    "its status and the logs of its gateways."
                )
            self.writes.run.check_given()
            time.sleep(LOOK)

    def _patched(self, split: Split, patch: Patch, said: str) -> None:
        """Change what has the weights, which are to stay from then on as they were given. Raises Failure."""
        kind = split.router.kind.KIND
        place = Place(kind, self.writes.options["namespace"], split.name)
        self.writes.patched(place, split.weighing, patch, split.given, f"{kind} {split.name} {said}")


Known = t.TypeVar("Known")


def until(
    writes: Writes,
    read: t.Callable[[], Known],
    reached: t.Callable[[Known], bool],
    why: t.Callable[[Known], str],
    timeout: float,
) -> Known:
    """Wait for what others have to do, and return what was read then. Raises Failure with `why` it has not come."""
    begun = time.monotonic()
    while not reached(seen := read()):
        if time.monotonic() - begun > timeout:
            raise Failure(f"{why(seen)} after {timeout:g} s; find out what keeps its pods from getting there.")
        writes.run.check_given()
        time.sleep(LOOK)
    return seen
