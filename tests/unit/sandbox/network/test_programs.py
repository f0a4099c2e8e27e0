"""hello and auth answer, fail and end as the lab's images do."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest
from convoy_sandbox import quantities
from convoy_sandbox.network.addresses import Ports
from convoy_sandbox.network.containers import StartError
from convoy_sandbox.network.images import Image
from convoy_sandbox.network.programs import App, make_token, token_is_valid
from unit.sandbox.network.support import addresses, app, exchange, get, refused, until

HELLO = Image("hello", version="1.0.0")
# Ports that any user may bind, so that these tests say the same to everybody.
HIGH = ("-http=0.0.0.0:8080", "-health=0.0.0.0:8081")


def _basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def test_hello_answers() -> None:
    async def run() -> None:
        with addresses() as block:
            ip = block.pods.take()
            async with app(ip, Ports(), HELLO, *HIGH):
                version = await get(ip, 8080, "/version")
                assert (version.status, json.loads(version.body)) == (200, {"version": "1.0.0"})
                assert version.headers["content-type"] == "application/json"
                assert (await get(ip, 8080, "/")).body == b'{"message":"Hello"}\n'
                assert (await get(ip, 8080, "/secure")).status == 401
                assert (await get(ip, 8081, "/healthz")).status == 200
                assert (await get(ip, 8081, "/readiness")).status == 200
                assert (await get(ip, 8081, "/version")).status == 404
                head = await get(ip, 8080, "/version?x=1", method="HEAD")
                assert (head.body, head.headers["content-length"]) == (b"", "20")

    asyncio.run(run())


def test_a_login_opens_what_is_secured() -> None:
    async def run() -> None:
        with addresses() as block:
            ip, other = block.pods.take(), block.pods.take()
            auth = Image("auth", version="2.0.0")
            async with app(ip, Ports(), HELLO, *HIGH), app(other, Ports(), auth, *HIGH):
                login = await get(other, 8080, "/login", headers=_basic("user:password"))
                token = json.loads(login.body)["token"]
                assert (await get(ip, 8080, "/secure", headers={"Authorization": f"Bearer {token}"})).status == 200
                assert (await get(ip, 8080, "/secure", headers={"Authorization": f"Bearer {token}x"})).status == 401
                for headers in (_basic("user:wrong"), {"Authorization": "Basic ?"}, {}):
                    assert (await get(other, 8080, "/login", headers=headers)).status == 401
                assert json.loads((await get(other, 8080, "/version")).body) == {"version": "2.0.0"}
                assert (await get(other, 8080, "/")).status == 404

    asyncio.run(run())


def test_tokens_expire() -> None:
    token = make_token(1_000_000)
    assert token_is_valid(token, 1_000_000)
    assert token_is_valid(token, 1_000_000 + 71 * 3600)
    assert not token_is_valid(token, 1_000_000 + 73 * 3600)
    assert not token_is_valid("", 0)
    assert not token_is_valid("a.b.c", 0)


def test_one_connection_carries_many_requests() -> None:
    async def run() -> bytes:
        with addresses() as block:
            ip = block.pods.take()
            async with app(ip, Ports(), HELLO, *HIGH):
                # A request with a body, two in one piece, the last one of HTTP/1.0.
                return await exchange(
                    ip, 8080,
                    b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde"
                    b"GET /version HTTP/1.1\r\n\r\nGET /version HTTP/1.0\r\n\r\n",
                )  # fmt: skip

    answers = asyncio.run(run())
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    assert answers.count(b"Connection: close") == 1


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nx\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused(request_: bytes) -> None:
    async def run() -> bytes:
        with addresses() as block:
            ip = block.pods.take()
            async with app(ip, Ports(), HELLO, *HIGH):
                return await exchange(ip, 8080, request_)

    assert asyncio.run(run()).startswith(b"HTTP/1.1 400 ")


def test_health_can_be_switched() -> None:
    async def run() -> list[int]:
        with addresses() as block:
            ip = block.pods.take()
            async with app(ip, Ports(), HELLO, *HIGH):
                paths = [
                    "/readiness",
                    "/readiness/status",
                    "/readiness",
                    "/healthz",
                    "/readiness/status",
                    "/readiness",
                ]
                return [(await get(ip, 8081, path)).status for path in paths]

    assert asyncio.run(run()) == [200, 200, 503, 200, 200, 200]


def test_versions_that_go_wrong() -> None:
    async def run() -> None:
        with addresses() as block:
            ip, ports = block.pods.take(), Ports()
            async with app(ip, ports, Image("hello", version="x", ready=False), *HIGH):
                assert (await get(ip, 8081, "/readiness")).status == 503
                assert (await get(ip, 8081, "/healthz")).status == 200
            async with app(ip, ports, Image("hello", version="x", error_share=1.0), *HIGH):
                assert (await get(ip, 8080, "/version")).status == 500
                assert (await get(ip, 8081, "/readiness")).status == 200
            async with app(ip, ports, Image("hello", version="x", ready_after=0.05), *HIGH):
                assert (await get(ip, 8081, "/readiness")).status == 503
                async with asyncio.timeout(300):
                    while (await get(ip, 8081, "/readiness")).status != 200:  # noqa: ASYNC110 - only asking tells
                        await asyncio.sleep(0.01)
            async with app(ip, ports, Image("hello", version="x", crash_after=0.0), *HIGH) as crashed:
                assert await asyncio.wait_for(crashed.exited, 300) == 1
                assert "panic: version x" in crashed.logs()
                assert await refused(ip, 8080)

    asyncio.run(run())


def test_a_stop_answers_what_is_under_way() -> None:
    async def run() -> None:
        with addresses() as block:
            ip, ports = block.pods.take(), Ports()
            running = App(Image("hello", version="1.0.0", delay=0.2), ip, ports, list(HIGH))
            asked = asyncio.create_task(get(ip, 8080, "/version"))
            idle, idle_writer = await asyncio.open_connection(ip, 8081)
            await until(lambda: running._servers[1]._connections)
            stopping = asyncio.create_task(running.stop(300))
            answer = await asyncio.wait_for(asked, 300)
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            await asyncio.wait_for(stopping, 300)
            assert running.exited.result() == 0
            assert await refused(ip, 8080)
            assert await asyncio.wait_for(idle.read(), 300) == b""
            idle_writer.close()
            # The ports are free for whoever comes next at this address.
            async with app(ip, ports, HELLO, *HIGH):
                assert (await get(ip, 8080, "/version")).status == 200

    asyncio.run(run())


@pytest.mark.parametrize(
    ("stops", "delay", "grace", "code", "answered"),
    [
        ("drains", 0.05, 300.0, 0, True),
        ("drains", 300.0, 0.05, 137, False),  # killed before it has answered
        ("drops", 300.0, 300.0, 143, False),
        ("ignores", 300.0, 0.05, 137, False),
    ],
)
def test_what_an_image_does_on_sigterm(stops: str, delay: float, grace: float, code: int, answered: bool) -> None:
    async def run() -> None:
        with addresses() as block:
            ip = block.pods.take()
            image = Image("hello", version="1.0.0", stops=stops, delay=delay)
            async with app(ip, Ports(), image, *HIGH) as running:
                asked = asyncio.ensure_future(
                    exchange(ip, 8080, b"GET /version HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n\r\n")
                )
                await until(lambda: any(each.busy for each in running._servers[1]._connections))
                await running.stop(grace)
                assert running.exited.result() == code
                try:
                    answer = await asked
                except ConnectionError:
                    answer = b""
                assert (b"1.0.0" in answer) is answered
                assert await refused(ip, 8080)

    asyncio.run(run())


def test_two_containers_of_a_pod_cannot_have_one_port() -> None:
    async def run() -> None:
        with addresses() as block:
            ip, ports = block.pods.take(), Ports()
            async with app(ip, ports, HELLO, *HIGH), app(ip, ports, HELLO, *HIGH) as second:
                assert await asyncio.wait_for(second.exited, 300) == 1
                assert "bind: address already in use" in second.logs()
                assert (await get(ip, 8080, "/version")).status == 200

    asyncio.run(run())


@pytest.mark.parametrize("arguments", [["-port", "80"], ["-http"], ["-http=0.0.0.0"], ["-http=:70000"]])
def test_unknown_flags_keep_a_container_from_starting(arguments: list[str]) -> None:
    async def run() -> None:
        App(HELLO, "127.0.0.1", Ports(), arguments)

    with pytest.raises(StartError, match="flag provided but not defined"):
        asyncio.run(run())


@pytest.mark.parametrize(("limit", "code"), [("64Mi", 137), ("2Gi", 0), (None, 0)])
def test_too_much_memory_for_the_limit_ends_a_container(limit: str | None, code: int) -> None:
    async def run() -> None:
        with addresses() as block:
            ip, ports = block.pods.take(), Ports()
            bytes_ = None if limit is None else quantities.parse(limit)
            image = Image("hello", version="x", memory="1Gi", memory_after=0.0)
            running = App(image, ip, ports, list(HIGH), memory_limit=bytes_)
            if code:
                await asyncio.wait_for(running.exited, 300)
            await running.stop(0)
            assert (running.exited.result(), running.end_reason) == (code, "OOMKilled" if code else "")

    asyncio.run(run())


def test_a_share_of_the_answers_is_slow() -> None:
    async def run() -> None:
        with addresses() as block:
            ip = block.pods.take()
            async with app(ip, Ports(), Image("hello", version="x", delay=300.0, delay_share=0.0), *HIGH):
                assert (await get(ip, 8080, "/version")).status == 200

    asyncio.run(run())
