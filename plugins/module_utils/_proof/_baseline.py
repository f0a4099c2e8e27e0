# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What users get before a change, and so how the change can be verified afterwards. Pure functions."""

from __future__ import annotations

import math
import re
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._proof import _statistics
from ansible_collections.convoy.rollout.plugins.module_utils._traffic import _remedies
from ansible_collections.convoy.rollout.plugins.module_utils._traffic._versions import UNNAMED

#: How a change is verified: by the versions that answer; by lost requests alone, where answers name none; by the images
#: of ready endpoints or pods, without requests, by the user's choice; later, where the application is down now and has
#: to answer after the change; or by nothing.
By = t.Literal["versions", "requests", "endpoints", "pods", "later", "nothing"]

COUNTED = ("endpoints", "pods")  #: what is judged without requests

#: What is asked where an entry says it; the rest of an entry is how its answers are judged.
PLACE = ("service", "url", "port", "scheme", "path", "headers", "server_name")

_DOWN = ("HTTP 5", "connection", "no connection", "timeout")


def by(counts: t.Mapping[str, int], errors: t.Collection[str], *, serves: bool) -> By:
    """How a change can be verified where these answers and errors were counted.

    Whatever version answers is one: what the pods' images say is no filter. `serves` is whether pods of the application
    are ready, so that somebody has to answer. Where none is, or where it answers with errors of its own, the change may
    be what repairs it.
    """
    if counts:
        return "versions" if any(version != UNNAMED for version in counts) else "requests"
    if is_broken(errors) or (not serves and is_down(errors)):
        return "later"
    return "nothing"


Pair = t.Tuple[str, str]  # a version that answers, and what the image of a ready pod says in its place


def unlike(versions: t.Collection[str], running: t.Collection[str]) -> list[Pair]:
    """What answers and what the images of the ready pods say in its place; nothing where they agree on a version."""
    if set(versions) & set(running):
        return []
    return [(answer, image) for answer in versions for image in running if answer != UNNAMED]


def mismatched(
    versions: t.Collection[str], running: t.Collection[str], *, shared: bool = False
) -> tuple[str, str] | None:
    """A version that answers, and what the image of a ready pod says in its place; None where they agree.

    They are the same thing said twice, where one is a part of the other, as of `1.0.0` and `v1.0.0`. Any other
    difference, as of `1.0.0` and `latest`, says nothing of what will answer, unless what runs now is to keep a share of
    the traffic (`shared`), which is known by the version that answers.
    """
    pairs = unlike(versions, running)
    return next((pair for pair in pairs if shared or pair[0] in pair[1] or pair[1] in pair[0]), None)


def renamed(versions: t.Collection[str], running: t.Collection[str]) -> dict[str, str]:
    """The version that answers by the one that the image says, where the two differ and each is the only one."""
    pairs = unlike(versions, running)
    return {pairs[0][1]: pairs[0][0]} if len(pairs) == len(versions) == 1 else {}


BY_TWO_NAMES = (
    "if these are two names of one version, set version_of to how one comes from the other, or version_from of the "
    "entry to where else an answer names its version"
)


def other_names(
    was: t.Mapping[str, str], expected: t.Collection[str], counts: t.Collection[str], before: t.Collection[str]
) -> str:
    """What to do where nothing of what is expected answers, and it may answer by another name; else empty.

    That is so where image and answer differed before the change (`was`), and where one version alone answers that did
    not before.
    """
    if not counts or set(expected) & set(counts):
        return ""
    if was:
        said = " and ".join(f"the images named {image} and the answers {answer}" for image, answer in was.items())
        return f"Before the change {said}: {BY_TWO_NAMES}"
    if len(counts) == len(expected) == 1 and not set(counts) & {*before, UNNAMED}:
        return f"The images name {next(iter(expected))} and the answers {next(iter(counts))}: {BY_TWO_NAMES}"
    return ""


def is_down(errors: t.Collection[str]) -> bool:
    """Whether all of these errors are such that an application without a ready pod makes them."""
    return bool(errors) and all(error.startswith(_DOWN) for error in errors)


def may_pass(errors: t.Collection[str]) -> bool:
    """Whether these errors are such that the next requests may get answers, as while a cluster settles."""
    return bool(errors) and all(is_broken([error]) or is_unserved([error]) or "timeout" in error for error in errors)


def is_unserved(errors: t.Collection[str]) -> bool:
    """Whether nothing listens where these errors come from, so that every user gets them."""
    ends = ("connection refused", "connection refused)", "no ready endpoint)", "no such port)")
    return bool(errors) and all(error.endswith(ends) for error in errors)


def is_broken(errors: t.Collection[str]) -> bool:
    """Whether these errors are answers of the application, or of what is in front of it: somebody is there.

    What an API server says of a backend that it could not ask, as in `HTTP 503 (connection refused)`, is no answer.
    """
    return bool(errors) and all(re.fullmatch(r"HTTP 5\d\d", error) for error in errors)


def names_a_place(entry: t.Mapping[str, t.Any]) -> bool:
    """Whether an entry says where users come in."""
    return any(entry.get(key) is not None for key in PLACE)


MOST = 500  #: requests before a change at most: a service that loses 1% is known by them
KNOWN = 100  #: requests before a change that tell how many are lost always: of five, one that is lost tells nothing
SURELY = 1.645  #: the quantile of the normal distribution that is exceeded in 5 of 100


def enough(min_success: float) -> int:
    """How many requests before a change show how many are lost always: about as many as judge it by `min_success`.

    Where none may be lost, one that always is must be known, however few requests judge the change.
    """
    if min_success >= 1:
        return MOST
    return max(KNOWN, min(MOST, _statistics.needed(_statistics.Standard({}, min_success=min_success))))


