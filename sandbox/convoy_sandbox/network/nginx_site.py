# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read out of an nginx configuration, and where its addresses lead."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .addresses import Ports
    from .nginx_conf import Directive

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass
class Site:
    """What to listen on and how to find others: the pod's side of a configuration."""

    ip: str
    ports: Ports
    resolve: Callable[[str], str | None]
    bound: dict[int, int] = field(default_factory=dict)  # port in the pod -> port that is really used

    def listen(self, port: int) -> int:
        """Reserve a port of the pod, once. Raises PortTakenError."""
        if port not in self.bound:
            self.bound[port] = self.ports.reserve(self.ip, port)
        return self.bound[port]

    def address(self, host: str) -> str | None:
        """The address of a host of the cluster; None for an unknown one."""
        ip = host if re.fullmatch(r"[0-9.]+", host) else self.resolve(host)
        if host == "localhost" or (ip or "").startswith("127.0.0."):
            return self.ip  # a pod's own loopback is its address here
        return ip

    def release(self) -> None:
        """Let go of the ports."""
        for port in self.bound:
            self.ports.release(self.ip, port)
        self.bound.clear()


def listen_port(directive: Directive) -> int | None:
    """The port of a `listen` directive; None for one that the sandbox has no address for (IPv6, unix)."""
    text = directive.args[0] if directive.args else ""
    if text.startswith(("[", "unix:")):
        return None
    number = text.rpartition(":")[2] if ":" in text else text
    if number.isdigit():
        return int(number)
    if text and ":" not in text:
        return 80  # an address alone
    raise directive.error(f'invalid port in "{text}" of the "listen" directive')


def split_host(text: str, default: int) -> tuple[str, int]:
    """`host[:port]` in its parts."""
    host, colon, port = text.rpartition(":")
    if colon and port.isdigit():
        return host, int(port)
    return text, default


def find(directives: list[Directive] | None, name: str) -> list[Directive]:
    """The directives of one name in a block."""
    return [directive for directive in directives or () if directive.name == name]


def proxy_parts(directive: Directive) -> tuple[str, str, int, str]:
    """Scheme, host, port and URI (may be empty) of a proxy_pass. Raises ConfError."""
    url = directive.args[0] if directive.args else ""
    match = re.fullmatch(r"(https?)://([^/]+)(/.*)?", url)
    if not match:
        raise directive.error("invalid URL prefix")
    if "$" in url:
        raise directive.error("the sandbox has no DNS server for a proxy_pass with variables; name the Service")
    scheme, authority, uri = match[1], match[2], match[3] or ""
    host, port = split_host(authority, DEFAULT_PORTS[scheme])
    return scheme, host, port, uri
