"""Server-side apply: who owns a field, and what happens when two want it."""

from __future__ import annotations

from typing import Any

import pytest
from convoy_sandbox import apply as ownership
from convoy_sandbox import patch, resources
from convoy_sandbox.errors import ApiError
from convoy_sandbox.registry import Registry
from convoy_sandbox.store import Store


@pytest.fixture
def registry() -> Registry:
    registry = Registry(Store())
    registry.create(resources.NAMESPACES, "", {"metadata": {"name": "lab"}})
    return registry


def hello(image: str = "hello:1", env: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "hello", "image": image}
    if env:
        container["env"] = [{"name": name, "value": value} for name, value in env.items()]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "hello", "namespace": "lab"},
        "spec": {
            "selector": {"matchLabels": {"app": "hello"}},
            "template": {"metadata": {"labels": {"app": "hello"}}, "spec": {"containers": [container]}},
            **spec,
        },
    }


def apply(registry: Registry, body: dict[str, Any], manager: str = "a", **options: Any) -> dict[str, Any]:
    stored, _ = registry.patch(resources.DEPLOYMENTS, "lab", "hello", patch.APPLY, body, manager=manager, **options)
    return stored


def container(stored: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = stored["spec"]["template"]["spec"]["containers"][0]
    return found


def test_applying_twice_changes_nothing(registry: Registry) -> None:
    first = apply(registry, hello())
    assert apply(registry, hello())["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_two_owners_of_different_fields_get_along(registry: Registry) -> None:
    apply(registry, hello())
    both = apply(registry, {**hello(), "spec": {"replicas": 4}}, manager="b")
    assert (both["spec"]["replicas"], container(both)["image"]) == (4, "hello:1")
    assert apply(registry, hello("hello:2"))["spec"]["replicas"] == 4


def test_a_field_of_somebody_else_is_a_conflict(registry: Registry) -> None:
    apply(registry, hello(replicas=3))
    with pytest.raises(ApiError) as caught:
        apply(registry, hello("hello:2", replicas=5), manager="b")
    assert caught.value.code == 409
    assert caught.value.message == (
        'Apply failed with 2 conflicts: conflicts with "a":\n- .spec.replicas\n'
        '- .spec.template.spec.containers[name="hello"].image'
    )
    assert container(apply(registry, hello("hello:2"), manager="b", force=True))["image"] == "hello:2"
    with pytest.raises(ApiError, match='1 conflict: conflict with "b": '):
        apply(registry, hello("hello:1"), manager="a")


def test_what_was_scaled_by_hand_is_owned_by_the_hand(registry: Registry) -> None:
    apply(registry, hello(replicas=3))
    registry.patch(
        resources.DEPLOYMENTS, "lab", "hello", patch.MERGE, {"spec": {"replicas": 5}},
        subresource="scale", manager="kubectl",
    )  # fmt: skip
    with pytest.raises(ApiError, match='conflict with "kubectl" with subresource "scale" using apps/v1'):
        apply(registry, hello(replicas=3))
    assert apply(registry, hello())["spec"]["replicas"] == 5


def test_a_field_given_up_goes_unless_another_owns_it(registry: Registry) -> None:
    apply(registry, hello(env={"A": "1", "B": "2"}, minReadySeconds=5))
    apply(registry, hello(env={"B": "2"}), manager="b")
    after = apply(registry, hello())
    assert container(after)["env"] == [{"name": "B", "value": "2"}]
    assert "minReadySeconds" not in after["spec"]
    assert "env" not in container(apply(registry, hello(), manager="b"))


def test_a_selector_is_owned_whole(registry: Registry) -> None:
    body = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], "selector": {"app": "hello"}}}
    registry.patch(resources.SERVICES, "lab", "s", patch.APPLY, body, manager="a")
    switched = {"spec": {"selector": {"app": "hello", "version": "2"}}}
    registry.patch(resources.SERVICES, "lab", "s", patch.MERGE, switched, manager="b")
    with pytest.raises(ApiError, match=r"conflict with \"b\" using v1: \.spec\.selector"):
        registry.patch(resources.SERVICES, "lab", "s", patch.APPLY, body, manager="a")


def test_apply_needs_no_object_to_begin_with(registry: Registry) -> None:
    _, created = registry.patch(resources.DEPLOYMENTS, "lab", "hello", patch.APPLY, hello(), manager="a")
    assert created
    with pytest.raises(ApiError) as caught:
        registry.patch(resources.DEPLOYMENTS, "lab", "none", patch.MERGE, {"spec": {"replicas": 1}})
    assert caught.value.code == 404


def test_dry_run_of_an_apply(registry: Registry) -> None:
    apply(registry, hello())
    assert container(apply(registry, hello("hello:2"), dry_run=True))["image"] == "hello:2"
    assert container(registry.get(resources.DEPLOYMENTS, "lab", "hello"))["image"] == "hello:1"


@pytest.mark.parametrize(
    ("live", "config", "merged"),
    [
        (["hello"], ["app"], ["hello", "app"]),
        (["a", "b"], ["b", "a"], ["b", "a"]),
        (["x", "a", "b"], ["b", "a"], ["x", "b", "a"]),
        (["a", "x", "b"], ["a", "c"], ["a", "x", "b", "c"]),
        ([], ["a"], ["a"]),
    ],
)
def test_lists_keep_what_others_put_in_where_it_stood(live: list[str], config: list[str], merged: list[str]) -> None:
    assert ownership._interleaved(live, config) == merged
