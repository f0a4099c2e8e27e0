"""Watches: nothing is missed, and a bookmark never promises more than was sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from convoy_sandbox import resources
from convoy_sandbox.api import watches
from convoy_sandbox.api.negotiation import Form
from convoy_sandbox.errors import ApiError
from convoy_sandbox.store import Object, Store

TABLE = Form("Table", {"v": "v1"})


def config_map(name: str, namespace: str = "a", **labels: str) -> Object:
    return {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "creationTimestamp": None},
    }


def put(store: Store, name: str, namespace: str = "a", **labels: str) -> None:
    store.put(resources.CONFIGMAPS, config_map(name, namespace, **labels))


def watched(
    store: Store,
    query: dict[str, Any],
    count: int,
    then: Callable[[], None] = lambda: None,
    *,
    namespace: str = "a",
    form: Form | None = None,
) -> list[dict[str, Any]]:
    """The first events of a watch; `then` is called once the watch waits for something to happen."""

    async def run() -> list[dict[str, Any]]:
        frames = watches.stream(store, resources.CONFIGMAPS, namespace, "", query, form or Form())
        asyncio.get_running_loop().call_soon(then)
        found = []
        async with asyncio.timeout(300):
            while len(found) < count:
                found.append(json.loads(await anext(frames)))
        await frames.aclose()
        return found

    return asyncio.run(run())


def seen(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"]["name"]) for event in events]


def test_without_a_resource_version_the_present_objects_come_first() -> None:
    store = Store()
    put(store, "b")
    put(store, "c", "elsewhere")
    events = watched(store, {}, 2, lambda: put(store, "a"))
    assert seen(events) == [("ADDED", "b"), ("ADDED", "a")]


def test_from_a_resource_version_on_only_what_came_after_it() -> None:
    store = Store()
    put(store, "a")
    put(store, "b")
    events = watched(store, {"resourceVersion": "1"}, 2, lambda: put(store, "b", app="x"))
    assert seen(events) == [("ADDED", "b"), ("MODIFIED", "b")]


def test_a_resource_version_of_too_long_ago_is_an_error_event() -> None:
    store = Store()
    put(store, "a")
    put(store, "b")
    store.forget(2)
    (event,) = watched(store, {"resourceVersion": "1"}, 1)
    assert event["type"] == "ERROR"
    assert event["object"]["code"] == 410
    assert event["object"]["reason"] == "Expired"


def test_an_object_that_leaves_the_selection_is_deleted_for_it() -> None:
    store = Store()
    put(store, "a", app="x")

    def leave_and_return() -> None:
        put(store, "a", app="y", more="yes")
        put(store, "a", app="z")
        put(store, "a", app="x")

    events = watched(store, {"resourceVersion": "1", "labelSelector": "app=x"}, 2, leave_and_return)
    assert seen(events) == [("DELETED", "a"), ("ADDED", "a")]
    # The last state in view, at the version of the change.
    assert events[0]["object"]["metadata"]["labels"] == {"app": "x"}
    assert events[0]["object"]["metadata"]["resourceVersion"] == "2"


def test_a_deleted_object_is_shown_only_to_those_who_saw_it() -> None:
    store = Store()
    put(store, "a", app="x")
    put(store, "b", app="y")

    def delete() -> None:
        store.remove(resources.CONFIGMAPS, "a", "b")
        store.remove(resources.CONFIGMAPS, "a", "a")

    assert seen(watched(store, {"resourceVersion": "2", "labelSelector": "app=x"}, 1, delete)) == [("DELETED", "a")]


def test_initial_events_end_with_a_bookmark() -> None:
    store = Store()
    put(store, "a")
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    added, end = watched(store, query, 2)
    assert added["type"] == "ADDED"
    assert end["type"] == "BOOKMARK"
    assert end["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert end["object"]["metadata"]["resourceVersion"] == "1"


def test_a_bookmark_does_not_run_ahead_of_what_was_sent() -> None:
    store = Store()
    put(store, "a")
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}

    async def run() -> list[dict[str, Any]]:
        frames = watches.stream(store, resources.CONFIGMAPS, "a", "", query, Form())
        found = [json.loads(await anext(frames))]
        put(store, "b")  # while the client still reads the initial events
        found += [json.loads(await anext(frames)) for _ in range(2)]
        await frames.aclose()
        return found

    _, end, later = asyncio.run(run())
    assert end["object"]["metadata"]["resourceVersion"] == "1"
    assert later["object"]["metadata"]["name"] == "b"


def test_without_initial_events_nothing_present_is_shown() -> None:
    store = Store()
    put(store, "a")
    query = {"sendInitialEvents": "false", "resourceVersionMatch": "NotOlderThan"}
    assert seen(watched(store, query, 1, lambda: put(store, "b"))) == [("ADDED", "b")]


def test_quiet_times_bring_bookmarks_of_the_whole_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "_BOOKMARK_SECONDS", 0.01)
    store = Store()
    put(store, "a")
    query = {"resourceVersion": "1", "allowWatchBookmarks": "true"}
    (event,) = watched(store, query, 1, lambda: put(store, "c", "elsewhere"))
    assert event == {"type": "BOOKMARK", "object": watches.bookmark(resources.CONFIGMAPS, 2)}


def test_the_last_bookmark_of_a_quiet_watch_comes_before_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "_BEFORE_THE_END", 0.99)  # so that it is 10 ms after its beginning
    store = Store()
    put(store, "a")

    async def run() -> list[bytes]:
        query = {"resourceVersion": "1", "allowWatchBookmarks": "true", "timeoutSeconds": "1"}
        return [frame async for frame in watches.stream(store, resources.CONFIGMAPS, "a", "", query, Form())]

    (event,) = map(json.loads, asyncio.run(run()))
    assert event == {"type": "BOOKMARK", "object": watches.bookmark(resources.CONFIGMAPS, 1)}


def test_a_watch_ends_when_its_time_is_up() -> None:
    store = Store()
    put(store, "a")

    async def run() -> list[bytes]:
        query = {"timeoutSeconds": "1"}
        return [frame async for frame in watches.stream(store, resources.CONFIGMAPS, "a", "", query, Form())]

    assert len(asyncio.run(run())) == 1


def test_only_the_first_table_has_columns() -> None:
    store = Store()
    put(store, "a")
    put(store, "b")
    first, second = watched(store, {}, 2, form=TABLE)
    assert [column["name"] for column in first["object"]["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert second["object"]["columnDefinitions"] is None
    assert second["object"]["rows"][0]["cells"][0] == "b"


def test_of_one_object_only_its_own_changes_are_seen() -> None:
    store = Store()
    put(store, "a")
    put(store, "b")
    assert seen(watched(store, {"fieldSelector": "metadata.name=b"}, 1)) == [("ADDED", "b")]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"resourceVersion": "x"}, 400),
        ({"timeoutSeconds": "x"}, 400),
        ({"labelSelector": "a b c"}, 400),
        ({"sendInitialEvents": "true"}, 422),
    ],
)
def test_what_cannot_be_watched_is_refused_before_the_first_frame(query: dict[str, str], code: int) -> None:
    with pytest.raises(ApiError) as refusal:
        watches.stream(Store(), resources.CONFIGMAPS, "", "", query, Form())
    assert refusal.value.code == code
