# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run did and proved, in one typed shape for every strategy, and the words for it. Pure functions.

Roles print it, fleets pool it, CI and AWX read it. docs/outcome.md is its reference.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone

from ansible_collections.convoy.rollout.plugins.module_utils._proof import _ending
from ansible_collections.convoy.rollout.plugins.module_utils._run._journal import Event

FORMAT = 1  #: the version of the shape; fields are only added within one

Verdict = t.Literal["pass", "fail", "inconclusive", "unverified"]
Ending = t.Literal[
    "success", "unverified", "check mode", "refused", "failed", "rolled back", "taken over", "interrupted"
]
#: Endings with which the play does not fail: what was asked for is done, verified or not, or would be.
DONE = ("success", "unverified", "check mode")


@dataclass(frozen=True)
class Outcome:
    """A run, from what was requested to what users get now."""

    strategy: str
    application: str
    namespace: str
    cluster: str  #: the host of the inventory
    requested: t.Mapping[str, t.Any] = field(default_factory=dict)
    before: t.Any = None  #: what users got before: a version, or a number of replicas
    target: t.Any = None  #: what they were to get
    after: t.Any = None  #: what they get now; None where nobody can tell
    verdict: Verdict = "unverified"
    #: What the verdict rests on: versions, requests (lost ones, where answers name no version), endpoints or pods (by
    #: their images, without requests), or nothing.
    verified_by: str = "nothing"
    ending: Ending = "success"
    changed: bool = False
    samples: int = 0  #: requests made meanwhile
    lost: int = 0  #: those of them that got no good answer
    errors: t.Mapping[str, int] = field(default_factory=dict)  #: how many were lost, by why
    ended: t.Optional[t.Mapping[str, t.Any]] = None  #: what was lost while pods ended, by which no version is judged
    warnings: t.Sequence[str] = ()  #: what the run warned of when it began
    watched: t.Optional[t.Mapping[str, t.Any]] = None  #: what steady requests saw during the whole run
    evidence: t.Sequence[t.Mapping[str, t.Any]] = ()  #: each verification: what was verified, how, and the verdict
    applications: t.Sequence[t.Mapping[str, t.Any]] = ()  #: what runs now, where the strategy reads that
    reason: str = ""  #: why it did not succeed, in one sentence with its remedy
    log: str = ""  #: the last lines of the log of what failed
    way_back: str = ""  #: what to type to have `before` again
    message: str = ""  #: the run in one sentence
    lines: t.Sequence[str] = ()  #: what a person is shown
    started: str = ""  #: RFC 3339
    seconds: float = 0.0
    ended_at: float = 0.0  #: seconds since 1970

    @property
    def failed(self) -> bool:
        """Whether the play has to fail."""
        return self.ending not in DONE

    def facts(self) -> dict[str, t.Any]:
        """What a task returns and a role keeps."""
        return {"format": FORMAT, "failed": self.failed, **asdict(self)}


