# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How what users get is verified: decided by a look before anything is changed, and kept to afterwards."""

from __future__ import annotations

import contextlib
import time
import typing as t
from collections import Counter

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _called, _endings, _version_distribution
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _baseline, _statistics
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.module_utils._run._journal import Journal
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._plan import Plan
from ansible_collections.convoy.rollout.plugins.module_utils._traffic._versions import UNNAMED

REQUESTS = 5
MOST = 5000  #: requests where a look may be followed by others, or some are lost and those do not tell
SECONDS = 5.0  #: that more of them may take, where it will be judged how many are lost and no entry slows them down
KEPT = ("samples", "counts", "errors", "via", "url", "port", "other_ports", "message")
PORTS = 5  #: how many other ports of a Service are tried
COME_BACK = 5  #: seconds that an application which was down may take to be found by its Service

Facts = t.Dict[str, t.Any]


def asked(options: t.Mapping[str, t.Any], service: str, **given: t.Any) -> Facts:
    """The options of a look at the traffic where users come in: by the entry, else by the Service."""
    return _called.options(
        _version_distribution.ARGUMENTS,
        options,
        namespace=options["namespace"],
        name=service or None,
        application_service=service or None,
        **{"entry": options.get("entry"), **given},
    )


def seen(looks: t.Mapping[str, t.Any], environ: t.Mapping[str, str], *, serves: bool, samples: int = REQUESTS) -> Facts:
    """What a few requests get, and how a change can be verified by more of them (`by`). Raises Failure."""
    few = {**looks, "samples": samples, "expected": {}, "fail_on": "never", "unversioned": True}
    found = _version_distribution.looked(few, environ)
    return {
        "by": _baseline.by(found["counts"], found["errors"], serves=serves),
        "answered": bool(found["counts"]),
        "versions": list(found["counts"]),
        **{key: found[key] for key in KEPT if key in found},
    }


def noted(options: t.Mapping[str, t.Any], task: Task, journal: Journal, plan: Plan) -> Facts:
    """How the change will be verified, and what users get before it, noted for the run's outcome.

    Raises Failure where it could not be verified, unless the option `unverified` allows that.
    """
    if plan.repairs and not _baseline.names_a_place(_called.given(options["entry"])):
        return {"by": "later", "answered": False, "services": _by_service(options, task, journal, plan)}
    found = _found(options, task, plan)
    if found["answered"] and not found.get("refusal") and "min_success" in options["request"] and not task.check_mode:
        found = _counted_on(options, task, plan.service, found)
        found["refusal"] = _baseline.limited(found)
    if found.get("refusal") and options["unverified"]:
        found = {**found, "by": "nothing", "answered": False, "message": _baseline.allowed(found["message"])}
    verdict = "pass" if found["answered"] or found["by"] in _baseline.COUNTED else "unverified"
    kept = {key: found[key] for key in ("by", *KEPT) if key in found}
    journal.note("verified", what="before", final=False, verdict=verdict, **kept)
    if found.get("refusal") and not options["unverified"]:
        raise Failure(found["refusal"])
    return found


def _by_service(options: t.Mapping[str, t.Any], task: Task, journal: Journal, plan: Plan) -> dict[str, Facts]:
    """What users get of each Service that answers before the change, where each is asked by itself afterwards.

    Raises Failure where one lets in too few requests to be verified, unless the option `unverified` allows that.
    """
    found: dict[str, Facts] = {}
    for service in [] if task.check_mode else plan.services:
        try:
            few = seen(asked(options, service), task.environ, serves=True)
        except Failure:
            continue  # it is yet to be created, or has no pod
        if few["answered"]:
            counted = _counted_on(options, task, service, few)
            refusal = _baseline.limited(counted)
            if refusal:
                counted = {**counted, "by": "nothing", "message": _baseline.allowed(counted["message"])}
            found[service], verdict = counted, "unverified" if refusal else "pass"
            kept = {key: counted[key] for key in ("by", *KEPT) if key in counted}
            journal.note("verified", what=f"before, Service {service}", final=False, verdict=verdict, **kept)
            if refusal and not options["unverified"]:
                raise Failure(f"Service {service}: {refusal}")
    return found


