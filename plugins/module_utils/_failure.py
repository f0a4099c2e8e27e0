# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What every operation of this collection shares: how it is called, and the one way in which it ends badly."""

from __future__ import annotations

import os
import traceback
import typing as t
from dataclasses import dataclass, field


class Failure(Exception):
    """What went wrong in one sentence, and the facts that the task returns beside it."""

    def __init__(self, message: str, facts: t.Mapping[str, t.Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.facts = dict(facts or {})


@dataclass(frozen=True)
class Task:
    """What an operation knows of the task that it runs in."""

    check_mode: bool = False
    tell: t.Callable[[str], None] = lambda _line: None  #: shows one line while the task still runs
    owner: int | None = None  #: the id of the run's process, where it is on this machine
    host: str = ""  #: the host of the inventory that it is a task of
    #: The task's environment: the process's, with what play, block and task say of it.
    environ: t.Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)


Operation = t.Callable[[t.Mapping[str, t.Any], Task], "dict[str, t.Any]"]


def attempt(operation: Operation, options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """What the operation returns. Raises Failure, and nothing else.

    Whatever else is raised is an error of this collection's own, and said to be one; its traceback is the fact
    `exception`, which Ansible shows with -vvv. What others are at fault for, such as an object of the API server that
    is not what every object of its kind is, is a Failure where it comes in.
    """
    try:
        return operation(options, task)
    except Failure:
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise Failure(
            f"Internal error of convoy.rollout ({what} at {where.filename.rsplit('/', 1)[-1]}:{where.lineno}); "
            f"please report it with the traceback, which -vvv shows.",
            {"exception": "".join(traceback.format_exception(type(error), error, error.__traceback__))},
        ) from error
