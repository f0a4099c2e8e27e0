from __future__ import annotations

import pytest
from convoy_sandbox import resources, selectors
from convoy_sandbox.errors import ApiError

POD = {
    "metadata": {"name": "a", "namespace": "lab", "labels": {"app": "hello", "version": "1.0.0"}},
    "spec": {"nodeName": "node1"},
    "status": {"phase": "Running"},
}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", True),
        ("app=hello", True),
        ("app == hello", True),
        ("app=hello,version=1.0.0", True),
        ("app=hello,version=2.0.0", False),
        ("version!=2.0.0", True),
        ("other!=x", True),
        ("app in (hello, auth)", True),
        ("app in (auth)", False),
        ("version notin (2.0.0),app", True),
        ("!track", True),
        ("!app", False),
        ("track", False),
    ],
)
def test_label_selectors(text: str, fits: bool) -> None:
    assert selectors.label_selector(text)(POD) is fits


@pytest.mark.parametrize("text", ["app=hello=x y", "in (a)", "a b"])
def test_a_label_selector_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        selectors.label_selector(text)
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", True),
        ("metadata.name=a", True),
        ("metadata.name=b", False),
        ("status.phase=Running,spec.nodeName=node1", True),
        ("status.phase!=Running", False),
        ("spec.nodeName=", False),
    ],
)
def test_field_selectors(text: str, fits: bool) -> None:
    assert selectors.field_selector(resources.PODS, text)(POD) is fits


def test_a_field_that_cannot_be_asked_for() -> None:
    with pytest.raises(ApiError, match=r"^field label not supported: spec\.containers$") as caught:
        selectors.field_selector(resources.PODS, "spec.containers=x")
    assert caught.value.code == 400
    with pytest.raises(
        ApiError, match=r'^"spec\.replicas" is not a known field selector: only "metadata.name"'
    ) as caught:
        selectors.field_selector(resources.DEPLOYMENTS, "spec.replicas=1")
    assert caught.value.code == 400


def test_a_field_that_is_not_stored_while_it_is_false() -> None:
    node = {"metadata": {"name": "a"}, "spec": {}}
    assert selectors.field_selector(resources.NODES, "spec.unschedulable=false")(node)
    assert not selectors.field_selector(resources.NODES, "spec.unschedulable=true")(node)
    node["spec"]["unschedulable"] = True  # type: ignore[index]
    assert not selectors.field_selector(resources.NODES, "spec.unschedulable=false")(node)


def test_the_source_of_an_event_is_its_component() -> None:
    event = {"metadata": {"name": "e"}, "source": {"component": "kubelet", "host": "node-1"}}
    assert selectors.field_selector(resources.EVENTS, "source=kubelet")(event)


def test_selector_objects() -> None:
    selector = {
        "matchLabels": {"app": "hello"},
        "matchExpressions": [
            {"key": "version", "operator": "In", "values": ["1.0.0", "2.0.0"]},
            {"key": "track", "operator": "DoesNotExist"},
        ],
    }
    assert selectors.matches(selector, POD["metadata"]["labels"])
    assert not selectors.matches(selector, {"app": "hello"})
    assert selectors.matches({}, {"any": "thing"})
    assert not selectors.matches(None, {"any": "thing"})
    assert selectors.to_string(selector) == "app=hello,version in (1.0.0,2.0.0),!track"
