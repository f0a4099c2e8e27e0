# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one file that talks to the API server.

It needs no more than the standard library, so that a task costs milliseconds. The Python client is
imported only to read kubeconfigs that need it, those with an auth-provider.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import socket
import ssl
import subprocess
import tempfile
import time
import typing as t
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urlsplit

from ansible.module_utils.common.parameters import env_fallback
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _proxy, _retries, _tls
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._retries import Refusal
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure

Result = t.TypeVar("Result")
Object = t.Dict[str, t.Any]

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
#: What is secret in a kubeconfig; `value` is a variable's of a credential plugin.
SECRET_KEYS = frozenset(
    ["token", "password", "client-key-data", "value", "id-token", "refresh-token", "access-token", "client-secret"]
)
FIELD_MANAGER = "convoy.rollout"  #: as whom objects are changed
TIMEOUT = 30.0  #: seconds that the API server may take to answer
CUT_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)  #: a connection that ended under TLS


class ApiError(Failure):
    """A Status that the API server answered with, or that it could not be reached (status 0)."""

    def __init__(self, status: int, reason: str, message: str, refusal: Refusal | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.refusal = refusal or Refusal(status)


@dataclass
class Access:
    """How the API server is reached: what a kubeconfig's context comes down to."""

    server: str
    context: str = ""  #: its name in the kubeconfig
    namespace: str = "default"
    headers: dict[str, str] = field(default_factory=dict)
    verify: bool = True
    ca_file: str | None = None
    ca_data: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    cert_data: str | None = None
    key_data: str | None = None
    server_name: str | None = None
    proxy: str | None = None

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS settings of a connection, None where the server speaks plain HTTP. Raises Failure."""
        if not self.server.startswith("https:"):
            return None
        try:
            context = _tls.client_context(self.ca_file, self.ca_data, verify=self.verify)
            if self.cert_data and self.key_data:
                with _file_of(f"{self.cert_data}\n{self.key_data}\n") as pair:
                    context.load_cert_chain(pair)
            elif self.cert_file:
                context.load_cert_chain(self.cert_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            raise Failure(f"The certificates for {self.server} cannot be used: {error}.") from error
        return context


@contextlib.contextmanager
def _file_of(text: str) -> t.Iterator[str]:
    """The path of a file of a text: OpenSSL reads client certificates from files only.

    Where the system can, the file is in memory, so that nothing of a key is left when the process is killed.
    """
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        with open(os.memfd_create("convoy-pair"), "w", encoding="utf-8") as memory:
            memory.write(text)
            memory.flush()
            yield f"/proc/self/fd/{memory.fileno()}"
        return
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        yield file.name


def access(options: t.Mapping[str, t.Any]) -> Access:
    """What the options of a task come down to, in the order of kubernetes.core.

    A host with credentials stands by itself. Else a kubeconfig or context that was asked for counts, else
    the pod that this runs in, else the default kubeconfig; single options then override what was found.
    Raises Failure where there is nothing to reach an API server with.
    """
    host = options.get("host")
    known = options.get("api_key") or options.get("username") or options.get("client_cert")
    found: Access | None = None
    if not (host and known):
        if not (host or options.get("kubeconfig") or options.get("context")):
            found = _from_pod()
        found = found or _from_kubeconfig(options)
    if found is None:
        if not host:
            raise Failure("There is no kubeconfig: give kubeconfig, or set K8S_AUTH_KUBECONFIG.")
        found = Access(host)
    if host:
        found.server = host.rstrip("/")
    found.proxy = options.get("proxy") or found.proxy or _proxy_of_environment(found.server)
    if options.get("api_key"):
        found.headers["Authorization"] = f"Bearer {options['api_key']}"
    elif options.get("username"):
        found.headers["Authorization"] = _basic(options["username"], options.get("password"))
    if options.get("validate_certs") is not None:
        found.verify = options["validate_certs"]
    if options.get("ca_cert"):
        found.ca_file, found.ca_data = options["ca_cert"], None
    if options.get("client_cert"):
        found.cert_file, found.key_file = options["client_cert"], options.get("client_key")
        found.cert_data = found.key_data = None
    return found


def _proxy_of_environment(server: str) -> str | None:
    try:
        return _proxy.of_environment(server, os.environ)
    except ValueError:
        return None  # whoever connects says what is wrong with the address


def _basic(username: str, password: str | None) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password or ''}".encode()).decode()


def _from_pod() -> Access | None:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not os.path.exists(f"{SERVICE_ACCOUNT}/token"):
        return None
    with (
        open(f"{SERVICE_ACCOUNT}/token", encoding="utf-8") as token,
        open(f"{SERVICE_ACCOUNT}/namespace", encoding="utf-8") as name,
    ):
        return Access(
            f"https://{f'[{host}]' if ':' in host else host}:{port}",
            namespace=name.read().strip(),
            headers={"Authorization": f"Bearer {token.read().strip()}"},
            ca_file=f"{SERVICE_ACCOUNT}/ca.crt",
        )


def _from_kubeconfig(options: t.Mapping[str, t.Any]) -> Access | None:
    given = options.get("kubeconfig")
    if isinstance(given, dict):
        return _valid_context(given, "", options.get("context"), "the kubeconfig")
    if given is not None and not isinstance(given, str):
        raise Failure("kubeconfig must be the path of a kubeconfig, or a kubeconfig as a dictionary.")
    paths = [
        os.path.expanduser(path)
        for path in (given or os.environ.get("KUBECONFIG") or "~/.kube/config").split(os.pathsep)
        if path
    ]
    present = [path for path in paths if os.path.exists(path)]
    if not present:
        if given:
            raise Failure(f"The kubeconfig {given} does not exist; start the cluster, or mend this host's kubeconfig.")
        return None
    merged: Object = {}
    for path in present:
        for key, value in _read_yaml(path).items():
            if isinstance(value, list):
                merged.setdefault(key, []).extend(dict(item, _folder=os.path.dirname(path)) for item in value)
            else:
                merged.setdefault(key, value)
    return _valid_context(merged, os.path.dirname(present[0]), options.get("context"), os.pathsep.join(present))


def _read_yaml(path: str) -> Object:
    try:
        import yaml
    except ImportError as error:
        raise Failure("PyYAML is needed to read a kubeconfig: pip install PyYAML.") from error
    try:
        with open(path, encoding="utf-8") as stream:
            document = yaml.safe_load(stream)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Failure(f"The kubeconfig {path} cannot be read: {error}.") from error
    if not isinstance(document, dict):
        raise Failure(f"The kubeconfig {path} is not a YAML mapping.")
    return document


def _named(document: Object, kind: str, name: str, where: str) -> Object:
    for item in document.get(f"{kind}s") or []:
        if item.get("name") == name:
            return dict(item.get(kind) or {}, _folder=item.get("_folder", ""))
    others = ", ".join(str(item.get("name")) for item in document.get(f"{kind}s") or []) or "none"
    raise Failure(f"There is no {kind} {name!r} in {where}; its {kind}s: {others}.")


def _valid_context(document: Object, folder: str, name: str | None, where: str) -> Access:
    try:
        return _context(document, folder, name, where)
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        # Not the value: it may be a secret.
        said = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else type(error).__name__
        raise Failure(f"The context {name or 'in use'} of {where} is not valid ({said}).") from error


def _context(document: Object, folder: str, name: str | None, where: str) -> Access:
    chosen = name or document.get("current-context")
    if not chosen:
        raise Failure(f"{where} has no current-context; give context.")
    context = _named(document, "context", chosen, where)
    cluster = _named(document, "cluster", context.get("cluster", ""), where)
    user = _named(document, "user", context["user"], where) if context.get("user") else {}
    if "auth-provider" in user:
        return _by_client(document, chosen, where)

    def path(entry: Object, key: str) -> str | None:
        value = entry.get(key)
        return os.path.join(entry.get("_folder") or folder, os.path.expanduser(value)) if value else None

    found = Access(
        server=str(cluster.get("server", "")).rstrip("/"),
        context=chosen,
        namespace=context.get("namespace") or "default",
        verify=not cluster.get("insecure-skip-tls-verify"),
        ca_file=path(cluster, "certificate-authority"),
        ca_data=_decoded(cluster, "certificate-authority-data"),
        cert_file=path(user, "client-certificate"),
        key_file=path(user, "client-key"),
        cert_data=_decoded(user, "client-certificate-data"),
        key_data=_decoded(user, "client-key-data"),
        server_name=cluster.get("tls-server-name"),
        proxy=cluster.get("proxy-url"),
    )
    token = user.get("token")
    if not token and user.get("tokenFile"):
        with open(t.cast(str, path(user, "tokenFile")), encoding="utf-8") as stream:
            token = stream.read().strip()
    if user.get("exec"):
        credential = _exec_credential(user["exec"], user.get("_folder") or folder, cluster, where)
        token = credential.get("token") or token
        found.cert_data = credential.get("clientCertificateData") or found.cert_data
        found.key_data = credential.get("clientKeyData") or found.key_data
    if token:
        found.headers["Authorization"] = f"Bearer {token}"
    elif user.get("username"):
        found.headers["Authorization"] = _basic(user["username"], user.get("password"))
    return found


def _decoded(entry: Object, key: str) -> str | None:
    return base64.b64decode(entry[key]).decode() if entry.get(key) else None


def _exec_credential(plugin: Object, folder: str, cluster: Object, where: str) -> Object:
    """What a credential plugin (client.authentication.k8s.io) prints as the status of its ExecCredential."""
    spec: Object = {"interactive": False}
    if plugin.get("provideClusterInfo"):
        known = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data")
        spec["cluster"] = {key: cluster[key] for key in (*known, "proxy-url") if key in cluster}
    asked = {
        "apiVersion": plugin.get("apiVersion", "client.authentication.k8s.io/v1"),
        "kind": "ExecCredential",
        "spec": spec,
    }
    env = {item["name"]: item["value"] for item in plugin.get("env") or []}
    program = str(plugin["command"])
    if os.path.dirname(program):  # a path is relative to the kubeconfig that names it
        program = os.path.join(folder, program)
    failed = f"The command {program} that {where} gets its credentials from"
    try:
        # run_command, which sanity tests ask for, belongs to a module; actions come here, too, and it has no timeout.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            [program, *(plugin.get("args") or [])],
            env=dict(os.environ, KUBERNETES_EXEC_INFO=json.dumps(asked), **env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=True,
        )
    except FileNotFoundError as error:
        hint = " ".join(str(plugin.get("installHint") or "install it").split())
        raise Failure(f"{failed} was not found: {hint}") from error
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.decode(errors="replace").split())[-300:]
        raise Failure(f"{failed} ended with code {error.returncode}: {said}") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise Failure(f"{failed} failed: {error}.") from error
    try:
        return t.cast(Object, json.loads(done.stdout)["status"])
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"{failed} printed no ExecCredential with a status.") from error


def _by_client(document: Object, context: str, where: str) -> Access:
    try:
        from kubernetes import config
        from kubernetes.client import Configuration
    except ImportError as error:
        raise Failure(
            f"{where} needs the Python client of Kubernetes for its auth-provider: pip install kubernetes."
        ) from error
    settings = Configuration()
    config.load_kube_config_from_dict(document, context=context, client_configuration=settings, persist_config=False)
    return Access(
        settings.host,
        context=context,
        headers={"Authorization": settings.get_api_key_with_prefix("authorization") or ""},
        verify=settings.verify_ssl,
        ca_file=settings.ssl_ca_cert,
        cert_file=settings.cert_file,
        key_file=settings.key_file,
    )


class _Https(http.client.HTTPSConnection):
    """A connection whose certificate may be for another name than the host's (tls-server-name)."""

    def __init__(self, host: str, port: int, timeout: float, context: ssl.SSLContext, server_name: str) -> None:
        super().__init__(host, port, timeout=timeout, context=context)
        self._tls, self._server_name = context, server_name

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._server_name)


