"""How many copies a number, a step or a share comes to."""

from __future__ import annotations

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _scale


@pytest.mark.parametrize(
    ("there", "said", "wanted"),
    [
        (3, "5", 5),
        (3, "0", 0),
        (3, "+2", 5),
        (3, "-1", 2),
        (3, "-3", 0),
        (4, "50%", 2),
        (3, "50%", 2),
        (3, "200%", 6),
        (3, "+50%", 5),
        (3, "-50%", 2),
        (0, "+50%", 0),
    ],
)
def test_numbers_steps_and_shares(there: int, said: str, wanted: int) -> None:
    assert _scale.target("hello", there, said) == wanted


@pytest.mark.parametrize("said", ["many", "", "5.5", "+-1", "50 %", "%", "1e3"])
def test_what_is_none_of_these_is_refused(said: str) -> None:
    with pytest.raises(Failure, match="give a number as 5, a step as"):
        _scale.target("hello", 3, said)


def test_fewer_than_none_is_refused() -> None:
    with pytest.raises(Failure, match="Deployment hello has 3 replicas; -4 would make that -1"):
        _scale.target("hello", 3, "-4")
