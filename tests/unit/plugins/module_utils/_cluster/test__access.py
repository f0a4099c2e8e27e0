"""Which API server a task means and as whom it asks: the rows of docs/access.md."""

from __future__ import annotations

import base64
import json
import os
import ssl
import stat
import tempfile
import time
import typing as t
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _access
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._access import (
    Access,
    Credential,
    Credentials,
    secrets,
)
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from convoy_sandbox import certificates

Object = dict[str, t.Any]
Make = Callable[..., t.Any]


def resolve(options: Object, environ: t.Mapping[str, str] | None = None) -> Access:
    """What the options come down to; without `environ`, in this process's environment."""
    return _access.resolve(options, os.environ if environ is None else environ)


def headers(access: Access) -> list[tuple[str, str]]:
    """What a request says of who asks."""
    return list(access.headers(access.credentials.current()))


def kubeconfig(*, user: Object | None = None, cluster: Object | None = None, name: str = "one") -> Object:
    """A kubeconfig with one context."""
    return {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "shop"}}],
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.example.com", **(cluster or {})}}],
        "users": [{"name": name, "user": user or {}}],
    }


def written(path: Path, document: Object) -> str:
    """A kubeconfig as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document))
    return str(path)


def encoded(text: str) -> str:
    """Base64."""
    return base64.b64encode(text.encode()).decode()


def test_a_kubeconfig_as_a_dictionary() -> None:
    user = {"client-certificate-data": encoded("cert"), "client-key-data": encoded("key")}
    cluster = {"certificate-authority-data": encoded("ca"), "tls-server-name": "inside", "proxy-url": "http://p:3"}
    found = resolve({"kubeconfig": kubeconfig(user=user, cluster=cluster)})
    assert (found.server, found.context, found.namespace) == ("https://one.example.com", "one", "shop")
    assert (found.ca_data, found.server_name, str(found.proxy)) == ("ca", "inside", "http://p:3")
    assert found.credentials.current() == Credential(cert_data="cert", key_data="key")


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({"token": "abc"}, "Bearer abc"),
        ({"username": "me", "password": "pw"}, "Basic " + encoded("me:pw")),
        ({}, None),
    ],
)
def test_credentials_of_a_user(user: Object, header: str | None) -> None:
    assert headers(resolve({"kubeconfig": kubeconfig(user=user)})) == ([("Authorization", header)] if header else [])


def test_files_are_found_beside_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    user = {"tokenFile": "token", "client-certificate": "c.pem", "client-key": "/abs/k.pem"}
    path = written(tmp_path / "config", kubeconfig(user=user, cluster={"certificate-authority": "ca.pem"}))
    found = resolve({"kubeconfig": path})
    shown = found.credentials.current()
    assert shown.authorization == "Bearer from-a-file"
    assert (found.ca_file, shown.cert_file, shown.key_file) == (
        str(tmp_path / "ca.pem"),
        str(tmp_path / "c.pem"),
        "/abs/k.pem",
    )


def test_several_kubeconfigs_are_merged_and_the_first_word_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = written(tmp_path / "a" / "config", kubeconfig(user={"tokenFile": "t"}, name="one"))
    (tmp_path / "a" / "t").write_text("one's")
    second = written(tmp_path / "b" / "config", kubeconfig(user={"token": "two's"}, name="two"))
    monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path / 'missing'}:{second}")
    assert resolve({}).server == "https://one.example.com"
    assert resolve({"context": "two"}).credentials.current().authorization == "Bearer two's"
    assert resolve({"context": "one"}).credentials.current().authorization == "Bearer one's"


def test_the_default_kubeconfig_comes_last(tmp_path: Path) -> None:
    written(tmp_path / ".kube" / "config", kubeconfig())
    assert resolve({}).server == "https://one.example.com"


def test_options_override_the_kubeconfig() -> None:
    found = resolve(
        {
            "kubeconfig": kubeconfig(user={"token": "t"}, cluster={"insecure-skip-tls-verify": True}),
            "api_key": "mine",
            "validate_certs": True,
            "ca_cert": "/ca",
            "proxy": "http://q:1",
            "host": "https://other:6443/",
        }
    )
    assert (found.server, found.verify, found.ca_file, str(found.proxy)) == (
        "https://other:6443",
        True,
        "/ca",
        "http://q:1",
    )
    assert headers(found) == [("Authorization", "Bearer mine")]


def test_a_host_with_credentials_needs_no_kubeconfig() -> None:
    assert headers(resolve({"host": "https://h", "username": "u", "password": "p"})) == [
        ("Authorization", "Basic " + encoded("u:p"))
    ]
    found = resolve({"host": "https://h", "client_cert": "/c", "client_key": "/k"})
    assert found.credentials.current() == Credential(cert_file="/c", key_file="/k")


def plugin(tmp_path: Path, script: str) -> Object:
    """A user whose credentials come from a command."""
    path = tmp_path / "credentials.sh"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": str(path), "env": [{"name": "WHO", "value": "me"}]}}


def test_a_credential_plugin(tmp_path: Path) -> None:
    said = '{"status": {"token": "%s-%s", "clientCertificateData": "c", "clientKeyData": "k"}}'
    user = plugin(tmp_path, f"printf '{said}' $WHO ${{#KUBERNETES_EXEC_INFO}}")
    found = resolve({"kubeconfig": kubeconfig(user=user)})
    asked = json.dumps(
        {
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "spec": {"interactive": False},
        }
    )
    assert found.credentials.current() == Credential(f"Bearer me-{len(asked)}", cert_data="c", key_data="k")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo please log in >&2; exit 3", "exited with code 3: please log in"),
        ("echo hello", "printed no ExecCredential"),
        ("echo '{}'", "printed no ExecCredential"),
    ],
)
def test_a_credential_plugin_that_fails(tmp_path: Path, script: str, said: str) -> None:
    with pytest.raises(Failure, match=said):
        resolve({"kubeconfig": kubeconfig(user=plugin(tmp_path, script))})


def test_a_credential_plugin_that_is_missing_says_how_to_get_it() -> None:
    user = {"exec": {"command": "no-such-command", "installHint": "apt-get install it"}}
    with pytest.raises(Failure, match="was not found: apt-get install it"):
        resolve({"kubeconfig": kubeconfig(user=user)})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "There is no kubeconfig"),
        ({"kubeconfig": "/nowhere"}, "/nowhere does not exist"),
        ({"kubeconfig": kubeconfig(), "context": "x"}, "no context 'x' in the kubeconfig; its contexts: one"),
        ({"kubeconfig": {}}, "no current-context"),
        ({"kubeconfig": kubeconfig(user={"client-key-data": "geheim"})}, "is not valid"),
        ({"kubeconfig": kubeconfig(user={"tokenFile": "/nowhere"})}, "token file /nowhere cannot be read: No such"),
        ({"kubeconfig": dict(kubeconfig(), users=["geheim"])}, "is not valid"),
        ({"kubeconfig": 5}, "must be the path"),
    ],
)
def test_what_leads_nowhere_is_said_in_one_sentence(options: Object, said: str) -> None:
    with pytest.raises(Failure, match=said) as failed:
        resolve(options)
    assert "geheim" not in failed.value.message


@pytest.mark.parametrize("text", ["- a list", "a: [", ": :"])
def test_a_file_that_is_no_kubeconfig(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(Failure, match="kubeconfig"):
        resolve({"kubeconfig": str(tmp_path / "config")})


def test_the_secrets_of_a_kubeconfig_are_known() -> None:
    user = {
        "token": "t",
        "password": "p",
        "client-key-data": "k",
        "client-certificate-data": "c",
        "exec": {"command": "x", "env": [{"name": "A", "value": "secret"}, {"name": "B", "value": "1"}]},
    }
    assert secrets({"kubeconfig": kubeconfig(user=user)}) == {"t", "p", "k", "secret"}
    assert secrets({"kubeconfig": "/a/path"}) == set()


@pytest.mark.parametrize("in_memory", [True, False])
def test_the_key_of_a_client_is_on_disk_only_where_it_has_to(
    in_memory: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = certificates.make()  # which has need of files itself
    if in_memory:
        monkeypatch.setattr(tempfile, "NamedTemporaryFile", None)
    else:
        monkeypatch.delattr(os, "memfd_create")
    client = {"cert_data": made.client_cert.decode(), "key_data": made.client_key.decode()}
    assert Access("https://127.0.0.1:1", credentials=Credentials(Credential(**client))).ssl_context() is not None
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    made = certificates.make()
    (tmp_path / "user.crt").write_bytes(made.client_cert)
    absent = str(tmp_path / "user.key")
    for access in (
        Access("https://h", credentials=Credentials(Credential(cert_file=f"{tmp_path}/user.crt", key_file=absent))),
        Access("https://h", ca_file=absent),
    ):
        with pytest.raises(Failure, match=rf"for https://h cannot be used: {absent}: No such file or directory\.$"):
            access.ssl_context()


def test_a_certificate_is_verified_unless_told_otherwise() -> None:
    careful, careless = Access("https://h").ssl_context(), Access("https://h", verify=False).ssl_context()
    assert careful is not None
    assert (careful.verify_mode, careful.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert careless is not None
    assert careless.verify_mode == ssl.CERT_NONE


# -- the same as kubernetes.core ---------------------------------------------------------------------------------------


class Reached(t.NamedTuple):
    """Where a client goes and what it shows there."""

    server: str
    token: str
    verify: bool
    ca: str | None
    certificate: str | None
    key: str | None


def by_kubernetes_core(options: Object) -> Reached:
    """What kubernetes.core makes of options and of this process's environment."""
    client = pytest.importorskip("ansible_collections.kubernetes.core.plugins.module_utils.k8s.client")
    kubernetes = pytest.importorskip("kubernetes")
    kubernetes.client.Configuration.set_default(None)
    found = client._create_configuration(client._create_auth_spec(**options))
    token = found.api_key.get("authorization") or found.api_key.get("BearerToken") or ""
    return Reached(
        found.host,
        token.replace("Bearer ", "").replace("bearer ", "").strip(),
        bool(found.verify_ssl),
        found.ssl_ca_cert,
        found.cert_file,
        found.key_file,
    )


