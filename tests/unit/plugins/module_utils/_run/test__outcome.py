"""The outcome of a run, from what its tasks noted."""

from __future__ import annotations

import itertools
import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._run._journal import Event, Journal
from ansible_collections.convoy.rollout.plugins.module_utils._run._outcome import Outcome, outcome
from hypothesis import given
from hypothesis import strategies as st

Note = tuple[str, dict[str, t.Any]]

BEGUN: Note = ("begun", {"strategy": "bluegreen", "application": "hello", "namespace": "shop", "cluster": "eu"})
PLANNED: Note = (
    "planned",
    {"before": "1.0.0", "target": "2.0.0", "headline": "hello 2.0.0 now receives all traffic", "would": "would get it"},
)
CHANGED: Note = ("changed", {"message": "Service hello is switched from 1.0.0 to 2.0.0"})
UNSURE: Note = ("serving", {"version": None})
SERVING: Note = ("serving", {"version": "2.0.0"})
VERIFIED: Note = (
    "verified",
    {
        "what": "traffic",
        "final": True,
        "verdict": "pass",
        "samples": 100,
        "counts": {"2.0.0": 100},
        "errors": {},
        "message": "2.0.0 100 of 100 requests, 0 lost",
    },
)
UNSETTLED: Note = ("verified", {**VERIFIED[1], "verdict": "inconclusive"})
WRONG: Note = ("verified", {**VERIFIED[1], "verdict": "fail", "errors": {"HTTP 500": 7}})
FAILED: Note = ("failed", {"message": "7 of 100 requests got HTTP 500.\nline of a log", "taken_over": False})
LOST: Note = ("failed", {"message": "The lock of hello was taken over by bob.", "taken_over": True})
BACK: Note = ("taken_back", {"message": "hello 2.0.0 failed verification and users get 1.0.0 again", "complete": True})
NOT_BACK: Note = ("taken_back", {"message": "hello could not be switched back", "complete": False})
AGAIN: Note = ("serving", {"version": "1.0.0"})
WATCHED: Note = ("watched", {"samples": 60, "errors": {"timeout": 2}, "lost": 2, "message": "60 requests, 2 lost"})


def noted(*notes: Note) -> list[Event]:
    """The events of a run, a second apart."""
    times = itertools.count(1_000_000)
    return [{"kind": kind, "at": float(next(times)), **facts} for kind, facts in notes]


def of(*notes: Note) -> Outcome:
    """The outcome of a run that noted these."""
    return outcome(noted(*notes), 1_000_100.0)


def test_a_success_says_what_was_done_and_proved() -> None:
    found = of(BEGUN, PLANNED, CHANGED, UNSURE, VERIFIED, SERVING, WATCHED)
    assert (found.ending, found.verdict, found.before, found.after) == ("success", "pass", "1.0.0", "2.0.0")
    assert (found.samples, found.lost, found.changed, found.failed) == (60, 2, True, False)
    assert found.seconds == 100.0
    assert list(found.lines) == [
        "hello 2.0.0 now receives all traffic",
        "observed: 2.0.0 100 of 100 requests, 0 lost",
        "watched: 60 requests, 2 lost",
    ]


LACKING = {"deployment": "hello", "version": "1.0.0", "pods": 3, "seconds": 0, "lacks": "have no drain"}
DRAINING = {**LACKING, "seconds": 5, "lacks": "", "remedy": ""}


def ended(ending: dict[str, t.Any], *losses: tuple[float, str], looks: int = 2) -> Outcome:
    """The outcome of a run that ended three pods between 1,000,010 and 1,000,012, and whose watch lost requests."""
    planned = (
        PLANNED[0],
        {**PLANNED[1], "endings": [{"remedy": "give hello a drain", **ending}], "warnings": ["careful"]},
    )
    gone: Note = ("ended", {"pods": {"a": "1.0.0", "b": "1.0.0"}, "lost": {}, "first": 1_000_010, "newest": 1_000_012})
    more: Note = (
        "ended",
        {
            "pods": {"b": "1.0.0", "c": "1.0.0"},
            "lost": {"timeout": looks} if looks else {},
            "first": None,
            "newest": None,
        },
    )
    watched: Note = (WATCHED[0], {**WATCHED[1], "losses": [list(each) for each in losses]})
    return of(BEGUN, planned, CHANGED, gone, more, VERIFIED, SERVING, watched)


def test_what_was_lost_while_pods_ended_is_counted_and_said_with_its_cause_and_fails_nothing() -> None:
    lost = (
        (1_000_009.5, "connection refused"),
        (1_000_015.0, "HTTP 502"),
        (1_000_011.0, "HTTP 500"),
        (1_000_900.0, "timeout"),
    )
    found = ended(LACKING, *lost)
    assert (found.ending, found.verdict) == ("success", "pass")
    assert found.ended == {
        "pods": {"1.0.0": 3},
        "lost": 4,
        "errors": {"timeout": 2, "connection refused": 1, "HTTP 502": 1},
        "cause": "they have no drain; give hello a drain",
        "message": "4 requests were lost while 3 pods of 1.0.0 ended: they have no drain; give hello a drain",
    }
    assert f"lost: {found.ended['message']}" in found.lines
    assert found.warnings == ["careful"]
    assert found.watched is not None
    assert "losses" not in found.watched


def test_where_pods_drain_something_else_is_looked_for() -> None:
    found = ended(DRAINING)
    assert found.ended is not None
    assert found.ended["cause"].startswith("though they drain for 5 s; find out how long")


def test_where_nothing_was_lost_while_pods_ended_nothing_is_said_of_it() -> None:
    found = ended(LACKING, (1_000_900.0, "timeout"), looks=0)
    assert found.ended is None
    assert not any(line.startswith("lost: ") for line in found.lines)


