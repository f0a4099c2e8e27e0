"""The file that tells clients where the sandbox is and who they are."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from .certificates import Certificates


def write(path: Path, name: str, server: str, certificates: Certificates) -> None:
    """Write a kubeconfig that only its owner can read; an old one is replaced in one step."""

    def encoded(text: bytes) -> str:
        return base64.b64encode(text).decode()

    user = f"{name}-admin"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"server": server, "certificate-authority-data": encoded(certificates.ca)}}
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": encoded(certificates.client_cert),
                    "client-key-data": encoded(certificates.client_key),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }
    partial = path.with_name(path.name + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        yaml.safe_dump(config, file, sort_keys=False)
    partial.replace(path)
