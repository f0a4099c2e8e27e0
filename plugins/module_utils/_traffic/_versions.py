# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading which version answered. Pure functions."""

from __future__ import annotations

import json
import re
import typing as t
from functools import lru_cache

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure

#: Where a version can be read from; exactly one is given.
SOURCES = ("json_pointer", "header", "regex")

#: What stands in the place of a version where an answer names none, and that is no fault.
UNNAMED = "an unnamed version"


def pointed(document: t.Any, pointer: str) -> t.Any:
    """What a JSON pointer (RFC 6901) leads to, None where it leads nowhere."""
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(key)
        elif isinstance(document, list) and key.isdigit() and int(key) < len(document):
            document = document[int(key)]
        else:
            return None
    return document


Reader = t.Callable[[t.Mapping[str, str], bytes], "str | None"]


def reader(source: t.Mapping[str, str | None]) -> Reader:
    """A function of an answer's headers (names in lower case) and body that returns its version, or None.

    Raises Failure where `source` cannot work.
    """
    json_pointer, header, regex = (source.get(name) for name in SOURCES)
    if header:
        name = header.lower()
        return lambda headers, _body: headers.get(name) or None
    if regex:
        try:
            pattern = re.compile(regex)
        except re.error as error:
            raise Failure(f"version_from.regex is not a regular expression: {error}.") from error

        def search(_headers: t.Mapping[str, str], body: bytes) -> str | None:
            found = pattern.search(body.decode(errors="replace"))
            return (found.group(1) if pattern.groups else found.group(0)) if found else None

        return search
    pointer = json_pointer if json_pointer is not None else "/version"
    if pointer and not pointer.startswith("/"):
        raise Failure(
            f"version_from.json_pointer is {pointer!r}; a JSON pointer begins with a slash, as /version does."
        )

    @lru_cache(maxsize=16)  # most pods answer the same again and again
    def point(body: bytes) -> str | None:
        try:
            # A number is read as it is written: 1.10 is no 1.1.
            value = pointed(json.loads(body, parse_float=str, parse_int=str), pointer)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, str) else None

    return lambda _headers, body: point(body)


def lenient(read: Reader) -> Reader:
    """The same reader, by which an answer that names no version has UNNAMED."""
    return lambda headers, body: read(headers, body) or UNNAMED
