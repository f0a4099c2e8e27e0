"""A canary that is to lose its share: whether what users get is to be looked at."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _canary_route
from unit.plugins.module_utils._strategy.canaries import canary
from unit.plugins.module_utils._strategy.test__canary_routed import route, routed


@pytest.mark.parametrize(
    ("beside", "leads"),
    [
        (5, True),
        (0, True),  # a run that was cut off took it its weight, and has seen nothing of what users get since
        (None, False),
    ],
)
def test_users_are_asked_wherever_the_route_leads_to_the_canary(beside: int | None, leads: bool) -> None:
    written: list[str] = []
    work: Any = SimpleNamespace(
        seen=lambda: routed(canary(weight="5"), route=route(95, beside)),
        task=SimpleNamespace(check_mode=True),
        options={"namespace": "default"},
        request={"timeout": 1},
        patched=lambda *given: written.append(given[-1]),
    )
    assert _canary_route.leave(work) is leads
    assert written == ["HTTPRoute hello gives Service hello-canary 0% of the traffic"] * leads
