# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers to "who am I", "may I" and "whose token is this"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..authorization import AUTHENTICATED, Action, Authorizer
from ..errors import ApiError
from ..resources import Resource
from ..store import Object
from ..times import timestamp
from ..users import User

if TYPE_CHECKING:
    from .users import Authenticator

_MUST = "exactly one of nonResourceAttributes or resourceAttributes must be specified"


def answer(
    resource: Resource, review: Object, user: User, authorizer: Authorizer, authenticator: Authenticator
) -> Object | None:
    """The review with its status, or None where the resource is none that is answered so. Raises ApiError 422."""
    spec = review.get("spec") or {}
    shown = spec
    status: Object
    if resource.plural in ("selfsubjectaccessreviews", "subjectaccessreviews", "localsubjectaccessreviews"):
        asked = user
        if resource.plural != "selfsubjectaccessreviews":
            asked = User(spec.get("user", ""), tuple(spec.get("groups") or ()))
        allowed, why = authorizer.decide(asked, _action(resource, spec))
        status = {"allowed": allowed, **({"reason": why} if why else {})}
    elif resource.plural == "selfsubjectrulesreviews":
        rules = authorizer.rules(user, spec.get("namespace", ""))
        status = {
            "resourceRules": [_kept(rule, "apiGroups", "resources", "resourceNames") for rule in rules
                              if not rule.get("nonResourceURLs")],
            "nonResourceRules": [_kept(rule, "nonResourceURLs") for rule in rules if rule.get("nonResourceURLs")],
            "incomplete": False,
        }  # fmt: skip
        shown = {}
    elif resource.plural == "selfsubjectreviews":
        status = {"userInfo": _info(user)}
    elif resource.plural == "tokenreviews":
        found = authenticator.of_token(spec.get("token", ""))
        if found is None:
            status = {"user": {}, "error": "[invalid bearer token]"}
        else:
            status = {"authenticated": True, "user": _info(found)}
    else:
        return None
    return {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": {"creationTimestamp": timestamp()} if resource.plural == "selfsubjectreviews" else {},
        **({} if resource.plural == "selfsubjectreviews" else {"spec": shown}),
        "status": status,
    }


def _action(resource: Resource, spec: Object) -> Action:
    asked, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if bool(asked) == bool(path):
        message = f"Invalid value: null: {_MUST}"
        field = "spec.resourceAttributes"
        raise ApiError(
            422, "Invalid", f'.{resource.group} "" is invalid: {field}: {message}',
            {
                "group": resource.group,
                "causes": [{"reason": "FieldValueInvalid", "message": message, "field": field}],
            },
        )  # fmt: skip
    if path:
        return Action(path.get("verb", ""), path=path.get("path", ""))
    given: dict[str, Any] = asked or {}
    return Action(
        given.get("verb", ""), given.get("group", ""), given.get("resource", ""), given.get("subresource", ""),
        given.get("namespace", ""), given.get("name", ""),
    )  # fmt: skip


def _kept(rule: Object, *keys: str) -> Object:
    return {"verbs": rule["verbs"], **{key: rule[key] for key in keys if rule.get(key)}}


def _info(user: User) -> Object:
    info: Object = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    extra = {"extra": user.extra} if user.extra else {}
    return {**info, "groups": list(user.groups) or [AUTHENTICATED], **extra}
