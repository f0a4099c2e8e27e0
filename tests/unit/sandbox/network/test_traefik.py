"""The real Traefik as a pod: its command line, and what is said without the program."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from convoy_sandbox.network import traefik
from convoy_sandbox.network.addresses import Ports, PortTakenError
from convoy_sandbox.network.containers import StartError
from unit.sandbox.network.support import addresses


def _at(port: int) -> str:
    return f"127.80.0.1:{port + 1000}"


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        (
            ["--entrypoints.web.address=:8000/tcp", "--ping"],
            ["--entrypoints.web.address=127.80.0.1:9000", "--ping"],
        ),
        (
            ["--entryPoints.a-b.address=0.0.0.0:80", "--entryPoints.traefik.address=:81"],
            ["--entryPoints.a-b.address=127.80.0.1:1080", "--entryPoints.traefik.address=127.80.0.1:1081"],
        ),
        (["--ping"], ["--ping", "--entrypoints.web.address=127.80.0.1:1080"]),
    ],
)
def test_entry_points_listen_on_the_address_of_the_pod(arguments: list[str], changed: list[str]) -> None:
    assert traefik.localized(arguments, _at) == changed


def _start(executable: str | None, ports: Ports, ip: str, written: list[Path], *arguments: str) -> object:
    return asyncio.run(
        traefik.start(executable, [*arguments], ip=ip, ports=ports, env={}, write_kubeconfig=written.append)
    )


def test_without_the_program_the_container_says_how_to_get_it() -> None:
    with pytest.raises(StartError, match=r"pip install 'convoy-sandbox\[gateway\]'"):
        _start(None, Ports(), "127.80.0.1", [])


def test_a_port_that_is_taken_leaves_nothing_behind() -> None:
    with addresses() as block:
        ip, ports = block.pods.take(), Ports()
        ports.reserve(ip, 8001)
        arguments = ["--entrypoints.web.address=:8000", "--entrypoints.other.address=:8001"]
        with pytest.raises(StartError, match=f"listen tcp {ip}:8001: bind: address already in use"):
            _start(sys.executable, ports, ip, [], *arguments)
        assert ports.place(ip, 8000) is None
        with pytest.raises(PortTakenError):
            ports.reserve(ip, 8001)


def test_it_runs_as_its_service_account_and_gives_its_ports_back() -> None:
    async def test() -> None:
        with addresses() as block:
            ip, ports, written = block.pods.take(), Ports(), []
            container = await traefik.start(
                "/usr/bin/env",
                [],
                ip=ip,
                ports=ports,
                env={"KUBERNETES_SERVICE_HOST": "10.0.0.1", "OWN": "kept"},
                write_kubeconfig=written.append,
            )
            # `env` cannot run the entry point that is added to its command line, and says so.
            assert await container.exited != 0
            assert f"--entrypoints.web.address={ip}:" in container.logs()
            assert ports.place(ip, 80) is None
            assert not written[0].parent.exists()

    asyncio.run(test())