def _counted_on(options: t.Mapping[str, t.Any], task: Task, service: str, found: t.Mapping[str, t.Any]) -> Facts:
    """What was found, and what more requests get: how many of them are lost before anything is changed."""
    more = _baseline.enough(options["request"]["min_success"]) - REQUESTS
    seconds = max(SECONDS, 2 * more / _version_distribution.look_rate(options["entry"]))
    given = {"samples": more, "timeout": seconds, "fail_on": "never", "unversioned": True}
    try:
        seen = _version_distribution.looked(asked(options, service, **given), task.environ)
    except Failure:
        return dict(found)  # a few requests were answered, which is enough to go on
    counts = Counter(found["counts"]) + Counter(seen["counts"])
    errors = Counter(found["errors"]) + Counter(seen["errors"])
    return {
        **found,
        "samples": found["samples"] + seen["samples"],
        "counts": dict(counts),
        "errors": dict(errors),
        "message": _statistics.said(counts, errors),
    }


def _found(options: t.Mapping[str, t.Any], task: Task, plan: Plan) -> Facts:
    entry = _called.given(options["entry"])
    nothing: Facts = {"by": "nothing", "answered": False, "versions": [], "counts": {}, "errors": {}}
    if plan.idle:
        return {**nothing, "message": plan.idle}
    places = plan.service or entry.get("service") or entry.get("url")
    if entry.get("source") == "pods" or (entry.get("source") == "endpoints" and plan.service):
        message = f"no requests are made, as the entry has source: {entry['source']}"
        return {**nothing, "by": entry["source"], "message": message}
    if not places or entry.get("source") == "endpoints":
        message = f"no Service leads to {plan.subject}"
        decided = {"by": "pods"} if plan.countable else {"refusal": _baseline.nowhere(plan.subject)}
        return {**nothing, **decided, "message": message}
    try:
        found = seen(asked(options, plan.service), task.environ, serves=plan.serves)
    except Failure as failure:
        if plan.repairs or not plan.serves:
            return {**nothing, "by": "later", "message": failure.message}
        return {**nothing, "message": failure.message, "refusal": failure.message}
    if found["by"] == "nothing" and plan.repairs:
        return {**found, "by": "later"}
    if found["by"] == "nothing" or (found["by"] == "later" and plan.needs_answers):
        found["ports_that_answer"] = _ports_that_answer(asked(options, plan.service), found, task)
        given = (entry.get("service") or entry.get("url")) and entry.get("service") != plan.service
        return {**found, "refusal": _baseline.refusal(found, instead=plan.service if given else "")}
    if found["by"] == "versions" and set(found["versions"]) <= {*plan.named_by_others, UNNAMED}:
        return {**found, "by": "requests"}  # what answers is not what is changed
    other = _baseline.mismatched(found["versions"], plan.running, shared=plan.shares)
    if other:
        return {**found, "refusal": _baseline.misread(found["url"], *other)}
    return {**found, "renamed": _baseline.renamed(found["versions"], plan.running)}


def _ports_that_answer(looks: Facts, found: Facts, task: Task) -> list[str]:
    """Which of the other ports of the Service answer a request."""
    good = []
    for port in found.get("other_ports", [])[:PORTS]:
        number = port.rpartition("(")[2].rstrip(")")
        entry = {**_called.given(looks["entry"]), "port": number, "scheme": None}
        one = {**looks, "entry": entry, "samples": 1, "unversioned": True, "fail_on": "never", "request_timeout": 2.0}
        with contextlib.suppress(Failure):
            if _version_distribution.looked(one, task.environ)["counts"]:
                good.append(port)
    return good