def by_us(options: Object) -> Reached:
    """What this collection makes of them."""
    found = resolve(options)
    shown = found.credentials.current()
    token = (shown.authorization or "").removeprefix("Bearer ")
    return Reached(found.server, token, found.verify, found.ca_file, shown.cert_file, shown.key_file)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with kubeconfigs of the clusters that are asked for, named by KUBECONFIG, and by default."""
    for name in ("asked", "named", "default"):
        document = kubeconfig(user={"token": f"token-of-{name}"}, name=name)
        second = kubeconfig(user={"token": "token-of-other"}, name="other")
        for kind in ("contexts", "clusters", "users"):
            document[kind] += second[kind]
        written(tmp_path / (".kube/config" if name == "default" else name), document)
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


ROWS: list[tuple[str, Object, dict[str, str]]] = [
    ("default kubeconfig", {}, {}),
    ("KUBECONFIG", {}, {"KUBECONFIG": "{}/named"}),
    ("KUBECONFIG, two files", {"context": "asked"}, {"KUBECONFIG": "{}/named:{}/asked"}),
    ("context", {"context": "other"}, {}),
    ("context, by the environment", {}, {"K8S_AUTH_CONTEXT": "other"}),
    ("kubeconfig", {"kubeconfig": "{}/asked"}, {"KUBECONFIG": "{}/named"}),
    ("kubeconfig, by the environment", {}, {"K8S_AUTH_KUBECONFIG": "{}/asked", "KUBECONFIG": "{}/named"}),
    ("kubeconfig, by both", {"kubeconfig": "{}/asked"}, {"K8S_AUTH_KUBECONFIG": "{}/named"}),
    ("kubeconfig with a context of it", {"kubeconfig": "{}/asked", "context": "other"}, {}),
    ("host and token", {"host": "https://h:6443/", "api_key": "t"}, {}),
    ("host and token, by the environment", {}, {"K8S_AUTH_HOST": "https://h", "K8S_AUTH_API_KEY": "t"}),
    ("host alone", {"host": "https://h"}, {}),
    ("token alone", {"api_key": "t"}, {}),
    ("a client certificate", {"client_cert": "{}/cert.pem", "client_key": "{}/key.pem", "host": "https://h"}, {}),
    ("a certificate, by the environment", {}, {"K8S_AUTH_CERT_FILE": "{}/cert.pem", "K8S_AUTH_KEY_FILE": "{}/key.pem"}),
    ("... by its other name", {}, {"K8S_AUTH_CLIENT_CERT": "{}/cert.pem", "K8S_AUTH_CLIENT_KEY": "{}/key.pem"}),
    ("a CA", {"ca_cert": "{}/ca.pem"}, {}),
    ("a CA, by the environment", {}, {"K8S_AUTH_SSL_CA_CERT": "{}/ca.pem"}),
    ("... by its other name", {}, {"K8S_AUTH_CA_CERT": "{}/ca.pem"}),
    ("no verification", {"validate_certs": False}, {}),
    ("no verification, by the environment", {}, {"K8S_AUTH_VERIFY_SSL": "no"}),
    ("... by its other name", {}, {"K8S_AUTH_VALIDATE_CERTS": "False"}),
    ("verification, by the environment", {}, {"K8S_AUTH_VERIFY_SSL": "yes"}),
    ("an empty option", {"kubeconfig": ""}, {"K8S_AUTH_KUBECONFIG": "{}/asked"}),
    ("an empty variable", {}, {"K8S_AUTH_KUBECONFIG": ""}),
]


@pytest.mark.parametrize(("options", "environ"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_same_as_kubernetes_core(
    settings: Path, monkeypatch: pytest.MonkeyPatch, options: Object, environ: dict[str, str]
) -> None:
    def there(value: t.Any) -> t.Any:
        return value.replace("{}", str(settings)) if isinstance(value, str) else value

    for name, value in environ.items():
        monkeypatch.setenv(name, there(value))
    # The client reads the place of the default kubeconfig once, when it is imported.
    loader = pytest.importorskip("kubernetes.config.kube_config")
    monkeypatch.setattr(loader, "KUBE_CONFIG_DEFAULT_LOCATION", os.environ.get("KUBECONFIG", "~/.kube/config"))
    given = {name: there(value) for name, value in options.items()}
    assert by_us(given) == by_kubernetes_core(given)


@pytest.mark.parametrize("asked", [{}, {"kubeconfig": "{}/asked"}, {"context": "other"}, {"host": "https://h"}])
@pytest.mark.parametrize("variable", ["", "{}/named"])
def test_the_same_as_kubernetes_core_in_a_pod(
    settings: Path, monkeypatch: pytest.MonkeyPatch, asked: Object, variable: str
) -> None:
    loader = pytest.importorskip("kubernetes.config.incluster_config")
    config = pytest.importorskip("kubernetes.config.kube_config")
    pod(settings, monkeypatch)
    monkeypatch.setattr(loader, "SERVICE_TOKEN_FILENAME", str(settings / "token"))
    monkeypatch.setattr(loader, "SERVICE_CERT_FILENAME", str(settings / "ca.crt"))
    place = variable.replace("{}", str(settings))
    monkeypatch.setattr(config, "KUBE_CONFIG_DEFAULT_LOCATION", place or "~/.kube/config")
    if variable:
        monkeypatch.setenv("KUBECONFIG", place)
    given = {name: value.replace("{}", str(settings)) for name, value in asked.items()}
    assert by_us(given) == by_kubernetes_core(given)


def pod(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as in a pod, whose service account is in a folder."""
    for name, text in (("token", "of-the-pod\n"), ("ca.crt", "ca"), ("namespace", "of-the-pod\n")):
        (folder / name).write_text(text)
    monkeypatch.setattr(_access, "SERVICE_ACCOUNT", str(folder))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")


