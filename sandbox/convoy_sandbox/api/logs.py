# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which lines of a container's log a request asks for."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from .. import errors
from ..network.containers import LogLine
from ..store import Object
from .lists import number
from .negotiation import flag


def container(pod: Object, asked: str) -> str:
    """Whose log is meant. Raises ApiError 400 where it is not clear."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    names = [item["name"] for item in spec.get("containers") or ()]
    initial = [item["name"] for item in spec.get("initContainers") or ()]
    if asked:
        if asked not in names + initial:
            raise errors.bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(names) == 1:
        return str(names[0])
    listed = f"[{' '.join(names)}]"
    if initial:
        listed += f" or one of the init containers: [{' '.join(initial)}]"
    raise errors.bad_request(f"a container name must be specified for pod {name}, choose one of: {listed}")


def selected(lines: Sequence[LogLine], query: Any, now: float) -> list[LogLine]:
    """The lines that tailLines, sinceSeconds and sinceTime leave; `now` in seconds since the epoch.

    Raises ApiError 400.
    """
    since = 0.0
    if query.get("sinceSeconds"):
        since = now - number(query, "sinceSeconds")
    elif query.get("sinceTime"):
        try:
            since = datetime.datetime.fromisoformat(query["sinceTime"].replace("Z", "+00:00")).timestamp()
        except ValueError:
            raise errors.bad_request(f"sinceTime is no RFC 3339 time: {query['sinceTime']}") from None
    found = [line for line in lines if line.time >= since]
    if query.get("tailLines") is not None:
        found = found[max(0, len(found) - number(query, "tailLines")) :]
    return found


def text(lines: Sequence[LogLine], query: Any) -> str:
    """Lines as the answer shows them: with their times where `timestamps` asks for it."""
    stamps = flag(query, "timestamps")
    return "".join(f"{_stamp(line.time)} {line.text}\n" if stamps else f"{line.text}\n" for line in lines)


def limited(piece: str, query: Any, sent: int = 0) -> bytes:
    """What limitBytes leaves of the next piece of a log after `sent` bytes. Raises ApiError 400."""
    data = piece.encode()
    return data[: max(0, number(query, "limitBytes") - sent)] if query.get("limitBytes") else data


def _stamp(seconds: float) -> str:
    when = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
