"""Ten runs that change one application at the same time, each of its own mind; and a lock that nobody will release."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ansible_collections.convoy.rollout.plugins.module_utils._run import _lease
from convoy_sandbox import resources
from integration.playbooks import Run, Traffic
from reliability.frame import Case, Result, Section, wrong
from reliability.kills import LONGEST, SETTLE, Bench, bench, until
from reliability.scenarios import DEPLOY, Play, phases

RUNS = 10
DEAD = "somebody@elsewhere (1-00000000-1)"
WANTED = ("2.0.0", "3.0.0")
PLAYS = ("bluegreen", "rolling_update")

#: How the runs meet each other, and what that is called with.
WAYS: dict[str, dict[str, Any]] = {
    "the others are refused": {},
    "the others wait": {"lock_wait": 3600},
    "each takes over": {"takeover": True},
}

#: How a run meets a lock whose holder died with its machine, just now.
LEFT: dict[str, dict[str, Any]] = {
    "the same command again": {},
    "-e lock_wait=60": {"lock_wait": 60},
    "-e takeover=true": {"takeover": True},
}


def plan() -> dict[str, Any]:
    """The application as it is before."""
    with bench() as it:
        start = it.after(DEPLOY)
    cases = [{"key": f"{play}: {way}", "group": "ten", "play": play, "way": way} for play in PLAYS for way in WAYS]
    cases += [{"key": way, "group": "left", "variables": left} for way, left in LEFT.items()]
    return {"start": start, "cases": cases}


@contextlib.contextmanager
def worker(plan: Mapping[str, Any]) -> Iterator[Callable[[Case], Result]]:
    """One worker's sandbox."""
    with bench() as it:
        yield lambda case: (compete if case["group"] == "ten" else find)(it, plan["start"], case)


def compete(it: Bench, start: Mapping[str, Any], case: Case) -> Result:
    """Ten runs at once, five of which want one version and five the other."""
    lab = it.begin(start)
    plays: list[Play] = [(case["play"], {"version": WANTED[number % 2], **WAYS[case["way"]]}) for number in range(RUNS)]
    runs: list[Run | None] = [None] * RUNS
    holders: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.03):
            holders.update(lease["spec"].get("holderIdentity", "") for lease in it.objects(lab)["leases"])

    def play(number: int) -> None:
        runs[number], _started = it.run(lab, plays[number])

    refusing = case["way"] == "the others are refused"
    threads = [threading.Thread(target=play, args=(number,)) for number in range(RUNS)]
    began = time.monotonic()
    with Traffic(lab) as traffic, contextlib.ExitStack() as stack:
        looking = threading.Thread(target=look)
        looking.start()
        if refusing:
            # Who has the lock stays at its first change until the others have ended: none can come too late to meet it.
            held = stack.enter_context(
                it.cluster.hold(1, "before", lambda write: write.action.resource != "leases"),
            )
        for thread in threads:
            thread.start()
        if refusing:
            until(lambda: sum(run is not None for run in runs) == RUNS - 1, "the refusals", LONGEST * 2)
            held.release()
        for thread in threads:
            thread.join()
        over.set()
        looking.join()
        with contextlib.suppress(TimeoutError):
            until(lambda: not it.objects(lab)["leases"], "the Lease's end", SETTLE)
        got = lab.versions(40)
    ended = [run for run in runs if run is not None]
    worked = sum(run.code == 0 for run in ended)
    stopped = Counter(_why(run) for run in ended if run.code)
    problems = [f"{why}: {number} runs" for why, number in stopped.items() if why not in ("refused", "taken over")]
    if set(got) not in ({WANTED[0]}, {WANTED[1]}):
        problems.append(f"users get {dict(got)}")
    problems += [f"Lease {item['metadata']['name']} is left over" for item in it.objects(lab)["leases"]]
    if refusing and (worked, len(holders)) != (1, 1):
        problems.append(f"{worked} runs worked, {len(holders)} held the lock")
    if case["way"] == "the others wait" and worked != RUNS:
        problems.append(f"{RUNS - worked} runs did not work")
    if not worked:
        problems.append("no run worked")
    if traffic.lost:
        problems.append(f"{len(traffic.lost)} requests were lost, such as {traffic.lost[0]}")
    it.forget(lab)
    return {
        "key": case["key"],
        "group": case["group"],
        "problems": problems,
        "worked": worked,
        "refused": stopped["refused"],
        "taken_over": stopped["taken over"],
        "holders": len(holders),
        "serves": sorted(got),
        "requests": len(traffic.answers),
        "lost": len(traffic.lost),
        "seconds": round(time.monotonic() - began, 1),
    }


