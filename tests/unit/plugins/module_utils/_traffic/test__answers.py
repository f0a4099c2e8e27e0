"""What an answer that is no good one says."""

from __future__ import annotations

import json

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._traffic import _answers, _remedies


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


MOUNT = "/api/v1/namespaces/default/services/shop:80/proxy"


@pytest.mark.parametrize(
    ("value", "error"),
    [
        # As an API server hands on what the application says: with its own way to the Service before the path.
        (f"{MOUNT}/login?next=%2F", "HTTP 302 to /login"),
        (f"https://api.example.com:6443{MOUNT}/login", "HTTP 302 to /login"),
        # To https of the host that the request named, which is the API server's.
        (f"https://api.example.com:6443{MOUNT}/version", "HTTP 302 to the place that was asked"),
        ("https://shop.example.com/version", "HTTP 302 to https://shop.example.com/version"),
        (
            "https://shop.example.com/v/services/shop:80/proxy/x",
            "HTTP 302 to https://shop.example.com/v/services/shop:80/proxy/x",
        ),
        ("https://[broken", "HTTP 302 to https://[broken"),
        ("login", "HTTP 302 to login"),
    ],
)
def test_a_redirect_that_an_api_server_hands_on_leads_where_the_application_says(value: str, error: str) -> None:
    assert _answers.refusal(302, {"location": value}, b"", MOUNT, f"/base{MOUNT}/version?probe=1") == error


def test_the_remedy_of_a_redirect_is_a_place_that_can_be_given() -> None:
    assert "set path=/login" in _remedies.remedy("HTTP 302 to /login")
    assert "set url=https://shop.example.com/" in _remedies.remedy("HTTP 308 to https://shop.example.com/")
    again = _remedies.remedy(_answers.refusal(301, {"location": f"{MOUNT}/v"}, b"", MOUNT, f"{MOUNT}/v"))
    assert "X-Forwarded-Proto" in again
    assert "path=" not in again


def test_a_status_says_all_there_is_to_say() -> None:
    assert _answers.refusal(404, {"location": "/x"}) == "HTTP 404"
    assert _answers.refusal(302, {}) == "HTTP 302"
