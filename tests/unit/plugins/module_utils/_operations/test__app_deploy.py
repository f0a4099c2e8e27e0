"""What a deployment is worth to users, by servers that lose some of their requests."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import (
    _app_deploy,
    _baseline,
    _called,
    _run,
    _version_distribution,
)
from ansible_collections.convoy.rollout.plugins.module_utils._run._journal import Journal
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._plan import Plan

GOOD = b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"version": "1.0.0"}'
LOST = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
ELSEWHERE = b"HTTP/1.1 301 Moved\r\nLocation: https://a.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

Answer = Callable[[int], bytes]


@contextlib.contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """The URL of a server that gives these answers to the first, second and further request (from 0)."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:

        def serve() -> None:
            for number in itertools.count():
                try:
                    connection, _peer = server.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    connection.recv(4096)
                    connection.sendall(answer(number))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/version"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def one_in(many: int, other: bytes = LOST) -> Answer:
    """One of so many answers is another one."""
    return lambda number: other if number % many == many // 2 else GOOD


def verified(
    directory: Path,
    *,
    baseline: dict[str, t.Any] | None = None,
    plan: dict[str, t.Any] | None = None,
    **given: t.Any,
) -> list[dict[str, t.Any]]:
    """What the run notes of what users get. Raises Failure."""
    handle = {"directory": str(directory), "locks": [], "baseline": baseline or {}, "plan": plan or {}}
    options = _called.options(_app_deploy.ARGUMENTS, {}, state="verified", run=handle, **{"settle": 0, **given})
    _app_deploy.run({**options, "namespace": "shop"}, Task())
    return [event for event in Journal(str(directory)).events() if event["kind"] == "verified"]


def by_url(url: str) -> dict[str, t.Any]:
    """An entry that is asked as fast as it can be."""
    return {"url": url, "rate_limit": 0.0, "concurrency": 1}


def test_one_lost_request_in_ten_thousand_passes_and_one_in_fifty_does_not(tmp_path: Path) -> None:
    with answering(one_in(10_000)) as url:
        (event,) = verified(tmp_path, entry=by_url(url))
    assert (event["verdict"], event["by"]) == ("pass", "versions")
    assert event["samples"] >= 500
    with answering(one_in(50)) as url, pytest.raises(Failure, match=r"answers 98% of \d+ requests .*99\.9% or more"):
        verified(tmp_path, entry=by_url(url))


def test_what_was_lost_before_the_change_may_be_lost_after_it_and_a_first_deployment_is_excused_nothing(
    tmp_path: Path,
) -> None:
    before = {"by": "versions", "samples": 500, "counts": {"1.0.0": 490}, "errors": {"HTTP 500": 10}}
    with answering(one_in(50)) as url:
        (event,) = verified(tmp_path, entry=by_url(url), baseline=before)
        assert event["verdict"] == "pass"
        with pytest.raises(Failure, match=r"expected 99\.9% or more"):
            verified(tmp_path, entry=by_url(url), baseline={"by": "later"})


LOOKED = _version_distribution.looked


