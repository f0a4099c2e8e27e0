"""Whose fault it is said to be: ours, with a traceback, or what the API server answered, by object and field."""

from __future__ import annotations

import contextlib
import typing as t
from collections.abc import Callable

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _mirror, _shapes
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._access import Access
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._api import Api, ApiError, path_of
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task, attempt
from ansible_collections.convoy.rollout.plugins.module_utils._traffic import _target
from unit.plugins import cluster

Make = Callable[..., t.Any]
Object = dict[str, t.Any]
DEPLOYMENT = path_of("deployments", "default", "hello", group="apps")


@pytest.mark.parametrize(
    "error", [TypeError("no\nnumber"), RuntimeError("x"), RecursionError("deep"), OSError(5, "io")]
)
def test_an_error_of_our_own_is_said_to_be_one(error: Exception) -> None:
    def operation(_options: t.Any, _task: Task) -> Object:
        raise error

    with pytest.raises(Failure) as failed:
        attempt(operation, {}, Task())
    said = failed.value.message
    assert said.startswith(f"Internal error of convoy.rollout ({type(error).__name__}: ")
    assert "test_failure.py:" in said
    assert "API server" not in said
    assert "\n" not in said
    assert failed.value.facts["exception"].startswith("Traceback (most recent call last)")


def test_a_failure_stays_what_it_is() -> None:
    failure = Failure("There is no Deployment hello.", {"a": 1})

    def operation(_options: t.Any, _task: Task) -> Object:
        raise failure

    with pytest.raises(Failure) as failed:
        attempt(operation, {}, Task())
    assert failed.value is failure


@pytest.mark.parametrize(
    ("place", "other", "said"),
    [
        (("metadata", "name"), None, "a Deployment which has no metadata.name;"),
        (("spec",), [], "a Deployment hello which has a spec that is not an object;"),
        (("spec", "replicas"), "3", "a Deployment hello which has a spec.replicas that is not a whole number;"),
        (("spec", "replicas"), True, "a Deployment hello which has a spec.replicas that is not a whole number;"),
        (
            ("spec", "template", "spec", "containers", 0, "image"),
            None,
            "which has no spec.template.spec.containers[0].image;",
        ),
        (
            ("spec", "selector", "matchExpressions", 0, "operator"),
            "Like",
            "that is not one of In, NotIn, Exists, DoesNotExist;",
        ),
        (("status", "conditions", 0), "x", "which has a status.conditions[0] that is not an object;"),
        (("metadata", "labels"), {"a": 1}, "which has a metadata.labels['a'] that is not a text;"),
    ],
)
def test_an_object_that_is_none_is_named_with_its_field(
    api_server: t.Any, answer: Make, place: tuple[t.Any, ...], other: t.Any, said: str
) -> None:
    body = cluster.changed(cluster.answered(DEPLOYMENT), place, other)
    api_server.on(DEPLOYMENT, answer(body=body))
    with pytest.raises(ApiError) as failed:
        Api(Access(api_server.url)).get(DEPLOYMENT)
    assert said in failed.value.message
    assert failed.value.message.startswith(f"The API server {api_server.url} answered a")
    assert len(api_server.asked) == 1  # asking again would not help


def test_null_is_as_good_as_nothing(api_server: t.Any, answer: Make) -> None:
    body = cluster.answered(DEPLOYMENT)
    body["spec"].update(paused=None, strategy=None)
    body["status"] = None
    api_server.on(DEPLOYMENT, answer(body=body))
    found = Api(Access(api_server.url)).get(DEPLOYMENT)
    assert not {"paused", "strategy"} & set(found["spec"])
    assert "status" not in found


@pytest.mark.parametrize(
    "event",
    [
        {"type": "ADDED"},
        {"type": "ADDED", "object": {"metadata": {"name": "hello"}}},
        {"type": "MODIFIED", "object": {"metadata": {"name": "hello", "uid": "u", "resourceVersion": "6"}}},
    ],
)
def test_a_watch_of_what_is_none_ends_and_says_so(
    api_server: t.Any, answer: Make, monkeypatch: pytest.MonkeyPatch, event: Object
) -> None:
    monkeypatch.setattr(_mirror, "PAUSE", 0.01)
    path = path_of("deployments", "default", group="apps")
    api_server.on(path, answer(body={"metadata": {"resourceVersion": "5"}, "items": [cluster.answered(DEPLOYMENT)]}))
    api_server.on_watch(path, answer(events=(event,), hold=True))
    mirror = _mirror.Mirror(Access(api_server.url), {"deployments": (path, {})}, 20)
    with contextlib.closing(mirror), pytest.raises(ApiError, match=r"The API server .* answered an? "):
        list(iter(mirror.wait, False))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://a..b/version", "but a..b is not a valid host name; correct the url."),
        (f"http://{'a' * 64}.example.com/", "is not a valid host name"),
        ("http://.example.com/", "is not a valid host name"),
        ("ftp://example.com", "it must be an http or https URL."),
        ("http://a b/", "it must be an http or https URL."),
    ],
)
def test_a_url_that_is_none_is_refused_as_one(url: str, said: str) -> None:
    with pytest.raises(Failure) as failed:
        _target.by_url(url, {"headers": {}, "target_ca_cert": None, "target_validate_certs": True})
    assert said in failed.value.message


@pytest.mark.parametrize("server", ["https://a..b", f"http://{'a' * 64}:8080"])
def test_so_is_a_server_that_is_none(server: str) -> None:
    with pytest.raises(Failure, match="is not an http or https URL"):
        Api(Access(server, verify=False))


class Tagged(str):
    """A text as Ansible's templates make them."""


def test_a_template_that_a_user_gives_is_checked_and_may_be_of_ansibles_own_kinds() -> None:
    labels = {"version": Tagged("1.0.0")}
    resources = {"requests": {"cpu": Tagged("1")}}
    _shapes.check_template({"metadata": {"labels": labels}, "spec": {"containers": [{"resources": resources}]}})
    _shapes.quantity(Tagged("1Mi"))
    _shapes.share(Tagged("25%"))
    with pytest.raises(Failure, match=r"template has a spec.containers that is not a list; give it as a Deployment"):
        _shapes.check_template({"spec": {"containers": {}}})
