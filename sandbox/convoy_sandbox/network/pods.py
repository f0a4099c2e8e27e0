# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sandbox's container runtime: images of the catalog, run on the pods' loopback addresses."""

from __future__ import annotations

import functools
import secrets
import shutil
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from .. import quantities
from . import grpc_probe, nginx, nginx_site, probes, processes, traefik
from .addresses import Ports, PortTakenError
from .containers import StartError
from .images import nginx_release
from .programs import App
from .services import environment, resolve

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal
    from pathlib import Path

    from ..store import Object, Store
    from .containers import Container, Mount
    from .images import Catalog, Image


class Runtime:
    """Starts containers (a `ContainerRuntime`). All of the catalog's images are on every node already.

    `write_kubeconfig` gives a file the credentials of a ServiceAccount, by its namespace and name.
    """

    def __init__(
        self,
        store: Store,
        ports: Ports,
        catalog: Catalog,
        *,
        write_kubeconfig: Callable[[Path, str, str], None] | None = None,
    ) -> None:
        self._store = store
        self._ports = ports
        self._catalog = catalog
        self._write_kubeconfig = write_kubeconfig

    def has_image(self, image: str) -> bool:
        """Whether an image is in the catalog."""
        return self._catalog.find(image) is not None

    async def pull(self, image: str) -> None:
        """Raises ImageError for an image that is not in the catalog."""
        self._catalog.pull(image)

    async def start(
        self, pod: Object, container: Object, *, ip: str, env: dict[str, str], mounts: list[Mount]
    ) -> Container:
        """Start one container of a pod on its address. Raises StartError."""
        image = self._catalog.find(container["image"])
        if image is None:
            raise StartError("CreateContainerError", f'image "{container["image"]}" is not in the catalog')
        command = list(container.get("command") or ())
        if not (image.command or image.program or image.start or command):
            spec = f'failed to generate container "{secrets.token_hex(32)}" spec: failed to generate spec'
            raise StartError("CreateContainerError", f"{spec}: no command specified")
        arguments = list(container.get("args") or ())
        quantity = ((container.get("resources") or {}).get("limits") or {}).get("memory")
        limit = None if quantity is None else quantities.parse(quantity)
        if image.command:
            if command:
                raise _not_executable(command[0])
            services = environment(self._store, self._ports, pod["metadata"]["namespace"])
            return await self._start_command(image, container, ip, {**env, **services}, arguments, limit)
        if command and (image.start or PurePosixPath(command[0]).name != image.program):
            raise _not_executable(command[0])
        if image.start is not None:
            return image.start(ip, self._ports, arguments, None if limit is None else int(limit))
        if image.program == "nginx":
            site = nginx_site.Site(
                ip, self._ports, functools.partial(resolve, self._store, pod["metadata"]["namespace"])
            )
            return await nginx.start(nginx.program(), mounts, site, nginx_release(image.version))
        if image.program == "traefik" and self._write_kubeconfig is not None:
            namespace, account = pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName", "default")
            return await traefik.start(
                traefik.program(),
                [*command[1:], *arguments],
                ip=ip,
                ports=self._ports,
                env=env,
                write_kubeconfig=functools.partial(_written, self._write_kubeconfig, namespace, account),
            )
        return App(image, ip, self._ports, [*command[1:], *arguments], memory_limit=limit)

    async def _start_command(
        self,
        image: Image,
        container: Object,
        ip: str,
        env: dict[str, str],
        arguments: list[str],
        memory_limit: Decimal | None,
    ) -> Container:
        """A user's command line: it is told its address and ports, and listens there itself."""
        reserved: dict[int, int] = {}
        try:
            for port in container.get("ports") or ():
                if port.get("protocol", "TCP") == "TCP":
                    reserved[port["containerPort"]] = self._ports.reserve(ip, port["containerPort"])
        except PortTakenError as problem:
            self._release(ip, reserved)
            raise StartError("StartError", f"listen {problem.strerror}") from None
        told = {"POD_IP": ip, **{f"PORT_{port}": str(real) for port, real in reserved.items()}}
        if reserved:
            told["PORT"] = str(next(iter(reserved.values())))
        try:
            return await processes.Process.start(
                [*image.command, *arguments],
                env={**processes.machine_environment(), **env, **told},
                ended=lambda: self._release(ip, reserved),
                memory_limit=None if memory_limit is None else int(memory_limit),
            )
        except StartError:
            self._release(ip, reserved)
            raise

    def _release(self, ip: str, reserved: dict[int, int]) -> None:
        for port in reserved:
            self._ports.release(ip, port)

    async def probe(self, pod: Object, container: Object, probe: Object, *, ip: str) -> str:
        """Run a probe once; "" is success, else what failed in the kubelet's words."""
        del pod  # the address says enough
        seconds = float(probe.get("timeoutSeconds", 1))
        if "httpGet" in probe:
            get = probe["httpGet"]
            port = probes.port_number(container, get["port"])
            return await probes.http_get(get, ip, port, self._ports.real(ip, port), seconds)
        if "tcpSocket" in probe:
            port = probes.port_number(container, probe["tcpSocket"]["port"])
            return await probes.tcp(ip, port, self._ports.real(ip, port), seconds)
        if "exec" in probe:
            return await self._exec(container, list(probe["exec"].get("command") or ()), seconds)
        port = int(probe["grpc"]["port"])
        service = probe["grpc"].get("service") or ""
        return await grpc_probe.check(ip, port, self._ports.real(ip, port), service, seconds)

    async def _exec(self, container: Object, command: list[str], seconds: float) -> str:
        image = self._catalog.find(container["image"])
        if image is None or not image.command or not command or shutil.which(command[0]) is None:
            # The sandbox's own programs are, like the lab's images, without a shell or any other program.
            name = command[0] if command else ""
            return (
                "command error: rpc error: code = Unknown desc = failed to exec in container: failed to "
                "start exec: OCI runtime exec failed: exec failed: unable to start container process: exec: "
                f'"{name}": executable file not found in $PATH: unknown'
            )
        try:
            code, output = await processes.run(command, env=processes.machine_environment(), timeout_seconds=seconds)
        except TimeoutError:
            return f'command timed out: "{" ".join(command)}" timed out after {seconds:g}s'
        return "" if code == 0 else output or f"command exited with code {code}"


def _written(write: Callable[[Path, str, str], None], namespace: str, account: str, path: Path) -> None:
    write(path, namespace, account)


def _not_executable(name: str) -> StartError:
    return processes.not_started(name, "executable file not found in $PATH")
