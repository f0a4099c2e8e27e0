"""Which pods had a container that was started again between two moments."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.filter.restarted import restarted


def pod(name: str, restarts: int) -> dict[str, t.Any]:
    """What module rollout returns of a pod, as far as it matters here."""
    return {"name": name, "restarts": restarts}


def test_more_restarts_than_before_are_told_and_what_was_before_is_not() -> None:
    before = [pod("a", 0), pod("b", 2), pod("c", 1), pod("gone", 0)]
    assert restarted([pod("a", 1), pod("b", 2), pod("c", 3)], since=before) == ["a", "c"]


def test_a_pod_that_is_new_is_not_counted() -> None:
    assert restarted([pod("new", 4)], since=[]) == []
