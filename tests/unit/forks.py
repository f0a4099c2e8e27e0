"""A fork beside other threads may wait for ever for what they hold, and Python warns of it from 3.12 on."""

from __future__ import annotations

import multiprocessing
import os
import sys
import traceback
import typing as t
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: The stack of every fork of this process that was made while another thread ran.
beside_threads: list[str] = []


def _look() -> None:
    if len(os.listdir("/proc/self/task")) > 1:
        beside_threads.append("".join(traceback.format_stack()[:-1]))


# Neither a warning that is an error nor an exception that is raised here would end a fork.
os.register_at_fork(before=_look)


def alone(function: t.Callable[..., t.Any], *args: t.Any, **kwargs: t.Any) -> t.Any:
    """What a function returns in a process in which no other thread runs, as in a task of Ansible's.

    All that is given must be picklable. Raises what the function raises.
    """
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, fresh, initializer=_begin) as pool:
        return pool.submit(_watched, function, args, kwargs).result(300)


def _begin() -> None:
    sys.path.append(str(ROOT))  # pytest names the modules of tests from there on


def _watched(function: t.Callable[..., t.Any], args: t.Any, kwargs: t.Any) -> t.Any:
    result = function(*args, **kwargs)
    assert beside_threads == []
    return result
