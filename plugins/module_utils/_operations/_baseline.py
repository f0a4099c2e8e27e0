# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The look at what users get before anything is changed: what answers then can be verified afterwards."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _called, _version_distribution
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _baseline
from ansible_collections.convoy.rollout.plugins.module_utils._run._journal import Journal

REQUESTS = 5


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
    options: t.Mapping[str, t.Any], service: str, running: t.Collection[str] | None, **given: t.Any
) -> dict[str, t.Any]:
    """What a few requests get, and how a change can be verified by more of them (`by`). Raises Failure."""
    seen = _version_distribution.looked(
        asked(options, service, samples=REQUESTS, fail_on="never", unversioned=True, **given)
    )
    return {
        "by": _baseline.by(seen["counts"], running),
        "answered": bool(seen["counts"]),
        "versions": list(seen["counts"]),
        "errors": list(seen["errors"]),
        "message": seen["message"],
        "url": seen["url"],
        "seen": {key: seen[key] for key in ("samples", "counts", "errors", "via", "url", "message")},
    }


def noted(
    options: t.Mapping[str, t.Any],
    journal: Journal,
    service: str,
    running: t.Collection[str] | None,
    *,
    needs_entry: bool,
) -> dict[str, t.Any]:
    """What users get before anything is changed, noted for the run's outcome.

    Raises Failure where an entry that was given has to answer and does not.
    """
    try:
        found = looked(options, service, running)
    except Failure as failure:
        if needs_entry:
            raise
        found = {"by": "nothing", "answered": False, "versions": [], "errors": [], "message": failure.message}
    seen = found.pop("seen", {})
    if found["answered"]:
        journal.note("verified", what="before", final=False, verdict="pass", **seen)
        return found
    journal.note("verified", what="before", final=False, verdict="unverified", message=found["message"])
    if needs_entry and not _baseline.is_down(found["errors"]):
        raise Failure(
            f"The entry {found['url']} does not answer before anything is changed, so what users get after it could "
            f"not be verified: {found['message']}. Correct the entry, or take it away to have the Service asked that "
            "leads to the Deployment."
        )
    return found
