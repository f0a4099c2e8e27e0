"""Credentials that end while they are used: by requests, watches, samples and companions."""

from __future__ import annotations

import itertools
import threading
import time
import typing as t
from collections.abc import Callable

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _access, _mirror
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._access import Access, Credential, Credentials
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._api import Api, ApiError, path_of
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._mirror import Mirror
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._run import _companion
from ansible_collections.convoy.rollout.plugins.module_utils._traffic import _sampler
from ansible_collections.convoy.rollout.plugins.module_utils._traffic._sampler import Sample, Target
from ansible_collections.convoy.rollout.plugins.module_utils._traffic._versions import reader
from unit.forks import alone

Object = dict[str, t.Any]
Make = Callable[..., t.Any]
PODS = path_of("pods", "default")


class Tokens:
    """An API server's tokens: which one it lets in, and a plugin that gives new ones."""

    def __init__(self, url: str) -> None:
        self.valid = {"Bearer 1"}
        self.given = 1
        self.access = Access(
            url,
            impersonation=(("Impersonate-User", "alice"),),
            credentials=Credentials(Credential("Bearer 1"), self.ask),
        )

    def ask(self) -> Credential:
        """A new token, which is let in from now on, and no other."""
        self.given += 1
        self.valid = {f"Bearer {self.given}"}
        return Credential(f"Bearer {self.given}")


@pytest.fixture
def tokens(api_server: t.Any, refusal: Make, monkeypatch: pytest.MonkeyPatch) -> Tokens:
    """The tokens of the API server, which asks for them."""
    found = Tokens(api_server.url)
    answered = api_server.take

    def take(ask: t.Any) -> t.Any:
        if ask.headers.get("Authorization") in found.valid:
            return answered(ask)
        api_server.asked.append(ask)
        return refusal(401, "Unauthorized", "Unauthorized")

    monkeypatch.setattr(api_server, "take", take)
    monkeypatch.setattr(_access, "PAUSE", 0.01)
    monkeypatch.setattr(_mirror, "PAUSE", 0.01)
    return found


def until(true: Callable[[], t.Any]) -> None:
    """Return when it is so; five minutes are an error."""
    deadline = time.monotonic() + 300
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def pod(name: str, version: int) -> Object:
    """A pod."""
    return {
        "metadata": {"name": name, "uid": name, "resourceVersion": str(version)},
        "spec": {"containers": [{"name": "hello", "image": "hello:1"}]},
    }


def test_a_request_is_made_again_with_a_new_token(api_server: t.Any, answer: Make, tokens: Tokens) -> None:
    api_server.on(PODS, answer(body={"items": [pod("a", 1)]}))
    api = Api(tokens.access)
    assert len(api.items(PODS)) == 1
    tokens.valid = set()  # it expires
    assert len(api.items(PODS)) == 1
    assert tokens.given == 2
    assert {ask.headers["Impersonate-User"] for ask in api_server.asked} == {"alice"}


def test_so_is_a_write_which_was_not_done(api_server: t.Any, answer: Make, tokens: Tokens) -> None:
    api_server.on(PODS, answer(body=pod("a", 1)))
    tokens.valid = set()
    assert Api(tokens.access).create(PODS, pod("a", 0)) == pod("a", 1)
    assert [ask.headers["Authorization"] for ask in api_server.asked] == ["Bearer 1", "Bearer 2"]
    assert [ask.body for ask in api_server.asked] == [pod("a", 0)] * 2