def test_the_variables_are_those_of_the_task_and_not_of_this_process(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K8S_AUTH_KUBECONFIG", str(settings / "named"))
    environ = {"HOME": str(settings), "K8S_AUTH_KUBECONFIG": str(settings / "asked")}
    assert resolve({}, environ).server == "https://asked.example.com"
    assert resolve({}, {"HOME": str(settings)}).server == "https://default.example.com"
    assert resolve({}, {"KUBECONFIG": "~/asked", "HOME": str(settings)}).server == "https://asked.example.com"


# -- whose namespace ---------------------------------------------------------------------------------------------------


def test_the_namespace_is_the_contexts_where_none_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def placed(**options: t.Any) -> str:
        return str(_access.placed(options, os.environ)["namespace"])

    broken = plugin(tmp_path, "exit 1")
    assert placed(namespace=None, kubeconfig=kubeconfig(user=broken)) == "shop"  # no credentials are asked for
    assert placed(namespace="", kubeconfig=kubeconfig()) == "shop"
    assert placed(namespace="other", kubeconfig=kubeconfig()) == "other"
    assert placed(namespace=None) == "default"
    assert placed(namespace=None, kubeconfig=kubeconfig(), host="https://h", api_key="t") == "default"
    assert "namespace" not in _access.placed({"kubeconfig": "/nowhere"}, os.environ)
    pod(tmp_path, monkeypatch)
    assert placed(namespace=None) == "of-the-pod"


# -- as whom -----------------------------------------------------------------------------------------------------------

ALICE: Object = {
    "as": "alice",
    "as-uid": "42",
    "as-groups": ["devs", "ops"],
    "as-user-extra": {"scopes": ["view", "all"], "Example.com/a b": ["x"]},
}


def test_a_kubeconfig_says_as_whom_to_act() -> None:
    assert headers(resolve({"kubeconfig": kubeconfig(user={"token": "t", **ALICE})})) == [
        ("Authorization", "Bearer t"),
        ("Impersonate-User", "alice"),
        ("Impersonate-Uid", "42"),
        ("Impersonate-Group", "devs"),
        ("Impersonate-Group", "ops"),
        ("Impersonate-Extra-scopes", "view"),
        ("Impersonate-Extra-scopes", "all"),
        ("Impersonate-Extra-example.com%2Fa%20b", "x"),
    ]


@pytest.mark.parametrize(
    ("options", "environ", "shown"),
    [
        ({"impersonate_user": "bob"}, {}, [("User", "bob")]),
        ({}, {"K8S_AUTH_IMPERSONATE_USER": "bob"}, [("User", "bob")]),
        (
            {"impersonate_user": "bob", "impersonate_groups": ["a", "b"]},
            {"K8S_AUTH_IMPERSONATE_USER": "carol"},
            [("User", "bob"), ("Group", "a"), ("Group", "b")],
        ),
        (
            {},
            {"K8S_AUTH_IMPERSONATE_USER": "bob", "K8S_AUTH_IMPERSONATE_GROUPS": "a,b,"},
            [("User", "bob"), ("Group", "a"), ("Group", "b")],
        ),
        ({"impersonate_groups": ["a"]}, {}, [("User", "alice"), ("Group", "a")]),
    ],
)
def test_options_say_as_whom_to_act(options: Object, environ: dict[str, str], shown: list[tuple[str, str]]) -> None:
    there = kubeconfig(user={"as": "alice", "as-groups": ["devs"]})
    found = headers(resolve({"kubeconfig": there, **options}, environ))
    assert found == [(f"Impersonate-{name}", value) for name, value in shown]


@pytest.mark.parametrize(
    ("user", "options", "said"),
    [
        ({"as-groups": ["devs"]}, {}, "without as; name the user"),
        ({}, {"impersonate_groups": ["devs"]}, "without impersonate_user; name the user"),
        ({"as": "a\nX: y"}, {}, "must not contain control characters"),
    ],
)
def test_nobody_is_acted_as_by_halves(user: Object, options: Object, said: str) -> None:
    with pytest.raises(Failure, match=said):
        resolve({"kubeconfig": kubeconfig(user=user), **options})


# -- the way there -----------------------------------------------------------------------------------------------------

BASIC = "Basic " + encoded("me:p@w")


@pytest.mark.parametrize(
    ("cluster", "options", "environ", "proxy"),
    [
        ({}, {"proxy": "http://q:3128"}, {}, ("http://q:3128", {})),
        ({}, {}, {"K8S_AUTH_PROXY": "http://q"}, ("http://q:80", {})),
        ({"proxy-url": "http://p:1"}, {"proxy": "http://q:1"}, {}, ("http://q:1", {})),
        ({"proxy-url": "http://p:1"}, {}, {"HTTPS_PROXY": "http://e:1"}, ("http://p:1", {})),
        ({"proxy-url": "http://p:1"}, {}, {"NO_PROXY": "one.example.com"}, ("http://p:1", {})),
        ({"proxy-url": "http://p:1"}, {"no_proxy": "example.com"}, {}, None),
        ({"proxy-url": "http://p:1"}, {}, {"K8S_AUTH_NO_PROXY": "a, .example.com"}, None),
        ({"proxy-url": "http://p:1"}, {"no_proxy": "example.org"}, {}, ("http://p:1", {})),
        ({}, {}, {"HTTPS_PROXY": "e:1"}, ("http://e:1", {})),
        ({}, {}, {"HTTPS_PROXY": "e:1", "no_proxy": "example.com"}, None),
        ({"proxy-url": "http://me:p%40w@p:1"}, {}, {}, ("http://p:1", {"Proxy-Authorization": BASIC})),
        (
            {},
            {"proxy": "http://q:1", "proxy_headers": {"proxy_basic_auth": "me:p@w", "user_agent": "us"}},
            {},
            ("http://q:1", {"Proxy-Authorization": BASIC, "User-Agent": "us"}),
        ),
        (
            {},
            {"proxy": "http://q:1"},
            {"K8S_AUTH_PROXY_HEADERS_BASIC_AUTH": "me:p@w"},
            ("http://q:1", {"Authorization": BASIC}),
        ),
    ],
)
def test_proxies(
    cluster: Object, options: Object, environ: dict[str, str], proxy: tuple[str, dict[str, str]] | None
) -> None:
    found = resolve({"kubeconfig": kubeconfig(cluster=cluster), **options}, environ).proxy
    assert (found and (str(found), dict(found.headers))) == proxy


@pytest.mark.parametrize("url", ["socks5://p:1", "https://p", "http://", "p:1", "http://a..b", "http://me:geheim@a b"])
def test_a_proxy_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(Failure, match=r"The proxy to the API server, .*must be an http URL") as failed:
        resolve({"host": "https://h", "api_key": "t", "proxy": url})
    assert "geheim" not in failed.value.message


@pytest.mark.parametrize(
    ("cluster", "user", "server"),
    [
        ({"server": "10.0.0.1:6443"}, {"token": "t"}, "https://10.0.0.1:6443"),
        ({"server": "h/prefix/", "insecure-skip-tls-verify": True}, {}, "https://h/prefix"),
        ({"server": "h", "certificate-authority-data": encoded("ca")}, {}, "https://h"),
        ({"server": "localhost:8080"}, {}, "http://localhost:8080"),
    ],
)
def test_a_server_without_a_scheme(cluster: Object, user: Object, server: str) -> None:
    assert resolve({"kubeconfig": kubeconfig(cluster=cluster, user=user)}).server == server


@pytest.mark.parametrize("token", ["a b", "a\nX-Other: b", "geheim\x00"])
def test_a_token_that_is_none_is_not_sent(token: str) -> None:
    with pytest.raises(Failure, match="is not valid: it contains white space or control characters") as failed:
        resolve({"kubeconfig": kubeconfig(user={"token": token})})
    assert token not in failed.value.message


# -- renewal -----------------------------------------------------------------------------------------------------------


class Clock:
    """A time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        """Seconds since 1970."""
        return self.now

    monotonic = time

    def sleep(self, seconds: float) -> None:
        """Let time go on."""
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of what renews credentials."""
    found = Clock()
    monkeypatch.setattr(_access, "time", found)
    return found


def lasting(clock: Clock, seconds: float) -> tuple[Credentials, list[float]]:
    """Credentials that last so long, and when new ones were asked for."""
    asked: list[float] = []

    def read() -> Credential:
        asked.append(clock.now)
        expires = clock.now + seconds
        return Credential(f"Bearer {len(asked)}", expires=expires, due=expires - min(10.0, seconds / 10))

    return Credentials(read(), read), asked


@pytest.mark.parametrize(("seconds", "margin"), [(900, 10), (20, 2)])
def test_credentials_are_renewed_shortly_before_they_expire(clock: Clock, seconds: float, margin: float) -> None:
    credentials, asked = lasting(clock, seconds)
    clock.now += seconds - margin - 1
    assert credentials.current().authorization == "Bearer 1"
    clock.now += 1
    assert credentials.current().authorization == "Bearer 2"
    assert len(asked) == 2


def test_a_plugin_that_fails_is_asked_again_while_its_credentials_last_and_some_times_after_that(clock: Clock) -> None:
    failures = 0

    def read() -> Credential:
        nonlocal failures
        failures += 1
        raise Failure("log in first")

    credentials = Credentials(Credential("Bearer 1", expires=1100.0, due=1090.0), read)
    clock.now = 1090.0
    for _request in range(3):
        assert credentials.current().authorization == "Bearer 1"
    assert failures == 1  # once a second at most
    clock.now = 1095.0
    assert (credentials.current().authorization, failures) == ("Bearer 1", 2)
    clock.now = 1100.0
    with pytest.raises(Failure, match="log in first"):
        credentials.current()
    assert failures == 2 + _access.TRIES


def test_a_clock_that_is_ahead_costs_one_question_a_second(clock: Clock) -> None:
    credentials, asked = lasting(clock, -3600)
    for _request in range(100):
        credentials.current()
        clock.now += 0.1
    assert 5 <= len(asked) <= 12


def test_credentials_that_are_refused_are_renewed_once_for_all_threads() -> None:
    asked: list[int] = []

    def read() -> Credential:
        asked.append(1)
        time.sleep(0.05)
        return Credential(f"Bearer {len(asked) + 1}")

    credentials = Credentials(Credential("Bearer 1"), read)
    refused = credentials.current()
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _n: credentials.renewed(refused), range(8)))
    assert (len(asked), credentials.current().authorization) == (1, "Bearer 2")


