# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults as clients meet them: refusals, broken connections, watches that end."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from .. import errors
from ..authorization import Action
from ..errors import ApiError
from ..faults import Fault
from . import paths, watches


def changes(target: paths.Target, query: Any) -> bool:
    """Whether a request with a changing verb changes anything: a dry run, a review or a proxied one does not."""
    return (
        "list" in target.resource.verbs
        and not any(query.getall("dryRun", ()))
        and target.subresource not in ("proxy", "token")
    )


def drop(request: web.Request) -> None:
    """Break the connection of a request."""
    if request.transport is not None:
        request.transport.abort()


def before(fault: Fault, action: Action, target: paths.Target | None, request: web.Request) -> web.Response | None:
    """The answer in place of the true one; None where the request goes on. Raises ApiError, ConnectionResetError."""
    if fault.kind == "429":  # by priority and fairness, which answers in plain text
        headers = {"Retry-After": f"{fault.seconds:.0f}"}
        return web.Response(status=429, text="Too many requests, please try again later.\n", headers=headers)
    if fault.kind == "500":
        raise ApiError(500, "", "etcdserver: request timed out")
    if fault.kind == "503":
        raise ApiError(503, "ServiceUnavailable", "the server is currently unable to handle the request")
    if fault.kind == "409" and target is not None:
        why = "the object has been modified; please apply your changes to the latest version and try again"
        raise errors.conflict(target.resource, action.name, why)
    if fault.kind == "410":
        return _expired(action, request)
    if fault.kind == "drop":
        drop(request)
        raise ConnectionResetError
    if fault.kind == "drop-watch":
        asyncio.get_running_loop().call_later(fault.seconds, drop, request)
    return None


def _expired(action: Action, request: web.Request) -> web.Response | None:
    """Too old a resourceVersion, where one is asked for: an event of a watch, a refusal of a page."""
    version = request.query.get("resourceVersion", "")
    if action.verb == "watch" and version not in ("", "0"):
        error = errors.expired(f"too old resource version: {version} ({int(version) + 1 if version.isdigit() else 1})")
        return web.Response(body=watches.frame("ERROR", error.status), content_type="application/json")
    if action.verb == "list" and request.query.get("continue"):
        raise errors.expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new "
            "list without the continue parameter."
        )
    return None
