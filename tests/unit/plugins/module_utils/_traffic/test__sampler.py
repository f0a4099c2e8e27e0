"""Sampling servers that answer well, badly and not at all."""

from __future__ import annotations

import asyncio
import datetime
import errno
import ipaddress
import itertools
import math
import os
import random
import socket
import ssl
import statistics
import threading
import typing as t
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._proxy import Proxy
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._traffic import _answers, _sampler
from ansible_collections.convoy.rollout.plugins.module_utils._traffic._remedies import remedy
from ansible_collections.convoy.rollout.plugins.module_utils._traffic._sampler import Sample, Target
from ansible_collections.convoy.rollout.plugins.module_utils._traffic._versions import reader
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Serve = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{"version":"1.0.0"}'


class Seen(t.NamedTuple):
    """What came of sampling a server."""

    samples: list[Sample]
    requests: list[bytes]
    connections: int
    most_at_once: int

    @property
    def outcomes(self) -> set[tuple[str | None, str | None]]:
        """Versions and errors."""
        return {(sample.version, sample.error) for sample in self.samples}


def taken(
    target: Target, most: int = 1, *, concurrency: int = 4, seconds: float = 60.0, sources: t.Sequence[str] = ()
) -> list[Sample]:
    """The samples that are handed over."""
    found: list[Sample] = []

    def take(sample: Sample) -> bool:
        found.append(sample)
        return True

    _sampler.sample(
        target,
        reader({}),
        take,
        concurrency=concurrency,
        timeout=seconds,
        rate=_sampler.Rate(0),
        most=most,
        sources=sources,
    )
    return found


def sampled(serve: Serve, samples: int = 1, tls: ssl.SSLContext | None = None, **how: t.Any) -> Seen:
    """Sample a server that answers with `serve`, and keeps its connections open after it."""
    requests: list[bytes] = []
    connections = at_once = most = 0

    async def client(incoming: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections, at_once, most
        connections, at_once = connections + 1, at_once + 1
        most = max(most, at_once)
        try:
            while True:
                request = await incoming.readuntil(b"\r\n\r\n")
                requests.append(request)
                await serve(request, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            at_once -= 1
            writer.close()

    settings: dict[str, t.Any] = {"concurrency": 4, "seconds": 60.0, "sources": ()}
    settings.update({key: how.pop(key) for key in list(how) if key in settings})

    async def main() -> list[Sample]:
        server = await asyncio.start_server(client, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        target = Target(**{"host": "127.0.0.1", "port": port, "path": "/version", **how})
        try:
            return await asyncio.to_thread(taken, target, samples, **settings)
        finally:
            server.close()

    return Seen(asyncio.run(main()), requests, connections, most)


def says(answer: bytes) -> Serve:
    """A server that always says the same."""

    async def serve(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return serve


def test_each_sample_is_a_connection_of_its_own_though_the_server_would_keep_it() -> None:
    seen = sampled(says(OK), samples=30)
    assert seen.outcomes == {("1.0.0", None)}
    assert (len(seen.samples), seen.connections) == (30, 30)
    assert 1 < seen.most_at_once <= 4


def test_what_is_asked() -> None:
    seen = sampled(says(OK), headers={"host": "shop.example.com", "X-Who": "me"}, path="/v?x=1")
    head = seen.requests[0].decode().split("\r\n")
    assert head[0] == "GET /v?x=1 HTTP/1.1"
    assert sorted(head[1:-2]) == [
        "Accept-Encoding: identity",
        "Accept: application/json, text/html;q=0.9, */*;q=0.8",
        "Connection: close",
        "User-Agent: convoy.rollout/0.2.0",
        "X-Who: me",
        "host: shop.example.com",
    ]


def test_requests_name_the_version_that_the_collection_has() -> None:
    galaxy = (Path(__file__).parents[5] / "galaxy.yml").read_text()
    assert f"\nversion: {_sampler.VERSION}\n" in galaxy


def test_a_user_agent_of_ones_own_is_sent_in_the_place_of_it() -> None:
    request = Target("h", 80, "/", {"user-agent": "curl/8"}).request().decode()
    assert "user-agent: curl/8\r\n" in request
    assert "convoy.rollout" not in request


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (Target("h", 80, "/"), "h"),
        (Target("h", 8080, "/"), "h:8080"),
        (Target("::1", 80, "/"), "[::1]"),
    ],
)
def test_the_host_header(target: Target, host: str) -> None:
    assert f"Host: {host}\r\n".encode() in target.request()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9;x=y\r\n{"version\r\nA\r\n":"1.0.0"}\r\n0\r\n\r\n',
            ("1.0.0", None),
        ),
        (b"HTTP/1.1 503 Nope\r\nContent-Length: 0\r\n\r\n", (None, "HTTP 503")),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", (None, "HTTP 302")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", (None, "no version in the answer")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", (None, "not HTTP")),
        (b"SSH-2.0-OpenSSH\r\n\r\n", (None, "not HTTP")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", (None, "not HTTP")),
        (b"X" * 100_000, (None, "not HTTP")),
        # A hint of what is to come, and the answer behind it at once.
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + OK, ("1.0.0", None)),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK, ("1.0.0", None)),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", (None, "HTTP 101")),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 19\r\n\r\n", (None, "no version in the answer")),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 19\r\n\r\n", (None, "HTTP 304")),
        # Trailers behind the last chunk, and sizes with leading zeros.
        (
            b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: Chunked\r\n\r\n"
            b'0013\r\n{"version":"1.0.0"}\r\n000\r\nX-Sum: 1\r\n\r\n',
            ("1.0.0", None),
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", (None, "not HTTP")),
        # What is chunked has no other length.
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
            b'13\r\n{"version":"1.0.0"}\r\n0\r\n\r\n',
            ("1.0.0", None),
        ),
        # Lines that end without a carriage return, and a length that a proxy has said twice.
        (b'HTTP/1.0 200 OK\nContent-Length: 19, 19\n\n{"version":"1.0.0"}', ("1.0.0", None)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 19, 20\r\n\r\n", (None, "not HTTP")),
        # Headers that are odd, and none of the reader's business.
        (
            b"HTTP/1.1 200\r\nX-Folded: one\r\n  two\r\nno colon here\r\n: no name\r\nContent-length:19\r\n\r\n"
            b'{"version":"1.0.0"}',
            ("1.0.0", None),
        ),
        (b"HTTP/1.1 200 OK\r\nX-Latin: caf\xe9\r\nContent-Length: 19\r\n\r\n" + OK[-19:], ("1.0.0", None)),
        (
            b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\nLocation: https://a.example/v?t=1\r\n\r\n",
            (None, "HTTP 301 to https://a.example/v"),
        ),
        # HTTP/2, which an HTTP/1.1 request is not answered in: SETTINGS, then GOAWAY.
        (bytes.fromhex("000000040000000000000008070000000000"), (None, "HTTP/2 only")),
        (bytes.fromhex("00001204000000000000"), (None, "HTTP/2 only")),
    ],
)
def test_answers(answer: bytes, outcome: tuple[str | None, str | None]) -> None:
    assert sampled(says(answer)).outcomes == {outcome}


