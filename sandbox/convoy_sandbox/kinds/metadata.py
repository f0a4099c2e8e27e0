# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

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
#: Bytes of all annotations of an object together.
_LARGEST_ANNOTATIONS = 256 * 1024
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
    """What is wrong with a name under one of the rules."""
    if rule == "path":  # any name that can stand in a URL
        if name in (".", ".."):
            return [wrong(field, name, f"may not be '{name}'")]
        return [wrong(field, name, f"may not contain '{part}'") for part in ("/", "%") if part in str(name)]
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
    if not _QUALIFIED.fullmatch(name):
        causes.append(wrong(field, key, _KEY_MESSAGE))
    if slash and not SUBDOMAIN.fullmatch(prefix):
        causes.append(wrong(field, key, f"prefix part {_NAME_RULES['subdomain'][2]}"))
    return causes


def selector_causes(selector: dict[str, Any], field: str) -> list[Cause]:
    """What is wrong with a LabelSelector."""
    labels = selector.get("matchLabels") or {}
    causes = label_causes(labels, f"{field}.matchLabels")
    for index, term in enumerate(selector.get("matchExpressions") or ()):
        causes += expression_causes(term, f"{field}.matchExpressions[{index}]")
    return causes


def expression_causes(term: dict[str, Any], field: str) -> list[Cause]:
    """What is wrong with one requirement of a selector."""
    operator, values = term.get("operator", ""), term.get("values")
    causes: list[Cause] = []
    if operator in ("In", "NotIn"):
        if not values:
            causes.append(required(f"{field}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            message = "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            causes.append(Cause("FieldValueForbidden", message, f"{field}.values"))
    else:
        causes.append(wrong(f"{field}.operator", operator, "not a valid selector operator"))
    return causes + key_causes(term.get("key", ""), f"{field}.key")


def port_causes(port: int | str, field: str) -> list[Cause]:
    """What is wrong with the number or the name of a port."""
    if isinstance(port, int):
        return [] if 0 < port < 65536 else [wrong(field, port, "must be between 1 and 65535, inclusive")]
    rules = (
        (len(port) <= 15, "must be no more than 15 characters"),
        (
            bool(re.fullmatch(r"[-a-z0-9]+", port)),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (bool(re.search(r"[a-z]", port)), "must contain at least one letter (a-z)"),
        ("--" not in port, "must not contain consecutive hyphens"),
        (not port.startswith("-") and not port.endswith("-"), "must not begin or end with a hyphen"),
    )
    return [wrong(field, port, message) for holds, message in rules if not holds]


def _owner_causes(owners: list[dict[str, Any]], field: str) -> list[Cause]:
    causes = [
        required(f"{field}[{index}].{key}", "must not be empty")
        for index, owner in enumerate(owners)
        for key in ("apiVersion", "kind", "name", "uid")
        if not owner.get(key)
    ]
    controllers = [f"{owner.get('kind')}/{owner.get('name')}" for owner in owners if owner.get("controller")]
    if len(controllers) > 1:
        message = 'Only one reference can have Controller set to true. Found "true" in references for '
        causes.append(wrong(field, owners, message + " and ".join(controllers[:2])))
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
    if sum(len(key) + len(value) for key, value in (meta.get("annotations") or {}).items()) > _LARGEST_ANNOTATIONS:
        message = f"Too long: may not be more than {_LARGEST_ANNOTATIONS} bytes"
        causes.append(Cause("FieldValueTooLong", message, "metadata.annotations"))
    return causes + _owner_causes(meta.get("ownerReferences") or [], "metadata.ownerReferences")


#: What the API server itself sets; an update cannot change it.
_IMMUTABLE = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")


def new_finalizers(meta: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
    """What is wrong with finalizers that an object gets while it is being deleted."""
    new = [item for item in meta.get("finalizers") or () if item not in (old.get("finalizers") or ())]
    if not new or not old.get("deletionTimestamp"):
        return []
    listed = ", ".join(f'"{item}"' for item in new)
    text = f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{listed}}}"
    return [Cause("FieldValueForbidden", f"Forbidden: {text}", "metadata.finalizers")]


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