def test_it_is_made_again_once(
    api_server: t.Any, answer: Make, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    api_server.on(PODS, answer(body={"items": []}))
    tokens.valid = set()
    monkeypatch.setattr(tokens.access.credentials, "_read", lambda: Credential("Bearer wrong"))
    with pytest.raises(ApiError, match=r"does not accept the credentials \(401\)"):
        Api(tokens.access).items(PODS)
    assert len(api_server.asked) == 2


def test_a_plugin_that_fails_is_what_is_said(
    api_server: t.Any, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> Credential:
        raise Failure("The command aws exited with code 255: log in first.")

    tokens.valid = set()
    monkeypatch.setattr(tokens.access.credentials, "_read", fails)
    with pytest.raises(Failure, match="log in first"):
        Api(tokens.access).items(PODS)


def test_a_watch_goes_on_with_a_new_token(api_server: t.Any, answer: Make, tokens: Tokens) -> None:
    api_server.on(PODS, answer(body={"metadata": {"resourceVersion": "5"}, "items": [pod("a", 5)]}))
    ended = answer(events=({"type": "ADDED", "object": pod("b", 6)},))
    api_server.on_watch(PODS, ended, answer(events=({"type": "ADDED", "object": pod("c", 7)},), hold=True))
    mirror = Mirror(tokens.access, {"pods": (PODS, {})}, 300)
    try:
        assert mirror.wait()
        tokens.valid = set()
        while set(mirror.objects["pods"]) != {"a", "b", "c"}:
            assert mirror.wait(), f"only {set(mirror.objects['pods'])} came"
    finally:
        mirror.close()


def test_a_watch_whose_plugin_fails_says_so_at_once(api_server: t.Any, answer: Make, tokens: Tokens) -> None:
    def fails() -> Credential:
        raise Failure("log in first")

    api_server.on(PODS, answer(body={"metadata": {"resourceVersion": "5"}, "items": []}))
    tokens.valid = set()
    tokens.access.credentials._read = fails
    mirror = Mirror(tokens.access, {"pods": (PODS, {})}, 300)
    with pytest.raises(Failure, match="log in first"):
        mirror.wait()
    mirror.close()


# -- samples through the API server's proxy ----------------------------------------------------------------------------

PROXIED = path_of("services", "default") + "/hello:80/proxy/version"


def sampled(tokens: Tokens, most: int, each: Callable[[int], None] = lambda _n: None, **how: t.Any) -> list[Sample]:
    """Samples through the API server; `each` is called with their number."""
    taken: list[Sample] = []

    def take(sample: Sample) -> bool:
        taken.append(sample)
        each(len(taken))
        return True

    port = int(tokens.access.server.rpartition(":")[2])
    target = Target("127.0.0.1", port, PROXIED, {"authorization": "mine"}, access=tokens.access)
    settings: dict[str, t.Any] = {"concurrency": 4, "timeout": 60.0, "rate": _sampler.Rate(0), **how}
    _sampler.sample(target, reader({}), take, most=most, **settings)
    return taken


def test_a_sample_is_made_again_with_a_new_token(api_server: t.Any, answer: Make, tokens: Tokens) -> None:
    api_server.on(PROXIED, answer(body={"version": "1.0.0"}))

    def expire(number: int) -> None:
        # Further apart than as many requests as may have been answered before one of them is refused.
        if number in (5, 100):
            tokens.valid = set()

    taken = sampled(tokens, 200, expire)
    assert [(sample.version, sample.error) for sample in taken] == [("1.0.0", None)] * 200
    assert tokens.given == 3
    assert all(earlier.begun <= later.begun for earlier, later in itertools.pairwise(taken))
    last = api_server.asked[-1].headers
    assert (last["Authorization"], last["Impersonate-User"]) == ("Bearer 3", "alice")


def test_a_token_that_is_renewed_in_time_stops_nobody(api_server: t.Any, answer: Make, tokens: Tokens) -> None:
    api_server.on(PROXIED, answer(body={"version": "1.0.0"}))
    soon = time.time() + 600
    tokens.access.credentials._now = Credential("Bearer 1", expires=soon, due=time.time())
    kept, sampling, went_on = tokens.ask, threading.Event(), []

    def ask() -> Credential:
        """A plugin that takes as long as it takes until somebody was answered with the old token."""
        went_on.append(sampling.wait(300))
        found = kept()
        tokens.valid.add("Bearer 1")
        return found

    tokens.access.credentials._read = ask

    def each(number: int) -> None:
        sampling.set()
        if number == 10:  # and from here on the others are made with the new one
            until(lambda: tokens.access.credentials.latest.authorization == "Bearer 2")

    assert len(sampled(tokens, 200, each, rate=_sampler.Rate(200, steady=True))) == 200
    assert went_on == [True]
    assert {ask.headers["Authorization"] for ask in api_server.asked} == {"Bearer 1", "Bearer 2"}


def test_sampling_ends_where_no_token_is_accepted(api_server: t.Any, answer: Make, tokens: Tokens) -> None:
    api_server.on(PROXIED, answer(body={"version": "1.0.0"}))
    tokens.access.credentials._read = None

    def expire(number: int) -> None:
        if number == 5:
            tokens.valid = set()

    with pytest.raises(
        Failure, match=r"does not accept the credentials \(401\), so no more requests can be made through it"
    ):
        sampled(tokens, 100, expire)


def test_a_401_of_the_application_is_the_applications(api_server: t.Any, answer: Make, tokens: Tokens) -> None:
    api_server.on(PROXIED, answer(401, {"error": "who are you?"}))
    assert {sample.error for sample in sampled(tokens, 5)} == {"HTTP 401"}
    assert tokens.given == 1


def begun(url: str) -> Object:
    """A companion that asks again and again, and whose plugin gives a token of its own."""
    access = Access(url, credentials=Credentials(Credential("Bearer 1"), lambda: Credential("Bearer of a companion")))

    def work(stop: t.Any) -> int:
        while not stop.wait(0.01):
            Api(access).items(PODS)
        return len(Api(access).items(PODS))

    return _companion.start(work, name="convoy-test", owner=None, maximum=600)


def test_a_companion_renews_its_own(api_server: t.Any, answer: Make, tokens: Tokens) -> None:
    api_server.on(PODS, answer(body={"items": [pod("a", 1)]}))
    handle = alone(begun, api_server.url)
    until(lambda: api_server.asked)
    tokens.valid = {"Bearer of a companion"}
    until(lambda: api_server.asked[-1].headers["Authorization"] == "Bearer of a companion")
    assert _companion.finish(handle) == 1
