"""Whether to look at the traffic again would tell nothing else."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleTypeError
from ansible_collections.convoy.rollout.plugins.test.conclusive import conclusive


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"attempts": 1, "verdict": "pass"}, True),
        ({"attempts": 1, "failed": True, "errors": {}, "too_slow": False}, False),
        ({"attempts": 31, "failed": True, "errors": {}, "too_slow": False}, False),
        ({"attempts": 1, "failed": True, "errors": {"HTTP 500": 1}}, True),
        ({"attempts": 2, "failed": True, "errors": {}, "too_slow": True}, False),
        ({"attempts": 3, "failed": True, "errors": {}, "too_slow": True}, True),
        ({"attempts": 3, "failed": True, "msg": "The API server cannot be reached."}, False),
    ],
)
def test_shares_may_follow_but_not_what_failed_or_was_too_slow_three_times(
    result: dict[str, t.Any], expected: bool
) -> None:
    assert conclusive(result) is expected


def test_what_no_task_registered_is_refused() -> None:
    with pytest.raises(AnsibleTypeError, match="what a task registered"):
        conclusive(t.cast("t.Any", "text"))
