"""What is asked again, when, and that nothing is done twice by it."""

from __future__ import annotations

import socket
import typing as t
from collections.abc import Callable

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api, _retries
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._api import Access, Api, ApiError, path_of
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._retries import Refusal, is_conditional, pause

Make = Callable[..., t.Any]
POD = path_of("pods", "default", "a")
SAME = {"op": "test", "path": "/metadata/resourceVersion", "value": "5"}


@pytest.mark.parametrize(
    ("refusal", "reads", "writes"),
    [
        (Refusal(429), True, True),
        (Refusal(429, retry_after=1), True, True),
        (Refusal(503, retry_after=1), True, True),
        (Refusal(503), True, False),
        (Refusal(500), True, False),
        (Refusal(502), True, False),
        (Refusal(504), True, False),
        (Refusal(0), True, False),
        (Refusal(0, sent=False), True, True),
        (Refusal(0, lasting=True), False, False),
        *[(Refusal(code), False, False) for code in (400, 401, 403, 404, 405, 409, 410, 415, 422, 501)],
    ],
)
def test_what_is_tried_again(refusal: Refusal, reads: bool, writes: bool) -> None:
    assert (pause(refusal, repeatable=True, attempt=1, elapsed=0) is not None) is reads
    assert (pause(refusal, repeatable=False, attempt=1, elapsed=0) is not None) is writes


def test_pauses_grow_within_their_jitter_and_end() -> None:
    def at(attempt: int, chance: float) -> float | None:
        return pause(Refusal(429), repeatable=False, attempt=attempt, elapsed=0, chance=lambda: chance)

    first = _retries.FIRST_PAUSE
    assert [at(attempt, 1.0) for attempt in (1, 2, 3)] == [first, 2 * first, 4 * first]
    assert [at(attempt, 0.0) for attempt in (1, 2, 3)] == [first / 2, first, 2 * first]
    assert at(_retries.ATTEMPTS, 0.5) is None


def test_the_server_says_how_long_at_least_but_not_beyond_the_end() -> None:
    asked = Refusal(429, retry_after=7)
    assert pause(asked, repeatable=False, attempt=1, elapsed=0) == 7
    assert pause(asked, repeatable=False, attempt=1, elapsed=_retries.PATIENCE - 5) is None
    assert pause(Refusal(429, retry_after=3600), repeatable=False, attempt=1, elapsed=0) is None


@pytest.mark.parametrize(
    ("method", "body", "safe"),
    [
        ("DELETE", {}, True),
        ("PUT", {"metadata": {"resourceVersion": "5"}}, True),
        ("PUT", {"metadata": {}}, False),
        ("PUT", {}, False),
        ("PATCH", [SAME, {"op": "replace", "path": "/spec/replicas", "value": 3}], True),
        ("PATCH", [{"op": "add", "path": "/spec/list/-", "value": 3}], False),
        ("PATCH", {"spec": {"replicas": 3}}, False),
        ("POST", {"metadata": {"name": "a"}}, False),
    ],
)
def test_which_changes_are_the_same_when_made_twice(method: str, body: t.Any, safe: bool) -> None:
    assert is_conditional(method, body) is safe


@pytest.fixture
def api(api_server: t.Any) -> Api:
    """A client of the scripted server."""
    return Api(Access(api_server.url))


#: What is answered in the end.
A_POD: dict[str, t.Any] = {
    "kind": "Pod",
    "metadata": {"name": "hello"},
    "spec": {"containers": [{"name": "hello", "image": "hello:1"}]},
}


def busy(answer: Make, code: int, after: str = "") -> t.Any:
    """A refusal, with Retry-After."""
    return answer(code, {"kind": "Status", "message": "later"}, headers=(("Retry-After", after),) if after else ())


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_read_survives_errors_that_pass(api: Api, api_server: t.Any, answer: Make, code: int) -> None:
    api_server.on(POD, busy(answer, code), answer(drop=True), busy(answer, code, "0"), answer(body=A_POD))
    assert api.get(POD) == A_POD
    assert len(api_server.asked) == 4


def test_a_read_gives_up_and_says_how_often_it_was_tried(api: Api, api_server: t.Any, answer: Make) -> None:
    api_server.on(POD, busy(answer, 500))
    with pytest.raises(ApiError, match=rf"later \(tried {_retries.ATTEMPTS} times in \d+ s\)"):
        api.get(POD)
    assert len(api_server.asked) == _retries.ATTEMPTS


@pytest.mark.parametrize("answered", [("drop", 0, ""), ("no", 500, ""), ("no", 503, "")])
def test_a_change_whose_answer_is_lost_is_made_once(
    api: Api, api_server: t.Any, answer: Make, answered: tuple[str, int, str]
) -> None:
    how, code, after = answered
    api_server.on(POD, answer(drop=True) if how == "drop" else busy(answer, code, after), answer(body={}))
    with pytest.raises(ApiError) as failed:
        api.patch(POD, {"spec": {}})
    assert (failed.value.status, len(api_server.asked)) == (code, 1)


@pytest.mark.parametrize(("code", "after"), [(429, ""), (429, "0"), (503, "0")])
def test_a_change_that_was_turned_away_is_made_later(
    api: Api, api_server: t.Any, answer: Make, code: int, after: str
) -> None:
    api_server.on(POD, busy(answer, code, after), answer(body=A_POD))
    assert api.patch(POD, {"spec": {}}) == A_POD
    assert len(api_server.asked) == 2


def test_an_apply_is_tried_again_where_the_object_changed_meanwhile_and_not_where_there_is_another_reason(
    api: Api, api_server: t.Any, answer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_api.time, "sleep", lambda _seconds: None)
    changed = answer(409, {"kind": "Status", "reason": "Conflict", "message": "the object has been modified"})
    api_server.on(POD, changed, changed, answer(body=A_POD))
    assert api.tried(POD, A_POD) == A_POD
    api_server.on(POD, changed)
    with pytest.raises(ApiError, match="has been modified"):
        api.tried(POD, A_POD)
    assert len(api_server.asked) == 3 + _retries.ATTEMPTS
    api_server.on(POD, answer(409, {"kind": "Status", "reason": "AlreadyExists", "message": "it exists"}))
    with pytest.raises(ApiError, match="exists"):
        api.tried(POD, A_POD)
    assert len(api_server.asked) == 3 + _retries.ATTEMPTS + 1


@pytest.mark.parametrize("dry", [False, True], ids=["conditional", "dry run"])
def test_a_change_that_cannot_happen_twice_is_made_again(api: Api, api_server: t.Any, answer: Make, dry: bool) -> None:
    api_server.on(POD, answer(drop=True), busy(answer, 500), answer(body=A_POD))
    assert api.patch(POD, {"a": 1} if dry else [SAME], dry_run=dry) == A_POD
    assert len(api_server.asked) == 3


def test_a_change_that_could_not_be_sent_is_tried_again(at_once: None) -> None:
    with socket.socket() as silent:  # which keeps the port, and listens to nobody
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        with pytest.raises(ApiError, match=rf"connection refused; .* \(tried {_retries.ATTEMPTS} times") as failed:
            Api(Access(f"http://127.0.0.1:{port}")).create(POD, {})
    assert failed.value.refusal.sent is False


@pytest.mark.parametrize("text", [b"<html>hello</html>", b"", b"[]", b"\xff\xfe", b"null"])
def test_an_answer_that_is_no_object_is_said_to_be_none(api: Api, monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr(api, "_request", lambda _path, _query: text)
    with pytest.raises(ApiError, match="answered with something that is not a Kubernetes object"):
        api.get(POD)