def outcome(events: t.Sequence[Event], ended: float) -> Outcome:
    """The outcome of a run whose tasks noted these events; it ended at `ended`, in seconds since 1970.

    - `begun`: strategy, application, namespace, cluster, requested, check_mode
    - `planned`: before, target, headline (what is true on success), would (its words in check mode), way_back, hints
    - `changed`: message
    - `serving`: version, what users get from now on; None while nobody can tell
    - `verified`: what, verdict, message and facts of the samples; `final` where the run stands or falls by it. A run
      that comes to its end has one of those, if only to say that nothing could be verified
    - `starting`, `switching`: a change is about to be made, or was under way when the run began
    - `told`: message, what is true at the end in the place of the plan's headline, and lines to show below it
    - `failed`: message, and taken_over where the lock was lost
    - `taken_back`: message, complete
    - `left`: message, what users get now where nothing is taken back
    - `runs`: applications, what runs now, as application_info returns it
    - `watched`: the report of the watch
    - `ended`: pods that were seen to end, with their versions, `lost` requests that were made meanwhile, by why, and
      from when (`first`) to when (`newest`) pods were told to end, in seconds since 1970
    """
    begun = _last(events, "begun") or {}
    planned = _last(events, "planned") or {}
    failure = next((event for event in events if event["kind"] == "failed"), None)
    lost_lock = next((event for event in events if event.get("taken_over")), None)
    back = _last(events, "taken_back")
    watched = _last(events, "watched")
    changed = any(event["kind"] == "changed" for event in events)
    verified = [event for event in events if event["kind"] == "verified"]
    began = changed or any(
        event["kind"] in ("starting", "switching") or (event["kind"] == "verified" and event.get("final"))
        for event in events
    )
    told = _last(events, "told") or {}
    check_mode = bool(begun.get("check_mode"))
    serving = _last(events, "serving")
    why = lost_lock or failure
    ending: Ending = (
        "taken over"
        if lost_lock
        else "rolled back"
        if failure and back and back.get("complete")
        else "refused"
        if failure and not began
        else "failed"
        if failure
        else "check mode"
        if check_mode
        else "success"
        if any(event.get("final") for event in verified)
        else "interrupted"
    )
    reason, log = _split(str(why["message"])) if why else ("", "")
    if ending == "interrupted":
        reason = "The run was interrupted before its end; run the playbook again, and it goes on."
    counted = watched if watched and watched.get("samples") else _counted(verified)
    verdict = _verdict(ending, verified)
    if ending == "success" and verdict == "unverified":
        ending = "unverified"  # it came to its end, and has proved nothing
    headline = str(told.get("message") or planned.get("would" if check_mode else "headline") or "")
    after = serving["version"] if serving else planned.get("before")
    if ending in ("taken over", "interrupted") and changed:
        after = None  # another run may be at work, or a change under way
    result = Outcome(
        strategy=begun.get("strategy", ""),
        application=begun.get("application", ""),
        namespace=begun.get("namespace", ""),
        cluster=begun.get("cluster", ""),
        requested=begun.get("requested", {}),
        before=planned.get("before"),
        target=planned.get("target"),
        after=after,
        verdict=verdict,
        verified_by=_verified_by(verified),
        ending=ending,
        changed=changed and not check_mode,
        samples=int(counted.get("samples") or 0),
        lost=sum((counted.get("errors") or {}).values()),
        errors=counted.get("errors") or {},
        ended=_ended(events, planned, watched),
        warnings=planned.get("warnings") or [],
        watched=_bare({key: value for key, value in watched.items() if key != "losses"}) if watched else None,
        evidence=[_bare(event) for event in verified],
        applications=(_last(events, "runs") or {}).get("applications", ()),
        reason=reason,
        log=log,
        way_back=str(planned.get("way_back") or ""),
        started=_time(events[0]["at"]) if events else "",
        seconds=round(ended - events[0]["at"], 1) if events else 0.0,
        ended_at=ended,
    )
    message = _failure(result, back, _last(events, "left")) if result.failed else _done(result, headline)
    return Outcome(**{**vars(result), "message": message, "lines": _lines(result, headline, planned, watched, told)})


def _last(events: t.Sequence[Event], kind: str) -> Event | None:
    return next((event for event in reversed(events) if event["kind"] == kind), None)


def _bare(event: Event) -> Event:
    return {key: value for key, value in event.items() if key != "kind"} | {"at": _time(event["at"])}


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds")


def _split(message: str) -> tuple[str, str]:
    """The sentence, and the lines behind it."""
    first, _end, rest = message.partition("\n")
    return first.rstrip(".") + ".", rest


def _counted(verified: t.Sequence[Event]) -> Event:
    return next((event for event in reversed(verified) if event.get("samples")), {})


EARLY = 2.0  #: seconds before pods were seen to end in which they may have been told to


