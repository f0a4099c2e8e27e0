"""What a ResourceQuota counts."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from convoy_sandbox import quota, resources, times

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def pod(**fields: Any) -> dict[str, Any]:
    container = {"name": "main", "resources": {"requests": {"cpu": "100m"}}}
    return {"metadata": {"name": "p"}, "spec": {"containers": [container]}, "status": {"phase": "Running"}} | fields


def leaving(seconds: float, grace: int) -> dict[str, Any]:
    """The metadata of a pod that was to be gone so many seconds ago."""
    stamp = (NOW - datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"name": "p", "deletionTimestamp": stamp, "deletionGracePeriodSeconds": grace}


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        ({}, True),
        ({"status": {"phase": "Succeeded"}}, False),
        ({"metadata": leaving(-20, 30)}, True),
        ({"metadata": leaving(30, 30)}, True),
        ({"metadata": leaving(31, 30)}, False),
        ({"metadata": leaving(40, 600)}, True),
    ],
)
def test_a_pod_counts_until_it_has_ended_or_should_have_long_ago(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], counts: bool
) -> None:
    monkeypatch.setattr(times, "now", lambda: NOW)
    usage = quota.usage_of(resources.PODS, pod(**fields))
    assert ("requests.cpu" in usage) == counts
    assert ("pods" in usage) == counts
    assert "count/pods" in usage
