"""What a run gave objects is read again, and is the reason of whatever fails where somebody else changed it."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.module_utils._run._run import Run
from ansible_collections.convoy.rollout.plugins.module_utils._workload._given import ChangedError
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place

SERVICE = Place("Service", "shop", "web")
PINNED = {"app": "web", "version": "1.0.0"}


class Server:
    """An API server with one Service."""

    def __init__(self) -> None:
        self.selector: dict[str, str] | None = dict(PINNED)
        self.managers: list[dict[str, t.Any]] = []
        self.reads = 0

    def get(self, path: str) -> _api.Object:
        """The Service. Raises ApiError where there is none any more."""
        assert path == SERVICE.path
        self.reads += 1
        if self.selector is None:
            raise _api.ApiError(404, "NotFound", "gone")
        metadata = {"name": "web", "managedFields": self.managers}
        return {"kind": "Service", "metadata": metadata, "spec": {"selector": self.selector}}

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def server() -> Server:
    """The API server."""
    return Server()


@pytest.fixture
def run(tmp_path: Path, server: Server) -> Run:
    """A run without locks that gave the Service its selector."""
    made = Run({"directory": str(tmp_path)}, lambda: t.cast(_api.Api, server))
    made.gave(SERVICE, {"spec.selector": PINNED})
    return made


def test_what_is_as_it_was_given_is_fine_and_is_read_each_time(run: Run, server: Server) -> None:
    run.check_given()
    run.check_given()
    assert server.reads == 2


def test_what_was_changed_or_deleted_is_named(run: Run, server: Server) -> None:
    server.selector = {"app": "web"}
    with pytest.raises(ChangedError, match=r"changed from app=web,version=1\.0\.0 to app=web by"):
        run.check_given()
    server.selector = None
    with pytest.raises(ChangedError, match="Service web was deleted by somebody else"):
        run.check_given()


def test_what_is_given_later_counts_and_the_way_back_lets_go(run: Run, server: Server) -> None:
    server.selector = {"app": "web", "version": "2.0.0"}
    run.gave(SERVICE, {"spec.selector": server.selector})
    run.check_given()
    server.selector = {"app": "web"}
    run.let_go()
    run.check_given()
    assert run.given() == []
    run.gave(SERVICE, {"spec.selector": PINNED})
    with pytest.raises(ChangedError):
        run.check_given()


def test_what_the_run_deletes_is_let_go_of_alone(run: Run, server: Server) -> None:
    run.gave(Place("Deployment", "shop", "web"), {"spec.replicas": 1})
    run.let_go(Place("Deployment", "shop", "web"))
    assert [place for place, _given in run.given()] == [SERVICE]
    run.let_go(SERVICE)
    server.selector = None
    run.check_given()


def test_a_run_without_a_journal_gives_nothing(server: Server) -> None:
    alone = Run(None, lambda: t.cast(_api.Api, server))
    alone.gave(SERVICE, {"spec.selector": {}})
    alone.check_given()
    alone.stand()
    assert server.reads == 0


def test_a_failure_has_what_somebody_else_changed_as_its_reason(run: Run, server: Server) -> None:
    as_seen = Failure("2.0.0 answers half of the requests.", {"verdict": "fail"})
    assert run.failed(as_seen) is as_seen
    server.selector = {"app": "web"}
    failure = run.failed(as_seen)
    assert isinstance(failure, ChangedError)
    assert failure.message.startswith("spec.selector of Service web was changed")
    assert failure.message.endswith("run the playbook again. 2.0.0 answers half of the requests.")
    assert failure.facts == {"verdict": "fail"}
    assert [event["by_others"] for event in run.journal.events() if event["kind"] == "failed"] == [False, True]


def test_only_where_a_tool_puts_objects_back_it_is_given_time(
    run: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [run.journal.events()[-1]["at"]]

    def sleep(seconds: float) -> None:
        clock[0] += seconds
        if clock[0] >= run.journal.events()[-1]["at"] + 3:
            server.selector = {"app": "web"}

    monkeypatch.setattr(_run.time, "time", lambda: clock[0])
    monkeypatch.setattr(_run.time, "sleep", sleep)
    run.stand()
    assert server.selector == PINNED
    server.managers = [{"manager": "argocd-controller", "fieldsV1": {"f:metadata": {}}}]
    with pytest.raises(ChangedError, match="Turn off self-heal in its Argo CD application"):
        run.stand()
