"""Verdicts on servers that answer in rotation, in bunches, by chance, and with a share that turns in a pause."""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
import threading
import typing as t
from collections.abc import Callable, Iterator
from random import Random
from types import SimpleNamespace

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _called, _version_distribution
from ansible_collections.convoy.rollout.plugins.module_utils._proof._pausing import Pause
from ansible_collections.convoy.rollout.plugins.module_utils._proof._statistics import Standard
from ansible_collections.convoy.rollout.plugins.module_utils._traffic import _sampler

QUARTER = {"1.0.0": 0.75, "2.0.0": 0.25}


@contextlib.contextmanager
def answering(version: Callable[[int], str]) -> Iterator[str]:
    """The URL of a server whose answers name what `version` says of the first, second and further request (from 0)."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:

        def serve() -> None:
            for number in itertools.count():
                try:
                    connection, _address = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    body = f'{{"version":"{version(number)}"}}'
                    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
                    connection.sendall((head + body).encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/version"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def looked(url: str, **asked: t.Any) -> dict[str, t.Any]:
    """What a look sees, one request after the other and as fast as it can."""
    how = {"url": url, "expected": QUARTER, "concurrency": 1, "rate_limit": 0.0, "fail_on": "never", **asked}
    return _version_distribution.looked(_called.options(_version_distribution.ARGUMENTS, {}, **how), {})


def rotation(new: int, pods: int) -> Callable[[int], str]:
    """A proxy that goes round its endpoints, of which those of a version stand side by side."""
    return lambda number: "2.0.0" if number % pods < new else "1.0.0"


@pytest.mark.parametrize(("new", "pods"), [(1, 4), (2, 8), (4, 16), (10, 40)])
def test_a_rotation_that_gives_the_share_passes_and_is_told(new: int, pods: int) -> None:
    with answering(rotation(new, pods)) as url:
        found = looked(url)
    assert (found["verdict"], found["effective"]) == ("pass", found["samples"])
    assert "the answers alternate" in found["guards"][0]


def test_a_rotation_that_gives_another_share_fails_with_words_that_say_so() -> None:
    with answering(rotation(8, 16)) as url, pytest.raises(Failure, match=r"2\.0\.0 answers \d\d% .*expected 25 ± 10$"):
        looked(url, fail_on="fail")


def test_answers_over_connections_that_are_kept_are_worth_less_and_not_told_by_a_number() -> None:
    random, last = Random(3), ["1.0.0"]

    def kept(_number: int) -> str:
        if random.random() > 0.8:
            last[0] = "2.0.0" if random.random() < 0.25 else "1.0.0"
        return last[0]

    with answering(kept) as url:
        found = looked(url)
    assert found["verdict"] == "inconclusive"
    assert found["effective"] < found["samples"] / 4
    assert found["missing"] is None
    assert f"count as about {found['effective']} independent ones, too few to tell" in found["message"]


@pytest.mark.parametrize(("weight", "verdict"), [(0.02, "pass"), (0.04, "fail"), (0.0, "fail")])
def test_a_small_weight_is_told_from_its_double_and_from_none(weight: float, verdict: str) -> None:
    few = Random(5)

    def version(_number: int) -> str:
        return "2.0.0" if few.random() < weight else "1.0.0"

    with answering(version) as url:
        assert looked(url, expected={"1.0.0": 0.98, "2.0.0": 0.02})["verdict"] == verdict


LIMIT = 0.05  #: seconds that an answer may take


@pytest.mark.parametrize("others", [0, 4])
def test_a_version_of_which_one_answer_in_ten_is_slow_fails_by_its_name(
    others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all answers 2% are slow then, so that only the version's own can tell it."""
    random, now = Random(6), [1000.0]
    # Time goes on while a slow answer is made and never else, as each answer of a busy machine may take long.
    monkeypatch.setattr(_sampler, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def version(number: int) -> str:
        if number % (others + 1):
            return "1.0.0"
        if random.random() < 0.1:
            now[0] += LIMIT * 1.1
        return "2.0.0"

    expected = {"1.0.0": 0.8, "2.0.0": 0.2} if others else {"2.0.0": 1.0}
    with answering(version) as url, pytest.raises(Failure) as failure:
        looked(url, expected=expected, max_p99=LIMIT, fail_on="fail", max_samples=5000)
    whose = "2.0.0 " if others else ""
    assert re.search(
        rf"lost: {whose}took more than 0\.05 s for \d+ of \d+ answers, where 1% may", failure.value.message
    )
    assert "0 lost" in failure.value.message


@pytest.mark.parametrize(("unseen", "verdict"), [(0, "pass"), (5, "pass"), (500, "inconclusive")])
def test_answers_that_nobody_looked_for_in_time_do_not_pass_as_fast_ones(unseen: int, verdict: str) -> None:
    options = {"samples": 500, "max_p99": LIMIT, "confidence": 0.99}
    standards = {"": Standard({"1.0.0": 1.0}, min_success=0.99, max_p99=LIMIT)}
    taken = [_sampler.Sample(0.0, 0.01, "1.0.0", unseen=100.0 if number < unseen else 0.0) for number in range(500)]
    found = _version_distribution.report(taken, standards, options, 0)
    assert (found["verdict"], found["too_slow"]) == (verdict, False)
    busy = "500 of 500 answers may have taken more than 0.05 s, as this machine was too busy to look for them"
    assert (busy in found["message"]) is (verdict == "inconclusive")


HOUR, EACH = 360, 10  #: slices of ten seconds, and requests in each, of a clock that goes by them


def test_a_share_that_turns_after_an_hour_is_found_within_minutes_and_not_before() -> None:
    """An hour is as many requests as are made in it, whatever a clock says meanwhile."""
    random, turned = Random(8), threading.Event()

    def version(_number: int) -> str:
        return "2.0.0" if random.random() < (0.75 if turned.is_set() else 0.25) else "1.0.0"

    watch = Pause(("1.0.0", "2.0.0"), 2 * HOUR, 0.01, min_success=0.999)
    with answering(version) as url:
        for _slice in range(HOUR):
            assert not watch.add(looked(url, samples=EACH), QUARTER)
        turned.set()
        late = 1
        while not (why := watch.add(looked(url, samples=EACH), QUARTER)):
            late += 1
    assert late < 20  # slices of ten requests; a real pause makes a hundred
    assert "expected 25 ± 10: its share has changed during the pause" in why


def test_a_look_that_the_old_version_still_answers_is_no_longer_than_its_first_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Traffic follows a switch late: what is known by one answer is not asked 499 times more."""
    monkeypatch.setattr(_version_distribution.time, "sleep", lambda _seconds: None)
    made: list[int] = []

    def version(number: int) -> str:
        made.append(number)
        return "1.0.0" if number < 5 else "2.0.0"

    with answering(version) as url:
        found = looked(url, expected={"2.0.0": 1.0}, samples=50, settle=30, fail_on="fail")
    assert (found["verdict"], found["counts"]) == ("pass", {"2.0.0": 50})
    assert len(made) == 5 + 50


@pytest.mark.parametrize(
    ("given", "answers"),
    [
        ({"settle": 0}, {"1.0.0": 50}),  # the last look says how many there are
        ({"settle": 30, "settles": "answers"}, {"1.0.0": 50}),  # and so does one that is not repeated
        ({"settle": 30, "fail_on": "never"}, {"1.0.0": 50}),
    ],
)
def test_a_look_that_no_other_follows_is_as_long_as_it_is(given: dict[str, t.Any], answers: dict[str, int]) -> None:
    with answering(lambda _number: "1.0.0") as url:
        how = {"expected": {"2.0.0": 1.0}, "samples": 50, "fail_on": "fail", **given}
        if how["fail_on"] == "never":
            found = looked(url, **how)
        else:
            with pytest.raises(Failure) as failure:
                looked(url, **how)
            found = failure.value.facts
    assert (found["verdict"], found["counts"]) == ("fail", answers)


def test_a_look_that_loses_requests_goes_on_though_the_old_version_answers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would take until the last look to see that users lose them."""
    monkeypatch.setattr(_version_distribution.time, "sleep", lambda _seconds: None)
    with answering(lambda number: "" if number % 2 else "1.0.0") as url, pytest.raises(Failure) as failure:
        looked(url, expected={"2.0.0": 1.0}, samples=50, settle=30, fail_on="fail", min_success=0.9)
    assert failure.value.facts["losing"]


@pytest.mark.parametrize(
    ("asked", "allowed", "by_proxy"),
    [
        (None, None, 200.0),
        (None, 50.0, 40.0),
        (None, 500.0, 200.0),
        (None, 0.0, 200.0),
        (500.0, None, 500.0),
        (0.0, None, 0.0),
    ],
)
def test_an_api_server_carries_no_more_because_an_entry_takes_more(
    asked: float | None, allowed: float | None, by_proxy: float
) -> None:
    entered = _version_distribution.entered({"rate_limit": asked, "entry": {"rate_limit": allowed}})
    assert _version_distribution.rate_by("proxy", entered) == pytest.approx(by_proxy)
    assert _version_distribution.rate_by("url", entered) == entered["rate_limit"]


def test_a_look_after_one_that_lost_requests_makes_as_many_as_it_needs_to_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what is given back is never shown to be good again, as each such look has less doubt to spend."""
    monkeypatch.setattr(_version_distribution.time, "sleep", lambda _seconds: None)
    with answering(lambda number: "" if number < 5 else "1.0.0") as url:
        found = looked(url, expected={"1.0.0": 1.0}, samples=500, settle=30, settles="verdict", min_success=0.999)
    assert (found["verdict"], found["counts"]) == ("pass", {"1.0.0": found["samples"]}), found
    assert found["samples"] > 500


@pytest.mark.parametrize(
    ("asked", "allowed", "look", "watch"),
    [
        (None, None, 200.0, 20.0),
        (None, 50.0, 40.0, 10.0),
        (None, 500.0, 400.0, 20.0),  # more is made only where an entry says that it takes more
        (None, 0.0, 0.0, 20.0),
        (500.0, None, 500.0, 20.0),
        (200.0, 50.0, 40.0, 10.0),
        (0.0, 50.0, 40.0, 10.0),
        (10.0, 1000.0, 10.0, 20.0),
    ],
)
def test_an_entry_says_how_many_requests_a_second_looks_and_the_watch_beside_them_make(
    asked: float | None, allowed: float | None, look: float, watch: float
) -> None:
    entry = {"rate_limit": allowed}
    entered = _version_distribution.entered({"rate_limit": asked, "entry": entry})
    assert entered["rate_limit"] == pytest.approx(look)
    assert _version_distribution.entered(entered)["rate_limit"] == pytest.approx(look)
    assert _version_distribution.pace(entry, 20.0, watch=True) == pytest.approx(watch)


def test_no_limit_stays_none() -> None:
    assert _version_distribution.entered({"rate_limit": 0.0, "entry": None})["rate_limit"] == 0
