"""What a request path means."""

from __future__ import annotations

import pytest
from convoy_sandbox import resources
from convoy_sandbox.api.paths import Target, parse
from convoy_sandbox.resources import Catalog


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/v1/pods", Target(resources.PODS, "", "")),
        ("/api/v1/namespaces", Target(resources.NAMESPACES, "", "")),
        ("/api/v1/namespaces/a", Target(resources.NAMESPACES, "", "a")),
        ("/api/v1/namespaces/a/status", Target(resources.NAMESPACES, "", "a", "status")),
        ("/api/v1/namespaces/a/finalize", Target(resources.NAMESPACES, "", "a", "finalize")),
        ("/api/v1/namespaces/a/pods/b/log", Target(resources.PODS, "a", "b", "log")),
        ("/apis/apps/v1/namespaces/a/deployments/b/scale", Target(resources.DEPLOYMENTS, "a", "b", "scale")),
        (
            "/api/v1/namespaces/a/services/https:b:443/proxy/c/d%20e",
            Target(resources.SERVICES, "a", "https:b:443", "proxy", "c/d%20e"),
        ),
        ("/api/v1/namespaces/a/services/b/proxy", Target(resources.SERVICES, "a", "b", "proxy")),
    ],
)
def test_paths(path: str, target: Target) -> None:
    assert parse(path, Catalog()) == target


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/metrics",
        "/apis/apps/v1",
        "/api/v1/nothing",
        "/apis/apps/v2/deployments",
        "/api/v1/pods/b",  # a pod is in a namespace
        "/api/v1/namespaces/a/nodes",  # a node is not
        "/api/v1/namespaces/a/pods/b/log/more",
    ],
)
def test_paths_that_lead_nowhere(path: str) -> None:
    assert parse(path, Catalog()) is None
