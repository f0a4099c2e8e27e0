"""What the parameters of a write mean."""

from __future__ import annotations

from typing import Any

import pytest
from convoy_sandbox.api import options
from convoy_sandbox.errors import ApiError
from multidict import MultiDict


def test_a_write_by_default() -> None:
    how = options.writing(MultiDict(), "kubectl/v1.32", "CreateOptions")
    assert how == {"manager": "kubectl", "validation": "Warn", "dry_run": False}


def test_a_write_as_asked_for() -> None:
    query = MultiDict({"fieldManager": "me", "fieldValidation": "Strict", "dryRun": "All"})
    assert options.writing(query, "", "CreateOptions") == {"manager": "me", "validation": "Strict", "dry_run": True}


@pytest.mark.parametrize("query", [{"dryRun": "Some"}, {"fieldValidation": "Loose"}])
def test_unknown_values_are_refused_with_their_cause(query: dict[str, str]) -> None:
    ((field, value),) = query.items()
    with pytest.raises(ApiError) as refusal:
        options.writing(MultiDict(query), "", "CreateOptions")
    status = refusal.value.status
    assert (status["code"], status["reason"]) == (422, "Invalid")
    wrong = f'{field}: Unsupported value: "{value}"'
    assert status["message"].startswith(f'CreateOptions.meta.k8s.io "" is invalid: {wrong}')
    assert status["details"]["causes"][0]["reason"] == "FieldValueNotSupported"


def test_force_belongs_to_an_apply_with_a_manager() -> None:
    assert options.force(MultiDict({"force": "true", "fieldManager": "me"}), apply=True)
    assert not options.force(MultiDict({"fieldManager": "me"}), apply=True)
    assert not options.force(MultiDict(), apply=False)
    with pytest.raises(ApiError, match="may not be specified for non-apply patch"):
        options.force(MultiDict({"force": "true"}), apply=False)
    with pytest.raises(ApiError, match="is required for apply patch"):
        options.force(MultiDict(), apply=True)


@pytest.mark.parametrize(
    ("query", "body", "expected"),
    [
        ({}, None, options.Deletion(None, None, None, False)),
        ({"gracePeriodSeconds": "3"}, None, options.Deletion(None, 3, None, False)),
        (
            {"propagationPolicy": "Orphan", "dryRun": "All"},
            {},
            options.Deletion(None, None, None, False),
        ),  # a body hides it
        (
            {"propagationPolicy": "Orphan", "gracePeriodSeconds": "3"},
            {"propagationPolicy": "Foreground", "gracePeriodSeconds": 0, "preconditions": {"uid": "u"}},
            options.Deletion("Foreground", 0, {"uid": "u"}, False),
        ),
        ({}, {"orphanDependents": True, "dryRun": ["All"]}, options.Deletion("Orphan", None, None, True)),
        ({"dryRun": "All"}, None, options.Deletion(None, None, None, True)),
    ],
)
def test_deletions(query: dict[str, str], body: Any, expected: options.Deletion) -> None:
    assert options.deletion(MultiDict(query), body) == expected


@pytest.mark.parametrize(
    ("query", "body", "code"),
    [
        ({"gracePeriodSeconds": "soon"}, None, 400),
        ({}, [], 400),
        ({}, {"propagationPolicy": "Sideways"}, 422),
        ({}, {"dryRun": ["Some"]}, 422),
    ],
)
def test_bad_deletions_are_refused(query: dict[str, str], body: Any, code: int) -> None:
    with pytest.raises(ApiError) as refusal:
        options.deletion(MultiDict(query), body)
    assert refusal.value.code == code
