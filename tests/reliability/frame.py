"""Sections of docs/reliability.md: their cases, done by one worker a core, and the page that is made of the results.

A results file is JSON lines: first what was planned, then a line for each case that is done. A run that
was interrupted goes on after the last of them; what was measured of other code is not counted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import multiprocessing
import os
import queue
import re
import statistics
import subprocess
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reliability.md"
RESULTS = ROOT / ".cache/reliability"
#: What the figures are figures of.
MEASURED = ("plugins", "roles", "playbooks", "sandbox/convoy_sandbox", "tests/reliability")

HEAD = """\
# What happens on the bad day

`make faults` measures what this page says, on sandboxes, and writes the page; do not edit it. `make faults
SECTION=kills POINTS=20` measures one section, and of each of its groups so many cases, evenly spread; a run that was
interrupted goes on where it stopped.
"""

#: What a case is: `key` says it apart, `group` what it is counted with; the rest is the section's own.
Case = dict[str, Any]
#: What became of a case: `key` and `group`, `problems` (sentences; none if all is as it should be), and figures.
Result = dict[str, Any]


class Section(NamedTuple):
    """One section of the page."""

    title: str
    plan: Callable[[], dict[str, Any]]  #: what is known before the cases: `cases`, and what workers need
    worker: Callable[[Mapping[str, Any]], contextlib.AbstractContextManager[Callable[[Case], Result]]]
    text: Callable[[Mapping[str, Any], Sequence[Result]], str]  #: the section in Markdown, from plan and results


class Results:
    """The file of one section's results."""

    def __init__(self, name: str) -> None:
        self.path = RESULTS / f"{name}.jsonl"

    def read(self) -> tuple[dict[str, Any], list[Result]] | None:
        """The plan and the results, None where there are none of this code."""
        if not self.path.exists():
            return None
        lines = [json.loads(line) for line in self.path.read_text().splitlines() if line.endswith("}")]
        if not lines or lines[0].get("code") != fingerprint():
            return None
        return lines[0], lines[1:]

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Forget what was there."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(plan) + "\n")

    def add(self, result: Result) -> None:
        """Write one more result, in one go, so that an interruption loses at most that."""
        with self.path.open("a") as file:
            file.write(json.dumps(result) + "\n")


def fingerprint() -> str:
    """What tells code that was measured from other code."""
    digest = hashlib.sha256()
    for folder in MEASURED:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def told(result: Result) -> str:
    """A case and what was not as it should be, in a line."""
    return f"{result['key']}: {'; '.join(result['problems'])}"


def wrong(results: Sequence[Result], where: str = "", line: Callable[[Result], str] = told) -> list[str]:
    """The end of a section in Markdown, where something was not as it should be: a line for each such case."""
    found = [f"- {line(result)}" for result in results if result["problems"]]
    return [f"### What was not as it should be{where}", "", *found] if found else []


def spread(cases: Sequence[Case], points: int | None) -> list[Case]:
    """So many cases of each group, evenly spread, and in an order in which any beginning is evenly spread too."""
    groups = defaultdict(list)
    for case in cases:
        groups[case["group"]].append(case)
    chosen: list[tuple[int, Case]] = []
    for members in groups.values():
        # Steps of the golden section of a circle leave no large gap, wherever one stops.
        step = next(
            n for n in range(round(len(members) * 0.618) or 1, 2 * len(members)) if math.gcd(n, len(members)) == 1
        )
        order = [members[turn * step % len(members)] for turn in range(len(members))]
        chosen += enumerate(order[:points])
    return [case for _turn, case in sorted(chosen, key=lambda pair: pair[0])]


def measure(name: str, section: Section, points: int | None, workers: int) -> list[Result]:
    """Do what is left to do of a section, and return all of its results."""
    file = Results(name)
    found = file.read()
    if found is None:
        print(f"{name}: planning", flush=True)
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True, capture_output=True
        ).stdout
        begun = {"code": fingerprint(), "commit": commit.strip(), "day": time.strftime("%Y-%m-%d", time.gmtime())}
        file.begin({**begun, **section.plan()})
        found = file.read()
        assert found
    plan, results = found
    wanted = spread(plan["cases"], points)
    done = {result["key"] for result in results}
    left = [case for case in wanted if case["key"] not in done]
    print(f"{name}: {len(wanted) - len(left)} of {len(wanted)} cases are done", flush=True)
    for number, result in enumerate(_done(name, left, workers), 1):
        result["load"] = round(os.getloadavg()[0], 1)
        file.add(result)
        results.append(result)
        said = "; ".join(result["problems"]) or "as it should be"
        print(f"{name} {number}/{len(left)} {result['key']}: {said}", flush=True)
    return results


def _done(name: str, cases: Sequence[Case], workers: int) -> Iterator[Result]:
    """The results of cases as they come, from processes with a sandbox each."""
    context = multiprocessing.get_context("spawn")
    todo, done = context.Queue(), context.Queue()
    for case in [*cases, *[None] * workers]:
        todo.put(case)
    processes = [
        context.Process(target=_work, args=(name, todo, done), daemon=True) for _ in range(min(workers, len(cases)))
    ]
    for process in processes:
        process.start()
    try:
        for _case in cases:
            yield _next(done, processes)
        for process in processes:
            process.join()
    finally:
        for process in processes:
            process.terminate()


def _next(done: Any, processes: Sequence[Any]) -> Result:
    while True:
        try:
            result: Result = done.get(timeout=5)
            return result
        except queue.Empty:
            if not any(process.is_alive() for process in processes):
                raise RuntimeError("Every worker has died; what they printed says why.") from None


def _work(name: str, todo: Any, done: Any) -> None:
    from reliability.__main__ import SECTIONS

    found = Results(name).read()
    assert found, "the code changed while it was measured"
    with SECTIONS[name].worker(found[0]) as do:
        for case in iter(todo.get, None):
            try:
                done.put(do(case))
            except Exception:  # one case that broke down is no reason to lose the others
                broken = traceback.format_exc()
                done.put({"key": case["key"], "group": case["group"], "problems": [f"the test broke down: {broken}"]})


def write_page(sections: Mapping[str, Section]) -> None:
    """Write the page: sections with results anew, others as they are."""
    before = PAGE.read_text() if PAGE.exists() else ""
    parts = [HEAD]
    for name, section in sections.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        found = Results(name).read()
        if found:
            plan, results = found
            loads = [result["load"] for result in results if "load" in result]
            load = f", load average {statistics.median(loads):.0f}" if loads else ""
            cases = f"{len(results)} of {len(plan['cases'])} cases"
            measured = (
                f"*Measured at commit {plan['commit']}, {plan['day']}, on {os.cpu_count()} cores{load}: {cases}.*"
            )
            parts.append(
                f"{begin}\n\n## {section.title}\n\n{section.text(plan, results).strip()}\n\n{measured}\n\n{end}\n"
            )
        elif kept := re.search(f"{re.escape(begin)}.*{re.escape(end)}\n", before, re.DOTALL):
            parts.append(kept[0])
    PAGE.write_text("\n".join(parts))
