"""Looks at what users get while pods end: made again, counted, and held against nobody; but for no longer than that."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._operations import (
    _called,
    _endings,
    _version_distribution,
)
from ansible_collections.convoy.rollout.plugins.module_utils._run._run import Run
from ansible_collections.convoy.rollout.plugins.module_utils._workload._reachable import Standing

GOOD = {"verdict": "pass", "counts": {"2.0.0": 90}, "errors": {}}
LOSSY = {"verdict": "fail", "counts": {"2.0.0": 86}, "errors": {"HTTP 502": 4}}
BROKEN = {"verdict": "fail", "counts": {"2.0.0": 80}, "errors": {"HTTP 500": 10}}
NAMED = {**BROKEN, "errors_by_version": {"2.0.0": 10}}

Look = dict[str, t.Any]


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now + 1_000_000

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Verifying:
    """Looks that see what a test says, one after the other, the last one for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *looks: Look) -> None:
        self._looks, self.count = looks, 0
        clock = Clock()
        for module in (_version_distribution, _endings):
            monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(_version_distribution, "_look", self._look)
        self.run = Run({"directory": str(tmp_path)}, lambda: pytest.fail("no cluster is asked"))
        self.pods: dict[str, Standing] = {}

    def _look(self, _options: t.Any, _environ: t.Any) -> Look:
        seen = self._looks[min(self.count, len(self._looks) - 1)]
        self.count += 1
        if seen["verdict"] != "pass":
            raise Failure("requests were lost", seen)
        return seen

    def endings(self, *, changed: bool = False) -> _endings.Endings:
        return _endings.Endings(self.run, lambda: self.pods, "2.0.0", changed=changed)

    def looked(self, endings: _endings.Endings | None) -> Look:
        given = {"name": "hello", "namespace": "shop", "expected": {"2.0.0": 1}, "settle": 2}
        options = _called.options(_version_distribution.ARGUMENTS, {}, **given)
        return _version_distribution.looked(options, {}, None, endings)

    def ended(self) -> list[Look]:
        """What was noted for the outcome."""
        return [event for event in self.run.journal.events() if event["kind"] == "ended"]


def test_what_is_lost_while_pods_end_is_looked_at_again_and_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    it = Verifying(monkeypatch, tmp_path, LOSSY, LOSSY, LOSSY, LOSSY, LOSSY, GOOD)
    it.pods = {"hello-1": Standing("1.0.0", ending=True)}
    assert it.looked(it.endings()) == GOOD
    [noted] = it.ended()
    assert (noted["pods"], noted["lost"]) == ({"hello-1": "1.0.0"}, {"HTTP 502": 20})


def test_pods_that_are_gone_already_are_excused_where_the_run_has_just_ended_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    it = Verifying(monkeypatch, tmp_path, LOSSY, GOOD)
    assert it.looked(it.endings(changed=True)) == GOOD


@pytest.mark.parametrize("looks", [(LOSSY, GOOD), (BROKEN, GOOD)])
def test_where_no_pod_ends_one_lost_request_is_one_too_many(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, looks: tuple[Look, ...]
) -> None:
    for endings in (None, Verifying(monkeypatch, tmp_path).endings()):
        it = Verifying(monkeypatch, tmp_path, *looks)
        with pytest.raises(Failure, match="requests were lost"):
            it.looked(endings)
        assert it.count == 1
        assert not it.ended()


def test_an_error_of_the_version_itself_is_held_against_it_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    it = Verifying(monkeypatch, tmp_path, NAMED, GOOD)
    it.pods = {"hello-1": Standing("1.0.0", ending=True)}
    with pytest.raises(Failure):
        it.looked(it.endings(changed=True))
    assert it.count == 1


@pytest.mark.parametrize(("seen", "looks"), [(BROKEN, 4), (LOSSY, 31)])
def test_what_goes_on_when_every_proxy_must_have_heard_of_it_is_the_versions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seen: Look, looks: int
) -> None:
    it = Verifying(monkeypatch, tmp_path, seen)
    with pytest.raises(Failure):
        it.looked(it.endings(changed=True))
    assert it.count == looks


def test_pods_that_end_without_end_do_not_keep_a_version_from_its_verdict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    it = Verifying(monkeypatch, tmp_path, LOSSY)
    endings = it.endings()
    monkeypatch.setattr(endings, "_read", lambda: {f"hello-{it.count}": Standing("1.0.0", ending=True)})
    with pytest.raises(Failure):
        it.looked(endings)
    assert it.count < 60


def test_what_cannot_be_read_excuses_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def forbidden() -> dict[str, Standing]:
        raise Failure("pods is forbidden")

    it = Verifying(monkeypatch, tmp_path, LOSSY, GOOD)
    with pytest.raises(Failure, match="requests were lost"):
        it.looked(_endings.Endings(it.run, forbidden, "2.0.0"))


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (Standing("2.0.0", ready=False), "Not ready: hello-2"),
        (Standing("2.0.0", restarts=8), "A container of hello-2 crashed"),
    ],
)
def test_where_pods_of_the_version_itself_fail_nothing_is_excused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, later: Standing, said: str
) -> None:
    """One that crashes as the old pods end is not to be tried for as long as the proxies of a cloud may take."""
    it = Verifying(monkeypatch, tmp_path, LOSSY)
    sound = {"hello-1": Standing("1.0.0", ending=True), "hello-2": Standing("2.0.0", restarts=7)}
    seen = iter([sound, sound])
    endings = it.endings(changed=True)
    monkeypatch.setattr(endings, "_read", lambda: next(seen, {**sound, "hello-2": later}))
    with pytest.raises(Failure, match=f"^{said}.*requests were lost"):
        it.looked(endings)
    assert it.count == 2


def test_pods_of_another_version_that_fail_say_nothing_of_this_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    it = Verifying(monkeypatch, tmp_path, LOSSY, GOOD)
    it.pods = {"hello-1": Standing("1.0.0", ending=True, ready=False), "hello-0": Standing("1.0.0", ready=False)}
    assert it.looked(it.endings()) == GOOD
