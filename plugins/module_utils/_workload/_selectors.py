# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What label selectors pick, in each of their forms. Pure functions of plain objects."""

from __future__ import annotations

import typing as t

Object = t.Dict[str, t.Any]


def matches(selector: t.Mapping[str, t.Any] | None, labels: t.Mapping[str, str]) -> bool:
    """Whether a label selector, of matchLabels and matchExpressions, picks what has these labels.

    As in the API: one that is empty picks everything, and where there is none, nothing is picked.
    """
    if selector is None:
        return False
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items()) and all(
        holds(rule, labels) for rule in selector.get("matchExpressions") or []
    )


def selects(selector: t.Mapping[str, str] | None, labels: t.Mapping[str, str]) -> bool:
    """Whether a Service's selector picks pods with these labels; one that is empty picks none."""
    return bool(selector) and matches({"matchLabels": selector}, labels)


def holds(rule: t.Mapping[str, t.Any], labels: t.Mapping[str, str]) -> bool:
    """Whether labels meet one rule of matchExpressions, with the operators that node affinity has besides."""
    value, operator, values = labels.get(rule["key"]), rule.get("operator"), rule.get("values") or []
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) == (operator == "Exists")
    if operator in ("In", "NotIn"):
        return (value in values) == (operator == "In")
    try:  # Gt and Lt compare whole numbers
        number, limit = int(str(value)), int(values[0])
    except (ValueError, IndexError):
        return False
    return {"Gt": number > limit, "Lt": number < limit}.get(str(operator), False)


def keys(selector: t.Mapping[str, t.Any]) -> set[str]:
    """The labels that a label selector asks for."""
    rules = selector.get("matchExpressions") or []
    return {*(selector.get("matchLabels") or {}), *(rule["key"] for rule in rules)}


def unmet(selector: t.Mapping[str, t.Any], labels: t.Mapping[str, str]) -> str:
    """The first requirement of a label selector that these labels do not meet, in kubectl's words; empty if none."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return f"{key}={value}"
    for rule in selector.get("matchExpressions") or []:
        if not holds(rule, labels):
            return query({"matchExpressions": [rule]})
    return ""


def query(selector: t.Mapping[str, t.Any]) -> str:
    """A label selector as a query of the API, or a user of kubectl, writes it."""
    rules = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for rule in selector.get("matchExpressions") or []:
        values = f"({','.join(rule.get('values') or [])})"
        rules.append(
            {
                "In": f"{rule['key']} in {values}",
                "NotIn": f"{rule['key']} notin {values}",
                "Exists": rule["key"],
                "DoesNotExist": f"!{rule['key']}",
            }[rule["operator"]]
        )
    return ",".join(rules)


def without_version(service: t.Mapping[str, t.Any]) -> str:
    """How a person removes `version` from the selector of a Service, where that adds no pods, in words."""
    metadata = service["metadata"]
    where = f"-n {metadata['namespace']} " if metadata.get("namespace") else ""
    patch = '[{"op": "remove", "path": "/spec/selector/version"}]'
    return (
        "remove version from its selector, where that lets in no other pods: kubectl "
        f"{where}patch service {metadata['name']} --type=json -p '{patch}'"
    )
