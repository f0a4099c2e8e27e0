# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: pooled
short_description: The verdict on the requests of several clusters together
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Adds up what M(convoy.rollout.version_distribution) counted in several clusters and judges it as one sample. What is
    too rare to be told from chance in one cluster may be told in all of them together.
options:
  _input:
    description: Results of M(convoy.rollout.version_distribution); those without RV(_value.counts) add nothing.
    type: list
    elements: dict
    required: true
  expected:
    description: The share, from 0 to 1, of each version. Without it every share passes.
    type: dict
    default: {}
  min_success:
    description: The share of requests that must be answered with a version.
    type: float
    default: 1.0
  tolerance:
    description: How far a share may be from the expected one.
    type: float
    default: 0.1
  confidence:
    description: How sure the verdict is.
    type: float
    default: 0.99
  family_size:
    description: Over how many verdicts the doubt is shared out, such as the number of waves.
    type: int
    default: 1
"""

EXAMPLES = r"""
---
- name: See what the clusters lost together
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts | map('extract', hostvars, 'seen') | convoy.rollout.pooled(min_success=0.99) }}"
"""

RETURN = r"""
_value:
  description: What was counted, and the verdict.
  type: dict
  contains:
    samples:
      description: How many requests were made.
      type: int
    counts:
      description: How many of them each version answered.
      type: dict
    errors:
      description: How many of them failed, by why.
      type: dict
    lost:
      description: How many of them failed.
      type: int
    verdict:
      description: V(pass), V(fail) or V(inconclusive).
      type: str
    message:
      description: What was counted and, where it did not pass, why.
      type: str
"""

import typing as t
from collections import Counter

from ansible_collections.convoy.rollout.plugins.module_utils._proof import _statistics


def pooled(
    results: t.Iterable[t.Mapping[str, t.Any]],
    expected: t.Mapping[str, float] | None = None,
    min_success: float = 1.0,
    tolerance: float = 0.1,
    confidence: float = 0.99,
    family_size: int = 1,
) -> dict[str, t.Any]:
    """The samples of all results as one: counts by version, errors by why, and the verdict on shares (0 to 1)."""
    counts: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for result in results:
        counts.update(result.get("counts") or {})
        errors.update(result.get("errors") or {})
    lost = sum(errors.values())
    samples = sum(counts.values()) + lost
    standard = _statistics.Standard(
        {version: float(share) for version, share in (expected or {}).items()},
        tolerance=float(tolerance),
        confidence=float(confidence),
        min_success=float(min_success),
        family=int(family_size),
    )
    verdict, why = _statistics.judge(counts, samples, standard, fixed=True)
    reason = why()
    return {
        "samples": samples,
        "counts": dict(counts),
        "errors": dict(errors),
        "lost": lost,
        "verdict": verdict,
        "message": _statistics.said(counts, errors) + (f": {reason}" if reason else ""),
    }


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """By name."""
        return {"pooled": pooled}