def test_credentials_that_are_what_they_were_are_not_new() -> None:
    first = Credential("Bearer 1")
    assert not Credentials(first, lambda: Credential("Bearer 1", expires=5.0)).renewed(first)
    assert not Credentials(first).renewed(first)


#: Prints a token that counts how often it was asked, and until when it holds.
COUNTING = """
echo x >> "$COUNT"
printf '{"status": {"token": "n%s", "expirationTimestamp": "%s"}}' $(wc -l < "$COUNT") "$UNTIL"
"""


@pytest.mark.parametrize("until", ["2000-01-01T00:00:00Z", "2000-01-01T02:00:00.5+02:00", "1999-12-31T22:00:00-02:00"])
def test_a_plugin_says_until_when_its_credentials_hold(tmp_path: Path, until: str) -> None:
    environ = {"COUNT": str(tmp_path / "count"), "UNTIL": until, "PATH": os.environ["PATH"]}
    access = resolve({"kubeconfig": kubeconfig(user=plugin(tmp_path, COUNTING))}, environ)
    assert access.credentials.latest.expires == 946684800.0
    assert access.credentials.expired


def test_a_plugin_is_asked_once_for_all_that_a_process_asks(tmp_path: Path) -> None:
    environ = {"COUNT": str(tmp_path / "count"), "UNTIL": "", "PATH": os.environ["PATH"]}
    options = {"kubeconfig": kubeconfig(user=plugin(tmp_path, COUNTING))}
    first, second = resolve(options, environ), resolve(options, environ)
    assert first.credentials is second.credentials
    assert first.credentials.renewed(first.credentials.current())
    assert second.credentials.current().authorization == "Bearer n2"