def _tunnel(url: str | None) -> tuple[str, int] | None:
    """Host and port of a proxy. Raises Failure."""
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.username:
        raise Failure(
            "The proxy to the API server must be an http URL without credentials; give another one, or have NO_PROXY "
            "name the server where the proxy is HTTPS_PROXY's and not needed."
        )
    return parts.hostname, parts.port or 80


class Api:
    """One API server. Calls raise ApiError; objects are plain dictionaries.

    What did not succeed is tried again where that is safe, as `_retries` says.
    """

    def __init__(self, where: Access) -> None:
        self.access = where
        self.ssl_context = where.ssl_context()
        try:
            parts = urlsplit(where.server)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https"):
            raise Failure(f"The API server's address {where.server!r} is not an http or https URL.")
        self.host: str = host
        self.port = port or (443 if parts.scheme == "https" else 80)
        self.base = parts.path.rstrip("/")
        self.proxy = _tunnel(where.proxy)
        self._connection: http.client.HTTPConnection | None = None

    def connect(self, timeout: float = TIMEOUT) -> http.client.HTTPConnection:
        """A new connection, not yet opened."""
        host, port, tunnel = self.host, self.port, self.proxy
        if tunnel:
            host, port = tunnel
        connection = (
            http.client.HTTPConnection(host, port, timeout=timeout)
            if self.ssl_context is None
            else _Https(host, port, timeout, self.ssl_context, self.access.server_name or self.host)
        )
        if tunnel:
            connection.set_tunnel(self.host, self.port)
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
        headers = {"Accept": "application/json", **self.access.headers}
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), content_type
        try:
            connection.request(method, target, data, headers)
            response = connection.getresponse()
            if response.status >= 400:
                raise _api_error(response, self.access.server)
        except (OSError, ValueError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from error
        return response

    def _unreachable(self, error: Exception) -> ApiError:
        way = f" through the proxy {self.access.proxy}" if self.proxy else ""
        why = f"The API server {self.access.server} cannot be reached{way}"
        refused = isinstance(error, ConnectionRefusedError)
        lasting = isinstance(error, (ssl.SSLError, socket.gaierror, ValueError)) and not isinstance(error, CUT_OFF)
        if isinstance(error, ssl.SSLCertVerificationError):
            why = f"The certificate of the API server {self.access.server} is not trusted"
            ca_given = bool(self.access.ca_file or self.access.ca_data)
            said = f"{error.verify_message.rstrip('.')}; {_tls.remedy(error, ca_given=ca_given)}"
        elif refused:
            mended = "mend the proxy" if self.proxy else "start the cluster, or mend the address in the kubeconfig"
            said = f"connection refused; {mended}"
        elif isinstance(error, TimeoutError):
            said = "no answer in time; see that the network leads there"
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

    def request(self, path: str, query: t.Mapping[str, t.Any] | None = None) -> bytes:
        """The body of a GET, over a connection that is kept."""
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

    def get(self, path: str, query: t.Mapping[str, t.Any] | None = None) -> Object:
        """One object, or one list."""
        return self._object(self.request(path, query))

    def _object(self, body: bytes) -> Object:
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            start = " ".join(body[:80].decode(errors="replace").split())
            raise ApiError(
                0,
                "NotJson",
                f"The API server {self.access.server} answered what is no object of Kubernetes: {start!r}; see that "
                f"the address leads to an API server.",
                Refusal(0, lasting=True),
            )
        return found

    def items(self, path: str, **query: t.Any) -> list[Object]:
        """The objects of a list."""
        return self.get(path, query).get("items") or []

    def watch(self, path: str, query: t.Mapping[str, t.Any], seconds: float) -> t.Iterator[Object]:
        """The events of a watch until the server ends it, `seconds` at most. Raises ApiError."""
        connection = self.connect(timeout=seconds + 5)
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
                except ValueError:
                    return  # cut off in the middle of an event
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise ApiError(
                        status.get("code", 500),
                        status.get("reason", ""),
                        status.get("message", "The watch failed."),
                    )
                yield event
        finally:
            connection.close()

    def _write(self, method: str, path: str, body: t.Any, dry_run: bool, content_type: str = "") -> Object:
        repeatable = dry_run or _retries.is_conditional(method, body)
        return self._tried(lambda: self._write_once(method, path, body, dry_run, content_type), repeatable)

    def _write_once(self, method: str, path: str, body: t.Any, dry_run: bool, content_type: str) -> Object:
        # Over a connection of its own: one that was kept may be closed already, and a write whose answer
        # never came must not be sent again by itself.
        connection = self.connect()
        try:
            query = {"fieldManager": FIELD_MANAGER} if method != "DELETE" else {}
            if dry_run:
                query["dryRun"] = "All"
            response = self._send(connection, path, query, method, body, content_type or "application/json")
            return self._object(response.read())
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

        A JSON patch whose `test` does not hold is refused with 422, and nothing is changed.
        """
        kind = "json-patch" if isinstance(change, list) else "merge-patch"
        return self._write("PATCH", path, change, dry_run, f"application/{kind}+json")

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
        message += "; have this user allowed to do that"  # the server's words name verb and resource
    return ApiError(status, reason, message, refusal)


def secrets(options: t.Mapping[str, t.Any]) -> set[str]:
    """The values in a kubeconfig that was given as a dictionary that must not be shown anywhere."""
    given = options.get("kubeconfig")
    found: set[str] = set()

    def look(value: t.Any, key: str = "") -> None:
        if isinstance(value, dict):
            for name, item in value.items():
                look(item, str(name))
        elif isinstance(value, list):
            for item in value:
                look(item, key)
        # Ansible blots out every occurrence: a short value of a variable, such as 1, is no secret.
        elif key in SECRET_KEYS and isinstance(value, str) and len(value) >= (6 if key == "value" else 1):
            found.add(value)

    look(given.get("users") if isinstance(given, dict) else None)
    return found


def api(options: t.Mapping[str, t.Any]) -> Api:
    """The API server that the options of a task lead to."""
    return Api(access(options))


def path_of(plural: str, namespace: str | None = None, name: str | None = None, group: str = "") -> str:
    """The path of a collection or an object, such as /apis/apps/v1/namespaces/default/deployments/hello."""
    parts = [f"/apis/{group}/v1" if group else "/api/v1"]
    if namespace:
        parts.append(f"namespaces/{quote(namespace, safe='')}")
    parts.append(plural)
    if name:
        parts.append(quote(name, safe=""))
    return "/".join(parts)


#: How a task says which API server it means, as kubernetes.core names it.
ARGUMENTS: dict[str, t.Any] = {
    name: dict(spec, fallback=(env_fallback, [f"K8S_AUTH_{env}"]))
    for name, env, spec in (
        ("kubeconfig", "KUBECONFIG", {"type": "raw"}),
        ("context", "CONTEXT", {"type": "str"}),
        ("host", "HOST", {"type": "str"}),
        ("api_key", "API_KEY", {"type": "str", "no_log": True}),
        ("username", "USERNAME", {"type": "str"}),
        ("password", "PASSWORD", {"type": "str", "no_log": True}),
        ("proxy", "PROXY", {"type": "str"}),
        ("validate_certs", "VERIFY_SSL", {"type": "bool", "aliases": ["verify_ssl"]}),
        ("ca_cert", "SSL_CA_CERT", {"type": "path", "aliases": ["ssl_ca_cert"]}),
        ("client_cert", "CERT_FILE", {"type": "path", "aliases": ["cert_file"]}),
        ("client_key", "KEY_FILE", {"type": "path", "aliases": ["key_file"], "no_log": False}),
    )
}
