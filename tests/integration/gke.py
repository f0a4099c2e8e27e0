"""A stand-in for Google: the part of the GKE API that its own modules use, over HTTPS, and the token endpoint.

It answers as https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1 documents: a change is an
Operation that runs and is done later, an error is a google.rpc.Status. Clients reach it under Google's own
names through a proxy (HTTPS_PROXY) that ends their TLS here, with a CA of the tests.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import re
import ssl
import threading
import typing as t
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from google.auth import jwt

Object = dict[str, t.Any]
API, OAUTH = "container.googleapis.com", "oauth2.googleapis.com"
PROJECT, NUMBER = "lab-project", "123456789012"
EMAIL = f"deployer@{PROJECT}.iam.gserviceaccount.com"
PATH = re.compile(
    r"/v1/projects/(?P<project>[^/]+)/(?:locations|zones)/(?P<location>[^/]+)/"
    r"(?:operations/(?P<operation>[^/]+)|clusters(?:/(?P<cluster>[^/]+)(?:/nodePools(?:/(?P<pool>[^/]+))?)?)?)"
)


class Refusal(Exception):
    """A google.rpc.Status."""

    def __init__(self, code: int, status: str, message: str) -> None:
        super().__init__(message)
        self.code, self.body = code, {"error": {"code": code, "message": message, "status": status}}


@dataclass
class Google:
    """Clusters, operations and whom they belong to; every cluster's endpoint is one real API server."""

    endpoint: str
    ca: str  #: of the endpoint, Base64
    token: str  #: that the endpoint takes, so that it is what the token endpoint gives
    clusters: dict[str, Object] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)  #: method and path
    created: list[Object] = field(default_factory=list)  #: bodies of requests to create
    deny: dict[tuple[str, str], Refusal] = field(default_factory=dict)  #: creation of a cluster, by its name and kind
    breaks: dict[str, str] = field(default_factory=dict)  #: why a cluster ends in ERROR, by its name
    folder: Path = Path()
    proxy: str = ""
    _pending: dict[str, tuple[Object, t.Callable[[], None]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # -- the API -----------------------------------------------------------------------------

    def answer(self, method: str, path: str, body: Object, bearer: str) -> Object:
        """What the API answers. Raises Refusal."""
        with self._lock:
            found = PATH.fullmatch(path)
            self.asked.append((method, path))
            if not found:
                raise Refusal(404, "NOT_FOUND", f"Method not found: {method} {path}")
            if bearer != f"Bearer {self.token}":
                raise Refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
            if found["project"] not in (PROJECT, NUMBER):
                raise Refusal(403, "PERMISSION_DENIED", f"Permission denied on 'projects/{found['project']}'.")
            if found["operation"]:
                return self._operation(found["operation"])
            kind = "nodePools" if "/nodePools" in path else "clusters"
            name = found["cluster"] or body.get("cluster", {}).get("name", "")
            if method == "POST" and (name, kind) in self.deny:
                raise self.deny[name, kind]
            place = self._pools if kind == "nodePools" else self._clusters
            return place(method, found, body)

    def _clusters(self, method: str, found: re.Match[str], body: Object) -> Object:
        name, location = found["cluster"], found["location"]
        if name is None and method == "GET":
            here = [item for item in self.clusters.values() if item["location"] == location]
            return {"clusters": here} if here else {}
        if name is None and method == "POST":
            return self._create(location, body["cluster"])
        cluster = self._cluster(location, name)
        if method == "GET":
            return cluster
        if method == "DELETE":
            cluster["status"] = "STOPPING"
            return self._start("DELETE_CLUSTER", cluster, "", lambda: self.clusters.pop(cluster["name"]))
        raise Refusal(404, "NOT_FOUND", f"Method not found: {method}")

    def _create(self, location: str, asked: Object) -> Object:
        name = asked["name"]
        if name in self.clusters:
            where = f"projects/{PROJECT}/locations/{location}/clusters/{name}"
            raise Refusal(409, "ALREADY_EXISTS", f"Already exists: {where}.")
        self.created.append(asked)
        cluster = self.clusters[name] = {
            "name": name,
            "location": location,
            "zone": location,
            "status": "PROVISIONING",
            "nodePools": [self._pool({"name": "default-pool", "initialNodeCount": asked["initialNodeCount"]})],
            "masterAuth": {"clusterCaCertificate": self.ca},
        }
        broken = self.breaks.get(name)

        def done() -> None:
            cluster["endpoint"] = self.endpoint
            cluster["currentMasterVersion"] = "1.36.2-gke.1000"
            cluster["status"] = "ERROR" if broken else "RUNNING"
            if broken:
                cluster["statusMessage"] = broken

        return self._start("CREATE_CLUSTER", cluster, "", done)

    def _pools(self, method: str, found: re.Match[str], body: Object) -> Object:
        cluster = self._cluster(found["location"], found["cluster"])
        pools, name = cluster["nodePools"], found["pool"]
        if name is None and method == "GET":
            return {"nodePools": pools}
        if name is None and method == "POST":
            self._idle(cluster)
            asked = body["nodePool"]
            if any(pool["name"] == asked["name"] for pool in pools):
                raise Refusal(409, "ALREADY_EXISTS", f"Already exists: node pool {asked['name']}.")
            self.created.append(asked)
            pool = self._pool(asked)
            pools.append(pool)
            return self._start("CREATE_NODE_POOL", cluster, f"/nodePools/{pool['name']}", lambda: None)
        pool = next((pool for pool in pools if pool["name"] == name), None)
        if pool is None:
            raise Refusal(404, "NOT_FOUND", f"Not found: {found[0].removeprefix('/v1/')}.")
        if method == "GET":
            return pool
        if method == "DELETE":
            self._idle(cluster)
            return self._start("DELETE_NODE_POOL", cluster, f"/nodePools/{name}", lambda: pools.remove(pool))
        raise Refusal(404, "NOT_FOUND", f"Method not found: {method}")

    @staticmethod
    def _pool(asked: Object) -> Object:
        config = {"machineType": "e2-medium", "oauthScopes": []} | asked.get("config", {})
        return asked | {"config": config, "status": "RUNNING"}

    def _cluster(self, location: str, name: str) -> Object:
        cluster = self.clusters.get(name)
        if not cluster or cluster["location"] != location:
            raise Refusal(404, "NOT_FOUND", f"Not found: projects/{PROJECT}/locations/{location}/clusters/{name}.")
        return cluster

    def _idle(self, cluster: Object) -> None:
        if cluster["status"] not in ("RUNNING", "ERROR"):
            message = f"Cluster is running incompatible operation; its status is {cluster['status']}."
            raise Refusal(400, "FAILED_PRECONDITION", message)

    def _start(self, kind: str, cluster: Object, below: str, done: t.Callable[[], object]) -> Object:
        name = f"operation-{len(self._pending) + 1}"
        zone = f"https://{API}/v1/projects/{NUMBER}/zones/{cluster['location']}"
        operation = {
            "name": name,
            "zone": cluster["location"],
            "location": cluster["location"],
            "operationType": kind,
            "status": "RUNNING",
            "selfLink": f"{zone}/operations/{name}",
            "targetLink": f"{zone}/clusters/{cluster['name']}{below}",
            "startTime": "2026-01-01T00:00:00Z",
        }
        self._pending[name] = (operation, t.cast("t.Callable[[], None]", done))
        return dict(operation)

    def _operation(self, name: str) -> Object:
        if name not in self._pending:
            raise Refusal(404, "NOT_FOUND", f"Not found: operations/{name}.")
        operation, done = self._pending[name]
        if operation["status"] != "DONE":
            done()
            operation.update(status="DONE", endTime="2026-01-01T00:05:00Z")
        return operation

    # -- the token endpoint ------------------------------------------------------------------

    def grant(self, form: dict[str, list[str]]) -> Object:
        """An access token for an assertion that is signed with the service account's key."""
        certificate = (self.folder / "account.pem").read_text()
        try:
            claims = jwt.decode(form["assertion"][0], certs=certificate, audience=f"https://{OAUTH}/token")
        except (KeyError, ValueError) as error:
            raise Refusal(400, "INVALID_ARGUMENT", "invalid_grant: Invalid JWT Signature.") from error
        assert claims["iss"] == EMAIL
        return {"access_token": self.token, "expires_in": 3599, "token_type": "Bearer"}

    # -- what a user has ---------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        """How a program reaches this instead of Google."""
        trusted = str(self.folder / "ca.pem")
        return {
            "HTTPS_PROXY": self.proxy,
            "NO_PROXY": "127.0.0.1",
            "REQUESTS_CA_BUNDLE": trusted,
            "SSL_CERT_FILE": trusted,
        }

    @property
    def account(self) -> Path:
        """The key file of a service account."""
        return self.folder / "account.json"

    @property
    def secrets(self) -> list[str]:
        """What must never be printed: the access token, and each line of the private key."""
        lines = json.loads(self.account.read_text())["private_key"].split("\n")
        return [self.token, *(line for line in lines if len(line) > 60)]


def _signed(name: str, key: t.Any, issuer: tuple[x509.Name, t.Any] | None, hosts: list[str]) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    whose, signer = issuer or (subject, key)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(whose)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if issuer is None:  # from Python 3.13 on a CA without it is refused by default
        builder = builder.add_extension(_usage(), critical=True)
    if hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, hashes.SHA256())


def _usage() -> x509.KeyUsage:
    """What the key of a CA is for."""
    return x509.KeyUsage(
        key_cert_sign=True,
        crl_sign=True,
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: t.Any) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))


