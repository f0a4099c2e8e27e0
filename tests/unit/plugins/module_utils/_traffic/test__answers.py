"""What an answer that is no good one says."""

from __future__ import annotations

import json

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._traffic import _answers


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("https://shop.example.com/version", "https://shop.example.com/version"),
        ("/login?next=%2Fversion#top", "/login"),
        ("https://user:secret@shop.example.com/v", "https://shop.example.com/v"),
        ("https://[broken", "https://[broken"),
        ("/a\x1b[31m", "/a?[31m"),
        ("/" + "x" * 500, "/" + "x" * 119 + "..."),
    ],
)
def test_a_location_is_shown_without_what_may_be_secret(value: str, shown: str) -> None:
    assert _answers.location(value) == shown


def status(message: str) -> bytes:
    return json.dumps({"kind": "Status", "apiVersion": "v1", "message": message, "code": 503}).encode()


REACH = "error trying to reach service: "


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (status('no endpoints available for service "shop"'), "HTTP 503 (no ready endpoint)"),
        (status('no service port "81" found for service "shop"'), "HTTP 503 (no such port)"),
        (status(REACH + "dial tcp 10.0.0.1:80: connect: connection refused"), "HTTP 503 (connection refused)"),
        (
            status(REACH + 'net/http: HTTP/1.x transport connection broken: malformed HTTP response "\\x00\\x00"'),
            "HTTP 503 (not HTTP/1.1)",
        ),
        (status(REACH + "http: server gave HTTP response to HTTPS client"), "HTTP 503 (no TLS)"),
        (status(REACH + "EOF"), "HTTP 503 (connection lost)"),
        (
            status(REACH + "read tcp 10.0.0.2:1->10.0.0.1:80: read: connection reset by peer"),
            "HTTP 503 (connection lost)",
        ),
        (status(REACH + "dial tcp 10.0.0.1:80: i/o timeout"), "HTTP 503 (timeout)"),
        (status(REACH + "something new"), "HTTP 503 (no answer)"),
        (status("the server is currently unable to handle the request"), "HTTP 503"),  # the API server's own trouble
        (b'{"kind": "Pod"}', "HTTP 503"),
        (b"upstream connect error", "HTTP 503"),
        (b"", "HTTP 503"),
    ],
)
def test_what_an_api_server_says_of_what_is_behind_it(body: bytes, error: str) -> None:
    assert _answers.refusal(503, {}, body) == error


def test_a_status_says_all_there_is_to_say() -> None:
    assert _answers.refusal(404, {"location": "/x"}) == "HTTP 404"
    assert _answers.refusal(302, {}) == "HTTP 302"
