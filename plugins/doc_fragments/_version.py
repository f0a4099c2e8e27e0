# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    """Which container carries the version, and how it reads."""

    DOCUMENTATION = r"""
options:
  container:
    description:
      - The container whose image has the version. It may be an init container or a native sidecar.
      - It can be left out where the annotation C(kubectl.kubernetes.io/default-container) names it, where it is named
        as the application, or where there is no other.
    type: str
"""

    VERSION_OF = r"""
options:
  version_of:
    description:
      - How the version that answers comes from the image's tag, where the two differ. By default they are the same.
      - A tag that it does not fit is the version itself.
    type: dict
    suboptions:
      prefix:
        description: What is removed from the front of the tag, such as V(v).
        type: str
      suffix:
        description: What is removed from its end, such as V(-alpine).
        type: str
      pattern:
        description: >-
          A regular expression of Python that finds the version in the tag. Its group is the version, or what it finds
          where it has none.
        type: str
      replace:
        description: >-
          What replaces the match of O(version_of.pattern), such as V(\\1+\\2) for C(1.2.3+7) from C(1.2.3_7) by
          V(^(.+\)_(\\d+\)$).
        type: str
"""
