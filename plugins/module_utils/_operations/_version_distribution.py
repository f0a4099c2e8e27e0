# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin version_distribution do."""

from __future__ import annotations

import math
import time
import typing as t
from collections import Counter
from contextlib import closing
from dataclasses import replace
from functools import cached_property, partial

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _endings
from ansible_collections.convoy.rollout.plugins.module_utils._proof import (
    _baseline,
    _order,
    _sequential,
    _settling,
    _statistics,
)
from ansible_collections.convoy.rollout.plugins.module_utils._run import _companion, _run
from ansible_collections.convoy.rollout.plugins.module_utils._traffic import (
    _answers,
    _clients,
    _remedies,
    _sampler,
    _target,
    _versions,
    _watch,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _images, _namespace, _place, _reachable

SOURCES = ("traffic", "endpoints", "pods")
RATE = 200.0  #: requests a second of a look at most, where neither it nor the entry says how many
LOOKS = 0.8  #: the part of an entry's requests a second that looks make; the watch beside them makes the others
RISK = 0.01  #: the probability of error that the verdicts of a run share out

#: How a Service or a URL is asked, and its answers are read: what an entry has under the same names.
ASKED: dict[str, t.Any] = {
    "port": {"type": "str"},
    "scheme": {"type": "str", "choices": ["http", "https"]},
    "path": {"type": "str"},
    "url": {"type": "str"},
    "via": {"type": "str", "choices": ["auto", "url", "proxy"]},
    "version_from": {
        "type": "dict",
        "options": {name: {"type": "str"} for name in _versions.SOURCES},
        "mutually_exclusive": [_versions.SOURCES],
    },
    "headers": {"type": "dict", "no_log": True},  # there may be a token among them
    "server_name": {"type": "str"},
    "source": {"type": "str", "choices": list(SOURCES)},
    "max_p99": {"type": "float"},
    "rate_limit": {"type": "float"},
}
#: What an entry has under another name.
OF_ENTRY = {"service": "name", "validate_certs": "target_validate_certs", "ca_cert": "target_ca_cert"}

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    **_run.OPTION,
    **ASKED,
    "entry": {
        "type": "dict",
        "options": {
            **ASKED,
            "service": {"type": "str"},
            "validate_certs": {"type": "bool"},
            "ca_cert": {"type": "path"},
        },
    },
    "state": {"type": "str", "choices": ["sampled", "watch", "watched"], "default": "sampled"},
    "watch": {"type": "dict"},
    "interval": {"type": "float", "default": 0.05},
    "watch_limit": {"type": "int", "default": 3600},
    "namespace": {"type": "str"},
    "name": {"type": "str"},
    "application_service": {"type": "str"},
    "source": {**ASKED["source"], "default": "traffic"},
    "container": {"type": "str"},
    "version_of": _images.RULE_OPTION,
    "agree": {"type": "list", "elements": "str", "choices": list(SOURCES), "default": []},
    "path": {"type": "str", "default": "/version"},
    "via": {**ASKED["via"], "default": "auto"},
    "unversioned": {"type": "bool", "default": False},
    "headers": {**ASKED["headers"], "default": {}},
    "target_validate_certs": {"type": "bool", "default": True},
    "target_ca_cert": {"type": "path"},
    "expected": {"type": "dict", "default": {}},
    "expected_from": {"type": "str", "choices": ["endpoints"]},
    "tolerance": {"type": "float"},
    "confidence": {"type": "float", "default": 1 - RISK},
    "min_success": {"type": "float", "default": 1.0},
    "family_size": {"type": "int", "default": 1},
    "samples": {"type": "int"},
    "max_samples": {"type": "int"},
    "source_addresses": {"type": "list", "elements": "str", "default": []},
    "requests_per_client": {"type": "int", "default": 3},
    "concurrency": {"type": "int", "default": 16},
    "rate_limit": {"type": "float"},
    "request_timeout": {"type": "float", "default": 5.0},
    "timeout": {"type": "float"},
    "on_inconclusive": {"type": "str", "choices": ["fail", "pass", "pause"], "default": "fail"},
    "fail_on": {"type": "str", "choices": ["fail", "inconclusive", "never"], "default": "fail"},
    "settle": {"type": "int", "default": 0},
    "settles": {"type": "str", "choices": list(_settling.SETTLED), "default": "shares"},
    "evidence": {"type": "str", "default": "traffic"},
    "final": {"type": "bool", "default": True},
}


