"""The version in the name of an image."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._workload._images import (
    Rule,
    check_repository,
    container_of,
    parse,
    relabelled,
    repinned,
    rule,
    says,
    version_of,
    with_tag,
)

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
    assert parse(image).version == tag
    assert with_tag(image, "2") == changed


@pytest.mark.parametrize(("image", "tag"), [(f"nginx@{DIGEST}", ""), (f"registry:5000/nginx:1.28@{DIGEST}", "1.28")])
def test_a_digest_cannot_be_replaced_by_a_version(image: str, tag: str) -> None:
    assert parse(image).tag == tag
    with pytest.raises(Failure, match="pinned by its digest"):
        with_tag(image, "2")
    # Who names the image pins it by a tag from now on.
    assert with_tag(image, "2", "team/web") == "team/web:2"


@pytest.mark.parametrize(
    ("image", "repository", "version", "pinned_by"),
    [
        ("hello:1.0.0", "hello", "1.0.0", "tag"),
        ("hello", "hello", "latest", "nothing"),
        ("registry:5000/a/hello", "registry:5000/a/hello", "latest", "nothing"),
        ("registry:5000/a/hello:2", "registry:5000/a/hello", "2", "tag"),
        ("hello@sha256:abc", "hello", "sha256:abc", "digest"),
        ("hello:2@sha256:abc", "hello", "2", "both"),
    ],
)
def test_an_image_has_a_repository_and_is_pinned_by_something(
    image: str, repository: str, version: str, pinned_by: str
) -> None:
    found = parse(image)
    assert (found.repository, found.version, found.pinned_by) == (repository, version, pinned_by)


def deployment(*containers: str) -> dict[str, t.Any]:
    """A Deployment with these containers."""
    return {
        "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [{"name": name} for name in containers]}}},
    }


def test_the_container_that_is_meant() -> None:
    assert container_of(deployment("a"))["name"] == "a"
    assert container_of(deployment("a", "b"), "b")["name"] == "b"
    with pytest.raises(Failure, match=r"several containers \(a, b\)"):
        container_of(deployment("a", "b"), "")
    with pytest.raises(Failure, match="no container c; its containers: a, b"):
        container_of(deployment("a", "b"), "c")


def template(*containers: tuple[str, str], default: str = "", **labels: str) -> dict[str, t.Any]:
    """A pod template of containers with their images, a name that starts with init: being an init container."""
    kinds: dict[str, list[dict[str, str]]] = {"containers": [], "initContainers": []}
    for name, image in containers:
        kind, _colon, rest = name.rpartition(":")
        kinds["initContainers" if kind else "containers"].append({"name": rest, "image": image})
    annotations = {"kubectl.kubernetes.io/default-container": default} if default else {}
    return {"metadata": {"labels": labels, "annotations": annotations}, "spec": kinds}


PROXY = ("proxy", "nginx:1.28.0")


@pytest.mark.parametrize(
    ("pod", "asked", "version"),
    [
        (template(PROXY, ("backend", "shop:1.0.0")), "backend", "1.0.0"),
        (template(PROXY, ("backend", "shop:1.0.0")), "", ""),
        (template(PROXY, ("backend", "shop:1.0.0")), "gone", ""),
        (template(PROXY, ("backend", "shop:1.0.0"), default="backend"), "", "1.0.0"),
        (template(PROXY, ("shop", "shop:1.0.0")), "", "1.0.0"),
        # The annotation is the team's word, the name only a custom.
        (template(("backend", "shop:2"), ("shop", "shop:1"), default="backend"), "", "2"),
        (template(("init:mesh", "sidecar:7"), ("web", "shop:1.0.0")), "", "1.0.0"),
        (template(("init:mesh", "sidecar:7"), ("web", "shop:1.0.0")), "mesh", "7"),
        # A label is believed only where it is the tag of a container.
        (template(PROXY, ("backend", "shop:1.0.0"), version="1.0.0"), "", "1.0.0"),
        (template(PROXY, ("backend", "shop:1.0.0"), version="v1"), "", ""),
        (template(("web", "shop:1.20.1"), version="v1"), "", "1.20.1"),
        (template(("web", f"shop@{DIGEST}"), version="v1"), "", DIGEST),
        (template(("web", "shop"), version="1.0.0"), "", "latest"),
        ({"metadata": {}, "spec": {}}, "", ""),
    ],
)
def test_the_version_is_that_of_the_container_that_carries_it(pod: dict[str, t.Any], asked: str, version: str) -> None:
    assert version_of(pod, "shop-green", asked) == version


@pytest.mark.parametrize(
    ("option", "tag", "answered"),
    [
        (None, "v1.0.0", "v1.0.0"),
        ({"prefix": "v"}, "v1.0.0", "1.0.0"),
        ({"prefix": "v"}, "1.0.0", "1.0.0"),
        ({"prefix": "v"}, "v", "v"),
        ({"prefix": "v", "suffix": "-alpine"}, "v1.0.0-alpine", "1.0.0"),
        ({"pattern": r"^release-(\d.*)$"}, "release-1.2", "1.2"),
        ({"pattern": r"\d+\.\d+\.\d+"}, "build-1.2.3-x", "1.2.3"),
        ({"pattern": r"^(.+)_(\d+)$", "replace": r"\1+\2"}, "1.2.3_7", "1.2.3+7"),
        ({"pattern": r"^(.+)_(\d+)$", "replace": r"\1+\2"}, "1.2.3", "1.2.3"),
    ],
)
def test_what_answers_may_differ_from_the_tag_by_a_rule(
    option: dict[str, t.Any] | None, tag: str, answered: str
) -> None:
    assert rule(option).answer(tag) == answered
    assert version_of(template(("web", f"shop:{tag}")), "shop", rule=rule(option)) == answered


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"pattern": "("}, "is not valid"),
        ({"pattern": "(a)", "replace": r"\2"}, "is not valid"),
        ({"pattern": "(a)(b)"}, "has 2 groups"),
        ({"replace": "x"}, "without a pattern"),
        ({"answers_as": "1"}, "has no answers_as"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(option: dict[str, t.Any], said: str) -> None:
    with pytest.raises(Failure, match=said):
        rule(option)


def test_labels_that_say_the_version_follow_it_and_others_stay() -> None:
    image, strip = parse("shop:v1.0.0"), Rule(prefix="v")
    there = {"app": "shop", "version": "v1.0.0", "app.kubernetes.io/version": "1.0.0"}
    assert relabelled(there, image, "v2.0.0", strip) == {"version": "v2.0.0", "app.kubernetes.io/version": "2.0.0"}
    assert relabelled(there, image, "v2.0.0") == {"version": "v2.0.0"}
    assert relabelled({"version": "v1"}, parse("reviews:1.20.1"), "1.20.2") == {}
    assert not says("", parse("shop"))
    assert not says(DIGEST, parse(f"shop@{DIGEST}"))


@pytest.mark.parametrize(
    ("image", "repository", "tag", "digest"),
    [
        ("localhost:5000/a/b@sha256:abc", "localhost:5000/a/b", "", "sha256:abc"),
        ("reg.example.com/team/shop-v2", "reg.example.com/team/shop-v2", "", ""),
        ("reg.example.com/team/shop-v2:v1.0.0-rc.1_build.7", "reg.example.com/team/shop-v2", "v1.0.0-rc.1_build.7", ""),
        ("[::1]:5000/shop:1", "[::1]:5000/shop", "1", ""),
        ("[::1]:5000/shop", "[::1]:5000/shop", "", ""),
    ],
)
def test_references_of_other_forms(image: str, repository: str, tag: str, digest: str) -> None:
    found = parse(image)
    assert (found.repository, found.tag, found.digest) == (repository, tag, digest)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("a:1@sha256:1", "a:2", "a was pinned by sha256:1, and is by tag 2 now"),
        ("a@sha256:1", "b:2@sha256:2", "a was pinned by sha256:1, and is by sha256:2 now"),
        ("a:1@sha256:1", "a:1@sha256:1", ""),
        ("a:1", "a:2", ""),
    ],
)
def test_what_becomes_of_a_digest_is_said(old: str, new: str, said: str) -> None:
    assert repinned(parse(old), parse(new)) == said


@pytest.mark.parametrize("given", ["shop:1", "reg:5000/shop:1", "reg/shop@sha256:1"])
def test_an_image_is_given_without_what_pins_it(given: str) -> None:
    with pytest.raises(Failure, match=r"x is .*; set it without a tag or a digest"):
        check_repository("x", given)
    check_repository("x", parse(given).repository)
