"""The filter table: dictionaries as aligned lines."""

from __future__ import annotations

import typing as t

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.convoy.rollout.plugins.filter import table as plugin
from ansible_collections.convoy.rollout.plugins.filter.table import FilterModule

table = FilterModule().filters()["table"]


def test_the_documented_example() -> None:
    (task,) = yaml.safe_load(plugin.EXAMPLES)
    shown = "".join(f"# {line}\n" for line in table(task["vars"]["pods"], columns=["name", "ready", "image"]))
    assert plugin.EXAMPLES.endswith("\n\n" + shown)


def test_columns_are_all_keys_in_the_order_in_which_they_appear() -> None:
    assert table([{"name": "a", "up_to_date": 3}, {"name": "b", "image": "x:1"}]) == [
        "NAME  UP-TO-DATE  IMAGE",
        "a     3           -",
        "b     -           x:1",
    ]


def test_headings_of_ones_own() -> None:
    assert table([{"n": 1}], columns=["n"], headings=["How many"]) == ["How many", "1"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        ("", "-"),
        ([], "-"),
        (0, "0"),
        (True, "true"),
        (["a", 2], "a, 2"),
        ({"app": "hello", "version": "1.0.0"}, "app=hello,version=1.0.0"),
        ("one\n two", "one two"),
    ],
)
def test_cells(value: t.Any, shown: str) -> None:
    assert table([{"x": value}]) == ["X", shown]


def test_nothing_is_a_line_of_headings() -> None:
    assert table([], columns=["name", "ready"]) == ["NAME  READY"]


@pytest.mark.parametrize("wrong", ["text", {"name": "a"}, ["a"]])
def test_what_is_no_list_of_dictionaries_is_refused(wrong: t.Any) -> None:
    with pytest.raises(AnsibleFilterError, match="a list of dictionaries"):
        table(wrong)


def test_headings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="has 1 columns and 2 headings"):
        table([{"x": 1}], headings=["X", "Y"])
