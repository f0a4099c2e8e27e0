"""The container runtime: what a pod's spec says is what runs, and probes speak as the kubelet does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import shutil
import subprocess
import sys
from typing import Any

import pytest
from convoy_sandbox.network.addresses import Addresses, Ports
from convoy_sandbox.network.containers import Container, ImageError, StartError
from convoy_sandbox.network.images import Catalog, Image
from convoy_sandbox.network.pods import Runtime
from convoy_sandbox.network.programs import Base
from convoy_sandbox.store import Store
from unit.sandbox.network.support import addresses, get

POD: dict[str, Any] = {"metadata": {"name": "hello", "namespace": "lab"}}
SERVER = """
import http.server, os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("asked to end", flush=True), sys.exit(3)))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = " ".join([os.environ["POD_IP"], os.environ["GREETING"], *sys.argv[1:]]).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
server = http.server.HTTPServer((os.environ["POD_IP"], int(os.environ["PORT_8080"])), Handler)
print("listening", os.environ["PORT"] == os.environ["PORT_8080"], flush=True)
server.serve_forever()
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""
IMAGES = {
    "example/server:1": Image(command=(sys.executable, "-c", SERVER)),
    "example/exits:1": Image(command=(sys.executable, "-c", "print('so long'); raise SystemExit(7)")),
    "example/stubborn:1": Image(
        command=(sys.executable, "-c", STUBBORN),
    ),
    "example/missing:1": Image(command=("no-such-program",)),
}


def _runtime(ports: Ports | None = None) -> Runtime:
    return Runtime(Store(), ports or Ports(), Catalog(IMAGES))


def _container(image: str, **fields: Any) -> dict[str, Any]:
    return {"name": "main", "image": image, "ports": [{"containerPort": 8080}], **fields}


async def _start(runtime: Runtime, container: dict[str, Any], ip: str, **env: str) -> Container:
    return await runtime.start(POD, container, ip=ip, env=env, mounts=[])


def with_block(test: Any) -> None:
    async def run() -> None:
        with addresses() as block:
            await asyncio.wait_for(test(block), 300)

    asyncio.run(run())


async def _printed(container: Container, text: str) -> None:
    while text not in container.logs():
        assert not container.exited.done(), container.logs()
        await asyncio.sleep(0.01)


def test_a_registered_command_line_is_told_where_to_listen() -> None:
    async def test(block: Addresses) -> None:
        ip, ports = block.pods.take(), Ports()
        runtime = _runtime(ports)
        container = await _start(runtime, _container("example/server:1", args=["more"]), ip, GREETING="hi")
        await _printed(container, "listening True")
        assert (await get(ip, ports.real(ip, 8080))).body == f"{ip} hi more".encode()
        await container.stop(300)
        assert container.exited.result() == 3
        assert container.logs() == "listening True\nasked to end\n"
        assert ports.place(ip, 8080) is None

    with_block(test)


def test_an_image_may_be_a_program_in_python() -> None:
    class Program(Base):
        def __init__(self, ip: str, ports: Ports, arguments: list[str], memory_limit: int | None) -> None:
            super().__init__()
            self.log(f"{ip} {ports.real(ip, 80)} {arguments} {memory_limit}")

        async def stop(self, grace_seconds: float) -> None:
            self.ended(int(grace_seconds))

    async def run() -> None:
        runtime = Runtime(Store(), Ports(), Catalog({"example/python:1": Image(start=Program)}))
        container = _container("example/python:1", args=["a"], resources={"limits": {"memory": "1Ki"}})
        started = await _start(runtime, container, "127.0.0.9")
        assert started.logs() == "127.0.0.9 80 ['a'] 1024\n"
        await started.stop(3)
        assert started.exited.result() == 3
        with pytest.raises(StartError, match="executable file not found"):
            await _start(runtime, {**container, "command": ["sh"]}, "127.0.0.9")

    asyncio.run(run())


def test_exit_codes_and_last_words_are_kept() -> None:
    async def test(block: Addresses) -> None:
        container = await _start(_runtime(), _container("example/exits:1"), block.pods.take())
        assert await container.exited == 7
        assert container.logs() == "so long\n"
        await container.stop(0)

    with_block(test)


def test_who_does_not_end_is_killed_after_the_grace_period() -> None:
    async def test(block: Addresses) -> None:
        container = await _start(_runtime(), _container("example/stubborn:1"), block.pods.take())
        await _printed(container, "up")
        await container.stop(0.05)
        assert container.exited.result() == 137

    with_block(test)


