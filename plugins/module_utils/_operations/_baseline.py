# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The look at what users get before anything is changed: what answers then can be verified afterwards."""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _called, _version_distribution
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _baseline, _statistics
from ansible_collections.convoy.rollout.plugins.module_utils._run._journal import Journal
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._plan import Plan

REQUESTS = 5
MORE = 495  #: requests beside them, where it will be judged how many are lost: so a service that loses 1% is known
SECONDS = 5.0  #: that those may take
KEPT = ("samples", "counts", "errors", "via", "url", "message")


def asked(options: t.Mapping[str, t.Any], service: str, **given: t.Any) -> dict[str, t.Any]:
    """The options of a look at the traffic where users come in: by the entry, else by the Service."""
    return _called.options(
        _version_distribution.ARGUMENTS,
        options,
        namespace=options["namespace"],
        name=service or None,
        application_service=service or None,
        entry=options["entry"],
        **given,
    )


def looked(
    options: t.Mapping[str, t.Any],
    task: Task,
    service: str,
    running: t.Collection[str] | None,
    **given: t.Any,
) -> dict[str, t.Any]:
    """What a few requests get, and how a change can be verified by more of them (`by`). Raises Failure."""
    seen = _version_distribution.looked(
        asked(options, service, samples=REQUESTS, fail_on="never", unversioned=True, **given), task.environ
    )
    return {
        "by": _baseline.by(seen["counts"], running),
        "answered": bool(seen["counts"]),
        "versions": list(seen["counts"]),
        **{key: seen[key] for key in KEPT},
    }


def noted(options: t.Mapping[str, t.Any], task: Task, journal: Journal, plan: Plan) -> dict[str, t.Any]:
    """What users get before anything is changed, noted for the run's outcome.

    Raises Failure where an entry that was given has to answer and does not.
    """
    needs_entry = plan.needs_entry and _baseline.names_a_place(options["entry"] or {})
    try:
        found = looked(options, task, plan.service, plan.running)
    except Failure as failure:
        if needs_entry:
            raise
        found = {"by": "nothing", "answered": False, "versions": [], "errors": {}, "message": failure.message}
    if found["answered"] and "min_success" in options["request"] and not task.check_mode:
        found = _counted_on(options, task, plan.service, found)
    if found["answered"]:
        kept = {key: found[key] for key in KEPT}
        journal.note("verified", what="before", final=False, verdict="pass", **kept)
        return found
    journal.note("verified", what="before", final=False, verdict="unverified", message=found["message"])
    if needs_entry and not _baseline.is_down(found["errors"]):
        raise Failure(
            f"The entry {found['url']} does not answer before anything is changed, so what users get after it could "
            f"not be verified: {found['message']}. Correct the entry, or leave it out to have the Service asked that "
            "leads to the Deployment."
        )
    return found


def _counted_on(
    options: t.Mapping[str, t.Any], task: Task, service: str, found: t.Mapping[str, t.Any]
) -> dict[str, t.Any]:
    """What was found, and what more requests get: how many of them are lost before anything is changed."""
    given = {"samples": MORE, "timeout": SECONDS, "fail_on": "never", "unversioned": True}
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
