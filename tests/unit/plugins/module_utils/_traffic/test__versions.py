"""Reading a version from an answer."""

from __future__ import annotations

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._traffic._versions import pointed, reader


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", {"a/b": {"m~n": [10, 20]}}),
        ("/a~1b/m~0n/1", 20),
        ("/a~1b/m~0n/2", None),
        ("/a~1b/m~0n/-", None),
        ("/nowhere/at/all", None),
    ],
)
def test_json_pointers(pointer: str, value: object) -> None:
    assert pointed({"a/b": {"m~n": [10, 20]}}, pointer) == value


@pytest.mark.parametrize(
    ("source", "body", "version"),
    [
        ({}, b'{"version":"1.0.0"}', "1.0.0"),
        ({}, b'{"version":2}', "2"),
        ({}, b'{"version":1.10}', "1.10"),
        ({}, b'{"version":true}', None),
        ({}, b"[" * 100_000, None),
        ({}, b'{"version":{"a":1}}', None),
        ({}, b"\xff not json", None),
        ({"json_pointer": ""}, b'"3"', "3"),
        ({"regex": r"v(\d+)"}, b"this is v12", "12"),
        ({"regex": r"v\d+"}, b"this is v12", "v12"),
        ({"regex": r"v(\d+)"}, b"nothing", None),
        ({"header": "X-Version"}, b"", "7"),
        ({"header": "X-Other"}, b"", None),
    ],
)
def test_versions(source: dict[str, str], body: bytes, version: str | None) -> None:
    assert reader(source)({"x-version": "7"}, body) == version


@pytest.mark.parametrize("source", [{"regex": "("}, {"json_pointer": "version"}])
def test_what_cannot_work_is_refused(source: dict[str, str]) -> None:
    with pytest.raises(Failure):
        reader(source)
