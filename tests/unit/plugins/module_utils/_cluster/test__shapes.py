"""The shape of what a task is given: the same whether it comes as plain values or as Ansible's own classes of them."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._shapes import check_template
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure


class Text(str):
    """A text as Ansible hands it over, which knows where it is from."""

    __slots__ = ()


class Number(int):
    """A number as Ansible hands it over."""


class Mapping(dict[str, t.Any]):
    """A dictionary as Ansible hands it over, whose values are rendered when they are asked for."""


TEMPLATE: dict[str, t.Any] = {
    "metadata": {"labels": {"app": "hello"}},
    "spec": {"containers": [{"name": "hello", "image": "hello:1", "ports": [{"containerPort": 80}]}]},
}


def handed_over(value: t.Any) -> t.Any:
    """The same in Ansible's classes."""
    if isinstance(value, dict):
        return Mapping({Text(key): handed_over(item) for key, item in value.items()})
    if isinstance(value, list):
        return [handed_over(item) for item in value]
    return Number(value) if isinstance(value, int) else Text(value)


@pytest.mark.parametrize("template", [TEMPLATE, handed_over(TEMPLATE)])
def test_a_template_is_one_in_whatever_classes_it_comes(template: t.Any) -> None:
    check_template(template)


@pytest.mark.parametrize("template", ["", [], 1, True, {"spec": []}, {"spec": {"containers": [1]}}])
def test_what_is_none_is_refused_in_either(template: t.Any) -> None:
    for each in (template, handed_over(template)):
        with pytest.raises(Failure, match=r"^template .*give it as a Deployment has it"):
            check_template(each)
