"""Runs while the API server fails: each kind of fault, and all of them at random, under every role."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from convoy_sandbox.faults import Fault
from integration.playbooks import Lab, Traffic
from reliability.frame import Case, Result, Section, told, wrong
from reliability.kills import SETTLE, Bench, bench, said, until
from reliability.scenarios import DEPLOY, Play

Object = dict[str, Any]

DEPLOYED = {"auth": 1, "frontend": 1, "hello": 3}


@dataclass(frozen=True)
class Run:
    """What is run, and what there is when it has finished; the application begins with 1.0.0."""

    play: Play
    version: str = "2.0.0"  #: what users get
    replicas: Mapping[str, int] = field(default_factory=lambda: DEPLOYED)  #: by Deployment
    before: Play | None = None  #: what is run first, at a sound API server


RUNS = {
    "app_deploy": Run(DEPLOY, "1.0.0"),
    "scale": Run(("scale", {"replicas": 5}), "1.0.0", {**DEPLOYED, "hello": 5}),
    "rolling_update": Run(("rolling_update", {"version": "2.0.0", "rolling_update_pause_at": "50%"})),
    "canary": Run(("canary", {"version": "2.0.0", "promote": True})),
    "bluegreen": Run(("bluegreen", {"version": "2.0.0"}), replicas={**DEPLOYED, "hello-green": 3}),
    "rollback": Run(("rollback", {}), "1.0.0", before=("rolling_update", {"version": "2.0.0"})),
}

#: Each kind of fault for a share of the requests that it can happen to.
KINDS: dict[str, tuple[Fault, ...]] = {
    "429, Retry-After 1 s": (Fault("429", 0.03),),
    "500": (Fault("500", 0.03),),
    "503": (Fault("503", 0.03),),
    "connection dropped": (Fault("drop", 0.03),),
    "answer lost": (Fault("drop-after", 0.03),),
    "watch dropped after 0.3 s": (Fault("drop-watch", 1.0, seconds=0.3),),
    "409 on updates": (Fault("409", 0.1),),
    "410 on lists and watches": (Fault("410", 0.3),),
    "1 s late": (Fault("delay", 0.2),),
    "all at random": (
        *(Fault(kind, 0.01) for kind in ("429", "500", "503", "drop", "drop-after", "delay")),
        Fault("409", 0.03),
        Fault("410", 0.1),
        Fault("drop-watch", 0.2, seconds=0.3),
    ),
}
SEEDS = {"all at random": (1, 2, 3)}


def plan() -> dict[str, Any]:
    """The application's objects, and a case for each kind of fault, role and seed."""
    with bench() as it:
        start = it.after(DEPLOY)
    cases = [
        {"key": f"{name}, {kind}, seed {seed}", "group": kind, "run": name, "kind": kind, "seed": seed}
        for kind in KINDS
        for name in RUNS
        for seed in SEEDS.get(kind, (1,))
    ]
    return {"start": start, "cases": cases}


@contextlib.contextmanager
def worker(plan: Mapping[str, Any]) -> Iterator[Callable[[Case], Result]]:
    """One worker's sandbox."""
    with bench() as it:
        yield lambda case: meet(it, plan["start"], case)


def meet(it: Bench, start: Mapping[str, Sequence[Object]], case: Case) -> Result:
    """A run that meets with faults."""
    asked = RUNS[case["run"]]
    serves = case["run"] != "app_deploy"
    lab = it.begin(start) if serves else it.lab()
    try:
        if asked.before:
            it.well(lab, asked.before)
        old = set(lab.versions()) if serves else set()
        with contextlib.ExitStack() as stack:
            traffic = stack.enter_context(Traffic(lab)) if serves else None
            it.cluster.set_faults(*KINDS[case["kind"]], seed=case["seed"])
            began = time.monotonic()
            try:
                run, _started = it.run(lab, asked.play)
            finally:
                seconds = time.monotonic() - began
                faults = it.cluster.call(lambda: sum(it.cluster.cluster.api.faults.counts))
                it.cluster.set_faults()
            problems = _unfinished(it, lab, asked) if run.code == 0 else _unserved(lab, old)
        lost = len(traffic.lost) if traffic else 0
        if lost:
            problems.append(f"{lost} requests were lost")
        if run.code and "Traceback" in run.output:
            problems.append("it ended with a traceback")
        return {
            "key": case["key"],
            "group": case["group"],
            "finished": run.code == 0,
            "said": "" if run.code == 0 else said(run),
            "faults": faults,
            "seconds": round(seconds, 1),
            "requests": len(traffic.answers) if traffic else 0,
            "lost": lost,
            "problems": problems,
        }
    finally:
        it.forget(lab)