class Proof:
    """How one task verifies what users get, as the look before the change has decided it."""

    def __init__(self, options: t.Mapping[str, t.Any], task: Task, run: _run.Run, **reads: t.Any) -> None:
        """`options` have the access, the namespace and the entry; `reads` are options that each look has."""
        self._options, self._task, self._run, self._reads = options, task, run, reads
        self._service = str(run.handle.get("service") or "")  # that users come in by, where no entry says another
        self._baseline: Facts = run.handle.get("baseline") or {}
        self._by: _baseline.By | None = None
        self._why = str(self._baseline.get("message", ""))  # nothing can be verified, where that is so

    def by(self, looks: t.Mapping[str, t.Any] | None = None) -> _baseline.By:
        """How the change is verified: as was decided before it, else by what there is now. Raises Failure.

        `looks` are those of what has to answer, where that is another place than the one where users come in.
        """
        if self._by is None:
            decided = self._baseline.get("by")
            self._by = decided if decided not in (None, "later") else self._later(looks)
        return self._by

    def _later(self, looks: t.Mapping[str, t.Any] | None) -> _baseline.By:
        """What was not known before the change is seen after it, once the application has been found again."""
        entry = _called.given(self._options.get("entry"))
        if not self._baseline and entry.get("source") in _baseline.COUNTED:
            return t.cast(_baseline.By, entry["source"])
        if not self._service and not entry.get("service") and not entry.get("url"):
            self._why = "no Service leads there, and no entry says where users come in"
            return "nothing"
        looks = looks or asked(self._options, self._service)
        settle = self._options.get("settle", COME_BACK)
        found = seen({**looks, "settle": settle, "settles": "verdict"}, self._task.environ, serves=True)
        if found["answered"]:
            return t.cast(_baseline.By, found["by"])
        if self._run.handle.get("unverified"):
            self._why = _baseline.allowed(found["message"])
            return "nothing"
        self._run.verified("traffic", {**found, "verdict": "fail"}, final=True)
        raise Failure(_baseline.silent(found))

    def follow(self, seconds: float, *, alike: bool = False) -> None:
        """Give what leads users by its weights the time that it may take, where answers do not tell that it has.

        That is so where they name no version, or where both that it leads to are `alike`.
        """
        if alike or self.by() != "versions":
            time.sleep(seconds)

    def looks(self, by: _baseline.By, **given: t.Any) -> Facts:
        """The options of looks at what users get, as this kind of verification makes them."""
        looks = {**asked(self._options, self._service), **self._reads, **given}
        if by == "requests":
            return {**looks, "unversioned": True, "expected": {}}
        if by in _baseline.COUNTED:
            return {**looks, "source": by, "entry": {**(looks["entry"] or {}), "source": by}}
        return looks

    def as_before(self, version: str) -> str:
        """What answers where a version that ran before the change is back: what answered then."""
        return str((self._baseline.get("renamed") or {}).get(version, version))

    def looked(
        self,
        expecting: _version_distribution.Expecting | None = None,
        endings: _endings.Endings | None = None,
        *,
        stands: bool = False,
        **given: t.Any,
    ) -> Facts:
        """What users get, judged by `given` options of a look. Raises Failure where that is not as it has to be.

        With `stands`, what the run gave the cluster is compared with what is there as well.
        """
        by = self.by()
        if "min_success" in given:  # what was lost before the run changed anything may be lost now
            given["min_success"] = _baseline.least(given["min_success"], self._baseline)
        looks = self.looks(by, **given)
        if by == "nothing":
            return self._nothing(looks, expecting)
        if expecting and by == "requests":
            expecting = _without_shares(expecting)
        try:
            result = _version_distribution.looked(
                looks, self._task.environ, expecting, endings, self._run if stands else None
            )
        except Failure as failure:
            failure.facts["by"] = by
            why = self._other_names(by, looks["expected"], failure.facts)
            raise Failure(f"{failure.message.rstrip('.')}. {why}" if why else failure.message, failure.facts) from None
        if by in _baseline.COUNTED:
            result["message"] += f"; no requests were made, as the entry has source: {by}"
        return {**result, "by": by}

    def _other_names(self, by: str, expected: t.Collection[str], seen: t.Mapping[str, t.Any]) -> str:
        """What to do where nothing of what is expected answers, and image and answer may be one version's two names."""
        if by != "versions" or not expected:
            return ""
        before = [*(self._baseline.get("counts") or {}), *(self._baseline.get("versions") or [])]
        return _baseline.other_names(self._baseline.get("renamed") or {}, expected, seen.get("counts") or {}, before)

    def _nothing(self, looks: t.Mapping[str, t.Any], expecting: _version_distribution.Expecting | None) -> Facts:
        """That nothing is verified; what is expected of the cluster is waited for all the same."""
        if expecting:
            for attempt in range(looks["settle"] + 1):
                if expecting(attempt == looks["settle"]) is not None:
                    break
                time.sleep(1)
        return {"verdict": "unverified", "by": "nothing", "message": self._why, "counts": {}, "errors": {}}

    def verified(
        self,
        evidence: str,
        *,
        final: bool,
        expecting: _version_distribution.Expecting | None = None,
        endings: _endings.Endings | None = None,
        **given: t.Any,
    ) -> Facts:
        """Judge what users get, and note it for the run. Raises Failure where the verdict is not as it has to be."""
        family = given.pop("family_size", 1) * self._run.handle.get("family", 1)
        try:
            result = self.looked(expecting, endings, stands=True, family_size=family, **given)
            if final:
                self._run.stand()
        except Failure as failure:
            if "verdict" in failure.facts:
                self._run.verified(evidence, failure.facts, final=final)
            raise
        self._run.verified(evidence, result, final=final)
        return result


def _without_shares(expecting: _version_distribution.Expecting) -> _version_distribution.Expecting:
    """The same, where answers name no version: when to look, and no shares to expect."""

    def expected(last: bool) -> dict[str, float] | None:
        return None if expecting(last) is None else {}

    return expected
