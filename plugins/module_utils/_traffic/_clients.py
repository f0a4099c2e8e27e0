# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Clients, each of which is one source address: which there are, and which versions each of them got."""

from __future__ import annotations

import ipaddress
import itertools
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._traffic._sampler import Sample

NAMED = 3  #: how many clients that got several versions a message names


def addresses(given: t.Sequence[str], most: int) -> list[str]:
    """The single addresses of addresses and networks, each once, `most` of them at most. Raises Failure."""
    found: dict[str, None] = {}
    for each in given:
        try:
            network = ipaddress.ip_network(each.strip())
        except ValueError as error:
            raise Failure(
                f"source_addresses: {each!r} is neither an address nor a network ({error}); use one such as 10.0.0.9 "
                "or 10.0.0.16/28."
            ) from None
        single = network.num_addresses <= 2  # as of /32 and /31, where every address is a host's
        hosts = iter(network) if single else network.hosts()
        found.update(dict.fromkeys(map(str, itertools.islice(hosts, most - len(found)))))
    return list(found)


def by_client(taken: t.Iterable[Sample]) -> dict[str, list[str]]:
    """The versions that each client got, the first one first."""
    got: dict[str, dict[str, None]] = {}
    for sample in taken:
        versions = got.setdefault(t.cast(str, sample.source), {})
        if sample.version is not None and sample.error is None:
            versions[sample.version] = None
    return {client: list(versions) for client, versions in got.items()}


def said(several: t.Mapping[str, t.Sequence[str]], asked: int, each: int) -> str:
    """In words, whether `asked` clients, each with `each` requests, got one version each; `several` did not."""
    if not several:
        return f"each client got one version in {each} requests"
    named = ", ".join(
        f"{client} ({' and '.join(versions)})" for client, versions in itertools.islice(several.items(), NAMED)
    )
    return f"{len(several)} of {asked} clients got several versions in {each} requests, such as {named}"
