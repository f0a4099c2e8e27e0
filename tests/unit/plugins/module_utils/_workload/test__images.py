"""The version in the name of an image."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._workload._images import container_of, tag_of, with_tag

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("image", "tag", "changed"),
    [
        ("nginx", "latest", "nginx:2"),
        ("nginx:1.28", "1.28", "nginx:2"),
        ("ghcr.io/a/b:v1", "v1", "ghcr.io/a/b:2"),
        ("registry:5000/hello", "latest", "registry:5000/hello:2"),
        ("registry:5000/a/hello:1", "1", "registry:5000/a/hello:2"),
    ],
)
def test_tags(image: str, tag: str, changed: str) -> None:
    assert tag_of(image) == tag
    assert with_tag(image, "2") == changed


@pytest.mark.parametrize(("image", "tag"), [(f"nginx@{DIGEST}", ""), (f"registry:5000/nginx:1.28@{DIGEST}", "1.28")])
def test_a_digest_cannot_be_replaced_by_a_version(image: str, tag: str) -> None:
    assert tag_of(image) == tag
    with pytest.raises(Failure, match="pinned by its digest"):
        with_tag(image, "2")


def deployment(*containers: str) -> dict[str, t.Any]:
    """A Deployment with these containers."""
    return {
        "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [{"name": name} for name in containers]}}},
    }


def test_the_container_that_is_meant() -> None:
    assert container_of(deployment("a"), "")["name"] == "a"
    assert container_of(deployment("a", "b"), "b")["name"] == "b"
    with pytest.raises(Failure, match=r"several containers \(a, b\)"):
        container_of(deployment("a", "b"), "")
    with pytest.raises(Failure, match="no container c; its containers: a, b"):
        container_of(deployment("a", "b"), "c")