def _unfinished(it: Bench, lab: Lab, asked: Run) -> list[str]:
    """What is not as a run at a sound API server leaves it."""

    def left() -> dict[str, int]:
        return {item["metadata"]["name"]: item["spec"]["replicas"] for item in it.objects(lab)["deployments"]}

    with contextlib.suppress(TimeoutError):
        until(lambda: left() == asked.replicas and not it.objects(lab)["leases"], "the end", SETTLE)
    problems = [] if left() == asked.replicas else [f"there are {left()}, not {dict(asked.replicas)}"]
    problems += [f"Lease {item['metadata']['name']} is left over" for item in it.objects(lab)["leases"]]
    got = dict(lab.versions())
    return problems if set(got) == {asked.version} else [*problems, f"users get {got}, not {asked.version}"]


def _unserved(lab: Lab, old: set[str]) -> list[str]:
    """Whether users get something else than before a run that failed."""
    got = set(lab.versions()) if old else set()
    return [] if got == old else [f"it failed, and users get {sorted(got)}, not {sorted(old)}"]


def text(_plan: Mapping[str, Any], results: Sequence[Result]) -> str:
    """The section: a row a kind of fault, and every run that did not finish."""
    rows = [
        "| fault | runs | faults met | finished, as with a sound API server | failed, old version serving | requests "
        "of users | lost | seconds, median (slowest) |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind in KINDS:
        mine = [item for item in results if item["group"] == kind and "seconds" in item]
        if not mine:
            continue
        finished = [item for item in mine if item["finished"] and not item["problems"]]
        failed = [item for item in mine if not item["finished"] and not item["problems"]]
        asked, lost, met = (sum(item[key] for item in mine) for key in ("requests", "lost", "faults"))
        seconds = [item["seconds"] for item in mine]
        rows.append(
            f"| {kind} | {len(mine)} | {met} | {len(finished)} | {len(failed)} | {asked} | {lost} | "
            f"{statistics.median(seconds):.0f} ({max(seconds):.0f}) |"
        )
    ended = [f"- {item['key']}: {item['said']}" for item in results if item.get("said") and not item["problems"]]
    parts = [WORDS, *rows, ""]
    if ended:
        parts += ["What the runs said that did not finish:", "", *ended, ""]

    def line(item: Result) -> str:
        return f"{told(item)} {item.get('said', '')}"

    return "\n".join([*parts, *wrong(results, " at a failing API server", line)])


WORDS = """\
Each role runs while the API server fails at random, from a seed: one kind of fault at a time, then all of them. Where
nothing else is said, 3% of all requests fail in that way, discovery included; a tenth of the updates conflict (409),
three tenths of the watches and of the further pages of lists have expired (410), every watch is dropped, a fifth of the
requests come late. With all at random, 1% of the requests meet each of the first kinds (429 to 1 s late). The roles are
app_deploy, scale, rolling_update (paused at 50% on its way), canary (promoted), bluegreen and rollback. A run has to
end with the Deployments, replicas and version that it is for and no Lease left, or to fail with one reason while the
old version serves. Blue/green asks its preview through the API server, whose failures count as lost requests there:
where they are many, it fails before it switches.

The collection's own modules try again up to 6 times within 30 s, after growing pauses with jitter, never sooner than
Retry-After asks, and only where doing a thing twice is the same as doing it once. Manifests are applied again up to 5
times where that failed for a moment.

"""

SECTION = Section("A failing API server", plan, worker, text)
