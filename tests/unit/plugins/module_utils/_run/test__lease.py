"""Who holds a Lease, and when its holder counts as dead."""

from __future__ import annotations

import typing as t
from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._api import Object
from ansible_collections.convoy.rollout.plugins.module_utils._run import _lease

NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)


def lease(**spec: t.Any) -> Object:
    """A Lease as the API server has it."""
    new = _lease.taken(None, name="convoy-hello", holder="alice@laptop (1)", purpose="canary to 2.0.0", now=NOW)
    return {**new, "metadata": {**new["metadata"], "uid": "u", "resourceVersion": "5"}, "spec": {**new["spec"], **spec}}


def read(**spec: t.Any) -> _lease.Held:
    """Who holds it."""
    found = _lease.held(lease(**spec))
    assert found is not None
    return found


def test_who_holds_it_since_when_and_what_for() -> None:
    assert str(read()) == "alice@laptop (1) since 2026-11-25 12:00:00 UTC, for canary to 2.0.0"


@pytest.mark.parametrize("free", [None, lease(holderIdentity=""), lease(holderIdentity=None)])
def test_free(free: Object | None) -> None:
    assert _lease.held(free) is None


@pytest.mark.parametrize(
    ("renewed", "alive"),
    [
        (_lease.stamp(NOW - timedelta(seconds=14)), True),
        (_lease.stamp(NOW - timedelta(seconds=16)), False),
        (_lease.stamp(NOW + timedelta(hours=1)), True),
        ("", False),
        ("soon", False),
        ("2026-11-25T12:00:00", False),  # without a zone
    ],
)
def test_whether_it_seems_alive(renewed: str, alive: bool) -> None:
    assert read(renewTime=renewed).seems_alive(NOW) is alive


def test_it_has_expired_when_it_was_seen_unchanged_for_its_duration() -> None:
    observer, first = _lease.Observer(), read()
    assert not observer.has_expired(first, 1000.0)
    assert not observer.has_expired(first, 1014.5)
    second = first._replace(version="6")  # renewed, whatever its clock says
    assert not observer.has_expired(second, 1015.0)
    assert not observer.has_expired(second, 1029.5)
    assert observer.has_expired(second, 1030.0)


def test_taking_one_over_holds_only_for_the_version_that_was_read() -> None:
    taken = _lease.taken(lease(), name="convoy-hello", holder="bob@desk (2)", purpose="scale", now=NOW)
    assert taken["metadata"]["resourceVersion"] == "5"
    assert taken["metadata"]["annotations"] == {_lease.PURPOSE: "scale"}
    assert (taken["spec"]["holderIdentity"], taken["spec"]["leaseTransitions"]) == ("bob@desk (2)", 1)
    assert "resourceVersion" not in _lease.taken(None, name="a", holder="b", purpose="", now=NOW)["metadata"]


def test_renewing_changes_the_time_only() -> None:
    later = _lease.renewed(lease(), NOW + timedelta(seconds=5))
    assert later["spec"].pop("renewTime") == "2026-11-25T12:00:05.000000Z"
    assert later == {**lease(), "spec": {key: value for key, value in lease()["spec"].items() if key != "renewTime"}}
