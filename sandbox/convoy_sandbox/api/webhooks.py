# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks admission webhooks over HTTPS, at a URL or at a Service."""

from __future__ import annotations

import base64
import json
import os
import ssl
import urllib.parse
from collections.abc import Callable
from typing import Any

import aiohttp

from .. import resources
from ..admission.webhooks import Answer, Call
from ..errors import ApiError
from ..network.patience import Patience
from ..store import Object, Store
from . import proxy

_SUFFIX = "svc"


class Webhooks:
    """The client of one API server; `dial` maps an address and port to where it really listens."""

    def __init__(self, store: Store, dial: Callable[[str, int], tuple[str, int]]) -> None:
        self._store = store
        self._dial = dial

    async def ask(self, call: Call) -> Answer:
        """What a webhook answers, or in Go's words why it does not."""
        url = _url(call)
        try:
            async with Patience(call.seconds):
                status, text = await self._post(call, url)
        except TimeoutError:
            return Answer(error=f'failed to call webhook: Post "{url}": context deadline exceeded')
        except (aiohttp.ClientError, OSError, ApiError, _NoServiceError) as error:
            return Answer(error=f'failed to call webhook: Post "{url}": {_why(error, url)}')
        if not 200 <= status < 300:
            return Answer(error=f"failed to call webhook: {_unsuccessful(status, text)}")
        return _read(call, text)

    async def _post(self, call: Call, url: str) -> tuple[int, str]:
        to, name = url, ""
        service = call.client.get("service")
        if service is not None:
            host, port = self._backend(service)
            parts = urllib.parse.urlsplit(url)
            to, name = urllib.parse.urlunsplit(parts._replace(netloc=f"{host}:{port}")), str(parts.hostname)
        context = _trusting(call.client.get("caBundle", ""))
        headers = {
            "Accept": "application/json, */*",
            "User-Agent": "kube-apiserver-admission",
            "Content-Type": "application/json",
        }
        if name:
            headers["Host"] = f"{name}:{urllib.parse.urlsplit(url).port}"
        body = json.dumps(call.review, separators=(",", ":")).encode()
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session,
            session.post(
                to, data=body, headers=headers, ssl=context, server_hostname=name or None, allow_redirects=False
            ) as answer,
        ):
            return answer.status, await answer.text(errors="replace")

    def _backend(self, service: Object) -> tuple[str, int]:
        """An endpoint of a Service. Raises _NoServiceError, or ApiError where it has none."""
        name, namespace, port = service["name"], service["namespace"], service.get("port", 443)
        if self._store.get(resources.SERVICES, namespace, name) is None:
            raise _NoServiceError(f'service "{name}" not found')
        found = proxy.service_backend(self._store, namespace, f"https:{name}:{port}")
        return self._dial(found.ip, found.port)


class _NoServiceError(Exception):
    """There is no such Service."""


def _url(call: Call) -> str:
    service = call.client.get("service")
    if service is None:
        url = str(call.client["url"])
    else:
        host = f"{service['name']}.{service['namespace']}.{_SUFFIX}:{service.get('port', 443)}"
        url = f"https://{host}/{service.get('path', '').lstrip('/')}"
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(query=f"timeout={call.seconds}s"))


def _trusting(bundle: str) -> ssl.SSLContext:
    """A context that trusts the authorities of a bundle, or those of this machine where there is none."""
    if not bundle:
        return ssl.create_default_context()
    try:
        context = ssl.create_default_context(cadata=base64.b64decode(bundle).decode())
    except (ValueError, ssl.SSLError):
        raise _NoServiceError("unable to load root certificates: unable to parse bytes as PEM block") from None
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Go asks for less
    return context


def _why(error: Exception, url: str) -> str:
    """Why there was no answer, as Go's client has it."""
    if isinstance(error, ApiError):
        return error.message
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"tls: failed to verify certificate: x509: {_of_certificate(error.certificate_error)}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "EOF"
    parts = urllib.parse.urlsplit(url)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"dial tcp: lookup {parts.hostname}: no such host"
    number = getattr(error, "errno", None) or getattr(getattr(error, "os_error", None), "errno", None)
    if number and number > 0:
        return f"dial tcp {parts.hostname}:{parts.port or 443}: connect: {os.strerror(number).lower()}"
    return str(error)


def _of_certificate(error: Exception) -> str:
    text = getattr(error, "verify_message", "") or str(error)
    if "mismatch" in text or "doesn't match" in text or "not valid for" in text:
        return f"certificate is valid for other names: {text}"
    if "expired" in text:
        return "certificate has expired or is not yet valid"
    return "certificate signed by unknown authority"


def _unsuccessful(status: int, text: str) -> str:
    """A status that is no success, as client-go words it."""
    known = {
        404: "the server could not find the requested resource",
        401: "the server has asked for the client to provide credentials",
        405: "the server does not allow this method on the requested resource",
    }
    said = text.strip() or "unknown"
    return known.get(status) or f"an error on the server ({json.dumps(said)}) has prevented the request from succeeding"


def _read(call: Call, text: str) -> Answer:
    """The response in an AdmissionReview, held against the request's uid."""
    try:
        review: Any = json.loads(text)
        response = review["response"]
        uid, allowed = response.get("uid", ""), response.get("allowed", False)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Answer(error="received invalid webhook response: webhook response did not contain a response")
    problem = ""
    wanted = call.review["request"]["uid"]
    if review.get("apiVersion") != "admission.k8s.io/v1" or review.get("kind") != "AdmissionReview":
        problem = (
            "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, "
            f"got {review.get('apiVersion', '')}, Kind={review.get('kind', '')}"
        )
    elif uid != wanted:
        problem = f'expected response.uid="{wanted}", got "{uid}"'
    elif not isinstance(allowed, bool):
        problem = "response.allowed is no boolean"
    elif response.get("patch") and response.get("patchType") != "JSONPatch":
        problem = f'expected webhook response to have patchType "JSONPatch", got "{response.get("patchType", "")}"'
    return Answer(error=f"received invalid webhook response: {problem}") if problem else Answer(response)
