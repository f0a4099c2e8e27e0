"""What LimitRanges give pods, and which pods they refuse."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._workload._limit_ranges import defaulted, refusals

Object = dict[str, t.Any]


def ranges(kind: str = "Container", **rule: t.Any) -> list[Object]:
    """A LimitRange of one rule."""
    return [{"metadata": {"name": "limits"}, "spec": {"limits": [{"type": kind, **rule}]}}]


def spec(**resources: t.Any) -> Object:
    """A pod of one container."""
    return {"containers": [{"name": "web", "resources": resources}]}


@pytest.mark.parametrize(
    ("rule", "given", "requests", "limits"),
    [
        ({"defaultRequest": {"cpu": "1"}, "default": {"cpu": "2"}}, {}, "1", "2"),
        ({"default": {"cpu": "2"}}, {}, "2", "2"),
        ({"max": {"cpu": "3"}}, {}, "3", "3"),
        ({"min": {"cpu": "1"}}, {}, "1", None),
        ({"default": {"cpu": "2"}}, {"requests": {"cpu": "1"}}, "1", "2"),
        ({"defaultRequest": {"cpu": "1"}}, {"limits": {"cpu": "4"}}, "4", "4"),
    ],
)
def test_what_they_give(rule: Object, given: Object, requests: str, limits: str | None) -> None:
    found = defaulted(spec(**given), ranges(**rule))["containers"][0]["resources"]
    assert (found["requests"].get("cpu"), found["limits"].get("cpu")) == (requests, limits)


def test_init_containers_are_given_it_too() -> None:
    pod = {"containers": [], "initContainers": [{"name": "migrate"}]}
    found = defaulted(pod, ranges(defaultRequest={"memory": "1Gi"}))
    assert found["initContainers"][0]["resources"]["requests"] == {"memory": "1Gi"}


@pytest.mark.parametrize(
    ("rule", "given", "said"),
    [
        ({"max": {"cpu": "1"}}, {"limits": {"cpu": "2"}}, "maximum of 1 cpu per Container, and the limit of container"),
        ({"max": {"cpu": "1"}}, {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}, ""),
        ({"max": {"cpu": "1"}}, {"requests": {"cpu": "1"}}, "container web has no limit"),
        ({"min": {"memory": "64Mi"}}, {"requests": {"memory": "32Mi"}}, "container web requests 32Mi"),
        ({"min": {"memory": "64Mi"}}, {}, "container web requests none"),
        ({"maxLimitRequestRatio": {"cpu": "2"}}, {"requests": {"cpu": "1"}, "limits": {"cpu": "3"}}, "2 times"),
        ({"maxLimitRequestRatio": {"cpu": "2"}}, {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}, ""),
    ],
)
def test_what_they_refuse(rule: Object, given: Object, said: str) -> None:
    found = [words for _name, words in refusals(spec(**given), ranges(**rule))]
    assert bool(found) is bool(said)
    assert said in "".join(found)


def test_a_whole_pod_is_judged_by_the_sum_of_its_containers_with_native_sidecars() -> None:
    pod = {
        "containers": [{"name": "web", "resources": {"limits": {"cpu": "1"}}}],
        "initContainers": [{"name": "proxy", "restartPolicy": "Always", "resources": {"limits": {"cpu": "1"}}}],
        "overhead": {"cpu": "5"},  # is not counted here
    }
    assert not refusals(pod, ranges("Pod", max={"cpu": "2"}))
    assert refusals(pod, ranges("Pod", max={"cpu": "1500m"})) == [
        ("cpu", "the LimitRange has a maximum of 1500m cpu per Pod, and the limit of the pod is 2")
    ]
