"""Which lines of a log are shown."""

from __future__ import annotations

import pytest
from convoy_sandbox.api import logs
from convoy_sandbox.errors import ApiError
from convoy_sandbox.network.containers import LogLine

LINES = [LogLine(0, 100.0, "one"), LogLine(1, 110.0, "zwei ä"), LogLine(2, 120.5, "three")]


def shown(**query: str) -> str:
    return logs.text(logs.selected(LINES, query, now=121.0), query)


def test_all_lines_or_the_last_ones() -> None:
    assert shown() == "one\nzwei ä\nthree\n"
    assert shown(tailLines="1") == "three\n"
    assert shown(tailLines="0") == ""
    assert shown(tailLines="9") == "one\nzwei ä\nthree\n"


def test_lines_since_a_time() -> None:
    assert shown(sinceSeconds="12") == "zwei ä\nthree\n"
    assert shown(sinceTime="1970-01-01T00:02:00Z") == "three\n"
    assert shown(sinceSeconds="12", tailLines="1") == "three\n"


def test_times_are_those_of_the_printing() -> None:
    assert shown(tailLines="1", timestamps="true") == "1970-01-01T00:02:00.500000000Z three\n"


def test_limit_bytes_counts_bytes() -> None:
    assert logs.limited("zwei ä\n", {"limitBytes": "6"}) == b"zwei \xc3"
    assert logs.limited("more", {"limitBytes": "6"}, sent=4) == b"mo"
    assert logs.limited("more", {"limitBytes": "6"}, sent=6) == b""
    assert logs.limited("zwei ä\n", {}) == b"zwei \xc3\xa4\n"


@pytest.mark.parametrize("query", [{"tailLines": "x"}, {"sinceSeconds": "-1"}, {"sinceTime": "yesterday"}])
def test_bad_parameters_are_refused(query: dict[str, str]) -> None:
    with pytest.raises(ApiError) as refusal:
        logs.selected(LINES, query, now=121.0)
    assert refusal.value.code == 400


def test_the_container_must_be_clear() -> None:
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}}
    one = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}], "initContainers": [{"name": "i"}]}}
    assert logs.container(pod, "b") == "b"
    assert logs.container(one, "") == "a"
    assert logs.container(one, "i") == "i"
    with pytest.raises(ApiError, match=r"must be specified for pod p, choose one of: \[a b\]"):
        logs.container(pod, "")
    with pytest.raises(ApiError, match="container c is not valid for pod p"):
        logs.container(pod, "c")
