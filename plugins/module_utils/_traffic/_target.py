# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the requests of a sample are sent to: a URL, a Service's own address, or the API server's proxy."""

from __future__ import annotations

import re
import socket
import ssl
import typing as t
from urllib.parse import quote, urlsplit

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api, _proxy, _tls
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._traffic import _clients, _sampler


class Way(t.NamedTuple):
    """How what is sampled is reached."""

    via: str  #: url or proxy
    url: str  #: in words
    target: _sampler.Target  #: what the samples ask
    port: str = ""  #: the Service's port that is asked, in words
    others: t.Sequence[str] = ()  #: the Service's other ports, in words
    sticky: bool = False  #: whether it is the application's own Service, which keeps one client with one pod


def sticky(service: dict[str, t.Any]) -> bool:
    """Whether a Service keeps one client with one pod."""
    return bool((service.get("spec") or {}).get("sessionAffinity") == "ClientIP")


#: What a port's protocol or the first part of its name says of it.
HTTP = frozenset(["http", "web", "www", "ws", "kubernetes.io/ws"])
HTTPS = frozenset(["https", "wss", "kubernetes.io/wss"])
OTHERS = frozenset(
    [
        *("grpc", "grpcs", "h2c", "http2", "kubernetes.io/h2c", "rpc", "thrift"),
        *("cql", "jdbc", "memcached", "mongo", "mongodb", "mysql", "postgres", "postgresql", "redis", "sql"),
        *("amqp", "amqps", "kafka", "mqtt", "mqtts", "nats", "stomp", "rtmp", "zookeeper", "raft"),
        *("dns", "ftp", "sftp", "ssh", "smtp", "imap", "ldap", "ldaps", "tcp", "tls", "udp"),
    ]
)
#: What stands in the name of a port that is for those who run the application, not for its users.
ASIDE = frozenset(
    [
        *("metric", "metrics", "monitor", "monitoring", "prom", "prometheus", "stats", "telemetry", "jmx"),
        *("health", "healthcheck", "healthz", "liveness", "readiness", "probe", "probes", "status"),
        *("actuator", "admin", "manage", "management", "mgmt"),
        *("debug", "diagnostics", "pprof", "profiler", "profiling"),
    ]
)


def said_port(port: t.Mapping[str, t.Any]) -> str:
    """A port as a person names it, such as `http (80)`."""
    return f"{port['name']} ({port['port']})" if port.get("name") else str(port["port"])


def other_ports(service: t.Mapping[str, t.Any], asked: int) -> list[str]:
    """The ports of a Service beside the one that is asked, in words."""
    return [said_port(port) for port in _tcp(service) if port["port"] != asked]


