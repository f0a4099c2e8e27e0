# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading what HTTP/1.1 allows a server to answer, and what an answer that is no good one says. Pure functions."""

from __future__ import annotations

import functools
import json
import re
import typing as t
import zlib
from urllib.parse import urlsplit

#: Where a head ends. A line may end without a carriage return (RFC 9112, section 2.2).
HEAD_END = re.compile(rb"\r?\n\r?\n")
SETTINGS = 4  #: the type of the frame that a server begins HTTP/2 with
LONGEST = 120  #: letters of a Location that are shown

#: What an API server answers whoever may not ask through it. A backend's own 403 is the backend's to explain.
FORBIDDEN = "HTTP 403 (the API server's proxy)"

#: What an API server says of a backend that it could not ask, and what that comes to; the first that fits counts.
BEHIND = (
    ("no endpoints available", "no ready endpoint"),
    ("no service port", "no such port"),
    ("connection refused", "connection refused"),
    ("malformed http", "not HTTP/1.1"),
    ("malformed mime", "not HTTP/1.1"),
    ("server gave http response to https client", "no TLS"),
    ("tls:", "TLS failed"),
    ("x509", "TLS failed"),
    ("deadline exceeded", "timeout"),
    ("timeout", "timeout"),
    ("no route to host", "no connection"),
    ("eof", "connection lost"),
    ("connection reset", "connection lost"),
    ("broken pipe", "connection lost"),
)


@functools.lru_cache(maxsize=16)  # most answers of a second have the same
def parsed(head: bytes) -> tuple[int, t.Mapping[str, str]]:
    """The status and the headers (names in lower case) of a head. Raises ValueError or IndexError.

    A value may go on in the next line, which begins with white space. Of a name that comes again the last value counts.
    """
    first, *lines = re.split(r"\r?\n", head.decode("latin-1"))
    headers: dict[str, str] = {}
    name = ""
    for line in lines:
        if line[:1] in (" ", "\t") and name:
            headers[name] = f"{headers[name]} {line.strip()}".strip()
            continue
        name, _colon, value = line.partition(":")
        name = name.strip().lower()
        if name:
            headers[name] = value.strip()
    return int(first.split(None, 2)[1]), headers


def length(value: str) -> int:
    """The bytes of a body. A proxy may have said the same length twice. Raises ValueError."""
    sizes = {int(each) for each in value.split(",")}
    if len(sizes) != 1 or min(sizes) < 0:
        raise ValueError("no length")
    return sizes.pop()


def decoded(headers: t.Mapping[str, str], body: bytes, most: int) -> bytes:
    """A body without its compression, `most` bytes of it: some servers compress what was to be sent as it is."""
    codings = f"{headers.get('content-encoding', '')},{headers.get('transfer-encoding', '')}".lower()
    named = {each.strip() for each in codings.split(",")}
    # A zlib header or none: servers mean either by deflate.
    ways = [47] if named & {"gzip", "x-gzip"} else [zlib.MAX_WBITS, -zlib.MAX_WBITS] if "deflate" in named else []
    for way in ways:
        try:
            return zlib.decompressobj(way).decompress(body, most)
        except zlib.error:
            continue
    return body


def is_http2(received: bytes) -> bool:
    """Whether bytes are the beginning of HTTP/2: a frame SETTINGS of the connection itself."""
    return len(received) >= 9 and received[3] == SETTINGS and received[:2] == b"\0\0" and received[5:9] == bytes(4)


SAME_PLACE = "the place that was asked"  #: where a redirect leads that only wants another scheme or host


def refusal(status: int, headers: t.Mapping[str, str], proxied: bytes = b"", mount: str = "", asked: str = "") -> str:
    """The category of an answer that is no good one: its status, and where it leads or what is behind it.

    `proxied` is the body of an answer that came through an API server, which may be that one's own; `mount` is the path
    by which that one leads to what is behind it, and `asked` the whole path that was asked for there.
    """
    if 300 <= status < 400 and headers.get("location"):
        return f"HTTP {status} to {_behind_mount(headers['location'], mount, asked)}"
    if status == 403 and _of_api_server(proxied).get("reason") == "Forbidden":
        return FORBIDDEN
    why = behind(proxied) if status in (500, 502, 503, 504) else ""
    return f"HTTP {status} ({why})" if why else f"HTTP {status}"


def _behind_mount(value: str, mount: str, asked: str) -> str:
    """Where a redirect leads that an API server handed on, as what is behind it has it.

    An API server puts its own way to the Service before the path, and where the host is its own that is only the one
    that the request named.
    """
    try:
        path = urlsplit(value).path
    except ValueError:
        return location(value)
    _before, found, rest = path.partition(f"{mount}/")
    if not mount or not found:
        return location(value)
    if f"/{rest}" == asked.partition("?")[0].partition(mount)[2]:
        return SAME_PLACE
    return location(f"/{rest}")


def location(value: str) -> str:
    """A Location without what may be secret or differ from answer to answer: credentials, query and fragment."""
    shown = "".join(c if c.isprintable() else "?" for c in value.partition("#")[0].partition("?")[0])
    try:
        parts = urlsplit(shown)
        if "@" in parts.netloc:
            shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    except ValueError:
        pass  # it is no URL, and shown as it is
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}..."


def _of_api_server(body: bytes) -> dict[str, t.Any]:
    """The Status that an API server answers by itself; empty where it hands on what is behind it."""
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    whole = isinstance(said, dict) and said.get("kind") == "Status" and said.get("apiVersion", "v1") == "v1"
    return said if whole else {}


def behind(body: bytes) -> str:
    """Why an API server could not ask what is behind it; empty where the answer is not its own."""
    said = _of_api_server(body)
    message = str(said.get("message") or "").lower()
    if "error trying to reach service" not in message and "no endpoints" not in message and "no service" not in message:
        return ""
    return next((why for part, why in BEHIND if part in message), "no answer")
