# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The kubeconfig of a GKE cluster."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

Object = t.Dict[str, t.Any]

PLUGIN = "gke-gcloud-auth-plugin"
RENEWED = timedelta(minutes=30)  #: how long before it expires a token is renewed
EXTENSION = "convoy.rollout"  #: where a kubeconfig keeps what only this collection reads
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Place:
    """A cluster, and whose credentials are used there."""

    name: str
    endpoint: str
    ca: str  #: Base64
    identity: str  #: such as a service account's address; no secret


@dataclass(frozen=True)
class Token:
    """An access token and when it expires; None where that is not known."""

    value: str
    expires: datetime | None


def with_token(place: Place, token: Token) -> Object:
    """A kubeconfig that authenticates with an access token."""
    extension = {"identity": place.identity, "expires": shown(token.expires)}
    return _document(place, {"token": token.value, "extensions": [{"name": EXTENSION, "extension": extension}]})


def with_plugin(place: Place, credentials: str | None) -> Object:
    """A kubeconfig that authenticates with GKE's credential plugin.

    It reads `credentials`, a service account's key file, or the application default credentials.
    """
    user: Object = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": PLUGIN,
        "args": ["--use_application_default_credentials"],
        "interactiveMode": "Never",
        "provideClusterInfo": True,
        "installHint": f"Install {PLUGIN}, or write this kubeconfig again with auth: token",
    }
    if credentials:
        user["env"] = [{"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": credentials}]
    return _document(place, {"exec": user})


def _document(place: Place, user: Object) -> Object:
    cluster = {"server": f"https://{place.endpoint}", "certificate-authority-data": place.ca}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": place.name, "cluster": cluster}],
        "users": [{"name": place.name, "user": user}],
        "contexts": [{"name": place.name, "context": {"cluster": place.name, "user": place.name}}],
        "current-context": place.name,
    }


def kept(present: t.Any, place: Place, now: datetime) -> Token | None:
    """The token of a kubeconfig that is there, if it is the same otherwise and the token lasts long enough."""
    try:
        user = present["users"][0]["user"]
        extension = user["extensions"][0]["extension"]
        expires = datetime.strptime(extension["expires"], _TIME).replace(tzinfo=timezone.utc)
        token = Token(str(user["token"]), expires)
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return token if present == with_token(place, token) and expires - now > RENEWED else None


def shown(expires: datetime | None) -> str:
    """A time as Kubernetes writes it; empty for None."""
    return expires.strftime(_TIME) if expires else ""