@pytest.mark.parametrize(
    ("notes", "ending", "after"),
    [
        pytest.param((BEGUN, FAILED), "refused", None, id="a request that cannot work"),
        pytest.param((BEGUN, PLANNED, FAILED), "refused", "1.0.0", id="nothing was changed yet"),
        pytest.param((BEGUN, PLANNED, CHANGED, FAILED), "failed", "1.0.0", id="users never saw it"),
        pytest.param((BEGUN, PLANNED, CHANGED, UNSURE, WRONG, FAILED, BACK, AGAIN), "rolled back", "1.0.0", id="back"),
        pytest.param((BEGUN, PLANNED, CHANGED, UNSURE, WRONG, FAILED, NOT_BACK), "failed", None, id="not even back"),
        pytest.param((BEGUN, PLANNED, CHANGED, UNSURE, LOST), "taken over", None, id="another run has the lock"),
        pytest.param((BEGUN, PLANNED, CHANGED, FAILED, LOST), "taken over", None, id="lost as it went back"),
        pytest.param((BEGUN, PLANNED, CHANGED, UNSURE), "interrupted", None, id="no end"),
    ],
)
def test_whatever_goes_wrong_is_never_a_success(notes: tuple[Note, ...], ending: str, after: str | None) -> None:
    found = of(*notes)
    assert (found.ending, found.after, found.verdict, found.failed) == (ending, after, "fail", True)
    assert found.message
    assert not found.lines


def test_a_failure_says_what_users_get_now_and_then_the_log() -> None:
    found = of(BEGUN, PLANNED, CHANGED, FAILED, WATCHED)
    assert found.message == (
        "7 of 100 requests got HTTP 500. Users get 1.0.0 as before. Meanwhile: 60 requests, 2 lost\nline of a log"
    )
    assert found.reason == "7 of 100 requests got HTTP 500."
    assert found.log == "line of a log"


def test_the_first_failure_is_the_reason_unless_the_lock_was_lost() -> None:
    later: Note = ("failed", {"message": "And then this.", "taken_over": False})
    assert of(BEGUN, PLANNED, CHANGED, FAILED, later).reason == "7 of 100 requests got HTTP 500."
    assert of(BEGUN, PLANNED, CHANGED, FAILED, LOST).reason == "The lock of hello was taken over by bob."


def test_what_was_not_verified_is_not_a_pass() -> None:
    nothing: Note = ("verified", {"what": "pods", "final": True, "verdict": "unverified", "message": "no requests"})
    found = of(BEGUN, PLANNED, CHANGED, nothing)
    assert (found.ending, found.verdict, found.failed) == ("unverified", "unverified", False)
    assert found.message == "hello 2.0.0 now receives all traffic. Unverified: no requests."
    assert list(found.lines) == ["hello 2.0.0 now receives all traffic", "unverified: no requests"]
    for other in (VERIFIED, UNSETTLED):
        assert of(BEGUN, PLANNED, CHANGED, other, nothing).ending == "unverified"
    assert of(BEGUN, PLANNED, CHANGED, UNSETTLED, VERIFIED).ending == "success"


def test_check_mode_proves_nothing_and_changes_nothing() -> None:
    found = of(("begun", {**BEGUN[1], "check_mode": True}), PLANNED, CHANGED)
    assert (found.ending, found.verdict, found.changed, found.failed) == ("check mode", "unverified", False, False)
    assert (found.before, found.target, found.after) == ("1.0.0", "2.0.0", "1.0.0")
    assert list(found.lines) == ["would get it"]


@given(st.permutations([CHANGED, UNSURE, SERVING, VERIFIED, FAILED, WATCHED, BACK, AGAIN, LOST]), st.integers(0, 9))
def test_a_run_that_noted_a_failure_never_passes(notes: list[Note], many: int) -> None:
    kept = notes[:many]
    found = of(BEGUN, PLANNED, *kept)
    if FAILED in kept or LOST in kept:
        assert found.failed
        assert found.verdict == "fail"
    if found.verdict == "pass":
        assert VERIFIED in kept


def test_what_is_noted_is_read_again(tmp_path: t.Any) -> None:
    journal = Journal(str(tmp_path))
    journal.note("changed", message="one")
    journal.note("serving", version=None)
    assert [(event["kind"], event.get("message")) for event in journal.events()] == [
        ("changed", "one"),
        ("serving", None),
    ]
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o600


def test_a_task_of_no_run_notes_nothing() -> None:
    Journal(None).note("changed", message="one")
    assert Journal(None).events() == []


def test_what_is_true_in_the_end_stands_in_the_place_of_what_was_planned() -> None:
    told: Note = ("told", {"message": "hello 2.0.0 runs in all 5 pods.", "lines": ["NAME", "hello-1"]})
    unverified: Note = (
        "verified",
        {"what": "traffic", "final": True, "verdict": "unverified", "message": "no Service"},
    )
    found = of(BEGUN, PLANNED, CHANGED, unverified, SERVING, told)
    assert found.message == "hello 2.0.0 runs in all 5 pods. Unverified: no Service."
    assert list(found.lines) == ["hello 2.0.0 runs in all 5 pods.", "unverified: no Service", "NAME", "hello-1"]


def test_what_was_under_way_is_not_refused() -> None:
    starting: Note = ("starting", {})
    assert of(BEGUN, PLANNED, FAILED).ending == "refused"
    assert of(BEGUN, PLANNED, starting, UNSURE, FAILED).ending == "failed"
    assert of(BEGUN, PLANNED, WRONG, FAILED).ending == "failed"
