# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which loopback addresses a cluster uses, and where a port really listens that could not be bound."""

from __future__ import annotations

import errno
import ipaddress
import socket
import zlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST, _LAST = (
    64,
    250,
)  #: second octets of the blocks; the low ones are other programs' (127.0.0.53, 127.1.1.1)
_LOCK = "255.254"  #: the address of a block whose owner is who has bound it
_LOCK_PORT = 47127


class NoFreeBlockError(Exception):
    """Every block of 127.0.0.0/8 is taken by another sandbox."""


class PortTakenError(OSError):
    """The address and port are in use by another container or Service of this cluster."""

    def __init__(self, ip: str, port: int) -> None:
        super().__init__(errno.EADDRINUSE, f"listen tcp {ip}:{port}: bind: address already in use")


class Pool:
    """Addresses of one network, handed out in turn so that a released one rests as long as it can."""

    def __init__(self, network: str) -> None:
        self.network = ipaddress.IPv4Network(network)
        self._fresh: Iterator[ipaddress.IPv4Address] = self.network.hosts()
        self._released: deque[str] = deque()
        self._taken: set[str] = set()

    def take(self) -> str:
        """An address that nobody has. Raises RuntimeError where there is none left."""
        fresh = next(self._fresh, None)
        if fresh is not None:
            address = str(fresh)
            if address in self._taken:
                return self.take()
        elif self._released:
            address = self._released.popleft()
        else:
            raise RuntimeError(f"no address is left in {self.network}")
        self._taken.add(address)
        return address

    def has(self, address: str) -> bool:
        """Whether an address is one of this network."""
        try:
            return ipaddress.IPv4Address(address) in self.network
        except ValueError:
            return False

    def claim(self, address: str) -> bool:
        """Take one certain address; False where it is not this network's or somebody has it."""
        if not self.has(address) or address in self._taken:
            return False
        if address in self._released:
            self._released.remove(address)
        self._taken.add(address)
        return True

    def release(self, address: str) -> None:
        """Give an address back; one that is not taken is ignored."""
        if address in self._taken:
            self._taken.remove(address)
            self._released.append(address)


@dataclass
class Addresses:
    """The /16 of one cluster: pods, cluster IPs, external addresses and nodes."""

    pods: Pool
    services: Pool
    external: Pool
    nodes: Pool
    _lock: socket.socket

    @classmethod
    def claim(cls, name: str) -> Addresses:
        """A block that no other sandbox on this machine has; the same name begins at the same one.

        Raises NoFreeBlockError.
        """
        count = _LAST - _FIRST + 1
        start = zlib.crc32(name.encode()) % count
        for step in range(count):
            second = _FIRST + (start + step) % count
            lock = socket.socket()
            try:
                # Bound, not listening: the kernel lets one process have it, and takes it back when that ends.
                lock.bind((f"127.{second}.{_LOCK}", _LOCK_PORT))
            except OSError:
                lock.close()
                continue
            prefix = f"127.{second}"
            return cls(
                pods=Pool(f"{prefix}.0.0/17"),
                services=Pool(f"{prefix}.128.0/18"),
                external=Pool(f"{prefix}.192.0/19"),
                nodes=Pool(f"{prefix}.224.0/20"),
                _lock=lock,
            )
        raise NoFreeBlockError(
            f"all {count} blocks of loopback addresses are in use; stop a sandbox that is not needed"
        )

    def close(self) -> None:
        """Let another sandbox have the block."""
        self._lock.close()


@dataclass(frozen=True)
class Place:
    """Where a port really is: `port` is another one if it could not be bound, `error` says why."""

    port: int
    error: str = ""


class Ports:
    """The ports that this cluster's pods and Services listen on.

    A port that the kernel refuses (a plain user and a port below 1024; another program on all
    addresses) is replaced by a free high one, and everything in the sandbox that connects looks the
    real one up here.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[str, int], Place] = {}
        self._gone: set[str] = set()

    def gone(self, ip: str) -> None:
        """The pod that had an address is no more: what is sent there is answered by nobody, not even with a reset."""
        self._gone.add(ip)

    def taken(self, ip: str) -> None:
        """A pod has the address now."""
        self._gone.discard(ip)

    def is_gone(self, ip: str) -> bool:
        """Whether nobody has an address any more that a pod had."""
        return ip in self._gone

    def place(self, ip: str, port: int) -> Place | None:
        """Where an address and port are, or None if nothing of this cluster is there."""
        return self._places.get((ip, port))

    def real(self, ip: str, port: int) -> int:
        """The port to connect to for an address and port."""
        place = self._places.get((ip, port))
        return port if place is None else place.port

    def bind(self, ip: str, port: int, *, preferred: int = 0) -> socket.socket:
        """A socket bound to the port, or else to a high one (`preferred`, if that is free).

        Raises PortTakenError where this cluster itself has it, OSError where not even a high port is free.
        """
        if (ip, port) in self._places:
            raise PortTakenError(ip, port)
        error = ""
        try:
            sock = _bound(ip, port)
        except OSError as problem:
            if problem.errno not in (errno.EACCES, errno.EPERM, errno.EADDRINUSE):
                raise
            error = "PortInUse" if problem.errno == errno.EADDRINUSE else "PortNotPermitted"
            sock = _bound_high(ip, preferred)
        self._places[ip, port] = Place(sock.getsockname()[1], error)
        return sock

    def reserve(self, ip: str, port: int) -> int:
        """The port that a program of its own is to listen on for this one. Raises as `bind` does."""
        self.bind(ip, port).close()
        return self.real(ip, port)

    def release(self, ip: str, port: int) -> None:
        """Forget a port that nothing listens on any more."""
        self._places.pop((ip, port), None)


def _bound(ip: str, port: int) -> socket.socket:
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind((ip, port))
    except OSError:
        sock.close()
        raise
    return sock


def _bound_high(ip: str, preferred: int) -> socket.socket:
    if preferred:
        try:
            return _bound(ip, preferred)
        except OSError:
            pass
    return _bound(ip, 0)
