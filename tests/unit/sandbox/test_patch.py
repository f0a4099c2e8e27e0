from __future__ import annotations

from typing import Any

import pytest
from convoy_sandbox import patch, resources, schema
from convoy_sandbox.errors import ApiError
from hypothesis import given
from hypothesis import strategies as st

POD = schema.root(resources.PODS)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("document", "change", "result"),
    [  # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(document: Any, change: Any, result: Any) -> None:
    assert patch.merge(document, change) == result


@given(json_values, json_values)
def test_a_merge_patch_applied_twice_is_applied_once(document: Any, change: Any) -> None:
    once = patch.merge(document, change)
    assert patch.merge(once, change) == once


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": list(containers), **spec}}


def test_a_container_that_a_patch_adds_comes_first() -> None:
    before = pod({"name": "a", "image": "x:1"}, {"name": "b", "image": "y:1"})
    change = pod({"name": "c", "image": "z:1"})
    found = patch.strategic(before, change, POD)
    assert [container["name"] for container in found["spec"]["containers"]] == ["c", "a", "b"]


def test_strategic_merge_finds_elements_by_their_key() -> None:
    before = pod({"name": "a", "image": "x:1"}, {"name": "b", "image": "y:1"})
    change = pod({"name": "b", "image": "y:2"}, {"name": "c", "image": "z:1"})
    assert patch.strategic(before, change, POD) == pod(
        {"name": "a", "image": "x:1"}, {"name": "b", "image": "y:2"}, {"name": "c", "image": "z:1"}
    )


def test_strategic_merge_directives() -> None:
    before = pod({"name": "a", "image": "x"}, {"name": "b", "image": "y"}, nodeSelector={"disk": "ssd"})
    assert patch.strategic(before, {"spec": {"containers": [{"$patch": "delete", "name": "a"}]}}, POD)["spec"][
        "containers"
    ] == [{"name": "b", "image": "y"}]
    assert patch.strategic(before, {"spec": {"containers": [{"$patch": "replace"}, {"name": "c", "image": "z"}]}}, POD)[
        "spec"
    ]["containers"] == [{"name": "c", "image": "z"}]
    assert patch.strategic(before, {"spec": {"nodeSelector": {"$patch": "replace", "zone": "a"}}}, POD)["spec"][
        "nodeSelector"
    ] == {"zone": "a"}
    assert patch.strategic(before, {"spec": {"nodeSelector": None}}, POD) == pod(*before["spec"]["containers"])
    ordered = {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}
    assert [c["name"] for c in patch.strategic(before, ordered, POD)["spec"]["containers"]] == ["b", "a"]


def test_strategic_merge_of_plain_lists() -> None:
    before = {"metadata": {"finalizers": ["a", "b"]}}
    assert patch.strategic(before, {"metadata": {"finalizers": ["c"]}}, POD)["metadata"]["finalizers"] == [
        "a",
        "b",
        "c",
    ]
    gone = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}
    assert patch.strategic(before, gone, POD)["metadata"]["finalizers"] == ["b"]
    # args have no patch strategy: the list is replaced
    assert patch.strategic(pod({"name": "a", "args": ["x", "y"]}), pod({"name": "a", "args": ["z"]}), POD) == pod(
        {"name": "a", "args": ["z"]}
    )


def test_retain_keys() -> None:
    strategy = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    change = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    node = schema.root(resources.DEPLOYMENTS)
    assert patch.strategic(strategy, change, node) == {"spec": {"strategy": {"type": "Recreate"}}}


def test_an_element_without_its_key_is_refused() -> None:
    with pytest.raises(ApiError, match="does not contain declared merge key: name") as caught:
        patch.strategic(pod(), {"spec": {"containers": [{"image": "x"}]}}, POD)
    assert caught.value.code == 400


def test_json_patch() -> None:
    document = {"spec": {"replicas": 1}}
    assert patch.json_patch(document, [{"op": "replace", "path": "/spec/replicas", "value": 2}]) == {
        "spec": {"replicas": 2}
    }
    assert document == {"spec": {"replicas": 1}}
    for operations in ([{"op": "test", "path": "/spec/replicas", "value": 5}], [{"op": "remove", "path": "/none"}]):
        with pytest.raises(ApiError) as caught:
            patch.json_patch(document, operations)
        assert caught.value.code == 422
    with pytest.raises(ApiError) as caught:
        patch.json_patch(document, {"spec": None})
    assert caught.value.code == 400


@pytest.mark.parametrize("operations", [[1], [None], [[]]])
def test_an_operation_is_an_object(operations: list[Any]) -> None:
    with pytest.raises(ApiError, match="is not an operation: it must be an object") as caught:
        patch.json_patch({}, operations)
    assert caught.value.code == 400


@pytest.mark.parametrize("directive", ["$retainKeys", "$setElementOrder/containers", "$deleteFromPrimitiveList/args"])
def test_a_directive_that_lists_is_a_list(directive: str) -> None:
    with pytest.raises(ApiError, match="it must be a list") as caught:
        patch.strategic(pod(), {"spec": {directive: 1}}, POD)
    assert caught.value.code == 400
