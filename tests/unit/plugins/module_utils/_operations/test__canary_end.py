"""A canary that loses its share by a router: what is seen, and waited for, before its pods end."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._operations import (
    _baseline,
    _bluegreen,
    _bluegreen_back,
    _bluegreen_pointing,
    _by_route,
    _canary_end,
    _canary_route,
)
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import Asked
from unit.plugins.module_utils._strategy.canaries import deployment
from unit.plugins.module_utils._strategy.test__canary_routed import routed, routed_canary

RUN: Any = SimpleNamespace(journal=SimpleNamespace(note=lambda *_, **__: None))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a task does: the looks, by how they settle, and the seconds that it waits."""
    done: list[Any] = []

    def looked(_proof: object, *_: object, **given: Any) -> dict[str, Any]:
        done.append(given.get("settles", "shares"))
        return {"verdict": "pass", "message": ""}

    monkeypatch.setattr(_baseline.Proof, "looked", looked)
    monkeypatch.setattr(_baseline.Proof, "verified", looked)
    monkeypatch.setattr(_baseline, "time", SimpleNamespace(sleep=done.append))
    return done


def proof(by: str) -> _baseline.Proof:
    return _baseline.Proof({}, SimpleNamespace(), SimpleNamespace(handle={"baseline": {"by": by}}))  # type: ignore[arg-type]


#: Whether the version is stable's as well, how the change is verified, and whether that tells who answers.
WAYS = [(False, "versions", True), (True, "versions", False), (False, "requests", False), (False, "endpoints", False)]


@pytest.mark.parametrize("abort", [True, False])
@pytest.mark.parametrize(("promoted", "by", "tells"), WAYS)
def test_users_are_seen_to_get_stable_and_where_answers_do_not_tell_the_gateways_are_waited_for(
    monkeypatch: pytest.MonkeyPatch, seen: list[Any], promoted: bool, by: str, tells: bool, abort: bool
) -> None:
    stable = deployment(version="2.0.0" if promoted else "1.0.0")
    work: Any = SimpleNamespace(
        seen=lambda: routed(routed_canary(), stable=stable),
        task=SimpleNamespace(check_mode=False),
        asked=Asked(),
        plan={"abort": abort},
        request={"settle": 7},
        proof=proof(by),
    )
    monkeypatch.setattr(_canary_route, "leave", lambda _work: True)
    _canary_end._leave(work)
    # An abort may be of a canary that loses requests, as it does until the gateways have followed.
    assert seen == ["verdict" if abort else "shares", *([] if tells else [7])]
    seen.clear()
    if not promoted:
        _canary_end._without_canary(work)
        assert seen == ["verdict", *([] if tells else [7])]


@pytest.mark.parametrize(("by", "tells"), [("versions", True), ("requests", False)])
def test_a_colour_keeps_its_pods_until_the_gateways_have_followed_where_answers_do_not_tell(
    monkeypatch: pytest.MonkeyPatch, seen: list[Any], by: str, tells: bool
) -> None:
    class Route:
        results: list[Any] = []

        def beside(self, _headers: object) -> None: ...

        def switch(self) -> None: ...

        def home(self, _deployment: str, look: Any = lambda: None) -> None:
            look()
            seen.append("home")

    monkeypatch.setattr(_by_route, "by_route", lambda *_: contextlib.nullcontext(Route()))
    monkeypatch.setattr(_bluegreen, "_pointed_there", lambda *_: seen.append("pointed") or [])
    monkeypatch.setattr(_bluegreen_pointing, "together", lambda *_: {})
    plan = {
        "phase": "switch",
        "route": {"stand": "home", "name": "HTTPRoute hello"},
        "version": "2.0.0",
        "services": [{"name": "hello"}],
        "active": {"deployment": "hello", "version": "1.0.0"},
        "preview": {"deployment": "hello-green"},
    }
    options = {"plan": plan, "samples": 50, "settle": 7, "min_success": 0.99, "entry": None}
    run: Any = SimpleNamespace(journal=RUN.journal, handle={"baseline": {"by": by}})
    task: Any = SimpleNamespace(check_mode=False)
    _bluegreen._switched(options, task, run)
    wait = [] if tells else [7]
    assert seen == ["shares", *wait, "pointed", "home"]
    seen.clear()
    _bluegreen_back._led_home(options, task, run)
    assert seen == ["verdict", *wait, "home"]
