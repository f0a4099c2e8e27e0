"""What label selectors pick, against the sandbox's own reading of them."""

from __future__ import annotations

import json
import shlex
import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._workload._selectors import (
    holds,
    keys,
    matches,
    query,
    selects,
    unmet,
    without_version,
)
from convoy_sandbox import selectors
from hypothesis import given
from hypothesis import strategies as st

KEYS = st.sampled_from(["app", "track", "team"])
VALUES = st.sampled_from(["a", "b", ""])
LABELS = st.dictionaries(KEYS, VALUES)
RULE = st.one_of(
    st.fixed_dictionaries(
        {"key": KEYS, "operator": st.sampled_from(["In", "NotIn"]), "values": st.lists(VALUES, min_size=1)}
    ),
    st.fixed_dictionaries({"key": KEYS, "operator": st.sampled_from(["Exists", "DoesNotExist"])}),
)
SELECTOR = st.fixed_dictionaries({}, optional={"matchLabels": LABELS, "matchExpressions": st.lists(RULE, max_size=3)})


@given(SELECTOR, LABELS)
def test_labels_are_picked_as_the_api_picks_them(selector: dict[str, t.Any], labels: dict[str, str]) -> None:
    assert matches(selector, labels) == (not unmet(selector, labels))
    assert matches(selector, labels) == selectors.matches(selector, labels)
    assert matches(selector, labels) == selectors.label_selector(query(selector))({"metadata": {"labels": labels}})


def test_nothing_and_everything() -> None:
    assert matches({}, {})
    assert not matches(None, {})
    assert not selects({}, {"app": "a"})
    assert not selects(None, {"app": "a"})
    assert selects({"app": "a"}, {"app": "a", "track": "b"})


@pytest.mark.parametrize(
    ("operator", "value", "held"),
    [("Gt", "5", True), ("Gt", "3", False), ("Lt", "3", True), ("Gt", "many", False), ("Near", "5", False)],
)
def test_node_affinity_compares_numbers_too(operator: str, value: str, held: bool) -> None:
    assert holds({"key": "cores", "operator": operator, "values": ["4"]}, {"cores": value}) is held
    assert holds({"key": "cores", "operator": operator, "values": ["4"]}, {}) is False


def test_what_a_selector_asks_for() -> None:
    selector = {"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "team", "operator": "Exists"}]}
    assert keys(selector) == {"app", "team"}
    assert unmet(selector, {"app": "a"}) == "team"
    assert unmet({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["a"]}]}, {"app": "a"}) == (
        "app notin (a)"
    )


def test_how_version_is_removed_from_a_selector_can_be_typed() -> None:
    said = without_version({"metadata": {"name": "hello", "namespace": "shop"}})
    command = shlex.split(said.partition(": ")[2])
    assert command[:5] == ["kubectl", "-n", "shop", "patch", "service"]
    assert json.loads(command[-1]) == [{"op": "remove", "path": "/spec/selector/version"}]
