# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Taking a canary from weight to weight: created or resized, verified, and watched for as long as it pauses there."""

from __future__ import annotations

import math
import time
import typing as t
from collections import Counter

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._operations import (
    _canary_route,
    _endings,
    _version_distribution,
)
from ansible_collections.convoy.rollout.plugins.module_utils._operations._canary_work import Work
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _pausing, _statistics
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import (
    _canary_manifests,
    _canary_standing,
    _canary_steps,
    _weights,
)
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import WATCHED, Object, replicas_of
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _testers
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _managers, _workloads

SLICE = 10  #: seconds of a pause after which the lock, the replicas and the containers are looked at again
RATE = 10.0  #: requests a second during a pause
TOLD = 1000  #: requests of one verification, more of which are said beforehand


def stepped(work: Work) -> dict[str, t.Any]:
    """Take the steps that are left, one after the other. Raises Failure."""
    plan, stable = work.plan, work.plan["stable"]["replicas"]
    seen = work.seen()
    for deployment in [seen.stable, *([seen.canary] if seen.canary else [])]:
        work.relies_on(deployment)
    for step in plan["steps"]:
        last = step is plan["steps"][-1] and not plan["promote"]
        if not work.task.check_mode:
            work.run.journal.note("serving", version=None)  # until it is verified
        _give(work, step)
        if work.task.check_mode:
            if step.get("router") and step is plan["steps"][0]:
                _canary_route.weigh(work, _weights.weight_of(step["weight"]), step["headers"])
            continue
        pods = work.complete(work.canary)
        if step.get("router"):
            _canary_route.weigh(work, _weights.weight_of(step["weight"]), step["headers"])
        before, stable = stable, _reduce(work, step, stable)
        # A step that ends no pods has no excuse for a lost request.
        endings = work.endings(work.versions[1]) if stable < before else None
        tested = _tested(work, step, endings) if step.get("headers") else ""
        found = _verified(work, step, endings, final=last)
        work.run.journal.note("serving", version=work.versions[0] if step["stable"] else work.versions[1])
        if step["pause"] or not last:  # what is said last of all is the same
            by_one = ", with session affinity by one client" if plan["affinity"] else ""
            work.task.tell(f"{work.stable}: {step['message']}; observed: {tested}{found['message']}{by_one}")
        if step["pause"]:
            _pause(work, step, pods, endings)
    return work.result(f"The canary of {work.stable}: {plan['steps'][-1]['message']}.")


def _give(work: Work, step: Object) -> None:
    """Give the canary its replicas and its weight, or create it with them."""
    new, whole = work.versions[1], work.plan["stable"]["whole"]
    canary = work.there(work.place(work.canary))
    if canary is not None:
        given = _canary_manifests.given(step, whole)
        said = f"Deployment {work.canary} has {step['canary']} replicas, for {step['weight']:g}% of the traffic"
        work.changed(canary, given.patch, said)
        return
    manifest = work.options["definition"]
    if not manifest:
        raise Failure(f"Deployment {work.canary} was deleted by somebody else during this run; run the playbook again.")
    if step is work.plan["steps"][0]:
        work.create(manifest, f"Deployment {work.canary} of {new} is created with {step['canary']} replicas")
    # Only check mode comes to further steps of a canary that is not there.


def _reduce(work: Work, step: Object, before: int) -> int:
    """Take away the replicas of stable that the canary stands in for, and return how many it has then."""
    wanted = step["stable"]
    if wanted >= work.plan["stable"]["whole"]:
        return before

    def patch(stable: Object) -> list[Object]:
        now = replicas_of(stable)
        if now not in (before, wanted):
            raise Failure(
                f"{_managers.changed_by(stable, 'spec.replicas', before, now)} while the canary was given "
                f"{step['weight']:g}%; find out who did that, scale it back, and run the playbook again."
            )
        return _canary_manifests.Change(replicas=wanted).patch(stable)

    stable = work.there(work.place(work.stable))
    if stable is None:
        raise Failure(f"Deployment {work.stable} was deleted by somebody else during this run; run the playbook again.")
    work.changed(stable, patch, f"Deployment {work.stable} has {wanted} replicas beside its canary")
    return t.cast(int, wanted)


def _verified(work: Work, step: Object, endings: _endings.Endings | None, *, final: bool) -> dict[str, t.Any]:
    """See that every version gets its share, of the endpoints that there are at each look, and no request fails."""

    def expecting(last: bool) -> dict[str, float] | None:
        return _expected(work, step, last)

    _tell_needed(work, step)
    return work.proof.verified(
        f"canary at {step['weight']:g}%",
        final=final,
        expecting=expecting,
        endings=endings,
        max_samples=work.request["samples"] or None,
        tolerance=work.request["tolerance"] / 100 or None,
        on_inconclusive="pass",  # a share near the edge of the tolerance is not shown to be wrong
        settle=work.request["settle"],
    )


def _tested(work: Work, step: Object, endings: _endings.Endings | None) -> str:
    """See that every request with the testers' headers gets the canary, and return what was observed, in words."""
    entry = dict(work.options["entry"] or {})
    entry["headers"] = {**(entry.get("headers") or {}), **step["headers"]}
    found = work.proof.verified(
        f"testers at {step['weight']:g}%",
        final=False,
        entry=entry,
        expected={work.versions[1]: 1},
        endings=endings,
        settle=work.request["settle"],
    )
    return f"with {_testers.said(step['headers'])} {found['message']}, without "


