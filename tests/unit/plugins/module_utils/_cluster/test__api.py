"""Reaching an API server, and following lists through whatever happens to their watches."""

from __future__ import annotations

import socket
import time
import typing as t
from collections.abc import Callable

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _mirror
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._access import Access, Credential, Credentials
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._api import Api, ApiError, path_of
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._mirror import Mirror
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure

Object = dict[str, t.Any]
Make = Callable[..., t.Any]
PODS = path_of("pods", "default")


@pytest.mark.parametrize("server", ["ftp://x", "nonsense", "https://"])
def test_an_address_that_is_no_url(server: str) -> None:
    with pytest.raises(Failure, match="not an http or https URL"):
        Api(Access(server, verify=False))


def test_calls_are_made_over_one_connection(api_server: t.Any, answer: Make) -> None:
    api_server.on(PODS, answer(body={"items": [pod("a", 1)]}))
    api = Api(Access(api_server.url, credentials=Credentials(Credential("Bearer t"))))
    for _time in range(3):
        assert api.items(PODS, labelSelector="a=b") == [pod("a", 1)]
    api.close()
    assert api_server.connections == 1
    assert {ask.headers["Authorization"] for ask in api_server.asked} == {"Bearer t"}
    assert {ask.query["labelSelector"] for ask in api_server.asked} == {"a=b"}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (401, "does not accept the credentials .401.; renew them"),
        (403, 'cannot list resource "pods"; allow this user to do that'),
        (404, 'cannot list resource "pods"'),
    ],
)
def test_refusals(api_server: t.Any, refusal: Make, code: int, said: str) -> None:
    api_server.on(PODS, refusal(code, "Reason", 'User "x" cannot list resource "pods"'))
    with pytest.raises(ApiError, match=said) as failed:
        Api(Access(api_server.url)).get(PODS)
    assert (failed.value.status, failed.value.reason) == (code, "Reason")


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as silent:  # which keeps the port, and listens to nobody
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        with pytest.raises(ApiError, match="cannot be reached: connection refused; start the cluster") as failed:
            Api(Access(f"http://127.0.0.1:{port}")).get(PODS)
    assert failed.value.status == 0


def pod(name: str, version: int) -> Object:
    """A pod."""
    return {
        "metadata": {"name": name, "uid": name, "resourceVersion": str(version)},
        "spec": {"containers": [{"name": "hello", "image": "hello:1"}]},
    }


def change(kind: str, name: str, version: int) -> Object:
    """An event of a watch."""
    return {"type": kind, "object": pod(name, version)}


def listed(answer: Make, version: int, *names: str) -> t.Any:
    """A list."""
    items = [pod(name, version) for name in names]
    return answer(body={"metadata": {"resourceVersion": str(version)}, "items": items})