def test_what_is_relative_stays_where_it_was_when_a_companion_works_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin(tmp_path, COUNTING)
    user = {"exec": {"command": "./credentials.sh"}}
    written(tmp_path / "config", kubeconfig(user=user, cluster={"certificate-authority": "ca.pem"}))
    monkeypatch.chdir(tmp_path)
    environ = {"COUNT": str(tmp_path / "count"), "UNTIL": "", "PATH": os.environ["PATH"]}
    access = resolve({"kubeconfig": "config", "client_key": "k", "client_cert": "c"}, environ)
    monkeypatch.chdir("/")
    assert access.credentials.renewed(access.credentials.current())
    assert access.ca_file == str(tmp_path / "ca.pem")
    assert access.credentials.current().cert_file == str(tmp_path / "c")


def test_who_chooses_another_context_meanwhile_sends_nobodys_credentials_elsewhere(tmp_path: Path) -> None:
    two = kubeconfig(user={"token": "of-one"}, name="one")
    other = kubeconfig(user={"token": "of-two"}, name="two")
    for kind in ("contexts", "clusters", "users"):
        two[kind] += other[kind]
    path = written(tmp_path / "config", two)
    access = resolve({"kubeconfig": path})
    written(tmp_path / "config", {**two, "current-context": "two"})
    assert not access.credentials.renewed(access.credentials.current())
    two["users"][0]["user"] = {"token": "of-one-anew"}
    written(tmp_path / "config", two)
    assert access.credentials.renewed(access.credentials.current())
    assert access.credentials.current().authorization == "Bearer of-one-anew"
    two["clusters"][0]["cluster"]["server"] = "https://elsewhere"
    two["users"][0]["user"] = {"token": "of-elsewhere"}
    written(tmp_path / "config", two)
    access.credentials.renewed(access.credentials.current())
    assert access.credentials.current().authorization != "Bearer of-elsewhere"


