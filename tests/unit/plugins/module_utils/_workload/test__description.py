"""The description of applications: what the lab describes has none, and what cannot work has one in its own words."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _description, _subject
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
        ("version", 2.0, 'version must be a quoted string that is a valid label, such as "1.0.0"; it is 2.0.'),
        (
            "version",
            "1.0.0\n",
            'version must be a quoted string that is a valid label, such as "1.0.0"; it is "1.0.0\\n".',
        ),
        ("image", "a b", 'image must be the name of an image without its tag; it is "a b".'),
        ("replicas", -1, "replicas must be a number of replicas that is not negative; it is -1."),
        ("replicas", True, "replicas must be a number of replicas that is not negative; it is true."),
        ("drain", -1, "drain must be a number of seconds that is not negative; it is -1."),
        ("drain", "5s", 'drain must be a number of seconds that is not negative; it is "5s".'),
        ("labels", {"track": 1}, "labels must be a dictionary of strings."),
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


def drain_of(application: dict[str, t.Any], *, sleeps: bool = True) -> _subject.Drain | None:
    """What a strategy reads of the pods that the role's template makes of a description."""
    described = _description.drained({**PLAIN, **application}, sleeps=sleeps)
    container = {"name": "hello", **described.get("container", {})}
    return _subject.drain({"spec": {**described.get("pod", {}), "containers": [container]}})


@pytest.mark.parametrize(
    ("application", "sleeps", "drain"),
    [
        ({}, True, _subject.Drain("hello", "sleep", 5.0, 35)),
        ({}, False, _subject.Drain("hello", "exec", 5.0, 35)),
        ({"drain": 20, "pod": {"terminationGracePeriodSeconds": 60}}, True, _subject.Drain("hello", "sleep", 20.0, 80)),
        ({"drain": 20, "pod": {"terminationGracePeriodSeconds": 0}}, True, _subject.Drain("hello", "sleep", 20.0, 20)),
        ({"drain": 0}, True, None),
        ({"container": {"lifecycle": {"postStart": {"exec": {}}}}}, True, _subject.Drain("hello", "sleep", 5.0, 35)),
        (
            {"container": {"lifecycle": {"preStop": {"httpGet": {"port": 81}}}}},
            True,
            _subject.Drain("hello", "httpGet", None, 30),
        ),
    ],
)  # fmt: skip
def test_a_described_application_drains_unless_it_says_otherwise(
    application: dict[str, t.Any], sleeps: bool, drain: _subject.Drain | None
) -> None:
    assert drain_of(application, sleeps=sleeps) == drain


def test_what_is_described_beside_the_drain_stays_as_it_is() -> None:
    hook = {"postStart": {"sleep": {"seconds": 1}}}
    given = {**PLAIN, "container": {"args": ["x"], "lifecycle": hook}, "pod": {"nodeName": "one"}}
    described = _description.drained(given, sleeps=True)
    assert described["container"]["args"] == ["x"]
    assert described["container"]["lifecycle"]["postStart"] == hook["postStart"]
    assert described["pod"]["nodeName"] == "one"
    assert "preStop" not in hook, "the description itself is not changed"


def test_a_drain_and_a_hook_of_its_own_are_one_too_many() -> None:
    own = {**PLAIN, "drain": 5, "container": {"lifecycle": {"preStop": {"sleep": {"seconds": 3}}}}}
    assert application_problems({"hello": own}) == [
        "Application hello cannot be deployed: it has both a drain and container.lifecycle.preStop; leave out one of "
        "them."
    ]
    assert application_problems({"hello": {**own, "drain": 0}}) == []
