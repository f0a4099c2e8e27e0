"""Which API server a task means and as whom it asks: the rows of docs/access.md."""

from __future__ import annotations

import base64
import json
import os
import ssl
import stat
import tempfile
import typing as t
from collections.abc import Callable
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
        ("echo please log in >&2; exit 3", "ended with code 3: please log in"),
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


def test_a_certificate_is_verified_unless_told_otherwise() -> None:
    careful, careless = Access("https://h").ssl_context(), Access("https://h", verify=False).ssl_context()
    assert careful is not None
    assert (careful.verify_mode, careful.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert careless is not None
    assert careless.verify_mode == ssl.CERT_NONE
