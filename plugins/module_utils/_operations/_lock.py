# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin lock do."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._run import _companion
from ansible_collections.convoy.rollout.plugins.module_utils._run._keeper import Keeper
from ansible_collections.convoy.rollout.plugins.module_utils._run._lock import Lock, identity

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "state": {"type": "str", "choices": ["held", "released"], "default": "held"},
    "namespace": {"type": "str"},
    "name": {"type": "str", "required": True},
    "purpose": {"type": "str", "default": ""},
    "wait": {"type": "int", "default": 0},
    "takeover": {"type": "bool", "default": False},
    "lock": {"type": "dict", "default": {}},
}


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Hold or release the lock of an application. Raises Failure when somebody else holds it."""
    if options["wait"] < 0:
        raise Failure(f"wait is {options['wait']}; it must not be negative.")
    name = options["name"]
    if task.check_mode:
        return {"changed": False, "lock": {}, "message": f"Check mode: the lock of {name} is left alone."}
    known = options["lock"]
    if options["state"] == "released" and "companion" not in known:
        return {"changed": False, "lock": {}, "message": f"The lock of {name} is not this task's to release."}
    api = _api.api(options, task.environ)
    holder = str(known.get("holder") or identity(task.owner, task.host))
    lock = Lock(api, options["namespace"], name, holder, options["purpose"])
    try:
        if options["state"] == "released":
            return {"changed": False, "lock": {}, "message": _released(lock, known)}
        if known:
            lock.check((known.get("companion") or {}).get("directory"))
            return {"changed": False, "lock": known, "message": f"The lock of {name} is still held."}
        how = lock.take(options["wait"], options["takeover"], task.tell)
        if how is None:  # a caller of this role holds it, and will release it
            return {"changed": False, "lock": {"holder": holder}, "message": f"This run holds the lock of {name}."}
        companion = Keeper(api.access, [lock]).start(task.owner)
    finally:
        api.close()
    return {
        "changed": False,
        "lock": {"holder": holder, "companion": companion},
        "message": f"The lock of {name} is held by {holder}{', ' + how if how else ''}.",
    }


def _released(lock: Lock, known: t.Mapping[str, t.Any]) -> str:
    with contextlib.suppress(Failure):  # whatever became of it, the Lease is let go of
        _companion.finish(known["companion"])
    if lock.release():
        return f"The lock of {lock.application} is released."
    return f"The lock of {lock.application} was no longer held."
