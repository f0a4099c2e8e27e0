"""What is taken for a failure that passes, from what kubernetes.core says."""

from __future__ import annotations

import json

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._client_errors import is_transient, refusal


def status(code: int, reason: str) -> str:
    """A refusal by the API server, as kubernetes.core words it."""
    body = {"kind": "Status", "status": "Failure", "message": f"hello: {reason}", "reason": reason, "code": code}
    return f"Failed to patch object: {json.dumps(body).encode()!r}"


@pytest.mark.parametrize("code", [409, 429, 500, 502, 503, 504])
def test_an_api_server_that_fails_or_is_too_busy_may_do_it_next_time(code: int) -> None:
    assert is_transient({"failed": True, "msg": status(code, "Failure")})
    assert is_transient({"failed": True, "msg": f"({code})\nReason: Failure\nHTTP response body: nothing"})


@pytest.mark.parametrize(
    "text", ["Too many requests, please try again later.\n", "apiserver not ready", "service unavailable\n"]
)
def test_one_that_says_so_in_plain_text_may_too(text: str) -> None:
    assert is_transient({"failed": True, "msg": f"Failed to apply object: {text.encode()!r}"})
    assert is_transient({"failed": True, "msg": f"Failed to apply object: {text}"})


@pytest.mark.parametrize(
    ("code", "reason"), [(401, "Unauthorized"), (403, "Forbidden"), (404, "NotFound"), (422, "Invalid")]
)
def test_a_refusal_stays_one(code: int, reason: str) -> None:
    assert not is_transient({"failed": True, "msg": status(code, reason)})


@pytest.mark.parametrize(
    "said",
    [
        "Failed to patch object: ('Connection aborted.', RemoteDisconnected('Remote end closed connection without "
        "response'))",
        "Failed to retrieve requested object: ('Connection aborted.', ConnectionResetError(104, 'Connection reset'))",
        "HTTPSConnectionPool(host='127.0.0.1', port=1): Max retries exceeded with url: /apis (Caused by "
        "NewConnectionError('Failed to establish a new connection: [Errno 111] Connection refused'))",
    ],
)  # fmt: skip
def test_a_connection_that_broke_may_hold_next_time(said: str) -> None:
    assert is_transient({"failed": True, "msg": said})


def test_a_module_that_broke_off_without_a_message_had_no_connection() -> None:
    assert is_transient({"failed": True, "exception": "(traceback unavailable)"})


@pytest.mark.parametrize(
    "said",
    [
        "HTTPSConnectionPool(host='127.0.0.1', port=1): Max retries exceeded with url: /version (Caused by SSLError("
        "SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed')))",
        "Failed to find exact match for apps/v2.Deployment by [kind, name, singularName, shortNames]",
    ],
)  # fmt: skip
def test_what_would_fail_again_does_not_pass(said: str) -> None:
    assert not is_transient({"failed": True, "msg": said})


def test_what_succeeded_or_was_skipped_is_no_failure() -> None:
    assert not is_transient({"changed": True, "result": {"metadata": {"name": "hello"}}})
    assert not is_transient({"changed": False, "skipped": True})


@pytest.mark.parametrize(
    ("words", "helps"),
    [
        (
            'Deployment.apps "web" is invalid: spec.selector: Invalid value: {"matchLabels":{"app":"web","team":"red"}}'
            ": field is immutable",
            "keep the one that the cluster has, with selector in the description, as selector: {app: web} (kubectl get "
            "deployment web -o jsonpath={.spec.selector} shows it), or delete Deployment web",
        ),
        (
            'Service "web" is invalid: spec.clusterIPs[0]: Invalid value: ["10.0.0.9"]: may not change once set',
            "leave clusterIP out of the description, or delete Service web",
        ),
        (
            'ConfigMap "words" is invalid: data: Forbidden: field is immutable when `immutable` is set',
            "ConfigMap words is marked as immutable: give the changed one another name",
        ),
        (
            'StatefulSet.apps "db" is invalid: spec: Forbidden: updates to statefulset spec for fields other than '
            "'replicas' are forbidden",
            "delete StatefulSet db with --cascade=orphan",
        ),
        (
            'Job.batch "once" is invalid: spec.template: Invalid value: {}: field is immutable',
            "keep it as it is in the cluster, or delete Job once",
        ),
    ],
)
def test_a_field_that_nobody_can_change_is_refused_with_the_way_out(words: str, helps: str) -> None:
    said = refusal(f"Failed to apply object: {json.dumps({'message': words, 'reason': 'Invalid'})}", "default")
    assert said.startswith(f"{words}. ")
    assert helps in said


def test_another_refusal_is_left_as_it_is() -> None:
    words = 'Deployment.apps "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'
    assert refusal(json.dumps({"message": words, "reason": "Invalid"}), "default") == words
