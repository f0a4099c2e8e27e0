# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file that tells clients where the sandbox is and who they are."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from .certificates import Certificates


def encoded(text: bytes) -> str:
    """A PEM text as kubeconfigs hold it."""
    return base64.b64encode(text).decode()


def administrator(certificates: Certificates) -> dict[str, str]:
    """What the administrator is known by."""
    return certified(certificates.client_cert, certificates.client_key)


def certified(certificate: bytes, key: bytes) -> dict[str, str]:
    """What somebody with a client certificate is known by."""
    return {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}


def write(path: Path, name: str, server: str, ca: bytes, user: str, credentials: dict[str, str]) -> None:
    """Write a kubeconfig that only its owner can read; an old one is replaced in one step."""
    cluster = {"server": server, "certificate-authority-data": encoded(ca)}
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        # Else Python's client goes to this machine through that proxy. Not without one: kr8s takes "" for a wrong URL.
        cluster["proxy-url"] = ""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }
    partial = path.with_name(path.name + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        yaml.safe_dump(config, file, sort_keys=False)
    partial.replace(path)