@pytest.mark.parametrize("in_pod", [False, True])
def test_a_token_file_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock, in_pod: bool
) -> None:
    if in_pod:
        pod(tmp_path, monkeypatch)
    (tmp_path / "token").write_text("first")
    options = {} if in_pod else {"kubeconfig": kubeconfig(user={"tokenFile": str(tmp_path / "token")})}
    credentials = resolve(options).credentials
    (tmp_path / "token").write_text("second")
    clock.now += 59
    assert credentials.current().authorization == "Bearer first"
    clock.now += 1
    assert credentials.current().authorization == "Bearer second"
    (tmp_path / "token").write_text("third")
    assert credentials.renewed(credentials.current())
    assert credentials.current().authorization == "Bearer third"
    (tmp_path / "token").write_text("")  # as while somebody writes it
    clock.now += 60
    assert credentials.current().authorization == "Bearer third"


def test_a_token_comes_before_a_plugin_which_is_then_not_asked(tmp_path: Path) -> None:
    both = {"token": "t", **plugin(tmp_path, "exit 1")}
    assert headers(resolve({"kubeconfig": kubeconfig(user=both)})) == [("Authorization", "Bearer t")]


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ({"exec": {"command": "x", "interactiveMode": "Always"}}, "needs an interactive prompt"),
        ("printf '{\"status\": {}}'", "printed neither a token nor a client certificate"),
        ("printf '{\"status\": []}'", "printed no ExecCredential"),
        ('printf \'{"status": {"token": "t", "expirationTimestamp": "soon"}}\'', "'soon' as expirationTimestamp"),
    ],
)
def test_a_plugin_that_gives_nothing_to_go_on(tmp_path: Path, user: t.Any, said: str) -> None:
    with pytest.raises(Failure, match=said):
        resolve({"kubeconfig": kubeconfig(user=plugin(tmp_path, user) if isinstance(user, str) else user)})


