# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin gke_kubeconfig do."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import tempfile
import typing as t
from datetime import datetime, timezone

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _gke, _yaml
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task

ARGUMENTS: dict[str, t.Any] = {
    "path": {"type": "path", "required": True},
    "name": {"type": "str", "required": True},
    "endpoint": {"type": "str", "required": True},
    "ca": {"type": "str", "required": True},
    "auth": {"type": "str", "choices": ["auto", "token", "plugin"], "default": "auto"},
    "auth_kind": {
        "type": "str",
        "choices": ["application", "serviceaccount", "accesstoken"],
        "default": "application",
    },
    "service_account_file": {"type": "path"},
    "access_token": {"type": "str", "no_log": True},
}
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Write the kubeconfig where it is not there as it should be. Raises Failure."""
    kind = options["auth_kind"]
    for needs, option in (("serviceaccount", "service_account_file"), ("accesstoken", "access_token")):
        if kind == needs and not options[option]:
            raise Failure(f"auth_kind is {kind}; set {option}.")
    plugged = options["auth"] == "plugin" or (
        options["auth"] == "auto" and kind != "accesstoken" and shutil.which(_gke.PLUGIN) is not None
    )
    if plugged and kind == "accesstoken":
        raise Failure(f"{_gke.PLUGIN} cannot be given an access token; choose auth: token.")
    file = os.path.abspath(options["service_account_file"]) if kind == "serviceaccount" else None
    place = _gke.Place(options["name"], options["endpoint"], options["ca"], _identity(kind, file))
    path = options["path"]
    present = _present(path)
    expires = None
    if plugged:
        wanted = _gke.with_plugin(place, file)
    else:
        now = datetime.now(timezone.utc)
        token = _gke.kept(present, place, now) if kind != "accesstoken" else None
        token = token or (_gke.Token(options["access_token"], None) if kind == "accesstoken" else _token(file))
        expires, wanted = token.expires, _gke.with_token(place, token)
    changed = wanted != present or not _owners_only(path)
    if changed and not task.check_mode:
        _write(path, wanted)
    return {
        "changed": changed,
        "path": path,
        "context": place.name,
        "auth": "plugin" if plugged else "token",
        "expires": _gke.shown(expires),
    }


def _identity(kind: str, file: str | None) -> str:
    if file is None:
        return kind
    try:
        with open(file, encoding="utf-8") as stream:
            return str(json.load(stream)["client_email"])
    except OSError as error:
        raise Failure(f"The service account file {file} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"The file {file} is not the JSON key of a service account; download one that is.") from error


def _token(file: str | None) -> _gke.Token:
    """A new access token. What goes wrong is said without the answer, which may hold a part of a key."""
    try:
        import google.auth
        from google.auth.transport.requests import Request
        from google.oauth2 import service_account
    except ImportError as error:
        raise Failure(
            "google-auth and requests are needed to get a token: pip install google-auth requests."
        ) from error
    try:
        if file is None:
            credentials, _project = google.auth.default(scopes=[SCOPE])
        else:
            credentials = service_account.Credentials.from_service_account_file(file, scopes=[SCOPE])
        credentials.refresh(Request())
    except Exception as error:  # google-auth lets its own errors through, and those of cryptography and requests
        whose = f"the service account file {file}" if file else "the application default credentials"
        raise Failure(
            f"Google gave no access token for {whose} ({type(error).__name__}); check that they are valid and that "
            "Google can be reached."
        ) from error
    # google-auth's times are UTC without saying so.
    expires = credentials.expiry.replace(tzinfo=timezone.utc, microsecond=0) if credentials.expiry else None
    return _gke.Token(credentials.token, expires)


def _present(path: str) -> t.Any:
    import yaml

    try:
        with open(path, encoding="utf-8") as stream:
            return _yaml.document(stream)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None  # written anew


def _owners_only(path: str) -> bool:
    return stat.S_IMODE(os.stat(path).st_mode) == 0o600 if os.path.exists(path) else False


def _write(path: str, document: t.Any) -> None:
    import yaml

    folder = os.path.dirname(os.path.abspath(path))
    partial = ""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(dir=folder, prefix=".kubeconfig-")  # 0600 from the start
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            # Ansible's own kinds of strings, which YAML knows nothing of, become plain ones on the way.
            yaml.safe_dump(json.loads(json.dumps(document)), stream, sort_keys=False)
        os.replace(partial, path)
    except OSError as error:
        if partial:
            with contextlib.suppress(OSError):
                os.remove(partial)
        raise Failure(f"The kubeconfig {path} cannot be written: {error.strerror}.") from error
