# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin explain do."""

from __future__ import annotations

import re
import typing as t
from urllib.parse import parse_qsl, urlsplit

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api, _explain
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "field": {"type": "str", "required": True},
    "api_version": {"type": "str"},
    "recursive": {"type": "bool", "default": False},
}


class _Kind(t.NamedTuple):
    """A resource that the API server has, and what of the field's path is left below it."""

    group: str
    version: str
    kind: str
    path: list[str]


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Find the resource by discovery, read the document of its group and version, explain. Raises Failure."""
    asked = options["field"].rstrip(".")
    if not re.fullmatch(r"[A-Za-z][\w$-]*(\.[\w$-]+)*", asked):
        raise Failure(f"field is {options['field']!r}; name a resource and its fields, as in deployment.spec.replicas.")
    api = _api.api(options, task.environ)
    try:
        found = _found(api, asked, options["api_version"])
        document = _document(api, found)
    finally:
        api.close()
    kind = {"group": found.group, "version": found.version, "kind": found.kind}
    return {"changed": False, **_explain.explain(document, kind, found.path, options["recursive"])}


def _found(api: _api.Api, asked: str, api_version: str | None) -> _Kind:
    """The resource that a field begins with. Raises Failure where no group has it."""
    name, _dot, rest = asked.partition(".")
    versions = [api_version] if api_version else ["v1", *_preferred(api)]
    names: list[str] = []
    # As in deployments.apps.spec, a group may stand behind the resource.
    named = [at for at in versions if "/" in at and f"{rest}.".startswith(at.rpartition("/")[0] + ".")]
    for at in [*named, *versions]:
        group, _slash, version = at.rpartition("/")
        try:
            # Once only: what an aggregated API that is away has is hardly what is asked for.
            path = f"/apis/{at}" if group else f"/api/{version}"
            resources = api.get(path, again=group == "" or at in (api_version, *named)).get("resources") or []
        except _api.ApiError as error:
            if error.status == 404 and api_version:
                raise Failure(f"The API server {api.access.server} has no API {api_version}.") from error
            if error.status in (404, 503):
                continue  # one that is away does not hide the others
            raise
        item = _explain.resource(resources, name)
        if item:
            left = rest[len(group) :].lstrip(".") if at in named else rest
            return _Kind(group, version, item["kind"], [part for part in left.split(".") if part])
        names += [item["name"] for item in resources if "/" not in item["name"]]
    where = api_version or f"the API server {api.access.server}"
    raise Failure(f"There is no resource {name!r} in {where}; {_explain.near(name, list(dict.fromkeys(names)))}.")


def _preferred(api: _api.Api) -> list[str]:
    """The groups in the API server's order, each in the version that it prefers, such as apps/v1."""
    return [group["preferredVersion"]["groupVersion"] for group in api.get("/apis").get("groups") or []]


def _document(api: _api.Api, kind: _Kind) -> _api.Object:
    path = f"apis/{kind.group}/{kind.version}" if kind.group else f"api/{kind.version}"
    try:
        index = api.get("/openapi/v3")
    except _api.ApiError as error:
        if error.status != 404:
            raise
        raise Failure(
            f"The API server {api.access.server} serves no OpenAPI v3 documents; Kubernetes 1.24 and newer do."
        ) from error
    entry = (index.get("paths") or {}).get(path)
    if not entry:
        raise Failure(f"The API server {api.access.server} has no OpenAPI document of {path}.")
    parts = urlsplit(entry["serverRelativeURL"])
    return api.get(parts.path, dict(parse_qsl(parts.query)))
