# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading YAML, with libyaml where PyYAML has it: every task reads a kubeconfig, and that is ten times as fast."""

from __future__ import annotations

import typing as t


def documents(text: str | bytes | t.IO[str]) -> list[t.Any]:
    """The documents of a text or of a stream. Raises ImportError without PyYAML, and yaml.YAMLError."""
    import yaml

    whole = text if isinstance(text, (str, bytes)) else text.read()
    try:
        return list(yaml.load_all(whole, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except yaml.YAMLError:
        # libyaml refuses characters that JSON writes as two escapes; what else is wrong is so for both.
        return list(yaml.load_all(whole, Loader=yaml.SafeLoader))


def document(text: str | bytes | t.IO[str]) -> t.Any:
    """The first document of a text or of a stream, None where that is empty. Raises as `documents` does."""
    return next(iter(documents(text)), None)
