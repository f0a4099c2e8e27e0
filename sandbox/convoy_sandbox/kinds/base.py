# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the registry asks of a kind; this base class answers for every kind without rules of its own."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

from ..errors import Cause
from ..store import Object


def is_address(text: str) -> bool:
    """Whether a text is an IP address, of either family."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def required(field: str, message: str = "") -> Cause:
    """A field that must be set is not."""
    return Cause("FieldValueRequired", f"Required value: {message}" if message else "Required value", field)


def wrong(field: str, value: Any, message: str) -> Cause:
    """A field has a value that its rules forbid."""
    shown = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Cause("FieldValueInvalid", f"Invalid value: {shown}: {message}", field)


def unsupported(field: str, value: Any, allowed: list[str]) -> Cause:
    """A field has a value outside of an enumeration."""
    choices = ", ".join(json.dumps(choice) for choice in allowed)
    return Cause(
        "FieldValueNotSupported", f"Unsupported value: {json.dumps(value)}: supported values: {choices}", field
    )


def duplicate(field: str, value: Any) -> Cause:
    """An element of a list stands in it twice."""
    shown = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Cause("FieldValueDuplicate", f"Duplicate value: {shown}", field)


class Kind:
    """One kind's rules. `obj` arguments may be changed in place: they are the registry's own copies."""

    #: How `metadata.name` is checked: "subdomain", "label" (RFC 1123), "label1035" or "path".
    name_rule = "subdomain"
    #: Whether metadata.generation counts the changes of the spec.
    has_generation = False
    #: Whether it counts the changes of the annotations as well.
    generation_counts_annotations = False
    #: Whether it counts the changes of the status as well.
    counts_status = False
    #: Whether it counts the deletion.
    deletion_counts = True
    #: Whether an update may leave the resourceVersion out.
    unconditional_update = True

    #: Whether an update of a name that is not there creates the object.
    created_by_update = False

    def decode(self, obj: Object) -> str:
        """What keeps an object from being decoded, beyond what its schema says; "" where nothing does."""
        return ""

    def default(self, obj: Object) -> None:
        """Fill in what the API server fills in, on every write."""

    def prepare_create(self, obj: Object) -> None:
        """What only a creation sets, after the defaults."""

    def prepare_update(self, obj: Object, old: Object) -> None:
        """What an update carries over from the old object."""

    def prepare_delete(self, obj: Object) -> None:
        """What a deletion that may have to wait sets before it begins."""

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        """What is wrong with an object; `old` is set on updates."""
        return []

    def default_status(self, obj: Object) -> None:
        """Fill in what a status that is written by itself lacks."""

    def validate_status(self, obj: Object, old: Object) -> list[Cause]:
        """What is wrong with a status that is written by itself."""
        return []
