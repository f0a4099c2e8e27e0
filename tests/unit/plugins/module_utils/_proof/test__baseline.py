"""How a change can be verified, by what users get before it."""

from __future__ import annotations

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _baseline
from ansible_collections.convoy.rollout.plugins.module_utils._traffic._versions import UNNAMED


@pytest.mark.parametrize(
    ("counts", "running", "by"),
    [
        ({"1.0.0": 5}, ["1.0.0"], "versions"),
        ({"1.0.0": 3, "2.0.0": 2}, ["2.0.0"], "versions"),
        ({"1.0.0": 5}, ["v1.0.0"], "requests"),  # it names something else than the pods' version
        ({"anything": 5}, None, "versions"),
        ({UNNAMED: 5}, ["1.0.0"], "requests"),
        ({UNNAMED: 5}, None, "requests"),
        ({}, ["1.0.0"], "nothing"),
    ],
)
def test_what_answers_before_can_be_verified_after(counts: dict[str, int], running: list[str] | None, by: str) -> None:
    assert _baseline.by(counts, running) == by


@pytest.mark.parametrize(
    ("errors", "down", "comes_back"),
    [
        ({"HTTP 503": 5}, True, True),
        ({"HTTP 500": 3, "HTTP 503": 2}, True, True),
        ({"connection refused": 5}, False, True),
        ({"timeout": 4, "HTTP 503": 1}, False, True),
        ({"HTTP 404": 5}, False, False),
        ({"certificate not trusted (self-signed certificate)": 5}, False, False),
        ({}, False, False),
    ],
)
def test_an_application_that_is_down_is_told_from_a_wrong_entry(
    errors: dict[str, int], down: bool, comes_back: bool
) -> None:
    assert (_baseline.is_down(errors), _baseline.may_come_back(errors)) == (down, comes_back)


def test_how_answers_are_judged_is_no_place() -> None:
    assert _baseline.names_a_place({"service": "frontend"})
    assert not _baseline.names_a_place({"max_p99": 0.5, "version_from": {"header": "x"}, "service": None})
