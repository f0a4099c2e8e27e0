# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes' protobuf bodies: what kubectl's typed clients send, decoded to plain objects.

Only requests are decoded; answers are JSON, which those clients accept as well. The tables in protobuf.json
give the field numbers of the messages; `generate.py` makes them of the `generated.proto` files that Kubernetes
publishes with its API types. A field that a table does not have is refused by name of its message, never dropped.
"""

from __future__ import annotations

import base64
import datetime
import json
import struct
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from .errors import ApiError, bad_request

MAGIC = b"k8s\x00"

#: Message to field number to (JSON name, type); "" stands for a message whose fields stand in its place.
#: Types: string, bytes, int, bool, double, time, microtime, quantity, intorstring, fieldsv1, raw, strings, message
#: names; a prefix `[]` repeats, `{}` maps strings to the type.
_Messages = dict[str, dict[str, tuple[str, str]]]


@cache
def _tables() -> tuple[dict[str, str], _Messages]:
    """The messages of kinds, and the fields of messages, as `generate.py` has written them."""
    data = json.loads(files(__package__).joinpath("protobuf.json").read_text())
    return data["kinds"], data["messages"]


def decode(data: bytes) -> dict[str, Any]:
    """A body that starts with `MAGIC` as an object. Raises ApiError 400 or 415."""
    try:
        if not data.startswith(MAGIC):
            raise ValueError("it does not start as a Kubernetes protobuf message")
        kind = api_version = ""
        raw = b""
        for number, value in _fields(data[len(MAGIC) :]):  # runtime.Unknown
            if number == 1:
                meta = dict(_fields(_bytes(value)))
                api_version, kind = (_bytes(meta.get(n, b"")).decode() for n in (1, 2))
            elif number == 2:
                raw = _bytes(value)
        kinds, _ = _tables()
        message = kinds.get(f"{api_version} {kind}") or kinds.get(kind)
        if message is None:
            raise ApiError(
                415,
                "UnsupportedMediaType",
                f"the sandbox does not read a {kind or 'body'} in protobuf; send application/json",
            )
        return {"kind": kind, "apiVersion": api_version, **_message(message, raw)}
    except (ValueError, IndexError, KeyError, OverflowError, OSError) as error:
        raise bad_request(f"error decoding protobuf: {error}") from None


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: number, and a varint or the bytes of a length-delimited value."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire == 1:
            yield number, data[at : at + 8]
            at += 8
        elif wire == 2:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError("unexpected end of the message")
            yield number, data[at : at + length]
            at += length
        else:
            raise ValueError(f"wire type {wire} is not used by Kubernetes")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if not byte & 0x80:
            return value, at
        shift += 7


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number stands where a text was expected")
    return value


def _message(name: str, data: bytes) -> dict[str, Any]:
    table = _tables()[1][name]
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        entry = table.get(str(number))
        if entry is None:
            if value in (0, b""):
                continue
            what = name.rpartition(".")[2]
            raise ApiError(
                415,
                "UnsupportedMediaType",
                f"the sandbox does not read field {number} of a {what} in protobuf; send application/json",
            )
        key, type_ = entry
        if type_.startswith("[]"):
            found.setdefault(key, []).append(_value(type_[2:], value))
        elif type_.startswith("{}"):
            pair = dict(_fields(_bytes(value)))
            found.setdefault(key, {})[_bytes(pair.get(1, b"")).decode()] = _value(type_[2:], pair.get(2, b""))
        elif not key:
            found.update(_message(type_, _bytes(value)))
        else:
            decoded = _value(type_, value)
            if decoded is not None and decoded != "":  # Go writes empty strings out
                found[key] = decoded
    return found


def _value(type_: str, value: int | bytes) -> Any:
    if type_ == "int":
        if isinstance(value, bytes):
            raise ValueError("a text stands where a number was expected")
        return value - 2**64 if value >= 2**63 else value
    if type_ == "bool":
        return bool(value)
    if type_ == "double":
        return struct.unpack("<d", _bytes(value))[0]
    data = _bytes(value)
    if type_ == "strings":
        return [_bytes(item).decode() for number, item in _fields(data) if number == 1]
    if type_ == "raw":  # JSON within protobuf
        return json.loads(_bytes(dict(_fields(data)).get(1, b"null")) or b"null")
    if type_ == "duration":
        return f"{dict(_fields(data)).get(1, 0)!r}ns"
    if type_ == "microtime":
        parts = dict(_fields(data))
        seconds, nanos = parts.get(1), parts.get(2, 0)
        if not isinstance(seconds, int) or not isinstance(nanos, int):
            return None
        moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanos // 1000:06}Z"
    if type_ == "string":
        return data.decode()
    if type_ == "bytes":
        return base64.b64encode(data).decode()
    if type_ == "quantity":
        return _bytes(dict(_fields(data)).get(1, b"")).decode()
    if type_ == "time":
        seconds = dict(_fields(data)).get(1)
        if not isinstance(seconds, int):
            return None
        when = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
        return when.strftime("%Y-%m-%dT%H:%M:%SZ")
    if type_ == "intorstring":
        parts = dict(_fields(data))
        return _bytes(parts.get(3, b"")).decode() if parts.get(1) else parts.get(2, 0)
    if type_ == "fieldsv1":  # JSON within protobuf
        return json.loads(_bytes(dict(_fields(data)).get(1, b"{}")))
    return _message(type_, data)
