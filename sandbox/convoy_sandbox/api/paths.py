# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a request path means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from ..authorization import Action
from ..resources import NAMESPACES, Catalog, Resource


@dataclass(frozen=True)
class Target:
    """A resource path: a collection where `name` is "", else an object or its subresource.

    `tail` is what follows the subresource (the path behind a proxy).
    """

    resource: Resource
    namespace: str
    name: str
    subresource: str = ""
    tail: str = ""


def parse(path: str, catalog: Catalog) -> Target | None:
    """The target of a path below /api/v1 or /apis/GROUP/VERSION, or None where there is no such resource."""
    parts = path.split("/")[1:]
    if parts[:2] == ["api", "v1"] and len(parts) > 2:
        group, version, rest = "", "v1", parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    # /namespaces/NAME[/status] is the namespace itself, /namespaces/NAME/PLURAL what is in it.
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = unquote(rest[1]), rest[2:]
    resource = catalog.find(group, version, rest[0])
    if resource is None or (namespace and not resource.namespaced):
        return None
    name = unquote(rest[1]) if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if name and resource.namespaced and not namespace:
        return None
    if subresource == "proxy":
        return Target(resource, namespace, name, subresource, "/".join(rest[3:]))
    if len(rest) > 3:
        return None
    return Target(resource, namespace, name, subresource)


def _unknown(verb: str, path: str) -> Action:
    """What has to be allowed for a path of no resource that is served: in an API group, a resource's rights."""
    parts = path.split("/")[1:]
    if parts[0] != "apis" or len(parts) < 4:
        return Action(verb, path=path)
    group, rest = parts[1], parts[3:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = unquote(rest[1]), rest[2:]
    name = unquote(rest[1]) if len(rest) > 1 else ""
    if not name:
        verb = {"get": "list", "delete": "deletecollection"}.get(verb, verb)
    return Action(verb, group, rest[0], rest[2] if len(rest) > 2 else "", namespace, name)


_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def action(target: Target | None, method: str, path: str, query: Any) -> Action:
    """What has to be allowed for a request; `target` is None for a path that is no resource's."""
    verb = _VERBS.get(method, method.lower())
    if target is None:
        return _unknown(verb, path)
    name = target.name
    if not name:
        if verb == "delete":
            verb = "deletecollection"
        elif verb == "get":
            verb = "list"
            # A list of the one object of a name is a question about that object.
            for term in query.get("fieldSelector", "").split(","):
                key, _, value = term.partition("=")
                if key == "metadata.name" and value:
                    name = value.removeprefix("=")
    if verb in ("get", "list") and not target.subresource and query.get("watch") in ("true", "1"):
        verb = "watch"
    # A namespace lies in itself, so that a Role in it can speak of it.
    namespace = target.name if target.resource == NAMESPACES else target.namespace
    return Action(verb, target.resource.group, target.resource.plural, target.subresource, namespace, name)