def _ended(events: t.Sequence[Event], planned: Event, watched: Event | None) -> dict[str, t.Any] | None:
    """What was lost while pods ended, and why; None where nothing was."""
    noted = [event for event in events if event["kind"] == "ended"]
    pods = {name: version for event in noted for name, version in event["pods"].items()}
    errors: Counter[str] = Counter()
    for event in noted:
        errors.update(event["lost"])
    spans = [(event["first"], event["newest"]) for event in noted if event["first"] is not None]
    for at, error in (watched or {}).get("losses") or []:
        if _ending.is_lost(error) and any(
            first - EARLY <= at <= newest + _ending.FOLLOW_SLOWLY for first, newest in spans
        ):
            errors[error] += 1
    lost = sum(errors.values())
    if not lost:
        return None
    endings = planned.get("endings") or []
    lacking = next((each for each in endings if each["lacks"]), None)
    if lacking:
        cause = f"they {lacking['lacks']}; {lacking['remedy']}"
    else:
        seconds = next((each["seconds"] for each in endings if each["seconds"]), None)
        drained = f"though they drain for {seconds:g} s" if seconds else "see how they end"
        cause = (
            f"{drained}; find out how long the proxies and load balancers in front of them take to follow, and give "
            "them a longer drain"
        )
    by_version = dict(Counter(pods.values()))
    return {
        "pods": by_version,
        "lost": lost,
        "errors": dict(errors),
        "cause": cause,
        "message": _ending.said(lost, by_version, cause),
    }


def _verdict(ending: Ending, verified: t.Sequence[Event]) -> Verdict:
    """The worst of what the run stands or falls by; what was not verified is `unverified`."""
    if ending == "check mode":
        return "unverified"
    if ending != "success":
        return "fail"
    final = {event["verdict"] for event in verified if event.get("final")}
    order: tuple[Verdict, ...] = ("fail", "unverified", "inconclusive", "pass")
    return next((verdict for verdict in order if verdict in final), "unverified")


def _verified_by(verified: t.Sequence[Event]) -> str:
    """The weakest of what the run stands or falls by; pods are counted beside requests, and say less."""
    found = {str(event.get("by")) for event in verified if event.get("final")}
    asked = next((by for by in ("nothing", "endpoints", "requests", "versions") if by in found), "")
    return asked or ("pods" if "pods" in found else "nothing")


def _failure(result: Outcome, back: Event | None, left: Event | None) -> str:
    """The one sentence of a run that failed, what users get now, and why."""
    sentence = f"{back['message'].rstrip('.')}. {result.reason}" if back else result.reason
    if left:
        sentence += f" {left['message']}"
    elif not back and isinstance(result.after, str) and result.ending in ("failed", "refused"):
        sentence += f" Users get {result.after} as before."
    if result.watched and result.watched.get("message"):
        sentence += f" Meanwhile: {result.watched['message']}"
    if result.ended:
        sentence = f"{sentence.rstrip('.')}. {result.ended['message']}."
    return sentence + (f"\n{result.log}" if result.log else "")


def _done(result: Outcome, headline: str) -> str:
    """What was done, in one sentence, and why nothing is proved of it where that is so."""
    if result.ending != "unverified":
        return headline
    return f"{headline.rstrip('.')}. Unverified: {_unproved(result).rstrip('.')}."


def _unproved(result: Outcome) -> str:
    """Why what the run stood or fell by was not verified."""
    why = [
        str(event["message"]) for event in result.evidence if event.get("final") and event["verdict"] == "unverified"
    ]
    return "; ".join(why)


def _lines(result: Outcome, headline: str, planned: Event, watched: Event | None, told: Event) -> list[str]:
    if result.failed:
        return []
    final = [event for event in result.evidence if event.get("final")]
    observed = [
        ("unverified: " if event["verdict"] == "unverified" else "observed: ")
        + event["message"]
        + (f" by {event['url']}" if event.get("url") else "")
        for event in final
    ]
    return [
        headline,
        *(observed if result.ending != "check mode" else []),
        *([f"watched: {watched['message']}"] if watched else []),
        *([f"lost: {result.ended['message']}"] if result.ended else []),
        *(planned.get("hints") or []),
        *(told.get("lines") or []),
    ]