def _tcp(service: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    ports = (service.get("spec") or {}).get("ports") or []
    return [port for port in ports if port.get("protocol", "TCP") == "TCP"]


def rank(port: t.Mapping[str, t.Any]) -> int:
    """How likely users come in by a port, by what it is: 0 is the likeliest."""
    protocol, name = str(port.get("appProtocol") or "").lower(), str(port.get("name") or "").lower()
    parts = re.split(r"[-_.]", name)
    if set(parts) & ASIDE:
        return 6
    for said in (protocol, parts[0]):
        if said in HTTP:
            return 0
        if said in HTTPS:
            return 1
        if said in OTHERS:
            return 5
    return {80: 2, 443: 3}.get(port.get("port", 0), 4)


def suits(service: t.Mapping[str, t.Any]) -> int:
    """How likely users come in by a Service, by its best port: 0 is the likeliest."""
    return min((rank(port) for port in _tcp(service)), default=7)


def port_of(service: dict[str, t.Any], asked: str | int | None) -> dict[str, t.Any]:
    """The Service's port that is meant: the one asked for by number or name, else the one that users come in by.

    That one is chosen by what it is: http before https before what says nothing, then other protocols; one for metrics
    or for administration only where there is no other. Raises Failure.
    """
    ports = _tcp(service)
    named = [port for port in ports if str(asked) in (str(port["port"]), port.get("name"))]
    meant = sorted(ports, key=rank) if asked in (None, "") else named
    if meant:
        return meant[0]
    has = ", ".join(map(said_port, ports)) or "none"
    raise Failure(
        f"Service {service['metadata']['name']} has no port {asked or ''}; its ports: {has}.".replace("  ", " ")
    )


def external_address(service: dict[str, t.Any], port: int) -> str | None:
    """The address outside of the cluster where this port of a Service can be reached, if it has one."""
    for ingress in (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or []:
        refused = any(item.get("port") == port and item.get("error") for item in ingress.get("ports") or [])
        address = ingress.get("ip") or ingress.get("hostname")
        if address and not refused:
            return t.cast(str, address)
    return None


def scheme_of(port: dict[str, t.Any], asked: str | None) -> str:
    """http or https: what was asked for, else what the port's protocol, name or number says."""
    if asked:
        return asked
    protocol, name = str(port.get("appProtocol") or "").lower(), str(port.get("name") or "").lower()
    if protocol in HTTP:
        return "http"
    named = re.split(r"[-_.]", name)[0] in HTTPS
    return "https" if protocol in HTTPS or named or port["port"] == 443 else "http"


def by_url(url: str, options: t.Mapping[str, t.Any]) -> _sampler.Target:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    broken = any(c.isspace() for c in url)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or broken:
        raise Failure(f"url is {url!r}; it must be an http or https URL.")
    if not _proxy.is_host(parts.hostname):
        raise Failure(f"url is {url!r}, but {parts.hostname} is not a valid host name; correct the url.")
    context = None
    if parts.scheme == "https":
        try:
            context = _tls.client_context(options["target_ca_cert"], verify=options["target_validate_certs"])
        except (OSError, ssl.SSLError) as error:
            raise Failure(f"target_ca_cert {options['target_ca_cert']} cannot be read: {error}.") from error
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    default = 443 if context else 80
    return _sampler.Target(
        parts.hostname,
        port or default,
        path,
        {str(k): str(v) for k, v in options["headers"].items()},
        context,
        options.get("server_name"),
    )


def by_service(service: _api.Object, api: _api.Api, options: t.Mapping[str, t.Any]) -> Way:
    """How a Service is reached. Raises Failure."""
    namespace, name = options["namespace"], options["name"]
    port = port_of(service, options["port"])
    scheme = scheme_of(port, options["scheme"])
    path = "/" + options["path"].lstrip("/")
    asked = said_port(port), other_ports(service, port["port"])
    address = None if options["via"] == "proxy" else external_address(service, port["port"])
    if address:
        named = f"[{address}]" if ":" in address else address
        default = {"http": 80, "https": 443}[scheme]
        url = f"{scheme}://{named}{'' if port['port'] == default else ':' + str(port['port'])}{path}"
        own = (options["application_service"] or name) == name
        return Way("url", url, by_url(url, options), *asked, sticky=own and sticky(service))
    if options["source_addresses"]:
        raise Failure(
            f"Service {name} has no external address for port {port['port']}, and through the API server it sees no "
            "source_addresses; wait for the address, or set url."
        )
    if options["via"] == "url":
        raise Failure(f"Service {name} has no external address for port {port['port']}; use via=proxy, or set url.")
    backend = f"{'https:' if scheme == 'https' else ''}{name}:{port['port']}"
    mount = f"{_api.path_of('services', namespace)}/{quote(backend, safe=':')}/proxy"
    proxied = f"{api.base}{mount}{path}"
    target = _sampler.Target(
        api.host,
        api.port,
        proxied,
        {str(k): str(v) for k, v in options["headers"].items()},
        server_name=api.access.server_name,
        proxy=api.access.proxy,
        access=api.access,
        mount=mount,
    )
    return Way("proxy", f"{api.access.server}{proxied[len(api.base) :]}", target, *asked)


MOST_CLIENTS = 1000  #: clients that ask at most, where that is not said


def clients(target: _sampler.Target, options: t.Mapping[str, t.Any]) -> list[str]:
    """The addresses to ask from, each of which can reach what is asked; none where any will do. Raises Failure."""
    most = options["samples"] or options["max_samples"] or MOST_CLIENTS
    found = _clients.addresses(options["source_addresses"], most)
    if found and options["samples"] and len(found) < most:
        raise Failure(f"samples is {most}, and source_addresses are only {len(found)} clients; set more of them.")
    if not found:
        return found
    try:
        family, there = target.addresses()[0]
    except OSError:
        return found  # every request will say so
    for client in found:
        with socket.socket(family, socket.SOCK_DGRAM) as tried:  # nothing is sent
            try:
                _sampler.come_from(tried, client)
                tried.connect(there)
            except OSError as error:
                raise Failure(
                    f"source_addresses: {client} cannot reach {target.host} ({error.strerror or error}); set "
                    "addresses of this machine that can."
                ) from error
    return found