class Services:
    """Services of a namespace, each of which is a server."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: Answer) -> None:
        self._stack = contextlib.ExitStack()
        self._urls = {name: self._stack.enter_context(answering(answer)) for name, answer in answers.items()}
        monkeypatch.setattr(_version_distribution, "looked", self.looked)
        monkeypatch.setattr(_app_deploy.time, "sleep", lambda _seconds: None)

    def __enter__(self) -> Services:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def looked(self, options: t.Mapping[str, t.Any], *others: t.Any, **more: t.Any) -> dict[str, t.Any]:
        """A look at the server instead of the Service."""
        if options["name"] not in self._urls:
            raise Failure(f"There is no Service {options['name']}.")
        fast = {"rate_limit": 0.0, "concurrency": 1, "name": None, "application_service": None}
        entry = {"url": self._urls[options["name"]]}
        return LOOKED({**options, **fast, "entry": entry}, *others, **more)


def test_each_service_is_judged_and_one_that_cannot_be_asked_is_not_said_to_pass(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Services(monkeypatch, api=one_in(10_000), web=lambda _number: ELSEWHERE):
        events = verified(tmp_path, services=["api", "web"])
    assert [(each["what"], each["verdict"]) for each in events] == [
        ("Service api", "pass"),
        ("Service web", "unverified"),
    ]
    assert events[0]["samples"] >= 500


def test_a_service_that_loses_one_in_fifty_fails_the_run_unless_it_did_so_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Services(monkeypatch, api=one_in(50)):
        with pytest.raises(Failure, match=r"Service api: .*answers 98%.* fix api, and deploy again"):
            verified(tmp_path, services=["api"])
        assert Journal(str(tmp_path)).events()[-2]["verdict"] == "fail"
        (tmp_path / "again").mkdir()
        before = noted(services=["api", "new"])
        assert before["services"].keys() == {"api"}
        assert before["services"]["api"]["samples"] == 500
        (event,) = verified(tmp_path / "again", services=["api"], baseline=before)
        assert event["verdict"] == "pass"


NEW = GOOD.replace(b"1.0.0", b"2.0.0")
CHANGED = {"before": {"api": "1.0.0"}, "target": {"api": "2.0.0"}}


def test_a_task_of_no_run_works_by_itself() -> None:
    with answering(one_in(10_000)) as url:
        options = _called.options(_app_deploy.ARGUMENTS, {}, state="verified", entry=by_url(url), namespace="shop")
        assert "0 lost" in _app_deploy.run(options, Task())["message"]


def until(many: int, answer: bytes, other: bytes) -> Answer:
    """So many answers are these, and then they are others."""
    return lambda number: answer if number < many else other


def test_what_was_replaced_must_answer_nobody_once_proxies_have_followed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_version_distribution.time, "sleep", lambda _seconds: None)
    asked = []

    def answer(number: int) -> bytes:
        asked.append(number)
        return GOOD if number < 8 else NEW

    with Services(monkeypatch, api=answer):
        (event,) = verified(tmp_path, services=["api"], plan=CHANGED, settle=9)
    assert (event["verdict"], event["counts"].keys()) == ("pass", {"2.0.0"})
    assert len(asked) < 2 * event["samples"]  # a look that such an answer decides makes no more requests


@pytest.mark.parametrize("answer", [one_in(50, NEW), one_in(10_000)])
def test_a_service_that_goes_on_to_answer_by_what_was_replaced_fails_the_run(
    answer: Answer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = r"Service api: .*1\.0\.0 was replaced, but still answers: find what else leads to it"
    with Services(monkeypatch, api=answer), pytest.raises(Failure, match=said):
        verified(tmp_path, services=["api"], plan=CHANGED)
    assert Journal(str(tmp_path)).events()[-2]["verdict"] == "fail"


@pytest.mark.parametrize("answer", [one_in(50, NEW), one_in(10_000)])
def test_an_entry_that_has_the_replaced_version_alone_may_be_something_else(answer: Answer, tmp_path: Path) -> None:
    mixed = b"2.0.0" in answer(25)
    with answering(answer) as url, contextlib.ExitStack() as raised:
        if mixed:
            raised.enter_context(pytest.raises(Failure, match=r"1\.0\.0 was replaced, but still answers"))
        (event,) = verified(tmp_path, entry=by_url(url), plan=CHANGED)
        assert event["verdict"] == "pass"


def noted(*, check_mode: bool = False, unverified: bool = False, services: t.Sequence[str]) -> dict[str, t.Any]:
    """What is known of the Services before the change. Raises Failure."""
    options = {name: spec.get("default") for name, spec in _run.ARGUMENTS.items()}
    options.update(namespace="shop", request={"min_success": 0.999}, unverified=unverified)
    plan = Plan(before="", target="", changes=True, headline="", would="", repairs=True, services=services)
    return _baseline.noted(options, Task(check_mode=check_mode), Journal(None), plan)


BUSY = b"HTTP/1.1 429 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def test_a_service_that_lets_in_too_few_requests_to_be_verified_is_refused_or_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Services(monkeypatch, api=until(200, GOOD, BUSY)), pytest.raises(Failure, match=r"Service api: .*HTTP 429"):
        noted(services=["api"])
    with Services(monkeypatch, web=until(200, GOOD, BUSY)):
        before = noted(services=["web"], unverified=True)
        (event,) = verified(tmp_path, services=["web"], baseline=before)
    assert event["verdict"] == "unverified"
    assert "429" in str(event["errors"])


def test_check_mode_asks_no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    with Services(monkeypatch, api=one_in(10_000)):
        assert noted(services=["api"], check_mode=True)["services"] == {}