def followed(api_server: t.Any, until: set[str]) -> list[str]:
    """Follow the pods until these are there; what was asked for meanwhile."""
    mirror = Mirror(Access(api_server.url), {"pods": (PODS, {"labelSelector": "a=b"})}, 300)
    try:
        while set(mirror.objects["pods"]) != until:
            assert mirror.wait(), f"only {set(mirror.objects['pods'])} came"
    finally:
        mirror.close()
    return t.cast("list[str]", api_server.paths())


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried soon."""
    monkeypatch.setattr(_mirror, "PAUSE", 0.01)


def test_a_list_and_its_changes(api_server: t.Any, answer: Make) -> None:
    api_server.on(PODS, listed(answer, 5, "a", "b"))
    events = (change("BOOKMARK", "x", 6), change("DELETED", "a", 7), change("ADDED", "c", 8))
    api_server.on_watch(PODS, answer(events=events, hold=True))
    assert followed(api_server, {"b", "c"}) == [PODS, f"{PODS}?watch"]
    assert api_server.asked[1].query["resourceVersion"] == "5"
    assert api_server.asked[1].query["labelSelector"] == "a=b"


@pytest.mark.parametrize("cut", [False, True], ids=["ended", "cut off in the middle of an event"])
def test_a_watch_that_is_dropped_is_taken_up_where_it_stopped(api_server: t.Any, answer: Make, cut: bool) -> None:
    api_server.on(PODS, listed(answer, 5, "a"))
    first = answer(events=(change("ADDED", "b", 6),), cut=cut)
    api_server.on_watch(PODS, first, answer(events=(change("ADDED", "c", 7),), hold=True))
    assert followed(api_server, {"a", "b", "c"}) == [PODS, f"{PODS}?watch", f"{PODS}?watch"]
    assert [ask.query["resourceVersion"] for ask in api_server.asked[1:]] == ["5", "6"]


def test_410_gone_begins_again_with_a_list(api_server: t.Any, answer: Make, refusal: Make) -> None:
    expired = {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}
    api_server.on(PODS, listed(answer, 5, "a"), listed(answer, 9, "b"), listed(answer, 12, "c"))
    api_server.on_watch(PODS, answer(events=(expired,)), refusal(410, "Gone", "too old"), answer(events=(), hold=True))
    assert followed(api_server, {"c"})[:5] == [PODS, f"{PODS}?watch", PODS, f"{PODS}?watch", PODS]


def test_a_server_error_passes(api_server: t.Any, answer: Make, refusal: Make) -> None:
    api_server.on(PODS, refusal(503, "ServiceUnavailable", "restarting"), listed(answer, 5, "a"))
    api_server.on_watch(PODS, answer(hold=True))
    assert followed(api_server, {"a"})[:2] == [PODS, PODS]


@pytest.mark.parametrize("code", [401, 403])
def test_who_may_not_watch_is_told_so(api_server: t.Any, answer: Make, refusal: Make, code: int) -> None:
    api_server.on(PODS, listed(answer, 5, "a"))
    api_server.on_watch(PODS, refusal(code, "No", "cannot watch"))
    with pytest.raises(ApiError) as failed:
        followed(api_server, {"nothing"})
    assert failed.value.status == code


def test_a_mirror_ends_in_time(api_server: t.Any, answer: Make) -> None:
    api_server.on(PODS, listed(answer, 5, "a"))
    api_server.on_watch(PODS, answer(hold=True))
    mirror = Mirror(Access(api_server.url), {"pods": (PODS, {})}, 300)
    assert mirror.wait()
    assert not mirror.wait(time.monotonic() + 0.1)
    mirror._deadline = time.monotonic() + 0.1
    assert not mirror.wait()
    mirror.close()


@pytest.mark.parametrize(
    ("write", "method", "content_type", "body"),
    [
        (lambda api, dry: api.create(PODS, {"kind": "Pod"}, dry_run=dry), "POST", "application/json", {"kind": "Pod"}),
        (lambda api, dry: api.replace(PODS, {"kind": "Pod"}, dry_run=dry), "PUT", "application/json", {"kind": "Pod"}),
        (lambda api, dry: api.patch(PODS, {"a": 1}, dry_run=dry), "PATCH", "application/merge-patch+json", {"a": 1}),
        (lambda api, dry: api.patch(PODS, [{"op": "x"}], dry_run=dry), "PATCH", "application/json-patch+json", None),
        (lambda api, dry: api.delete(PODS, {"a": 1}, dry_run=dry), "DELETE", "application/json", {"a": 1}),
    ],
)
@pytest.mark.parametrize("dry", [False, True])
def test_writes(
    api_server: t.Any, answer: Make, write: t.Any, method: str, content_type: str, body: t.Any, dry: bool
) -> None:
    api_server.on(PODS, answer(body=pod("seen", 2)))
    assert write(Api(Access(api_server.url)), dry) == pod("seen", 2)
    asked = api_server.asked[0]
    assert (asked.method, asked.headers["Content-Type"]) == (method, content_type)
    assert body is None or asked.body == body
    assert asked.query.get("dryRun") == ("All" if dry else None)
    assert asked.query.get("fieldManager") == (None if method == "DELETE" else "convoy.rollout")


def test_a_write_that_is_refused_says_why(api_server: t.Any, refusal: Make) -> None:
    api_server.on(PODS, refusal(409, "Conflict", "the object has been modified"))
    with pytest.raises(ApiError, match="the object has been modified") as caught:
        Api(Access(api_server.url)).replace(PODS, {})
    assert (caught.value.status, len(api_server.asked)) == (409, 1)
