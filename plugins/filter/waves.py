# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: waves
short_description: The waves in which clusters change one after the other
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Shares clusters out to waves, each cluster to one, in the order in which they are given.
options:
  _input:
    description: The names of the clusters.
    type: list
    elements: str
    required: true
  waves:
    description:
      - Each wave is a number of clusters such as V(1), a share of all of them such as V(25%), rounded down but
        at least one cluster, or the name of a group of the inventory. It takes those that no wave before it took.
      - The last one is repeated until every cluster has its wave, as Ansible's C(serial) does, where it is a
        number or a share.
      - A text is read as a list with commas.
    type: list
    elements: str
    required: true
  groups:
    description: The clusters of each group, as Ansible's variable C(groups) has them.
    type: dict
    default: {}
notes:
  - A wave that would be empty is left out, as with a group of which no cluster is part of the run.
"""

EXAMPLES = r"""
---
- name: One cluster first, then a quarter of the fleet, then the others
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts_all | convoy.rollout.waves([1, '25%', '100%']) }}"

- name: The canary region first, then Europe, then all others
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts_all | convoy.rollout.waves(['canary_region', 'eu', 'all'], groups) }}"
"""

RETURN = r"""
_value:
  description: The waves, in their order.
  type: list
  elements: dict
  contains:
    number:
      description: Its number, from 1.
      type: int
    name:
      description: What was asked for.
      type: str
      sample: 25%
    clusters:
      description: Its clusters.
      type: list
      elements: str
"""

import re
import typing as t

from ansible.errors import AnsibleFilterError

COUNT = re.compile(r"^([0-9]+)(%?)$")


def waves(
    clusters: t.Sequence[str],
    waves: str | int | t.Sequence[str | int],
    groups: t.Mapping[str, t.Sequence[str]] | None = None,
) -> list[dict[str, t.Any]]:
    """Who changes with whom. Raises AnsibleFilterError for waves that cannot be, or that leave a cluster out."""
    asked = [
        item.strip() for item in ",".join(map(str, [waves] if isinstance(waves, (str, int)) else waves)).split(",")
    ]
    left = list(dict.fromkeys(clusters))
    members = [_members(item, len(left), groups or {}) for item in asked]
    planned: list[dict[str, t.Any]] = []
    for name, member in zip(asked, members, strict=True):
        _take(planned, left, name, member)
    while left and isinstance(members[-1], int):
        _take(planned, left, asked[-1], members[-1])
    if left:
        raise AnsibleFilterError(
            f"{', '.join(left)}: in none of the waves {', '.join(asked)}; add all as the last wave, "
            f"or leave {'it' if len(left) == 1 else 'them'} out with --limit."
        )
    return planned


def _members(name: str, whole: int, groups: t.Mapping[str, t.Sequence[str]]) -> int | t.Sequence[str]:
    """How many clusters a wave takes, or which."""
    counted = COUNT.match(name)
    if counted:
        number = int(counted[1])
        if number and not (counted[2] and number > 100):
            return max(1, whole * number // 100) if counted[2] else number
    elif name in groups:
        return groups[name]
    known = ", ".join(sorted(set(groups) - {"ungrouped"}))
    raise AnsibleFilterError(
        f"{name or 'nothing'} is no wave: give a number of clusters (1), a share (25%, at most 100%) "
        f"or a group of the inventory{f' ({known})' if known else ''}."
    )


def _take(planned: list[dict[str, t.Any]], left: list[str], name: str, member: int | t.Sequence[str]) -> None:
    """Plan one wave, of what is left."""
    taken = left[:member] if isinstance(member, int) else [item for item in left if item in set(member)]
    left[:] = [item for item in left if item not in set(taken)]
    if taken:
        planned.append({"number": len(planned) + 1, "name": name, "clusters": taken})


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """By name."""
        return {"waves": waves}
