"""What is decided before a change, by what really answers."""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
import threading
import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _baseline, _run
from ansible_collections.convoy.rollout.plugins.module_utils._run._journal import Journal
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._plan import Plan

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


@contextlib.contextmanager
def answering(answer: bytes | t.Callable[[bytes], bytes]) -> t.Iterator[int]:
    """A server that answers each request so and closes the connection; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _peer = server.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    request = connection.recv(65536)
                    connection.sendall(answer if isinstance(answer, bytes) else answer(request))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def decided(
    port: int,
    *,
    unverified: bool = False,
    entry: dict[str, t.Any] | None = None,
    request: dict[str, t.Any] | None = None,
    **plan: t.Any,
) -> dict[str, t.Any]:
    """What is decided for what answers at a port."""
    options = {name: spec.get("default") for name, spec in _run.ARGUMENTS.items()}
    given = {"url": f"http://127.0.0.1:{port}/version", **(entry or {})}
    options.update(namespace="shop", entry=given, unverified=unverified, request=request or {})
    settings: dict[str, t.Any] = {"serves": True, "subject": "Deployment shop", **plan}
    planned = Plan(before="1.0.0", target="2.0.0", changes=True, headline="", would="", **settings)
    return _baseline.noted(options, Task(), Journal(None), planned)


@pytest.mark.parametrize(
    ("answer", "by"),
    [
        (OK + b'{"version": "1.0.0"}', "versions"),
        (OK + b'{"version": "something else"}', "versions"),
        (OK + b"<h1>Guestbook</h1>", "requests"),
        (b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", "requests"),
        (b'HTTP/1.0 200 OK\r\n\r\n{"version": "never heard of"}', "versions"),
        (b"HTTP/1.1 206 Part\r\nContent-Length: 2\r\n\r\nok", "requests"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "later"),
    ],
)
def test_what_answers_decides(answer: bytes, by: str) -> None:
    with answering(answer) as port:
        assert decided(port)["by"] == by


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            b"HTTP/1.1 301 No\r\nLocation: https://a.example/v\r\nContent-Length: 0\r\n\r\n",
            "set url=https://a.example/v",
        ),
        (b"HTTP/1.1 307 No\r\nLocation: /v2/version\r\nContent-Length: 0\r\n\r\n", "set path=/v2/version"),
        (
            b"HTTP/1.1 308 No\r\nLocation: https://login.example.com/sso?next=secret\r\nContent-Length: 0\r\n\r\n",
            "set url=https://login.example.com/sso,",
        ),
        (b"HTTP/1.1 304 No\r\n\r\n", "Check that path is right"),
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "Set headers that are let in, such as Authorization"),
        (b"HTTP/1.1 426 No\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n", "another port that speaks HTTP/1.1"),
        (b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n", "It limits the rate of requests"),
        (b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n", "Set the header Host"),
        (b"HTTP/1.1 421 No\r\nContent-Length: 0\r\n\r\n", "Set the header Host"),
        (b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", "set headers that are let in"),
        (bytes.fromhex("0000000400000000000000080700000000000000000000000001"), "5 x HTTP/2 only"),
        (b"-ERR wrong number of arguments for 'get' command\r\n", "5 x not HTTP"),  # Redis
        (b"", "5 x connection lost"),  # what speaks another protocol, and is asked nothing that it knows
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_changed_or_changed_unverified(
    answer: bytes, said: str
) -> None:
    with answering(answer) as port:
        with pytest.raises(Failure) as failure:
            decided(port)
        assert failure.value.message.startswith("Nothing was changed, as what users get could not be verified: ")
        assert said in failure.value.message
        found = decided(port, unverified=True)
    assert (found["by"], found["answered"]) == ("nothing", False)
    assert found["message"].startswith("what users get was not verified, as unverified=true allows: ")


def test_nothing_that_listens_is_a_fault_of_the_entry_while_pods_are_ready() -> None:
    with socket.socket() as silent:  # which keeps the port, and listens to nobody
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        with pytest.raises(Failure, match="5 x connection refused"):
            decided(port)
        assert decided(port, serves=False)["by"] == "later"


def test_a_canary_is_not_begun_while_users_get_errors() -> None:
    with answering(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n") as port:
        assert decided(port)["by"] == "later"
        with pytest.raises(Failure, match="Check the log of what answers there"):
            decided(port, needs_answers=True)


def test_an_application_that_answers_its_own_names_only_is_asked_by_one() -> None:
    def by_host(request: bytes) -> bytes:
        good = b"\r\nHost: shop.example.com\r\n" in request and b"\r\nUser-Agent: convoy.rollout/" in request
        return OK + b'{"version": "1.0.0"}' if good else b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"

    with answering(by_host) as port:
        with pytest.raises(Failure, match="Set the header Host"):
            decided(port)
        assert decided(port, entry={"headers": {"Host": "shop.example.com"}})["by"] == "versions"


def test_a_limit_of_requests_is_told_before_the_change_and_excuses_no_lost_ones() -> None:
    often = itertools.count()

    def some(_request: bytes) -> bytes:
        let_in = next(often) < 20
        return OK + b'{"version": "1.0.0"}' if let_in else b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n"

    judged = {"min_success": 0.999}
    with answering(some) as port:
        with pytest.raises(Failure) as failure:
            decided(port, request=judged)
        said = r"(\d+) of (\d+) requests to http://127.0.0.1:\d+/version got no good answer \(\1 x HTTP 429\)"
        assert re.search(said, failure.value.message), failure.value.message
        assert "It limits the rate of requests: set a lower rate_limit" in failure.value.message


def test_a_source_that_is_counted_is_asked_nothing() -> None:
    assert decided(1, entry={"source": "pods"})["by"] == "pods"
    assert decided(1, entry={"source": "endpoints"}, service="shop")["by"] == "endpoints"


def test_a_version_that_is_named_otherwise_than_by_the_images_is_told_before_the_change() -> None:
    with answering(OK + b'{"version": "1.0.0"}') as port:
        with pytest.raises(Failure, match="and the images of the ready pods name v1"):
            decided(port, running=["v1.0.0"])
        assert decided(port, running=["latest"])["by"] == "versions"


def test_where_there_is_no_place_to_ask_a_number_of_pods_can_be_proved_and_a_version_cannot() -> None:
    with pytest.raises(Failure, match="no Service leads to Deployment shop, and no entry says where users come in"):
        decided(1, entry={"url": None})
    assert decided(1, entry={"url": None}, countable=True)["by"] == "pods"
    assert decided(1, entry={"url": None}, unverified=True)["by"] == "nothing"
    assert decided(1, entry={"url": None}, idle="it has 0 replicas")["by"] == "nothing"
