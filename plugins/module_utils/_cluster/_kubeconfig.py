# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The access of a task as a kubeconfig, for a module of kubernetes.core that is called on its behalf."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import tempfile
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster._access import Access, Object


def kubeconfig(access: Access) -> Object:
    """A kubeconfig of one context that leads where an access leads, as whom it does."""
    cluster: Object = {"server": access.server}
    user: Object = {}
    shown = access.credentials.current()
    for entry, key, path, data in (
        (cluster, "certificate-authority", access.ca_file, access.ca_data),
        (user, "client-certificate", shown.cert_file, shown.cert_data),
        (user, "client-key", shown.key_file, shown.key_data),
    ):
        if data:
            entry[f"{key}-data"] = base64.b64encode(data.encode()).decode()
        elif path:
            entry[key] = os.path.abspath(path)
    if not access.verify:
        cluster["insecure-skip-tls-verify"] = True
        for key in ("certificate-authority", "certificate-authority-data"):
            cluster.pop(key, None)
    if access.server_name:
        cluster["tls-server-name"] = access.server_name
    if access.proxy:
        cluster["proxy-url"] = access.proxy
    scheme, _space, credentials = (shown.authorization or "").partition(" ")
    if scheme == "Bearer":
        user["token"] = credentials
    elif scheme == "Basic":
        name, _colon, password = base64.b64decode(credentials).decode().partition(":")
        user.update(username=name, password=password)
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "run",
        "contexts": [{"name": "run", "context": {"cluster": "run", "user": "run", "namespace": access.namespace}}],
        "clusters": [{"name": "run", "cluster": cluster}],
        "users": [{"name": "run", "user": user}],
    }


@contextlib.contextmanager
def written(access: Access) -> t.Iterator[str]:
    """The path of a kubeconfig that only this user may read, and that is gone afterwards."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="convoy-", suffix=".json") as file:  # mode 0600
        json.dump(kubeconfig(access), file)
        file.flush()
        yield file.name
