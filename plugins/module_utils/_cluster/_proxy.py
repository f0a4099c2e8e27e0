# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which HTTP proxy a server is to be reached through, and what its URL says. Pure functions."""

from __future__ import annotations

import base64
import ipaddress
import re
import typing as t
from urllib.parse import unquote, urlsplit


class Proxy(t.NamedTuple):
    """An HTTP proxy that opens a way (CONNECT)."""

    host: str
    port: int
    headers: tuple[tuple[str, str], ...] = ()  #: of the CONNECT

    def __str__(self) -> str:
        """Its URL, without credentials."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def is_host(name: str) -> bool:
    """Whether a text can be a host: an address, or a name with no part that is empty or too long."""
    try:
        return bool(name.encode("idna"))
    except UnicodeError:
        return False


def parsed(url: str) -> Proxy:
    """A proxy by its URL; credentials in that become a header. Raises ValueError where it is not an http URL."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "http" or not is_host(host) or any(c.isspace() for c in url):
        raise ValueError("not an http URL")
    headers: tuple[tuple[str, str], ...] = ()
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = (("Proxy-Authorization", "Basic " + base64.b64encode(pair.encode()).decode()),)
    return Proxy(host, parts.port or 80, headers)


def without_password(url: str) -> str:
    """A URL with nothing of its credentials."""
    return re.sub(r"//[^/]*@", "//", url)


def passwords(url: str) -> set[str]:
    """The password in a URL, if there is one."""
    try:
        found = urlsplit(url).password
    except ValueError:
        return set()
    return {found, unquote(found)} if found else set()


def of_environment(server: str, environment: t.Mapping[str, str]) -> str | None:
    """The URL of the proxy that HTTPS_PROXY or HTTP_PROXY names for a server's URL, None where it is reached directly.

    That is where NO_PROXY names it, and where it is this machine. The variables are read as kubectl reads them, see
    https://pkg.go.dev/golang.org/x/net/http/httpproxy: in capitals or not, and a proxy without a scheme is an http one.
    Raises ValueError for what is not a URL.
    """
    parts = urlsplit(server)
    proxy = _value(environment, f"{parts.scheme}_proxy")
    if not proxy or not parts.hostname or _is_this_machine(parts.hostname):
        return None
    if is_named(server, _value(environment, "no_proxy")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def is_named(server: str, rules: str) -> bool:
    """Whether `rules`, as NO_PROXY has them, name a server's URL. Raises ValueError for what is not a URL."""
    parts = urlsplit(server)
    host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    if not host:
        return False
    address = _address(host)
    return any(_names(rule.strip(), host, port, address) for rule in rules.lower().split(","))


def _address(host: str) -> t.Any:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_this_machine(host: str) -> bool:
    address = _address(host)
    return bool(host == "localhost" or (address and address.is_loopback))


def _value(environment: t.Mapping[str, str], name: str) -> str:
    return environment.get(name.upper()) or environment.get(name) or ""


def _names(rule: str, host: str, port: int, address: t.Any) -> bool:
    """Whether a rule of NO_PROXY names a host: by `*`, a network, an address, or a domain, maybe with a port."""
    if address:
        try:
            return rule == "*" or address in ipaddress.ip_network(rule, strict=False)
        except ValueError:
            pass  # an address with a port, or a name
    name, _colon, only = rule.rpartition(":") if rule.rpartition(":")[2].isdigit() else (rule, "", "")
    if not name or (only and int(only) != port):
        return False
    name = name.strip("[]") if address else name.lstrip("*")
    return not name or host == name or host.endswith(name if name.startswith(".") else f".{name}")
