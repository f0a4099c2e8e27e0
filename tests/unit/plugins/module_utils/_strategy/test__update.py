"""Giving a Deployment a new version of its image."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _update
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._update import Wish

Object = dict[str, t.Any]


def deployment(*images: str, init: str = "", labels: Object | None = None, **spec: t.Any) -> Object:
    """A Deployment called shop with a container for each image, called c0, c1 and so on."""
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    template = {"metadata": {"labels": labels or {"app": "shop"}}, "spec": {"containers": containers}}
    if init:
        template["spec"]["initContainers"] = [{"name": "migrate", "image": init}]
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    selector = {"matchLabels": {"app": "shop"}}
    return {
        "metadata": {"name": "shop", "annotations": {}},
        "spec": {"replicas": 4, "selector": selector, "strategy": strategy, "template": template, **spec},
    }


def paths(patch: list[Object]) -> dict[str, t.Any]:
    """What a patch sets, by path."""
    return {step["path"]: step.get("value") for step in patch}


def test_the_image_and_its_like_get_the_tag() -> None:
    item = deployment("reg:5000/shop:1", "nginx:1.28", init="reg:5000/shop:1")
    assert paths(_update.template_patch(item, Wish("2", container="c0"))) == {
        "/spec/template/spec/containers/0/image": "reg:5000/shop:2",
        "/spec/template/spec/initContainers/0/image": "reg:5000/shop:2",
    }


def test_labels_that_say_the_version_follow() -> None:
    labels = {"app": "shop", "version": "one", "app.kubernetes.io/version": "1"}
    item = deployment("shop:1", labels=labels)
    assert _update.new_labels(item, _update.template_patch(item, Wish("2"))) == {
        "app": "shop",
        "version": "one",  # somebody else's: it is not the image's
        "app.kubernetes.io/version": "2",
    }
    labels["app.kubernetes.io/version"] = "chart-7"
    item = deployment("shop:1", labels=labels)
    assert _update.new_labels(item, _update.template_patch(item, Wish("2")))["app.kubernetes.io/version"] == "chart-7"


def test_nothing_to_change_is_nothing() -> None:
    assert _update.patch(deployment("shop:2"), Wish("2", change_cause="x", max_surge="25%")) == []


def test_a_patch_has_the_cause_and_the_settings() -> None:
    patch = _update.patch(deployment("shop:1"), Wish("2", change_cause="why", max_surge="2", max_unavailable="0"))
    found = paths(patch)
    assert found["/metadata/annotations/kubernetes.io~1change-cause"] == "why"
    assert found["/spec/strategy/rollingUpdate/maxSurge"] == 2
    assert found["/spec/strategy/rollingUpdate/maxUnavailable"] == 0
    assert "/spec/paused" not in found


def test_one_that_is_to_be_held_starts_paused_and_one_that_is_held_goes_on_elsewhere() -> None:
    assert paths(_update.patch(deployment("shop:1"), Wish("2", pause_at="50%")))["/spec/paused"] is True
    held = deployment("shop:2", paused=True)
    held["metadata"]["annotations"]["convoy.rollout/paused-at"] = "50%"
    steps = [(step["op"], step["path"]) for step in _update.patch(held, Wish("3"))]
    assert ("remove", "/spec/paused") in steps


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish("two words"), "version is 'two words'"),
        (Wish("2", image="shop:1"), "without a tag"),
        (Wish("2", image="reg:5000/shop@sha256:1"), "without a tag or a digest"),
        (Wish("2", max_surge="many"), "max_surge is 'many'"),
        (Wish("2", max_unavailable="-1"), "max_unavailable is '-1'"),
        (Wish("2", pause_at="half"), "cannot be paused at half"),
    ],
)
def test_a_wish_that_cannot_be_is_refused(wish: Wish, said: str) -> None:
    with pytest.raises(Failure, match=said):
        _update.check(wish)


def test_a_registry_with_a_port_is_no_tag() -> None:
    _update.check(Wish("2", image="reg:5000/shop"))


@pytest.mark.parametrize(
    ("item", "wish", "said"),
    [
        (deployment("shop:1", paused=True), Wish("2"), "is paused, and not by this role; resume it"),
        (deployment("shop:1", strategy={"type": "Recreate"}), Wish("2", max_surge="1"), "has strategy Recreate"),
        (deployment("shop:1", replicas=1), Wish("2", pause_at="50%"), "nothing between old and new"),
        (deployment("a:1", "b:1"), Wish("2"), r"has several containers \(c0, c1\); name the one"),
        (deployment("a:1"), Wish("2", container="web"), "has no container web"),
        (
            deployment("a:1", labels={"version": "1"}, selector={"matchLabels": {"version": "1"}}),
            Wish("2"),
            "selects its pods by version=1",
        ),
    ],
)
def test_a_deployment_that_cannot_be_updated_is_refused(item: Object, wish: Wish, said: str) -> None:
    with pytest.raises(Failure, match=said):
        _update.check_deployment(item, wish)


def service(name: str, **selector: str) -> Object:
    """A Service."""
    return {"metadata": {"name": name}, "spec": {"selector": selector}}


def test_services_lead_there_before_and_after() -> None:
    item = deployment("shop:1", labels={"app": "shop", "version": "1"})
    found = [service("all", app="shop"), service("shop", app="shop"), service("other", app="x"), service("none")]
    assert _update.services(item, Wish("2"), found) == ["shop", "all"]
    with pytest.raises(Failure, match="Service pinned leads to version 1 of shop only"):
        _update.services(item, Wish("2"), [service("pinned", app="shop", version="1")])
