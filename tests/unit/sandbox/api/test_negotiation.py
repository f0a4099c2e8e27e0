"""Which form an answer takes and how a body is read."""

from __future__ import annotations

import pytest
from convoy_sandbox.api import negotiation
from convoy_sandbox.errors import ApiError


@pytest.mark.parametrize(
    ("accept", "as_"),
    [
        ("", ""),
        ("*/*", ""),
        ("application/json", ""),
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "Table"),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", ""),
        ("application/vnd.kubernetes.protobuf,application/json", ""),
        ("application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1, application/json;as=Table;v=v1", "Table"),
    ],
)
def test_the_first_form_that_is_json_is_taken(accept: str, as_: str) -> None:
    assert negotiation.accepted(accept).as_ == as_


@pytest.mark.parametrize("accept", ["application/vnd.kubernetes.protobuf", "text/html,application/xml"])
def test_a_client_that_cannot_read_json_is_told(accept: str) -> None:
    with pytest.raises(ApiError) as refusal:
        negotiation.accepted(accept)
    assert refusal.value.code == 406
    assert refusal.value.reason == "NotAcceptable"


def test_bodies_are_json_or_yaml() -> None:
    assert negotiation.decoded("application/json; charset=utf-8", b'{"a": 1}') == {"a": 1}
    assert negotiation.decoded("application/merge-patch+json", b'{"a": 1}') == {"a": 1}
    assert negotiation.decoded("application/apply-patch+yaml", b"a: [1]") == {"a": [1]}
    assert negotiation.decoded("application/json", b"") is None


def test_a_time_in_yaml_stays_a_text() -> None:
    assert negotiation.decoded("application/yaml", b"at: 2026-11-24T00:00:00Z") == {"at": "2026-11-24T00:00:00Z"}


@pytest.mark.parametrize(
    ("content_type", "body", "code"),
    [
        ("application/yaml", b"a: [", 400),
        ("text/plain", b"hello", 415),
        ("application/vnd.kubernetes.protobuf", b"hello", 400),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(content_type: str, body: bytes, code: int) -> None:
    with pytest.raises(ApiError) as refusal:
        negotiation.decoded(content_type, body)
    assert refusal.value.code == code


def test_of_a_body_that_is_no_json_it_is_known_why_and_how_it_begins() -> None:
    with pytest.raises(negotiation.UnreadableError, match="unexpected end of JSON input") as refusal:
        negotiation.decoded("application/json", b"{")
    assert refusal.value.summary == "{"


def test_the_field_manager_is_the_program_where_none_is_given() -> None:
    assert negotiation.field_manager("me", "kubectl/v1.32 (linux)") == "me"
    assert negotiation.field_manager("", "kubectl/v1.32 (linux)") == "kubectl"
    assert negotiation.field_manager("", "") == "unknown"
    assert len(negotiation.field_manager("", "x" * 200)) == 128


def test_a_warning_is_quoted() -> None:
    assert negotiation.warning('unknown field "a\\b"') == '299 - "unknown field \\"a\\\\b\\""'
