"""The rules of `metadata`, the same for every kind."""

from __future__ import annotations

import re
from typing import Any

from ..errors import Cause
from .base import required, wrong

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")

_NAME_RULES: dict[str, tuple[re.Pattern[str], int, str]] = {
    "subdomain": (
        SUBDOMAIN,
        253,
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and "
        "must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
        r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    ),
    "label": (
        LABEL,
        63,
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
        "and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
    ),
    "label1035": (
        LABEL1035,
        63,
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
        "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
        "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
    ),
}
_LABEL_MESSAGE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
    "for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_KEY_MESSAGE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


def name_causes(name: Any, rule: str, field: str) -> list[Cause]:
    """What is wrong with a name under one of the three rules."""
    pattern, limit, message = _NAME_RULES[rule]
    causes = []
    if len(str(name)) > limit:
        causes.append(wrong(field, name, f"must be no more than {limit} characters"))
    if not pattern.fullmatch(str(name)):
        causes.append(wrong(field, name, message))
    return causes


def label_causes(labels: dict[str, str], field: str) -> list[Cause]:
    """What is wrong with the keys and values of labels."""
    causes = []
    for key, value in labels.items():
        causes += key_causes(key, field)
        if len(value) > 63:
            causes.append(wrong(field, value, "must be no more than 63 characters"))
        if not _LABEL_VALUE.fullmatch(value):
            causes.append(wrong(field, value, _LABEL_MESSAGE))
    return causes


def key_causes(key: str, field: str) -> list[Cause]:
    """What is wrong with the key of a label or an annotation."""
    prefix, slash, name = key.rpartition("/")
    causes = []
    if not name:
        causes.append(wrong(field, key, "name part must be non-empty"))
    elif len(name) > 63:
        causes.append(wrong(field, key, "name part must be no more than 63 characters"))
    if name and not _QUALIFIED.fullmatch(name):
        causes.append(wrong(field, key, _KEY_MESSAGE))
    if slash and not SUBDOMAIN.fullmatch(prefix):
        causes.append(wrong(field, key, f"prefix part {_NAME_RULES['subdomain'][2]}"))
    return causes


def validate(meta: dict[str, Any], name_rule: str) -> list[Cause]:
    """What is wrong with an object's metadata."""
    causes: list[Cause] = []
    if meta.get("name"):
        causes += name_causes(meta["name"], name_rule, "metadata.name")
    else:
        causes.append(required("metadata.name", "name or generateName is required"))
    causes += label_causes(meta.get("labels") or {}, "metadata.labels")
    for key in meta.get("annotations") or {}:
        causes += key_causes(key.lower(), "metadata.annotations")
    return causes


#: What the API server itself sets; an update cannot change it.
_IMMUTABLE = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")


def carry_over(meta: dict[str, Any], old: dict[str, Any]) -> None:
    """Keep the old object's server-set fields on an update, whatever the client sent."""
    for key in _IMMUTABLE:
        if key in old:
            meta[key] = old[key]
        else:
            meta.pop(key, None)
    if "generation" in old:
        meta["generation"] = old["generation"]
    else:
        meta.pop("generation", None)
