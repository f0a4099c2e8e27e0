# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs and CronJobs."""

from __future__ import annotations

import re
import zoneinfo
from typing import Any

from ..errors import Cause
from ..store import Object
from .base import Kind, required, unsupported, wrong
from .pods import default_spec, validate_template

PREFIX = "batch.kubernetes.io/"
_NOT_NEGATIVE = "must be greater than or equal to 0"
_MODES = ["Indexed", "NonIndexed"]


def default_job(spec: dict[str, Any]) -> None:
    """The defaults of a Job's spec, in a Job or in a CronJob's template."""
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    default_spec(template.setdefault("spec", {}))


def validate_job(spec: dict[str, Any], field: str) -> list[Cause]:
    """What is wrong with a Job's spec, apart from its selector."""
    causes = [
        wrong(f"{field}.{key}", spec[key], _NOT_NEGATIVE)
        for key in ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished")
        if spec.get(key) is not None and spec[key] < 0
    ]
    mode = spec.get("completionMode", "NonIndexed")
    if mode not in _MODES:
        causes.append(unsupported(f"{field}.completionMode", mode, _MODES))
    if mode == "Indexed" and spec.get("completions") is None:
        causes.append(required(f"{field}.completions", "when completion mode is Indexed"))
    causes += _failure_policy_causes(spec, f"{field}.podFailurePolicy")
    causes += validate_template(spec["template"], f"{field}.template")
    policy = spec["template"]["spec"].get("restartPolicy")
    if policy == "Always":
        # One that is left out has become Always by now: the API server does not tell them apart either.
        message = 'Required value: valid values: "OnFailure", "Never"'
        causes.append(Cause("FieldValueRequired", message, f"{field}.template.spec.restartPolicy"))
    return causes


_FAILURE_ACTIONS = ["Count", "FailIndex", "FailJob", "Ignore"]


def _failure_policy_causes(spec: Object, field: str) -> list[Cause]:
    policy = spec.get("podFailurePolicy")
    if policy is None:
        return []
    causes: list[Cause] = []
    if spec["template"]["spec"].get("restartPolicy") != "Never":
        message = 'only "Never" is supported when podFailurePolicy is specified'
        causes.append(wrong(f"{field.rpartition('.')[0]}.template.spec.restartPolicy",
                            spec["template"]["spec"].get("restartPolicy"), message))  # fmt: skip
    for index, rule in enumerate(policy.get("rules") or ()):
        where = f"{field}.rules[{index}]"
        if rule.get("action") not in _FAILURE_ACTIONS:
            causes.append(unsupported(f"{where}.action", rule.get("action", ""), _FAILURE_ACTIONS))
        codes = rule.get("onExitCodes")
        if codes is None and not rule.get("onPodConditions"):
            causes.append(wrong(where, "", "specifying one of OnExitCodes and OnPodConditions is required"))
        if codes is not None and codes.get("operator") not in ("In", "NotIn"):
            causes.append(unsupported(f"{where}.onExitCodes.operator", codes.get("operator", ""), ["In", "NotIn"]))
        if codes is not None and codes.get("operator") == "In" and 0 in (codes.get("values") or ()):
            at = f"{where}.onExitCodes.values[{codes['values'].index(0)}]"
            causes.append(wrong(at, 0, "must not be 0 for the In operator"))
    return causes