def least(min_success: float, baseline: t.Mapping[str, t.Any] | None) -> float:
    """The share of requests that must be answered after a change: as asked for, or as before it where that was less.

    Where some were lost before, as many more may be as is 95% sure that are lost always: with none of 500 it is not
    known, but more than 0.6% are unlikely, with 5 of 500 it may be 2.1%. Fewer than `KNOWN` requests excuse nothing,
    nor do those that were refused for their number: which others would have been lost is not known.
    """
    samples, errors = (baseline or {}).get("samples") or 0, (baseline or {}).get("errors") or {}
    lost = sum(errors.values()) - _limited(errors)
    if not lost or lost >= samples or samples < KNOWN:  # what was down has to be good once it is up
        return min_success
    most = (lost + SURELY**2 / 2 + SURELY * math.sqrt(lost + SURELY**2 / 4)) / samples
    return min(min_success, max(0.0, 1 - most))


def excusing(found: t.Mapping[str, t.Any], alone: t.Mapping[str, t.Any] | None) -> dict[str, t.Any]:
    """What users get before a change, with what of it says how many requests are lost always.

    That is what was seen of the version that is to stay, or to be judged by, while it was `alone`, where another one
    has a part of the traffic by now: what is lost now may be lost by that.
    """
    if alone is None:
        return dict(found)
    known = {"samples": alone.get("samples", 0), "errors": dict(alone.get("errors") or {})}
    services = {name: {**each, **known} for name, each in (found.get("services") or {}).items()}
    return {**found, **known, **({"services": services} if services else {})}


UNCHANGED = "Nothing was changed, as what users get could not be verified"
UNVERIFIED = "-e unverified=true makes the change anyway, and its verdict is unverified"
SOURCES = "With source: endpoints in the entry, the images of ready pods are judged without requests, which proves less"


FEW = 0.01  #: the share of requests that may be refused for that
LIMITED = "HTTP 429"  #: begins what somebody is answered who asks more often than is let in


def _limited(errors: t.Mapping[str, int]) -> int:
    return sum(count for error, count in errors.items() if error.startswith(LIMITED))


def limited(seen: t.Mapping[str, t.Any]) -> str:
    """Why nothing is changed where requests are let in less often than a verification makes them; else ""."""
    if _limited(seen["errors"]) <= seen["samples"] * FEW:
        return ""
    said = summary(seen["errors"], f" to {seen['url']}", sum(seen["counts"].values()))
    return f"{UNCHANGED}: {said}. {_sentence(_remedies.remedy(LIMITED))}; {UNVERIFIED}."


def refusal(seen: t.Mapping[str, t.Any], instead: str = "") -> str:
    """Why nothing is changed where no request gets a good answer, and what to do.

    `instead` is the Service that would be asked without the entry that is given.
    """
    entry = f" That is the entry that is configured; without it, requests go to Service {instead}." if instead else ""
    where = f" to {seen['url']}" + (f", port {seen['port']}," if seen.get("port") else "")
    return (
        f"{UNCHANGED}: {summary(seen['errors'], where)}. {_remedy(seen['errors'])}{_ports(seen)}.{entry} {SOURCES}; "
        f"{UNVERIFIED}."
    )


def summary(errors: t.Mapping[str, int], where: str = "", answered: int = 0) -> str:
    """How many requests were lost, and why."""
    listed = ", ".join(f"{count} x {error}" for error, count in sorted(errors.items(), key=lambda item: -item[1]))
    lost = sum(errors.values())
    return f"{lost} of {lost + answered} requests{where} got no good answer ({listed})"


def _ports(seen: t.Mapping[str, t.Any]) -> str:
    """What is known of the Service's other ports."""
    others, good = seen.get("other_ports") or [], seen.get("ports_that_answer") or []
    if good:
        return f"; {' and '.join(good)} {'does' if len(good) == 1 else 'do'} answer, which port can be set to"
    return f"; its Service has other ports, none of which answers either: {', '.join(others)}" if others else ""


def _remedy(errors: t.Mapping[str, int]) -> str:
    return _sentence(_remedies.remedy(max(errors, key=lambda error: errors[error], default="")))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def misread(url: str, answer: str, image: str) -> str:
    """Why nothing is changed where answers and images name the same version by different names, and what to do."""
    return (
        f"{UNCHANGED}: {url} answers version {answer}, and the images of the ready pods name {image}. Set version_of "
        f"to how one comes from the other, as version_of: {{prefix: v}} does for v1.0.0 and 1.0.0, container to the "
        "one of several containers that has the version, or version_from of the entry to where else an answer names "
        f"it; {UNVERIFIED}."
    )


def silent(seen: t.Mapping[str, t.Any]) -> str:
    """That users get no good answer after the change, and what to do."""
    answered = sum((seen.get("counts") or {}).values())
    return f"{summary(seen['errors'], ' to ' + seen['url'], answered)}. {_remedy(seen['errors'])}."


def serves_again(verdict: str) -> str:
    """What is said of the version that has all traffic again, by what the requests after that have shown."""
    return {
        "pass": "receives all traffic again",
        "unverified": "has all endpoints again",
        "inconclusive": "has all endpoints again, but too few requests were made to tell whether all are answered",
    }.get(verdict, "does not answer every request either")


def nowhere(what: str) -> str:
    """Why nothing is changed where there is no place to ask, and what to do; `what` is the Deployment."""
    return (
        f"{UNCHANGED}: no Service leads to {what}, and no entry says where users come in. Set the entry, or source: "
        f"pods in it to judge by the images of the ready pods; {UNVERIFIED}."
    )


def allowed(why: str) -> str:
    """What is said of a change that was made without a way to verify it."""
    return f"what users get was not verified, as unverified=true allows: {why.rstrip('.')}"