KEEPER = """
import asyncio
from convoy_sandbox.network.processes import Process
async def keep():
    process = await Process.start(["sleep", "600"], env={"PATH": "/usr/bin:/bin"})
    print(process._process.pid, flush=True)
    await process.exited
asyncio.run(keep())
"""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="this machine has no setpriv")
def test_a_program_ends_with_a_sandbox_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", KEEPER], stdout=subprocess.PIPE, text=True) as sandbox:
        assert sandbox.stdout is not None
        child = int(sandbox.stdout.readline())
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(child)
            sandbox.kill()
            assert select.select([pidfd], [], [], 300)[0], "the program runs on"
            os.close(pidfd)


def test_a_program_that_is_not_there_does_not_start() -> None:
    async def test(block: Addresses) -> None:
        ip, ports = block.pods.take(), Ports()
        with pytest.raises(StartError, match='exec: "no-such-program": no such file or directory'):
            await _start(_runtime(ports), _container("example/missing:1"), ip)
        assert ports.place(ip, 8080) is None
        for image in ("kelseyhightower/hello:1.0.0", "example/server:1"):
            with pytest.raises(StartError, match=r'exec: "sh": executable file not found in \$PATH'):
                await _start(_runtime(), _container(image, command=["sh", "-c", "true"]), ip)

    with_block(test)


def test_images_are_pulled_from_the_catalog_only() -> None:
    async def test(_: Addresses) -> None:
        runtime = _runtime()
        assert runtime.has_image("example/server:1")
        assert not runtime.has_image("example/server:2")
        await runtime.pull("nginx")
        with pytest.raises(ImageError, match="failed to pull and unpack image"):
            await runtime.pull("example/server:2")
        with pytest.raises(StartError, match="not in the catalog"):
            await _start(runtime, _container("example/server:2"), "127.0.0.1")

    with_block(test)


def test_probes_speak_as_the_kubelet_does() -> None:
    async def test(block: Addresses) -> None:
        ip, runtime = block.pods.take(), _runtime()
        spec = _container("kelseyhightower/hello:1.0.0", args=["-http=:8080", "-health=:8081"])
        spec["ports"] = [{"name": "http", "containerPort": 8080}, {"name": "health", "containerPort": 8081}]
        container = await _start(runtime, spec, ip)

        async def ask(**probe: Any) -> str:
            return await runtime.probe(POD, spec, {"timeoutSeconds": 60, **probe}, ip=ip)

        assert await ask(httpGet={"path": "/readiness", "port": "health"}) == ""
        assert await ask(httpGet={"path": "healthz", "port": 8081}) == ""
        assert await ask(tcpSocket={"port": "http"}) == ""
        assert await ask(httpGet={"path": "/none", "port": 8081}) == "HTTP probe failed with statuscode: 404"
        assert await ask(httpGet={"path": "/", "port": 8082}) == (
            f'Get "http://{ip}:8082/": dial tcp {ip}:8082: connect: connection refused'
        )
        assert await ask(tcpSocket={"port": 8082}) == f"dial tcp {ip}:8082: connect: connection refused"
        assert 'exec: "cat": executable file not found in $PATH' in await ask(exec={"command": ["cat"]})
        assert await ask(grpc={"port": 8081}, timeoutSeconds=0.2) == (
            f'timeout: failed to connect service "{ip}:8081" within 0.2s: context deadline exceeded'
        )
        await container.stop(0)

    with_block(test)


def test_a_probe_that_gets_no_answer_runs_out_of_time() -> None:
    async def test(block: Addresses) -> None:
        ip, runtime = block.pods.take(), _runtime()
        kept: list[asyncio.StreamWriter] = []  # one that nobody keeps is closed, from Python 3.12 on
        silent = await asyncio.start_server(lambda _reader, writer: kept.append(writer), ip, 8080)
        probe = {"timeoutSeconds": 0.05, "httpGet": {"path": "/x", "port": 8080}}
        try:
            assert await runtime.probe(POD, _container("nginx"), probe, ip=ip) == (
                f'Get "http://{ip}:8080/x": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
            )
        finally:
            silent.close()
            for writer in kept:
                writer.close()

    with_block(test)


def test_exec_probes_of_registered_command_lines_are_run() -> None:
    async def test(block: Addresses) -> None:
        ip, runtime, spec = block.pods.take(), _runtime(), _container("example/stubborn:1")

        async def ask(*command: str) -> str:
            probe = {"timeoutSeconds": 300, "exec": {"command": list(command)}}
            return await runtime.probe(POD, spec, probe, ip=ip)

        assert await ask(sys.executable, "-c", "") == ""
        assert await ask(sys.executable, "-c", "print('not yet'); raise SystemExit(1)") == "not yet\n"
        assert await ask(sys.executable, "-c", "raise SystemExit(1)") != ""
        probe = {"timeoutSeconds": 0.001, "exec": {"command": ["sh", "-c", "sleep 600; true"]}}
        assert "timed out" in await runtime.probe(POD, spec, probe, ip=ip)

    with_block(test)
