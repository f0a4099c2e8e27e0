"""Lists are consistent: their pages show one moment, however long a client takes over them."""

from __future__ import annotations

from typing import Any

import pytest
from convoy_sandbox import resources
from convoy_sandbox.api import lists
from convoy_sandbox.errors import ApiError
from convoy_sandbox.store import Object, Store


def config_map(name: str, namespace: str = "a", **labels: str) -> Object:
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}}


def filled(*names: str) -> Store:
    store = Store()
    for name in names:
        store.put(resources.CONFIGMAPS, config_map(name))
    return store


def page(store: Store, namespace: str = "a", **query: Any) -> tuple[list[str], Object]:
    query = {key.rstrip("_"): str(value) for key, value in query.items()}
    found, meta = lists.page(store, resources.CONFIGMAPS, namespace, query)
    return [obj["metadata"]["name"] for obj in found], meta


def test_a_list_has_the_newest_resource_version() -> None:
    assert page(filled("b", "a")) == (["a", "b"], {"resourceVersion": "2"})


def test_pages_follow_one_another() -> None:
    store = filled("a", "b", "c", "d", "e")
    names, meta = page(store, limit=2)
    assert names == ["a", "b"]
    assert meta["remainingItemCount"] == 3
    names, meta = page(store, limit=2, continue_=meta["continue"])
    assert names == ["c", "d"]
    assert meta["remainingItemCount"] == 1
    names, meta = page(store, limit=2, continue_=meta["continue"])
    assert names == ["e"]
    assert "continue" not in meta
    assert "remainingItemCount" not in meta


def test_later_pages_show_the_moment_of_the_first() -> None:
    store = filled("a", "c", "d")
    _, meta = page(store, limit=1)
    store.put(resources.CONFIGMAPS, config_map("b"))
    store.remove(resources.CONFIGMAPS, "a", "c")
    store.put(resources.CONFIGMAPS, config_map("d", changed="yes"))
    names, rest = page(store, continue_=meta["continue"])
    assert names == ["c", "d"]
    assert rest["resourceVersion"] == "3"
    found, _ = lists.page(store, resources.CONFIGMAPS, "a", {"continue": meta["continue"]})
    assert found[1]["metadata"]["labels"] == {}


def test_pages_go_across_namespaces_in_order() -> None:
    store = Store()
    for namespace, name in (("b", "x"), ("a", "z"), ("a", "y")):
        store.put(resources.CONFIGMAPS, config_map(name, namespace))
    names, meta = page(store, "", limit=2)
    assert names == ["y", "z"]
    assert page(store, "", continue_=meta["continue"])[0] == ["x"]


def test_with_a_selector_nobody_counts_the_rest() -> None:
    store = Store()
    for name in ("a", "b", "c"):
        store.put(resources.CONFIGMAPS, config_map(name, app="x" if name != "b" else "y"))
    names, meta = page(store, limit=1, labelSelector="app=x")
    assert names == ["a"]
    assert "remainingItemCount" not in meta
    assert page(store, labelSelector="app=x", continue_=meta["continue"])[0] == ["c"]


def test_a_page_of_too_long_ago_has_expired_and_says_how_to_go_on() -> None:
    store = filled("a", "b", "c")
    _, meta = page(store, limit=1)
    store.put(resources.CONFIGMAPS, config_map("d"))
    store.forget(store.revision)
    with pytest.raises(ApiError) as refusal:
        page(store, continue_=meta["continue"])
    assert (refusal.value.code, refusal.value.reason) == (410, "Expired")
    token = refusal.value.status["metadata"]["continue"]
    assert page(store, continue_=token)[0] == ["b", "c", "d"]


def test_an_exact_resource_version_is_that_moment() -> None:
    store = filled("a", "b")
    store.remove(resources.CONFIGMAPS, "a", "a")
    assert page(store, resourceVersion=1, resourceVersionMatch="Exact") == (["a"], {"resourceVersion": "1"})
    assert page(store, resourceVersion=1)[0] == ["b"]
    assert page(store, resourceVersion=0)[0] == ["b"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"limit": "x"}, 400),
        ({"continue": "?"}, 400),
        ({"continue": "e30"}, 400),
        ({"labelSelector": "a b c"}, 400),
        ({"fieldSelector": "spec.x=1"}, 400),
        ({"resourceVersion": "99"}, 504),
    ],
)
def test_what_cannot_be_asked_for(query: dict[str, str], code: int) -> None:
    with pytest.raises(ApiError) as refusal:
        lists.page(filled("a"), resources.CONFIGMAPS, "a", query)
    assert refusal.value.code == code


def test_a_page_of_another_moment_cannot_be_asked_for() -> None:
    store = filled("a", "b")
    _, meta = page(store, limit=1)
    with pytest.raises(ApiError, match="not allowed when using continue"):
        page(store, continue_=meta["continue"], resourceVersion=1)


def test_elements_of_a_list_have_no_kind() -> None:
    obj = {"kind": "ConfigMap", "apiVersion": "v1", **config_map("a")}
    assert lists.listed(resources.CONFIGMAPS, [obj], {"resourceVersion": "1"}) == {
        "kind": "ConfigMapList",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": "1"},
        "items": [config_map("a")],
    }
