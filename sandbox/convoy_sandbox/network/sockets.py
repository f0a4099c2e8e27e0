# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Non-blocking TCP on the event loop, without asyncio's transports: this carries every request.

A connection through a Service costs an accept, a connect and the copying, so each of them is kept to
the fewest system calls and callbacks. The loop is given descriptors: of a socket that it does not know yet
it would make a text each time, with both addresses, for an error that nobody reads.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

_CHUNK = 65536
_ACCEPTS = 64  #: connections taken per wake-up, so that one busy port does not starve the others
_IP_BIND_ADDRESS_NO_PORT = 24  # of Linux; Python's socket has it from 3.12 on
_NO_LINGER = struct.pack("ii", 1, 0)
_BUSY = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def reset(sock: socket.socket) -> None:
    """Close a connection so that the peer sees it reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    sock.close()


class Listener:
    """Accepts connections on a bound socket until closed."""

    def __init__(self, sock: socket.socket, accepted: Callable[[socket.socket], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._accepted = accepted
        self._retry: asyncio.TimerHandle | None = None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # whatever it accepts has it, too
        sock.listen(1024)
        self._loop.add_reader(sock.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            try:
                connection, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as problem:
                if problem.errno not in _BUSY:
                    raise
                log.warning("no connection can be accepted for the moment: %s", problem)
                self._loop.remove_reader(self._sock.fileno())
                self._retry = self._loop.call_later(0.1, self._loop.add_reader, self._sock.fileno(), self._accept)
                return
            connection.setblocking(False)
            self._accepted(connection)

    def close(self) -> None:
        """Stop listening. Connections that the kernel has already made are still accepted."""
        if self._sock.fileno() < 0:
            return
        if self._retry is not None:
            self._retry.cancel()
        self._accept()
        if self._retry is not None:
            self._retry.cancel()
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()


class Wire:
    """One connected socket: calls back with what arrives, sends what it is given, in order.

    `on_data` gets the bytes, `on_end` is called once: with False at the peer's end of file (writing
    is still possible), with True when the connection is lost. `on_drain` is called when everything
    written has been handed to the kernel after a write that could not.
    """

    __slots__ = ("_buffer", "_closing", "_loop", "_reading", "on_data", "on_drain", "on_end", "sock")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        on_data: Callable[[bytes], None],
        on_end: Callable[[bool], None],
        on_drain: Callable[[], None] | None = None,
    ) -> None:
        self._loop = loop
        self.sock = sock
        self.on_data = on_data
        self.on_end = on_end
        self.on_drain = on_drain
        self._buffer = b""
        self._closing = ""  # "write": shut the write side down once all is sent; "all": close then
        self._reading = False

    @property
    def closed(self) -> bool:
        """Whether the socket is gone."""
        return self.sock.fileno() < 0

    def read(self) -> None:
        """Begin, or go on after `pause`, to call back with what arrives."""
        if not self._reading and not self.closed:
            self._reading = True
            self._loop.add_reader(self.sock.fileno(), self.read_now)

    def pause(self) -> None:
        """Leave what arrives with the kernel."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self.sock.fileno())

    def read_now(self) -> None:
        """Hand over what has arrived; nothing if there is none."""
        try:
            data = self.sock.recv(_CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._lost()
            return
        if data:
            self.on_data(data)
        else:
            self.pause()
            self.on_end(False)

    def write(self, data: bytes) -> bool:
        """Send; False if some of it has to wait (then `on_drain` tells)."""
        if self.closed or self._closing:
            return True
        if self._buffer:
            self._buffer += data
            return False
        try:
            sent = self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._lost()
            return True
        if sent == len(data):
            return True
        self._buffer = data[sent:]
        self._loop.add_writer(self.sock.fileno(), self._write_rest)
        return False

    def _write_rest(self) -> None:
        try:
            sent = self.sock.send(self._buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._lost()
            return
        self._buffer = self._buffer[sent:]
        if self._buffer:
            return
        self._loop.remove_writer(self.sock.fileno())
        if self._closing:
            self._finish(self._closing)
        elif self.on_drain is not None:
            self.on_drain()

    def shutdown(self) -> None:
        """Send an end of file after everything written."""
        self._end("write")

    def close(self) -> None:
        """Close after everything written."""
        self._end("all")

    def _end(self, what: str) -> None:
        if self.closed or self._closing == "all":
            return
        self._closing = what
        if not self._buffer:
            self._finish(what)

    def _finish(self, what: str) -> None:
        if what == "all":
            self.abort(with_reset=False)
            return
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._lost()

    def abort(self, *, with_reset: bool = True) -> None:
        """Close at once; the peer sees its connection reset, or else an end of file."""
        if self.closed:
            return
        self.pause()
        if self._buffer:
            self._loop.remove_writer(self.sock.fileno())
            self._buffer = b""
        if with_reset:
            reset(self.sock)
        else:
            self.sock.close()

    def _lost(self) -> None:
        if not self.closed:
            self.abort(with_reset=False)
            self.on_end(True)


def connect(
    loop: asyncio.AbstractEventLoop,
    address: tuple[str, int],
    done: Callable[[socket.socket | None], None],
) -> None:
    """Open a connection and hand over its socket, or None where it is refused.

    On loopback the kernel has usually connected before `connect` returns; then `done` is called at once.
    """
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    code = sock.connect_ex(address)
    if code == errno.EINPROGRESS:
        try:
            sock.getpeername()
        except OSError:
            loop.add_writer(sock.fileno(), _connected, loop, sock, done)
            return
        code = 0
    if code:
        sock.close()
        done(None)
    else:
        done(sock)


async def connected_from(source: str, address: tuple[str, int]) -> socket.socket:
    """A connection from an address, as a pod's is: what it reaches sees which client it is. Raises OSError."""
    sock = socket.socket()
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)  # so that many can share its ports
        sock.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _connected(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, done: Callable[[socket.socket | None], None]
) -> None:
    loop.remove_writer(sock.fileno())
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        sock.close()
        done(None)
    else:
        done(sock)


class Splice:
    """Two connections made one: what either sends reaches the other, and so do their ends."""

    __slots__ = ("_client", "_done", "_open", "_server")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client: socket.socket,
        server: socket.socket,
        done: Callable[[Splice], None],
    ) -> None:
        self._done = done
        self._open = 2  # directions that can still carry data
        self._client = Wire(loop, client, self._from_client, self._client_ended, self._to_client_again)
        self._server = Wire(loop, server, self._from_server, self._server_ended, self._to_server_again)

    def start(self) -> None:
        """Begin to copy; `done` is called when both ends are closed (and may be called again)."""
        self._server.read()
        self._client.read()
        self._client.read_now()  # most clients have spoken already

    def _from_client(self, data: bytes) -> None:
        if not self._server.write(data):
            self._client.pause()

    def _from_server(self, data: bytes) -> None:
        if not self._client.write(data):
            self._server.pause()

    def _to_client_again(self) -> None:
        self._server.read()

    def _to_server_again(self) -> None:
        self._client.read()

    def _client_ended(self, lost: bool) -> None:
        self._ended(self._server, lost)

    def _server_ended(self, lost: bool) -> None:
        self._ended(self._client, lost)

    def _ended(self, other: Wire, lost: bool) -> None:
        if lost:
            self.abort()
            return
        self._open -= 1
        if self._open:
            other.shutdown()
        else:
            self._close()

    def _close(self) -> None:
        self._client.close()
        self._server.close()
        self._done(self)

    def abort(self) -> None:
        """Reset both connections."""
        self._open = 0
        self._client.abort()
        self._server.abort()
        self._done(self)
