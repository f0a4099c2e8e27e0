"""A pause of a canary, by a clock of its own."""

from __future__ import annotations

import types
import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _canary_steps, _version_distribution


class Clock:
    """Time that passes where somebody waits or asks."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("by", ["versions", "pods"])
@pytest.mark.parametrize("allowed", [None, 10.0, 1.0, 0.05])
def test_a_pause_lasts_as_long_as_it_is_to_however_few_requests_an_entry_allows(
    monkeypatch: pytest.MonkeyPatch, allowed: float | None, by: str
) -> None:
    clock = Clock()
    for module in (_canary_steps, _version_distribution):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(_canary_steps, "_expected_now", lambda *_: {})
    monkeypatch.setattr(_canary_steps, "_crashed", lambda *_: "")
    monkeypatch.setattr(_canary_steps, "_check_crashed", lambda *_: None)
    rates: list[float] = []

    def looked(**given: t.Any) -> dict[str, t.Any]:
        """The requests of a look, of which the first is made at once; none where pods are counted."""
        rates.append(given["rate_limit"])
        clock.now += (given["samples"] - 1) / given["rate_limit"] if by == "versions" else 0
        counts = {"1.0.0": given["samples"]}
        return {"by": by, "samples": given["samples"], "counts": counts, "errors": {}, "slow_by": {}} | {
            "verdict": "pass",
            "message": "",
            "errors_by_version": {},
            "effective": given["samples"],
        }

    noted: list[t.Any] = []
    work = types.SimpleNamespace(
        versions=("1.0.0", "2.0.0"),
        min_success=0.99,
        tests=1,
        canary="hello-canary",
        options={"entry": {"rate_limit": allowed}},
        request={"tolerance": 10},
        proof=types.SimpleNamespace(looked=looked),
        run=types.SimpleNamespace(handle={}, verified=lambda *seen, **_: noted.append(seen)),
        pods=lambda _name: [],
        complete=lambda _name: [],
        there=lambda _place: {},
        place=lambda name: name,
        changed=lambda *_: None,
    )
    _canary_steps._pause(t.cast("t.Any", work), {"weight": 25.0, "pause": 25}, [], None)
    assert clock.now >= 25
    assert len(rates) == 3  # slices of 10 s
    assert max(rates) <= min(10.0, allowed or 10.0)
    assert [seen[0] for seen in noted] == ["pause at 25%"]
