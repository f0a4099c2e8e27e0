"""Reaching an API server, and following lists through whatever happens to their watches."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import stat
import tempfile
import typing as t
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _mirror
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._api import (
    Access,
    Api,
    ApiError,
    access,
    path_of,
    secrets,
)
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._mirror import Mirror
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from convoy_sandbox import certificates

Object = dict[str, t.Any]
Make = Callable[..., t.Any]
PODS = path_of("pods", "default")


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
    found = access({"kubeconfig": kubeconfig(user=user, cluster=cluster)})
    assert found == Access(
        "https://one.example.com",
        context="one",
        namespace="shop",
        ca_data="ca",
        cert_data="cert",
        key_data="key",
        server_name="inside",
        proxy="http://p:3",
    )


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({"token": "abc"}, "Bearer abc"),
        ({"username": "me", "password": "pw"}, "Basic " + encoded("me:pw")),
        ({}, None),
    ],
)
def test_credentials_of_a_user(user: Object, header: str | None) -> None:
    assert access({"kubeconfig": kubeconfig(user=user)}).headers.get("Authorization") == header


def test_files_are_found_beside_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from a file\n")
    user = {"tokenFile": "token", "client-certificate": "c.pem", "client-key": "/abs/k.pem"}
    path = written(tmp_path / "config", kubeconfig(user=user, cluster={"certificate-authority": "ca.pem"}))
    found = access({"kubeconfig": path})
    assert found.headers == {"Authorization": "Bearer from a file"}
    assert (found.ca_file, found.cert_file, found.key_file) == (
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
    assert access({}).server == "https://one.example.com"
    assert access({"context": "two"}).headers == {"Authorization": "Bearer two's"}
    assert access({"context": "one"}).headers == {"Authorization": "Bearer one's"}


def test_the_default_kubeconfig_comes_last(tmp_path: Path) -> None:
    written(tmp_path / ".kube" / "config", kubeconfig())
    assert access({}).server == "https://one.example.com"


def test_options_override_the_kubeconfig() -> None:
    found = access(
        {
            "kubeconfig": kubeconfig(user={"token": "t"}, cluster={"insecure-skip-tls-verify": True}),
            "api_key": "mine",
            "validate_certs": True,
            "ca_cert": "/ca",
            "proxy": "http://q:1",
            "host": "https://other:6443/",
        }
    )
    assert found == Access(
        "https://other:6443",
        headers={"Authorization": "Bearer mine"},
        ca_file="/ca",
        proxy="http://q:1",
    )


def test_a_host_with_credentials_needs_no_kubeconfig() -> None:
    assert access({"host": "https://h", "username": "u", "password": "p"}).headers == {
        "Authorization": "Basic " + encoded("u:p")
    }
    assert access({"host": "https://h", "client_cert": "/c", "client_key": "/k"}).key_file == "/k"


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
    found = access({"kubeconfig": kubeconfig(user=user)})
    asked = json.dumps(
        {
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "spec": {"interactive": False},
        }
    )
    assert found.headers == {"Authorization": f"Bearer me-{len(asked)}"}
    assert (found.cert_data, found.key_data) == ("c", "k")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo please log in >&2; exit 3", "ended with code 3: please log in"),
        ("echo hello", "printed no ExecCredential"),
        ("echo '{}'", "printed no ExecCredential"),
    ],
)
def test_a_credential_plugin_that_fails(tmp_path: Path, script: str, said: str) -> None:
    with pytest.raises(Failure, match=said):
        access({"kubeconfig": kubeconfig(user=plugin(tmp_path, script))})


def test_a_credential_plugin_that_is_missing_says_how_to_get_it() -> None:
    user = {"exec": {"command": "no-such-command", "installHint": "apt-get install it"}}
    with pytest.raises(Failure, match="was not found: apt-get install it"):
        access({"kubeconfig": kubeconfig(user=user)})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "There is no kubeconfig"),
        ({"kubeconfig": "/nowhere"}, "/nowhere does not exist"),
        ({"kubeconfig": kubeconfig(), "context": "x"}, "no context 'x' in the kubeconfig; its contexts: one"),
        ({"kubeconfig": {}}, "no current-context"),
        ({"kubeconfig": kubeconfig(user={"client-key-data": "geheim"})}, "is not valid"),
        ({"kubeconfig": kubeconfig(user={"tokenFile": "/nowhere"})}, "is not valid .*: /nowhere"),
        ({"kubeconfig": dict(kubeconfig(), users=["geheim"])}, "is not valid"),
        ({"kubeconfig": 5}, "must be the path"),
    ],
)
def test_what_leads_nowhere_is_said_in_one_sentence(options: Object, said: str) -> None:
    with pytest.raises(Failure, match=said) as failed:
        access(options)
    assert "geheim" not in failed.value.message


@pytest.mark.parametrize("text", ["- a list", "a: [", ": :"])
def test_a_file_that_is_no_kubeconfig(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(Failure, match="kubeconfig"):
        access({"kubeconfig": str(tmp_path / "config")})


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


@pytest.mark.parametrize("server", ["ftp://x", "nonsense", "https://"])
def test_an_address_that_is_no_url(server: str) -> None:
    with pytest.raises(Failure, match="not an http or https URL"):
        Api(Access(server, verify=False))


def test_a_proxy_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(Failure, match="must be an http URL"):
        Api(Access("http://x", proxy="socks5://p:1"))


def test_calls_are_made_over_one_connection(api_server: t.Any, answer: Make) -> None:
    api_server.on(PODS, answer(body={"items": [{"metadata": {"name": "a"}}]}))
    api = Api(Access(api_server.url, headers={"Authorization": "Bearer t"}))
    for _time in range(3):
        assert api.items(PODS, labelSelector="a=b") == [{"metadata": {"name": "a"}}]
    api.close()
    assert api_server.connections == 1
    assert {ask.headers["Authorization"] for ask in api_server.asked} == {"Bearer t"}
    assert {ask.query["labelSelector"] for ask in api_server.asked} == {"a=b"}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (401, "does not accept the credentials .401.; renew them"),
        (403, 'cannot list resource "pods"; have this user allowed to do that'),
        (404, 'cannot list resource "pods"'),
    ],
)
def test_refusals(api_server: t.Any, refusal: Make, code: int, said: str) -> None:
    api_server.on(PODS, refusal(code, "Reason", 'User "x" cannot list resource "pods"'))
    with pytest.raises(ApiError, match=said) as failed:
        Api(Access(api_server.url)).get(PODS)
    assert (failed.value.status, failed.value.reason) == (code, "Reason")


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ApiError, match="cannot be reached: connection refused; start the cluster") as failed:
        Api(Access(f"http://127.0.0.1:{port}")).get(PODS)
    assert failed.value.status == 0


def pod(name: str, version: int) -> Object:
    """A pod."""
    return {"metadata": {"name": name, "uid": name, "resourceVersion": str(version)}}


def change(kind: str, name: str, version: int) -> Object:
    """An event of a watch."""
    return {"type": kind, "object": pod(name, version)}


def listed(answer: Make, version: int, *names: str) -> t.Any:
    """A list."""
    items = [pod(name, version) for name in names]
    return answer(body={"metadata": {"resourceVersion": str(version)}, "items": items})


def followed(api_server: t.Any, until: set[str]) -> list[str]:
    """Follow the pods until these are there; what was asked for meanwhile."""
    mirror = Mirror(Access(api_server.url), {"pods": (PODS, {"labelSelector": "a=b"})}, 20)
    try:
        while set(mirror.objects["pods"]) != until:
            assert mirror.wait(), f"only {set(mirror.objects['pods'])} came"
    finally:
        mirror.close()
    return t.cast("list[str]", api_server.paths())


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried soon."""
    monkeypatch.setattr(_mirror, "PAUSE", 0.01)


