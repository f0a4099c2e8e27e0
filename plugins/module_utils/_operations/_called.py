# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An operation called by another one, or by a role's rescue."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api


def options(arguments: t.Mapping[str, t.Any], caller: t.Mapping[str, t.Any], **given: t.Any) -> dict[str, t.Any]:
    """The options of an operation: those `given`, the caller's access, and the defaults of the argument spec."""
    defaults = {name: spec.get("default") for name, spec in arguments.items()}
    return {**defaults, **{name: caller.get(name) for name in _api.ARGUMENTS}, **given}


def reason(failed: t.Any) -> str:
    """Why a task of a role failed, out of what Ansible keeps of it."""
    if isinstance(failed, dict):
        failed = (failed.get("results") or [failed])[-1]
        return str(failed.get("msg") or failed)
    return str(failed or "A task of the role failed.")


def given(option: t.Mapping[str, t.Any] | None) -> dict[str, t.Any]:
    """An option of several fields, without those that Ansible filled in because nobody gave them."""
    return {
        name: given(value) if isinstance(value, dict) else value
        for name, value in (option or {}).items()
        if value is not None
    }
