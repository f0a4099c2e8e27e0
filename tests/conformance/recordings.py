"""The recordings of a real Kubernetes, read; `reduce.py` makes them."""

from __future__ import annotations

import datetime
import functools
import gzip
import json
from pathlib import Path
from typing import Any

Exchange = dict[str, Any]

_FOLDER = Path(__file__).with_name("recordings")


@functools.lru_cache(maxsize=4)  # those of one replay
def read(name: str) -> list[Exchange]:
    """The lines of one recording (`lab.http`, `faults.timeline` ...), which nobody changes."""
    return [json.loads(line) for line in gzip.decompress((_FOLDER / f"{name}.jsonl.gz").read_bytes()).splitlines()]


def began(name: str) -> float:
    """When a recording began, in seconds since the epoch: what was created in a second was asked for before its end."""
    made = [
        (line["response"]["metadata"]["creationTimestamp"], line["t"])
        for line in read(f"{name}.http")
        if line["method"] == "POST" and line["status"] == 201 and "creationTimestamp" in _metadata(line)
    ]
    return max(datetime.datetime.fromisoformat(second).timestamp() - t for second, t in made)


def _metadata(line: Exchange) -> Exchange:
    response = line.get("response")
    return (response.get("metadata") or {}) if isinstance(response, dict) else {}
