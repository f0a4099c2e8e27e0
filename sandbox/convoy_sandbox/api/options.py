# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the query and the body of a write say about how it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from multidict import MultiDict

from .. import errors
from ..errors import ApiError
from ..registry import Propagation
from .negotiation import field_manager, flag

_VALIDATIONS = ("", "Ignore", "Strict", "Warn")


def dry_run(kind: str, values: list[str]) -> bool:
    """Whether nothing is to be stored. Raises ApiError 422 for anything but All."""
    for value in values:
        if value != "All":
            raise _unsupported(kind, "dryRun", value, ("All",))
    return bool(values)


def writing(query: Any, user_agent: str, kind: str) -> dict[str, Any]:
    """The keyword arguments of `Registry.create`, `update` and `patch`; `kind` is CreateOptions, ...

    Raises ApiError 422.
    """
    validation = query.get("fieldValidation") or "Warn"
    if validation not in _VALIDATIONS:
        raise _unsupported(kind, "fieldValidation", validation, _VALIDATIONS)
    return {
        "manager": field_manager(query.get("fieldManager", ""), user_agent),
        "validation": validation,
        "dry_run": dry_run(kind, [value for value in query.getall("dryRun", []) if value]),
    }


def force(query: Any, *, apply: bool) -> bool:
    """Whether a server-side apply settles conflicts. Raises ApiError 422 where the parameters do not go together."""
    if not apply:
        if flag(query, "force"):
            raise errors.invalid_options(
                "PatchOptions", "force", "FieldValueForbidden",
                "Forbidden: may not be specified for non-apply patch",
            )  # fmt: skip
        return False
    if not query.get("fieldManager"):
        raise errors.invalid_options(
            "PatchOptions", "fieldManager", "FieldValueRequired", "Required value: is required for apply patch"
        )
    return flag(query, "force")


@dataclass(frozen=True)
class Deletion:
    """How something is deleted; None is left to the kind."""

    propagation: Propagation | None
    grace_period_seconds: int | None
    preconditions: dict[str, str] | None
    dry_run: bool


def deletion(query: Any, body: Any) -> Deletion:
    """DeleteOptions of the body, or of the query where the body says nothing. Raises ApiError 400 or 422."""
    if body is None:
        body = {}
    else:
        query = MultiDict()  # a body hides the query, a dry run included
    if not isinstance(body, dict):
        raise errors.bad_request("the body of a deletion must be a DeleteOptions object")
    propagation = body.get("propagationPolicy") or query.get("propagationPolicy")
    if propagation is None and body.get("orphanDependents") is True:
        propagation = "Orphan"
    if propagation is not None and propagation not in get_args(Propagation):
        raise _unsupported("DeleteOptions", "propagationPolicy", propagation, get_args(Propagation))
    grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    try:
        seconds = None if grace is None else int(grace)
    except (TypeError, ValueError):
        raise errors.bad_request(f"gracePeriodSeconds must be a whole number of seconds, not {grace!r}") from None
    asked = [*(body.get("dryRun") or ()), *(value for value in query.getall("dryRun", []) if value)]
    return Deletion(propagation, seconds, body.get("preconditions"), dry_run("DeleteOptions", asked))


def _unsupported(kind: str, field: str, value: str, supported: tuple[str, ...]) -> ApiError:
    listed = ", ".join(f'"{item}"' for item in supported)
    return errors.invalid_options(
        kind, field, "FieldValueNotSupported", f'Unsupported value: "{value}": supported values: {listed}'
    )
