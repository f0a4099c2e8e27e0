# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one file that talks to the API server.

It needs no more than the standard library, so that a task costs milliseconds. `_access` decides which server it talks
to, and as whom.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
import typing as t
from urllib.parse import quote, urlencode, urlsplit

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _access, _proxy, _retries, _shapes, _tls
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._access import (
    ARGUMENTS,
    Access,
    Credential,
    secrets,
)
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._retries import Refusal
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure

__all__ = ["ARGUMENTS", "Access", "Api", "ApiError", "Object", "api", "path_for", "path_of", "secrets"]

Result = t.TypeVar("Result")
Object = t.Dict[str, t.Any]

FIELD_MANAGER = "convoy.rollout"  #: as whom objects are changed
MALFORMED = "Malformed"  #: the reason of an ApiError: an object is not what every one of its kind is
_ITEMS = _shapes.named({"items": _shapes.several(_shapes.anything)})
_EVENT = _shapes.named({"type": _shapes.text, "object": _shapes.anything}, {"type", "object"})
_STATUS = _shapes.named({"code": _shapes.number, "reason": _shapes.text, "message": _shapes.text})
TIMEOUT = 30.0  #: seconds that the API server may take to answer
CUT_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)  #: a connection that ended under TLS


class ApiError(Failure):
    """A Status that the API server answered with, or that it could not be reached (status 0)."""

    def __init__(self, status: int, reason: str, message: str, refusal: Refusal | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.refusal = refusal or Refusal(status)


class _Https(http.client.HTTPConnection):
    """A connection over TLS, which shows the credentials' client certificate and may be for another name.

    The standard library's own, HTTPSConnection, would read the system's CAs for each, which takes longer than a
    request and would not be used.
    """

    default_port = http.client.HTTPS_PORT

    def __init__(self, host: str, port: int, timeout: float, access: Access, server_name: str) -> None:
        super().__init__(host, port, timeout=timeout)
        self._access, self._server_name = access, server_name
        self.credential: Credential | None = None  #: what the next connection shows; then what it showed

    def connect(self) -> None:
        context = self._access.ssl_context(self.credential)
        super().connect()
        if context is not None:
            self.sock = context.wrap_socket(self.sock, server_hostname=self._server_name)

    def show(self, credential: Credential) -> None:
        """Have what is sent from now on show these credentials' certificate."""
        if self.credential and self.credential.certificate != credential.certificate:
            self.close()
        self.credential = credential


class Api:
    """One API server. Calls raise ApiError; objects are plain dictionaries.

    What did not succeed is tried again where that is safe, as `_retries` says. Credentials that are not accepted
    (401) are renewed, once; where that fails the calls raise Failure.
    """

    def __init__(self, where: Access) -> None:
        self.access = where
        self.tls = where.ssl_context() is not None  # here, so that what is wrong with certificates is said at once
        try:
            parts = urlsplit(where.server)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or not _proxy.is_host(host) or parts.scheme not in ("http", "https"):
            raise Failure(f"The API server's address {where.server!r} is not an http or https URL.")
        self.host: str = host
        self.port = port or (443 if parts.scheme == "https" else 80)
        self.base = parts.path.rstrip("/")
        self._connection: http.client.HTTPConnection | None = None

    def connect(self, timeout: float = TIMEOUT) -> http.client.HTTPConnection:
        """A new connection, not yet opened."""
        proxy = self.access.proxy
        host, port = (proxy.host, proxy.port) if proxy else (self.host, self.port)
        connection = (
            _Https(host, port, timeout, self.access, self.access.server_name or self.host)
            if self.tls
            else http.client.HTTPConnection(host, port, timeout=timeout)
        )
        if proxy:
            connection.set_tunnel(self.host, self.port, dict(proxy.headers))
        return connection

    def _send(
        self,
        connection: http.client.HTTPConnection,
        path: str,
        query: t.Mapping[str, t.Any],
        method: str = "GET",
        body: t.Any = None,
        content_type: str = "application/json",
    ) -> http.client.HTTPResponse:
        target = self.base + path + ("?" + urlencode(query) if query else "")
        headers = [("Accept", "application/json"), ("User-Agent", FIELD_MANAGER)]
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers += [("Content-Type", content_type), ("Content-Length", str(len(data)))]
        credential = self.access.credentials.current()
        try:
            response = self._sent(connection, method, target, headers, data, credential)
            if response.status == 401:
                refused = _api_error(response, self.access.server)
                connection.close()
                # Whoever is not known has changed nothing: a write can be sent again as well.
                if not self.access.credentials.renewed(credential):
                    raise refused
                credential = self.access.credentials.current()
                response = self._sent(connection, method, target, headers, data, credential)
            if response.status >= 400:
                raise _api_error(response, self.access.server)
        except (OSError, ValueError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from error
        return response

    def _sent(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        headers: t.Sequence[tuple[str, str]],
        data: bytes | None,
        credential: Credential,
    ) -> http.client.HTTPResponse:
        """The answer to one request, whatever it is."""
        if isinstance(connection, _Https):
            connection.show(credential)
        connection.putrequest(method, target)
        for name, value in (*headers, *self.access.headers(credential)):
            connection.putheader(name, value.encode())
        connection.endheaders(data)
        return connection.getresponse()

    def _unreachable(self, error: Exception) -> ApiError:
        proxy = self.access.proxy
        way = f" through the proxy {proxy}" if proxy else ""
        why = f"The API server {self.access.server} cannot be reached{way}"
        refused = isinstance(error, ConnectionRefusedError)
        lasting = isinstance(error, (ssl.SSLError, socket.gaierror, ValueError)) and not isinstance(error, CUT_OFF)
        if isinstance(error, ssl.SSLCertVerificationError):
            why = f"The certificate of the API server {self.access.server} is not trusted"
            ca_given = bool(self.access.ca_file or self.access.ca_data)
            said = f"{error.verify_message.rstrip('.')}; {_tls.remedy(error, ca_given=ca_given)}"
        elif refused:
            fix = "fix the proxy" if proxy else "start the cluster, or fix the address in the kubeconfig"
            said = f"connection refused; {fix}"
        elif isinstance(error, TimeoutError):
            said = "no answer in time; check that the network leads there"
        else:
            said = str(error) or type(error).__name__
        return ApiError(0, "Unreachable", f"{why}: {said}.", Refusal(0, sent=not refused, lasting=lasting))

    def _tried(self, call: t.Callable[[], Result], repeatable: bool) -> Result:
        """What a call returns, which is made again as long as that is safe and may help."""
        start = time.monotonic()
        attempt = 1
        while True:
            try:
                return call()
            except ApiError as error:
                wait = _retries.pause(
                    error.refusal, repeatable=repeatable, attempt=attempt, elapsed=time.monotonic() - start
                )
                if wait is None:
                    if attempt > 1:
                        error.message += f" (tried {attempt} times in {time.monotonic() - start:.0f} s)"
                        error.args = (error.message,)
                    raise
            time.sleep(wait)
            attempt += 1

    def request(self, path: str, query: t.Mapping[str, t.Any] | None = None, *, again: bool = True) -> bytes:
        """The body of a GET, over a connection that is kept; asked for `again` where that may help."""
        if not again:
            return self._request(path, query)
        return self._tried(lambda: self._request(path, query), repeatable=True)

    def _request(self, path: str, query: t.Mapping[str, t.Any] | None) -> bytes:
        for attempt in (1, 2):
            kept = self._connection
            self._connection = connection = kept or self.connect()
            try:
                response = self._send(connection, path, query or {})
                try:
                    return response.read()
                except (OSError, http.client.HTTPException) as error:
                    connection.close()
                    raise self._unreachable(error) from error
            except ApiError as error:
                # A kept connection may have been closed by the other side: once more, over a new one.
                if error.status == 0:
                    self._connection = None
                if error.status or not kept or attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def get(self, path: str, query: t.Mapping[str, t.Any] | None = None, *, again: bool = True) -> Object:
        """One object, or one list, as `_shapes` says that it is. Raises ApiError where it is not."""
        found = self._object(self.request(path, query, again=again))
        place = _shapes.place(path)
        if place and place.single:
            self.check(found, place.check, place.kind)
        elif place:
            found["items"] = found.get("items") or []
            self.check(found, _ITEMS, f"list of {place.kind} objects")
            for item in found["items"]:
                self.check(item, place.check, place.kind)
        return found

    def check(self, item: t.Any, check: _shapes.Check, kind: str) -> None:
        """Raise ApiError where an object is not what every one of its kind is."""
        try:
            check(item)
        except _shapes.Unfit as unfit:
            raise ApiError(
                0,
                MALFORMED,
                f"The API server {self.access.server} answered {_article(kind)}{_shapes.name_of(item)} which {unfit}; "
                "check that it is a Kubernetes API server of a supported version.",
                Refusal(0, lasting=True),
            ) from None

    def _object(self, body: bytes) -> Object:
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            start = " ".join(body[:80].decode(errors="replace").split())
            raise ApiError(
                0,
                "NotJson",
                f"The API server {self.access.server} answered with something that is not a Kubernetes object: "
                f"{start!r}; check that the address leads to an API server.",
                Refusal(0, lasting=True),
            )
        return found

    def items(self, path: str, **query: t.Any) -> list[Object]:
        """The objects of a list."""
        found = self.get(path, query)
        self.check(found, _ITEMS, "list")
        return found.get("items") or []

    def watch(self, path: str, query: t.Mapping[str, t.Any], seconds: float) -> t.Iterator[Object]:
        """The events of a watch until the server ends it, `seconds` at most. Raises ApiError."""
        connection = self.connect(timeout=seconds + 5)
        place = _shapes.place(path)
        try:
            asked = dict(query, watch="true", allowWatchBookmarks="true", timeoutSeconds=max(1, int(seconds)))
            response = self._send(connection, path, asked)
            while True:
                try:
                    line = response.readline()
                except (OSError, http.client.HTTPException):
                    return  # dropped: the caller goes on from the version that it has
                if not line:
                    return
                try:
                    event = json.loads(line)
                except (ValueError, RecursionError):
                    return  # cut off in the middle of an event
                self.check(event, _EVENT, "event of a watch")
                if event["type"] == "ERROR":
                    status = event["object"]
                    self.check(status, _STATUS, "Status")
                    raise ApiError(
                        status.get("code", 500),
                        status.get("reason", ""),
                        status.get("message", "The watch failed."),
                    )
                self.check(event["object"], _shapes.version, "object in a watch")
                if place and event["type"] != "BOOKMARK":
                    self.check(event["object"], place.check, place.kind)
                yield event
        finally:
            connection.close()

    def _write(self, method: str, path: str, body: t.Any, dry_run: bool, content_type: str = "", **more: str) -> Object:
        repeatable = dry_run or _retries.is_conditional(method, body)
        return self._tried(lambda: self._write_once(method, path, body, dry_run, content_type, more), repeatable)

    def _write_once(
        self, method: str, path: str, body: t.Any, dry_run: bool, content_type: str, more: t.Mapping[str, str]
    ) -> Object:
        # Over a connection of its own: one that was kept may be closed already, and a write whose answer
        # never came must not be sent again by itself.
        connection = self.connect()
        try:
            query = {"fieldManager": FIELD_MANAGER, **more} if method != "DELETE" else {}
            if dry_run:
                query["dryRun"] = "All"
            response = self._send(connection, path, query, method, body, content_type or "application/json")
            answer = self._object(response.read())
            place = _shapes.place(path)
            if place and method != "DELETE":
                self.check(answer, place.check, place.kind)
            return answer
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def create(self, path: str, item: Object, *, dry_run: bool = False) -> Object:
        """The object as it was created in the collection at `path`. Raises ApiError, 409 where it exists."""
        return self._write("POST", path, item, dry_run)

    def replace(self, path: str, item: Object, *, dry_run: bool = False) -> Object:
        """The object as it was replaced; 409 where its metadata.resourceVersion is not the newest."""
        return self._write("PUT", path, item, dry_run)

    def patch(self, path: str, change: t.Any, *, dry_run: bool = False) -> Object:
        """The object after a merge patch (a dictionary) or a JSON patch (a list). Raises ApiError.

        A JSON patch whose `test` fails is refused with 422, and nothing is changed.
        """
        kind = "json-patch" if isinstance(change, list) else "merge-patch"
        return self._write("PATCH", path, change, dry_run, f"application/{kind}+json")

    def tried(self, path: str, manifest: Object) -> Object:
        """The object as a server-side apply of the manifest would make it, with conflicts decided for us. Nothing is
        changed. Raises ApiError."""
        attempt = 1
        while True:
            try:
                return self._write("PATCH", path, manifest, True, "application/apply-patch+yaml", force="true")
            except ApiError as error:
                # It names no version: the object changed while the server applied to it, as during its rollout.
                if error.reason != "Conflict" or attempt == _retries.ATTEMPTS:
                    raise
            time.sleep(_retries.growing(attempt))
            attempt += 1

    def delete(self, path: str, options: Object | None = None, *, dry_run: bool = False) -> Object:
        """Delete an object, with the fields of a DeleteOptions such as preconditions. Raises ApiError."""
        return self._write("DELETE", path, options or {}, dry_run)

    def close(self) -> None:
        """Close the connection that is kept."""
        if self._connection:
            self._connection.close()
            self._connection = None


def _api_error(response: http.client.HTTPResponse, server: str) -> ApiError:
    status, body = response.status, response.read()
    asked = (response.headers.get("Retry-After") or "").strip()
    refusal = Refusal(status, float(asked) if asked.isascii() and asked.isdigit() else None)
    try:
        answer = json.loads(body)
        reason, message = str(answer.get("reason") or ""), str(answer.get("message") or "")
    except (ValueError, AttributeError):
        reason, message = "", " ".join(body[:200].decode(errors="replace").split())
    message = message or f"The API server {server} answered {status}"
    if status == 401:
        message = f"The API server {server} does not accept the credentials (401); renew them in the kubeconfig"
    elif status == 403:
        message += "; allow this user to do that"  # the server's words name verb and resource
    return ApiError(status, reason, message, refusal)


def api(options: t.Mapping[str, t.Any], environ: t.Mapping[str, str]) -> Api:
    """The API server that the options and the environment of a task lead to. Raises Failure."""
    return Api(_access.resolve(options, environ))


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'AEIOaeio' else 'a'} {kind}"


Known = t.Dict[str, t.List[Object]]  # by the root of a version: the resources that it has


def path_for(api: Api, manifest: Object, namespace: str, known: Known | None = None) -> str | None:
    """The path of the collection that an object of a manifest is in, None where the cluster does not know its kind.

    What the cluster has is asked once and kept in `known`. Raises ApiError.
    """
    version = str(manifest.get("apiVersion") or "")
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    known = {} if known is None else known
    if root not in known:
        try:
            known[root] = api.get(root).get("resources") or []
        except ApiError as error:
            if error.status != 404:
                raise
            known[root] = []
    for item in known[root]:
        if item["kind"] == manifest["kind"] and "/" not in item["name"]:
            where = (manifest.get("metadata") or {}).get("namespace") or namespace
            within = f"/namespaces/{quote(where, safe='')}" if item.get("namespaced") else ""
            return f"{root}{within}/{item['name']}"
    return None


def path_of(
    plural: str, namespace: str | None = None, name: str | None = None, group: str = "", version: str = "v1"
) -> str:
    """The path of a collection or an object, such as /apis/apps/v1/namespaces/default/deployments/hello."""
    parts = [f"/apis/{group}/{version}" if group else f"/api/{version}"]
    if namespace:
        parts.append(f"namespaces/{quote(namespace, safe='')}")
    parts.append(plural)
    if name:
        parts.append(quote(name, safe=""))
    return "/".join(parts)
