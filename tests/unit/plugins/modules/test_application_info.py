"""The module application_info, against a scripted API server."""

from __future__ import annotations

import typing as t
from collections.abc import Callable

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._api import path_of
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _application_info

NOTHING = dict.fromkeys(_application_info.ARGUMENTS)


@pytest.fixture
def here(api_server: t.Any, answer: Callable[..., t.Any]) -> dict[str, t.Any]:
    """Options that lead to a namespace with the Deployments b and a."""
    deployments = [
        {
            "metadata": {"name": name, "uid": name},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": name}},
                "template": {"spec": {"containers": [{"name": name, "image": name}]}},
            },
        }
        for name in ("b", "a")
    ]
    for plural, group in (("deployments", "apps"), ("replicasets", "apps"), ("pods", ""), ("services", "")):
        items = deployments if plural == "deployments" else []
        api_server.on(path_of(plural, "n", group=group), answer(body={"items": items}))
    return {**NOTHING, "host": api_server.url, "api_key": "x", "namespace": "n"}


@pytest.mark.parametrize(("names", "shown"), [(None, ["a", "b"]), (["b"], ["b"]), ([], [])])
def test_the_deployments_that_are_asked_for(here: dict[str, t.Any], names: list[str] | None, shown: list[str]) -> None:
    found = _application_info.run({**here, "names": names}, Task())
    assert [item["deployment"] for item in found["applications"]] == shown


def test_a_deployment_that_is_not_there(here: dict[str, t.Any]) -> None:
    with pytest.raises(Failure, match=r"^There is no Deployment c in namespace n; create it, or name another\.$"):
        _application_info.run({**here, "names": ["a", "c"]}, Task())


def test_an_application_with_what_this_user_may_not_read(here: dict[str, t.Any], answer: Callable[..., t.Any]) -> None:
    found = _application_info.run({**here, "application": "a"}, Task())
    assert [item["deployment"] for item in found["applications"]] == ["a"]
    subject = found["subject"]
    assert (subject["live"]["name"], subject["autoscaler"], subject["services"]) == ("a", None, [])
    # The cluster has no API of autoscaling at all, so there are no autoscalers; of the others nothing is known.
    assert set(subject["unreadable"]) == {"endpointslices", "resourcequotas", "limitranges", "poddisruptionbudgets"}


def test_autoscalers_that_may_not_be_read_are_no_reason_to_stop(
    here: dict[str, t.Any], api_server: t.Any, answer: Callable[..., t.Any]
) -> None:
    path = path_of("horizontalpodautoscalers", "n", group="autoscaling").replace("/v1/", "/v2/", 1)
    api_server.on(path, answer(status=403, body={"reason": "Forbidden", "message": "no"}))
    found = _application_info.run({**here, "application": "a"}, Task())
    assert "horizontalpodautoscalers" in found["subject"]["unreadable"]


def test_an_application_that_is_not_there(here: dict[str, t.Any]) -> None:
    with pytest.raises(Failure, match="There is no Deployment c in namespace n, nor a Service c that leads to one"):
        _application_info.run({**here, "application": "c"}, Task())
    with pytest.raises(Failure, match="service goes with application"):
        _application_info.run({**here, "service": "front"}, Task())
