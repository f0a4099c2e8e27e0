# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A whole cluster in this process: store, registry, controllers, network and API server put together."""

from __future__ import annotations

import contextlib
import errno
import functools
import random
from typing import TYPE_CHECKING, Self

from . import certificates, controllers, kubeconfig, resources
from .api.server import ApiServer
from .api.tokens import TokenSecrets
from .gateway import installation
from .network.addresses import Addresses, Ports
from .network.images import Catalog
from .network.pods import Runtime
from .network.services import LoadBalancers, ServiceProxy
from .registry import Registry
from .store import Change, Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from .settings import Settings


_DAY = 24 * 3600
_YEAR = 365 * _DAY  #: what an API server gives the token of a pod, which the kubelet renews much earlier


class PortInUseError(Exception):
    """The port asked for is not free."""


class Cluster:
    """`async with Cluster(settings)`: up on entry, every listener and task gone on exit.

    Entry raises PortInUseError where the API server's port is taken and NoFreeBlockError where no loopback
    addresses are left. GatewayError says why a gateway that is asked for does not serve.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store()
        self.certificates = certificates.make()
        self.ports = Ports()
        self._stack = contextlib.AsyncExitStack()

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self.api.url

    def write_kubeconfig(self, path: Path) -> None:
        """Write the administrator's kubeconfig, readable by its owner only."""
        self._write(path, f"{self.settings.name}-admin", kubeconfig.administrator(self.certificates))

    def write_user_kubeconfig(self, path: Path, user: str, groups: Sequence[str] = ()) -> None:
        """Write the kubeconfig of a user who is known by a client certificate of these groups."""
        self._write(path, user, kubeconfig.certified(*self.certificates.client(user, groups)))

    def write_service_account_kubeconfig(self, path: Path, namespace: str, name: str, *, seconds: int = _DAY) -> None:
        """Write the kubeconfig of a ServiceAccount, with a token for a day or so many seconds. Raises ApiError 404."""
        account = self.registry.get(resources.SERVICEACCOUNTS, namespace, name)
        token, _ = self.api.authenticator.token(account, seconds)
        self._write(path, name, {"token": token})

    def _write(self, path: Path, user: str, credentials: dict[str, str]) -> None:
        kubeconfig.write(path, self.settings.name, self.server, self.certificates.ca, user, credentials)

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def _start(self) -> None:
        settings, store, stack = self.settings, self.store, self._stack
        self.addresses = Addresses.claim(settings.name)
        stack.callback(self.addresses.close)
        services = self.addresses.services
        self.registry = Registry(store, allocate_ip=services.take, in_range=services.has, claim_ip=services.claim)
        stack.callback(store.subscribe(self._release_cluster_ip))
        runtime = Runtime(
            store,
            self.ports,
            Catalog(settings.images),
            write_kubeconfig=functools.partial(self.write_service_account_kubeconfig, seconds=_YEAR),
        )
        self.controllers = controllers.start_all(
            store,
            self.registry,
            settings,
            runtime,
            allocate_ip=self._pod_address,
            release_ip=self._pod_address_gone,
            allocate_node_ip=self.addresses.nodes.take,
            ca=self.certificates.ca.decode(),
        )
        stack.push_async_callback(self.controllers.close)
        proxy = ServiceProxy(store, self.ports, settings.data_plane, random.Random(settings.data_plane_seed))
        stack.callback(proxy.close)
        if settings.load_balancer:
            balancers = LoadBalancers(store, self.registry, proxy, self.addresses, self.ports)
            stack.callback(balancers.close)
        self.api = ApiServer(
            store,
            self.registry,
            certificates=self.certificates,
            pod_logs=self.controllers.kubelet,
            dial=lambda ip, port: (ip, self.ports.real(ip, port)),
            port=settings.port,
        )
        tokens = TokenSecrets(store, self.registry, self.api.authenticator, self.certificates.ca)
        tokens.start()
        stack.callback(tokens.close)
        self.api.faults.set(settings.faults, settings.faults_seed)
        stack.push_async_callback(self.api.close)
        try:
            await self.api.start()
        except OSError as problem:
            if problem.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise PortInUseError(
                f"port {settings.port} of 127.0.0.1 is taken or not permitted; give another one, or none to "
                "have a free one chosen"
            ) from None
        if settings.gateway:
            await installation.install(store, self.registry)

    def _pod_address(self) -> str:
        address = self.addresses.pods.take()
        self.ports.taken(address)
        return address

    def _pod_address_gone(self, address: str) -> None:
        self.addresses.pods.release(address)
        if self.settings.data_plane != "instant":
            self.ports.gone(address)

    def _release_cluster_ip(self, change: Change) -> None:
        if change.resource == resources.SERVICES and change.type == "DELETED":
            self.addresses.services.release(change.object["spec"].get("clusterIP") or "")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
