"""Protobuf bodies, encoded here by hand from the field numbers that Kubernetes publishes."""

from __future__ import annotations

import contextlib
import json

import pytest
from convoy_sandbox import protobuf
from convoy_sandbox.errors import ApiError
from hypothesis import given
from hypothesis import strategies as st


def varint(value: int) -> bytes:
    value %= 2**64
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def text(number: int, value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def entry(number: int, key: str, value: str | bytes) -> bytes:
    return text(number, text(1, key) + text(2, value))


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    meta = text(1, api_version) + text(2, kind)
    # Go writes contentEncoding and contentType out, empty as they are.
    return protobuf.MAGIC + text(1, meta) + text(2, raw) + text(3, "") + text(4, "")


def test_a_config_map() -> None:
    meta = text(1, "c") + text(2, "") + text(3, "lab") + entry(11, "app", "hello") + entry(12, "note", "a b")
    body = text(1, meta) + entry(2, "conf", "listen 80;") + entry(3, "blob", b"\x00\xff") + integer(4, 1)
    assert protobuf.decode(envelope("v1", "ConfigMap", body)) == {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "c", "namespace": "lab", "labels": {"app": "hello"}, "annotations": {"note": "a b"}},
        "data": {"conf": "listen 80;"},
        "binaryData": {"blob": "AP8="},
        "immutable": True,
    }


def test_a_secret_is_bytes_and_arrives_as_base64() -> None:
    body = text(1, text(1, "s")) + entry(2, "tls.key", b"\xfe\xff\x00") + text(3, "Opaque")
    assert protobuf.decode(envelope("v1", "Secret", body))["data"] == {"tls.key": "/v8A"}


def test_quantities_times_and_signed_numbers() -> None:
    hard = text(2, entry(1, "pods", text(1, "3")) + entry(1, "requests.cpu", text(1, "500m")))
    quota = protobuf.decode(envelope("v1", "ResourceQuota", text(1, text(1, "q")) + hard))
    assert quota["spec"] == {"hard": {"pods": "3", "requests.cpu": "500m"}}
    made = text(1, "c") + text(8, integer(1, 1763985600)) + integer(7, -1)
    assert protobuf.decode(envelope("v1", "ConfigMap", text(1, made)))["metadata"] == {
        "name": "c",
        "creationTimestamp": "2025-11-24T12:00:00Z",
        "generation": -1,
    }
    unset = text(1, text(1, "c") + text(8, b""))
    assert protobuf.decode(envelope("v1", "ConfigMap", unset))["metadata"] == {"name": "c"}


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        (integer(1, 0) + integer(2, 8080) + text(3, ""), 8080),
        (integer(1, 1) + integer(2, 0) + text(3, "http"), "http"),
    ],
)
def test_a_target_port_is_a_number_or_a_name(encoded: bytes, value: int | str) -> None:
    port = text(1, "web") + text(2, "TCP") + integer(3, 80) + text(4, encoded)
    service = text(1, text(1, "s")) + text(2, text(1, port) + entry(2, "app", "hello") + text(4, "NodePort"))
    assert protobuf.decode(envelope("v1", "Service", service))["spec"] == {
        "ports": [{"name": "web", "protocol": "TCP", "port": 80, "targetPort": value}],
        "selector": {"app": "hello"},
        "type": "NodePort",
    }


def test_field_ownership_survives() -> None:
    fields = {"f:data": {"f:a": {}}}
    managed = text(1, "kubectl") + text(2, "Update") + text(7, text(1, json.dumps(fields)))
    body = text(1, text(1, "c") + text(17, managed))
    assert protobuf.decode(envelope("v1", "ConfigMap", body))["metadata"]["managedFields"] == [
        {"manager": "kubectl", "operation": "Update", "fieldsV1": fields}
    ]


def test_delete_options() -> None:
    body = integer(1, 0) + text(2, text(1, "some-uid")) + text(4, "Foreground") + text(5, "All")
    assert protobuf.decode(envelope("v1", "DeleteOptions", body)) == {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": "some-uid"},
        "propagationPolicy": "Foreground",
        "dryRun": ["All"],
    }


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"hello", 400),
        (protobuf.MAGIC + b"\x0a", 400),
        (protobuf.MAGIC + b"\x0a\xff\xff", 400),
        (envelope("v1", "ConfigMap", text(1, text(1, b"\xff"))), 400),
        (envelope("v1", "ConfigMap", text(1, text(8, integer(1, 2**62)))), 400),
        (envelope("v1", "Nothing", b""), 415),
        (envelope("v1", "ConfigMap", text(99, "new")), 415),
    ],
)
def test_what_cannot_be_read_is_refused(data: bytes, code: int) -> None:
    with pytest.raises(ApiError) as caught:
        protobuf.decode(data)
    assert caught.value.code == code


def test_a_field_that_is_not_known_but_empty_does_no_harm() -> None:
    body = text(1, text(1, "c")) + text(99, "") + integer(98, 0)
    assert protobuf.decode(envelope("v1", "ConfigMap", body))["metadata"] == {"name": "c"}


@given(st.sampled_from(["ConfigMap", "Service", "Deployment", "ResourceQuota", "DeleteOptions"]), st.binary())
def test_no_bytes_are_too_strange(kind: str, raw: bytes) -> None:
    with contextlib.suppress(ApiError):
        protobuf.decode(envelope("v1", kind, raw))
    with contextlib.suppress(ApiError):
        protobuf.decode(protobuf.MAGIC + raw)