def test_a_body_that_ends_with_its_connection() -> None:
    async def serve(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.0 200 OK\r\n\r\n{"version":')
        await asyncio.sleep(0)
        writer.write(b'"1.0.0"}')
        writer.write_eof()

    assert sampled(serve).outcomes == {("1.0.0", None)}


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{"])
def test_a_connection_that_is_reset(begun: bytes) -> None:
    async def serve(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        writer.transport.abort()

    assert sampled(serve).outcomes == {(None, "connection lost")}


def test_an_endless_body_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sampler, "MOST", 1000)

    async def serve(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n" + b"x" * 2000)

    assert sampled(serve).outcomes == {(None, "no version in the answer")}


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "raw"])
def test_a_body_that_is_compressed_though_nobody_asked_for_that(coding: str) -> None:
    packer = zlib.compressobj(wbits={"deflate": 15, "raw": -15}.get(coding, 31))
    body = packer.compress(b'{"version":"1.0.0"}') + packer.flush()
    said = "deflate" if coding == "raw" else coding
    answer = f"HTTP/1.1 200 OK\r\nContent-Encoding: {said}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    assert sampled(says(answer)).outcomes == {("1.0.0", None)}


def test_a_compressed_body_is_not_unpacked_without_end() -> None:
    packed = zlib.compress(b'{"version":"1.0.0"}' + b" " * 10_000_000)
    assert len(_answers.decoded({"content-encoding": "deflate"}, packed, 1000)) == 1000


def test_the_sampler_ends_with_its_last_request_also_where_that_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waited a whole timeout for an answer to no request."""
    turns = []
    turn = _sampler._Loop.turn
    monkeypatch.setattr(_sampler._Loop, "turn", lambda self, *how: (turns.append(how), turn(self, *how)))
    seen = sampled(says(OK), samples=5, sources=["192.0.2.7"])
    assert (len(seen.samples), turns) == (5, [])


def test_a_server_that_says_nothing_is_a_timeout() -> None:
    seen = sampled(says(b""), samples=3, seconds=0.05)
    assert seen.outcomes == {(None, "timeout")}
    assert len(seen.samples) == 3


def test_the_time_in_which_this_process_does_not_get_to_look_is_not_the_servers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, turn = [1000.0], _sampler._Loop.turn
    monkeypatch.setattr(_sampler, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def late(self: t.Any, pause: float, stop: t.Any) -> None:
        now[0] += 100.0
        turn(self, pause, stop)

    async def in_parts(_request: bytes, writer: asyncio.StreamWriter) -> None:
        for part in (OK[:20], OK[20:50], OK[50:]):
            writer.write(part)
            await asyncio.sleep(0.02)

    monkeypatch.setattr(_sampler._Loop, "turn", late)
    seen = sampled(in_parts, samples=3)  # each of which may take 60 s
    assert seen.outcomes == {("1.0.0", None)}
    assert all(sample.seconds < 60 and sample.unseen > 100 for sample in seen.samples)


def test_a_port_that_refuses() -> None:
    assert sampled(says(OK), port=1).outcomes == {(None, "connection refused")}


def test_nothing_is_dropped_where_some_answers_fail() -> None:
    turn = iter(range(1000))

    async def serve(_request: bytes, writer: asyncio.StreamWriter) -> None:
        if next(turn) % 2:
            writer.write(OK)
        else:
            writer.transport.abort()

    found = Counter((s.version, s.error) for s in sampled(serve, samples=20).samples)
    assert found == {("1.0.0", None): 10, (None, "connection lost"): 10}


def begins(rate: _sampler.Rate, late: float = 0.0) -> list[float]:
    """When 500 requests would begin of which each is made as soon as it may be, or so much later."""
    now, begun = 100.0, []
    while len(begun) < 500:
        wait = rate.wait(now)
        if wait > 0:
            now += wait + late
            continue
        rate.begin(now)
        begun.append(now)
    return begun


@pytest.mark.parametrize(("limit", "late"), [(200.0, 0.0), (200.0, 0.013), (7.5, 0.3), (0.5, 0.0)])
def test_no_second_sees_more_requests_than_the_rate(limit: float, late: float) -> None:
    begun = begins(_sampler.Rate(limit), late)
    for place, when in enumerate(begun):
        assert sum(1 for other in begun[place:] if other < when + 1 - 1e-9) <= max(1, limit)


def test_a_steady_rate_is_spread_out() -> None:
    begun = begins(_sampler.Rate(20, steady=True))
    assert min(b - a for a, b in itertools.pairwise(begun)) == pytest.approx(0.05)


def test_gaps_are_random_so_that_turns_of_others_are_not_always_the_same_ones() -> None:
    begun = begins(_sampler.Rate(20, chance=random.Random(1)))
    gaps = [after - before for before, after in itertools.pairwise(begun)]
    inside = [gap for gap in gaps if gap < 0.2]
    assert statistics.stdev(inside) > statistics.mean(inside) / 2
    assert begins(_sampler.Rate(20, chance=random.Random(2))) != begun


def test_the_last_request_is_not_waited_for_once_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []
    real = _sampler._Loop.turn

    def turn(self: t.Any, pause: float, stop: t.Any) -> None:
        waited.append(len(self.asked))
        real(self, 0.0, stop)

    monkeypatch.setattr(_sampler._Loop, "turn", turn)
    assert len(taken(Target("nope.invalid", 80, "/"), 5)) == 5
    assert len(taken(Target("127.0.0.1", 1, "/"), 5, sources=["203.0.113.9"])) == 5
    assert 0 not in waited


def short_of_files(monkeypatch: pytest.MonkeyPatch, times: float) -> None:
    """Have this machine be out of files for so many sockets."""
    real, left = socket.socket, [times]

    def made(*what: t.Any, **how: t.Any) -> socket.socket:
        if left[0] > 0:
            left[0] -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(*what, **how)

    monkeypatch.setattr(_sampler.socket, "socket", made)


def test_a_request_that_this_machine_has_no_files_for_is_made_later_and_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for _connection in range(4):
            threading.Thread(target=lambda: server.accept()[0].sendall(OK), daemon=True).start()
        short_of_files(monkeypatch, 3)
        assert [sample.version for sample in taken(Target("127.0.0.1", port, "/"), 4)] == ["1.0.0"] * 4


def test_a_machine_that_stays_out_of_files_is_told_of_and_no_request_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    short_of_files(monkeypatch, math.inf)
    monkeypatch.setattr(_sampler, "SHORT", 0.0)
    with pytest.raises(Failure, match=r"This machine cannot make requests \(Too many open files\).*ulimit -n"):
        taken(Target("127.0.0.1", 80, "/"), 4)


def test_a_resolver_that_is_slow_stops_no_request_whose_address_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sampler, "FRESH", 0.0)
    asked, silent = [0], threading.Event()
    real = _sampler.Target.addresses

    def addresses(self: Target) -> list[_sampler.Address]:
        asked[0] += 1
        if asked[0] > 1:
            silent.wait()
        return real(self)

    monkeypatch.setattr(_sampler.Target, "addresses", addresses)
    seen = sampled(says(OK), 20)
    silent.set()
    assert seen.outcomes == {("1.0.0", None)}
    assert asked[0] == 2


def test_a_resolver_that_says_nothing_is_this_machines_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = threading.Event()
    monkeypatch.setattr(_sampler, "RESOLVED", 0.0)
    monkeypatch.setattr(_sampler.Target, "addresses", lambda _self: silent.wait())
    with pytest.raises(Failure, match=r"The resolver of this machine has not answered .* where shop.example is"):
        taken(Target("shop.example", 80, "/"), 4)
    silent.set()


def test_a_resolver_that_is_out_of_order_for_a_moment_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sampler, "AGAIN", 0.0)
    real, fails = _sampler.Target.addresses, [2]

    def addresses(self: Target) -> list[_sampler.Address]:
        if fails[0]:
            fails[0] -= 1
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(self)

    monkeypatch.setattr(_sampler.Target, "addresses", addresses)
    assert sampled(says(OK), 5).outcomes == {("1.0.0", None)}


def test_samples_come_in_the_order_in_which_they_were_made() -> None:
    turn, rest = iter(range(100)), asyncio.Event()

    async def serve(_request: bytes, writer: asyncio.StreamWriter) -> None:
        number = next(turn)
        if number == 0:  # the first answer comes last
            await rest.wait()
            await asyncio.sleep(0.1)
        writer.write(OK)
        if number == 11:
            rest.set()

    seen = sampled(serve, samples=12)
    begun = [sample.begun for sample in seen.samples]
    assert begun == sorted(begun)
    assert max(seen.samples, key=lambda sample: sample.seconds) in seen.samples[:4]  # as many as are made at once


def test_an_error_that_names_its_version_is_both() -> None:
    body = b'{"version":"2.0.0"}'
    answer = b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    assert sampled(says(answer)).outcomes == {("2.0.0", "HTTP 500")}


def test_a_name_with_two_addresses_is_tried_at_both(monkeypatch: pytest.MonkeyPatch) -> None:
    real = _sampler.Target.addresses
    monkeypatch.setattr(_sampler.Target, "addresses", lambda self: [(2, ("127.0.0.1", 1)), *real(self)])
    assert sampled(says(OK), samples=3).outcomes == {("1.0.0", None)}


def certified(folder: Path, *names: str, expired: bool = False) -> tuple[ssl.SSLContext, str]:
    """A server's TLS settings with a certificate that signs itself, and where that is."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    alternatives: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=2))
        .not_valid_after(now + datetime.timedelta(hours=-1 if expired else 1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "pair.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context, str(pem)


def test_tls_is_checked_against_a_ca_and_a_name(tmp_path: Path) -> None:
    server, ca = certified(tmp_path, "127.0.0.1", "inside")
    trusting = ssl.create_default_context(cafile=ca)
    assert sampled(says(OK), tls=server, ssl_context=trusting).outcomes == {("1.0.0", None)}
    assert sampled(says(OK), tls=server, ssl_context=trusting, server_name="inside").outcomes == {("1.0.0", None)}
    (other,) = sampled(says(OK), tls=server, ssl_context=trusting, server_name="other").samples
    assert other.error
    assert "certificate not trusted" in other.error


def test_a_certificate_that_has_expired_or_is_for_another_name_has_a_remedy_of_its_own(tmp_path: Path) -> None:
    server, ca = certified(tmp_path, "127.0.0.1", expired=True)
    (late,) = sampled(says(OK), tls=server, ssl_context=ssl.create_default_context(cafile=ca)).samples
    assert "renew it and its CA" in remedy(str(late.error))
    server, ca = certified(tmp_path, "192.0.2.1", "shop.example.com")
    trusting = ssl.create_default_context(cafile=ca)
    for name in (None, "other.example.com"):
        (other,) = sampled(says(OK), tls=server, ssl_context=trusting, server_name=name).samples
        assert "a server_name that it is valid for" in remedy(str(other.error))
    (right,) = sampled(says(OK), tls=server, ssl_context=trusting, server_name="shop.example.com").samples
    assert right.error is None


def test_tls_of_an_unknown_ca(tmp_path: Path) -> None:
    server, _ca = certified(tmp_path, "127.0.0.1")
    (wary,) = sampled(says(OK), tls=server, ssl_context=ssl.create_default_context()).samples
    assert wary.error
    assert "certificate not trusted" in wary.error
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    assert sampled(says(OK), tls=server, ssl_context=blind).outcomes == {("1.0.0", None)}


def test_tls_with_a_server_that_asks_for_a_clients_certificate(tmp_path: Path) -> None:
    server, ca = certified(tmp_path, "127.0.0.1")
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(ca)
    answered = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse() -> None:
            tls = server.wrap_socket(listening.accept()[0], server_side=True, do_handshake_on_connect=False)
            with tls:
                with pytest.raises(ssl.SSLError):
                    tls.do_handshake()
                answered.wait()  # a server that closes at once may be quicker than its alert

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        trusting = ssl.create_default_context(cafile=ca)
        target = Target("127.0.0.1", listening.getsockname()[1], "/", ssl_context=trusting)
        (refused,) = taken(target)
        answered.set()
        thread.join()
    assert refused.error == "TLS failed (a client's certificate is asked for)"
    assert "an entry has none" in remedy(refused.error)


def test_tls_with_a_server_that_has_none() -> None:
    async def main() -> list[Sample]:
        async def plain(_incoming: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        target = Target("127.0.0.1", server.sockets[0].getsockname()[1], "/", ssl_context=ssl.create_default_context())
        try:
            return await asyncio.to_thread(taken, target)
        finally:
            server.close()

    assert [sample.error for sample in asyncio.run(main())] == ["TLS failed"]


def proxied(first_line: bytes) -> tuple[list[Sample], list[bytes]]:
    """Sample through an HTTP proxy that answers CONNECT with this, and then as the server would."""
    asked: list[bytes] = []

    async def main() -> list[Sample]:
        async def client(incoming: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await incoming.readuntil(b"\r\n\r\n"))
            writer.write(first_line + b"\r\n\r\n")
            if b"200" in first_line:
                asked.append(await incoming.readuntil(b"\r\n\r\n"))
                writer.write(OK)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(client, "127.0.0.1", 0)
        proxy = Proxy("127.0.0.1", server.sockets[0].getsockname()[1])
        try:
            return await asyncio.to_thread(taken, Target("inside", 8080, "/v", proxy=proxy))
        finally:
            server.close()

    return asyncio.run(main()), asked


def test_through_a_proxy() -> None:
    samples, asked = proxied(b"HTTP/1.1 200 Connection established")
    assert [sample.version for sample in samples] == ["1.0.0"]
    assert asked[0].startswith(b"CONNECT inside:8080 HTTP/1.1\r\n")
    assert asked[1].startswith(b"GET /v HTTP/1.1\r\nHost: inside:8080\r\n")


def test_a_proxy_that_refuses() -> None:
    samples, _asked = proxied(b"HTTP/1.1 407 Who are you")
    assert [sample.error for sample in samples] == ["refused by the proxy"]


def test_each_request_is_made_from_the_next_source_address() -> None:
    peers: list[str] = []

    async def serve(_request: bytes, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername")[0])
        writer.write(OK)

    clients = ["127.0.3.1", "127.0.3.2", "127.0.3.3"]
    seen = sampled(serve, samples=6, concurrency=1, sources=clients)
    assert peers == [*clients, *clients]
    assert [sample.source for sample in seen.samples] == peers


def test_a_source_address_that_the_machine_does_not_have_is_an_error_and_no_answer() -> None:
    seen = sampled(says(OK), sources=["192.0.2.7"])
    assert seen.outcomes == {(None, "no connection (Cannot assign requested address)")}
