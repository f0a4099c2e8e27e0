# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets that hold the token of a ServiceAccount, as they were made before there were TokenRequests."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from .. import resources
from ..workqueue import Queue

if TYPE_CHECKING:
    from ..registry import Registry
    from ..store import Change, Object, Store
    from .users import Authenticator

_TYPE = "kubernetes.io/service-account-token"
_ACCOUNT = "kubernetes.io/service-account.name"
_UID = "kubernetes.io/service-account.uid"
#: Seconds: such a token does not expire while a sandbox lives.
_YEARS = 10 * 365 * 24 * 3600


class TokenSecrets:
    """Fills Secrets of that type with a token, the namespace and the CA; those without an account are deleted."""

    def __init__(self, store: Store, registry: Registry, authenticator: Authenticator, ca: bytes) -> None:
        self._store, self._registry = store, registry
        self._authenticator, self._ca = authenticator, ca
        self._queue: Queue[tuple[str, str]] = Queue("token secrets", self._fill)

    def start(self) -> None:
        """Follow the store."""
        self._unsubscribe = self._store.subscribe(self._changed)

    def close(self) -> None:
        """Stop."""
        self._unsubscribe()
        self._queue.close()

    def _changed(self, change: Change) -> None:
        if change.resource == resources.SECRETS and change.type != "DELETED" and change.object.get("type") == _TYPE:
            self._queue.add((change.object["metadata"]["namespace"], change.object["metadata"]["name"]))

    def _fill(self, key: tuple[str, str]) -> None:
        secret = self._store.get(resources.SECRETS, *key)
        if secret is None or "token" in (secret.get("data") or {}):
            return
        name = (secret["metadata"].get("annotations") or {}).get(_ACCOUNT, "")
        account = self._store.get(resources.SERVICEACCOUNTS, key[0], name)
        if account is None:
            self._registry.delete(resources.SECRETS, *key)
            return
        token, _ = self._authenticator.token(account, _YEARS)
        data = {"ca.crt": self._ca, "namespace": key[0].encode(), "token": token.encode()}

        def change(obj: Object) -> None:
            obj["metadata"]["annotations"][_UID] = account["metadata"]["uid"]
            obj["data"] = {name: base64.b64encode(value).decode() for name, value in data.items()}

        self._registry.modify(resources.SECRETS, *key, change, manager="kube-controller-manager")
