"""What is written of an object, and what a task says that it changed."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._objects import (
    definitions,
    difference,
    merge_patch,
    merged,
)
from hypothesis import given
from hypothesis import strategies as st

Object = dict[str, t.Any]
HEAD: Object = {"apiVersion": "v1", "kind": None, "metadata": {}}


def config(name: str, **more: t.Any) -> Object:
    """A ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **more}}


@pytest.mark.parametrize(
    "given_as",
    [
        [config("a"), config("b")],
        {"kind": "List", "items": [config("a"), config("b")]},
        "---\n---\nkind: ConfigMap\nmetadata: {name: a}\n---\n# nothing\n---\nkind: ConfigMap\nmetadata: {name: b}\n",
    ],
)
def test_what_is_given_are_objects(given_as: t.Any) -> None:
    assert definitions(given_as, HEAD) == [config("a"), config("b")]


def test_an_object_says_itself_what_it_is() -> None:
    head = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}}
    assert definitions(None, head) == [head]
    assert definitions({"spec": {}}, head) == [{**head, "spec": {}}]
    assert definitions(config("b"), head) == [config("b")]


@pytest.mark.parametrize(
    ("given_as", "said"),
    [
        ("kind: [secret-word", "no YAML: .* in line 1"),
        ("\x00", "does not allow"),
        ([7], "int 7, which is no object"),
        ({"kind": "Secret", "metadata": {}}, r"no metadata\.name"),
        ({"metadata": {"name": "a"}}, "no kind"),
    ],
)
def test_what_is_no_object_is_refused(given_as: t.Any, said: str) -> None:
    with pytest.raises(Failure, match=said) as failed:
        definitions(given_as, HEAD)
    assert "secret-word" not in failed.value.message


def test_only_wishes_are_compared_and_no_secret_is_shown() -> None:
    before, after = config("a", resourceVersion="1"), config("a", resourceVersion="2", uid="u", managedFields=[{}])
    assert difference(after, before, dict(after, status={"x": 1}))["changed"] is False
    told = difference(after, dict(before, data={"x": "1", "y": "1"}), dict(after, data={"x": "2", "y": "1"}))
    assert told["diff"] == {"before": {"data": {"x": "1"}}, "after": {"data": {"x": "2"}}}
    secret = {**config("s"), "kind": "Secret", "data": {"token": "aGVtbGljaA=="}}
    assert difference(secret, None, secret) == {"kind": "Secret", "name": "s", "namespace": "", "changed": True}


KEYS = st.sampled_from("abc")
FLAT = st.dictionaries(KEYS, st.integers(0, 2), max_size=3)
OBJECTS = st.dictionaries(KEYS, st.integers(0, 2) | st.lists(FLAT, max_size=2) | FLAT, max_size=3)


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_makes_the_one_of_the_other(before: Object, after: Object) -> None:
    patch = merge_patch(before, after)
    assert merged(before, patch) == after
    assert merge_patch(after, after) == {}


@pytest.mark.parametrize(
    ("target", "patch", "result"),  # from RFC 7396, appendix A
    [
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_is_the_standards(target: t.Any, patch: t.Any, result: t.Any) -> None:
    assert merged(target, patch) == result