def test_a_list_and_its_changes(api_server: t.Any, answer: Make) -> None:
    api_server.on(PODS, listed(answer, 5, "a", "b"))
    events = (change("BOOKMARK", "x", 6), change("DELETED", "a", 7), change("ADDED", "c", 8))
    api_server.on_watch(PODS, answer(events=events, hold=True))
    assert followed(api_server, {"b", "c"}) == [PODS, f"{PODS}?watch"]
    assert api_server.asked[1].query["resourceVersion"] == "5"
    assert api_server.asked[1].query["labelSelector"] == "a=b"


@pytest.mark.parametrize("cut", [False, True], ids=["ended", "cut off in the middle of an event"])
def test_a_watch_that_is_dropped_is_taken_up_where_it_stopped(api_server: t.Any, answer: Make, cut: bool) -> None:
    api_server.on(PODS, listed(answer, 5, "a"))
    first = answer(events=(change("ADDED", "b", 6),), cut=cut)
    api_server.on_watch(PODS, first, answer(events=(change("ADDED", "c", 7),), hold=True))
    assert followed(api_server, {"a", "b", "c"}) == [PODS, f"{PODS}?watch", f"{PODS}?watch"]
    assert [ask.query["resourceVersion"] for ask in api_server.asked[1:]] == ["5", "6"]


