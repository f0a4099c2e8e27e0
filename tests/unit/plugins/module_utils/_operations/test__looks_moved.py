"""Looks at what users get while endpoints come and go."""

from __future__ import annotations

import itertools
import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _called, _version_distribution
from ansible_collections.convoy.rollout.plugins.module_utils._operations._version_distribution import looked

THIRD, HALF = {"1.0.0": 2 / 3, "2.0.0": 1 / 3}, {"1.0.0": 0.5, "2.0.0": 0.5}


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[t.Any]:
    """The shares that each look was held against; no time passes between two of them."""
    seen: list[t.Any] = []
    monkeypatch.setattr(_version_distribution.time, "sleep", lambda _seconds: None)

    def look(options: t.Mapping[str, t.Any], _environ: t.Mapping[str, str]) -> dict[str, t.Any]:
        seen.append(options["expected"])
        return {"verdict": "pass", "errors": {}, "number": len(seen)}

    monkeypatch.setattr(_version_distribution, "_look", look)
    return seen


def options(**given: t.Any) -> dict[str, t.Any]:
    """The options of looks at a Service."""
    return _called.options(_version_distribution.ARGUMENTS, {}, **{"name": "web", "settle": 5, **given})


def reading(*shares: dict[str, float] | None) -> t.Callable[[bool], t.Any]:
    """What the endpoints give each time that they are read; what they give last stays."""
    following = itertools.chain(shares, itertools.repeat(shares[-1]))
    return lambda _last: next(following)


def test_shares_are_held_against_the_endpoints_that_there_were_from_beginning_to_end(judged: list[t.Any]) -> None:
    # The second new pod becomes ready during the first look.
    assert looked(options(), {}, reading(THIRD, HALF))["number"] == 2
    assert judged == [THIRD, HALF]


def test_where_nothing_moves_one_look_is_enough(judged: list[t.Any]) -> None:
    assert looked(options(), {}, reading(HALF))["number"] == 1
    assert judged == [HALF]


def test_nothing_is_judged_before_there_is_what_is_expected(judged: list[t.Any]) -> None:
    looked(options(), {}, reading(None, None, HALF))
    assert judged == [HALF]


def test_a_request_that_was_lost_meanwhile_is_lost(judged: list[t.Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def look(given: t.Mapping[str, t.Any], _environ: t.Mapping[str, str]) -> dict[str, t.Any]:
        judged.append(given["expected"])
        raise Failure("1 lost", {"verdict": "fail", "errors": {"HTTP 500": 1}})

    monkeypatch.setattr(_version_distribution, "_look", look)
    with pytest.raises(Failure, match="1 lost"):
        looked(options(), {}, reading(THIRD, HALF))
    assert judged == [THIRD]


def test_the_last_look_is_judged_whatever_moves(judged: list[t.Any]) -> None:
    shares = itertools.cycle((THIRD, HALF))
    looked(options(settle=2), {}, lambda _last: next(shares))
    assert len(judged) == 3
