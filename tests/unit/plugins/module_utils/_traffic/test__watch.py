"""What a watch tells of a change."""

from __future__ import annotations

import re

from ansible_collections.convoy.rollout.plugins.module_utils._traffic._sampler import Sample
from ansible_collections.convoy.rollout.plugins.module_utils._traffic._watch import Tally


def test_a_switch_that_loses_two_requests() -> None:
    tally = Tally(100.0, 1_000_000.0)
    for turn in range(10):
        tally.add(Sample(100.0 + turn, 0.1, "1.0.0"))
    tally.add(Sample(110.0, 0.5, None, "HTTP 503"))
    tally.add(Sample(111.0, 0.5, "2.0.0", "HTTP 500"))
    for turn in range(12, 15):
        tally.add(Sample(100.0 + turn, 0.1, "2.0.0"))
    report = tally.report(115.0)
    assert (report["samples"], report["lost"], report["gap"]) == (15, 2, 3.0)
    assert report["errors"] == {"HTTP 503": 1, "HTTP 500": 1}
    assert report["versions"] == {
        "1.0.0": {
            "count": 10,
            "first": "1970-01-12T13:46:40.100+00:00",
            "last": "1970-01-12T13:46:49.100+00:00",
        },
        "2.0.0": {
            "count": 3,
            "first": "1970-01-12T13:46:52.100+00:00",
            "last": "1970-01-12T13:46:54.100+00:00",
        },
    }
    said = re.sub(r"\d\d:\d\d:", "", report["message"])
    assert said == (
        "15 requests, 2 lost (1 x HTTP 503; 1 x HTTP 500), longest time without a good answer 3.0 s; "
        "1.0.0 until 49.1, 2.0.0 from 52.1"
    )


def test_one_version_and_no_answer_at_all() -> None:
    tally = Tally(0.0, 0.0)
    tally.add(Sample(0.0, 0.1, "1.0.0"))
    assert tally.report(0.2)["message"] == "1 requests, 0 lost; all answers from 1.0.0"
    silent = Tally(0.0, 0.0).report(4.0)
    assert (silent["gap"], silent["message"]) == (4.0, "0 requests, 0 lost, longest time without a good answer 4.0 s")