class JobKind(Kind):
    has_generation = True

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        default_job(spec)
        if spec.get("completions") is None and spec.get("parallelism") is None:
            spec["completions"] = 1
        if spec.get("parallelism") is None:
            spec["parallelism"] = 1
        spec.setdefault("backoffLimit", 2**31 - 1 if spec.get("backoffLimitPerIndex") is not None else 6)
        spec.setdefault("completionMode", "NonIndexed")
        spec.setdefault("suspend", False)
        spec.setdefault("manualSelector", False)
        spec.setdefault("podReplacementPolicy", "TerminatingOrFailed")
        # A Job carries the labels of its pods where it has none of its own.
        if not obj["metadata"].get("labels") and spec["template"]["metadata"].get("labels"):
            obj["metadata"]["labels"] = dict(spec["template"]["metadata"]["labels"])
        obj.setdefault("status", {})

    def prepare_create(self, obj: Object) -> None:
        spec, meta = obj["spec"], obj["metadata"]
        if spec.get("manualSelector"):
            return
        labels: dict[str, str] = {}
        for prefix in (PREFIX, ""):
            labels |= {f"{prefix}controller-uid": meta["uid"], f"{prefix}job-name": meta["name"]}
        template = spec["template"]["metadata"]
        own = meta.get("labels") == template.get("labels") or not meta.get("labels")
        template["labels"] = {**(template.get("labels") or {}), **labels}
        if own:
            meta["labels"] = dict(template["labels"])
        spec.setdefault("selector", {"matchLabels": {f"{PREFIX}controller-uid": meta["uid"]}})

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        causes = validate_job(spec, "spec")
        generated = {f"{PREFIX}controller-uid": obj["metadata"].get("uid")}
        if old is None and not spec["manualSelector"] and (spec.get("selector") or {}).get("matchLabels") != generated:
            causes.append(wrong("spec.selector", spec.get("selector"), "`selector` not auto-generated"))
        if spec.get("selector") is None:
            causes.append(required("spec.selector"))
        if old is not None:
            before = old["spec"]
            for key in ("completions", "selector", "template", "completionMode"):
                # What a suspended Job is to run may still be changed: queues do.
                if spec.get(key) != before.get(key) and not (key == "template" and before.get("suspend")):
                    causes.append(wrong(f"spec.{key}", spec.get(key), "field is immutable"))
        return causes


_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_NAMES = {
    3: ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    4: ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}
_MACROS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip


def schedule(text: str) -> tuple[frozenset[int], ...]:
    """The minutes, hours, days, months and weekdays of a cron schedule. Raises ValueError with the parser's words."""
    fields = _MACROS.get(text, text).split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    return tuple(_numbers(field, index) for index, field in enumerate(fields))


def _numbers(field: str, index: int) -> frozenset[int]:
    low, high = _FIELDS[index]
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span in ("*", "?"):
            start, end = low, high
        else:
            start = _number(first, index)
            end = _number(last, index) if dash else high if step else start
        if start < low:
            raise ValueError(f"beginning of range ({start}) below minimum ({low}): {part}")
        if end > high:
            raise ValueError(f"end of range ({end}) above maximum ({high}): {part}")
        if start > end:
            raise ValueError(f"beginning of range ({start}) beyond end of range ({end}): {part}")
        found |= set(range(start, end + 1, int(step) if step.isdigit() and int(step) else 1))
    return frozenset(0 if index == 4 and number == 7 else number for number in found)


def _number(text: str, index: int) -> int:
    names = _NAMES.get(index, ())
    if text.lower() in names:
        return names.index(text.lower()) + (1 if index == 3 else 0)
    if not re.fullmatch(r"\d+", text):
        raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)


_CONCURRENCY = ["Allow", "Forbid", "Replace"]


_LONGEST_NAME = 52  #: what is left of a label for a Job's suffix


def _zone_causes(zone: str) -> list[Cause]:
    try:
        if zone and zone.lower() != "local":
            zoneinfo.ZoneInfo(zone)
            return []
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        pass
    return [wrong("spec.timeZone", zone, f"unknown time zone {zone}")]


class CronJobKind(Kind):
    has_generation = True

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("concurrencyPolicy", "Allow")
        spec.setdefault("suspend", False)
        spec.setdefault("successfulJobsHistoryLimit", 3)
        spec.setdefault("failedJobsHistoryLimit", 1)
        job = spec.setdefault("jobTemplate", {})
        job.setdefault("metadata", {})
        default_job(job.setdefault("spec", {}))
        obj.setdefault("status", {})

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        causes: list[Cause] = []
        if not spec.get("schedule"):
            causes.append(required("spec.schedule"))
        else:
            try:
                schedule(spec["schedule"])
            except ValueError as error:
                causes.append(wrong("spec.schedule", spec["schedule"], str(error)))
        if spec.get("timeZone") is not None:
            causes += _zone_causes(spec["timeZone"])
        if len(obj["metadata"]["name"]) > _LONGEST_NAME:
            message = f"must be no more than {_LONGEST_NAME} characters"
            causes.append(wrong("metadata.name", obj["metadata"]["name"], message))
        for key in ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
            if spec.get(key) is not None and spec[key] < 0:
                causes.append(wrong(f"spec.{key}", spec[key], _NOT_NEGATIVE))
        if spec["concurrencyPolicy"] not in _CONCURRENCY:
            causes.append(unsupported("spec.concurrencyPolicy", spec["concurrencyPolicy"], _CONCURRENCY))
        return causes + validate_job(spec["jobTemplate"]["spec"], "spec.jobTemplate.spec")