def find(it: Bench, start: Mapping[str, Any], case: Case) -> Result:
    """A run that finds the lock of a holder that died, with what renews its Lease, on another machine."""
    lab, registry = it.begin(start), it.cluster.cluster.registry
    left = _lease.taken(None, name="convoy-hello", holder=DEAD, purpose="scale to 9", now=datetime.now(UTC))
    it.cluster.call(lambda: registry.create(resources.LEASES, lab.namespace, left))
    taken: list[float] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.03) and not taken:
            holders = [lease["spec"].get("holderIdentity", "") for lease in it.objects(lab)["leases"]]
            if holders and holders != [DEAD]:
                taken.append(time.monotonic())

    looking = threading.Thread(target=look)
    looking.start()
    run, started = it.run(lab, ("scale", {"replicas": 4, **case["variables"]}))
    over.set()
    looking.join()
    reached = [when for when, task in started.started() if task == phases("scale")["block"][0]]
    problems = []
    if run.code and (case["variables"] or _why(run) != "refused"):
        problems.append(f"it did not work: {_why(run)}")
    it.forget(lab)
    return {
        "key": case["key"],
        "group": case["group"],
        "problems": problems,
        "refused": bool(run.code),
        "seconds": round(taken[0] - reached[0], 1) if taken and reached else None,
    }


def _why(run: Run) -> str:
    """Why a run did not work."""
    said = " ".join(run.output.split())
    if "is being changed by" in said:
        return "refused"
    if "so this run stops" in said:
        return "taken over"
    return said


def text(plan: Mapping[str, Any], results: Sequence[Result]) -> str:
    """The section."""
    rows = [
        "| ten runs at once | worked | refused | stopped, as taken over | held the lock | serves in the end "
        "| requests of users | lost |",
        "| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: |",
    ]
    for item in sorted(results, key=lambda item: item["key"]):
        if "worked" in item:
            counted = [item[key] for key in ("worked", "refused", "taken_over", "holders")]
            serves = ", ".join(item["serves"])
            rows.append(
                f"| {item['key']} | {' | '.join(map(str, counted))} | {serves} | {item['requests']} | {item['lost']} |"
            )
    left = ["| a lock that a dead machine left | what happened |", "| --- | --- |"]
    for item in results:
        if item["group"] == "left" and "refused" in item:
            had = "refused at once" if item["refused"] else f"has it after {item['seconds']} s"
            left.append(f"| `{item['key']}` | {had} |")

    def line(item: Result) -> str:
        return f"{item['key']}: {'; '.join(map(_short, item['problems']))}"

    return "\n".join([WORDS, *rows, "", LEFT_WORDS, *left, "", *wrong(results, line=line)])


def _short(problem: str) -> str:
    words = " ".join(problem.split())
    return words if len(words) < 200 else f"{words[:60]} ... {words[-140:]}"


WORDS = """\
Ten runs of one playbook start at once; five want 2.0.0 and five want 3.0.0. Nine are refused (the one that has the lock
is stopped at its first change until they have ended), or they wait (`-e lock_wait=3600`), or each takes the lock over
from the one before it (`-e takeover=true`). In the end one of the two versions has to have all of the traffic.
"""

LEFT_WORDS = """\
A run that dies gives its lock back. On its own machine the next run takes the lock even if what watches over it died
too. Where a whole machine has just died, only waiting tells that from a run that is still at work: the Lease lasts for
15 seconds, and is then watched for as long again. What a run of `scale.yml` gets that meets such a lock:
"""

SECTION = Section("One operator at a time", plan, worker, text)
