# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which form of an answer a client wants, and how its body is read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import yaml

from .. import protobuf
from ..errors import ApiError, bad_request
from . import go_json

YAML = "application/yaml"
_ACCEPTED = (
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
)


@dataclass(frozen=True)
class Form:
    """One acceptable form: `as_` is Table, PartialObjectMetadata(List), APIGroupDiscoveryList or ""."""

    as_: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def is_yaml(accept: str) -> bool:
    """Whether a client wants YAML before JSON."""
    known = [part.partition(";")[0].strip() for part in accept.split(",")]
    return next((media for media in known if media in (YAML, "application/json", "*/*")), "") == YAML


def as_yaml(document: bytes) -> bytes:
    """A JSON document as YAML."""
    return yaml.safe_dump(json.loads(document), default_flow_style=False, allow_unicode=True).encode()


def accepted(accept: str) -> Form:
    """The first form of an Accept header that the sandbox can answer in: JSON, which `as_yaml` may make YAML of.

    Raises ApiError 406 where neither is acceptable.
    """
    if not accept:
        return Form()
    for part in accept.split(","):
        media, *rest = (piece.strip() for piece in part.split(";"))
        parameters = dict(piece.split("=", 1) for piece in rest if "=" in piece)
        if media not in ("application/json", YAML, "*/*", "application/*", "text/plain"):
            continue
        as_ = parameters.get("as", "")
        if as_ and parameters.get("v") not in ("v1", "v2"):
            continue
        return Form(as_, parameters)
    raise ApiError(
        406,
        "NotAcceptable",
        f"406: Not Acceptable\n\nAvailable representations: {', '.join(_ACCEPTED)}",
        {},
    )


class UnreadableError(Exception):
    """A body is no JSON: why, and how it begins."""

    def __init__(self, why: str, summary: str) -> None:
        super().__init__(why)
        self.summary = summary


def decoded(content_type: str, body: bytes) -> Any:
    """A request body as plain data. Raises ApiError 400 or 415, UnreadableError."""
    media = content_type.partition(";")[0].strip().lower()
    if not body:
        return None
    if media == "application/vnd.kubernetes.protobuf" or body.startswith(protobuf.MAGIC):
        return protobuf.decode(body)
    if media in ("application/yaml", "application/apply-patch+yaml", "text/yaml"):
        try:
            return yaml.load(body, Loader=_YamlLoader)  # noqa: S506 - a SafeLoader
        except yaml.YAMLError as error:
            raise bad_request(f"error decoding YAML: {error}") from None
    if media not in ("", "application/json") and not media.endswith("+json"):
        raise ApiError(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: " + ", ".join(_ACCEPTED),
        )
    try:
        return json.loads(body)
    except ValueError as error:
        raise UnreadableError(go_json.problem(body) or str(error), go_json.summary(body)) from None


class _YamlLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as Kubernetes reads it: a time stays a string."""


_YamlLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _YamlLoader.yaml_implicit_resolvers.items()
}


def flag(query: Any, name: str) -> bool:
    """A query parameter that is on or off."""
    return query.get(name) in ("true", "True", "1")


def warning(text: str) -> str:
    """The value of a Warning header."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{escaped}"'


def field_manager(query_manager: str, user_agent: str) -> str:
    """Under which name changes are recorded: as asked for, else the program of the user agent."""
    return (query_manager or user_agent.partition("/")[0] or "unknown")[:128]
