# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API server's proxy to pods and Services: which endpoint a request goes to."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from .. import errors, resources
from ..store import Object, Store


@dataclass(frozen=True)
class Backend:
    """Where a proxied request goes."""

    scheme: str
    ip: str
    port: int


def _split(name: str) -> tuple[str, str, str]:
    """`[SCHEME:]NAME[:PORT]` in its parts."""
    parts = name.split(":")
    if len(parts) == 3:
        return parts[0] or "http", parts[1], parts[2]
    if len(parts) == 2:
        if parts[0] in ("http", "https"):
            return parts[0], parts[1], ""
        return "http", parts[0], parts[1]
    if len(parts) == 1:
        return "http", name, ""
    raise errors.bad_request(f'invalid service request "{name}"')


def service_backend(store: Store, namespace: str, name: str) -> Backend:
    """A ready endpoint of a Service, chosen at random. Raises ApiError 400, 404 or 503."""
    scheme, service_name, wanted = _split(name)
    service = store.get(resources.SERVICES, namespace, service_name)
    if service is None:
        raise errors.not_found(resources.SERVICES, service_name)
    ports = service["spec"].get("ports") or []
    port = next((p for p in ports if wanted in (p.get("name"), str(p["port"]))), None)
    if not wanted and len(ports) == 1:
        port = ports[0]
    if port is None:
        raise _unavailable(f'no service port "{wanted}" found for service "{service_name}"')
    backends = [
        Backend(scheme, address, slice_port["port"])
        for item in store.list(resources.ENDPOINTSLICES, namespace)
        if (item["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == service_name
        for slice_port in item.get("ports") or ()
        if slice_port.get("name", "") == port.get("name", "")
        for endpoint in item.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready", True)
        for address in endpoint["addresses"]
    ]
    if not backends:
        raise _unavailable(f'no endpoints available for service "{service_name}"')
    return random.choice(backends)


def pod_backend(store: Store, namespace: str, name: str) -> Backend:
    """The port of a pod, by default its first. Raises ApiError 400, 404."""
    scheme, pod_name, wanted = _split(name)
    pod = store.get(resources.PODS, namespace, pod_name)
    if pod is None:
        raise errors.not_found(resources.PODS, pod_name)
    address = (pod.get("status") or {}).get("podIP")
    if not address:
        raise errors.bad_request("address not allowed")
    return Backend(scheme, address, int(wanted) if wanted.isdigit() else _first_port(pod, wanted))


def _first_port(pod: Object, name: str) -> int:
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if not name or port.get("name") == name:
                return int(port["containerPort"])
    return 80


def led(location: str, mount: str, answering: str, named: str) -> str:
    """Where a redirect leads by way of the proxy, whose path to what is behind it is the mount.

    A path of the host that was `answering`, or of the one that the request `named`, gets the mount before it. Any other
    place stays as it is, and so does a path without a slash.
    """
    try:
        parts = urlsplit(location)
    except ValueError:
        return location
    if parts.netloc not in ("", answering, named) or not parts.path.startswith("/"):
        return location
    if parts.netloc != named:
        parts = parts._replace(scheme="", netloc="")
    return parts.geturl() if parts.path.startswith(mount) else parts._replace(path=mount + parts.path).geturl()


def _unavailable(message: str) -> errors.ApiError:
    return errors.ApiError(503, "ServiceUnavailable", message)


def unreachable(backend: Backend, error: Exception) -> errors.ApiError:
    """503: the endpoint does not answer, or not in HTTP/1.1; in the words of Go's client."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return _unavailable("error trying to reach service: EOF")
    if isinstance(error, (aiohttp.ClientResponseError, aiohttp.ClientPayloadError)):
        return _unavailable(
            "error trying to reach service: net/http: HTTP/1.x transport connection broken: malformed HTTP response"
        )
    why = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.errno:
        why = f"connect: {os.strerror(error.errno).lower()}"
    return _unavailable(f"error trying to reach service: dial tcp {backend.ip}:{backend.port}: {why}")
