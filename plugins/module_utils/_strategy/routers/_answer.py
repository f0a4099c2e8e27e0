# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What those who serve a route say of it."""

from __future__ import annotations

import typing as t


class Answer(t.NamedTuple):
    """Whether a route is accepted as it is by all who serve it; of some kinds only traffic tells."""

    said: t.Literal["yes", "not yet", "no", "not told"]
    why: str = ""  #: in words, where it is not accepted