def test_a_plugin_is_told_of_the_cluster(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("the CA")
    user = plugin(
        tmp_path, f'printf "%s" "$KUBERNETES_EXEC_INFO" > {tmp_path}/told; printf \'{{"status": {{"token": "t"}}}}\''
    )
    user["exec"]["provideClusterInfo"] = True
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "shop"}}
    cluster = {"certificate-authority": str(tmp_path / "ca.pem"), "extensions": [extension], "tls-server-name": "in"}
    resolve({"kubeconfig": kubeconfig(user=user, cluster=cluster)})
    assert json.loads((tmp_path / "told").read_text())["spec"]["cluster"] == {
        "server": "https://one.example.com",
        "tls-server-name": "in",
        "certificate-authority-data": encoded("the CA"),
        "config": {"audience": "shop"},
    }


def test_a_client_certificate_that_is_renewed_is_shown_from_then_on() -> None:
    certificates_of = [certificates.make() for _time in range(2)]
    pairs = [
        Credential(cert_data=each.client_cert.decode(), key_data=each.client_key.decode()) for each in certificates_of
    ]
    access = Access("https://h", credentials=Credentials(pairs[0], lambda: pairs[1]))
    before = access.ssl_context()
    assert access.ssl_context() is before
    assert access.credentials.renewed(pairs[0])
    assert access.ssl_context() not in (None, before)