def entered(options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options, with what the entry says in the place of theirs."""
    said = {key: value for key, value in (options["entry"] or {}).items() if value is not None}
    asked = options["rate_limit"]
    rate = look_rate(said) if asked is None else pace(said, asked or math.inf)
    said["rate_limit"] = 0.0 if math.isinf(rate) else rate
    return {**options, **{OF_ENTRY.get(key, key): value for key, value in said.items()}}


def look_rate(entry: t.Mapping[str, t.Any] | None) -> float:
    """How many requests a second a look makes at most: as many as the entry allows, more than `RATE` or fewer."""
    return RATE if (entry or {}).get("rate_limit") is None else pace(entry, math.inf)


def rate_by(via: str, options: t.Mapping[str, t.Any]) -> float:
    """How many requests a second a look makes at most by a way, 0 for no limit.

    What an entry takes, the API server on the way to it need not take.
    """
    rate: float = options["rate_limit"]
    of_entry = (options["entry"] or {}).get("rate_limit") is not None
    return min(rate or math.inf, RATE) if via == "proxy" and of_entry else rate


def pace(entry: t.Mapping[str, t.Any] | None, most: float, *, watch: bool = False) -> float:
    """How many of `most` requests a second a look may make, or a watch: what an entry allows is for both together."""
    allowed = (entry or {}).get("rate_limit")
    if not allowed:
        return most
    return min(most, allowed * (1 - LOOKS if watch else LOOKS))


def wait_out(begun: float, seconds: float) -> None:
    """Wait for what is left of so many seconds since `begun`, as time.monotonic has it.

    What is watched for a time has few requests where an entry allows few, and they may take less than that time.
    """
    time.sleep(max(0.0, begun + seconds - time.monotonic()))


def _samples(options: t.Mapping[str, t.Any]) -> bool:
    """Whether any requests are made."""
    return options["state"] != "sampled" or "traffic" in (options["source"], *options["agree"])


def _counted_sources(options: t.Mapping[str, t.Any]) -> set[str]:
    """Which of endpoints and pods are counted in the cluster."""
    return {options["source"], options["expected_from"], *options["agree"]} & {"endpoints", "pods"}


UNJUDGED = 100  #: samples where no shares are expected
DEFAULT_MOST = 1000  #: samples that are made at most where that is not said, if that is enough
AGAIN = 1.05  #: how many times as many samples there are when those that depend on each other are judged again


def checked(options: t.Mapping[str, t.Any]) -> dict[str, float]:
    """The expected shares, after a look at every number. Raises Failure."""
    allowed = (options.get("entry") or {}).get("rate_limit")
    if allowed is not None and allowed < 0:
        raise Failure(f"rate_limit of the entry is {allowed:g}; the least that works is 0, which sets no limit.")
    for name, least in (
        ("samples", 1),
        ("max_samples", 1),
        ("family_size", 1),
        ("requests_per_client", 1),
        ("concurrency", 1),
        ("rate_limit", 0),
    ):
        if options[name] is not None and options[name] < least:
            raise Failure(f"{name} is {options[name]}; it must be at least {least}.")
    for name in ("request_timeout", "timeout", "max_p99", "interval", "watch_limit"):
        if options[name] is not None and options[name] <= 0:
            raise Failure(f"{name} is {options[name]}; it must be more than 0 seconds.")
    for name in ("tolerance", "min_success"):
        if options[name] is not None and not 0 <= options[name] <= 1:
            raise Failure(f"{name} is {options[name]}; it must be a share from 0 to 1.")
    if not 0 < options["confidence"] < 1:
        raise Failure(f"confidence is {options['confidence']}; it must be between 0 and 1, such as 0.99.")
    sent = [str(part) for pair in options["headers"].items() for part in pair]
    if any(c in part for part in sent for c in "\r\n") or any(c.isspace() for c in options["path"]):
        raise Failure("path must not contain white space, nor headers line breaks.")
    if not options["url"] and not options["name"] and not (options["application_service"] and not _samples(options)):
        raise Failure("Set name, the Service to sample, or url.")
    if options["source_addresses"] and not (options["state"] == "sampled" and _samples(options)):
        raise Failure("source_addresses goes with state=sampled and samples of traffic only; leave it out.")
    if options["expected"] and options["expected_from"]:
        raise Failure("Set expected or expected_from, not both.")
    needed = _counted_sources(options)
    if needed and not (options["application_service"] or options["name"]):
        raise Failure(f"Set application_service, the Service whose {' and '.join(sorted(needed))} are meant.")
    shares: dict[str, float] = {}
    for version, share in options["expected"].items():
        try:
            shares[str(version)] = float(share)
        except (TypeError, ValueError):
            raise Failure(f"expected: the share of {version} is {share!r}; it must be a number from 0 to 1.") from None
        if not 0 <= shares[str(version)] <= 1:
            raise Failure(f"expected: the share of {version} is {share}; it must be from 0 to 1.")
    if shares and abs(sum(shares.values()) - 1) > 1e-6:
        raise Failure(f"expected: the shares add up to {sum(shares.values()):g}; they must add up to 1.")
    return shares


class _Service:
    """The Service that is judged, as the cluster has it. Each object is read once, when it is first asked for."""

    def __init__(self, options: t.Mapping[str, t.Any], environ: t.Mapping[str, str]) -> None:
        self._options, self._environ = options, environ
        self._services: dict[str, _api.Object] = {}

    @cached_property
    def _server(self) -> _api.Api:
        return _api.api(self._options, self._environ)

    def named(self, name: str) -> _api.Object:
        """A Service. Raises Failure."""
        if name not in self._services:
            namespace = self._options["namespace"]
            try:
                self._services[name] = self._server.get(_api.path_of("services", namespace, name))
            except _api.ApiError as error:
                if error.status != 404:
                    raise
                _place.check_namespace(self._server, namespace)
                raise Failure(
                    f"There is no Service {name} in namespace {namespace}; create it, or name another."
                ) from error
        return self._services[name]

    @cached_property
    def slices(self) -> list[_api.Object]:
        """The EndpointSlices of the Service that the versions are behind. Raises ApiError."""
        return _namespace.slices(self._server, self._options["namespace"], _application(self._options))

    @cached_property
    def pods(self) -> list[_api.Object]:
        """The pods that it selects. Raises Failure."""
        name = _application(self._options)
        selector = (self.named(name).get("spec") or {}).get("selector") or {}
        if not selector:
            raise Failure(f"Service {name} has no selector, so the pods behind it are not known; use source=traffic.")
        selected = ",".join(f"{key}={value}" for key, value in selector.items())
        path = _api.path_of("pods", self._options["namespace"])
        return self._server.items(path, labelSelector=selected)

    def counted(self, source: str) -> Counter[str]:
        """How many ready endpoints, or ready pods, each version has. Raises Failure."""
        reads = self._options["container"] or "", _images.rule(self._options["version_of"])
        if source == "pods":
            return _reachable.by_pods(self.pods, *reads)
        return _reachable.by_endpoints(self.slices, self.pods, *reads)

    def way(self) -> _target.Way:
        """How it is reached. Raises Failure."""
        if self._options["url"]:
            return _target.Way("url", self._options["url"], _target.by_url(self._options["url"], self._options))
        return _target.by_service(self.named(self._options["name"]), self._server, self._options)

    def close(self) -> None:
        """Close the connection to the API server."""
        if "_server" in vars(self):
            self._server.close()


def _watch_started(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Begin to sample beside the run, one request each interval."""
    read_version = _read_version(options)
    with closing(_Service(options, task.environ)) as service:
        way = service.way()
    rate = pace(options["entry"], 1 / options["interval"], watch=True)
    if options["rate_limit"]:
        rate = min(rate, options["rate_limit"])

    def sampling(stop: _companion.Stop) -> dict[str, t.Any]:
        tally = _watch.Tally(time.monotonic(), time.time())
        why = ""
        try:
            _sampler.sample(
                way.target,
                read_version,
                tally.add,
                concurrency=options["concurrency"],
                timeout=options["request_timeout"],
                rate=_sampler.Rate(rate, steady=True),
                stop=stop,
            )
        except Failure as failure:  # what was seen until then is still worth to be told
            why = failure.message
        return dict(tally.report(time.monotonic()), via=way.via, url=way.url, **({"stopped": why} if why else {}))

    handle = _companion.start(sampling, name="convoy-watch", owner=task.owner, maximum=options["watch_limit"])
    return {"changed": False, "watch": handle, "via": way.via, "url": way.url, "message": f"watching {way.url}"}


def _read_version(options: t.Mapping[str, t.Any]) -> _sampler.Reader:
    read = _versions.reader(
        {name: value for name, value in (options["version_from"] or {}).items() if value is not None}
    )
    return _versions.lenient(read) if options["unversioned"] else read


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Sample, count and judge, or begin or end a watch. Raises Failure, with everything that was counted."""
    if options["state"] == "watched":
        if not options["watch"]:
            raise Failure("Set watch to what the task with state=watch returned under that name.")
        found = _companion.finish(options["watch"], options["request_timeout"] + _companion.END)
        if found.get("stopped"):
            found["message"] += f"; it ended before its time: {found['stopped']}"
            raise Failure(found["message"], dict(found, changed=False))
        return dict(found, changed=False)
    options = entered(options)
    if options["state"] == "watch":
        checked(options)
        return _watch_started(options, task)
    return _run.in_run(_verified, options, task)


#: The shares that are expected at a look, read again for each: given whether it is the last one, None where there is
#: nothing to judge yet.
Expecting = t.Callable[[bool], "dict[str, float] | None"]


def _verified(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    return verified(options, task.environ, run)


def verified(
    options: t.Mapping[str, t.Any],
    environ: t.Mapping[str, str],
    run: _run.Run,
    expecting: Expecting | None = None,
    endings: _endings.Endings | None = None,
) -> dict[str, t.Any]:
    """Judge what users get, and note it for the run. Raises Failure where the verdict is not as it has to be."""
    # What was lost before the run changed anything may be lost now.
    min_success = _baseline.least(options["min_success"], run.handle.get("baseline"))
    family = options["family_size"] * run.handle.get("family", 1)
    options = {**options, "min_success": min_success, "family_size": family}
    try:
        result = looked(options, environ, expecting, endings, run)
        if options["final"]:
            run.stand()
    except Failure as failure:
        if "verdict" in failure.facts:
            run.verified(options["evidence"], failure.facts, final=options["final"])
        raise
    run.verified(options["evidence"], {"by": _by(result), **result}, final=options["final"])
    only = next(iter(options["expected"]), None) if len(options["expected"]) == 1 else None
    if options["final"] and only is not None and result["verdict"] == "pass":
        run.journal.note("serving", version=only)
    return result


def _by(result: t.Mapping[str, t.Any]) -> str:
    """What a verdict rests on."""
    if result["via"] in ("endpoints", "pods"):
        return str(result["via"])
    return "requests" if set(result["counts"]) == {_versions.UNNAMED} else "versions"


def looked(
    options: t.Mapping[str, t.Any],
    environ: t.Mapping[str, str],
    expecting: Expecting | None = None,
    endings: _endings.Endings | None = None,
    run: _run.Run | None = None,
) -> dict[str, t.Any]:
    """What the last of several looks saw, a second apart, while a cluster may still settle. Raises Failure.

    The probability of error is split across the looks, so that what is wrong has no more chances to pass than in one.
    Where a change ends pods, `endings` looks out for them: a look that lost requests for it is no look, and is
    repeated. With a `run`, what that gave the cluster is held against what is there before each look and after the last
    one.
    """
    try:
        return _settled(options, environ, expecting, endings, run)
    finally:
        if endings:
            endings.note()


def _settled(
    options: t.Mapping[str, t.Any],
    environ: t.Mapping[str, str],
    expecting: Expecting | None,
    endings: _endings.Endings | None,
    run: _run.Run | None,
) -> dict[str, t.Any]:
    if options["settle"] < 0:
        raise Failure(f"settle is {options['settle']}; it must not be negative.")
    options = entered(options)
    checked(options)
    split = {**options, "looks": options["settle"] + 1}
    settled = _settling.SETTLED[options["settles"]]
    failure: Failure | None = None
    result: dict[str, t.Any] = {}
    attempt, slow_looks = 1, 0
    while attempt <= options["settle"] + 1:
        last = attempt == options["settle"] + 1
        if run:
            run.check_given()
        expected = expecting(last) if expecting else options["expected"]
        if endings:
            endings.look()
        if expected is not None:
            failure, result, begun = None, {}, time.monotonic()
            try:
                part = _settling.part(options["settles"], attempt, split["looks"])
                brief = not last and _settling.repeats(options["settles"], options["fail_on"])
                result = _look({**split, "expected": expected, "part": part, "brief": brief}, environ)
            except Failure as error:
                failure, result = error, error.facts
            if endings and result.get("verdict") != "pass" and endings.excuse(result, begun, options["settle"]):
                time.sleep(1)
                continue
            slow_looks += bool(result.get("too_slow"))
            # Endpoints that came or went during a look make its shares those of neither; a lost request is lost.
            moved = expecting is not None and not last and not result.get("errors") and expecting(False) != expected
            if last or (not moved and settled({**result, "slow_looks": slow_looks}, failure is not None, attempt)):
                break
        attempt += 1
        time.sleep(1)
    if failure:
        if endings and endings.failing:
            raise Failure(f"{endings.failing} {failure.message}", failure.facts) from None
        raise failure
    if run:
        run.check_given()
    return result


def _look(options: t.Mapping[str, t.Any], environ: t.Mapping[str, str]) -> dict[str, t.Any]:
    """What one look sees. Raises Failure where the verdict is not as it has to be."""
    expected = checked(options)
    asked = list(dict.fromkeys([options["source"], *options["agree"]]))
    with closing(_Service(options, environ)) as service:
        cluster = {each: service.counted(each) for each in SOURCES if each in _counted_sources(options)}
        if options["expected_from"]:
            expected = _shares(cluster["endpoints"], options)
        others = {each: _shares(cluster[each], options) for each in asked if each != "traffic"}
        wanted = {**({"": expected} if options["source"] == "traffic" else {}), **others}
        if "traffic" in asked and any(0 < share < 1 for shares in wanted.values() for share in shares.values()):
            _refuse_uneven(service, options)
        if "traffic" in asked:
            result = _sampled(options, standards_of(wanted, options), service.way())
            last = not options.get("brief")  # what the next look sees as well need not be explained
            wrong = result["verdict"] == "fail" and not result["errors"]
            if last and wrong and _led_by_others(service, expected, options):
                result["message"] += "; " + _remedies.KEPT.format(name=_application(options))
        else:
            result = _counted(options, cluster[options["source"]])
    told = [
        (result["verdict"], result["message"]),
        *_compared(options, expected, cluster, [*others]),
        *_stale(result["counts"], options.get("replaced") or {}),
    ]
    result["verdict"] = next(each for each in ("fail", "inconclusive", "pass") if each in dict(told))
    result["decision"] = options["on_inconclusive"] if result["verdict"] == "inconclusive" else result["verdict"]
    result["message"] = "; ".join(why for verdict, why in told if why)
    result["sources"] = {each: result["counts"] if each == "traffic" else dict(cluster[each]) for each in asked}
    unsure = options["fail_on"] == "inconclusive" or options["on_inconclusive"] == "fail"
    bad = result["verdict"] == "fail" or (result["verdict"] == "inconclusive" and unsure)
    if options["fail_on"] != "never" and bad:
        raise Failure(f"{result['url']}: {result['message']}", result)
    return result


def _stale(counts: t.Collection[str], replaced: t.Mapping[str, str]) -> list[tuple[_statistics.Verdict, str]]:
    """What of these versions still answers though another one has replaced it, beside that one unless that is empty."""
    return [
        ("fail", f"{was} was replaced, but still answers: find what else leads to it, a proxy, a cache or another pod")
        for was, new in replaced.items()
        if was in counts and (not new or new in counts)
    ]


def _led_by_others(service: _Service, expected: t.Mapping[str, float], options: t.Mapping[str, t.Any]) -> bool:
    """Whether what is asked stands before the Service of the versions, whose ready endpoints are as expected."""
    name = _application(options)
    if not expected or not name or name == options["name"]:
        return False
    try:
        ready = service.counted("endpoints")
    except Failure:  # not everybody may read them
        return False
    every = all(ready[version] for version, share in expected.items() if share)
    return every and _reachable.judge(ready, expected, _room(options), "", name)[0] == "pass"


def _application(options: t.Mapping[str, t.Any]) -> str:
    """The Service that the versions are behind."""
    return t.cast(str, options["application_service"] or options["name"] or "")


def _shares(counts: t.Mapping[str, int], options: t.Mapping[str, t.Any]) -> dict[str, float]:
    """The share of each version. Raises Failure where there is nothing to share."""
    total = sum(counts.values())
    if not total:
        raise Failure(
            f"Service {_application(options)} in namespace {options['namespace']} has no ready endpoints; "
            "deploy its application, or wait until a pod is ready."
        )
    return {version: count / total for version, count in counts.items()}


def _refuse_uneven(service: _Service, options: t.Mapping[str, t.Any]) -> None:
    """Raise Failure where samples cannot tell shares. Who may not list EndpointSlices is not told of their hints."""
    name = _application(options)
    if not name:
        return
    try:
        slices = service.slices
    except _api.ApiError as error:
        if error.status not in (403, 404):
            raise
        slices = []
    clients = bool(options["source_addresses"])
    why = _reachable.uneven(service.named(name), slices, entry=name == options["name"], clients=clients)
    if why:
        raise Failure(why)


def _compared(
    options: t.Mapping[str, t.Any],
    expected: t.Mapping[str, float],
    cluster: t.Mapping[str, t.Mapping[str, int]],
    asked: t.Sequence[str],
) -> list[tuple[_statistics.Verdict, str]]:
    """What is counted in the cluster beside what is expected, and beside what else is counted there."""
    told: list[tuple[_statistics.Verdict, str]] = []
    for each in asked:
        if each == options["source"]:
            why = _reachable.judge(cluster[each], expected, _room(options), f"ready {each}", _application(options))
            told.append(why)
        elif asked[0] != each:
            verdict, why_not = _reachable.judge(
                cluster[asked[0]],
                _shares(cluster[each], options),
                _room(options),
                f"ready {asked[0]}",
                _application(options),
            )
            told.append((verdict, f"{asked[0]} and {each} do not agree: {why_not}" if why_not else ""))
    return told


def _room(options: t.Mapping[str, t.Any]) -> t.Callable[[float], float]:
    """How far a share may be off."""
    return partial(_statistics.tolerated, tolerance=options["tolerance"])


def _counted(options: t.Mapping[str, t.Any], counts: t.Mapping[str, int]) -> dict[str, t.Any]:
    """What is returned where no requests are made."""
    total, source = sum(counts.values()), options["source"]
    shares = {version: count / total for version, count in counts.items()}
    said = ", ".join(f"{version} {count}" for version, count in counts.items()) or "no version"
    return {
        "changed": False,
        "samples": total,
        "counts": dict(counts),
        "errors": {},
        "errors_by_version": {},
        "slow_by": {},
        "effective": total,
        "shares": shares,
        "intervals": {version: [share, share] for version, share in shares.items()},
        "losing": False,
        "too_slow": False,
        "latency": dict.fromkeys(("p50", "p95", "p99")),
        "verdict": "pass",
        "guards": [],
        "missing": None,
        "message": f"{said} of {total} ready {source}",
        "via": source,
        "url": f"Service {_application(options)}",
    }


def _sampled(
    options: t.Mapping[str, t.Any], standards: t.Mapping[str, _statistics.Standard], way: _target.Way
) -> dict[str, t.Any]:
    """Make requests until every standard is settled, and report them. Raises Failure."""
    read_version = _read_version(options)
    clients = _target.clients(way.target, options)
    expecting = any(each.expected or 0 < each.min_success < 1 for each in standards.values())
    enough = max((_statistics.needed(each) for each in standards.values()), default=1)
    least, most = options["samples"] or 1, options["max_samples"] or options["samples"]
    if options.get("part", 1) < 1 and not options["max_samples"]:
        most = max(least, enough)  # a look that others follow has less doubt to spend, whatever was asked of one
    if not most:
        most = max(enough, DEFAULT_MOST if expecting else UNJUDGED)
    elif not expecting and not options["samples"]:
        most = min(most, max(UNJUDGED, enough))
    most = max(least, most)
    standards = {source: replace(each, least=min(each.least, most)) for source, each in standards.items()}
    until = time.monotonic() + options["timeout"] if options["timeout"] else math.inf
    rate = _sampler.Rate(rate_by(way.via, options))
    taken: list[_sampler.Sample] = []
    counts: Counter[str] = Counter()
    slow: Counter[str] = Counter()
    settled = due = 0
    brief = options.get("brief") and not clients
    replaced = options.get("replaced") or {}

    def take(sample: _sampler.Sample) -> bool:
        nonlocal settled, due
        taken.append(sample)
        if sample.error is None:
            counts[t.cast(str, sample.version)] += 1
            slow[t.cast(str, sample.version)] += _is_slow(sample, options["max_p99"])
            none_lost = sum(counts.values()) == len(taken)
            if brief and none_lost and (_is_strange(sample.version, standards) or _stale(counts, replaced)):
                return False
        if settled or len(taken) < max(least, due) or not (expecting or options["samples"]):
            return not settled
        if _judged(counts, len(taken), standards, options, slow)[0] != "inconclusive":
            if _looked(taken, standards, options)[0] != "inconclusive":
                settled = len(taken)
            due = math.ceil(len(taken) * AGAIN)  # their order is looked at as well, which takes longer
        return not settled

    def ask(take: _sampler.Take, most: int, sources: t.Sequence[str]) -> None:
        _sampler.sample(
            way.target,
            read_version,
            take,
            concurrency=options["concurrency"],
            timeout=options["request_timeout"],
            rate=rate,
            most=most,
            until=until,
            sources=sources,
        )

    ask(take, min(most, len(clients) or most), clients)
    result = report(taken, standards, options, settled, "clients" if clients else "requests")
    if clients:
        # Each of them has chosen; then it is seen whether each stays with what it got.
        again: list[_sampler.Sample] = []
        asked = [t.cast(str, sample.source) for sample in taken]

        def keep(sample: _sampler.Sample) -> bool:
            again.append(sample)
            return True

        for _time in range(1, options["requests_per_client"]):
            ask(keep, len(asked), asked)
        _tell_clients(result, [*taken, *again], options, way.sticky)
    result.update(via=way.via, url=way.url, port=way.port, other_ports=list(way.others))
    if way.via == "proxy" and set(result["errors"]) == {_answers.FORBIDDEN} and not result["counts"]:
        raise Failure(
            f"{way.url}: the API server forbids the requests (403); allow this user to get services/proxy.",
            result,
        )
    return result


def _is_strange(version: str | None, standards: t.Mapping[str, _statistics.Standard]) -> bool:
    """Whether a version must not answer at all."""
    return any(each.expected and not each.expected.get(version or "") for each in standards.values())


def _tell_clients(
    result: dict[str, t.Any], taken: t.Sequence[_sampler.Sample], options: t.Mapping[str, t.Any], sticky: bool
) -> None:
    """Add to a report on the clients' first requests what all of their requests say."""
    got, each = _clients.by_client(taken), options["requests_per_client"]
    several = {client: versions for client, versions in got.items() if len(versions) > 1}
    errors = Counter(sample.error for sample in taken if sample.error is not None)
    answered = Counter(_came(taken))
    lost, why = _statistics.judge(answered, len(taken), standards_of({"": {}}, options)[""])
    said = _clients.said(several, len(got), each)
    if sticky and several:
        said += f", and Service {options['name']} has sessionAffinity ClientIP"
    told = [result["message"], said] + ([why()] if lost == "fail" and result["verdict"] != "fail" else [])
    if lost == "fail" or (sticky and several):
        result["verdict"] = "fail"
    elif result["verdict"] == "inconclusive" and len(got) < (options["max_samples"] or DEFAULT_MOST):
        told.append(f"{len(got)} clients are too few, set more source_addresses")
    result.update(
        errors=dict(errors),
        clients={"count": len(got), "requests": len(taken), "one_version": len(got) - len(several), "several": several},
        message="; ".join(told),
    )


def standards_of(
    shares: t.Mapping[str, t.Mapping[str, float]], options: t.Mapping[str, t.Any]
) -> dict[str, _statistics.Standard]:
    """What samples are judged by: the shares that are expected, and those that each source in the cluster says."""
    names = ("tolerance", "confidence", "min_success", "max_p99")
    return {
        source: _statistics.Standard(
            expected,
            family=options["family_size"] * max(1, sum(map(bool, shares.values()))),
            looks=options.get("looks", 1),
            part=options.get("part", 1.0),
            name=_application(options),
            **{name: options[name] for name in names},
        )
        for source, expected in shares.items()
    }


def _judged(
    counts: t.Mapping[str, int],
    total: int,
    standards: t.Mapping[str, _statistics.Standard],
    options: t.Mapping[str, t.Any],
    slow: t.Mapping[str, int],
    order: t.Sequence[str] = (),
) -> tuple[_statistics.Verdict, _statistics.Why]:
    """The worst of the verdicts by each standard."""
    worst: tuple[_statistics.Verdict, _statistics.Why] = ("pass", str)
    fixed = bool(options["samples"]) and total >= options["samples"]
    for source, standard in standards.items():
        verdict, why = _statistics.judge(counts, total, standard, fixed=fixed, order=order, slow=slow)
        if verdict == "fail":
            return verdict, partial(_disagreed, source, why) if source else why
        if verdict != "pass":
            worst = verdict, why
    return worst


def _disagreed(source: str, why: _statistics.Why) -> str:
    return f"traffic and {source} do not agree: {why()}"


def report(
    taken: t.Sequence[_sampler.Sample],
    standards: t.Mapping[str, _statistics.Standard],
    options: t.Mapping[str, t.Any],
    settled: int,
    unit: str = "requests",
) -> dict[str, t.Any]:
    """What the samples, each of a `unit`, come to: counts, shares, intervals, latency (seconds) and the verdict.

    The verdict was found after the first `settled` of them, or not at all with 0. It stands, unless those that were
    on their way then fail it.
    """
    total, judged = len(taken), taken
    verdict, why = _looked(judged, standards, options)
    if verdict != "fail" and 0 < settled < total:
        judged = taken[:settled]
        verdict, why = _looked(judged, standards, options)
    if verdict == "pass" and _looked(judged, standards, options, unseen=True)[0] != "pass":
        verdict, why = "inconclusive", partial(_unseen, judged, options)
    counts = Counter(_came(taken))
    errors = Counter(sample.error for sample in taken if sample.error is not None)
    latency = [sample.seconds for sample in taken if sample.error is None]
    orders = _orders(taken, standards)
    more: list[int | None] = []
    if verdict == "inconclusive":
        alike = any(order.pattern == "alike" for order in orders)  # which no number of requests is sure to help
        more = [None if alike else _statistics.missing(counts, total, each) for each in standards.values()]
    missing = None if None in more else max((each for each in more if each), default=0)
    nothing = verdict == "fail" and bool(errors) and not counts
    reason = why() + (f"; about {missing} more would" if missing else "")
    if nothing:
        reason = _remedies.remedy(errors.most_common(1)[0][0])
    message = _statistics.said(counts, errors, unit)
    answered, slow = sum(counts.values()), _slow(taken, options)
    every = {version: share for each in reversed([*standards.values()]) for version, share in each.expected.items()}
    return {
        "changed": False,
        "samples": total,
        "counts": dict(counts),
        "errors": dict(errors),
        "errors_by_version": dict(
            Counter(sample.version for sample in taken if sample.error is not None and sample.version)
        ),
        "slow_by": dict(slow),
        "effective": min((order.worth(answered) for order in orders), default=answered),
        "shares": {version: count / total for version, count in counts.items()},
        "intervals": {
            version: list(_sequential.interval(counts[version], sum(counts.values()), 1 - options["confidence"]))
            for version in {**counts, **every}
        },
        "losing": any(_statistics.losing(answered, total, each) for each in standards.values()),
        "too_slow": any(_statistics.too_slow(slow, counts, each) for each in standards.values()),
        "latency": {f"p{p}": _statistics.percentile(latency, p / 100) for p in (50, 95, 99)},
        "verdict": verdict,
        "guards": _statistics.guards(counts, every)
        + ([TURNS] if any(each.pattern == "turns" for each in orders) else []),
        "missing": missing,
        "message": message + (f": {reason}" if reason else ""),
    }


TURNS = (
    "the answers alternate, as behind a proxy that uses its endpoints in turn, so the shares vary less than by chance"
)


def _orders(taken: t.Sequence[_sampler.Sample], standards: t.Mapping[str, _statistics.Standard]) -> list[_order.Order]:
    """How the answers of each version whose share is judged lie among the others."""
    judged = {version for each in standards.values() for version, share in each.judged.items() if share < 1}
    came = _came(taken)
    return [_order.order_of([each == version for each in came]) for version in sorted(judged)]


def _came(taken: t.Sequence[_sampler.Sample]) -> list[str]:
    """The versions that answered, one after the other."""
    return [sample.version for sample in taken if sample.version is not None and sample.error is None]


def _looked(
    taken: t.Sequence[_sampler.Sample],
    standards: t.Mapping[str, _statistics.Standard],
    options: t.Mapping[str, t.Any],
    *,
    unseen: bool = False,
) -> tuple[_statistics.Verdict, _statistics.Why]:
    """What samples come to, also by the order in which they came; `unseen` as of _slow."""
    order = _came(taken)
    return _judged(Counter(order), len(taken), standards, options, _slow(taken, options, unseen=unseen), order)


def _unseen(taken: t.Sequence[_sampler.Sample], options: t.Mapping[str, t.Any]) -> str:
    perhaps = sum(_slow(taken, options, unseen=True).values())
    return (
        f"{perhaps} of {len(_came(taken))} answers may have taken more than {options['max_p99']:g} s, as this machine "
        "was too busy to look for them when they came; run it where less else runs"
    )


def _slow(taken: t.Sequence[_sampler.Sample], options: t.Mapping[str, t.Any], *, unseen: bool = False) -> Counter[str]:
    """How many answers of each version took longer than max_p99, or may have while nobody looked."""
    return Counter(t.cast(str, each.version) for each in taken if _is_slow(each, options["max_p99"], unseen=unseen))


def _is_slow(sample: _sampler.Sample, slowest: float | None, *, unseen: bool = False) -> bool:
    seconds = sample.seconds + (sample.unseen if unseen else 0.0)
    return slowest is not None and sample.error is None and seconds > slowest
