# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Go's decoder says of a text that is no JSON, as clients of an API server read it."""

from __future__ import annotations

import re
from collections.abc import Callable

_SPACE = re.compile(rb"[ \t\r\n]*")
_END = "unexpected end of JSON input"
_LITERALS = {b"t": b"true", b"f": b"false", b"n": b"null"}
_SUMMARY = 30


class _WrongError(Exception):
    """The text is no JSON; the argument says why."""


def problem(text: bytes) -> str:
    """Why a text is no JSON, as Go has it; "" where it is."""
    try:
        at = _value(text, 0)
        at = _skip(text, at)
        if at < len(text):
            raise _wrong(text, at, "after top-level value")
    except _WrongError as error:
        return str(error)
    return ""


def summary(text: bytes) -> str:
    """The beginning of a text that nobody can read."""
    rest = " ..." if len(text) > _SUMMARY else ""
    begin = text[:_SUMMARY]
    return (begin.decode(errors="replace") if text[:1] == b"{" else begin.hex()) + rest


def _wrong(text: bytes, at: int, where: str) -> _WrongError:
    if at >= len(text):
        return _WrongError(_END)
    return _WrongError(f"invalid character {_quoted(text[at])} {where}")


def _quoted(byte: int) -> str:
    character = chr(byte)
    known = {"'": "\\'", "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    if character in known:
        return f"'{known[character]}'"
    if character.isprintable():
        return f"'{character}'"
    return f"'\\x{byte:02x}'" if byte < 0x80 else f"'\\u{byte:04x}'"


def _skip(text: bytes, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _value(text: bytes, at: int) -> int:
    """Behind the value that begins at a place, or after spaces there."""
    at = _skip(text, at)
    first = text[at : at + 1]
    if first == b"{":
        return _object(text, at + 1)
    if first == b"[":
        return _list(text, at + 1)
    if first == b'"':
        return _string(text, at + 1)
    if first in _LITERALS:
        return _literal(text, at, _LITERALS[first])
    if first and first in b"-0123456789":
        return _number(text, at)
    raise _wrong(text, at, "looking for beginning of value")


def _object(text: bytes, at: int) -> int:
    return _members(text, at, b"}", _pair, "after object key:value pair")


def _list(text: bytes, at: int) -> int:
    return _members(text, at, b"]", _value, "after array element")


def _members(text: bytes, at: int, end: bytes, member: Callable[[bytes, int], int], after: str) -> int:
    """Behind the `end` of what has members with commas between them, of which each is read by `member`."""
    at = _skip(text, at)
    if text[at : at + 1] == end:
        return at + 1
    while True:
        at = _skip(text, member(text, at))
        if text[at : at + 1] == end:
            return at + 1
        if text[at : at + 1] != b",":
            raise _wrong(text, at, after)
        at += 1


def _pair(text: bytes, at: int) -> int:
    at = _skip(text, at)
    if text[at : at + 1] != b'"':
        raise _wrong(text, at, "looking for beginning of object key string")
    at = _skip(text, _string(text, at + 1))
    if text[at : at + 1] != b":":
        raise _wrong(text, at, "after object key")
    return _value(text, at + 1)


def _string(text: bytes, at: int) -> int:
    while True:
        character = text[at : at + 1]
        if character == b'"':
            return at + 1
        if not character or character < b" ":
            raise _wrong(text, at, "in string literal")
        at += 1
        if character != b"\\":
            continue
        if text[at : at + 1] == b"u":
            for place in range(at + 1, at + 5):
                if not re.match(rb"[0-9a-fA-F]", text[place : place + 1]):
                    raise _wrong(text, place, "in \\u hexadecimal character escape")
            at += 5
        elif text[at : at + 1] and text[at : at + 1] in b'bfnrt\\/"':
            at += 1
        else:
            raise _wrong(text, at, "in string escape code")


def _literal(text: bytes, at: int, word: bytes) -> int:
    for index, expected in enumerate(word):
        if text[at + index : at + index + 1] != bytes([expected]):
            raise _wrong(text, at + index, f"in literal {word.decode()} (expecting {_quoted(expected)})")
    return at + len(word)


def _number(text: bytes, at: int) -> int:
    at += text[at : at + 1] == b"-"
    at = at + 1 if text[at : at + 1] == b"0" else _digits(text, at, "in numeric literal")
    if text[at : at + 1] == b".":
        at = _digits(text, at + 1, "after decimal point in numeric literal")
    if text[at : at + 1] in (b"e", b"E"):
        at += 1 + (text[at + 1 : at + 2] in (b"+", b"-"))
        at = _digits(text, at, "in exponent of numeric literal")
    return at


def _digits(text: bytes, at: int, where: str) -> int:
    found = re.compile(rb"[0-9]+").match(text, at)
    if found is None:
        raise _wrong(text, at, where)
    return found.end()
