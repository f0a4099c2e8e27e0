"""The access of a task, as a module of kubernetes.core is given it."""

from __future__ import annotations

import base64
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _access, _kubeconfig
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure

USER: dict[str, t.Any] = {"token": "planted-token"}


def given(user: dict[str, t.Any], cluster: dict[str, t.Any] | None = None, **options: t.Any) -> dict[str, t.Any]:
    """What a module is given, where a kubeconfig has this user and this cluster."""
    document = {
        "current-context": "shop",
        "contexts": [{"name": "shop", "context": {"cluster": "shop", "user": "me"}}],
        "clusters": [{"name": "shop", "cluster": {"server": "https://shop.test", **(cluster or {})}}],
        "users": [{"name": "me", "user": user}],
    }
    with _kubeconfig.arguments(_access.resolve({"kubeconfig": document, **options}, {})) as told:
        return {**told, "kubeconfig": json.loads(Path(told["kubeconfig"]).read_text())}


def test_it_leads_where_the_task_does_as_whom_it_does() -> None:
    found = given(USER)
    document = found["kubeconfig"]
    assert document["clusters"][0]["cluster"]["server"] == "https://shop.test"
    assert document["users"][0]["user"] == {"token": "planted-token"}
    assert set(found) == {"kubeconfig"}


def test_a_key_is_in_no_kubeconfig_and_in_no_file_that_stays() -> None:
    encoded = {name: base64.b64encode(name.encode()).decode() for name in ("planted-ca", "planted-cert", "planted-key")}
    cluster = {"server": "https://shop.test", "certificate-authority-data": encoded["planted-ca"]}
    user = {"client-certificate-data": encoded["planted-cert"], "client-key-data": encoded["planted-key"]}
    document = {
        "current-context": "shop",
        "contexts": [{"name": "shop", "context": {"cluster": "shop", "user": "me"}}],
        "clusters": [{"name": "shop", "cluster": cluster}],
        "users": [{"name": "me", "user": user}],
    }
    with _kubeconfig.arguments(_access.resolve({"kubeconfig": document}, {})) as told:
        text = Path(told["kubeconfig"]).read_text()
        found = json.loads(text)
        paths = {**found["clusters"][0]["cluster"], **found["users"][0]["user"]}
        paths.pop("server")
        read = {name: Path(path).read_text() for name, path in paths.items()}
    assert read == {
        "certificate-authority": "planted-ca",
        "client-certificate": "planted-cert",
        "client-key": "planted-key",
    }
    assert not any(secret in text for secret in ("planted-key", encoded["planted-key"]))
    assert not any(Path(path).exists() for path in paths.values())


def test_a_user_with_a_password_stays_one() -> None:
    user = {"username": "me", "password": "a:b"}
    assert given(user)["kubeconfig"]["users"][0]["user"] == user


def test_whom_it_acts_as_is_told_beside() -> None:
    found = given(USER | {"as": "alice", "as-groups": ["ops", "dev"]})
    assert (found["impersonate_user"], found["impersonate_groups"]) == ("alice", ["ops", "dev"])
    assert "impersonate_groups" not in given(USER, impersonate_user="bob")


def test_what_kubernetes_core_cannot_do_is_refused() -> None:
    with pytest.raises(Failure, match=r"Impersonate-Uid, which kubernetes\.core\.k8s cannot impersonate"):
        given(USER | {"as": "alice", "as-uid": "1"})


def test_the_proxy_is_told_beside_with_its_credentials() -> None:
    found = given(USER, {"proxy-url": "http://me:planted@proxy.test:3128"})
    assert found["proxy"] == "http://proxy.test:3128"
    assert found["proxy_headers"] == {"proxy_basic_auth": "me:planted"}
    assert "proxy_headers" not in given(USER, {"proxy-url": "http://proxy.test:3128"})