def _files(folder: Path) -> ssl.SSLContext:
    """Write the CA and the service account's key; the TLS settings that Google's names are served with."""
    authority, served, account = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(65537, 1024),  # which each module reads and checks in a seventh of the time of 2048
    )
    pem = serialization.Encoding.PEM
    ca = _signed("tests' CA", authority, None, [])
    leaf = _signed(API, served, (ca.subject, authority), [API, OAUTH])
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "served.pem").write_bytes(leaf.public_bytes(pem) + _pem(served))
    (folder / "account.pem").write_bytes(_signed(EMAIL, account, None, []).public_bytes(pem))
    key = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": _pem(account).decode(),
        "client_email": EMAIL,
        "client_id": "1",
        "token_uri": f"https://{OAUTH}/token",
    }
    (folder / "account.json").write_text(json.dumps(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "served.pem")
    return context


def _handler(google: Google, tls: ssl.SSLContext) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self) -> None:
            host, _, _port = self.path.partition(":")
            if host not in (API, OAUTH):
                self.send_error(502)
                return
            self.send_response(200)
            self.end_headers()
            # From here on this connection speaks TLS, and the requests within are handled as any.
            self.connection = self.request = tls.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
            self.close_connection = False

        def do_any(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            path = urlsplit(self.path).path
            try:
                if self.headers["Host"] == OAUTH:
                    code, body = 200, google.grant(parse_qs(sent))
                else:
                    document = json.loads(sent) if sent and sent != "null" else {}
                    bearer = self.headers.get("Authorization") or ""
                    code, body = 200, google.answer(self.command, path, document, bearer)
            except Refusal as refusal:
                code, body = refusal.code, refusal.body
            answer = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = do_DELETE = do_any

        def log_message(self, *_args: object) -> None:
            """Quiet."""

    return Handler


class Server(http.server.ThreadingHTTPServer):
    """With room for clients that a busy machine takes in later."""

    daemon_threads = True
    request_queue_size = 128


@contextlib.contextmanager
def google(folder: Path, endpoint: str, ca: bytes, token: str) -> Iterator[Google]:
    """Google, as long as the `with` block; its files are in `folder`."""
    standin = Google(endpoint, base64.b64encode(ca).decode(), token, folder=folder)
    server = Server(("127.0.0.1", 0), _handler(standin, _files(folder)))
    standin.proxy = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield standin
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
