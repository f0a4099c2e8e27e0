# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who a request is from: client certificates, bearer tokens, ServiceAccount tokens, impersonation."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime
import hashlib
import hmac
import json
import secrets
import uuid
from typing import TYPE_CHECKING, Any

from .. import authorization, errors, resources, times
from ..authorization import AUTHENTICATED, MASTERS, UNAUTHENTICATED, Action, Authorizer
from ..errors import ApiError, Cause
from ..times import timestamp
from ..users import User

if TYPE_CHECKING:
    from aiohttp import web

    from ..certificates import Certificates
    from ..store import Object, Store

_ISSUER = "https://kubernetes.default.svc"
_ANONYMOUS = User("system:anonymous", (UNAUTHENTICATED,))
#: Seconds that a token is good for: the least that may be asked for, and what is given where nothing is asked.
_SHORTEST, _USUAL = 600, 3600


class Authenticator:
    """Tells users by what they bring, and gives out the tokens of ServiceAccounts."""

    def __init__(self, store: Store, certificates: Certificates) -> None:
        self._store = store
        self._administrator = certificates.token
        self._key = secrets.token_bytes(32)

    def user(self, request: web.Request) -> User:
        """Who asks. Raises ApiError 401 for a token that is none."""
        transport = request.transport
        certificate = transport.get_extra_info("peercert") if transport is not None else None
        if certificate:
            parts = [pair for part in certificate.get("subject") or () for pair in part]
            name = next((value for key, value in parts if key == "commonName"), "")
            groups = tuple(value for key, value in parts if key == "organizationName")
            der = transport.get_extra_info("ssl_object").getpeercert(binary_form=True) if transport else b""
            digest = hashlib.sha256(der or b"").hexdigest()
            return User(name, (*groups, AUTHENTICATED), credential=f"X509SHA256={digest}")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return _ANONYMOUS
        user = self.of_token(token.strip())
        if user is None:
            raise ApiError(401, "Unauthorized", "Unauthorized")
        return user

    def of_token(self, token: str) -> User | None:
        """The user that a bearer token stands for; None where it is not, or no longer, one of this cluster's."""
        if hmac.compare_digest(token.encode(), self._administrator.encode()):
            return User("kubernetes-admin", (MASTERS, AUTHENTICATED))
        head, _, signature = token.rpartition(".")
        if not head or not hmac.compare_digest(signature.encode(), self._signature(head).encode()):
            return None
        try:
            claims = json.loads(_decoded(head.partition(".")[2]))
        except (ValueError, binascii.Error):
            return None
        account = claims["kubernetes.io"]["serviceaccount"]
        namespace = claims["kubernetes.io"]["namespace"]
        found = self._store.get(resources.SERVICEACCOUNTS, namespace, account["name"])
        if found is None or found["metadata"]["uid"] != account["uid"] or claims["exp"] <= times.now().timestamp():
            return None
        user = authorization.service_account(namespace, account["name"], account["uid"])
        return dataclasses.replace(user, credential=f"JTI={claims['jti']}")

    def _signature(self, text: str) -> str:
        return _encoded(hmac.new(self._key, text.encode(), hashlib.sha256).digest())

    def token(self, account: Object, seconds: int, audiences: list[str] | None = None) -> tuple[str, int]:
        """A token of a ServiceAccount, and when it expires (Unix seconds)."""
        meta, now = account["metadata"], int(times.now().timestamp())
        claims = {
            "aud": audiences or [_ISSUER],
            "exp": now + seconds,
            "iat": now,
            "iss": _ISSUER,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": {
                "namespace": meta["namespace"],
                "serviceaccount": {"name": meta["name"], "uid": meta["uid"]},
            },
            "nbf": now,
            "sub": f"system:serviceaccount:{meta['namespace']}:{meta['name']}",
        }
        parts = ({"alg": "HS256", "typ": "JWT"}, claims)
        head = ".".join(_encoded(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
        return f"{head}.{self._signature(head)}", now + seconds

    def token_request(self, account: Object, body: Any) -> Object:
        """The answer to a TokenRequest. Raises ApiError 422."""
        spec = (body.get("spec") if isinstance(body, dict) else None) or {}
        seconds = spec.get("expirationSeconds") or _USUAL
        if seconds < _SHORTEST:
            message = f"Invalid value: {seconds}: may not specify a duration less than 10 minutes"
            cause = Cause("FieldValueInvalid", message, "spec.expirationSeconds")
            raise ApiError(
                422, "Invalid", f'TokenRequest.authentication.k8s.io "" is invalid: {cause.field}: {message}',
                {
                    "group": "authentication.k8s.io", "kind": "TokenRequest",
                    "causes": [{"reason": cause.reason, "message": message, "field": cause.field}],
                },
            )  # fmt: skip
        audiences = spec.get("audiences") or [_ISSUER]
        token, expires = self.token(account, seconds, audiences)
        when = datetime.datetime.fromtimestamp(expires, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        meta = account["metadata"]
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {
                "name": meta["name"],
                "namespace": meta["namespace"],
                "uid": meta["uid"],
                "creationTimestamp": timestamp(),
            },
            "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": None},
            "status": {"token": token, "expirationTimestamp": when},
        }


def impersonated(request: web.Request, user: User, authorizer: Authorizer) -> User:
    """Who is meant by the Impersonate headers of `kubectl --as`. Raises ApiError 400 or 403."""
    name = request.headers.get("Impersonate-User", "")
    groups = tuple(request.headers.getall("Impersonate-Group", ()))
    if not name:
        if groups:
            listed = ", ".join(json.dumps(group) for group in groups)
            who = f'&user.DefaultInfo{{Name:"", UID:"", Groups:[]string{{{listed}}}, Extra:map[string][]string(nil)}}'
            raise errors.bad_request(f"requested {who} without impersonating a user name")
        return user
    other = User(name).service_account
    if other is not None:
        action = Action("impersonate", resource="serviceaccounts", namespace=other[0], name=other[1])
        groups = groups or authorization.service_account(*other).groups
    else:
        action = Action("impersonate", resource="users", name=name)
    authorizer.require(user, action)
    for group in request.headers.getall("Impersonate-Group", ()):
        authorizer.require(user, Action("impersonate", resource="groups", name=group))
    if AUTHENTICATED not in groups and name != _ANONYMOUS.name:
        groups = (*groups, AUTHENTICATED)
    return User(name, groups)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
