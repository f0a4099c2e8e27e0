# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The access of a task as a kubeconfig, for a module of kubernetes.core that is called on its behalf."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster._access import Access, Object, file_of
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure

#: What kubernetes.core calls the headers of a CONNECT.
PROXY_HEADERS = {"proxy_basic_auth": "Proxy-Authorization", "basic_auth": "Authorization", "user_agent": "User-Agent"}


def kubeconfig(access: Access, stack: contextlib.ExitStack) -> Object:
    """A kubeconfig of one context that leads where an access leads, as whom it does.

    Certificates and keys are in files that the stack removes: for what stands in the kubeconfig itself, the Python
    client would write files of its own, and leave a key on the disk where it is killed.
    """
    cluster: Object = {"server": access.server}
    user: Object = {}
    shown = access.credentials.current()
    for entry, key, path, data in (
        (cluster, "certificate-authority", access.ca_file, access.ca_data),
        (user, "client-certificate", shown.cert_file, shown.cert_data),
        (user, "client-key", shown.key_file, shown.key_data),
    ):
        if data:
            entry[key] = stack.enter_context(file_of(data))
        elif path:
            entry[key] = os.path.abspath(path)
    if not access.verify:
        cluster["insecure-skip-tls-verify"] = True
        cluster.pop("certificate-authority", None)
    if access.server_name:
        cluster["tls-server-name"] = access.server_name
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
def arguments(access: Access) -> t.Iterator[Object]:
    """What a module of kubernetes.core is given to reach the cluster. Raises Failure.

    The kubeconfig is given as a file, as the module would blot out each word of one that is given in full, such as
    Config, in whatever it returns.
    """
    beside = _beside(access)
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(file_of(json.dumps(kubeconfig(access, stack))))
        yield {"kubeconfig": path, **beside}


def _beside(access: Access) -> Object:
    """What stands in no kubeconfig that kubernetes.core reads. Raises Failure."""
    told: Object = {}
    if access.proxy:
        told["proxy"] = str(access.proxy)
        said = dict(access.proxy.headers)
        headers = {
            option: _pair(said[header]) if option.endswith("basic_auth") else said[header]
            for option, header in PROXY_HEADERS.items()
            if header in said
        }
        if headers:
            told["proxy_headers"] = headers
    groups = [value for name, value in access.impersonation if name == "Impersonate-Group"]
    for name, value in access.impersonation:
        if name == "Impersonate-User":
            told["impersonate_user"] = value
        elif name != "Impersonate-Group":
            raise Failure(
                f"The kubeconfig's user has {name}, which kubernetes.core.k8s cannot impersonate; name only the user "
                "and the groups."
            )
    if groups:
        told["impersonate_groups"] = groups
    return told


def _pair(authorization: str) -> str:
    """User and password of an Authorization header."""
    return base64.b64decode(authorization.partition(" ")[2]).decode()
