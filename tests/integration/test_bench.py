"""The benchmarks run to their end. What they measure is printed, and nothing is asserted about it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"


@pytest.mark.parametrize(
    ("command", "figures"),
    [
        (
            ["bench.py", "--pairs", "1"],
            [
                r"blue/green there, CPU s +3\.9 +[\d.]+",
                r"blue/green back, CPU s +2\.6 +[\d.]+",
                r"blue/green against plain kubectl +3\.72 +[\d.]+|beside plain kubectl: not measured, ",
                r"tasks of blue/green there +23 +\d+",
                r"characters of Jinja in the roles +47440 +\d+",
                r"samples per second of CPU time \d+|samples per second: not measured, ",
                r"verdict on a true 25% at rate_limit 0: module [\d.]+ s",
                r"verdict on a true 25% at rate_limit 200: module [\d.]+ s",
            ],
        ),
        (
            ["fleet.py", "--clusters", "2"],
            [
                r"2 clusters: fleet\.yml [\d.]+ s; [\d.]+ CPU s a cluster, [\d.]+ beside it; peak memory \d+ MiB",
                r"loop of kubectl [\d.]+ s, ratio [\d.]+|beside a loop of kubectl: not measured, ",
            ],
        ),
    ],
)
def test_short_form_prints_every_figure_or_says_what_is_missing(command: list[str], figures: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH / command[0]), *command[1:]],
        text=True,
        capture_output=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    print(done.stdout)
    assert [figure for figure in figures if not re.search(figure, done.stdout)] == [], done.stdout
