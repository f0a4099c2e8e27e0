# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which HTTP proxy the environment wants a server to be reached through. A pure function."""

from __future__ import annotations

import ipaddress
import typing as t
from urllib.parse import urlsplit


def of_environment(server: str, environment: t.Mapping[str, str]) -> str | None:
    """The URL of the proxy that HTTPS_PROXY or HTTP_PROXY names for a server's URL, None where it is reached directly.

    That is where NO_PROXY names it, and where it is this machine. The variables are read as kubectl reads them, see
    https://pkg.go.dev/golang.org/x/net/http/httpproxy: in capitals or not, and a proxy without a scheme is an http one.
    Raises ValueError for a URL that is none.
    """
    parts = urlsplit(server)
    host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    proxy = _value(environment, f"{parts.scheme}_proxy")
    if not proxy or not host or _is_direct(host, port, _value(environment, "no_proxy")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _value(environment: t.Mapping[str, str], name: str) -> str:
    return environment.get(name.upper()) or environment.get(name) or ""


def _is_direct(host: str, port: int, rules: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if host == "localhost" or (address and address.is_loopback):
        return True
    return any(_names(rule.strip(), host, port, address) for rule in rules.lower().split(","))


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