def test_410_gone_begins_again_with_a_list(api_server: t.Any, answer: Make, refusal: Make) -> None:
    expired = {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}
    api_server.on(PODS, listed(answer, 5, "a"), listed(answer, 9, "b"), listed(answer, 12, "c"))
    api_server.on_watch(PODS, answer(events=(expired,)), refusal(410, "Gone", "too old"), answer(events=(), hold=True))
    assert followed(api_server, {"c"})[:5] == [PODS, f"{PODS}?watch", PODS, f"{PODS}?watch", PODS]


def test_a_server_error_passes(api_server: t.Any, answer: Make, refusal: Make) -> None:
    api_server.on(PODS, refusal(503, "ServiceUnavailable", "restarting"), listed(answer, 5, "a"))
    api_server.on_watch(PODS, answer(hold=True))
    assert followed(api_server, {"a"})[:2] == [PODS, PODS]


@pytest.mark.parametrize("code", [401, 403])
def test_who_may_not_watch_is_told_so(api_server: t.Any, answer: Make, refusal: Make, code: int) -> None:
    api_server.on(PODS, listed(answer, 5, "a"))
    api_server.on_watch(PODS, refusal(code, "No", "cannot watch"))
    with pytest.raises(ApiError) as failed:
        followed(api_server, {"nothing"})
    assert failed.value.status == code


def test_a_mirror_ends_in_time(api_server: t.Any, answer: Make) -> None:
    api_server.on(PODS, listed(answer, 5, "a"))
    api_server.on_watch(PODS, answer(hold=True))
    mirror = Mirror(Access(api_server.url), {"pods": (PODS, {})}, 0.3)
    assert mirror.wait()
    assert not mirror.wait()
    mirror.close()


@pytest.mark.parametrize(
    ("write", "method", "content_type", "body"),
    [
        (lambda api, dry: api.create(PODS, {"kind": "Pod"}, dry_run=dry), "POST", "application/json", {"kind": "Pod"}),
        (lambda api, dry: api.replace(PODS, {"kind": "Pod"}, dry_run=dry), "PUT", "application/json", {"kind": "Pod"}),
        (lambda api, dry: api.patch(PODS, {"a": 1}, dry_run=dry), "PATCH", "application/merge-patch+json", {"a": 1}),
        (lambda api, dry: api.patch(PODS, [{"op": "x"}], dry_run=dry), "PATCH", "application/json-patch+json", None),
        (lambda api, dry: api.delete(PODS, {"a": 1}, dry_run=dry), "DELETE", "application/json", {"a": 1}),
    ],
)
@pytest.mark.parametrize("dry", [False, True])
def test_writes(
    api_server: t.Any, answer: Make, write: t.Any, method: str, content_type: str, body: t.Any, dry: bool
) -> None:
    api_server.on(PODS, answer(body={"kind": "Pod", "seen": True}))
    assert write(Api(Access(api_server.url)), dry) == {"kind": "Pod", "seen": True}
    asked = api_server.asked[0]
    assert (asked.method, asked.headers["Content-Type"]) == (method, content_type)
    assert body is None or asked.body == body
    assert asked.query.get("dryRun") == ("All" if dry else None)
    assert asked.query.get("fieldManager") == (None if method == "DELETE" else "convoy.rollout")


def test_a_write_that_is_refused_says_why(api_server: t.Any, refusal: Make) -> None:
    api_server.on(PODS, refusal(409, "Conflict", "the object has been modified"))
    with pytest.raises(ApiError, match="the object has been modified") as caught:
        Api(Access(api_server.url)).replace(PODS, {})
    assert (caught.value.status, len(api_server.asked)) == (409, 1)


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
    assert Access("https://127.0.0.1:1", **client).ssl_context() is not None
    assert list(tmp_path.iterdir()) == []


def test_a_certificate_is_verified_unless_told_otherwise() -> None:
    careful, careless = Access("https://h").ssl_context(), Access("https://h", verify=False).ssl_context()
    assert careful is not None
    assert (careful.verify_mode, careful.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert careless is not None
    assert careless.verify_mode == ssl.CERT_NONE
