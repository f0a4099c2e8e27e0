# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin objects do."""

from __future__ import annotations

import time
import typing as t
from urllib.parse import quote

from ansible_collections.convoy.rollout.plugins.module_utils import _api, _objects, _retries
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _workload

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "state": {"type": "str", "choices": ["applied", "present", "patched", "absent"], "default": "applied"},
    "namespace": {"type": "str", "default": "default"},
    "api_version": {"type": "str", "default": "v1"},
    "kind": {"type": "str"},
    "name": {"type": "str"},
    "definition": {"type": "raw"},
}

#: How a state is said of an object that did not get into it.
FAILED = {"applied": "applied", "present": "written", "patched": "changed", "absent": "deleted"}


class Writer:
    """Brings single objects into a state. Its calls raise ApiError and Failure."""

    def __init__(self, api: _api.Api, namespace: str, dry_run: bool) -> None:
        self.api, self.namespace, self.dry_run = api, namespace, dry_run
        self._kinds: dict[str, list[_api.Object]] = {}

    def collection(self, item: _api.Object) -> str:
        """The path of the collection that an object belongs to, as discovery has it."""
        version, kind = item["apiVersion"], item["kind"]
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if version not in self._kinds:
            try:
                self._kinds[version] = self.api.get(base).get("resources") or []
            except _api.ApiError as error:
                if error.status != 404:
                    raise
                self._kinds[version] = []
        for known in self._kinds[version]:
            if known["kind"] == kind and "/" not in known["name"]:
                if not known.get("namespaced"):
                    return f"{base}/{known['name']}"
                namespace = item["metadata"].setdefault("namespace", self.namespace)
                return f"{base}/namespaces/{quote(namespace, safe='')}/{known['name']}"
        raise Failure(
            f"The API server {self.api.access.server} knows no {kind} of {version}, so {_objects.named(item)} cannot "
            f"be written; correct its apiVersion and kind, or install what brings them."
        )

    def read(self, path: str) -> _api.Object | None:
        """The object at a path, None where there is none."""
        try:
            return self.api.get(path)
        except _api.ApiError as error:
            if error.status != 404:
                raise
            return None

    def written(self, item: _api.Object, state: str) -> _api.Object:
        """What the task returns of one object, brought into a state."""
        collection = self.collection(item)
        path = _path(collection, item)
        before = there = self.read(path)
        for attempt in range(1, _workload.TRIES + 1):
            try:
                return _objects.difference(item, before, self.once(collection, item, there, state))
            except _api.ApiError as error:
                # Of an object to be made whose answer got lost only the next look can tell whether it was.
                lost = state == "present" and error.status in _retries.UNKNOWN and not error.refusal.lasting
                if attempt == _workload.TRIES or not (lost or error.status == 409):
                    raise
            time.sleep(_retries.growing(attempt))
            there = self.read(path)
        raise AssertionError("unreachable")

    def once(self, collection: str, item: _api.Object, there: _api.Object | None, state: str) -> _api.Object | None:
        """The object after one attempt; `there` is what it was before."""
        path = _path(collection, item)
        if state == "applied":
            return self.api.apply(path, item, dry_run=self.dry_run)
        if state == "absent":
            return self.deleted(path, there)
        if there is None:
            if state == "present":
                return self.api.create(collection, item, dry_run=self.dry_run)
            _workload.check_namespace(self.api, item["metadata"].get("namespace", ""))
            raise Failure(f"There is no {_objects.named(item)}{_place(item)}.")
        if _objects.merged(there, item) == there:
            return there
        # The change holds for the object as it is.
        same = {key: there["metadata"][key] for key in ("resourceVersion", "uid")}
        return self.api.patch(path, dict(item, metadata={**item["metadata"], **same}), dry_run=self.dry_run)

    def deleted(self, path: str, before: _api.Object | None) -> _api.Object | None:
        """Delete the object that was there, and what it owns in the background."""
        if before is None or "deletionTimestamp" in before["metadata"]:
            return before
        options = {"propagationPolicy": "Background", "preconditions": {"uid": before["metadata"]["uid"]}}
        try:
            self.api.delete(path, options, dry_run=self.dry_run)
        except _api.ApiError as error:
            if error.status != 404:
                raise
        return None


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Bring objects into a state, one after the other. Raises Failure, naming the first that did not get there."""
    state, metadata = options["state"], {"name": options["name"]} if options["name"] else {}
    head = {"apiVersion": options["api_version"], "kind": options["kind"], "metadata": metadata}
    items = _objects.definitions(options["definition"], head)
    results: list[dict[str, t.Any]] = []
    api = _api.api(options)
    writer = Writer(api, options["namespace"], task.check_mode)
    try:
        for item in items:
            try:
                results.append(writer.written(item, state))
            except _api.ApiError as error:
                if error.status == 404:
                    _workload.check_namespace(api, item["metadata"].get("namespace", ""))
                raise Failure(_refused(item, state, error), _returned(results)) from error
    finally:
        api.close()
    return _returned(results)


def _returned(results: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    shown = [
        {"before_header": name, "after_header": name, **item["diff"]}
        for item in results
        if "diff" in item
        for name in [f"{item['kind']} {item['name']}"]
    ]
    return {"changed": any(item["changed"] for item in results), "results": results, "diff": shown}


def _path(collection: str, item: _api.Object) -> str:
    return f"{collection}/{quote(item['metadata']['name'], safe='')}"


def _place(item: _api.Object) -> str:
    namespace = item["metadata"].get("namespace")
    return f" in namespace {namespace}" if namespace else ""


def _refused(item: _api.Object, state: str, error: _api.ApiError) -> str:
    said = error.message
    if item["kind"] == "Secret" and error.status not in (0, 401, 403, 404, 429):
        said = f"the API server refused it ({error.status}); what it said is not shown, as it may quote the Secret"
    return f"{_objects.named(item)}{_place(item)} could not be {FAILED[state]}: {said}"
