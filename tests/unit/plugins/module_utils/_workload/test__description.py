"""The description of applications: what the lab describes has none, and what cannot work has one in its own words."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.convoy.rollout.plugins.module_utils._workload._description import (
    problems as application_problems,
)

ROOT = Path(__file__).resolve().parents[5]
PLAIN: dict[str, t.Any] = {"image": "kelseyhightower/hello", "version": "1.0.0"}


def test_what_the_lab_describes_has_no_problem() -> None:
    described = yaml.safe_load((ROOT / "inventories/sandbox/group_vars/clusters/application.yml").read_text())
    assert application_problems(described["applications"]) == []


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("version", 2.0, 'version must be a text in quotes that can be a label, such as "1.0.0"; it is 2.0.'),
        (
            "version",
            "1.0.0\n",
            'version must be a text in quotes that can be a label, such as "1.0.0"; it is "1.0.0\\n".',
        ),
        ("image", "a b", 'image must be the name of an image without its tag; it is "a b".'),
        ("replicas", -1, "replicas must be a number of replicas that is not negative; it is -1."),
        ("replicas", True, "replicas must be a number of replicas that is not negative; it is true."),
        ("labels", {"track": 1}, "labels must be a dictionary of texts."),
        ("container", ["x"], "container must be a dictionary of fields of a container."),
        ("secrets", {"one": {"data": {"token": 5}}}, "secrets must be a dictionary of Secrets, each with data, "),
        ("secrets", {"one": {"self_signed": {}}}, "secrets must be a dictionary of Secrets, each with data, "),
    ],
)
def test_a_field(field: str, value: t.Any, sentence: str) -> None:
    (problem,) = application_problems({"hello": PLAIN | {field: value}})
    assert problem.startswith(f"Application hello cannot be deployed: {sentence}")


def test_a_name_and_what_is_missing() -> None:
    assert application_problems({"a b": {"image": "x"}}) == [
        'Application "a b" cannot be deployed: its name must be one that a Service can have, of at most 55 small '
        "letters, digits and dashes that begin with a letter.",
        'Application "a b" cannot be deployed: it has no version.',
    ]


def test_no_secret_is_told() -> None:
    said = application_problems({"hello": PLAIN | {"secrets": {"one": {"data": {"token": ["geheim"]}}}}})
    assert len(said) == 1
    assert "geheim" not in said[0]