def _tell_needed(work: Work, step: Object) -> None:
    """Say beforehand how many requests it takes to tell a small share, if those are many."""
    share, tolerance = step["share"], work.request["tolerance"] / 100 or None
    if not 0 < share < 1 or work.plan["affinity"]:
        return
    needed = _statistics.needed(_canary_steps.standard(step, work.request, work.min_success))
    room = _statistics.tolerated(share, tolerance) * 100
    if needed <= TOLD:
        return
    text = (
        f"{work.stable}: to tell a share of {share * 100:g} ± {room:g}% from a wrong one takes up to about {needed} "
        f"requests, {needed / _version_distribution.look_rate(work.options['entry']):.0f} s"
    )
    most = work.request["samples"]
    work.task.tell(f"{text}; canary_samples is {most}, which may not be enough." if 0 < most < needed else f"{text}.")


def _expected(work: Work, step: Object, last: bool) -> dict[str, float] | None:
    """The shares of the ready endpoints, once those are what was asked for; None before. Raises Failure."""
    seen = work.seen()
    _canary_standing.check_weight(seen, step, work.asked.tolerance)
    found = _canary_standing.endpoints(seen)
    if not found["settled"]:
        if last:
            raise Failure(
                f"{_canary_standing.unsettled(seen)}; find out what keeps its pods from getting there, and run the "
                "playbook again."
            )
        return None
    if seen.router is None and seen.service["spec"].get("sessionAffinity") == "ClientIP":
        return {}  # one client sees one version: only lost requests count
    return _canary_standing.shares_of(seen, *work.versions)


def _expected_now(work: Work, step: Object) -> dict[str, float]:
    """The shares during a pause; none while pods come and go, as then only lost requests and slow answers count.

    Raises Failure where somebody changed the weight.
    """
    seen = work.seen()
    _canary_standing.check_weight(seen, step, work.asked.tolerance)
    settled = _canary_standing.endpoints(seen)["settled"]
    return (_expected(work, step, last=False) or {}) if settled else {}


def _pause(work: Work, step: Object, pods: t.Sequence[Object], endings: _endings.Endings | None) -> None:
    """Watch the traffic and the canary's containers for as long as it stays at this weight. Raises Failure."""
    counts: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    evidence = f"pause at {step['weight']:g}%"
    watch = _pausing.Pause(
        work.versions,
        math.ceil(step["pause"] / SLICE),
        _version_distribution.RISK / work.tests / work.run.handle.get("family", 1),
        min_success=work.min_success,
        tolerance=work.request["tolerance"] / 100 or None,
        max_p99=(work.options["entry"] or {}).get("max_p99"),
    )
    rate = _version_distribution.pace(work.options["entry"], RATE)
    for passed in range(0, step["pause"], SLICE):
        begun, seconds = time.monotonic(), min(SLICE, step["pause"] - passed)
        expected = _expected_now(work, step)
        found = work.proof.looked(
            endings=endings,
            stands=True,
            settle=0,
            samples=math.ceil(seconds * rate),
            rate_limit=rate,
            expected=expected,
            fail_on="never",  # the slices are judged together
        )
        crashed = _crashed(step, pods, work.pods(work.canary))
        if found["by"] in ("versions", "requests"):
            counts.update(found["counts"])
            errors.update(found["errors"])
            # Where endpoints came or went meanwhile, the shares are those of neither.
            judged = found["by"] == "versions" and _expected_now(work, step) == expected
            wrong = watch.add(found, expected if judged else {})
            message = f"{_statistics.said(counts, errors)}: {wrong}"
        else:
            wrong, message = found["verdict"] == "fail", found["message"]
        if wrong:
            work.run.verified(evidence, {"by": found["by"], **_paused(counts, errors, "fail", message)}, final=False)
            raise Failure(f"{crashed} {found.get('url', '')}: {message}".strip())
        if crashed:
            raise Failure(crashed)
        _version_distribution.wait_out(begun, seconds)
    _check_crashed(step, pods, work.complete(work.canary))
    said = f"{sum(counts.values()) + sum(errors.values())} requests in {step['pause']} s, {sum(errors.values())} lost"
    verdict, said = ("pass", said) if found["by"] in ("versions", "requests") else (found["verdict"], found["message"])
    work.run.verified(evidence, {"by": found["by"], **_paused(counts, errors, verdict, said)}, final=False)
    over = _canary_manifests.Change(annotations={WATCHED: str(step["weight"])})
    canary = work.there(work.place(work.canary))
    if canary is None:
        raise Failure(f"Deployment {work.canary} was deleted by somebody else during this run; run the playbook again.")
    work.changed(canary, over.patch, f"Deployment {work.canary} has been watched at {step['weight']:g}%")


def _paused(counts: Counter[str], errors: Counter[str], verdict: str, message: str) -> dict[str, t.Any]:
    """What is noted of a pause."""
    return {
        "verdict": verdict,
        "samples": sum(counts.values()) + sum(errors.values()),
        "counts": dict(counts),
        "errors": dict(errors),
        "message": message,
    }


def _check_crashed(step: Object, since: t.Sequence[Object], now: t.Sequence[Object]) -> None:
    crashed = _crashed(step, since, now)
    if crashed:
        raise Failure(crashed)


def _crashed(step: Object, since: t.Sequence[Object], now: t.Sequence[Object]) -> str:
    """That a container crashed since the canary was complete, in words; empty where none did.

    One that crashes and starts again at once may lose no request today, and many tomorrow.
    """
    pods = _workloads.restarts(now, since=since)
    if not pods:
        return ""
    return (
        f"A container of {', '.join(pods)} crashed while the canary had {step['weight']:g}%, and was restarted; see "
        f"why with kubectl logs --previous {pods[0]}."
    )
